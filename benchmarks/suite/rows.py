"""The rows of the table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import statsmodels.api as sm
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, SGDRegressor
from torch import Tensor, nn

import sightline
from benchmarks.suite.loops import full_batch, mini_batches, shuffled, sliced, values
from benchmarks.suite.measure import Peer, Row
from sightline.data.batches import epoch_order

__all__ = ["ROWS"]

HEIGHTS = Path(__file__).resolve().parents[2] / "examples" / "heights.csv"
CLASSIC = [
    "--figures", "none", "--no-standardize", "--dtype", "float32", "--lr", "3e-6", "--epochs", "20",
    "--start", "Intercept=-35,height=0.45",
]  # fmt: skip
MSE = nn.MSELoss()
EPOCHS = 5


@cache
def table(n: int, p: int, dtype: torch.dtype = torch.float32, mean: float = 0.0) -> tuple[Tensor, Tensor]:
    """Rows of a linear model with noise; the first column has that mean, in standard deviations."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=g, dtype=dtype)
    x[:, 0] += mean
    y = x @ torch.randn(p, 1, generator=g, dtype=dtype) + torch.randn(n, 1, generator=g, dtype=dtype)
    return x, y


def linear(p: int, k: int, optimizer: Callable[..., Any], dtype: torch.dtype = torch.float32) -> Callable[[], Any]:
    """Makes a layer of zeros and its optimizer."""

    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Linear(p, k, dtype=dtype)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model, optimizer(model.parameters())

    return make


def trained(
    make: Callable[[], Any], data: tuple[Tensor, Tensor], loss: nn.Module, **options: Any
) -> tuple[Any, Tensor]:
    """The records of sightline, and the parameters at the end."""
    model, optimizer = make()
    records = list(sightline.train(model, data, loss=loss, optimizer=optimizer, **options))
    return records, values(model)


def start_up() -> Row:
    """The running example as a whole command."""

    def command(*arguments: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)

    fit = ("-m", "sightline", "fit", str(HEIGHTS), "weight ~ height", *CLASSIC)
    return Row(
        "1", "the running example, 20 epochs, whole command", Peer("sightline fit", lambda: command(*fit)),
        [Peer("import torch", lambda: command("-c", "import torch"))], _classic_deviation, 1e-7,
        {"import torch": 1 / 1.5},
    )  # fmt: skip


def _classic_deviation() -> float:
    run = sightline.fit(
        str(HEIGHTS), "weight ~ height", output=False, standardize=False, dtype="float32", lr=3e-6, epochs=20,
        start={"Intercept": -35.0, "height": 0.45},
    )  # fmt: skip
    known = np.array([-34.9990259714, 0.6135704920])  # in float64
    return float(np.max(np.abs(np.array([c.estimate for c in run.coefficients]) / known - 1.0)))


def full_batch_row(number: str, title: str, data: Any, make: Any, *, epochs: int, plain: int, **row: Any) -> Row:
    """Full batch on squared error: sightline's own choice of engine against the plain loop of `plain` epochs."""
    (x, y), check = data, min(epochs, 200)

    def deviation() -> float:
        few = x[:50_000].double(), y[:50_000].double()
        exact = [p.double() for p in few]

        def in_float64() -> tuple[nn.Module, torch.optim.Optimizer]:
            model, optimizer = make()
            model.double()
            return model, optimizer

        want, _ = full_batch(in_float64, *exact, MSE, epochs=check)
        records, _ = trained(make, (x[:50_000], y[:50_000]), MSE, epochs=check)
        got = [record.running_loss for record in records[1:]]
        return max(abs(a - b) / b for a, b in zip(got, want, strict=True))

    return Row(
        number, title, Peer("sightline.train, every record", lambda: trained(make, (x, y), MSE, epochs=epochs)),
        [Peer("plain loop", lambda: full_batch(make, x, y, MSE, epochs=plain), epochs / plain)], deviation, 1e-6,
        **row,
    )  # fmt: skip


def diabetes() -> Row:
    """442 × 10 in float64 with momentum."""
    X, y = load_diabetes(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    data = torch.tensor(X), torch.tensor(y)[:, None]
    make = linear(10, 1, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), torch.float64)
    return full_batch_row(
        "2", "442 × 10, 10,000 full-batch epochs, momentum", data, make, epochs=10_000, plain=1000,
        targets={"plain loop": 3.0},
    )  # fmt: skip


def million(mean: float = 0.0) -> Row:
    """1,000,000 × 100 in float32 with Adam."""
    make = linear(100, 1, lambda p: torch.optim.Adam(p, lr=0.01))
    far = f", a column at {mean:g} standard deviations" if mean else ""
    return full_batch_row(
        "3", f"1,000,000 × 100 float32, Adam, 1,000 full-batch epochs{far}", table(1_000_000, 100, mean=mean), make,
        epochs=1000, plain=4, targets={"plain loop": 350.0},
    )  # fmt: skip


def exact() -> Row:
    """1,000,000 × 50 in float64, least squares with standard errors."""
    x, y = table(1_000_000, 50, torch.float64)
    X, t = x.numpy(), y.numpy()[:, 0]
    ones = sm.add_constant(X)

    def deviation() -> float:
        few = slice(0, 100_000)
        ours, theirs = sightline.least_squares(X[few], t[few]), sm.OLS(t[few], ones[few]).fit()
        pairs = ((ours.coefficients, theirs.params), (ours.std_errors, theirs.bse))
        return max(float(np.max(np.abs(np.asarray(a) / b - 1.0))) for a, b in pairs)

    peers = [
        Peer("scikit-learn LinearRegression, no errors", lambda: LinearRegression().fit(X, t)),
        Peer("statsmodels OLS", lambda: sm.OLS(t[:100_000], ones[:100_000]).fit(), 10.0),
        Peer("numpy X'X alone", lambda: X.T @ X),
    ]
    return Row(
        "4", "1,000,000 × 50 float64, least squares with standard errors",
        Peer("sightline.least_squares", lambda: sightline.least_squares(X, t)), peers, deviation, 1e-9,
        {peers[0].name: 6.0, peers[1].name: 6.0, "numpy X'X alone": 1 / 1.3},
    )  # fmt: skip


def mini_batch_row(number: str, n: int, p: int, batch: int, optimizer: Any, name: str, **row: Any) -> Row:
    """Shuffled mini-batches of a linear model: `EPOCHS` of them, the plain loops 300 steps."""
    x, y = table(n, p)
    make, steps = linear(p, 1, optimizer), min(300, -(-n // batch))
    part = EPOCHS * -(-n // batch) / steps
    order = epoch_order(n, seed=0, epoch=1)

    def deviation() -> float:
        few, epochs = (x[: batch * 50], y[: batch * 50]), 200  # so many that sightline takes machine code for them
        _, got = trained(make, few, MSE, epochs=epochs, batch_size=batch, engine="kernel")
        want = shuffled(make, *few, MSE, batch=batch, epochs=epochs)
        return float((got - want).abs().max() / want.abs().max())

    def ours(**options: Any) -> None:
        trained(make, (x, y), MSE, epochs=EPOCHS, batch_size=batch, engine="kernel", **options)

    peers = [
        Peer("plain loop, DataLoader", lambda: mini_batches(make, x, y, MSE, batch=batch, steps=steps), part),
        Peer("tuned loop, slices", lambda: sliced(make, x, y, MSE, batch=batch, steps=steps, order=order), part),
        Peer("sightline.train, with the loss at rest", ours),
    ]
    title = f"{n:,} × {p} float32, batches of {batch:,}, {name}, {EPOCHS} epochs"
    return Row(
        number, title, Peer("sightline.train, as much as the loops do", lambda: ours(measure=None)), peers, deviation,
        1e-6, **row,
    )  # fmt: skip


def small_batches() -> Row:
    """100,000 × 10."""
    return mini_batch_row(
        "5", 100_000, 10, 32, lambda p: torch.optim.SGD(p, lr=0.01), "SGD",
        targets={"plain loop, DataLoader": 700.0, "tuned loop, slices": 350.0},
    )  # fmt: skip


def large(batch: int) -> Row:
    """1,000,000 × 100, and scikit-learn's own loop on the same rows."""
    row = mini_batch_row(
        "6", 1_000_000, 100, batch, lambda p: torch.optim.Adam(p, lr=0.01), "Adam",
        targets={
            "plain loop, DataLoader": 200.0, "tuned loop, slices": 120.0 if batch == 32 else 25.0, "SGDRegressor": 12.0,
        },
    )  # fmt: skip
    X, t = (a.numpy() for a in table(1_000_000, 100))
    part, target = X[:50_000], t[:50_000, 0]
    one = SGDRegressor(max_iter=1, tol=None)
    peers = [*row.peers, Peer("SGDRegressor", lambda: one.fit(part, target), 20.0 * EPOCHS)]
    return Row(row.number, row.title, row.ours, peers, row.deviation, row.tolerance, row.targets, row.note)


ROWS: dict[str, Callable[[], Row]] = {
    "1": start_up,
    "2": diabetes,
    "3": million,
    "3-far": lambda: million(1e4),
    "4": exact,
    "5": small_batches,
    "6-32": lambda: large(32),
    "6-1024": lambda: large(1024),
}
