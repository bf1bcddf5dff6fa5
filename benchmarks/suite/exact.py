"""Row 4: least squares with standard errors, against the libraries that people take for it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from benchmarks.suite.data import table
from benchmarks.suite.measure import FASTEST, Peer, Row

__all__ = ["least_squares"]

ROWS, COLUMNS, PART = 1_000_000, 50, 100_000


def least_squares() -> Row:
    """1,000,000 × 50 in float64."""
    X, y = table(ROWS, COLUMNS, "float64")
    n, p = X.shape
    peers = [*libraries(X, y), Peer("X'X by numpy", lambda: X.T @ X, role="yardstick")]
    return Row(
        "4", f"{n:,} × {p} float64, least squares with standard errors",
        Peer("sightline.least_squares", lambda: _ours(X, y), check=lambda found: _apart(found, reference())), peers,
        deviation, 1e-9, {FASTEST: 6.0, "X'X by numpy": 1 / 1.3},
        "The deviation is that of coefficients and standard errors of 100,000 rows.",
        short="1e6 × 50, exact", bytes=8.0 * n * (p + 1) * 2, flops=1.0 * n * p * (p + 7), dtype="float64",
        reference="a QR in float64",
    )  # fmt: skip


def libraries(X: Any, y: Any) -> list[Peer]:
    """Each gives slopes and intercept of the same rows, those of statsmodels a part of them."""

    def scikit_learn() -> Any:
        from sklearn.linear_model import LinearRegression

        fitted = LinearRegression().fit(X, y)
        return np.append(fitted.coef_, fitted.intercept_)

    def statsmodels() -> None:
        import statsmodels.api as sm

        sm.OLS(y[:PART], ones()[:PART]).fit().bse  # noqa: B018

    @cache
    def ones() -> Any:
        return np.column_stack([X, np.ones(len(X))])

    def off(found: Any) -> float:
        return _apart(found, reference())

    return [
        Peer("glum, no errors", lambda: _glum(X, y), needs=["glum"], check=off),
        Peer("glum with errors", lambda: _glum(X, y, errors=True), needs=["glum"], check=off),
        _polars_ols(X, y, "polars-ols, no errors", "coefficients"),
        _polars_ols(X, y, "polars-ols with errors", "statistics"),
        Peer("scikit-learn, no errors", scikit_learn, needs=["sklearn"], check=off),
        Peer("statsmodels with errors", statsmodels, len(y) / PART, ["statsmodels"], ready=ones),
    ]


def _glum(X: Any, y: Any, *, errors: bool = False) -> Any:
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(family="normal", alpha=0).fit(X, y)
    if errors:
        model.std_errors(X=X, y=y)
    return np.append(model.coef_, model.intercept_)


def _polars_ols(X: Any, y: Any, name: str, mode: str) -> Peer:
    @cache
    def frame() -> Any:
        import polars as pl

        return pl.DataFrame({**{f"x{j}": X[:, j] for j in range(X.shape[1])}, "y": y})

    def run() -> Any:
        import polars as pl
        import polars_ols as pls  # noqa: F401

        features = [pl.col(f"x{j}") for j in range(X.shape[1])]
        solved = pl.col("y").least_squares.ols(*features, mode=mode, add_intercept=True)
        return frame().select(solved.alias("found"))

    def off(found: Any) -> float:
        values = found["found"][0]
        numbers = list(values.values()) if mode == "coefficients" else values["coefficients"]
        return _apart(np.array(numbers, dtype=np.float64), reference())

    return Peer(name, run, needs=["polars", "polars_ols"], ready=frame, check=off)


@cache
def reference() -> Any:
    """Slopes and intercept of all rows by QR of the columns and ones."""
    return solved(*table(ROWS, COLUMNS, "float64"))[0]


def solved(X: Any, y: Any) -> tuple[Any, Any]:
    """Coefficients and standard errors by QR, the intercept last."""
    A = np.column_stack([X, np.ones(len(X))])
    Q, R = np.linalg.qr(A)
    theta = np.linalg.solve(R, Q.T @ y)
    spread = np.sum((y - A @ theta) ** 2) / (len(y) - A.shape[1])
    return theta, np.sqrt(spread * np.sum(np.linalg.inv(R) ** 2, axis=1))


def deviation() -> float:
    """Of coefficients and standard errors of some rows."""
    import sightline

    X, y = (values[:PART] for values in table(ROWS, COLUMNS, "float64"))
    ours, (theta, errors) = sightline.least_squares(X, y), solved(X, y)
    return max(_apart(ours.coefficients[:, 0], theta), _apart(ours.std_errors[:, 0], errors))


def _ours(X: Any, y: Any) -> Any:
    import sightline

    return sightline.least_squares(X, y).coefficients[:, 0]


def _apart(found: Any, reference: Any) -> float:
    """The largest deviation, relative to the largest coefficient."""
    return float(np.max(np.abs(found - reference)) / np.max(np.abs(reference)))
