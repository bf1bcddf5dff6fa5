"""How times grow: with epochs, rows, columns, batch size and rates, each a line on logarithmic axes with its slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

__all__ = ["PLOTS", "Plot", "slope"]

REPEATS = 2
OURS, PLAIN = "sightline", "plain PyTorch loop"
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """Seconds by name of the line; `law` says which slopes are to be expected; `ends` fits both ends apart."""

    name: str
    title: str
    axis: str
    law: str
    lines: dict[str, Points] = field(default_factory=dict)
    ends: int = 0

    def slopes(self) -> dict[str, str]:
        """The fitted slope of each line; where both ends are fitted, the first and the last so many points."""
        return {name: _slopes(points, self.ends) for name, points in self.lines.items()}

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def _slopes(points: Points, ends: int) -> str:
    if not ends or len(points) <= ends:
        return f"slope {slope(points):.2f}".replace("-0.00", "0.00")
    return f"slope {slope(points[:ends]):.2f}, then {slope(points[-ends:]):.2f}"


def slope(points: Sequence[Sequence[float]]) -> float:
    """Of log seconds over log size, by least squares."""
    x, y = np.log(np.array([tuple(p) for p in points])).T
    return float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))


def _fastest(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of some repeats, after one that does not count."""
    work()
    times = []
    for _ in range(REPEATS):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return min(times)


def _over(sizes: Sequence[int], work: Callable[[int], Any], parts: Callable[[int], float] | None = None) -> Points:
    """A line; where only a part of the work is done, its seconds times `parts`."""
    return [(float(k), _fastest(lambda k=k: work(k)) * (parts(k) if parts else 1.0)) for k in sizes]  # type: ignore[misc]


def epochs() -> Plot:
    """Full-batch training from moments hardly depends on the number of epochs."""
    import torch

    from benchmarks.suite.data import tensors
    from benchmarks.suite.loops import full_batch, linear, trained

    data, mse = tensors(500_000, 20), torch.nn.MSELoss()
    make = linear(20, lambda p: torch.optim.SGD(p, lr=0.1))
    lines = {
        OURS: _over((10, 30, 100, 300, 1000), lambda k: trained(make, data, mse, epochs=k)),
        PLAIN: _over((1, 3, 10, 30), lambda k: full_batch(make, *data, mse, epochs=k)),
    }
    return Plot("epochs", "500,000 × 20, full batch", "epochs", "flat from moments, 1 for the loop", lines)


def rows() -> Plot:
    """Time of an exact fit from moments is proportional to the rows; fewer rows are solved to more digits."""
    import sightline
    from benchmarks.suite.data import table

    X, y = table(1_000_000, 20, "float64")

    def scikit_learn(n: int) -> None:
        from sklearn.linear_model import LinearRegression

        LinearRegression().fit(X[:n], y[:n])

    sizes = (62_500, 125_000, 250_000, 500_000, 1_000_000)
    lines = {
        OURS: _over(sizes, lambda n: sightline.least_squares(X[:n], y[:n])),
        "scikit-learn": _over(sizes, scikit_learn),
    }
    return Plot("rows", "exact least squares, 20 columns", "rows", "1", lines)


def columns() -> Plot:
    """Reading bounds an exact fit of few columns, products one of many."""
    import sightline
    from benchmarks.suite.data import table

    X, y = table(300_000, 256, "float64")
    kept = {p: np.ascontiguousarray(X[:, :p]) for p in (8, 16, 32, 64, 128, 256)}

    def scikit_learn(p: int) -> None:
        from sklearn.linear_model import LinearRegression

        LinearRegression().fit(kept[p], y)

    lines = {
        OURS: _over(tuple(kept), lambda p: sightline.least_squares(kept[p], y)),
        "scikit-learn": _over(tuple(kept)[:5], scikit_learn),
    }
    return Plot("columns", "exact least squares, 300,000 rows", "columns", "1, then 2", lines, ends=3)


def batches() -> Plot:
    """An epoch of mini-batches costs its rows, where the loop pays for each step."""
    import torch

    from benchmarks.suite.data import tensors
    from benchmarks.suite.loops import linear, sliced, trained
    from sightline.data.batches import epoch_order

    n, mse = 200_000, torch.nn.MSELoss()
    data, order = tensors(n, 20), epoch_order(n, seed=0, epoch=1)
    make = linear(20, lambda p: torch.optim.SGD(p, lr=0.001))
    steps = 50

    def few(b: int) -> int:
        return max(5, b // 16)  # so many epochs that machine code is taken

    def ours(b: int) -> None:
        trained(make, data, mse, epochs=few(b), batch_size=b, engine="kernel", measure=None)

    def loop(b: int) -> None:
        sliced(make, *data, mse, batch=b, order=order[: steps * b])

    sizes = (1, 4, 16, 64, 256, 1024)
    lines = {OURS: _over(sizes, ours, lambda b: 1.0 / few(b)), PLAIN: _over(sizes, loop, lambda b: n / b / steps)}
    return Plot("batches", "200,000 × 20, one epoch of SGD", "batch size", "near 0, -1 for the loop", lines)


def rates() -> Plot:
    """Many learning rates at once cost less than one after the other."""
    import sightline
    from benchmarks.suite.data import table

    X, y = table(5_000, 10, "float64")
    frame = {**{f"x{j}": X[:, j] for j in range(X.shape[1])}, "y": y}
    options: dict[str, Any] = {"target": "y", "output": False, "epochs": 10, "batch_size": 100}

    def one_by_one(k: int) -> None:
        for rate in np.geomspace(1e-4, 1e-2, k):
            sightline.fit(frame, lr=float(rate), **options)

    sizes = (2, 4, 8, 16, 32)
    lines = {
        "sightline.sweep": _over(
            sizes, lambda k: sightline.sweep(frame, lr=np.geomspace(1e-4, 1e-2, k).tolist(), **options)
        ),
        "sightline.fit, one by one": _over(sizes[:2], one_by_one),
    }
    return Plot("rates", "5,000 × 10, batches of 100, 10 epochs", "learning rates", "below 1, 1 one by one", lines)


PLOTS: dict[str, Callable[[], Plot]] = {p.__name__: p for p in (epochs, rows, columns, batches, rates)}
