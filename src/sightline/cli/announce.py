"""What will be trained, and how, before the first epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..job import Job
    from ..prepared import Prepared
    from ..truth import Truth

__all__ = ["announce", "left_out"]

LOSS_NAMES = {
    "mse": "squared error",
    "l1": "absolute error",
    "huber": "Huber loss",
    "smooth-l1": "smooth absolute error",
    "bce": "binary cross-entropy",
    "bce-probability": "binary cross-entropy of the probability",
    "cross-entropy": "cross-entropy",
    "hinge": "hinge loss",
    "poisson-nll": "Poisson negative log-likelihood",
    "gaussian-nll": "Gaussian negative log-likelihood",
}


def announce(job: Job) -> None:
    """What will be trained, and how; a rate that must diverge is said before it does."""
    from ..views.console import warning_text
    from ..views.statistics import wrapped
    from ..words import count, plain

    p, settings, truth = job.prepared, job.settings, job.truth
    size = settings.batch_size
    all_rows = "full batch" + (f" (there are no {size:,} rows)" if size is not None and size > len(p.rows) else "")
    rows = all_rows if job.problem.full_batch else f"batches of {size:,}"
    columns = "standardized" if p.design.standardize else "not standardized"
    decay = f", weight decay {plain(settings.weight_decay)}" if settings.weight_decay else ""
    decay += f", l2 {plain(settings.l2)}" if settings.l2 else ""
    options = "".join(f", {name} {plain(value)}" for name, value in settings.loss_opt.items())
    error = LOSS_NAMES[p.loss] + options + (f" weighted by {settings.weights}" if settings.weights else "")
    error += " weighted by class" if p.design.class_weight else ""
    lines = [
        f"{p.name}: {count(len(p.rows), 'row')}, {count(p.columns_used, 'column')} used, "
        f"{left_out(p) or 'none missing'}{f'; {p.reading}' if p.reading else ''}",
        *_kind(job),
        f"{settings.optimizer.lower()} on the mean {error}{decay}, {rows}, {settings.dtype}, columns {columns}",
        f"{_step(job)}{_stable(job)}",
        *_around(job),
        f"{_condition(truth)}{job.engine_name} engine: {job.reason}",
        *_forecast(job),
    ]
    text = "\n".join(part for line in lines for part in wrapped(line, indent="  "))
    text += "".join("\n" + warning_text(w) for w in job.warnings if w.code == "SL-LR-LIMIT")
    click.echo(text + "\n", err=True)


def _kind(job: Job) -> list[str]:
    """Why these are classes, where nobody said so."""
    design, settings = job.prepared.design, job.settings
    if settings.loss is not None or not design.classes:
        return []
    labels = ", ".join(design.classes[:6]) + (", ..." if len(design.classes) > 6 else "")
    return [
        f"{design.target} has {len(design.classes):,} classes ({labels}), so the loss is {job.prepared.loss}"
        + ("; --loss mse takes 0 and 1 as numbers" if design.classes == ("0", "1") else "")
    ]


def _stable(job: Job) -> str:
    """What is known of the largest stable rate."""
    from ..tuning import adaptive_limit
    from ..words import plain

    e = job.evidence
    if e.is_gradient_descent and job.truth.optimum is not None:
        return f", stable{'' if job.truth.quadratic else ' at the optimum'} below {plain(e.lr_limit)}"
    guide = adaptive_limit(job.settings, job.step, job.truth, job.start)
    if guide is None:
        return ""
    return f"; with the gradient of the start as scale the curvature would be stable below {plain(guide)}, a guide only"


def _condition(truth: Truth) -> str:
    from ..words import plain

    if not truth.smooth or truth.optimum is None:
        return ""
    where = "" if truth.quadratic else " at the optimum"
    return f"condition number{where} {plain(truth.curvature.condition)}; "


def left_out(p: Prepared) -> str:
    """Which rows take no part, and why."""
    from ..words import count

    where = ", ".join(f"{n:,} in {name}" for name, n in p.missing.by_column.items())
    parts = [f"{count(p.missing.rows, 'row')} left out for missing values ({where})"] if p.missing.rows else []
    parts += [f"{count(p.zero_weight, 'row')} of weight 0 left out"] if p.zero_weight else []
    return ", ".join(parts)


def _step(job: Job) -> str:
    """Rate and momentum, and where they come from."""
    from ..words import plain

    step = job.step
    kind = "Nesterov momentum" if step.options.get("nesterov") else "momentum"
    momentum = f" and {kind} {plain(step.momentum)}" if step.momentum else ""
    return f"rate {plain(step.lr)}{momentum} ({step.reason})"


def _around(job: Job) -> list[str]:
    """The schedule of the rate, and what is done to gradients and weights beside the step."""
    told = job.problem.stepping.told()
    lines = []
    if schedule := told.pop("schedule", None):
        name, warmup = schedule.pop("name"), schedule.pop("warmup", 0)
        options = ", ".join(f"{k} {_shortly(v)}" for k, v in schedule.items())
        rising = f"the rate rises for {warmup:,} epochs" if warmup else ""
        then = f"schedule {name} ({options})" if options else f"schedule {name}"
        lines.append(" then ".join(part for part in (rising, then if name != "warm-up" else "") if part))
    words = {"clip_norm": "gradient scaled down to norm", "clip_value": "gradient cut at ±", "l1": "l1"}
    words["accumulate"] = "batches in each step:"
    if told:
        lines.append(", ".join(f"{words[k]} {_shortly(v)}".replace("± ", "±") for k, v in told.items()))
    return lines


def _shortly(value: object) -> str:
    from ..words import plain

    if isinstance(value, tuple):
        return " ".join(map(_shortly, value))
    return plain(value) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _forecast(job: Job) -> list[str]:
    """What is known of the way before the first epoch: how long each direction takes, and where rounding ends it."""
    from ..linear.curvature import best_momentum
    from ..words import in_epochs, plain

    e, c = job.evidence, job.truth.curvature
    if not e.is_gradient_descent or job.truth.optimum is None or c.condition < 1.5:
        return []
    if job.truth.quadratic:
        best = best_momentum(c)
        lines = [f"best rate {plain(c.best_lr)} without momentum, {plain(best[0])} with momentum {plain(best[1])}"]
    else:
        lines = ["near the optimum, at this rate:"]
    directions = job.truth.directions(e.contraction())
    shown = directions if len(directions) <= 4 else [*directions[:2], *directions[-2:]]
    for d in shown:
        digit = "never settles" if d.epochs_per_digit is None else f"{in_epochs(d.epochs_per_digit)} per digit"
        mostly = max(d.mix, key=lambda term: abs(d.mix[term]))
        lines.append(f"  curvature {plain(d.curvature)} (mostly {mostly}): {digit}")
    if job.freeze is not None and e.frozen_at is not None:
        lines.append(f"forecast: {job.settings.dtype} rounding freezes every parameter at epoch {job.freeze.epoch:,}")
    return lines
