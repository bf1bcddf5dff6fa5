"""The step on the sheet: zero_grad, the update with its numbers, and what rounding makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..linear.steps import Line, take_step
from ..words import about
from ..worked import Worked
from .labels import MOST_TERMS, Labels
from .notation import number, substituted
from .sheet import Block, Formulas, Grid, Heading, Words

__all__ = ["KEPT", "optimizer_name", "rounding", "update", "zero_grad"]

MOST_LISTED = 8
NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
KEPT = {
    "momentum_buffer": "the velocity",
    "exp_avg": "the running mean of the gradients",
    "exp_avg_sq": "the running mean of their squares",
    "square_avg": "the running mean of the squared gradients",
    "grad_avg": "the running mean of the gradients",
    "sum": "the sum of all squared gradients",
}
FIXED = ("lr", "wd", "μ", "τ", "β₁", "β₂", "ε", "α", "η")


def optimizer_name(w: Worked) -> str:
    """The optimizer as people call it: "SGD with Nesterov's momentum 0.9"."""
    name = NAMES.get(w.optimizer, w.optimizer)
    if not w.options.get("momentum"):
        return name
    kind = "Nesterov's momentum" if w.options.get("nesterov") else "momentum"
    return f"{name} with {kind} {number(w.options['momentum'])}"


def zero_grad(w: Worked, names: Labels) -> list[Block]:
    """What the gradient would have been with the one before left in."""
    heading = Heading("zero_grad: forget the gradient of the step before")
    if w.step.left is None:
        return [heading, *_nothing_left(w, names)]
    wrong = w.step.left + w.step.gradient
    lines = tuple(
        f"∂L/∂{names.parameters[j]} = {names.sum([w.step.left[j], w.step.gradient[j]])} = {names.number(wrong[j])}"
        for j in names.chosen()
    )
    said = (
        "PyTorch adds each new gradient to what .grad holds, and the step before left its own there. Without zero_grad:"
    )
    return [heading, Words(said), Formulas(lines), *_wrong_step(w, names, wrong)]


def _nothing_left(w: Worked, names: Labels) -> list[Block]:
    start = (
        "PyTorch adds each new gradient to what .grad holds. Before the first step that is nothing, so there is nothing"
    )
    if w.full_batch:
        after = w.loss
    elif len(w.batches) > 1:
        after = w.whole.of_rows(w.batches[1].rows)
    else:
        return [Words(f"{start} to forget yet.")]
    following = after.gradient(w.step.after)
    lines = tuple(
        f"∂L/∂{names.parameters[j]} = {names.sum([w.step.gradient[j], following[j]])} "
        f"= {names.number(w.step.gradient[j] + following[j])}"
        for j in names.chosen()
    )
    return [
        Words(
            f"{start} to forget yet. But the next step would see both if zero_grad were left out: the gradient of this "
            "step, and its own."
        ),
        Formulas(lines),
    ]


def _wrong_step(w: Worked, names: Labels, wrong: Any) -> list[Block]:
    """Where the wrong gradient would have led."""
    other = take_step(w.optimizer, w.options, w.step.before, wrong, w.step.state)
    if other is None or w.taken is None:
        return []
    j = 0
    right, astray = w.taken.after[j], other.after[j]
    if names.number(right) == names.number(astray):
        return []
    name = names.parameters[j]
    return [Words(f"and the step would have led to `{name} = {names.number(astray)}`, not to `{names.number(right)}`.")]


def update(w: Worked, names: Labels) -> list[Block]:
    """The optimizer's own formula, then with numbers."""
    heading = Heading(f"Step: {optimizer_name(w)} moves the parameters")
    if w.taken is None:
        return [heading, *_unwritten(w, names)]
    formula = tuple(f"{line.assignment.symbol} ← {line.assignment.formula}" for line in w.taken.lines)
    most = MOST_TERMS if len(w.taken.lines) == 1 else 2
    blocks: list[Block] = [heading, Formulas(formula), Words(_settings(w, names))]
    worked = [_numbers(w, names, j) for j in (names.chosen() if len(names.parameters) <= most else [0])]
    blocks += [Formulas(sum(worked, ()))] if len(w.taken.lines) == 1 else [Formulas(lines) for lines in worked]
    return blocks if len(names.parameters) <= most else [*blocks, *_all_parameters(w, names)]


def _settings(w: Worked, names: Labels) -> str:
    """The fixed numbers of the formula, and what the state is."""
    assert w.taken is not None
    text = " ".join(line.assignment.formula for line in w.taken.lines)
    values = w.taken.lines[0].before
    fixed = [f"`{s} = {names.number(_of(values[s], 0))}`" for s in FIXED if s in values and s in text]
    kept = {line.assignment.symbol: KEPT[k] for line in w.taken.lines if (k := line.assignment.kept) in KEPT}
    state = [f"`{symbol}` is {what}" for symbol, what in kept.items()]
    count_ = [f"`t = {values['t']}` counts the steps"] if "ᵗ" in text or "(t" in text else []
    both = (
        "`w` stands for each parameter, `g` for its gradient; "
        if len(names.parameters) > 1
        else "`g` is the gradient; "
    )
    return f"{both}{', '.join([*fixed, *state, *count_])}."


def _of(value: Any, j: int) -> float:
    found = np.asarray(value, dtype=np.float64)
    return float(found[j] if found.ndim else found)


def _numbers(w: Worked, names: Labels, j: int) -> tuple[str, ...]:
    """Every line of the optimizer for one parameter."""
    assert w.taken is not None
    return tuple(_numbers_of(line, names, j) for line in w.taken.lines)


def _numbers_of(line: Line, names: Labels, j: int) -> str:
    a, before = line.assignment, line.before
    values = {symbol: _text(symbol, value, j, names) for symbol, value in before.items()}
    left = names.parameters[j] if a.symbol == "w" else a.symbol
    result = names.number(line.result[j])
    filled = substituted(a.formula, values)
    if a.symbol != "w":
        return f"{left} ← {filled}" if filled == result else f"{left} ← {filled} = {result}"
    return f"{left} ← {filled} = {names.sum([_of(before['w'], j), line.change[j]])} = {result}"


def _text(symbol: str, value: Any, j: int, names: Labels) -> str:
    return str(value) if symbol == "t" else names.number(_of(value, j))


def _all_parameters(w: Worked, names: Labels) -> list[Block]:
    """The step of every parameter, as far as a page bears."""
    q = len(names.parameters)
    shown = list(range(q)) if q <= MOST_LISTED else [*range(MOST_LISTED - 1), q - 1]
    rows = [
        (
            f"`{names.parameters[j]}`",
            *(names.number(v[j]) for v in (w.step.before, w.step.gradient, w.meant, w.step.before + w.meant)),
        )
        for j in shown
    ]
    if q > len(shown):
        rows.insert(-1, ("...", "", "", "", ""))
    return [
        Words("The same for every parameter:" if q <= MOST_LISTED else f"The same for all {q:,} parameters:"),
        Grid(("parameter", "before", "gradient", "step", "after"), tuple(rows)),
    ]


def _unwritten(w: Worked, names: Labels) -> list[Block]:
    """An optimizer whose lines are not written out: what it did, and with what state."""
    state = ", ".join(str(name) for name in w.step.state_after) or "nothing"
    said = (
        f"The formula of {optimizer_name(w)} is not written out here, so this is what torch did, not why. It keeps "
        f"{state} from step to step."
    )
    return [Words(said), *_all_parameters(w, names)[1:]]


def rounding(w: Worked, names: Labels) -> list[Block]:
    """Whether the step was large enough for the numbers that it should move."""
    r, q = w.rounding, len(names.parameters)
    lost = np.flatnonzero(r.swallowed)
    heading = Heading(f"Rounding: what {w.dtype} makes of it")
    if w.swallowed:
        return [heading, Words(_lost(w, names, int(lost[0]))), Words(_frozen(w))]
    if len(lost):
        others = f" So it is with {len(lost)} of {q} parameters." if q > 2 and len(lost) > 1 else ""
        moves = " The others move." if q > len(lost) else ""
        return [heading, Words(_lost(w, names, int(lost[0])) + others + moves)]
    return [heading, Words(_kept(w, names))]


def _kept(w: Worked, names: Labels) -> str:
    """How far the step was from being lost, for the parameter that was nearest to it."""
    r, moving = w.rounding, np.flatnonzero((w.meant != 0.0) & (w.step.before != 0.0))
    if not w.meant.any():
        return "Every gradient is zero, so there is no step to lose."
    if not len(moving):
        return f"Nothing is lost: near 0, {w.dtype} has numbers for the smallest steps. Far from 0 it has not."
    j = int(moving[np.argmin(np.abs(r.step[moving]) / r.half_unit[moving])])
    times = abs(r.step[j]) / r.half_unit[j]
    if times < 1.0:
        return f"The smallest step, that of `{names.parameters[j]}`, is of the size of the rounding itself."
    return (
        f"A {w.dtype} number near `{names.number(w.step.before[j])}` has its neighbors "
        f"`{number(2.0 * r.half_unit[j], 3)}` away, and a step below half of that is lost. The step of "
        f"`{names.parameters[j]}` is {about(times)} times that half, so nothing is lost."
    )


def _lost(w: Worked, names: Labels, j: int) -> str:
    r, at = w.rounding, names.number(w.step.before[j])
    return (
        f"`{names.parameters[j]}` should move by `{names.number(r.step[j])}`, but near `{at}` the next {w.dtype} "
        f"number is `{number(2.0 * r.half_unit[j], 3)}` away. The step is less than half of that, so the sum is "
        f"rounded back: `{names.parameters[j]}` stays at `{at}`."
    )


def _frozen(w: Worked) -> str:
    """That nothing moved, what follows from it, and what helps."""
    plain_sgd = w.optimizer == "sgd" and not w.options.get("momentum") and w.full_batch
    since = w.frozen_at if w.frozen_at is not None and w.frozen_at < w.number else None
    when = "" if since is None else f" since epoch {since:,}" if since else " from the start"
    again = (
        " As nothing moved, the next gradient is the same, and the next step, and every one after it: the run is frozen"
        f"{when}, however many epochs follow."
    )
    larger = "a larger --lr" if w.design.standardize else "--standardize, a larger --lr"
    finer = ", or finer numbers (--dtype float64)" if w.dtype == "float32" else ""
    return f"Rounding swallows the whole step.{again if plain_sgd else ''} Larger steps help ({larger}){finer}."
