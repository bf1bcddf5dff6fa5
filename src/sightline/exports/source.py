"""A run as a plain PyTorch script: data, model, loss, optimizer, loop, and the way back to the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .python_text import WIDTH, assigned, called, listed, literal, remark
from .source_loop import Around, loop

__all__ = ["Around", "CsvTable", "Training", "script"]

CLASSES = {
    "mse": "MSELoss",
    "l1": "L1Loss",
    "huber": "HuberLoss",
    "smooth-l1": "SmoothL1Loss",
    "bce": "BCEWithLogitsLoss",
    "cross-entropy": "CrossEntropyLoss",
    "poisson-nll": "PoissonNLLLoss",
    "gaussian-nll": "GaussianNLLLoss",
    "bce-probability": "BCELoss",
}


@dataclass(frozen=True)
class CsvTable:
    """The file that the script reads: which columns, and what the cells of target and weight mean.

    `columns` are the names of the features. A target with `labels` is a class: its place among them. `share` is what
    the weights are divided by, so that their mean is 1. `standardized` tells that the columns of the file are so;
    `note` is what else a reader should know of it.
    """

    path: str
    columns: tuple[str, ...]
    target: str
    rows: int
    labels: tuple[str, ...] = ()
    weight: str | None = None
    share: float = 1.0
    delimiter: str = ","
    encoding: str = "utf-8"
    standardized: bool = False
    note: str = ""


@dataclass(frozen=True)
class Training:
    """All that the script is made from, as plain values: names, numbers, options of torch by torch's names.

    `center` and `scale (p,)` are those of the columns, `weight (k, p)` and `bias (k,)` the start in training
    coordinates. `optimizer` is a class of `torch.optim`; `decay` that of the weights alone, where the bias has another.
    """

    run: str
    formula: str
    table: CsvTable
    center: Sequence[float]
    scale: Sequence[float]
    weight: Sequence[Sequence[float]]
    bias: Sequence[float] | None
    dtype: str
    optimizer: str
    options: Mapping[str, Any]
    around: Around
    loss: str = "mse"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    decay: float | None = None

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for a row, k."""
        return len(self.weight)

    @property
    def features(self) -> int:
        """How many columns the model takes, p."""
        return len(self.table.columns)

    @property
    def centered(self) -> bool:
        """Whether any column is moved."""
        return any(self.center)

    @property
    def standardized(self) -> bool:
        """Whether training coordinates are not the units of the data."""
        return self.centered or any(scale != 1.0 for scale in self.scale)

    @property
    def single(self) -> bool:
        """Whether one column is all, so that it needs no list."""
        return self.features == 1

    @property
    def loss_of_rows(self) -> bool:
        """Whether the mean of the rows is taken in the loop: of weighted ones, and where the run takes it itself."""
        return self.table.weight is not None or self.loss in ("hinge", "bce-probability")

    @property
    def by_class(self) -> bool:
        """Whether the target is the number of a class."""
        return self.loss == "cross-entropy"


def script(t: Training) -> str:
    """The whole script; its texts are in quotes or comments, so that no name or path can become code."""
    parts = [
        ['"""A run of sightline as plain PyTorch; the trained module is left in the name `model`."""'],
        ["import csv", "", "import torch", "from torch import nn"],
        _data(t),
        _model(t),
        ["# Loss and optimizer", *_criterion(t), *_optimizer(t)],
        ["# Training", *loop(t.around, _loss(t), [t.table.rows, t.outputs])],
        _back(t),
    ]
    sections = ["\n".join(part) for part in parts if part]
    return "\n\n".join("\n" * ("\ndef " in section) + section for section in sections) + "\n"


def _tensor(name: str, cells: str, dtype: str, shape: str) -> list[str]:
    """The line that makes a tensor of cells of all rows, or two where it is too long."""
    values, kind = f"[{cells} for row in rows]", f", dtype=torch.{dtype}" if dtype else ""
    line = f"{name} = torch.tensor({values}{kind}){shape}"
    if len(line) <= WIDTH:
        return [line]
    return [f"cells = {values}", f"{name} = torch.tensor(cells{kind}){shape}"]


def _data(t: Training) -> list[str]:
    table = t.table
    options = "" if table.delimiter == "," else f", delimiter={literal(table.delimiter)}"
    lines = [
        f"# Data{f' of run {remark(t.run, 20)}' if t.run else ''}: {remark(t.formula, 60)}",
        *([f"# {table.note}"] if table.note else []),
        *assigned("path", table.path),
        f'with open(path, encoding="{table.encoding}", newline="") as file:',
        f"    rows = list(csv.DictReader(file{options}))",
        *_columns(t),
        *_target(t),
    ]
    return [*lines, *(_weights(t) if table.weight is not None else [])]


def _weights(t: Training) -> list[str]:
    table, n = t.table, t.table.rows
    share = "" if table.share == 1.0 else f" / {literal(table.share)}"
    cell = f"float(row[{literal(table.weight)}]){share}"
    cell, shape = (cell, f"({n},)") if t.by_class else (f"[{cell}]", f"({n}, 1)")
    return _tensor("w", cell, t.dtype, f"  # {shape}, mean 1")


def _columns(t: Training) -> list[str]:
    """The lines that make x."""
    table, names, shape = t.table, t.table.columns, f"  # ({t.table.rows}, {t.features})"
    now = t.standardized and not table.standardized
    if not names:
        return [f"x = torch.empty((len(rows), 0), dtype=torch.{t.dtype}){shape}"]
    cells = f"[float(row[{literal(names[0])}])]" if t.single else "[float(row[name]) for name in columns]"
    lines = [*_moments(t), *_tensor("x", cells, "float64" if now else t.dtype, "" if now else shape)]
    if now:
        moved = "(x - center) / scale" if t.centered else "x / scale"
        lines.append(f"x = {moved}{shape}" if t.dtype == "float64" else f"x = ({moved}).float(){shape}")
    return lines


def _moments(t: Training) -> list[str]:
    """The names of the columns, with center and scale where training has moved and scaled them."""
    names, pairs = list(t.table.columns), list(zip(t.center, t.scale, strict=True))
    what = "mean, standard deviation" if t.centered else "root mean square"
    if not t.standardized:
        return [] if t.single else listed("columns = ", names)
    if t.single:
        both = ("center, scale", ", ".join(map(literal, pairs[0]))) if t.centered else ("scale", literal(t.scale[0]))
        return [f"{both[0]} = {both[1]}  # {what}"]
    values = [literal(pair) if t.centered else literal(pair[1]) for pair in pairs]
    lines = [f"    {literal(name)}: {value}," for name, value in zip(names, values, strict=True)]
    held, shape = "torch.tensor(list(columns.values()), dtype=torch.float64)", f"({t.features},)"
    unpacked = f"center, scale = {held}.T  # {shape}, {shape}" if t.centered else f"scale = {held}  # {shape}"
    return [f"columns = {{  # {what}", *lines, "}", unpacked]


def _target(t: Training) -> list[str]:
    table, n = t.table, t.table.rows
    cell = f"row[{literal(table.target)}]"
    if t.by_class:
        labels = listed("labels = ", table.labels) if table.labels else []
        place = f"labels.index({cell})" if table.labels else f"int({cell})"
        return [*labels, *_tensor("y", place, "", f"  # ({n},)")]
    value = f"{cell} == {literal(table.labels[1])}" if table.labels else cell
    return _tensor("y", f"[float({value})]", t.dtype, f"  # ({n}, 1)")


def _model(t: Training) -> list[str]:
    arguments = [str(t.features), str(t.outputs), *(["bias=False"] if t.bias is None else [])]
    dtype = [] if t.dtype == "float32" else [f"dtype=torch.{t.dtype}"]
    lines = ["# Model, at the start of the run", f"model = nn.Linear({', '.join([*arguments, *dtype])})"]
    started: list[tuple[str, list[Any]]] = []
    started += [("weight", [list(row) for row in t.weight])] if t.features else []
    started += [("bias", list(t.bias))] if t.bias is not None else []
    same = [_filled(name, values) for name, values in started]
    other = [(name, values) for (name, values), line in zip(started, same, strict=True) if line is None]
    lines += [line for line in same if line is not None]
    lines += [line for name, values in other for line in listed(f"{name} = ", values)]
    copied = [f"    model.{name}.copy_(torch.tensor({name}, dtype=torch.float64))" for name, _ in other]
    return [*lines, *(["with torch.no_grad():", *copied] if other else [])]


def _filled(name: str, values: Sequence[Any]) -> str | None:
    """The line that sets all of a parameter to one number, if it is one."""
    flat = {number for row in values for number in (row if isinstance(row, list) else [row])}
    if len(flat) > 1:
        return None
    (value,) = flat
    return f"nn.init.zeros_(model.{name})" if not value else f"nn.init.constant_(model.{name}, {literal(value)})"


def _criterion(t: Training) -> list[str]:
    """The line that makes the loss; of a hinge there is none, it is written out in the loop."""
    if t.loss not in CLASSES:
        return []
    given = [f"{name}={literal(value)}" for name, value in t.loss_options.items()]
    of_rows = ['reduction="none"'] if t.loss_of_rows else []
    return called(f"criterion = nn.{CLASSES[t.loss]}", [*given, *of_rows])


def _loss(t: Training) -> str:
    """The expression that gives the loss of the rows in a step."""
    where = t.around.where
    y = f"y{where}"
    each = {
        "hinge": f"torch.relu(1 - (2 * {y} - 1) * outputs)",
        "bce-probability": f"criterion(torch.sigmoid(outputs), {y})",
        "gaussian-nll": f"criterion(outputs[:, :1], {y}, outputs[:, 1:].exp())",
    }.get(t.loss, f"criterion(outputs, {y})")
    if t.table.weight is not None:
        return f"(w{where} * {each}).mean()"
    return f"{each}.mean()" if t.loss_of_rows else each


def _optimizer(t: Training) -> list[str]:
    """Optimizer and schedule."""
    lines, alone = [], t.decay is not None and t.bias is None
    used = {**t.options, **({"weight_decay": t.decay} if alone else {})}
    options = [f"{name}={literal(value)}" for name, value in used.items()]
    parameters = "model.parameters()" if t.features else "[model.bias]"
    if t.decay is not None and t.bias is not None:
        weights = f'{{"params": [model.weight], "weight_decay": {literal(t.decay)}}}'
        one = f'groups = [{weights}, {{"params": [model.bias]}}]'
        lines += [one] if len(one) <= WIDTH else ["groups = [", f"    {weights},", '    {"params": [model.bias]},', "]"]
        parameters = "groups"
    lines += called(f"optimizer = torch.optim.{t.optimizer}", [parameters, *options])
    return [*lines, *t.around.schedule_lines()]


def _back(t: Training) -> list[str]:
    """The lines that bring the trained parameters into the units of the data."""
    lines = ["    model.weight /= scale"] if t.standardized else []
    if t.centered and t.bias is not None:
        one = ["    model.bias -= model.weight[:, 0] * center"]
        each = ["    for weight, mean in zip(model.weight.T, center):", "        model.bias -= weight * mean"]
        lines += one if t.single else each
    if t.by_class:
        lines += [
            "    for p in model.parameters():  # only differences matter: the mean of scores is 0",
            "        p.copy_(p - p[0])",
            "        p.copy_(p - sum(p) / len(p))",
        ]
    if not lines:
        return []
    what = "# Back to the units of the data" if t.standardized else "# As scores with mean 0 over the classes"
    lines = ["with torch.no_grad():", *lines]
    return [what, *lines] if t.dtype == "float64" else [what, "model.double()", *lines, "model.float()"]
