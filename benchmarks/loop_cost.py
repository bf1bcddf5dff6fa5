"""The cost of `sightline.train` over the loop written by hand, on the same batches, with the same bits at the end.

Run with `python benchmarks/loop_cost.py`. Each round trains by both, in changing order; before anything is timed, the
parameters after an epoch are compared. Prints the median time of a step by hand, what train adds to it, and the ratio.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

import sightline

ROUNDS = 21


@dataclass(frozen=True)
class Case:
    """What is trained: a model, rows, batches of `size`, `epochs` in each round."""

    name: str
    make: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    loss: nn.Module
    size: int
    epochs: int
    stated: str


def convolutional() -> nn.Module:
    """For images of 28 × 28."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10),
    )  # fmt: skip


def cases() -> list[Case]:
    """The two that are stated, and one between."""
    g = torch.Generator().manual_seed(0)
    images, classes = torch.randn(2048, 1, 28, 28, generator=g), torch.randint(10, (2048,), generator=g)
    x, y = torch.randn(2048, 8, generator=g), torch.randn(2048, 1, generator=g)
    tiny, mlp = (lambda: nn.Linear(8, 1)), (lambda: nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1)))
    return [
        Case("CNN, batches of 64", convolutional, images, classes, nn.CrossEntropyLoss(), 64, 1, "under 3 %"),
        Case("MLP, batches of 32", mlp, x, y, nn.MSELoss(), 32, 4, ""),
        Case("nn.Linear(8, 1), batches of 32", tiny, x, y, nn.MSELoss(), 32, 20, "under 10 µs a step"),
    ]


def by_hand(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """The loop as it is written: order, slices, forward, loss, zero_grad, backward, step, and the mean loss."""
    rows, mean = len(case.x), 0.0
    for epoch in range(1, case.epochs + 1):
        model.train()
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(epoch))
        total = 0.0
        for start in range(0, rows, case.size):
            batch = order[start : start + case.size]
            x, y = case.x[batch], case.y[batch]
            loss = case.loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        mean = total / rows
    return mean


def by_train(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """The same by sightline."""
    *_, last = sightline.train(
        model, (case.x, case.y), loss=case.loss, optimizer=optimizer, epochs=case.epochs, batch_size=case.size
    )
    assert last.running_loss is not None
    return last.running_loss


Loop = Callable[[Case, nn.Module, torch.optim.Optimizer], float]


def trained(case: Case, loop: Loop) -> tuple[float, nn.Module]:
    """Seconds, and the model afterwards."""
    torch.manual_seed(0)
    model = case.make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    began = perf_counter()
    loop(case, model, optimizer)
    return perf_counter() - began, model


def main() -> int:
    """One line for each case."""
    torch.set_num_threads(1)
    disagree = 0
    for case in cases():
        (_, ours), (_, theirs) = trained(case, by_train), trained(case, by_hand)
        if not all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)):
            print(f"{case.name:<32} DISAGREE")
            disagree = 1
            continue
        steps = case.epochs * -(-len(case.x) // case.size)
        hand, added, ratios = [], [], []
        for number in range(ROUNDS):
            loops: list[Loop] = [by_hand, by_train] if number % 2 else [by_train, by_hand]
            times = {loop: trained(case, loop)[0] / steps for loop in loops}
            hand.append(times[by_hand])
            added.append(times[by_train] - times[by_hand])
            ratios.append(times[by_train] / times[by_hand])
        print(
            f"{case.name:<32} {1e6 * median(hand):8.1f} µs a step by hand   {1e6 * median(added):+6.1f} µs by train   "
            f"ratio {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})  {case.stated}"
        )
    return disagree


if __name__ == "__main__":
    sys.exit(main())
