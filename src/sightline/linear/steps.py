"""What an optimizer of `torch.optim` does to one parameter, line by line, as data that can be read and computed.

Sources: torch.optim; Polyak 1964 and Sutskever et al. 2013 (momentum), Kingma and Ba 2015 (Adam), Loshchilov and Hutter
2019 (AdamW), Tieleman and Hinton 2012 (RMSprop), Duchi et al. 2011 (Adagrad).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Assignment", "Line", "StepTaken", "formula_of", "take_step"]

Array = NDArray[np.float64]
Values = dict[str, Any]


@dataclass(frozen=True)
class Assignment:
    """`symbol` ← `formula`, in the symbols of `Values`, and how it is computed; `kept` names torch's state for it.

    For the parameter w, `compute` gives what is added to it, which rounding may swallow in the sum.
    """

    symbol: str
    formula: str
    compute: Callable[[Values], Any]
    kept: str | None = None


@dataclass(frozen=True)
class Line:
    """One assignment with the numbers that went in and came out, scalars or one for each parameter `(q,)`; `change` is
    what it added, to the parameters only.
    """

    assignment: Assignment
    before: Mapping[str, Any]
    result: Array
    change: Array


@dataclass(frozen=True)
class StepTaken:
    """A step in all its lines: what it adds to the parameters, `step (q,)`, these `after (q,)`, torch's state then."""

    lines: tuple[Line, ...]
    step: Array
    after: Array
    state: Mapping[str, Any]


def formula_of(name: str, options: Mapping[str, Any], *, first: bool = False) -> tuple[Assignment, ...] | None:
    """The lines of this optimizer with these options, `w` for the parameter, `g` for the gradient of the loss; None for
    those that are not written out. `first` is the first step, where SGD's velocity is the gradient itself.

    >>> [f"{line.symbol} ← {line.formula}" for line in formula_of("sgd", {"lr": 0.1, "momentum": 0.9})]
    ['v ← μ · v + g', 'w ← w - lr · v']
    """
    build = FORMULAS.get(name.lower())
    if build is None or options.get("maximize") or options.get("amsgrad"):
        return None
    return tuple(build(options, first))


def take_step(
    name: str, options: Mapping[str, Any], theta: Array, gradient: Array, state: Mapping[str, Any]
) -> StepTaken | None:
    """One step from θ `(q,)` with this gradient `(q,)` and torch's `state` (empty before the first step), in float64.

    None for an optimizer that is not written out.

    >>> step = take_step("sgd", {"lr": 3e-6}, np.array([0.45]), np.array([-9509.0]), {})
    >>> step.after
    array([0.478527])
    """
    first = state.get("momentum_buffer") is None
    formula = formula_of(name, options, first=first)
    if formula is None:
        return None
    t = int(state.get("step", 0)) + 1
    values: Values = {"w": theta, "g": gradient, "t": t, **_constants(options)}
    for line in formula:
        if line.kept is not None:
            initial = float(options.get("initial_accumulator_value", 0.0)) if line.kept == "sum" else 0.0
            old = state.get(line.kept)
            values[line.symbol] = np.full_like(theta, initial) if old is None else np.asarray(old, dtype=np.float64)
    lines: list[Line] = []
    kept: dict[str, Any] = {"step": t}
    for line in formula:
        value = np.broadcast_to(line.compute(values), theta.shape)
        result, change = (values["w"] + value, value) if line.symbol == "w" else (value, np.zeros_like(theta))
        lines.append(Line(line, dict(values), result, change))
        values[line.symbol] = result
        if line.kept is not None:
            kept[line.kept] = result
    step = np.sum([line.change for line in lines], axis=0)
    return StepTaken(tuple(lines), step, values["w"], kept)


def _constants(options: Mapping[str, Any]) -> Values:
    """The settings of the optimizer under the symbols that the formulas use."""
    beta1, beta2 = options.get("betas") or (None, None)
    named = {
        "lr": options.get("lr"), "wd": options.get("weight_decay"), "μ": options.get("momentum"),
        "τ": options.get("dampening"), "β₁": beta1, "β₂": beta2, "ε": options.get("eps"),
        "α": options.get("alpha"), "η": options.get("lr_decay"),
    }  # fmt: skip
    return {symbol: value for symbol, value in named.items() if value is not None}


def _decays(options: Mapping[str, Any]) -> bool:
    decay = options.get("weight_decay")
    return decay is not None and bool(np.any(decay))


def _penalized(options: Mapping[str, Any]) -> list[Assignment]:
    if not _decays(options):
        return []
    return [Assignment("g", "g + wd · w", lambda e: e["g"] + e["wd"] * e["w"])]


def _sgd(options: Mapping[str, Any], first: bool) -> list[Assignment]:
    lines = _penalized(options)
    if not options.get("momentum"):
        return [*lines, Assignment("w", "w - lr · g", lambda e: -e["lr"] * e["g"])]
    if first:
        lines.append(Assignment("v", "g", lambda e: e["g"], "momentum_buffer"))
    elif options.get("dampening"):
        damped = Assignment(
            "v", "μ · v + (1 - τ) · g", lambda e: e["μ"] * e["v"] + (1.0 - e["τ"]) * e["g"], "momentum_buffer"
        )
        lines.append(damped)
    else:
        lines.append(Assignment("v", "μ · v + g", lambda e: e["μ"] * e["v"] + e["g"], "momentum_buffer"))
    if options.get("nesterov"):
        ahead = Assignment("w", "w - lr · (g + μ · v)", lambda e: -e["lr"] * (e["g"] + e["μ"] * e["v"]))
        return [*lines, ahead]
    return [*lines, Assignment("w", "w - lr · v", lambda e: -e["lr"] * e["v"])]


def _adam(options: Mapping[str, Any], first: bool) -> list[Assignment]:
    if options.get("decoupled_weight_decay"):
        return _adamw(options, first)
    return [*_penalized(options), *_moments()]


def _adamw(options: Mapping[str, Any], _: bool) -> list[Assignment]:
    if not _decays(options):
        return _moments()
    return [Assignment("w", "w - lr · wd · w", lambda e: -e["lr"] * e["wd"] * e["w"]), *_moments()]


def _moments() -> list[Assignment]:
    """Running means of the gradient and of its square, freed of their start at zero, and the step."""
    return [
        Assignment("m", "β₁ · m + (1 - β₁) · g", lambda e: e["β₁"] * e["m"] + (1.0 - e["β₁"]) * e["g"], "exp_avg"),
        Assignment(
            "v", "β₂ · v + (1 - β₂) · g²", lambda e: e["β₂"] * e["v"] + (1.0 - e["β₂"]) * e["g"] ** 2, "exp_avg_sq"
        ),
        Assignment("m̂", "m / (1 - β₁ᵗ)", lambda e: e["m"] / (1.0 - e["β₁"] ** e["t"])),
        Assignment("v̂", "v / (1 - β₂ᵗ)", lambda e: e["v"] / (1.0 - e["β₂"] ** e["t"])),
        Assignment("w", "w - lr · m̂ / (√v̂ + ε)", lambda e: -e["lr"] * e["m̂"] / (np.sqrt(e["v̂"]) + e["ε"])),
    ]


def _rmsprop(options: Mapping[str, Any], _: bool) -> list[Assignment]:
    lines = [
        *_penalized(options),
        Assignment("s", "α · s + (1 - α) · g²", lambda e: e["α"] * e["s"] + (1.0 - e["α"]) * e["g"] ** 2, "square_avg"),
    ]
    if options.get("centered"):
        lines += [
            Assignment("ḡ", "α · ḡ + (1 - α) · g", lambda e: e["α"] * e["ḡ"] + (1.0 - e["α"]) * e["g"], "grad_avg"),
            Assignment("a", "√(s - ḡ²) + ε", lambda e: np.sqrt(e["s"] - e["ḡ"] ** 2) + e["ε"]),
        ]
    else:
        lines.append(Assignment("a", "√s + ε", lambda e: np.sqrt(e["s"]) + e["ε"]))
    if not options.get("momentum"):
        return [*lines, Assignment("w", "w - lr · g / a", lambda e: -e["lr"] * e["g"] / e["a"])]
    return [
        *lines,
        Assignment("v", "μ · v + g / a", lambda e: e["μ"] * e["v"] + e["g"] / e["a"], "momentum_buffer"),
        Assignment("w", "w - lr · v", lambda e: -e["lr"] * e["v"]),
    ]


def _adagrad(options: Mapping[str, Any], _: bool) -> list[Assignment]:
    total = Assignment("s", "s + g²", lambda e: e["s"] + e["g"] ** 2, "sum")
    rate, formula = [], "w - lr · g / (√s + ε)"
    if options.get("lr_decay"):
        rate = [Assignment("lr", "lr / (1 + (t - 1) · η)", lambda e: e["lr"] / (1.0 + (e["t"] - 1.0) * e["η"]))]
    step = Assignment("w", formula, lambda e: -e["lr"] * e["g"] / (np.sqrt(e["s"]) + e["ε"]))
    return [*_penalized(options), *rate, total, step]


FORMULAS: dict[str, Callable[[Mapping[str, Any], bool], list[Assignment]]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
}
