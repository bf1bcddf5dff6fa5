"""Statistics, robust covariances and curvature of class models against statsmodels, plain formulas and torch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from tests.linear.real_data import MTCARS, learning, shipped

from sightline.double_double import Pair
from sightline.errors import DataError, UsageError
from sightline.linear.classes.curvature import class_curvature
from sightline.linear.classes.robust import robust_class_covariance
from sightline.linear.classes.softmax import softmax_optimum
from sightline.linear.classes.statistics import class_statistics

TIGHT = {"method": "newton", "tol": 1e-13, "maxiter": 100, "disp": False}


@cache
def data(name):
    """Columns `(n, p)`, codes, groups."""
    if name == "spector":
        d = shipped("spector")
        return d[["GPA", "TUCE", "PSI"]].to_numpy(), d.GRADE.to_numpy().astype(int), d.index.to_numpy() % 7
    if name == "cancer":
        d = learning("breast_cancer")
        columns = ["mean_radius", "mean_texture", "mean_smoothness"]
        return d[columns].to_numpy(), d.target.to_numpy(), (d.mean_area // 200).to_numpy().astype(int)
    if name == "election":
        d = shipped("anes96")
        return (
            d[["logpopul", "selfLR", "age", "educ"]].to_numpy(),
            (d.PID // 2).to_numpy().astype(int),
            d.income.to_numpy().astype(int),
        )
    d = learning("wine")
    return d[["malic_acid", "hue"]].to_numpy(), d.target.to_numpy(), (d.magnesium // 10).to_numpy().astype(int)


TWO, MORE = ("spector", "cancer"), ("election", "wine")


def design(X):
    return np.column_stack([X, np.ones(len(X))])


@cache
def fitted(name):
    X, y, _ = data(name)
    return softmax_optimum(Pair.of(X), y, y.max() + 1)


@cache
def reference(name, **covariance):
    X, y, _ = data(name)
    return (sm.Logit if y.max() == 1 else sm.MNLogit)(y, design(X)).fit(**TIGHT, **covariance)


def everything(fit):
    """All coefficients as combinations, class after class, as statsmodels orders them."""
    q, m = fit.coefficients.shape
    return Pair.of(np.eye(q * m).reshape(q * m, m, q).transpose(0, 2, 1))


@pytest.mark.parametrize("name", TWO + MORE)
def test_against_statsmodels(name):
    s, theirs, n = class_statistics(fitted(name)), reference(name), len(data(name)[1])
    pairs = [
        (s.log_likelihood, theirs.llf), (s.null_deviance, -2 * theirs.llnull), (s.deviance, -2 * theirs.llf),
        (s.lr, theirs.llr), (s.mcfadden, theirs.prsquared), (s.aic, theirs.aic), (s.bic, theirs.bic),
        (s.cox_snell, 1 - np.exp(-theirs.llr / n)), (s.baseline_loss, -theirs.llnull / n),
        (s.nagelkerke, (1 - np.exp(-theirs.llr / n)) / (1 - np.exp(2 * theirs.llnull / n))),
    ]  # fmt: skip
    for ours, expected in pairs:
        assert ours == pytest.approx(expected, rel=1e-8)  # their null model is a search with BFGS
    assert s.deviance == pytest.approx(-2 * theirs.llf, rel=1e-13)
    assert s.null_deviance == pytest.approx(
        -2 * (np.bincount(data(name)[1]) @ np.log(np.bincount(data(name)[1]) / n)), rel=1e-14
    )
    assert s.lr_p == pytest.approx(theirs.llr_pvalue, rel=1e-6)
    assert (s.df_model, s.df_resid) == (theirs.df_model, theirs.df_resid)


def test_frequency_weights_against_glm():
    """The likelihood is that of Σw rows; degrees of freedom and n in BIC count the rows of the table."""
    X, y, _ = data("spector")
    w = 1.0 + np.arange(32) % 3
    fit = softmax_optimum(Pair.of(X), y, 2, weight=w)
    s, theirs = class_statistics(fit), sm.GLM(y, design(X), sm.families.Binomial(), freq_weights=w).fit(tol=1e-14)
    for ours, expected in [(s.deviance, theirs.deviance), (s.null_deviance, theirs.null_deviance), (s.aic, theirs.aic)]:
        assert ours == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(fit.std_errors.hi[:, 0], theirs.bse, rtol=1e-8)
    assert s.cox_snell == pytest.approx(1 - np.exp(-s.lr / w.sum()), rel=1e-12)
    assert (s.df_model, s.df_resid) == (3, 28)


def test_no_intercept():
    """The null model has equal chances: -2 ln L = 2 n ln K, and every coefficient counts."""
    X, y, _ = data("wine")
    s = class_statistics(softmax_optimum(Pair.of(X), y, 3, intercept=False))
    assert s.null_deviance == pytest.approx(2 * len(y) * np.log(3), rel=1e-15)
    theirs = sm.MNLogit(y, X).fit(**TIGHT)
    assert (s.deviance, s.df_model) == (pytest.approx(-2 * theirs.llf, rel=1e-11), 4)
    assert s.baseline_loss == pytest.approx(np.log(3), rel=1e-15)


def test_what_a_penalty_takes_the_meaning_from_is_none():
    X, y, _ = data("spector")
    s = class_statistics(softmax_optimum(Pair.of(X), y, 2, l2=0.1))
    assert (s.lr, s.lr_p, s.aic, s.bic, s.mcfadden, s.cox_snell, s.nagelkerke) == (None,) * 7
    assert s.deviance > class_statistics(fitted("spector")).deviance


def test_complete_separation_and_the_null_model():
    x = np.arange(8.0)[:, None]
    s = class_statistics(softmax_optimum(Pair.of(x), [0] * 4 + [1] * 4, 2))
    assert (s.deviance, s.mcfadden, s.nagelkerke) == (0.0, 1.0, pytest.approx(1.0, rel=1e-15))
    null = class_statistics(softmax_optimum(Pair.of(x[:, :0]), [0] * 4 + [1] * 4, 2))
    assert (null.lr, null.lr_p, null.df_model) == (None, None, 0)


def plain(name, kind):
    """H⁻¹ Σ (scores by rows) H⁻¹ for two classes, as R's sandwich: vcovHC of a glm."""
    X, y, _ = data(name)
    Z, P = design(X), fitted(name).probabilities[:, 1]
    inverse = np.linalg.inv((Z * (P * (1 - P))[:, None]).T @ Z)
    leverage = P * (1 - P) * np.einsum("ij,jk,ik->i", Z, inverse, Z)
    power = {"hc0": 0.0, "hc1": 0.0, "hc2": 0.5, "hc3": 1.0}[kind]
    score = Z * ((y - P) / (1 - leverage) ** power)[:, None]
    factor = len(y) / (len(y) - Z.shape[1]) if kind == "hc1" else 1.0
    return factor * inverse @ score.T @ score @ inverse


def close(ours, theirs, tolerance):
    """To `tolerance` in units of the standard errors."""
    errors = np.sqrt(np.diag(theirs))
    np.testing.assert_array_less(np.abs(ours - theirs), tolerance * np.multiply.outer(errors, errors))


def robust(name, kind, **keywords):
    X, y, _ = data(name)
    return robust_class_covariance(fitted(name), X, y, combinations=everything(fitted(name)), kind=kind, **keywords)


@pytest.mark.parametrize("kind", ["hc0", "hc1", "hc2", "hc3"])
@pytest.mark.parametrize("name", TWO)
def test_robust_against_plain_formulas(name, kind):
    close(robust(name, kind), plain(name, kind), 1e-9)


@pytest.mark.parametrize("name", TWO + MORE)
def test_robust_against_statsmodels(name):
    n, k = len(data(name)[1]), fitted(name).coefficients.hi.size
    theirs = reference(name, cov_type="HC0").cov_params()
    close(robust(name, "hc0"), np.asarray(theirs), 1e-8)
    close(robust(name, "hc1"), n / (n - k) * np.asarray(theirs), 1e-8)


@pytest.mark.parametrize("name", TWO + MORE)
def test_clusters_against_statsmodels(name):
    codes = pd.factorize(data(name)[2])[0]
    theirs = reference.__wrapped__(name, cov_type="cluster", cov_kwds={"groups": codes})
    close(robust(name, "cluster", clusters=codes), np.asarray(theirs.cov_params()), 1e-8)


def test_a_group_for_each_row_is_hc0_corrected():
    n, k = len(data("wine")[1]), 6
    alone = robust("wine", "cluster", clusters=np.arange(n))
    np.testing.assert_allclose(alone, n / (n - k) * robust("wine", "hc0"), rtol=1e-12)


def test_labels_without_rows_are_no_groups():
    codes = data("spector")[2]
    np.testing.assert_array_equal(
        robust("spector", "cluster", clusters=3 * codes + 1), robust("spector", "cluster", clusters=codes)
    )


def test_corrections_that_are_not_defined_are_nan():
    assert np.isnan(robust("spector", "cluster", clusters=np.zeros(32, dtype=int))).all()
    X, y = np.random.default_rng(4).standard_normal((6, 7)), np.arange(6) % 2
    fit = softmax_optimum(Pair.of(X), y, 2, l2=0.1)  # 8 coefficients for 6 rows
    for kind, groups in (("hc1", None), ("cluster", np.arange(6) // 2)):
        V = robust_class_covariance(fit, X, y, combinations=everything(fit), kind=kind, clusters=groups)
        assert np.isnan(V).all()
    V = robust_class_covariance(fit, X, y, combinations=everything(fit), kind="hc0")
    assert (np.diag(V) > 0).all()


def test_robust_with_weights():
    """The score of a row of weight w is w times its own."""
    X, y, _ = data("spector")
    w = np.linspace(0.5, 2.0, 32)
    fit = softmax_optimum(Pair.of(X), y, 2, weight=w)
    Z, P = design(X), fit.probabilities[:, 1]
    inverse = np.linalg.inv((Z * (w * P * (1 - P))[:, None]).T @ Z)
    score = Z * (w * (y - P))[:, None]
    ours = robust_class_covariance(fit, X, y, combinations=everything(fit), kind="hc0", weight=w)
    close(ours, inverse @ score.T @ score @ inverse, 1e-9)


def test_refusals():
    with pytest.raises(UsageError, match=r"^hc2 and hc3 are for two classes: use hc0, hc1 or --cluster$"):
        robust("wine", "hc3")
    # the only row with the dummy decides its coefficient, which is infinite
    y = np.array(MTCARS["am"])
    X = np.column_stack([MTCARS["wt"], np.arange(32) == 3])
    fit = softmax_optimum(Pair.of(X), y, 2)
    assert fit.separation.kind == "quasi"
    ours = robust_class_covariance(fit, X.astype(float), y, combinations=everything(fit), kind="hc3")
    assert np.isnan(np.diag(ours)).tolist() == [False, True, False]
    # at x = 0 one row outweighs the other of its kind, so that nothing is left of it
    x, classes, weight = np.array([[0.0], [0], [1], [1]]), np.array([0, 1, 0, 1]), np.array([1e14, 1, 1, 1])
    heavy = softmax_optimum(Pair.of(x), classes, 2, weight=weight)
    with pytest.raises(DataError, match=r"^row 1 alone decides a coefficient, so hc3 is not defined: use hc1$"):
        robust_class_covariance(heavy, x, classes, combinations=everything(heavy), kind="hc3", weight=weight)


def loss(Z, y, weight, ridge, classes):
    def value(theta):
        scores = Z @ theta.reshape(Z.shape[1], -1)
        scores = torch.cat([torch.zeros_like(scores), scores], dim=1) if classes == 2 else scores
        own = torch.nn.functional.cross_entropy(scores, y, reduction="none")
        return weight @ own / weight.sum() + (ridge @ theta.reshape(Z.shape[1], -1).square()).sum() / 2

    return value


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 3])
def test_curvature_against_torch(classes, ridge):
    rng = np.random.default_rng(3)
    Z, y = design(rng.standard_normal((40, 2))), rng.integers(0, classes, 40)
    w, each = rng.uniform(0.5, 2.0, 40), np.array([ridge, ridge, 0.0])
    theta = rng.standard_normal((3, 1 if classes == 2 else classes))
    scores = Z @ theta
    scores = np.column_stack([np.zeros(40), scores]) if classes == 2 else scores
    P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    f = loss(*map(torch.tensor, (Z, y, w, each)), classes)
    H = torch.autograd.functional.hessian(f, torch.tensor(theta.ravel())).numpy()
    expected = np.linalg.eigvalsh(H)[::-1]
    k = 1 if classes == 2 else classes
    found = class_curvature(
        Z[:, :2], P, intercept=True, scores=k, weight=w, ridge=np.repeat(each, [k, k, k])
    )  # fmt: skip
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-10, atol=1e-15)
    assert found.rank == 3 * (classes - 1) + (2 if ridge and classes == 3 else 0)  # a ridge bends what all share too
    order = [j * k + c for c in range(k) for j in range(2)] + [2 * k + c for c in range(k)]  # of the θ above
    for value, v in zip(found.eigenvalues, found.directions, strict=True):
        np.testing.assert_allclose(H[np.ix_(order, order)] @ v, value * v, atol=1e-12)


def test_the_largest_curvature_of_many_parameters():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 2100))
    P = rng.dirichlet(np.ones(2), 30)
    found = class_curvature(X, P, intercept=False, scores=1, ridge=np.zeros(2100))
    scaled = X * np.sqrt(P[:, :1] * P[:, 1:] / 30.0)
    expected = np.linalg.eigvalsh(scaled @ scaled.T)[-1]  # the same but for zeros
    assert found.max == pytest.approx(expected, rel=1e-9)
    assert found.min == 0.0
