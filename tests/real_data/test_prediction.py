"""Prediction intervals, cross-validation and collinearity on every data set, against statsmodels: 1e-8."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.outliers_influence import variance_inflation_factor

from sightline.analysis import conditioning, cross_validate, vif
from sightline.linear.folds import assign_folds
from tests.real_data.reference import close, model, plain, solved
from tests.real_data.tables import CASES, SMALL

REL = 1e-8


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize("name", CASES)
def test_prediction_intervals(name, level):
    """For a new observation of weight 1, as R's `predict` and statsmodels' take it where no weight is given."""
    m, run = model(name), solved(name)
    rows = slice(None, None, 1 + len(m.y) // 40)
    ours = run.predict(CASES[name].load().loc[m.rows[rows]], interval=level)
    theirs = m.fit.get_prediction(m.Z[rows]).summary_frame(alpha=1.0 - level)
    floor = REL * np.sqrt(m.fit.mse_resid)
    close(ours["prediction"], theirs["mean"], REL, floor)
    close(ours["low"], theirs["obs_ci_lower"], REL, floor)
    close(ours["high"], theirs["obs_ci_upper"], REL, floor)


@pytest.mark.parametrize("name", SMALL)
def test_leave_one_out(name):
    """Each residual of the fit without its row; with weights the mean square is weighted."""
    m, run = model(name), solved(name)
    expected = m.fit.get_influence().resid_press / m.root
    found = cross_validate(run, "loo")
    close(found.residual, expected, REL, REL * np.sqrt(m.fit.mse_resid / m.weight.max()))
    rmse = np.sqrt(np.average(expected**2, weights=m.weight))
    close(found.rmse, rmse, REL)
    level = np.average(m.y, weights=m.weight) if m.intercept else 0.0
    close(found.r2, 1.0 - rmse**2 / np.average((m.y - level) ** 2, weights=m.weight), REL, REL)


@pytest.mark.parametrize(
    "name", ["swiss", "savings", "mtcars", "wine", "longley", "star98, weighted", "iris, through zero"]
)
def test_ten_folds(name):
    """A fit without each fold."""
    m, run = model(name), solved(name)
    fold = assign_folds(len(m.y), 5, seed=3)
    expected = np.empty(len(m.y))
    for k in range(5):
        out = fold == k
        fit = sm.OLS((m.root * m.y)[~out], (m.root[:, None] * m.Z)[~out]).fit()
        expected[out] = m.y[out] - m.Z[out] @ fit.params
    found = cross_validate(run, 5, seed=3)
    close(found.residual, expected, REL, REL * m.y.std())
    close(found.rmse, np.sqrt(np.average(expected**2, weights=m.weight)), REL)


@pytest.mark.parametrize("name", SMALL)
def test_inflation(name):
    """VIF of each single column, as statsmodels has it of weighted rows about their weighted mean; GVIF by determinants."""
    m = model(name)
    if not m.intercept or len(m.names) < 3:
        return
    X = m.root[:, None] * (m.X[:, 1:] - np.average(m.X[:, 1:], weights=m.weight, axis=0))
    X /= np.linalg.norm(X, axis=0)
    R = X.T @ X
    for one in vif(solved(name)):
        own = np.array([term == plain(one.group) for term in m.terms[1:]])
        assert one.df == own.sum()
        parts = [np.linalg.slogdet(R[np.ix_(part, part)])[1] for part in (own, ~own)]
        # determinants of correlations of κ lose κ² digits: 1e5 here at most
        close(one.gvif, np.exp(sum(parts) - np.linalg.slogdet(R)[1]), REL)
        if one.df == 1:
            theirs = variance_inflation_factor(X, int(np.argmax(own)), standardize=False)
            close(one.gvif, theirs, REL)
            close(one.scaled, np.sqrt(one.gvif), 1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_condition_indices(name):
    """Singular values of the raw columns at one length (Belsley, Kuh and Welsch); κ 43,275 for Longley's."""
    m = model(name)
    rows = m.root[:, None] * m.X
    _, size, V = np.linalg.svd(rows / np.linalg.norm(rows, axis=0), full_matrices=False)
    found = conditioning(solved(name))
    close(found.indices, size[0] / size, REL)
    share = (V / size[:, None]) ** 2
    # of equal indices only the sum of proportions has a meaning
    first = np.flatnonzero(np.append(True, np.abs(np.diff(size)) > 1e-6 * size[:-1]))
    order = [m.names.index(plain(c.term)) for c in solved(name).coefficients]
    ours, theirs = found.proportions, (share / share.sum(axis=0))[:, order]
    close(np.add.reduceat(ours, first), np.add.reduceat(theirs, first), REL, REL)
