"""What to say at the end of a run, and what to warn of before it: sentences with numbers and with what fixes them."""

from __future__ import annotations

import numpy as np

from .evidence import Evidence
from .fixes import fixes
from .linear.curvature import best_momentum, epochs_per_digit, epochs_per_factor
from .linear.exact import EPS
from .records import Verdict, Warning
from .words import about, count, in_epochs, plain

__all__ = ["judge", "warnings_before"]

STEEP = 1e4  # a condition number worth a warning


def warnings_before(evidence: Evidence) -> list[Warning]:
    """What is known before the first epoch."""
    e = evidence
    found = list(e.truth.warnings())
    if e.is_gradient_descent and e.truth.optimum is not None and e.step.lr > e.lr_limit:
        found.append(Warning("SL-LR-LIMIT", _above_limit(e), tuple(fixes(e))))
    return found


def _above_limit(e: Evidence) -> str:
    limit = f"{float(f'{e.lr_limit:.4g}'):.4g} ({e.lr_formula})"
    factor = f"multiplies the error in the steepest direction by {plain(float(e.contraction().max()), 3)}"
    if e.truth.quadratic:
        return (
            f"learning rate {plain(e.step.lr)} is above the largest stable rate for these data, {limit}: each epoch "
            f"{factor}, so the run will diverge"
        )
    return (
        f"learning rate {plain(e.step.lr)} is above the largest rate that is stable at the optimum, {limit}: near it "
        f"each epoch {factor}, so the run cannot settle there"
    )


def judge(evidence: Evidence, before: list[Warning]) -> Verdict:
    """The verdict on a run that has ended; `before` are the warnings given before it began."""
    last = evidence.last
    assert last is not None
    reason = last.stop.reason if last.stop else "epochs"
    sentence = last.stop.sentence if last.stop else ""
    if reason == "diverged":
        return Verdict("DIVERGED", sentence, (*before, _diverged(evidence, tuple(fixes(evidence)))))
    if evidence.excess < -1e-6 * evidence.truth.scale - evidence.tolerance:
        return Verdict("NOT_CONVERGED", _lower(evidence), tuple(before))
    if evidence.excess <= evidence.tolerance:
        return Verdict("CONVERGED", _converged(evidence), tuple(before))
    distance = _distance(evidence) + _kept(evidence)
    remedies = tuple(fixes(evidence))
    warnings = (*before, *_steep(evidence, remedies), *_slow_or_frozen(evidence, remedies))
    if reason in ("interrupted", "time", "patience", "target"):
        return Verdict("STOPPED_EARLY", f"{sentence}; {distance}", warnings)
    cannot = ", and this run cannot converge" if evidence.frozen_at is not None else ""
    return Verdict("NOT_CONVERGED", f"{distance}{cannot}", warnings)


def _distance(e: Evidence) -> str:
    assert e.last is not None
    shown = e.last if e.kept is None else e.kept
    loss, after = plain(e.truth.loss, 6), f"after {count(shown.number, 'epoch')}"
    if e.truth.optimum is None:
        lowest = f"{plain(e.excess, 3)} above {loss}" if e.truth.loss else plain(e.excess, 3)
        return f"{after} the {_name(e)} is {lowest}, and it falls for ever: the classes are separated"
    return f"{after} the {_name(e)} is {plain(e.excess, 3)} above the exact {loss}"


def _kept(e: Evidence) -> str:
    """Whose parameters these are, where validation rows chose them."""
    if e.kept is None:
        return ""
    best = f"with the best validation loss, {plain(e.kept.valid_loss, 6)}"
    return f"; kept are the weights of epoch {e.kept.number:,}, {best}"


def _lower(e: Evidence) -> str:
    """Of a loss that is not convex, whose minimum was found by descent as training is."""
    assert e.last is not None
    below = f"{plain(-e.excess, 3)} below {plain(e.truth.loss, 6)}, the lowest minimum that was found beforehand"
    return (
        f"after {count(e.last.number, 'epoch')} the {_name(e)} is {below}: the loss is not convex, and the exact "
        "column is not its lowest"
    )


def _name(e: Evidence) -> str:
    """What is minimized, in a word."""
    return "penalized loss" if e.penalized else "loss"


def _converged(e: Evidence) -> str:
    assert e.last is not None
    epochs, loss = count(e.last.number, "epoch"), plain(e.truth.loss, 6)
    if e.penalized:
        return f"after {epochs} the penalized loss is only {plain(e.excess, 2)} above its optimum"
    if e.excess <= max(1e-15 * e.truth.scale, e.truth.resolution(EPS)):
        return f"after {epochs} the loss is the exact one, {loss}"
    return f"after {epochs} the loss is only {plain(e.excess, 2)} above the exact {loss}"


def _diverged(e: Evidence, remedies: tuple[str, ...]) -> Warning:
    if not e.is_gradient_descent:
        text = f"rate {plain(e.step.lr)} is too large for {e.settings.optimizer} on these data"
        return Warning("SL-DIVERGED", text, remedies)
    if e.step.lr <= e.lr_limit:
        text = (
            f"rate {plain(e.step.lr)} is below the largest stable one, {e.lr_limit:.4g}, but momentum "
            f"{plain(e.step.momentum)} overshoots a thousandfold before it settles"
        )
        return Warning("SL-DIVERGED", text, remedies)
    text = f"rate {plain(e.step.lr)} is {e.step.lr / e.lr_limit:.3g} times the largest stable one, {e.lr_limit:.4g}"
    return Warning("SL-DIVERGED", text, remedies)


def _steep(e: Evidence, remedies: tuple[str, ...]) -> list[Warning]:
    condition = e.truth.curvature.condition
    if condition < STEEP or e.truth.optimum is None or not e.truth.smooth:
        return []
    design = e.truth.layout.design
    if design.standardize:
        text = (
            f"the columns nearly repeat each other: the loss is {about(condition)} times steeper in one direction "
            "than in another (the condition number), even with standardized columns"
        )
        return [Warning("SL-COND", text, remedies)]
    widest = int(np.argmax(np.maximum(np.abs(design.low), np.abs(design.high)))) if len(design.low) else 0
    name, low, high = design.encoding.terms[widest], design.low[widest], design.high[widest]
    text = (
        f"{name} ({plain(float(low))} to {plain(float(high))}) makes the loss {about(condition)} times steeper in one "
        "direction than in another (the condition number)"
    )
    return [Warning("SL-COND", text, remedies)]


def _slow_or_frozen(e: Evidence, remedies: tuple[str, ...]) -> list[Warning]:
    if e.decoupled_decay:
        return [_decay(e, remedies)]
    if e.truth.optimum is None:
        return []
    if not e.truth.smooth:
        return [_kinks(e, remedies)]
    if not e.is_gradient_descent or not e.truth.curvature.rank:
        return [_too_few(e, remedies)]
    found = []
    if e.epochs and epochs_per_digit(float(e.contraction().max())) > 2.0:
        found.append(_slow(e, remedies))
    elif e.frozen_at is None:
        found.append(_too_few(e, remedies))
    if e.frozen_at is not None:
        at = "" if e.frozen_loss is None else f", at loss {plain(e.frozen_loss, 6)}"
        frozen = (
            f"{e.settings.dtype} rounding freezes every parameter at epoch {e.frozen_at:,}{at}: from there each step "
            "is smaller than half a rounding unit of the parameter it should move"
        )
        found.append(Warning("SL-FROZEN", frozen, remedies))
    return found


def _too_few(e: Evidence, remedies: tuple[str, ...]) -> Warning:
    assert e.last is not None
    name = e.settings.optimizer.lower()
    if e.last.number >= 20 and e.best < 0.8 * e.last.number:
        text = (
            f"the loss has not improved since epoch {e.best:,}: at rate {plain(e.step.lr)} {name} circles "
            "around the answer, and more epochs will not bring it closer"
        )
    else:
        was = "was" if e.last.number == 1 else "were"
        text = f"{count(e.last.number, 'epoch')} of {name} {was} not enough"
    return Warning("SL-SLOW", text, remedies)


def _slow(e: Evidence, remedies: tuple[str, ...]) -> Warning:
    curvature = e.truth.curvature
    needs = epochs_per_factor(float(e.contraction().max()))
    helps = ", and a larger rate alone does not help" if curvature.condition > STEEP else ""
    where = "" if e.truth.quadratic else "near the optimum "
    text = (
        f"at rate {plain(e.step.lr)} {where}the flattest direction needs {in_epochs(needs)} for each factor e; "
        f"the largest stable rate {where}is {e.lr_limit:.4g}{helps}"
    )
    if e.truth.quadratic:
        best = best_momentum(curvature)
        fastest = epochs_per_digit(float(curvature.contraction(*best).max()))
        text += (
            f"; the best rate with momentum ({plain(best[0])}, {plain(best[1])}) needs {in_epochs(fastest)} for each "
            "digit"
        )
    return Warning("SL-SLOW", text, remedies)


def _kinks(e: Evidence, remedies: tuple[str, ...]) -> Warning:
    text = (
        f"the {e.truth.layout.loss} loss has kinks, where its slope jumps, so steps of rate {plain(e.step.lr)} do not "
        "shrink near the answer: a constant rate circles around it, and a falling one (--schedule) comes closer slowly"
    )
    return Warning("SL-KINKS", text, remedies)


def _decay(e: Evidence, remedies: tuple[str, ...]) -> Warning:
    text = (
        f"{e.settings.optimizer.lower()} pulls every parameter toward zero by its decoupled weight decay, "
        f"{plain(e.decoupled_decay)}, which is part of no loss: it settles beside the answer, "
        "however many epochs it gets"
    )
    return Warning("SL-DECAY", text, remedies)
