"""Row 12: from a file to a model that was verified."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.data import made, scaled, table
from benchmarks.suite.exact import solved
from benchmarks.suite.measure import FASTEST, Peer, Row

__all__ = ["from_cache", "from_file"]

ROWS, COLUMNS, EPOCHS = 12_500_000, 20, 100
NAMES = [f"x{j}" for j in range(COLUMNS)]


def from_file(kind: str) -> Row:
    """2 GB as CSV, or the same rows as Parquet; fewer by the scale."""
    n = scaled(ROWS)
    path = written(kind, n)
    peers = [
        Peer("polars + scikit-learn", lambda: polars_sklearn(path), needs=["polars", "sklearn"], check=_off(n)),
        Peer("pandas + statsmodels", lambda: pandas_statsmodels(path), needs=["pandas", "statsmodels"], check=_off(n)),
        Peer(f"pandas + plain loop, {EPOCHS} epochs", lambda: pandas_loop(path), needs=["pandas"]),
    ]
    return Row(
        "12-csv" if kind == "csv" else "12-pq",
        f"{n:,} × {COLUMNS} from {path.stat().st_size / 1e6:,.0f} MB of {kind}, least squares",
        Peer("sightline.solve", lambda: ours(path), check=_off(n)), peers, lambda: deviation(kind), 1e-9,
        {FASTEST: 2.0 if kind == "csv" else 4.0}, "The deviation is that of a file of 20,000 rows.",
        short=f"{path.stat().st_size / 1e6:,.0f} MB {kind}", bytes=float(path.stat().st_size),
        flops=1.0 * n * COLUMNS * (COLUMNS + 3), dtype="float64", reference="a QR in float64", memory=500e6,
    )  # fmt: skip


def from_cache() -> Row:
    """The same rows as CSV a second time, from the numbers that the first time has kept."""
    n = scaled(ROWS)
    path = written("csv", n)
    size = 8.0 * n * (COLUMNS + 1)
    return Row(
        "12-again", f"{n:,} × {COLUMNS} once more, from the {size / 1e6:,.0f} MB of numbers that the cache keeps",
        Peer("sightline.solve", lambda: again(path), ready=lambda: again(path), check=_off(n)),
        [
            Peer("polars + scikit-learn", lambda: polars_sklearn(path), needs=["polars", "sklearn"], check=_off(n)),
            Peer("sightline.solve, first", lambda: ours(path), check=_off(n), role="yardstick"),
        ],
        lambda: _apart(again(written("csv", 20_000)), solved(*numbers(20_000))[0]), 1e-9,
        {"polars + scikit-learn": 20.0}, "The deviation is that of a file of 20,000 rows.",
        short=f"{size / 1e6:,.0f} MB numbers", bytes=size, flops=1.0 * n * COLUMNS * (COLUMNS + 3), dtype="float64",
        reference="a QR in float64", memory=500e6,
    )  # fmt: skip


@made
def numbers(n: int) -> tuple[Any, Any]:
    """X and y of four decimals."""
    X, y = table(n, COLUMNS, "float64")
    return np.round(X, 4), np.round(y, 4)


@made
def written(kind: str, n: int) -> Path:
    """The file, made once on a machine."""
    path = Path(tempfile.gettempdir(), "sightline-benchmarks", f"rows-{n}.{kind}")
    if path.exists():
        return path
    import duckdb

    path.parent.mkdir(exist_ok=True)
    X, y = numbers(n)
    columns = {**dict(zip(NAMES, X.T.copy(), strict=True)), "y": y}  # noqa: F841  duckdb finds it by its name
    part = path.with_suffix(".part")
    duckdb.sql(f"COPY (SELECT * FROM columns) TO '{part}' (FORMAT {kind})")
    part.rename(path)
    return path


def ours(path: Path, **settings: Any) -> Any:
    """Slopes and intercept of solve, piece by piece where the file is larger than the memory that it is given."""
    import sightline

    found = [c.estimate for c in sightline.solve(str(path), target="y", memory="100MB", **settings).coefficients]
    return np.array([*found[1:], found[0]])


def again(path: Path) -> Any:
    """The same, with the numbers beside the file."""
    return ours(path, cache=str(path.parent))


def polars_sklearn(path: Path) -> Any:
    """Read whole, then LinearRegression."""
    import polars as pl
    from sklearn.linear_model import LinearRegression

    rows = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    fitted = LinearRegression().fit(rows.select(NAMES).to_numpy(), rows["y"].to_numpy())
    return np.append(fitted.coef_, fitted.intercept_)


def pandas_statsmodels(path: Path) -> Any:
    """Read whole, then OLS with its errors."""
    import statsmodels.api as sm

    rows = _pandas(path)
    fitted = sm.OLS(rows["y"], sm.add_constant(rows[NAMES])).fit()
    assert len(fitted.bse) == COLUMNS + 1
    return np.append(fitted.params[1:], fitted.params.iloc[0])


def pandas_loop(path: Path) -> None:
    """Read whole, then full-batch epochs by plain PyTorch."""
    import torch

    from benchmarks.suite.loops import full_batch, linear

    rows = _pandas(path)
    x, y = (torch.tensor(rows[names].to_numpy(np.float32)) for names in (NAMES, ["y"]))
    full_batch(linear(COLUMNS, lambda p: torch.optim.SGD(p, lr=0.1)), x, y, torch.nn.MSELoss(), epochs=EPOCHS)


def _pandas(path: Path) -> Any:
    import pandas as pd

    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def _off(n: int) -> Callable[[Any], float]:
    return lambda theta: _apart(theta, _reference(n))


@cache
def _reference(n: int) -> Any:
    """Slopes and intercept by the normal equations, without copies: they lose nothing where columns are independent."""
    X, y = numbers(n)
    sums = X.sum(axis=0)
    products = np.block([[X.T @ X, sums[:, None]], [sums[None, :], np.array([[float(n)]])]])
    return np.linalg.solve(products, np.append(X.T @ y, y.sum()))


def deviation(kind: str) -> float:
    """Of the coefficients from a small file."""
    return _apart(ours(written(kind, 20_000)), solved(*numbers(20_000))[0])


def _apart(found: Any, reference: Any) -> float:
    return float(np.max(np.abs(found - reference)) / np.max(np.abs(reference)))
