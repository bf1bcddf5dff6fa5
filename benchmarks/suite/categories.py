"""Row 11: many rows with categorical columns, whose one-hot columns are far more numbers than their codes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from benchmarks.suite.data import made, scaled
from benchmarks.suite.measure import Peer, Row

__all__ = ["encoded"]

LEVELS = (50, 60, 80, 100, 150, 200, 300, 500, 700, 1000)
NUMERIC, EPOCHS, PART = 5, 50, 5
LOOP = "one-hot loop, 50 epochs"
LARGEST = 2e9  # bytes of one-hot columns that are tried


def encoded() -> Row:
    """5,000,000 rows, fewer by the scale and the levels fewer by its square root: least squares of all columns."""
    n = scaled(5_000_000)
    levels = [max(scaled(k, 0.5), 3) for k in LEVELS]
    p = 1 + sum(k - 1 for k in levels) + NUMERIC
    codes = float(n * sum(1 if k <= 256 else 2 for k in levels))
    return Row(
        "11",
        f"{n:,} rows, 10 categorical columns ({levels[0]} to {levels[-1]} levels), {NUMERIC} numeric, least squares",
        Peer("sightline.solve", lambda: ours(n), ready=lambda: frame(n)),
        [
            Peer("glum", lambda: glum(n), needs=["glum", "pandas"], ready=lambda: frame(n), check=_off),
            Peer(LOOP, lambda: one_hot_loop(n, p), EPOCHS / PART, ["pandas"], ready=lambda: frame(n)),
        ],
        lambda: deviation(n), 1e-9, {"glum": 5.0, LOOP: 5.0},
        f"{p:,} coefficients; the codes are {codes / 1e6:.3g} MB. The deviation is that of 20,000 rows. "
        "The loop has its one-hot columns already.",
        short="categorical columns", bytes=codes + 8.0 * n * (NUMERIC + 1), flops=n * 15.0**2, dtype="float64",
        memory=2.0 * codes, reference="a QR in float64",
    )  # fmt: skip


@made
def frame(n: int) -> Any:
    """A table of pandas."""
    import pandas as pd

    rng = np.random.default_rng(0)
    levels = [max(scaled(k, 0.5), 3) for k in LEVELS]
    columns: dict[str, Any] = {}
    y = rng.standard_normal(n)
    for j, k in enumerate(levels):
        codes = rng.integers(k, size=n)
        y += rng.standard_normal(k)[codes]
        columns[f"c{j}"] = pd.Categorical.from_codes(codes, [f"l{i:04d}" for i in range(k)])
    for j in range(NUMERIC):
        columns[f"x{j}"] = rng.standard_normal(n)
        y += columns[f"x{j}"] * rng.standard_normal()
    return pd.DataFrame({**columns, "y": y})


def ours(n: int) -> Any:
    """All that solve finds."""
    import sightline

    return sightline.solve(frame(n), target="y")


def glum(n: int) -> Any:
    """On the categories as they are; slopes and intercept."""
    from glum import GeneralizedLinearRegressor

    rows = frame(n)
    model = GeneralizedLinearRegressor(family="normal", alpha=0, drop_first=True)
    model.fit(rows.drop(columns="y"), rows["y"])
    return n, np.append(model.coef_, model.intercept_)


def one_hot_loop(n: int, p: int) -> None:
    """pandas.get_dummies, and full-batch epochs by plain PyTorch."""
    import torch

    from benchmarks.suite.loops import full_batch, linear

    _fits(n, p, 4)
    columns, y = one_hot(n)
    make = linear(columns.shape[1], lambda p: torch.optim.SGD(p, lr=0.05))
    full_batch(make, torch.from_numpy(columns), torch.from_numpy(y), torch.nn.MSELoss(), epochs=PART)


@cache
def one_hot(n: int) -> tuple[Any, Any]:
    """All columns, and the target, in float32."""
    import pandas as pd

    rows = frame(n)
    columns = pd.get_dummies(rows.drop(columns="y"), drop_first=True, dtype=np.float32)
    return columns.to_numpy(np.float32), rows["y"].to_numpy(np.float32)[:, None]


def _fits(n: int, p: int, width: int) -> None:
    if n * p * width > LARGEST:
        raise MemoryError(f"{n * p * width / 1e9:.0f} GB of one-hot columns")


def _off(found: tuple[int, Any]) -> float:
    n, theta = found
    if n * len(theta) * 8 > LARGEST:
        return float("nan")
    return _apart(theta, _by_qr(frame(n)))


def deviation(n: int) -> float:
    """Of the coefficients of some rows."""
    import sightline

    few = frame(n).head(20_000)
    found = [c.estimate for c in sightline.solve(few, target="y").coefficients]
    return _apart(np.array([*found[1:], found[0]]), _by_qr(few))


def _by_qr(rows: Any) -> Any:
    """Slopes, and the intercept at the end."""
    import pandas as pd

    from benchmarks.suite.exact import solved

    columns = pd.get_dummies(rows.drop(columns="y"), drop_first=True, dtype=float)
    order = [name for c in rows.columns for name in columns.columns if name == c or name.startswith(f"{c}_")]
    return solved(columns[order].to_numpy(), rows["y"].to_numpy())[0]


def _apart(found: Any, reference: Any) -> float:
    return float(np.max(np.abs(found - reference)) / np.max(np.abs(reference)))
