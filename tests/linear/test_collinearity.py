"""Variance inflation and condition indices against statsmodels, mpmath, printed results of R and SAS, and laws."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pandas as pd
import patsy
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.outliers_influence import variance_inflation_factor
from tests.linear.rational import Fit
from tests.linear.real_data import CASES, DUNCAN, model

from sightline.errors import DataError, UsageError
from sightline.linear.collinearity import condition_diagnostics, variance_inflation


def each(groups):
    """A group for each column, the intercept's kept."""
    return [name if name == "Intercept" else f"column {j}" for j, name in enumerate(groups)]


@pytest.mark.parametrize("case", CASES)
def test_vif_against_statsmodels(case):
    """statsmodels regresses each raw column on the others by pinv: κ < 2e5 of them costs it 1e-9 of a large 1 - R²."""
    m = model(case)
    Z, _, groups = m.standardized()
    ours = [one.gvif for one in variance_inflation(Z, groups=each(groups))]
    order = [j for j, name in enumerate(m.groups) if name != "Intercept"]
    if "Intercept" in groups:
        theirs = [variance_inflation_factor(m.raw, j) for j in order]
    else:  # statsmodels centers columns here too; the variance of a coefficient is inflated about zero
        theirs = [
            1.0 / (1.0 - sm.OLS(m.raw[:, j], np.delete(m.raw, j, axis=1), hasconst=False).fit().rsquared) for j in order
        ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gvif_against_determinants(case):
    """Fox and Monette: det of the group's correlations times det of the others', over det of all; weighted as the fit is."""
    m = model(case)
    Z, _, groups = m.standardized()
    names = np.array(groups)
    w = np.ones(len(Z)) if m.weight is None else m.weight
    X = Z[:, names != "Intercept"]
    if "Intercept" in groups:
        X = X - np.average(X, axis=0, weights=w)
    X = np.sqrt(w)[:, None] * X
    C = X.T @ X / np.multiply.outer(np.linalg.norm(X, axis=0), np.linalg.norm(X, axis=0))
    kept = names[names != "Intercept"]
    for one in variance_inflation(Z, groups=groups, weight=m.weight):
        own = kept == one.group
        signs, logs = zip(
            *(np.linalg.slogdet(part) for part in (C[np.ix_(own, own)], C[np.ix_(~own, ~own)], C)), strict=True
        )
        assert signs == (1.0, 1.0, 1.0)
        assert one.df == own.sum()
        # the determinant is a product of eigenvalues, whose smallest is good to κ(C) eps, with κ(C) < 1e6
        assert math.log(one.gvif) == pytest.approx(logs[0] + logs[1] - logs[2], abs=1e-9)
        assert one.scaled == pytest.approx(one.gvif ** (0.5 / one.df), rel=1e-13)


def test_duncan_as_car_prints_it():
    """The examples of `vif`: lm(prestige ~ income + education), and with type."""
    both = np.column_stack([np.ones(45), DUNCAN["income"], DUNCAN["education"]])
    assert [round(v.gvif, 6) for v in variance_inflation(both, groups=["Intercept", "income", "education"])] == [
        2.1049,
        2.1049,
    ]
    Z = patsy.dmatrix("income + education + type", pd.DataFrame(DUNCAN))
    groups = ["Intercept", "type", "type", "income", "education"]
    found = {
        v.group: (v.df, round(v.gvif, 6), round(v.scaled, 6)) for v in variance_inflation(np.asarray(Z), groups=groups)
    }
    assert found == {
        "type": (2, 5.098592, 1.502666),
        "income": (1, 2.209178, 1.48633),
        "education": (1, 5.297584, 2.301648),
    }


def longley():
    frame = sm.datasets.longley.load_pandas().data.drop(columns="TOTEMP")
    return np.column_stack([np.ones(16), frame.to_numpy()]), ["Intercept", *frame.columns]


def test_longley_inflation_against_rational_arithmetic():
    """VIF = (Σ (x - mean)²) (Z'Z)⁻¹ⱼⱼ; the largest is 1,789."""
    X, names = longley()
    exact = Fit(X, np.zeros(16)).inverse
    ours = variance_inflation(X, groups=names)
    for j, one in enumerate(ours, 1):
        column = Fit(X[:, :1], X[:, j]).rss
        assert one.gvif == pytest.approx(float(column * exact[j][j]), rel=1e-11)
    assert [round(one.gvif, 2) for one in ours][:2] == [135.53, 1788.51]


def test_longley_as_sas_prints_it():
    """PROC REG with COLLIN; and every number against mpmath, with 50 digits."""
    X, names = longley()
    ours = condition_diagnostics(X, names=names)
    assert ours.indices[:6].round(5).tolist() == [1.0, 9.14172, 12.25574, 25.33661, 230.42395, 1048.0803]
    assert round(ours.indices[6]) == 43275
    with mpmath.workdps(50):
        A = mpmath.matrix(X.tolist())
        for j in range(7):
            length = mpmath.norm(A[:, j])
            for i in range(16):
                A[i, j] /= length
        values, vectors = mpmath.eigsy(A.T * A)
        order = sorted(range(7), key=lambda k: -values[k])
        indices = [float(mpmath.sqrt(values[order[0]] / values[k])) for k in order]
        shares = mpmath.matrix(7, 7)
        for j in range(7):
            parts = [vectors[j, k] ** 2 / values[k] for k in order]
            for row, part in enumerate(parts):
                shares[row, j] = part / mpmath.fsum(parts)
        proportions = np.array([[float(shares[row, j]) for j in range(7)] for row in range(7)])
    # a singular value is good to eps in units of the largest: 43,275 · 2e-16 · a few
    np.testing.assert_allclose(ours.indices, indices, rtol=1e-10)
    np.testing.assert_allclose(ours.proportions, proportions, rtol=1e-7, atol=1e-10)
    # the year stands for the intercept; prices, product and population for one another
    assert ours.dependencies[0].columns == ("Intercept", "YEAR")
    assert [round(d.index) for d in ours.dependencies] == [43275, 1048, 230][: len(ours.dependencies)]


@pytest.mark.parametrize("case", CASES)
def test_condition_indices_of_real_data(case):
    """The definition by numpy's singular values of the scaled matrix itself, and by the eigenvalues of its products."""
    m = model(case)
    root = np.ones(len(m.raw)) if m.weight is None else np.sqrt(m.weight)
    X = root[:, None] * m.raw
    scaled = X / np.linalg.norm(X, axis=0)
    ours = condition_diagnostics(m.raw, names=list(m.fit.params.index), weight=m.weight)
    singular = np.linalg.svd(scaled, compute_uv=False)
    np.testing.assert_allclose(ours.indices, singular[0] / singular, rtol=1e-10)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    parts = (vectors**2 / values)[:, ::-1].T
    # of equal singular values only the shares of all together are defined
    tied = np.concatenate([[0], np.cumsum(np.diff(ours.indices) > 1e-6 * ours.indices[1:])])
    ours_tied, theirs_tied = (
        np.array([part[tied == k].sum(axis=0) for k in range(tied[-1] + 1)])
        for part in (ours.proportions, parts / parts.sum(axis=0))
    )
    np.testing.assert_allclose(ours_tied, theirs_tied, atol=1e-7)
    np.testing.assert_allclose(ours.proportions.sum(axis=0), 1.0, rtol=1e-13)
    for one in ours.dependencies:
        assert one.index >= 30
        assert len(one.columns) > 1


@given(st.integers(0, 1000))
def test_inflation_does_not_depend_on_units_and_zeros(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(20, 4)) @ rng.normal(size=(4, 4))
    if np.linalg.cond(X) > 1e4:
        return
    groups = ["Intercept", "a", "b", "c", "c"]
    expected = [v.gvif for v in variance_inflation(np.column_stack([np.ones(20), X]), groups=groups)]
    moved = X * 10.0 ** rng.uniform(-6, 6, size=4)
    moved = moved + moved.std(axis=0) * rng.uniform(-100, 100, size=4)
    ours = variance_inflation(np.column_stack([np.ones(20), moved]), groups=groups)
    np.testing.assert_allclose([v.gvif for v in ours], expected, rtol=1e-8)
    assert min(expected) >= 1.0


def test_any_coding_of_a_category_has_the_same_inflation():
    frame = pd.DataFrame(DUNCAN)
    groups = ["Intercept", "type", "type", "income", "education"]
    found = [
        [
            v.gvif
            for v in variance_inflation(
                np.asarray(patsy.dmatrix(f"income + education + C(type, {coding})", frame)), groups=groups
            )
        ]
        for coding in ("Treatment", "Sum", "Helmert", "Treatment('wc')")
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-12)


def test_orthogonal_columns_are_not_inflated():
    a, b = np.tile([-1.0, 1.0], 4), np.repeat([-1.0, 1.0], 4)
    found = variance_inflation(np.column_stack([np.ones(8), a, b, a * b]), groups=["Intercept", "a", "b", "a:b"])
    assert [v.gvif for v in found] == pytest.approx([1.0, 1.0, 1.0], rel=1e-14)
    indices = condition_diagnostics(np.column_stack([np.ones(8), a, b]), names=["Intercept", "a", "b"])
    assert indices.indices.tolist() == pytest.approx([1.0, 1.0, 1.0], rel=1e-14)
    assert indices.dependencies == ()


def test_a_factor_of_the_rows_stands_for_them():
    m = model("diabetes")
    names = list(m.fit.params.index)
    rows, factor = condition_diagnostics(m.raw, names=names), condition_diagnostics(np.linalg.qr(m.raw)[1], names=names)
    np.testing.assert_allclose(factor.indices, rows.indices, rtol=1e-12)
    np.testing.assert_allclose(factor.proportions, rows.proportions, atol=1e-12)


def near_dependencies(*sizes, seed=0):
    """Columns a to f: c repeats a + b, and f repeats d - e, each but for noise of the given size."""
    rng = np.random.default_rng(seed)
    a, b, d, e, g = rng.normal(size=(5, 200))
    c = a + b + sizes[0] * rng.normal(size=200)
    f = d - e + sizes[1] * rng.normal(size=200)
    return np.column_stack([np.ones(200), a, b, c, d, e, f, g]), ["Intercept", *"abcdefg"]


@pytest.mark.parametrize("sizes", [(1e-2, 1e-4), (1e-6, 1e-3), (1e-9, 1e-2)])
def test_columns_of_separate_dependencies_are_named(sizes):
    X, names = near_dependencies(*sizes)
    found = condition_diagnostics(X, names=names).dependencies
    expected = {sizes[0]: ("a", "b", "c"), sizes[1]: ("d", "e", "f")}
    assert [one.columns for one in found] == [expected[size] for size in sorted(sizes)]
    for one, size in zip(found, sorted(sizes), strict=True):
        assert 0.1 < one.index * size < 10.0


def test_a_dependency_that_hides_behind_a_worse_one():
    """a = b to 1e-6, and c = a + d to 1e-2: all variance of a is due to the first, and it takes part in the second too."""
    rng = np.random.default_rng(1)
    a, d, g = rng.normal(size=(3, 200))
    X = np.column_stack([np.ones(200), a, a + 1e-6 * rng.normal(size=200), a + d + 1e-2 * rng.normal(size=200), d, g])
    found = condition_diagnostics(X, names=["Intercept", *"abcdg"])
    assert [one.columns for one in found.dependencies] == [("a", "b"), ("a", "b", "c", "d")]
    assert found.proportions[-2, 1] < 1e-6


def test_exact_dependencies():
    """An infinite index takes all the variance of its columns, and of no others."""
    rng = np.random.default_rng(2)
    a, b, d, g = rng.normal(size=(4, 50))
    X, names = np.column_stack([np.ones(50), a, b, a - 2.0 * b, d, g]), ["Intercept", *"abcdg"]
    found = condition_diagnostics(X, names=names)
    assert math.isinf(found.indices[-1])
    assert np.isfinite(found.indices[:-1]).all()
    assert [(one.index, one.columns) for one in found.dependencies] == [(math.inf, ("a", "b", "c"))]
    np.testing.assert_array_equal(found.proportions[-1], [0, 1, 1, 1, 0, 0])
    np.testing.assert_allclose(found.proportions.sum(axis=0), 1.0, rtol=1e-13)
    inflation = variance_inflation(X, groups=names)
    assert [math.isinf(v.gvif) for v in inflation] == [True, True, True, False, False]
    assert [math.isinf(v.scaled) for v in inflation] == [True, True, True, False, False]
    # what the others suffer is the same without the redundant column
    kept = variance_inflation(X[:, [0, 1, 2, 4, 5]], groups=["Intercept", *"abdg"])
    assert [v.gvif for v in inflation[3:]] == pytest.approx([v.gvif for v in kept[2:]], rel=1e-11)


def test_constant_and_zero_columns():
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(30), rng.normal(size=30), np.full(30, 0.3), np.zeros(30)])
    plain, constant, zero = variance_inflation(X, groups=["Intercept", "a", "constant", "zero"])
    assert plain.gvif == pytest.approx(1.0, rel=1e-12)
    for one in (constant, zero):
        assert one.df == 0
        assert math.isnan(one.gvif)
        assert math.isnan(one.scaled)
    found = condition_diagnostics(X, names=["Intercept", "a", "constant", "zero"])
    assert sorted(one.columns for one in found.dependencies) == [("Intercept", "constant"), ("zero",)]


def test_a_category_beside_columns_that_repeat_part_of_it():
    """A group is inflated without bound if any of its directions is repeated; aliases within it count once."""
    g = np.arange(30) % 3
    a = np.random.default_rng(4).normal(size=30)
    Z = np.column_stack([np.ones(30), *(g == k for k in range(3)), a]).astype(float)
    group, other = variance_inflation(Z, groups=["Intercept", "g", "g", "g", "a"])
    assert (group.df, other.df) == (2, 1)
    assert group.gvif == pytest.approx(other.gvif, rel=1e-12)  # with one column beside it, they inflate each other
    repeated = variance_inflation(np.column_stack([Z, g == 1]), groups=["Intercept", "g", "g", "g", "a", "copy"])
    assert [math.isinf(v.gvif) for v in repeated] == [True, False, True]


def test_weights():
    m = model("mtcars")
    Z = np.sqrt(m.weight)[:, None] * m.raw
    ours = condition_diagnostics(m.raw, names=m.groups, weight=m.weight)
    np.testing.assert_allclose(ours.indices, condition_diagnostics(Z, names=m.groups).indices, rtol=1e-12)
    doubled = variance_inflation(np.vstack([m.raw, m.raw[:9]]), groups=m.groups)
    weighted = variance_inflation(m.raw, groups=m.groups, weight=np.where(np.arange(32) < 9, 2.0, 1.0))
    assert [v.gvif for v in weighted] == pytest.approx([v.gvif for v in doubled], rel=1e-11)
    dropped = variance_inflation(m.raw, groups=m.groups, weight=(np.arange(32) >= 5).astype(float))
    assert [v.gvif for v in dropped] == pytest.approx(
        [v.gvif for v in variance_inflation(m.raw[5:], groups=m.groups)], rel=1e-13
    )


def test_noise_decides_what_repeats():
    rng = np.random.default_rng(5)
    a = rng.normal(size=30)
    Z = np.column_stack([np.ones(30), a, a + 1e-9 * rng.normal(size=30)])
    groups = ["Intercept", "a", "twin"]
    assert 1e17 < variance_inflation(Z, groups=groups)[0].gvif < 1e19
    assert math.isinf(variance_inflation(Z, groups=groups, noise=np.array([0.0, 1e-8, 1e-8]))[0].gvif)


def test_errors():
    Z = np.column_stack([np.ones(5), np.arange(5.0)])
    with pytest.raises(UsageError, match="there are 1 groups for 2 columns: give one for each column"):
        variance_inflation(Z, groups=["x"])
    with pytest.raises(UsageError, match="there are 3 names for 2 columns: give one for each column"):
        condition_diagnostics(Z, names=["x", "y", "z"])
    with pytest.raises(UsageError, match="there are 2 weights for 5 rows"):
        condition_diagnostics(Z, names=["x", "y"], weight=[1, 2])
    with pytest.raises(DataError, match="the design matrix must hold finite numbers"):
        condition_diagnostics(np.where(Z == 3, np.nan, Z), names=["x", "y"])
    with pytest.raises(DataError, match="the design matrix must hold finite numbers"):
        variance_inflation(np.where(Z == 3, np.nan, Z), groups=["Intercept", "y"])
