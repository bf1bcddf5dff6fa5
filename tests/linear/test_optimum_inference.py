"""Covariances and fit statistics against statsmodels, closed forms and numerical likelihoods."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from tests.linear.all_losses import LOSSES
from tests.real_data.tables import classic

from sightline.errors import UsageError
from sightline.linear.objective import Objective
from sightline.linear.optimum import optimum
from sightline.linear.optimum.inference import covariance
from sightline.linear.optimum.statistics import baseline_loss, loss_statistics
from sightline.linear.row_losses import Absolute, CrossEntropy, GaussianNLL, Hinge, Huber, PoissonNLL, SquaredLoss

COUNTS = {
    "warpbreaks": ("breaks", ["wool", "tension"]),
    "insectsprays": ("count", ["spray"]),
    "airquality": ("Ozone", ["Wind", "Temp", "Month"]),
    "mtcars": ("carb", ["wt", "qsec", "hp"]),
}


def table(name):
    """Slopes, and the counts; with a column of ones for statsmodels."""
    target, columns = COUNTS[name]
    frame = classic(name)[[target, *columns]].dropna()
    X = pd.get_dummies(frame[columns], drop_first=True).to_numpy(dtype=float)
    return X, frame[target].to_numpy(dtype=float), np.column_stack([X, np.ones(len(X))])


def minimum(loss):
    objective = Objective.plain(loss)
    return objective, optimum(objective)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_statsmodels_glm(name, weighted):
    X, y, Z = table(name)
    w = np.random.default_rng(0).integers(1, 4, len(y)).astype(float) if weighted else np.ones(len(y))
    reference = sm.GLM(y, Z, sm.families.Poisson(), var_weights=w).fit(tol=1e-15)
    objective, found = minimum(PoissonNLL(X, y, True, w / w.mean()))
    cov = covariance(objective, found, total=w.sum())
    assert cov.kind == "information"
    assert cov.df is None
    assert found.theta == pytest.approx(reference.params, rel=1e-9)
    assert np.sqrt(np.diag(cov.matrix)) == pytest.approx(reference.bse, rel=1e-8)
    s = loss_statistics(objective, found, total=w.sum())
    assert s.deviance == pytest.approx(reference.deviance, rel=1e-10)
    assert s.null_deviance == pytest.approx(reference.null_deviance, rel=1e-10)
    assert (s.df_model, s.df_resid) == (reference.df_model, reference.df_resid)
    assert s.log_likelihood == pytest.approx(reference.llf, rel=1e-10)
    assert s.aic == pytest.approx(reference.aic, rel=1e-10)
    assert s.bic == pytest.approx(-2.0 * reference.llf + np.log(len(y)) * Z.shape[1], rel=1e-10)
    assert s.pseudo_r2 is None


def test_warpbreaks_is_what_r_prints():
    """glm(breaks ~ wool + tension, poisson): coefficients, deviances and AIC as R's own example has them."""
    X, y, _ = table("warpbreaks")
    objective, found = minimum(PoissonNLL(X, y))
    errors = np.sqrt(np.diag(covariance(objective, found).matrix))
    names = list(pd.get_dummies(classic("warpbreaks")[["wool", "tension"]], drop_first=True).columns)
    assert names == ["wool_B", "tension_L", "tension_M"]  # R has L as its first level
    assert found.theta[0] == pytest.approx(-0.20599, abs=5e-6)
    assert errors[0] == pytest.approx(0.05157, abs=5e-6)
    s = loss_statistics(objective, found)
    assert s.null_deviance == pytest.approx(297.37, abs=5e-3)
    assert s.deviance == pytest.approx(210.39, abs=5e-3)
    assert s.aic == pytest.approx(493.06, abs=5e-3)


@pytest.mark.parametrize("kind", ["hc0", "hc1", "cluster"])
@pytest.mark.parametrize("name", ["warpbreaks", "airquality"])
def test_sandwiches_of_counts_are_statsmodels(name, kind):
    X, y, Z = table(name)
    groups = np.arange(len(y)) // 7
    options = {"groups": groups} if kind == "cluster" else {}
    reference = sm.GLM(y, Z, sm.families.Poisson()).fit(
        tol=1e-15, cov_type=kind if kind == "cluster" else kind.upper(), cov_kwds=options
    )
    objective, found = minimum(PoissonNLL(X, y))
    cov = covariance(objective, found, kind=kind, clusters=groups if options else None)
    few = len(y) / (len(y) - Z.shape[1]) if kind == "hc1" else 1.0  # which statsmodels leaves out of its HC1 of a GLM
    assert cov.matrix == pytest.approx(few * reference.cov_params(), rel=1e-7)


@pytest.mark.parametrize("kind", ["hc0", "hc1"])
def test_a_wide_huber_is_least_squares(kind):
    loss = LOSSES["huber"].problem(n=40)
    objective, found = minimum(Huber(loss.X, loss.y, delta=1e9))
    Z = np.column_stack([loss.X, np.ones(40)])
    reference = sm.OLS(loss.y, Z).fit(cov_type=kind.upper())
    cov = covariance(objective, found, kind=kind)
    assert cov.matrix == pytest.approx(reference.cov_params(), rel=1e-9)
    assert cov.df == 36


def test_huber_by_default_is_the_sandwich_of_autograd():
    rows = LOSSES["huber"]
    loss = rows.problem(n=60, weighted=True)
    objective, found = minimum(loss)
    theta = torch.tensor(found.theta)
    value = rows.torch_value(loss)
    H = torch.autograd.functional.hessian(value, theta).numpy()
    scores = []
    for i in range(60):
        at = theta.clone().requires_grad_()
        ((rows.torch_value(loss.of_rows([i]))(at)) / 60).backward()
        scores.append(at.grad.numpy())
    J = np.array(scores).T @ np.array(scores)
    cov = covariance(objective, found)
    assert cov.kind == "hc1"
    assert cov.matrix == pytest.approx(60 / 56 * np.linalg.inv(H) @ J @ np.linalg.inv(H), rel=1e-8)


def test_mean_and_variance_have_their_observed_information():
    """Of two groups with a mean and log variance each: v / n, and 2 / n, with no part in common."""
    group = np.repeat([0.0, 1.0], [50, 30])
    y = np.random.default_rng(2).normal(size=80) * (1.0 + group) + group
    objective, found = minimum(GaussianNLL(group[:, None], y))
    cov = covariance(objective, found)
    v = [y[group == g].var() for g in (0, 1)]
    errors = np.sqrt(np.diag(cov.matrix))
    assert errors == pytest.approx(
        [np.sqrt(v[0] / 50 + v[1] / 30), np.sqrt(2 / 50 + 2 / 30), np.sqrt(v[0] / 50), np.sqrt(2 / 50)], rel=1e-9
    )
    s = loss_statistics(objective, found)
    logs = [norm.logpdf(y[group == g], y[group == g].mean(), np.sqrt(w)).sum() for g, w in zip((0, 1), v, strict=True)]
    assert s.log_likelihood == pytest.approx(sum(logs), rel=1e-12)
    assert s.aic == pytest.approx(8.0 - 2.0 * sum(logs), rel=1e-12)
    assert s.baseline_loss == pytest.approx(0.5 * (np.log(y.var()) + 1.0), rel=1e-12)
    assert (s.df_model, s.df_resid) == (2, 76)
    assert s.deviance is None


@pytest.mark.parametrize("name", COUNTS)
def test_a_median_is_statsmodels_quantreg(name):
    X, y, Z = table(name)
    y = y + 0.37 * np.sin(np.arange(len(y)))  # no ties, so the vertex is one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its iteration goes round in circles near the vertex
        reference = sm.QuantReg(y, Z).fit(q=0.5, max_iter=10_000, p_tol=1e-9)
    objective, found = minimum(Absolute(X, y))
    assert objective.value(found.theta) <= objective.value(np.asarray(reference.params)) + 1e-15
    if not found.unique:
        return
    assert found.theta == pytest.approx(reference.params, rel=1e-5, abs=1e-6)
    cov = covariance(objective, found)
    assert cov.kind == "quantile"
    assert cov.df == len(y) - Z.shape[1]
    assert np.sqrt(np.diag(cov.matrix)) == pytest.approx(reference.bse, rel=1e-4)
    assert loss_statistics(objective, found).pseudo_r2 == pytest.approx(reference.prsquared, abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "options", "reason"),
    [
        (Objective.plain(LOSSES["hinge"].problem()), {}, "hinge loss is not a likelihood"),
        (Objective.plain(LOSSES["cross-entropy-smoothed"].problem()), {}, "smoothed labels"),
        (Objective(LOSSES["huber"].problem(), np.append(np.ones(3), 0.0), np.zeros(4)), {}, "a penalty pulls"),
        (Objective(LOSSES["l1"].problem(), np.zeros(4), np.append(np.ones(3), 0.0)), {}, "a penalty pulls"),
        (Objective.plain(LOSSES["l1"].problem(weighted=True)), {}, "weighted median"),
        (Objective.plain(LOSSES["l1"].problem(n=7)), {}, "7 rows are too few"),
        (Objective.plain(LOSSES["l1"].problem()), {"kind": "hc1"}, "there is no hc1"),
        (Objective.plain(LOSSES["poisson-nll"].problem()), {"kind": "quantile"}, "only the absolute error"),
        (Objective.plain(LOSSES["huber"].problem(n=4)), {}, "leave nothing to measure chance by"),
        (Objective.plain(Huber(np.zeros((2, 0)), np.array([0.0, 10.0]))), {}, "does not bend"),
        (Objective.plain(GaussianNLL(np.arange(5.0)[:, None], np.arange(5.0))), {}, "variance is at its limit"),
        (Objective.plain(Absolute(np.arange(20.0)[:, None], np.arange(20.0))), {}, "no density at zero"),
    ],
)
def test_where_there_is_no_covariance_a_sentence_says_why(objective, options, reason):
    cov = covariance(objective, optimum(objective), **options)
    assert cov.matrix is None
    assert reason in cov.reason


def test_kinds_and_clusters_that_make_no_sense_are_refused():
    objective, found = minimum(LOSSES["huber"].problem())
    with pytest.raises(UsageError, match="no covariance is named 'hc9': did you mean 'hc"):
        covariance(objective, found, kind="hc9")
    with pytest.raises(UsageError, match="the kind cluster needs the label"):
        covariance(objective, found, kind="cluster")


def test_what_the_rows_do_not_determine_has_no_standard_error():
    loss = LOSSES["poisson-nll"].problem(n=50, p=2)
    both = PoissonNLL(np.column_stack([loss.X, loss.X[:, 0]]), loss.y)
    objective, found = minimum(both)
    V = covariance(objective, found).matrix
    assert np.isnan(np.diag(V)).tolist() == [True, False, True, False]
    single = covariance(*minimum(loss)).matrix
    assert V[1, 1] == pytest.approx(single[1, 1], rel=1e-9)


def test_a_group_at_infinity_leaves_the_others_their_errors():
    group = np.repeat(np.eye(3), 4, axis=0)[:, 1:]
    y = np.array([1.0, 2, 3, 2, 0, 0, 0, 0, 4, 5, 6, 5])
    V = covariance(*minimum(PoissonNLL(group, y))).matrix
    assert np.isnan(V[0]).all()
    assert V[2, 2] == pytest.approx(1.0 / 8.0, rel=1e-12)
    assert V[1, 1] == pytest.approx(1.0 / 8.0 + 1.0 / 20.0, rel=1e-12)


# baselines


@pytest.mark.parametrize("name", LOSSES)
def test_without_an_intercept_the_baseline_is_the_loss_of_zero(name):
    loss = LOSSES[name].problem(intercept=False, weighted=True)
    assert baseline_loss(loss) == pytest.approx(loss.value(np.zeros(3 * loss.outputs)), rel=1e-13)


def test_baselines_are_those_of_a_mean_a_median_and_shares():
    rows = LOSSES["mse"].problem()
    assert baseline_loss(SquaredLoss(rows.X, rows.y)) == pytest.approx(rows.y.var(), rel=1e-13)
    assert baseline_loss(Absolute(rows.X, rows.y)) == pytest.approx(
        np.abs(rows.y - np.median(rows.y)).mean(), rel=1e-13
    )
    y = np.array([0.0, 0, 0, 1])
    assert baseline_loss(Hinge(np.ones((4, 1)), y)) == pytest.approx(0.5, rel=1e-13)
    assert baseline_loss(CrossEntropy(np.ones((4, 1)), y, outputs=3)) == pytest.approx(
        -0.75 * np.log(0.75) - 0.25 * np.log(0.25), rel=1e-13
    )


@given(st.sampled_from(sorted(set(LOSSES) - {"gaussian-nll-limited"})), st.integers(0, 10**6), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_no_constant_is_better_than_the_baseline_and_the_optimum_is_no_worse(name, seed, n):
    loss = LOSSES[name].problem(n=n, p=2, seed=seed, weighted=True)
    base = baseline_loss(loss)
    constants = np.random.default_rng(seed).normal(size=(50, loss.outputs)) * 2.0
    values = [loss.value(np.append(np.zeros(2 * loss.outputs), c)) for c in constants]
    assert min(values) >= base - 1e-12 * (1.0 + abs(base))
    if not name.startswith("cross-entropy"):  # whose own module has classes that are separated
        assert optimum(Objective.plain(loss)).loss <= base + 1e-9 * (1.0 + abs(base))
