"""How many digits are right: the four measures of the exact answer, each beside the tools that people use instead.

1. NIST's certified values from CSV with polynomial terms in the formula: how many agree in all 15 digits.
2. The same sets from float64 arrays: the fewest digits of coefficients and of standard errors.
3. Least squares of a given float64 matrix against exact rational arithmetic, for growing condition numbers.
4. Logistic regression against a Newton iteration in 50 digits.

It ends with exit code 1 if a measure misses what is asked of it.
"""

from __future__ import annotations

import csv
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.resources import files
from typing import Any

import numpy as np
import sklearn.datasets
import sklearn.linear_model
import statsmodels.api as sm
from mpmath import mp, mpf

import sightline
from sightline.data.sources import open_source
from sightline.double_double import Pair
from sightline.linear.rational import rational_least_squares
from sightline.validation import certified_lines, certified_sets

mp.dps = 60
CONDITIONS = (1e2, 1e5, 1e8, 1e11, 1e13, 1e14)


def value(number: Any) -> mpf:
    """A number with all digits that it has."""
    if isinstance(number, Fraction):
        return mpf(number.numerator) / mpf(number.denominator)
    pair = Pair.of(number)
    return mpf(float(pair.hi)) + mpf(float(pair.lo))


def digits(found: Any, exact: Any) -> float:
    """Significant digits in which two lists agree, 31 at most; of an exact zero the digits behind the point."""
    fewest = 31.0
    for a, b in zip(found, exact, strict=True):
        off = abs(value(a) - b) / (abs(b) or 1)
        fewest = min(fewest, 31.0 if not off else max(0.0, -float(mp.log10(off))))
    return fewest


def reached(run: sightline.Run, theta: list[mpf], errors: list[mpf]) -> list[float]:
    """Digits of coefficients and of standard errors."""
    pairs = (([c.exact for c in run.coefficients], theta), ([c.std_error for c in run.coefficients], errors))
    return [digits(found, exact) for found, exact in pairs]


def certified() -> bool:
    lines = list(certified_lines())
    met, printed = sum(line.certified or 0 for line in lines), sum(line.printed for line in lines)
    print(f"1. NIST certified values from CSV, digit for digit: {met} of {printed}   (asked: all)\n")
    return met == printed


def from_arrays() -> bool:
    print("2. the same from float64 arrays: fewest digits of coefficients / standard errors   (asked: 13.0)")
    print(f"   {'set':<10}{'sightline':>14}{'numpy lstsq':>14}{'statsmodels':>14}")
    worst = 31.0
    for name, formula, known in certified_sets():
        with (files("sightline") / "certified" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        data = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
        run = sightline.solve(data, formula)
        theta, errors = ([mpf(t) for t in known[key]] for key in ("coefficients", "standard_errors"))
        own = reached(run, theta, errors)
        Z = run.design.encoding.matrix(open_source(data).read(run.design.columns))
        Z = np.column_stack([np.ones(len(Z)), Z]) if run.design.intercept else Z
        numpy = digits(np.linalg.lstsq(Z, data["y"])[0], theta)
        fit = sm.OLS(data["y"], Z).fit()
        peer = f"{digits(fit.params, theta):.1f} / {digits(fit.bse, errors):.1f}"
        print(f"   {name:<10}{f'{own[0]:.1f} / {own[1]:.1f}':>14}{numpy:>14.1f}{peer:>14}")
        worst = min(worst, *own)
    print(f"   worst {worst:.1f}\n")
    return worst >= 13.0


def matrices() -> bool:
    print("3. a given float64 matrix, 40 x 6, against rational arithmetic   (asked: 15 up to 1e13, then what is told)")
    print(f"   {'condition':<10}{'coefficients':>14}{'std. errors':>14}{'told':>8}{'numpy lstsq':>14}")
    fine = True
    for condition in CONDITIONS:
        X, y = matrix(condition)
        run = sightline.solve({f"x{j}": X[:, j] for j in range(6)} | {"y": y}, "y ~ 0 + x0 + x1 + x2 + x3 + x4 + x5")
        exact = rational_least_squares(Pair.of(X).fractions(), Pair.of(y).fractions(), intercept=False)
        assert exact is not None
        theta = [value(c) for c in exact.coefficients]
        errors = [mp.sqrt(value(v * exact.rss / (len(y) - 6))) for v in exact.variances]
        own = reached(run, theta, errors)
        told = run.result["accuracy"]["digits"]
        print(
            f"   {condition:<10.0e}{own[0]:>14.1f}{own[1]:>14.1f}{told:>8.1f}"
            f"{digits(np.linalg.lstsq(X, y)[0], theta):>14.1f}"
        )
        fine &= min(own) >= (15.0 if condition <= 1e13 else told - 0.5)
    print()
    return fine


def matrix(condition: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns of length one with that condition number, and a target."""
    rng = np.random.default_rng(round(math.log10(condition)))
    U, V = np.linalg.qr(rng.normal(size=(40, 6)))[0], np.linalg.qr(rng.normal(size=(6, 6)))[0]
    X = (U * np.geomspace(1.0, 1.0 / condition, 6)) @ V.T
    return X / np.linalg.norm(X, axis=0), rng.normal(size=40)


def logistic() -> bool:
    print("4. logistic regression against 50 digits: coefficients / standard errors   (asked: 14 / 13)")
    print(f"   {'data':<16}{'sightline':>14}{'told':>8}{'statsmodels':>14}{'scikit-learn':>14}")
    fine = True
    for name, X, y in classes():
        names = [f"x{j}" for j in range(X.shape[1])]
        run = sightline.solve(dict(zip(names, X.T, strict=True)) | {"y": y}, "y ~ " + " + ".join(names), loss="bce")
        theta, errors = newton(X, y)
        own = reached(run, theta, errors)
        fit = sm.Logit(y, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
        other = sklearn.linear_model.LogisticRegression(C=np.inf).fit(X, y)
        learned = digits([other.intercept_[0], *other.coef_[0]], theta)
        peer = f"{digits(fit.params, theta):.1f} / {digits(fit.bse, errors):.1f}"
        told = run.result["accuracy"]["digits"]
        print(f"   {name:<16}{f'{own[0]:.1f} / {own[1]:.1f}':>14}{told:>8.1f}{peer:>14}{learned:>14.1f}")
        fine &= own[0] >= 14.0 and own[1] >= 13.0
    return fine


def classes() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    iris = sklearn.datasets.load_iris(return_X_y=True)
    yield "iris, 2 of 3", iris[0][50:], (iris[1][50:] == 2).astype(int)
    cancer = sklearn.datasets.load_breast_cancer(return_X_y=True)
    yield "breast cancer", cancer[0][:, [0, 1, 4, 8]], cancer[1]
    spector = sm.datasets.spector.load_pandas()
    yield "spector", spector.exog.to_numpy(), spector.endog.to_numpy().astype(int)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) * [1.0, 1e-3, 5.0] + [1e5, 0.0, -40.0]
    yield "far from zero", X, (rng.random(300) < 1 / (1 + np.exp(-(X[:, 0] - 1e5)))).astype(int)


def newton(X: np.ndarray, y: np.ndarray) -> tuple[list[mpf], list[mpf]]:
    """Maximum likelihood in 60 digits: coefficients, intercept first, and standard errors."""
    center, Z = X.mean(axis=0), mp.matrix(len(X), X.shape[1] + 1)
    for i, row in enumerate(X):
        Z[i, 0] = mpf(1)
        for j, x in enumerate(row):
            Z[i, j + 1] = mpf(float(x)) - mpf(float(center[j]))
    q, theta = Z.cols, mp.matrix(Z.cols, 1)
    for _ in range(60):
        p = [1 / (1 + mp.exp(-sum(Z[i, j] * theta[j] for j in range(q)))) for i in range(Z.rows)]
        H = mp.matrix(q, q)
        g = mp.matrix(q, 1)
        for i in range(Z.rows):
            w = p[i] * (1 - p[i])
            for j in range(q):
                g[j] += Z[i, j] * (int(y[i]) - p[i])
                for k in range(q):
                    H[j, k] += w * Z[i, j] * Z[i, k]
        step = mp.lu_solve(H, g)
        theta += step
        if mp.norm(step) < mpf(10) ** -50 * mp.norm(theta):
            break
    T = mp.eye(q)
    for j in range(1, q):
        T[0, j] = -mpf(float(center[j - 1]))
    theta, covariance = T * theta, T * mp.inverse(H) * T.T
    return list(theta), [mp.sqrt(covariance[j, j]) for j in range(q)]


def main() -> int:
    """Print the four measures."""
    warnings.simplefilter("ignore")  # of the peers, when they do not converge
    measures: list[Callable[[], bool]] = [certified, from_arrays, matrices, logistic]
    fine = [measure() for measure in measures]
    print("\nall four reached" if all(fine) else f"\nmissed: {[i + 1 for i, ok in enumerate(fine) if not ok]}")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
