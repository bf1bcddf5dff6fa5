"""Rows 2 and 3: full-batch training on squared error, every epoch recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.suite.data import tensors
from benchmarks.suite.loops import compiled, deviation, full_batch, in_float64, linear, trained, values
from benchmarks.suite.measure import Peer, Row

__all__ = ["diabetes", "jump", "million"]

MSE = nn.MSELoss()


def diabetes() -> Row:
    """442 × 10 in float64 with momentum."""
    make, data = _diabetes()
    return Row(
        "2", "442 × 10 float64, momentum, 10,000 full-batch epochs", _ours(make, data, 10_000),
        [Peer("plain loop", lambda: full_batch(make, *data, MSE, epochs=1000), 10.0)],
        lambda: agreement(make, data, epochs=10_000)[0], 1e-9, {"plain loop": 3.0}, short="442 × 10, momentum",
        limit="torch's step", dtype="float64", steps=10_000,
    )  # fmt: skip


def _diabetes() -> tuple[Any, tuple[Tensor, Tensor]]:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    data = torch.tensor((X - X.mean(0)) / X.std(0)), torch.tensor(y)[:, None]
    return linear(10, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), dtype=torch.float64), data


def jump() -> Row:
    """The same, to its end at once."""
    row = diabetes()
    make, data = _diabetes()

    def ours() -> Tensor:
        import sightline

        model, optimizer = make()
        sightline.jump(model, data, loss=MSE, optimizer=optimizer, epochs=10_000)
        return values(model)

    def off() -> float:
        _, states = full_batch(in_float64(make), *data, MSE, epochs=10_000)
        return float((ours() - states[-1]).abs().max() / states[-1].abs().max())

    return replace(
        row, number="2-jump", title="442 × 10 float64, momentum, the parameters after 10,000 full-batch epochs",
        ours=Peer("sightline.jump", ours), deviation=off, targets={"plain loop": 1000.0}, short="442 × 10, at once",
        limit="its checks", steps=0,
    )  # fmt: skip


def million(mean: float = 0.0) -> Row:
    """1,000,000 × 100 in float32 with Adam."""
    n, p, epochs = 1_000_000, 100, 1000
    data = tensors(n, p, "float32", mean)
    make = linear(p, lambda p: torch.optim.Adam(p, lr=0.01))
    few = data[0][:20_000], data[1][:20_000]

    @cache
    def machine_code() -> Callable[[int], list[float]]:
        return compiled(make, *data, MSE)

    far = f", a column with mean {mean:g} standard deviations" if mean else ""
    return Row(
        "3-far" if mean else "3", f"1,000,000 × 100 float32, Adam, 1,000 full-batch epochs{far}",
        _ours(make, data, epochs),
        [
            Peer("plain loop", lambda: full_batch(make, *data, MSE, epochs=4), epochs / 4),
            Peer("torch.compile", lambda: machine_code()(4), epochs / 4),
        ],
        lambda: agreement(make, few, epochs=epochs), 1e-6, {"plain loop": 350.0},
        "The deviation is that of the first 20,000 rows, over all 1,000 epochs.",
        short="1e6 × 100, mean 1e4" if mean else "1e6 × 100 Adam", bytes=4.0 * n * (p + 1), flops=1.0 * n * p * (p + 3),
        dtype="float64", steps=epochs, within=1e-6,
    )  # fmt: skip


def _ours(make: Any, data: tuple[Tensor, Tensor], epochs: int) -> Peer:
    return Peer("sightline.train, every record", lambda: trained(make, data, MSE, epochs=epochs))


def agreement(make: Any, data: tuple[Tensor, Tensor], *, epochs: int) -> tuple[float, float]:
    """Of sightline, and of the plain loop in its own dtype: the losses of all epochs and the last parameters."""
    want, states = full_batch(in_float64(make), *(t.double() for t in data), MSE, epochs=epochs)
    plain, ends = full_batch(make, *data, MSE, epochs=epochs)
    records, end = trained(make, data, MSE, epochs=epochs)
    exact = want, states[-1]
    return deviation(([r.running_loss for r in records[1:]], end), exact), deviation((plain, ends[-1]), exact)
