"""Optimizers × losses × engines: the largest difference from the plain PyTorch loop, for docs/agreement.md."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import sightline
from sightline.engines.losses import GaussianNLL, HingeLoss
from sightline.engines.optimizers import optimizer_names

EPOCHS, ROWS, COLUMNS, BATCH, SEED = 200, 40, 3, 12, 5
RATES = {"sgd": 0.02, "adadelta": 1.0, "lbfgs": 0.3, "rprop": 0.001}
LINE_SEARCH = {"line_search_fn": "strong_wolfe", "max_iter": 4}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "agreement.md"
Loss = Callable[[Tensor, Tensor], Tensor]


def linear(outputs: int = 1) -> nn.Linear:
    """A layer that begins at zero."""
    layer = nn.Linear(COLUMNS, outputs, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer


def table() -> tuple[Tensor, Tensor]:
    """Columns of different sizes, and a target that is nearly linear in them."""
    g = torch.Generator().manual_seed(4)
    x = torch.randn(ROWS, COLUMNS, generator=g, dtype=torch.float64) * torch.tensor([1.0, 2.0, 0.5]) + 0.3
    noise = torch.randn(ROWS, 1, generator=g, dtype=torch.float64)
    return x, x @ torch.tensor([[1.0], [-0.5], [2.0]], dtype=torch.float64) + 0.5 * noise


def cases() -> dict[str, tuple[Loss, Tensor, Callable[[], nn.Module]]]:
    """For each loss the targets that it takes and the model before it."""
    _, y = table()
    yes, count = (y > y.median()).double(), y.abs().round()
    label = torch.bucketize(y.reshape(-1), torch.tensor([-0.5, 1.5], dtype=torch.float64))
    weight = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    return {
        "mse": (nn.MSELoss(), y, linear),
        "l1": (nn.L1Loss(), y, linear),
        "huber": (nn.HuberLoss(delta=0.7), y, linear),
        "smooth-l1": (nn.SmoothL1Loss(beta=0.5), y, linear),
        "poisson-nll": (nn.PoissonNLLLoss(), count, linear),
        "gaussian-nll": (GaussianNLL(), y, lambda: linear(2)),
        "bce": (nn.BCEWithLogitsLoss(), yes, linear),
        "BCELoss": (nn.BCELoss(), yes, lambda: nn.Sequential(linear(), nn.Sigmoid())),
        "hinge": (HingeLoss(), yes, linear),
        "cross-entropy": (nn.CrossEntropyLoss(), label, lambda: linear(3)),
        "… weighted, smoothed": (nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1), label, lambda: linear(3)),
    }


def made(name: str, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer with a rate that moves; LBFGS needs a line search where a loss has kinks."""
    search = LINE_SEARCH if name == "lbfgs" else {}
    return optimizer_names()[name](model.parameters(), lr=RATES.get(name, 0.01), **search)  # type: ignore[call-arg]


def batches(epoch: int, size: int | None) -> list[Tensor]:
    """The rows of each batch, in the order of torch's RandomSampler with a generator seeded from (seed, epoch)."""
    if size is None:
        return [torch.arange(ROWS)]
    generator = torch.Generator().manual_seed((SEED * 1_000_003 + epoch) % 2**32)
    sampler = torch.utils.data.RandomSampler(range(ROWS), generator=generator)
    return list(torch.tensor(list(sampler)).split(size))


def plain(
    model: nn.Module, x: Tensor, y: Tensor, loss: Loss, optimizer: torch.optim.Optimizer, size: int | None
) -> list[float]:
    """The loop as tutorials write it: the loss of each epoch while the parameters moved."""
    running = []
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for rows in batches(epoch, size):
            first: list[float] = []

            def closure(rows: Tensor = rows, first: list[float] = first) -> Tensor:
                optimizer.zero_grad()
                value = loss(model(x[rows]), y[rows])
                value.backward()  # type: ignore[no-untyped-call]
                first.append(value.item())
                return value

            if isinstance(optimizer, torch.optim.LBFGS):
                optimizer.step(closure)  # type: ignore[arg-type]
            else:
                closure()
                optimizer.step()
            total += first[0] * (len(rows) / ROWS)
        running.append(total)
    return running


def difference(name: str, loss: str, engine: str, size: int | None) -> float:
    """The largest relative difference of any running loss of 200 epochs, and of any parameter at the end."""
    x, _ = table()
    function, y, make = cases()[loss]
    ours, theirs = make(), make()
    expected = plain(theirs, x, y, function, made(name, theirs), size)
    stream = sightline.train(
        ours,
        (x, y),
        loss=function,
        optimizer=made(name, ours),
        epochs=EPOCHS,
        batch_size=size,
        engine=engine,
        seed=SEED,
    )
    found = [record.running_loss for record in stream][1:]
    apart = [abs(a - b) / max(abs(b), 1.0) for a, b in zip(found, expected, strict=True) if a is not None]
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        apart.append(float(((p - q).abs() / q.abs().clamp(min=1.0)).max()))
    return max(apart)


def cell(value: float | None) -> str:
    """The difference, "same bits" where there is none, "-" where the engine does not take it."""
    if value is None:
        return "-"
    return "same bits" if value == 0.0 else "not finite" if not math.isfinite(value) else f"{value:.0e}"


def rows(engine: str, size: int | None, losses: list[str]) -> list[str]:
    """One line of the table for each optimizer."""
    lines = []
    for name in sorted(optimizer_names()):
        takes = engine == "autograd" or name != "lbfgs"
        found = [cell(difference(name, loss, engine, size)) if takes else "-" for loss in losses]
        lines.append(f"| {name} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    return lines


def page() -> str:
    """The whole page."""
    every = list(cases())
    parts = [
        "# Agreement with the plain loop",
        "",
        "Every optimizer with every loss, by every engine that takes it, against the PyTorch loop as tutorials write "
        f"it: {ROWS} rows, {COLUMNS} columns, float64, {EPOCHS} epochs. Each cell is the largest relative difference "
        "of any running loss and of any parameter at the end. Made by `scripts/agreement` "
        f"(torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}).",
    ]
    for title, engine, size, losses in (
        ("autograd, full batch", "autograd", None, every),
        (f"autograd, batches of {BATCH}, shuffled", "autograd", BATCH, every),
        ("quadratic (from the moments), full batch", "quadratic", None, ["mse"]),
    ):
        print(title, file=sys.stderr)
        parts += ["", f"## {title}", "", f"| optimizer | {' | '.join(losses)} |", f"| --- |{' --- |' * len(losses)}"]
        parts += rows(engine, size, losses)
    parts += [
        "",
        "The quadratic engine computes the gradient in another order, so it is a rounding away; optimizers that divide "
        "by the size of the gradient amplify that where the gradient vanishes. LBFGS needs the loss several times for "
        "a step, which only the autograd engine does.",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
