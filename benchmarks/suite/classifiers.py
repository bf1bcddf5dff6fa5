"""Row 7: the maximum of the likelihood of a large table, against the libraries that people take for it."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from benchmarks.suite.data import made
from benchmarks.suite.measure import FASTEST, Peer, Row
from sightline.linear.classes.many import fit_of_many

__all__ = ["logistic"]

ROWS, COLUMNS = 1_000_000, 50
NEAR = 1e-8  # of the gradient where there are no slopes; a peer that does not come so near is a yardstick


@made
def table(kind: str) -> tuple[Any, Any]:
    """Rows of a logistic model: plain, with a column that nearly repeats another, or with few of class 1."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, COLUMNS))
    slopes, bias = 0.3 * rng.standard_normal(COLUMNS), -9.0 if kind == "unbalanced" else 0.5
    if kind == "ill-conditioned":
        X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    y = rng.random(ROWS) < 1.0 / (1.0 + np.exp(-(X @ slopes + bias)))
    return X, y.astype(np.int64)


def logistic(kind: str = "plain") -> Row:
    """1,000,000 × 50 in float64."""
    X, y = table(kind)
    number = {"plain": "7", "ill-conditioned": "7-ill", "unbalanced": "7-rare"}[kind]

    def ours() -> Any:
        found = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
        assert found is not None
        return found.coefficients.hi[:, 0]

    def left(theta: Any) -> float:
        return pull(X, y, theta) / pull(X, y, np.zeros(COLUMNS + 1))

    peers = [_scikit_learn(X, y, left, solver, tol) for solver, tol in (("lbfgs", 1e-8), ("newton-cholesky", 1e-8))]
    rough = _scikit_learn(X, y, left, "lbfgs", 1e-4, role="yardstick")
    return Row(
        number, f"{ROWS:,} × {COLUMNS} float64, logistic, {kind}, with standard errors and the proof of a maximum",
        Peer("sightline's maximum of the likelihood", ours, check=left),
        [*peers, rough, _glum(X, y, left), _glum(X, y, left, errors=True)], lambda: left(ours()), NEAR,
        {FASTEST: 8.0},
        "The deviation is the norm of the gradient, relative to that without slopes; the peers give no standard errors "
        "but where it is said. With a tolerance of 1e-4 lbfgs ends some 1e-4 away.",
        short=f"1e6 × 50, {kind}", bytes=8.0 * ROWS * (COLUMNS + 1) * 8, flops=2.0 * ROWS * COLUMNS * (COLUMNS + 3),
        dtype="float64", reference="zero gradient",
    )  # fmt: skip


def pull(X: Any, y: Any, theta: Any) -> float:
    """The norm of the gradient of the log-likelihood."""
    r = 1.0 / (1.0 + np.exp(-(X @ theta[:-1] + theta[-1]))) - y
    return float(np.linalg.norm(np.append(r @ X, r.sum())))


def _scikit_learn(X: Any, y: Any, left: Any, solver: str, tol: float, *, role: str = "peer") -> Peer:
    def run() -> Any:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = LogisticRegression(C=np.inf, solver=solver, tol=tol, max_iter=1000).fit(X, y)
        return np.append(fitted.coef_[0], fitted.intercept_)

    return Peer(f"scikit-learn {solver}, tolerance {tol:g}", run, needs=["sklearn"], check=left, role=role)


def _glum(X: Any, y: Any, left: Any, *, errors: bool = False) -> Peer:
    @cache
    def targets() -> Any:
        return y.astype(np.float64)

    def run() -> Any:
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(family="binomial", alpha=0, gradient_tol=1e-8).fit(X, targets())
        if errors:
            model.std_errors(X=X, y=targets())
        return np.append(model.coef_, model.intercept_)

    return Peer(f"glum{' with errors' if errors else ''}", run, needs=["glum"], ready=targets, check=left)
