"""The mathematics of a training loop without numbers, for a blackboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..linear.steps import Assignment, formula_of
from .explain_step import KEPT, NAMES
from .labels import Labels
from .sheet import Block, Formulas, Heading, Words

__all__ = ["blackboard"]

ANY = Labels(("w", "b"), ("x",), "y", 9)
USUAL: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("plain", "sgd", {}),
    ("with momentum", "sgd", {"momentum": 0.9}),
    ("Adam", "adam", {}),
)
MODELS = {
    "mse": ((), "L = Σ (ŷᵢ - yᵢ)² / n", "2/n Σ (ŷᵢ - yᵢ)"),
    "bce": (
        ("p = 1 / (1 + e⁻ᶻ)",),
        "L = -Σ (yᵢ · log(pᵢ) + (1 - yᵢ) · log(1 - pᵢ)) / n",
        "1/n Σ (pᵢ - yᵢ)",
    ),
    "cross-entropy": (
        ("pₖ = exp(zₖ) / Σ exp(zⱼ)",),
        "L = -Σ log(pᵢₖ) / n, k the class of row i",
        "1/n Σ (pᵢₖ - yᵢₖ)",
    ),
}


def blackboard(
    names: Labels = ANY, *, loss: str = "mse", optimizer: str | None = None, options: Mapping[str, Any] | None = None
) -> list[Block]:
    """Model, loss, gradient, the update of this optimizer (of the usual ones, where none is given), and the limit."""
    after, formula, gradient = MODELS[loss]
    model = "zₖ = Σ wₖⱼ · xⱼ + bₖ" if loss == "cross-entropy" else names.linear("ŷ" if loss == "mse" else "z")
    return [
        Heading("One epoch, in symbols", 1),
        Heading("1  Forward: what the model says"),
        Formulas((model, *after)),
        Heading("2  Loss: one number to make small"),
        Formulas((formula,)),
        Heading("3  Backward: how the loss changes with each parameter"),
        Formulas(_gradient(names, loss, gradient)),
        Heading("4  zero_grad: forget the gradient of the step before"),
        Formulas(("g ← 0",)),
        Words("Left out, backward adds: `g ← g₀ + ∂L/∂w`, where `g₀` is what the step before left."),
        Heading("5  Step: move against the gradient, `g = ∂L/∂w`, `w` for each parameter"),
        *_updates(optimizer, options or {}),
        Heading("6  The learning rate"),
        *_limit(loss),
    ]


def _gradient(names: Labels, loss: str, gradient: str) -> tuple[str, ...]:
    if loss == "cross-entropy":
        return (f"∂L/∂wₖⱼ = {gradient} · xᵢⱼ", f"∂L/∂bₖ = {gradient}")
    inputs = [
        f"∂L/∂{w} = {gradient} · {x.replace('x', 'xᵢ', 1)}"
        for w, x in zip(names.parameters, names.inputs, strict=False)
    ]
    bias = [f"∂L/∂b = {gradient}"] if len(names.parameters) > len(names.inputs) else []
    return (*inputs[:3], *bias)


def _updates(optimizer: str | None, options: Mapping[str, Any]) -> list[Block]:
    if optimizer is None:
        return [block for how, name, given in USUAL for block in (Words(f"{_said(how, name)}:"), *_update(name, given))]
    return _update(optimizer, options)


def _said(how: str, name: str) -> str:
    return how if how == NAMES[name] else f"{NAMES[name]}, {how}"


def _update(name: str, options: Mapping[str, Any]) -> list[Block]:
    formula = formula_of(name, options)
    if formula is None:
        return [Words(f"The formula of {name} with these options is not written out here; torch.optim documents it.")]
    kept = [_state(line) for line in formula if line.kept in KEPT]
    return [
        Formulas(tuple(f"{line.symbol} ← {line.formula}" for line in formula)),
        *([Words(f"Kept from step to step: {', '.join(kept)}.")] if kept else []),
    ]


def _state(line: Assignment) -> str:
    return f"`{line.symbol}`, {KEPT[str(line.kept)]}"


def _limit(loss: str) -> list[Block]:
    """Why a rate is too large, and what it is too large for."""
    if loss != "mse":
        return [
            Words(
                "Along the line of a step the loss falls first with the slope `-lr · g²`, then its curvature bends it "
                "up. The curvature changes from place to place, so there is no one limit; it is never above a quarter "
                "(with several classes a half) of `λ`, the largest eigenvalue of the mean of `x` times its transpose, "
                "so a rate below `8 / λ` (or `4 / λ`) is safe."
            )
        ]
    return [
        Words("The loss is a bowl. Along a direction of curvature `λ` one step of plain SGD multiplies the error:"),
        Formulas(("e ← (1 - lr · λ) · e",)),
        Words("It shrinks only if `lr < 2 / λ`, so the steepest direction sets the limit, and the flattest the pace."),
    ]
