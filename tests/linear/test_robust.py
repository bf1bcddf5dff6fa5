"""Robust covariance against statsmodels on real data, exact rational arithmetic, printed results of R, and laws."""

from __future__ import annotations

import datetime
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from tests.linear.rational import Fit, floats, product, transposed
from tests.linear.real_data import CARS, CASES, DUNCAN, SCHOOLS, model

from sightline.errors import DataError, UsageError
from sightline.linear.robust import KINDS, ClusterSizes, cluster_sizes, robust_covariance, robust_df

HC = KINDS[:4]


def close(ours, theirs, *, tolerance, least=0.0):
    """Equal to `tolerance` in units of the standard errors, or of `least`: a covariance near zero is only as good as
    these, and where scores cancel within clusters only as good as their size.
    """
    errors = np.maximum(np.sqrt(np.diag(theirs)), least)
    np.testing.assert_array_less(np.abs(ours - theirs), tolerance * np.multiply.outer(errors, errors) + 1e-300)


def robust(Z, y, kind, *, combinations=None, **keywords):
    """The covariance for the least-squares fit of y on Z."""
    root = np.sqrt(keywords["weight"]) if keywords.get("weight") is not None else np.ones(len(y))
    theta = np.linalg.lstsq(root[:, None] * Z, root * y, rcond=None)[0]
    combinations = np.eye(Z.shape[1]) if combinations is None else combinations
    return robust_covariance(Z, y - Z @ theta, kind=kind, combinations=combinations, **keywords)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_against_statsmodels(case, kind):
    """From standardized coordinates (κ < 400) to raw coefficients, where statsmodels' pinv loses up to κ = 1.4e5 ulp."""
    m = model(case)
    Z, units, _ = m.standardized()
    keywords = {"clusters": m.clusters} if kind == "cluster" else {}
    ours = robust_covariance(Z, m.residual, kind=kind, combinations=units, weight=m.weight, **keywords)
    groups = {"groups": pd.factorize(m.clusters)[0]} if kind == "cluster" else {}
    theirs = m.fit.get_robustcov_results(kind if kind == "cluster" else kind.upper(), use_t=True, **groups)
    # a term that is fitted within each cluster has no variance between them; statsmodels has the rounding of zero
    white = m.fit.get_robustcov_results("HC0").bse
    known = theirs.bse > 1e-9 * white
    assert np.isnan(np.diag(ours)).tolist() == (~known).tolist()
    close(ours[np.ix_(known, known)], theirs.cov_params()[np.ix_(known, known)], tolerance=1e-8, least=white[known])
    clusters = len(set(m.clusters)) if kind == "cluster" else None
    df = theirs.df_resid_inference if kind == "cluster" else theirs.df_resid
    assert robust_df(len(Z), Z.shape[1], clusters=clusters) == df


@pytest.mark.parametrize("kind", KINDS)
def test_longley_against_rational_arithmetic(kind):
    """κ = 110 in standardized coordinates: 1e-13 is lost, and little more in the map to raw units."""
    frame = sm.datasets.longley.load_pandas().data
    X = frame.drop(columns="TOTEMP").to_numpy()
    exact = Fit(np.column_stack([np.ones(16), X]), frame["TOTEMP"])
    clusters = (X[:, -1] // 4).tolist() if kind == "cluster" else None
    center, scale = X.mean(axis=0), X.std(axis=0)
    units = np.vstack([np.append(-center / scale, 1.0), np.column_stack([np.diag(1.0 / scale), np.zeros(6)])])
    Z = np.column_stack([(X - center) / scale, np.ones(16)])
    residual = np.array([float(e) for e in exact.residual])
    ours = robust_covariance(Z, residual, kind=kind, combinations=units, clusters=clusters)
    close(ours, floats(exact.covariance(kind, clusters)), tolerance=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@given(data=st.data())
def test_small_integers_against_rational_arithmetic(kind, weighted, data):
    rows = data.draw(st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=6, max_size=9))
    Z = np.array([[1.0, a, b] for a, b, _ in rows])
    y = np.array([float(c) for *_, c in rows])
    weight = np.arange(1.0, len(rows) + 1.0) if weighted else None
    if np.linalg.matrix_rank(Z) < 3:
        return
    exact = Fit(Z, y, weight)
    if max(exact.leverage) == 1:
        return
    clusters = [i % 3 for i in range(len(rows))] if kind == "cluster" else None
    residual = np.array([float(e) for e in exact.residual])
    ours = robust_covariance(Z, residual, kind=kind, combinations=np.eye(3), weight=weight, clusters=clusters)
    theirs = exact.covariance(kind, clusters)
    known = [j for j in range(3) if theirs[j][j]]
    assert np.isnan(np.diag(ours)).tolist() == [j not in known for j in range(3)]
    # scores that cancel within clusters leave the rounding of their sizes, which hc0 has
    sizes = np.sqrt(np.diag(floats(exact.covariance("hc0" if kind == "cluster" else kind))))
    error = np.abs(ours - floats(theirs))[np.ix_(known, known)]
    np.testing.assert_array_less(error, 1e-11 * np.multiply.outer(sizes, sizes)[np.ix_(known, known)])


def test_printed_results_of_r():
    """`coeftest(lm(speed ~ dist, cars), vcovHC(type = "HC1"))`; Greene's schools as in the vignette of sandwich."""
    cars = robust(np.column_stack([np.ones(50), CARS["dist"]]), np.array(CARS["speed"], dtype=float), "hc1")
    assert np.sqrt(np.diag(cars)).round(6).tolist() == [0.891860, 0.019402]
    income = np.array(SCHOOLS["income"]) / 1e4
    Z = np.column_stack([np.ones(50), income, income**2])
    expenditure = np.array(SCHOOLS["expenditure"], dtype=float)
    hc0, hc3 = (np.sqrt(np.diag(robust(Z, expenditure, kind))).round(2).tolist() for kind in ("hc0", "hc3"))
    assert hc0 == [460.89, 1243.04, 829.99]
    assert hc3 == [1095.00, 2975.41, 1995.24]


def problem(seed=0, n=30, q=4):
    rng = np.random.default_rng(seed)
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    return Z, Z @ rng.normal(size=q) + rng.normal(size=n) * (1.0 + Z[:, 1] ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_combinations_are_l_v_l(kind):
    Z, y = problem()
    L = np.random.default_rng(1).normal(size=(6, 4))
    keywords = {"clusters": np.arange(30) // 4} if kind == "cluster" else {}
    V = robust(Z, y, kind, **keywords)
    close(robust(Z, y, kind, combinations=L, **keywords), L @ V @ L.T, tolerance=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_any_coordinates_give_the_same(kind):
    Z, y = problem(2)
    T = np.random.default_rng(3).normal(size=(4, 4))
    keywords = {"clusters": np.arange(30) // 4} if kind == "cluster" else {}
    # Z T γ = Z θ: θ = T γ
    close(robust(Z @ T, y, kind, combinations=T, **keywords), robust(Z, y, kind, **keywords), tolerance=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_each_row_its_own_cluster_is_hc1(weighted):
    Z, y = problem(4)
    weight = np.linspace(0.5, 2.0, 30) if weighted else None
    ours = robust(Z, y, "cluster", clusters=[f"row {i}" for i in range(30)], weight=weight)
    close(ours, robust(Z, y, "hc1", weight=weight), tolerance=1e-13)
    close(ours, robust(Z, y, "hc0", weight=weight) * 30 / 26, tolerance=1e-13)


def test_a_row_of_weight_zero_is_no_row():
    Z, y = problem(5)
    weight = np.ones(30)
    weight[[3, 17]] = 0.0
    kept, clusters = weight > 0, np.arange(30) // 3
    for kind in HC:
        close(robust(Z, y, kind, weight=weight), robust(Z[kept], y[kept], kind), tolerance=1e-12)
    ours = robust(Z, y, "cluster", weight=weight, clusters=clusters)
    close(ours, robust(Z[kept], y[kept], "cluster", clusters=clusters[kept]), tolerance=1e-12)


@pytest.mark.parametrize("factor", [1e-150, 1e-8, 1e8, 1e150])
@pytest.mark.parametrize("kind", KINDS)
def test_units_scale_out(kind, factor):
    """Powers of ten far from 1 round, and no more: units of the response, of the columns, of the combinations."""
    Z, y = problem(6)
    keywords = {"clusters": np.arange(30) // 4} if kind == "cluster" else {}
    V = robust(Z, y, kind, **keywords)
    close(robust(Z, y * factor, kind, combinations=np.eye(4) / factor, **keywords), V, tolerance=1e-11)
    if 1e-100 < factor < 1e100:
        close(robust(Z * factor, y, kind, combinations=np.eye(4) * factor, **keywords), V, tolerance=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_rank_deficient_designs(kind):
    """A combination that the data determine has the variance of the design without the redundant column."""
    Z, y = problem(7)
    wide = np.column_stack([Z, Z[:, 1] - 2.0 * Z[:, 2]])
    keywords = {"clusters": np.arange(30) // 4} if kind == "cluster" else {}
    # x4 = x1 - 2 x2, so the data determine b0, b3, b1 + b4 and b2 - 2 b4, and neither b1 nor b2
    C = np.array(
        [[1.0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, -2], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    )
    ours = robust(wide, y, kind, combinations=C, **keywords)
    close(ours[:4, :4], robust(Z, y, kind, **keywords)[np.ix_([0, 3, 1, 2], [0, 3, 1, 2])], tolerance=1e-11)
    assert np.isnan(ours[4:]).all()
    assert np.isnan(ours[:, 4:]).all()


def test_a_rank_that_is_given_is_used():
    """Two columns that differ by 1e-10 of their size: one direction by the caller's word, two by rounding's."""
    Z, y = problem(8)
    twin = np.column_stack([Z, Z[:, 1] * (1.0 + 1e-10 * Z[:, 2])])
    total = np.array([[0.0, 1.0, 0, 0, 1.0]])
    assert not np.isnan(robust(twin, y, "hc0")).any()
    residual = y - Z @ np.linalg.lstsq(Z, y, rcond=None)[0]
    held = robust_covariance(twin, residual, kind="hc0", combinations=total, rank=4)
    assert held[0, 0] == pytest.approx(robust(Z, y, "hc0")[1, 1], rel=1e-8)
    assert np.isnan(robust_covariance(twin, residual, kind="hc0", combinations=np.eye(5), rank=4)[1, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_without_residual_degrees_of_freedom_nothing_is_known(kind):
    Z, y = problem(9, n=4)
    keywords = {"clusters": list("aabb")} if kind == "cluster" else {}
    assert np.isnan(robust(Z, y, kind, **keywords)).all()


def test_without_residuals_nothing_is_known():
    """A perfect fit; and a cell mean, where the cell has one row."""
    Z, y = problem(9)
    assert np.isnan(robust_covariance(Z, 0.0 * y, kind="hc3", combinations=np.eye(4))).all()
    cell = np.column_stack([Z * (np.arange(30) != 5)[:, None], np.arange(30) == 5])
    V = robust(cell, y, "hc1")
    assert np.isnan(np.diag(V)).tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("kind", ["hc2", "hc3"])
def test_leverage_one_is_refused_with_the_row(kind):
    """A category with a single row: hc0 and hc1 go on, as the residual is zero there."""
    Z, y = problem(10)
    Z = np.column_stack([Z, np.arange(30) == 12])
    sentence = (
        f"row 13 has leverage 1, the fit goes through it whatever its value, so {kind} is not defined there: use hc1"
    )
    with pytest.raises(DataError, match=sentence):
        robust(Z, y, kind)
    weight = np.ones(30)
    weight[:5] = 0.0
    with pytest.raises(DataError, match="row 13 has leverage 1"):
        robust(Z, y, kind, weight=weight)
    with pytest.raises(DataError, match=r"row 3 \(and 1 more\) has leverage 1"):
        robust(np.column_stack([Z, np.arange(30) == 2]), y, kind)
    assert np.isfinite(robust(Z, y, "hc1")).all()


@pytest.mark.parametrize("far", [1e2, 1e4, 1e5])
def test_leverage_near_one_keeps_its_digits(far):
    """1 - h = 1e-10 at the farthest: subtracted, it would keep six digits; the length of what is left keeps nearly all."""
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, far])
    Z, y = np.column_stack([np.ones(6), x]), np.array([1.0, 3.0, 2.0, 5.0, 4.0, 9.0])
    exact = Fit(Z, y)
    assert 1 - max(exact.leverage) < Fraction(10) / Fraction(far) ** 2 * 2
    residual = np.array([float(e) for e in exact.residual])
    ours = robust_covariance(Z, residual, kind="hc3", combinations=np.eye(2))
    np.testing.assert_allclose(ours, floats(exact.covariance("hc3")), rtol=1e-10)


LABELS = {
    "texts": list("aabbccddee"),
    "objects": pd.Series(["a", "a", 1, 1, 2.5, 2.5, (1, 2), (1, 2), False, False], dtype=object),
    "integers": [3, 3, 1, 1, 7, 7, 0, 0, -5, -5],
    "floats": np.repeat([0.5, 1.5, -np.inf, 2.0, 3.0], 2),
    "booleans and more": pd.Series(np.repeat(["x", "y", "z", "u", "v"], 2)),
    "dates": np.repeat(np.array(["2020-01-01", "2020-01-02", "2021-01-01", "2022-01-01", "2023-01-01"], dtype="datetime64[D]"), 2),
    "python dates": [datetime.date(2020, 1, 1 + i // 2) for i in range(10)],
    "categories": pd.Categorical(list("aabbccddee")),
    "nullable integers": pd.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], dtype="Int64"),
    "bytes": np.repeat(np.array([b"a", b"b", b"c", b"d", b"e"]), 2),
    "a number is not its text": [1, 1, "1", "1", 2, 2, "2", "2", 3, 3],
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(labels):
    Z, y = problem(11, n=10)
    expected = robust(Z, y, "cluster", clusters=np.arange(10) // 2)
    np.testing.assert_array_equal(robust(Z, y, "cluster", clusters=labels), expected)
    assert cluster_sizes(labels) == ClusterSizes(5, 0, 2, 2)


@pytest.mark.parametrize(
    "labels",
    [["a", None, "b"], [1.0, np.nan, 2.0], np.array([1.0, np.nan, 2.0]), pd.array([1, None, 2], dtype="Int64"), ["a", float("nan"), 1],
     np.array(["2020-01-01", "NaT", "2021-01-01"], dtype="datetime64[D]"), pd.Categorical(["a", None, "b"]),
     np.ma.masked_array([1, 2, 3], mask=[False, True, False])],
)  # fmt: skip
def test_a_missing_label_is_refused(labels):
    with pytest.raises(DataError, match="row 2 has no cluster label: fill it in or leave out the row"):
        cluster_sizes(labels)


def test_cluster_sizes():
    assert cluster_sizes(list("abbcccd")) == ClusterSizes(4, 2, 1, 3)
    assert cluster_sizes(list("abbcccd"), weight=[1, 1, 0, 1, 1, 1, 0]) == ClusterSizes(3, 2, 1, 3)
    with pytest.raises(DataError, match="each of the 3 rows is a cluster of its own, which is hc1: ask for hc1"):
        cluster_sizes([1, 2, 3])
    with pytest.raises(DataError, match="all rows are in one cluster"):
        cluster_sizes(["x", "x"])


Z4 = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 4.0]])
E4 = np.array([1.0, -2.0, 1.5, -0.5])


@pytest.mark.parametrize(
    ("keywords", "error", "sentence"),
    [
        ({"kind": "HC0"}, UsageError, "no robust covariance is named 'HC0': did you mean 'hc0'?"),
        ({"kind": "cluster"}, UsageError, "cluster needs the label of each row's cluster"),
        ({"kind": "hc1", "clusters": [1, 1, 2, 2]}, UsageError, "hc1 takes no clusters"),
        ({"kind": "cluster", "clusters": [1, 1, 2]}, UsageError, "there are 3 cluster labels for 4 rows"),
        ({"kind": "cluster", "clusters": [1, 1, 1, 1]}, DataError, "all rows are in one cluster, which says nothing about how"),
        ({"kind": "cluster", "clusters": [1, 2, 2, 2], "weight": [0, 1, 1, 1]}, DataError, "all rows are in one cluster"),
        ({"kind": "cluster", "clusters": np.array([[1], [2], [3], [4]])}, UsageError, r"not of shape \(4, 1\)"),
        ({"kind": "cluster", "clusters": [{}, [], 1, 2]}, DataError, "the cluster label of row 1 is a dict: use texts"),
        ({"kind": "hc0", "weight": [1, 1, 1]}, UsageError, "there are 3 weights for 4 rows"),
        ({"kind": "hc0", "weight": [1, -1, 1, 1]}, DataError, "the weight of row 2 is -1: weights must be"),
        ({"kind": "hc0", "weight": [1, 1, np.nan, 1]}, DataError, "the weight of row 3 is nan"),
        ({"kind": "hc0", "weight": [0, 0, 0, 0]}, DataError, "all weights are zero"),
    ],
)  # fmt: skip
def test_errors(keywords, error, sentence):
    with pytest.raises(error, match=sentence):
        robust_covariance(Z4, E4, combinations=np.eye(2), **keywords)


def test_errors_of_arrays():
    with pytest.raises(UsageError, match="there are 3 residuals for 4 rows"):
        robust_covariance(Z4, E4[:3], kind="hc0", combinations=np.eye(2))
    with pytest.raises(DataError, match="the residual of row 3 is nan"):
        robust_covariance(Z4, np.array([1.0, 2.0, np.nan, 0.0]), kind="hc0", combinations=np.eye(2))
    with pytest.raises(DataError, match="the design matrix must hold finite numbers"):
        robust_covariance(np.where(Z4 > 2, np.inf, Z4), E4, kind="hc0", combinations=np.eye(2))


def test_the_reference_is_the_textbook_formula():
    """The rational reference against statsmodels once, so that the two oracles are known to agree."""
    Z = np.column_stack([np.ones(45), DUNCAN["income"], DUNCAN["education"]]).astype(float)
    exact = Fit(Z, DUNCAN["prestige"])
    fit = sm.OLS(np.array(DUNCAN["prestige"], dtype=float), Z).fit()
    for kind in HC:
        theirs = fit.get_robustcov_results(kind.upper()).cov_params()
        np.testing.assert_allclose(floats(exact.covariance(kind)), theirs, rtol=1e-10)
    assert product(transposed(exact.Z), [[e] for e in exact.residual]) == [[0], [0], [0]]
