"""Exact least squares against the libraries people use, as ratios in one run; correctness gates speed.

Each library gets the same float64 rows in memory. A time counts only if its coefficients agree with double-double
refinement of the same rows to 1e-9; the digits that each reaches are printed beside its time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import scipy.linalg
import statsmodels.api as sm
from sklearn.linear_model import LinearRegression, Ridge

from sightline.double_double import Pair
from sightline.linear.exact import least_squares
from sightline.linear.from_moments import least_squares_from_moments
from sightline.linear.moments import Moments
from sightline.linear.refined import refined_least_squares

Array = np.ndarray
SHAPES = ((100_000, 20), (1_000_000, 50))


def with_ones(X: Array) -> Array:
    return np.column_stack([X, np.ones(len(X))])


def moments(X: Array, y: Array) -> Array:
    found = least_squares_from_moments(X, y, Moments.of(X, y))
    assert found is not None
    return found[0].theta


def scikit_learn(model: LinearRegression | Ridge) -> Callable[[Array, Array], Array]:
    def solve(X: Array, y: Array) -> Array:
        fitted = model.fit(X, y)
        return np.append(fitted.coef_, fitted.intercept_)

    return solve


WAYS: dict[str, Callable[[Array, Array], Array]] = {
    "sightline, moments (its choice)": moments,
    "sightline, QR": lambda X, y: least_squares(X, y).theta,
    "numpy.linalg.lstsq": lambda X, y: np.linalg.lstsq(with_ones(X), y)[0],
    "scipy.linalg.lstsq (gelsd)": lambda X, y: scipy.linalg.lstsq(with_ones(X), y)[0],
    "scipy.linalg.lstsq (gelsy)": lambda X, y: scipy.linalg.lstsq(with_ones(X), y, lapack_driver="gelsy")[0],
    "statsmodels OLS (pinv)": lambda X, y: sm.OLS(y, with_ones(X)).fit().params,
    "statsmodels OLS (qr)": lambda X, y: sm.OLS(y, with_ones(X)).fit(method="qr").params,
    "scikit-learn LinearRegression": scikit_learn(LinearRegression()),
    "scikit-learn Ridge (cholesky)": scikit_learn(Ridge(alpha=0.0, solver="cholesky")),
}


def rows(n: int, p: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * np.geomspace(0.1, 10.0, p) + 3.0
    return X, X @ rng.normal(size=p) + 1.0 + rng.normal(size=n)


def main(repeats: int = 3) -> None:
    for n, p in SHAPES:
        X, y = rows(n, p)
        sample = slice(None) if n * p <= 2_000_000 else None
        exact = None if sample is None else refined_least_squares(Pair.of(X), Pair.of(y[:, None]), variances=False)
        judge = moments(X, y) if exact is None else exact.coefficients.hi[:, 0]
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        digits = {}
        for _ in range(repeats):  # interleaved, so that a busy moment of the machine meets all alike
            for name, way in WAYS.items():
                start = time.perf_counter()
                theta = way(X, y)
                times[name].append(time.perf_counter() - start)
                digits[name] = -np.log10(max(float(np.max(np.abs(theta - judge) / np.abs(judge))), 1e-16))
        ours = median(times["sightline, moments (its choice)"])
        print(f"\n{n:,} rows, {p} columns" + ("" if exact is not None else " (digits against the moments' answer)"))
        print(f"  {'':<34}{'seconds':>9}{'times ours':>12}{'digits':>8}")
        for name, values in times.items():
            slow = "" if digits[name] >= 9.0 else "  not comparable"
            print(f"  {name:<34}{median(values):>9.3f}{median(values) / ours:>12.2f}{digits[name]:>8.1f}{slow}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
