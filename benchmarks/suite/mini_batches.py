"""Rows 5 and 6: shuffled mini-batches of a linear model, one optimizer step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from benchmarks.suite.data import tensors
from benchmarks.suite.frameworks import keras, lightning, scikit_learn, skorch, vowpal_wabbit
from benchmarks.suite.loops import deviation, in_float64, linear, mini_batches, shuffled, sliced, trained
from benchmarks.suite.measure import Peer, Row
from sightline.data.batches import epoch_order

__all__ = ["large", "small"]

MSE = nn.MSELoss()
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}
PLAIN, TUNED, SKLEARN = "plain loop, DataLoader", "tuned loop, slices", "SGDRegressor"


def small() -> Row:
    """100,000 × 10 by SGD, and the frameworks that write the loop for one."""
    n, p, batch, epochs = 100_000, 10, 32, 50
    x, y = tensors(n, p)
    make = linear(p, OPTIMIZERS["SGD"])
    peers = [*loops(make, (x, y), batch, epochs), *(f(x, y, batch, epochs) for f in (lightning, skorch, keras))]
    return Row(
        "5", f"{n:,} × {p} float32, batches of {batch}, SGD, {epochs} epochs", ours(make, (x, y), batch, epochs), peers,
        lambda: agreement(make, (x, y), batch), 1e-6, {PLAIN: 700.0, TUNED: 350.0},
        short="1e5 × 10, batch 32", **needed(n, p, batch, epochs), limit="step chain",
    )  # fmt: skip


def large(batch: int, name: str) -> Row:
    """1,000,000 × 100, and the loops over single rows that scikit-learn and Vowpal Wabbit have."""
    n, p, epochs = 1_000_000, 100, 5
    x, y = tensors(n, p)
    make = linear(p, OPTIMIZERS[name])
    others = [scikit_learn(x, y, epochs), vowpal_wabbit(x, y, epochs)] if name == "SGD" else []
    return Row(
        f"6-{batch}", f"{n:,} × {p} float32, batches of {batch:,}, {name}, {epochs} epochs",
        ours(make, (x, y), batch, epochs), [*loops(make, (x, y), batch, epochs), *others],
        lambda: agreement(make, (x, y), batch), 1e-6,
        {PLAIN: 200.0, TUNED: 120.0 if batch == 32 else 25.0, **({SKLEARN: 12.0} if name == "SGD" else {})},
        "SGDRegressor and Vowpal Wabbit take a step for each row: the same passes, other steps." if others else "",
        short=f"1e6 × 100, {name}", **needed(n, p, batch, epochs),
    )  # fmt: skip


def needed(n: int, p: int, batch: int, epochs: int) -> dict[str, Any]:
    """What the work is at least: each row read once an epoch, a product for its prediction and one for its gradient."""
    return {"bytes": 4.0 * n * (p + 1) * epochs, "flops": 4.0 * n * p * epochs, "steps": epochs * -(-n // batch)}


def ours(make: Any, data: Any, batch: int, epochs: int) -> Peer:
    """By machine code, with the records that the loops have."""
    options = {"epochs": epochs, "batch_size": batch, "engine": "kernel"}
    return Peer("sightline.train, as much as the loops do", lambda: trained(make, data, MSE, measure=None, **options))


def loops(make: Any, data: Any, batch: int, epochs: int) -> Sequence[Peer]:
    """Some steps by plain PyTorch, whose permutation is given; and sightline with the loss at rest of every epoch."""
    steps = min(300 if batch < 100 else 60, len(data[0]) // batch)
    order = epoch_order(len(data[0]), seed=0, epoch=1)[: steps * batch]
    part = epochs * -(-len(data[0]) // batch) / steps
    options = {"epochs": epochs, "batch_size": batch, "engine": "kernel"}
    return [
        Peer(PLAIN, lambda: mini_batches(make, *data, MSE, batch=batch, order=order), part),
        Peer(TUNED, lambda: sliced(make, *data, MSE, batch=batch, order=order), part),
        Peer("sightline.train, loss at rest too", lambda: trained(make, data, MSE, **options), role="yardstick"),
    ]


def agreement(make: Any, data: Any, batch: int) -> tuple[float, float]:
    """Of sightline and of the plain loop in float32, over 200 epochs of 50 steps: mean losses and last parameters."""
    few, epochs = tuple(t[: batch * 50] for t in data), 200
    want = shuffled(in_float64(make), *(t.double() for t in few), MSE, batch=batch, epochs=epochs)
    records, end = trained(make, few, MSE, epochs=epochs, batch_size=batch, engine="kernel")
    plain = shuffled(make, *few, MSE, batch=batch, epochs=epochs)
    return deviation(([r.running_loss for r in records[1:]], end), want), deviation(plain, want)
