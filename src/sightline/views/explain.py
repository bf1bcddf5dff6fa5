"""One epoch on a sheet: forward, loss, backward; what the step then did is in `views.explain_step`."""

from __future__ import annotations

import numpy as np

from ..words import count
from ..worked import Worked
from .explain_outcome import outcome, rate
from .explain_step import optimizer_name, rounding, update, zero_grad
from .labels import MOST_TERMS, Labels, clean
from .sheet import Block, Formulas, Grid, Heading, Words

__all__ = ["LOSS_NAMES", "explanation"]

MOST_ROWS = 6
LOSS_NAMES = {"mse": "mean squared error", "bce": "binary cross-entropy", "cross-entropy": "cross-entropy"}


def explanation(worked: Worked) -> list[Block]:
    """The whole sheet."""
    names = Labels.of(worked)
    blocks = [
        *_head(worked, names),
        *_forward(worked, names),
        *_loss(worked, names),
        *_backward(worked, names),
        *zero_grad(worked, names),
        *update(worked, names),
        *rounding(worked, names),
        *outcome(worked, names),
        *rate(worked),
    ]
    sections = [b for b in blocks if isinstance(b, Heading) and b.level == 2]
    numbered = {id(b): Heading(f"{i}  {b.text}") for i, b in enumerate(sections, start=1)}
    return [numbered.get(id(b), b) for b in blocks]


def _head(w: Worked, names: Labels) -> list[Block]:
    batch = "full batch" if w.full_batch else f"batches of {len(w.rows)}"
    said = (
        f"{clean(w.design.formula)}: {count(len(w.whole.y), 'row')}, {optimizer_name(w)} on the "
        f"{LOSS_NAMES[w.loss.name]}, rate `{names.number(w.options['lr'])}`, {batch}, {w.dtype} (run {w.run})."
    )
    lines: list[Block] = [Heading(f"Epoch {w.number:,} of {w.epochs:,}, worked out", 1), Words(said)]
    if not w.full_batch:
        lines += _batches(w, names)
    if w.apart > 1e-6:
        lines.append(Words(
            "This run was repeated to get at these numbers, and the repetition does not end where its record does: "
            f"the parameters are {100.0 * w.apart:.2g} % apart. Torch or the machine is another one, so take the "
            "numbers as near."
        ))  # fmt: skip
    return lines


def _batches(w: Worked, names: Labels) -> list[Block]:
    """What an epoch is made of."""
    rows = tuple(
        (f"{k:,}", _row_list(b.rows), names.number(b.before), names.number(b.after))
        for k, b in enumerate(w.batches, start=1)
    )
    more = f" The first {len(rows)} of them:" if len(rows) < w.steps else ""
    return [
        Words(
            "An epoch visits every row once, in an order drawn anew: here in "
            f"{count(w.steps, 'step')}, each on the loss of its own rows.{more}"
        ),
        Grid(("step", "rows", "their loss before", "after"), rows),
        Words("What follows is the first of these steps; the others repeat it on their rows, from where it ended."),
    ]


def _row_list(rows: object) -> str:
    shown = [str(r + 1) for r in np.asarray(rows)[:6]]
    return ", ".join(shown) + (", ..." if len(np.asarray(rows)) > 6 else "")


def _forward(w: Worked, names: Labels) -> list[Block]:
    """ŷ for the first rows, the first of them worked out."""
    return [
        Heading("Forward: what the model says"),
        Formulas(_model(w, names)),
        Words(_legend(w, names)),
        Formulas(_first_row(w, names)),
        _rows(w, names),
    ]


def _model(w: Worked, names: Labels) -> tuple[str, ...]:
    if w.loss.name == "mse":
        return (names.linear("ŷ"),)
    if w.loss.name == "bce":
        return (names.linear("z"), "p = 1 / (1 + e⁻ᶻ)")
    return ("zₖ = Σ wₖⱼ · xⱼ + bₖ", "pₖ = exp(zₖ) / Σ exp(zⱼ)")


def _legend(w: Worked, names: Labels) -> str:
    """What stands for what, and where the parameters are."""
    d, said = w.design, []
    if len(names.inputs) == 1:
        said.append(f"`x` is {clean(d.encoding.terms[0])}{_standardized(w, names)}")
    elif names.inputs:
        said.append(f"`x` are {', '.join(clean(t) for t in d.encoding.terms[:6])}{_standardized(w, names)}")
    what = {"mse": "`y` is", "bce": f"`p` is the probability that {names.target} is", "cross-entropy": "`p` are"}
    last = {"mse": names.target, "bce": _label(w, 1), "cross-entropy": f"the probabilities of each {names.target}"}
    said.append(f"{what[w.loss.name]} {last[w.loss.name]}")
    values = [f"`{names.parameters[j]} = {names.number(w.step.before[j])}`" for j in names.chosen(4)]
    more = f" (and {len(names.parameters) - 4} more)" if len(names.parameters) > 4 else ""
    when = "Before this epoch" if w.full_batch else "Before this step"
    return f"{'; '.join(said)}. {when} {', '.join(values)}{more}."


def _standardized(w: Worked, names: Labels) -> str:
    if not w.design.standardize:
        return ""
    if len(names.inputs) > 1:
        return ", each less its mean and divided by its standard deviation"
    center, scale = float(w.design.center[0]), float(w.design.scale[0])
    return f", standardized: ({clean(w.design.encoding.terms[0])} - {center:.6g}) / {scale:.6g}"


def _label(w: Worked, code: int) -> str:
    return clean(w.design.classes[code]) if w.design.classes else str(code)


def _first_row(w: Worked, names: Labels) -> tuple[str, ...]:
    """Every number of the first row."""
    at = w.loss.of_rows([0])
    pieces, p, k = at.pieces(w.step.before), len(names.inputs), 0
    W, b = at.split(w.step.before)
    z = names.products([W[k], at.X[0]], MOST_TERMS) if p else ""
    if w.loss.intercept:
        z = names.sum([b[k]]) if not p else f"{z} {'-' if b[k] < 0 else '+'} {names.number(abs(b[k]))}"
    value, y = names.number(pieces.z[0, k]), at.y[0]
    if w.loss.name == "mse":
        error = (
            f"ŷ₁ - y₁ = {value} {'-' if y >= 0 else '+'} {names.number(abs(y))} = {names.number(pieces.error[0, 0])}"
        )
        return (f"ŷ₁ = {z} = {value}", error)
    if w.loss.name == "bce":
        power = names.number(-pieces.z[0, 0])
        return (f"z₁ = {z} = {value}", f"p₁ = 1 / (1 + exp({power})) = {names.number(pieces.output[0, 0])}")
    powers = [f"exp({names.number(v)})" for v in pieces.z[0]]
    total = " + ".join(powers if len(powers) <= MOST_TERMS else [*powers[:2], "…"])
    return (f"z₁₁ = {z} = {value}", f"p₁₁ = {powers[0]} / ({total}) = {names.number(pieces.output[0, 0])}")


def _rows(w: Worked, names: Labels) -> Grid:
    """The first rows, from input to loss."""
    pieces, n = w.loss.pieces(w.step.before), min(len(w.loss.y), MOST_ROWS)
    number = names.number
    columns: list[tuple[str, list[str]]] = [("row", [str(w.rows[i] + 1) for i in range(n)])]
    if len(names.inputs) == 1:
        columns.append(("`x`", [number(w.loss.X[i, 0]) for i in range(n)]))
    if w.loss.weight is not None:
        columns.append(("`v`", [number(w.loss.weight[i]) for i in range(n)]))
    if w.loss.name == "mse":
        columns.append(("`y`", [number(w.loss.y[i]) for i in range(n)]))
        columns += [
            ("`ŷ`", [number(v) for v in pieces.z[:n, 0]]),
            ("`ŷ - y`", [number(v) for v in pieces.error[:n, 0]]),
        ]
        columns.append(("`(ŷ - y)²`", [number(v) for v in pieces.loss[:n]]))
    else:
        columns.append((names.target[:12], [_label(w, int(w.loss.y[i]))[:12] for i in range(n)]))
        if w.loss.name == "bce":
            columns += [
                ("`z`", [number(v) for v in pieces.z[:n, 0]]),
                ("`p`", [number(v) for v in pieces.output[:n, 0]]),
            ]
            columns.append(("`p - y`", [number(v) for v in pieces.error[:n, 0]]))
        else:
            columns += [
                (f"p {_label(w, c)}"[:12], [f"{v:.5f}" for v in pieces.output[:n, c]])
                for c in range(min(w.loss.outputs, 3))
            ]
        columns.append(("loss", [number(v) for v in pieces.loss[:n]]))
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    if len(w.loss.y) > n:
        rows.append(("...", *[""] * (len(columns) - 1)))
    return Grid(tuple(title for title, _ in columns), tuple(rows), named=False)


def _loss(w: Worked, names: Labels) -> list[Block]:
    """One number for all rows."""
    pieces = w.loss.pieces(w.step.before)
    terms = pieces.loss if w.loss.weight is None else w.loss.weight * pieces.loss
    formula = {
        "mse": "L = Σ (ŷᵢ - yᵢ)² / n",
        "bce": "L = Σ ℓᵢ / n",
        "cross-entropy": "L = Σ ℓᵢ / n",
    }[w.loss.name]
    if w.loss.weight is not None:
        formula = formula.replace("Σ ", "Σ vᵢ · ")
    total, n = float(terms.sum()), len(terms)
    value = names.number(w.loss.value(w.step.before))
    lines = [formula, f"L = ({names.sum(terms.tolist())}) / {n} = {names.number(total)} / {n} = {value}"]
    row = {"bce": "ℓ = -log(p) where y = 1, -log(1 - p) where y = 0", "cross-entropy": "ℓ = -log(pₖ), k the class"}
    first = [row[w.loss.name]] if w.loss.name in row else []
    weights = [Words("`v` are the weights of the rows, scaled to the mean 1.")] if w.loss.weight is not None else []
    return [
        Heading(f"Loss: the {LOSS_NAMES[w.loss.name]}, one number to make small"),
        Formulas((*first, *lines)),
        *weights,
    ]


def _backward(w: Worked, names: Labels) -> list[Block]:
    """The gradient, term by term for a few parameters."""
    lines = [line for j in names.chosen() for line in _slope(w, names, j)]
    return [
        Heading("Backward: how the loss changes with each parameter"),
        Formulas(tuple(lines)),
        Words(_direction(w, names)),
        *_as_computed(w, names),
    ]


def _slope(w: Worked, names: Labels, j: int) -> tuple[str, str]:
    """∂L/∂θⱼ as a formula, and with the numbers of the first rows."""
    n, p, v = len(w.loss.y), len(names.inputs), w.loss.weight
    k = j // p if p and j < p * w.loss.outputs else j - p * w.loss.outputs
    column = j % p if p and j < p * w.loss.outputs else None
    error = {"mse": "(ŷᵢ - yᵢ)", "bce": "(pᵢ - yᵢ)", "cross-entropy": "(pᵢₖ - yᵢₖ)"}[w.loss.name]
    factors = ["vᵢ"] if v is not None else []
    factors += [error, *([names.inputs[column].replace("x", "xᵢ", 1)] if column is not None else [])]
    left, total = f"∂L/∂{names.parameters[j]} = ", w.loss.terms(w.step.before)[:, j].sum()
    residual = w.loss.pieces(w.step.before).error[:, k]
    columns = [*([v] if v is not None else []), residual, *([w.loss.X[:, column]] if column is not None else [])]
    products = names.products(columns)
    share = f"{w.loss.factor:g}/{n}"
    value = f"{share} · {names.factor(total)} = {names.number(w.gradient[j])}"
    return f"{left}{w.loss.factor:g}/n Σ {' · '.join(factors)}", f"{left}{share} · ({products}) = {value}"


def _direction(w: Worked, names: Labels) -> str:
    """What the signs of the gradient say."""
    noise, q = w.loss.gradient_rounding(w.step.before), len(names.parameters)
    flat = np.abs(w.gradient) <= noise
    if flat.all():
        return "That is zero, to rounding: this is the bottom of the loss, and gradient descent has nowhere to go."
    if q > 2:
        norm = names.number(float(np.linalg.norm(w.gradient)))
        many = f" All {q} together have the length `{norm}`." if q > MOST_TERMS else ""
        return f"A negative slope says: raise this parameter, and the loss falls; a positive one: lower it.{many}"
    said = []
    for name, g, zero in zip(names.parameters, w.gradient, flat, strict=True):
        way = f"{'raise' if g < 0 else 'lower'} `{name}`, at first the loss falls by `{names.number(abs(g))}` per unit"
        said.append(f"`{name}` is at its best" if zero else way)
    return f"So {'; '.join(said)}."


def _as_computed(w: Worked, names: Labels) -> list[Block]:
    """Where the gradient that training had differs in the digits that are shown."""
    pairs = zip(names.parameters, w.gradient, w.step.gradient, strict=True)
    other = [(name, g) for name, a, g in pairs if names.number(a) != names.number(g)]
    apart = float(np.abs(w.gradient - w.step.gradient).max(initial=0.0))
    if not other or apart <= 1e-7 * float(np.abs(w.gradient).max()) * (w.dtype == "float32"):
        return []
    said = ", ".join(f"`{names.number(g)}` for `{name}`" for name, g in other[:3])
    return [Words(f"The arithmetic of the training, in {w.dtype}, had {said}; the step below takes that.")]
