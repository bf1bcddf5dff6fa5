"""What the step did to the loss, how far it went toward the optimum, and what the learning rate is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..linear.progress import Progress
from ..words import about, in_epochs
from ..worked import Worked
from .explain_step import optimizer_name
from .labels import Labels, clean
from .notation import number
from .sheet import Block, Formulas, Grid, Heading, Words

__all__ = ["outcome", "rate"]


def outcome(w: Worked, names: Labels) -> list[Block]:
    """The loss after the step, and how far it went."""
    return [Heading("What the step did"), *_fall(w, names), *_along(w, names), *_directions(w), *_units(w)]


def _fall(w: Worked, names: Labels) -> list[Block]:
    before, after = w.loss.value(w.step.before), w.loss.value(w.step.after)
    whose = "The loss" if w.full_batch else "The loss of these rows"
    if w.swallowed or not w.meant.any():
        return [Words(f"Nothing: the loss stays at `{names.number(before)}`.")]
    way = "falls" if after < before else "rises" if after > before else "stays"
    penalty = " (with weight decay it is the loss and its penalty that this step works on)" if w.penalty.any() else ""
    percent = f" ({100.0 * (after / before - 1.0):+.3g} %)" if before else ""
    line, slope = w.line, w.line.slope
    bend = line.value(1.0) - line.value(0.0) - slope
    said = f"{whose} {way} from `{names.number(before)}` to `{names.number(after)}`{percent}{penalty}."
    size = abs(bend / slope) if slope else 0.0
    if np.isfinite(bend) and slope < 0.0:
        said += (
            f" The slope alone (the tangent) promised a fall of {number(-slope)}; the loss is curved, and that took "
            f"{'more than all' if size > 1.0 else number(bend)} of it back."
        )
    elif slope > 0.0:
        said += " The step went uphill: what it remembers of earlier gradients outweighs this one."
    return [Words(said)]


def _along(w: Worked, names: Labels) -> list[Block]:
    """Where along the step the loss is lowest."""
    if w.line.best is None or not w.meant.any() or w.line.best <= 0.0:
        return []
    best, limit = w.line.best, w.line.limit
    lowest = (
        f"Along the line of this step the loss is lowest at {number(best)} times this step "
        f"(`{names.number(w.line.value(best))}`)"
    )
    if limit is None:
        return [Words(f"{lowest}.")]
    judged = (
        "this step went beyond that, and made things worse"
        if limit < 1.0
        else "this step went past the lowest point, but not that far"
        if best < 1.0
        else "a longer step than that makes things worse"
    )
    return [Words(f"{lowest}, and as high as before at {number(limit)} times: {judged}.")]


def _directions(w: Worked) -> list[Block]:
    """How far the step went along each direction of the curvature."""
    if not w.progress:
        return []
    found = w.progress if len(w.progress) <= 6 else [*w.progress[:3], *w.progress[-3:]]
    rows = tuple(
        (
            _mix(w, p),
            number(p.curvature),
            *_left(w, p),
            "-" if p.covered is None else f"{number(100.0 * p.covered, 3)} %",
        )
        for p in found
    )
    whose = "" if w.full_batch else " of all rows"
    if w.loss.name == "mse":
        lead = (
            f"The loss{whose} is a bowl, steep in one direction and flatter in others. Each direction "
            "holds a part of what the loss is above its lowest value; this step went a share of the way to the bottom:"
        )
        return [Words(lead), Grid(("direction", "curvature", "above before", "after", "way gone"), rows)]
    lead = (
        f"Around its lowest point the loss{whose} is a bowl, steep in one direction and flatter in others; farther "
        "out it is shaped otherwise. The distance to the bottom along each direction, in the coordinates of the "
        "training, before and after this step:"
    )
    return [Words(lead), Grid(("direction", "curvature", "before", "after", "way gone"), rows)]


def _left(w: Worked, p: Progress) -> tuple[str, str]:
    """Of a quadratic the loss that a direction has above the lowest, else the way that is left along it."""
    if w.loss.name == "mse":
        return number(p.excess_before, 6), number(p.excess_after, 6)
    return number(p.before, 6), number(p.after, 6)


def _mix(w: Worked, p: Progress) -> str:
    """The direction by its largest part."""
    names: Sequence[str] = [*w.design.encoding.terms, *(["Intercept"] if w.design.intercept else [])]
    if w.loss.outputs > 1:
        names = Labels.of(w).parameters
    parts: Mapping[str, float] = dict(zip(names, np.abs(p.direction).tolist(), strict=True))
    first = max(parts, key=lambda t: parts[t])
    name = f"`{first}`" if w.loss.outputs > 1 else clean(first)
    return name if parts[first] > 0.999999 else f"mostly {name}"


def _units(w: Worked) -> list[Block]:
    """The model after the epoch, as the table of the run has it."""
    values = w.record.parameters
    if not values or not w.design.standardize:
        return []
    shown = [t for t in values if values.get(t) is not None][:4]
    said = ", ".join(f"{clean(t)} {number(values[t], 7)}" for t in shown)
    after = "After the epoch" if w.full_batch else "After the whole epoch"
    return [Words(f"{after} the model in the units of the data: {said}{' and more' if len(values) > 4 else ''}.")]


def rate(w: Worked) -> list[Block]:
    """Whether the learning rate is too small, right or too large."""
    heading = Heading(f"The learning rate, {number(w.options['lr'])}: {w.rate.word}" if w.rate else "The learning rate")
    if w.rate is None:
        return [heading, Words(_no_limit(w))]
    r, momentum = w.rate, float(w.options.get("momentum") or 0.0)
    top, quadratic = w.curvature.max, w.loss.name == "mse"
    formula = f"lr < 2 / λ = 2 / {number(top, 6)} = {number(2.0 / top, 6)}"
    lead = (
        "Along a direction of curvature `λ` a step of plain SGD multiplies the error by `1 - lr · λ`. In the steepest "
        "direction it shrinks only if"
    )
    if not quadratic:
        lead = f"Near the optimum, whose curvature is meant here: {lead[0].lower()}{lead[1:]}"
    blocks: list[Block] = [heading, Words(lead), Formulas((formula,))]
    if momentum:
        blocks.append(Words(f"With momentum {number(momentum)} the limit is {number(r.limit)}."))
    if not w.full_batch:
        blocks.append(Words("That holds for steps on all rows; a batch has a curvature, and a limit, of its own."))
    return [*blocks, Words(_judged(w))]


def _judged(w: Worked) -> str:
    """The verdict on the rate, with what another rate would bring."""
    assert w.rate is not None
    r, share = w.rate, w.rate.lr / w.rate.limit
    best = f"the best rate, {number(r.best)}, needs {in_epochs(r.best_needs)} for each digit"
    hopeless = (
        f" No rate is good here: the condition number is {about(w.curvature.condition)}, so what suits the steep "
        f"direction hardly moves the flat one. {_remedy(w)}"
        if r.best_needs > 1000.0
        else ""
    )
    if r.word == "too large" and share < 1.0:
        return (
            f"This rate is {number(100.0 * share, 4)} % of the limit: every epoch overshoots the bottom of the "
            f"steepest direction and leaves {number(100.0 * r.steepest, 4)} % of the error there, which needs "
            f"{in_epochs(r.needs)} for each digit; {best}.{hopeless}"
        )
    if r.word == "too large":
        grown = f"multiplies the error along the steepest direction by {number(r.steepest)}"
        end = "the run diverges" if w.loss.name == "mse" else "the run cannot settle there"
        return f"This rate is {number(share)} times the limit: every epoch {grown}, so {end}; {best}.{hopeless}"
    if r.word == "right":
        return (
            f"This rate is {number(100.0 * share, 3)} % of the limit, and needs {in_epochs(r.needs)} for each digit of "
            f"the slowest direction; {best}.{hopeless}"
        )
    if w.curvature.condition < 1.01:
        return (
            f"This rate is {number(100.0 * share, 3)} % of the limit, and an epoch leaves "
            f"{number(100.0 * r.steepest, 3)} % of the error in every direction, {in_epochs(r.needs)} for each digit; "
            f"{best}."
        )
    return (
        f"This rate is {number(100.0 * share, 3)} % of the limit. An epoch leaves {number(100.0 * r.steepest, 3)} % of "
        f"the error along the steepest direction and {number(100.0 * r.flattest, 10)} % along the flattest, which "
        f"needs {in_epochs(r.needs)} for each digit; {best}.{hopeless}"
    )


def _remedy(w: Worked) -> str:
    if w.design.standardize:
        return "The columns nearly say the same; momentum helps (--momentum auto)."
    return "Standardizing the columns changes that (--standardize), and momentum helps."


def _no_limit(w: Worked) -> str:
    """Optimizers without a closed limit: the length of the step beside the way to go."""
    name = optimizer_name(w)
    if w.optimum is None:
        return "The loss falls forever, because the classes are separated: there is no lowest point to reach."
    way, step = w.optimum - w.step.before, np.abs(w.meant)
    j = int(np.argmax(np.abs(way)))
    pace = float(np.abs(way[j]) / step[j]) if step[j] > 0.0 else float("inf")
    circling = "Near the bottom steps of that length only circle: then make the rate smaller."
    return (
        f"{name} scales the gradient of each parameter by itself, so `2 / λ` is no limit for it: its steps are about "
        f"as long as the rate, here at most {number(float(step.max()))}, however steep the loss is. The parameter with "
        f"the longest way to go has {number(float(abs(way[j])))} before it, {about(pace)} steps of this length. "
        f"{'The rate is too small for that way.' if pace > 1000.0 else circling}"
    )
