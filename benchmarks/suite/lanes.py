"""Rows 9 and 10: softmax on mini-batches, and a sweep of learning rates beside one run."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import sightline
from benchmarks.suite.measure import Peer, Row
from sightline.data.batches import epoch_order
from sightline.engines.choose import choose_for_rates
from sightline.engines.feeds import TensorFeed
from sightline.engines.problem import Problem
from sightline.lr_sweep import run_all

__all__ = ["softmax", "sweep"]

Data = tuple[Tensor, Tensor]
CLASSES, EPOCHS, RATES, STEPS = 10, 5, 16, 300
ENTROPY, SQUARES = nn.CrossEntropyLoss(), nn.MSELoss()


@cache
def images() -> Data:
    """60,000 rows of 784 numbers, a fifth of them above 0, and ten classes."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(60_000, 784, generator=g) * (torch.rand(60_000, 784, generator=g) < 0.2)
    z = x @ torch.randn(784, CLASSES, generator=g) + torch.randn(60_000, CLASSES, generator=g)
    return x, z.argmax(1)


@cache
def line(columns: int) -> Data:
    """100,000 rows of a linear model with noise."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(100_000, columns, generator=g)
    return x, x @ torch.randn(columns, 1, generator=g) + torch.randn(100_000, 1, generator=g)


def made(columns: int, outputs: int, **options: Any) -> tuple[nn.Linear, torch.optim.SGD]:
    """A layer of zeros and its optimizer."""
    model = nn.Linear(columns, outputs)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model, torch.optim.SGD(model.parameters(), **options)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: nn.Module, x: Tensor, y: Tensor) -> None:
    """Of the loop of a tutorial."""
    value = loss(model(x), y)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    value.item()


def in_float64(model: nn.Module, optimizer: Any, loss: nn.Module, data: Data, *, batch: int, epochs: int) -> Tensor:
    """The weights after whole epochs of the plain loop in float64, in the orders that sightline has."""
    x, y = data[0].double(), data[1].double() if data[1].is_floating_point() else data[1]
    return looped(model.double(), optimizer, loss, (x, y), batch=batch, epochs=epochs)


def looped(model: nn.Module, optimizer: Any, loss: nn.Module, data: Data, *, batch: int, epochs: int) -> Tensor:
    """The same in the dtype of the rows."""
    x, y = data
    for epoch in range(1, epochs + 1):
        for rows in epoch_order(len(x), seed=0, epoch=epoch).split(batch):  # type: ignore[no-untyped-call]
            step(model, optimizer, loss, x[rows], y[rows])
    return next(model.parameters()).detach()


def deviation(got: Tensor, want: Tensor) -> float:
    """The largest, relative to the largest weight."""
    return float((got.double() - want).abs().max() / want.abs().max())


def softmax() -> Row:
    """Row 9: 60,000 × 784 to 10 classes, batches of 64, momentum."""
    data, batch = images(), 64
    part = EPOCHS * -(-len(data[0]) // batch) / STEPS

    def ours(rows: Data = data, *, epochs: int = EPOCHS) -> Tensor:
        model, optimizer = made(784, CLASSES, lr=0.01, momentum=0.9)
        call: dict[str, Any] = {"loss": ENTROPY, "optimizer": optimizer, "batch_size": batch, "engine": "kernel"}
        list(sightline.train(model, rows, epochs=epochs, measure=None, **call))
        return model.weight.detach()

    def agreement() -> tuple[float, float]:
        few, epochs = (data[0][:6400], data[1][:6400]), 40  # so many that sightline takes machine code for them
        want, plain = (
            loop(*made(784, CLASSES, lr=0.01, momentum=0.9), ENTROPY, few, batch=batch, epochs=epochs)
            for loop in (in_float64, looped)
        )
        return deviation(ours(few, epochs=epochs), want), deviation(plain, want)

    def loaded() -> None:
        model, optimizer = made(784, CLASSES, lr=0.01, momentum=0.9)
        batches = iter(DataLoader(TensorDataset(*data), batch_size=batch, shuffle=True))
        for _ in range(STEPS):
            step(model, optimizer, ENTROPY, *next(batches))

    def sliced() -> None:
        model, optimizer = made(784, CLASSES, lr=0.01, momentum=0.9)
        for rows in order.split(batch)[:STEPS]:
            step(model, optimizer, ENTROPY, data[0][rows], data[1][rows])

    order = epoch_order(len(data[0]), seed=0, epoch=1)
    return Row(
        "9", f"softmax, 60,000 × 784 to 10 classes, float32, batches of 64, momentum, {EPOCHS} epochs",
        Peer("sightline.train, as much as the loops do", ours),
        [Peer("plain loop, DataLoader", loaded, part), Peer("tuned loop, slices", sliced, part)], agreement, 1e-6,
        {"plain loop, DataLoader": 10.0, "tuned loop, slices": 5.0}, short="60,000 × 784, softmax",
        steps=EPOCHS * -(-len(data[0]) // batch), bytes=4.0 * data[0].numel() * EPOCHS,
        flops=4.0 * data[0].numel() * CLASSES * EPOCHS,
    )  # fmt: skip


def sweep(columns: int, target: float) -> Row:
    """Row 10: sixteen learning rates of a linear model, batches of 32, and one run of the kernel engine.

    Both measure the loss at rest after every epoch.
    """
    data, batch = line(columns), 32
    rates = torch.logspace(-4, -2.2, RATES).tolist()

    def swept(rows: Data = data, *, epochs: int = EPOCHS) -> Any:
        model, optimizer = made(columns, 1, lr=rates[0])
        problem = Problem(model, SQUARES, optimizer, TensorFeed(*rows, batch))
        engine, _ = choose_for_rates(problem, rates, engine="kernel", epochs=epochs)
        models = dict(engine.models)
        list(run_all(engine, epochs=epochs, rules=list))
        return models

    def single() -> None:
        model, optimizer = made(columns, 1, lr=rates[0])
        call: dict[str, Any] = {"loss": SQUARES, "optimizer": optimizer, "batch_size": batch, "engine": "kernel"}
        list(sightline.train(model, data, epochs=EPOCHS, **call))

    def agreement() -> tuple[float, float]:
        few, epochs = (data[0][:3200], data[1][:3200]), 100
        models = swept(few, epochs=epochs)

        def apart(i: int) -> tuple[float, float]:
            want, plain = (
                loop(*made(columns, 1, lr=rates[i]), SQUARES, few, batch=batch, epochs=epochs)
                for loop in (in_float64, looped)
            )
            return deviation(models[i].weight.detach(), want), deviation(plain, want)

        return max(apart(i) for i in (0, RATES - 1))

    return Row(
        f"10-{columns}",
        f"{RATES} learning rates at once, 100,000 × {columns} float32, batches of 32, SGD, {EPOCHS} epochs",
        Peer("sightline's sweep, every record", swept), [Peer("one run of sightline.train", single)], agreement, 1e-6,
        {"one run of sightline.train": 1.0 / target}, short=f"{RATES} rates, {columns} columns",
        steps=EPOCHS * -(-len(data[0]) // batch), bytes=8.0 * data[0].numel() * EPOCHS,
        flops=6.0 * data[0].numel() * RATES * EPOCHS,
    )  # fmt: skip
