"""Influence against R, statsmodels, the fits without each row, and exact rational arithmetic."""

from __future__ import annotations

import json
import math
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.stats.tests.results as results_of_r
from hypothesis import given
from hypothesis import strategies as st
from tests.real_data import cases, standardized, statsmodels_frame

from sightline.errors import DataError, UsageError
from sightline.linear.influence import Influence, influence
from sightline.linear.projection import Projection

FIELDS = ("leverage", "standardized", "studentized", "cook", "dffits", "dfbetas")


def fit(Z, y, weight=None):
    """θ of weighted least squares by QR with one step of refinement, and the residuals."""
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    Q, R = np.linalg.qr(Z * root[:, None])
    theta = np.linalg.solve(R, Q.T @ (y * root))
    theta = theta + np.linalg.solve(R, Q.T @ ((y - Z @ theta) * root))
    return theta, y - Z @ theta


def assert_same(ours: Influence, theirs: dict, rtol: float) -> None:
    """Relative, and beside the largest of a column for values that all but vanish in it."""
    for field, values in theirs.items():
        largest = np.nanmax(np.abs(np.atleast_2d(np.asarray(values).T)), axis=1)
        atol = rtol / 100.0 * (largest if np.ndim(values) == 2 else largest[0])
        mine = getattr(ours, field)
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(values), err_msg=field)
        wrong = np.abs(mine - values) > atol + rtol * np.abs(values)
        assert not wrong.any(), f"{field}: {mine[wrong][:5]} is not {np.asarray(values)[wrong][:5]}"


def without_each_row(Z, y, weight, combinations):
    """All of it by definition: leave the row out, fit anew."""
    n, q = Z.shape
    w = np.ones(n) if weight is None else weight
    theta, r = fit(Z, y, w)
    m = int((w > 0).sum())
    rss = float(w @ r**2)
    R = np.linalg.qr(Z * np.sqrt(w)[:, None], mode="r")
    error = np.linalg.norm(np.linalg.solve(R.T, combinations.T), axis=0)
    found = {field: np.zeros((n, len(combinations)) if field == "dfbetas" else n) for field in FIELDS}
    for i in range(n):
        if not w[i]:
            found["standardized"][i] = found["studentized"][i] = np.nan
            continue
        others = np.arange(n) != i
        other, left = fit(Z[others], y[others], w[others])
        sigma = math.sqrt(float(w[others] @ left**2) / (m - q - 1))
        ahead = y[i] - Z[i] @ other  # residual of a row that the fit has not seen: r / (1 - h)
        h = 1.0 - r[i] / ahead
        change = Z[i] @ (theta - other)
        moved = Z @ (theta - other)
        found["leverage"][i] = h
        found["standardized"][i] = math.sqrt(w[i]) * r[i] / math.sqrt(rss / (m - q) * (1.0 - h))
        # the t value of a column that is 1 in that row only
        found["studentized"][i] = math.sqrt(w[i]) * ahead * math.sqrt(1.0 - h) / sigma
        found["cook"][i] = float(w @ moved**2) / (q * rss / (m - q))
        found["dffits"][i] = math.sqrt(w[i]) * change / (sigma * math.sqrt(h))
        found["dfbetas"][i] = combinations @ (theta - other) / (sigma * error)
    return found


@pytest.mark.parametrize("name", cases())
def test_against_statsmodels(name):
    """OLS of rows scaled by √w, in raw units by the pseudoinverse: theirs loses κ of the raw columns, up to 5e9 here
    (Longley), where residuals agree to 1e-9 of themselves; ours works in standardized columns.
    """
    Z, y, weight = cases()[name]
    S, to_units = standardized(Z)
    w = np.ones(len(y)) if weight is None else weight
    used = w > 0
    theirs = sm.OLS((y * np.sqrt(w))[used], (Z * np.sqrt(w)[:, None])[used]).fit().get_influence()
    ours = influence(S, fit(S, y, w)[1], weight=weight, combinations=to_units)
    part = Influence(*(getattr(ours, field)[used] for field in ("row", *FIELDS)))
    assert_same(part, {
        "leverage": theirs.hat_matrix_diag, "standardized": theirs.resid_studentized_internal,
        "studentized": theirs.resid_studentized_external, "cook": theirs.cooks_distance[0],
        "dffits": theirs.dffits[0], "dfbetas": theirs.dfbetas,
    }, rtol=1e-8)  # fmt: skip


@pytest.mark.parametrize("name", cases())
def test_leaving_out_each_row_and_fitting_anew(name):
    """n fits by QR; differences of two fits cancel, the more the smaller the change: 1e-8 of it."""
    Z, y, weight = cases()[name]
    S, to_units = standardized(Z)
    ours = influence(S, fit(S, y, weight)[1], weight=weight, combinations=to_units)
    assert_same(ours, without_each_row(S, y, weight, to_units), rtol=1e-8)


def test_against_r():
    """R's own lsdiag and influence.measures of real investment on growth and interest, to all the digits it wrote."""
    d = statsmodels_frame("macrodata")
    y = 400.0 * np.diff(np.log(d["realinv"]))
    Z = np.column_stack([np.ones(202), 400.0 * np.diff(np.log(d["realgdp"])), d["realint"][:-1]])
    folder = Path(results_of_r.__file__).parent
    lsdiag = json.loads((folder / "influence_lsdiag_R.json").read_text())
    measures = pd.read_csv(folder / "influence_measures_R.csv", index_col=0).to_numpy()
    assert_same(influence(Z, fit(Z, y)[1]), {
        "leverage": np.array(lsdiag["hat"]), "standardized": np.array(lsdiag["std.res"]),
        "studentized": np.array(lsdiag["stud.res"]), "cook": np.array(lsdiag["cooks"]),
        "dffits": np.array(lsdiag["dfits"]), "dfbetas": measures[:, :3],
    }, rtol=1e-10)  # fmt: skip


def test_what_r_prints_of_mtcars_and_cars():
    """hatvalues and cooks.distance of lm(mpg ~ wt, mtcars) and lm(dist ~ speed, cars), as printed."""
    Z, y, _ = cases()["mtcars"]
    ours = influence(Z, fit(Z, y)[1])
    hat = "0.04326896 0.03519677 0.05837573 0.03125017 0.03292182 0.03323551 0.03544265 0.03127502 0.03140238"
    assert ours.leverage[:9].round(8).tolist() == [float(v) for v in hat.split()]
    assert ours.leverage[14:17].round(8).tolist() == [0.17047665, 0.19533191, 0.18379417]
    assert ours.cook[[16, 17, 19]].round(3).tolist() == [0.532, 0.193, 0.260]  # Imperial, Fiat 128, Corolla
    Z, y, _ = cases()["cars"]
    ours = influence(Z, fit(Z, y)[1])
    assert ours.leverage[:5].round(8).tolist() == [0.11486131, 0.11486131, 0.07150365, 0.07150365, 0.05997080]
    assert np.argsort(-ours.cook)[:3].tolist() == [48, 22, 38]  # rows 49, 23, 39 in R's plot
    assert ours.cook[48].round(6) == 0.340396


# --- exact rational arithmetic


def rational_solve(Z, y, w):
    """θ and (Z'WZ)⁻¹ by elimination in rational numbers."""
    q = len(Z[0])
    rows = [[sum(c * r[i] * r[j] for r, c in zip(Z, w, strict=True)) for j in range(q)] for i in range(q)]
    for i in range(q):
        rows[i] += [sum(c * r[i] * t for r, t, c in zip(Z, y, w, strict=True))] + [Fraction(i == j) for j in range(q)]
    for i in range(q):
        pivot = next(k for k in range(i, q) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        rows = [
            row if k == i else [a - row[i] * b for a, b in zip(row, rows[i], strict=True)] for k, row in enumerate(rows)
        ]
    return [row[q] for row in rows], [row[q + 1 :] for row in rows]


def rational_rss(Z, y, w, theta):
    return sum(c * (t - dot(r, theta)) ** 2 for r, t, c in zip(Z, y, w, strict=True))


def dot(a, b):
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))


def root(value, sign):
    """The signed root of a rational number, rounded once or twice."""
    return math.copysign(math.sqrt(float(value)), float(sign)) if sign else 0.0


def in_rational_numbers(Z, y, w):
    """Leave out each row and solve anew: squares of everything are rational, roots are taken last."""
    Z, y, w = (
        [[Fraction(v) for v in r] for r in Z.tolist()],
        [Fraction(v) for v in y.tolist()],
        [Fraction(v) for v in w.tolist()],
    )
    q, m = len(Z[0]), sum(c > 0 for c in w)
    theta, inverse = rational_solve(Z, y, w)
    rss = rational_rss(Z, y, w, theta)
    found = {field: [] for field in FIELDS}
    for i, (z, t, c) in enumerate(zip(Z, y, w, strict=True)):
        if not c:
            for field in FIELDS:
                found[field].append(math.nan if field[:2] == "st" else [0.0] * q if field == "dfbetas" else 0.0)
            continue
        rest = [part[:i] + part[i + 1 :] for part in (Z, y, w)]
        other, _ = rational_solve(*rest)
        variance = rational_rss(*rest, other) / (m - q - 1)
        r, h = t - dot(z, theta), c * dot(z, [dot(row, z) for row in inverse])
        change = [a - b for a, b in zip(theta, other, strict=True)]
        moved = sum(d * dot(row, change) ** 2 for row, d in zip(Z, w, strict=True))
        fitted = dot(z, change)
        found["leverage"].append(float(h))
        found["standardized"].append(root(c * r * r / (rss / (m - q) * (1 - h)), r))
        found["studentized"].append(root(c * r * r / (variance * (1 - h)), r))
        found["cook"].append(float(moved / (q * rss / (m - q))))
        found["dffits"].append(root(c * fitted**2 / (variance * h), fitted))
        found["dfbetas"].append([root(change[j] ** 2 / (variance * inverse[j][j]), change[j]) for j in range(q)])
    return {field: np.array(values) for field, values in found.items()}


def exact_residual(Z, y, w):
    theta, _ = rational_solve(
        *([[Fraction(v) for v in r] for r in Z.tolist()], [Fraction(v) for v in y], [Fraction(v) for v in w])
    )
    return np.array(
        [float(Fraction(t) - dot([Fraction(v) for v in z], theta)) for z, t in zip(Z.tolist(), y, strict=True)]
    )


@pytest.mark.parametrize("weights", ["one", "whole", "with zeros"])
@pytest.mark.parametrize("name", ["cars", "stackloss, weighted", "women, cubic"])
def test_against_rational_arithmetic(name, weights):
    """Whole numbers, κ below 100 once columns have one length: 1e-12."""
    Z, y, _ = cases()[name]
    n = len(y)
    w = {"one": np.ones(n), "whole": 1.0 + np.arange(n) % 4, "with zeros": np.arange(n) % 3.0}[weights]
    ours = influence(Z, exact_residual(Z, y, w), weight=None if weights == "one" else w)
    assert_same(ours, in_rational_numbers(Z, y, w), rtol=1e-12)


def test_a_row_far_out_keeps_its_digits():
    """x = 10⁸ among 0 ... 9: 1 - h is 8e-15, so h alone would have one digit of it. Residuals are exact here."""
    Z = np.column_stack([[*range(10), 10**8], np.ones(11)]).astype(float)
    y = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
    exact = in_rational_numbers(Z, y, np.ones(11))
    ours = influence(Z, exact_residual(Z, y, np.ones(11)))
    # an orthonormal basis is good to eps, the small entries √(1 - h) = 1e-7 in the row of H to 1e-9 of themselves
    assert_same(ours, exact, rtol=1e-7)


# --- laws


@st.composite
def problems(draw):
    """A design with a constant, a target, weights; well-conditioned, some with categories."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(8, 40)), draw(st.integers(1, 4))
    X = rng.normal(size=(n, p))
    if draw(st.booleans()):
        X[:, 0] = rng.integers(0, 2, size=n)
    return np.column_stack([X, np.ones(n)]), rng.normal(size=n), np.exp(rng.normal(size=n))


@given(problems(), st.booleans())
def test_leverages_add_up_to_the_rank(problem, deficient):
    Z, y, w = problem
    if deficient:
        Z = np.column_stack([Z, Z @ np.arange(1.0, Z.shape[1] + 1.0)])
    projection = Projection.of(Z, y, weight=w)
    assert projection.rank == np.linalg.matrix_rank(Z * np.sqrt(w)[:, None])
    assert float(projection.leverage.sum()) == pytest.approx(projection.rank, rel=1e-13)
    assert ((projection.leverage >= 0.0) & (projection.leverage <= 1.0)).all()


@given(problems(), st.integers(0, 2**32 - 1))
def test_coordinates_do_not_matter(problem, seed):
    """Z T with θ = T φ: the same fit, so combinations of T⁻¹... are those of Z. κ(T) is held to 100."""
    Z, y, w = problem
    q = Z.shape[1]
    U, _, V = np.linalg.svd(np.random.default_rng(seed).normal(size=(q, q)))
    T = U * np.geomspace(1.0, 100.0, q) @ V
    try:
        r = fit(Z, y, w)[1]
    except np.linalg.LinAlgError:  # the column of categories is constant
        return
    ours = influence(Z, r, weight=w)
    theirs = influence(Z @ T, r, weight=w, combinations=T)
    # an entry is a sum of q parts of basis and coordinates, which keep κ eps; beside the largest of its column
    assert_same(theirs, {field: getattr(ours, field) for field in FIELDS}, rtol=1e-9)


@given(problems(), st.sampled_from([1e-160, 1e-3, 1e6, 1e140]), st.sampled_from([1e-200, 1e-6, 1e3, 1e150]))
def test_units_do_not_matter(problem, unit, scale):
    """Neither those of the target, nor the size of all weights together: to rounding of the scaled residuals."""
    Z, y, w = problem
    ours = influence(Z, y - y.mean(), weight=w)
    theirs = influence(Z, unit * (y - y.mean()), weight=scale * w)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(theirs, field), getattr(ours, field), rtol=1e-9, atol=1e-12)


@given(problems())
def test_equal_weights_are_none_and_zero_weights_leave_out(problem):
    Z, y, _ = problem
    r = fit(Z, y)[1] if np.linalg.matrix_rank(Z) == Z.shape[1] else y - y.mean()
    plain = influence(Z, r)
    for field in FIELDS:
        np.testing.assert_array_equal(
            getattr(influence(Z, r, weight=np.full(len(y), 3.0)), field), getattr(plain, field)
        )
    more = np.vstack([Z, 7.0 * Z[:3]])
    zeros = influence(more, np.append(r, [5.0, 6.0, 7.0]), weight=np.append(np.ones(len(y)), np.zeros(3)))
    for field in FIELDS:
        values = getattr(zeros, field)
        np.testing.assert_array_equal(values[:-3], getattr(plain, field))
        expected = np.nan if field.startswith("st") else 0.0
        np.testing.assert_array_equal(values[-3:][~np.isnan(values[-3:])], 0.0)
        if field != "dfbetas":
            np.testing.assert_array_equal(values[-3:], expected)


# --- where something is not defined


def test_collinear_columns_are_those_of_the_rest():
    Z, y, w = cases()["iris by species, weighted"]
    r = fit(Z, y, w)[1]
    full = influence(Z, r, weight=w)
    more = np.column_stack([Z, Z[:, 0] - 2.0 * Z[:, 1]])
    ours = influence(more, r, weight=w, combinations=np.vstack([np.eye(5), [1, 0, 0, 0, 1], [2, 1, 0, 0, 0]]))
    assert_same(ours, {field: getattr(full, field) for field in FIELDS[:-1]}, rtol=1e-11)
    # nothing is known along (1, -2, 0, 0, -1): of three coefficients, but not of the combinations that do not see it
    assert np.isnan(ours.dfbetas).all(axis=0).tolist() == [True, True, False, False, True, False, False]
    np.testing.assert_allclose(ours.dfbetas[:, 2:4], full.dfbetas[:, 2:4], rtol=1e-9, atol=1e-12)
    expected = influence(Z, r, weight=w, combinations=[[1.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0]]).dfbetas
    np.testing.assert_allclose(ours.dfbetas[:, 5:], expected, rtol=1e-9, atol=1e-12)


def test_a_rank_that_was_judged_before_is_kept():
    rng = np.random.default_rng(1)
    Z = np.column_stack([rng.normal(size=(20, 2)), np.ones(20)])
    Z = np.column_stack([Z, Z[:, 0] + 1e-9 * rng.normal(size=20)])
    assert Projection.of(Z, np.zeros(20)).rank == 4
    assert Projection.of(Z, np.zeros(20), rank=3).leverage.sum() == pytest.approx(3.0, rel=1e-13)
    assert Projection.of(np.eye(2)[[0] * 5], np.zeros(5), rank=2).rank == 1  # a column of zeros has no direction


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_row_that_stands_alone(order):
    """The only one of its category: nothing is known of it without it, but the rest of the fit is that of the others."""
    rng = np.random.default_rng(order)
    n, alone = 30, 11
    x, y = rng.normal(size=n) + 100.0, rng.normal(size=n)
    group = np.where(np.arange(n) == alone, 2, np.arange(n) % 2)
    Z = np.column_stack([x, group == 1, group == 2, np.ones(n)]).astype(float)
    columns = np.roll(np.arange(4), order)
    r = fit(Z, y)[1]
    ours = influence(Z[:, columns], r, combinations=np.eye(4)[np.argsort(columns)][:, :])
    assert ours.leverage[alone] == 1.0
    for field in FIELDS[1:-1]:
        assert np.isnan(getattr(ours, field)[alone])
        assert np.isfinite(np.delete(getattr(ours, field), alone)).all()
    change = ours.dfbetas[alone]
    assert np.isnan(change[2]), "its own category"
    assert (change[[0, 1, 3]] == 0.0).all(), "the others do not depend on it"
    others = np.delete(np.arange(n), alone)
    rest = influence(Z[others][:, [0, 1, 3]], r[others])
    for field in FIELDS[:1] + FIELDS[2:3]:
        np.testing.assert_allclose(getattr(ours, field)[others], getattr(rest, field), rtol=1e-9)
    np.testing.assert_allclose(ours.dfbetas[others][:, [0, 1, 3]], rest.dfbetas, rtol=1e-8, atol=1e-11)


def test_no_degrees_of_freedom():
    Z = cases()["cars"].Z
    ours = influence(Z[[0, 5]], np.array([1e-15, -2e-15]))
    assert ours.leverage.tolist() == [1.0, 1.0]
    for field in FIELDS[1:]:
        assert np.isnan(getattr(ours, field)).all()


def test_one_degree_of_freedom_has_no_studentized_residual():
    """Without any row nothing is left to judge its residual by; the standardized ones are all ±1."""
    Z = np.column_stack([[0.0, 1.0, 3.0], np.ones(3)])
    r = fit(Z, np.array([0.0, 2.0, 1.0]))[1]
    ours = influence(Z, r)
    np.testing.assert_allclose(ours.standardized, np.sign(r), rtol=1e-13)
    assert np.isfinite(ours.cook).all()
    for field in ("studentized", "dffits", "dfbetas"):
        assert np.isnan(getattr(ours, field)).all()


@pytest.mark.parametrize("far", [0.0, 1e3, 1e6])
def test_a_perfect_fit_has_no_influence(far):
    """Points on a plane: residuals are rounding, whatever its size."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 2)) + far
    Z = np.column_stack([X, np.ones(40)])
    for y in (X @ [0.1, 0.7] + 0.3, np.full(40, 0.1)):
        ours = influence(Z, fit(Z, y)[1])
        assert ours.leverage.sum() == pytest.approx(3.0, rel=1e-12)
        for field in FIELDS[1:]:
            assert np.isnan(getattr(ours, field)).all(), field


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-3])
def test_a_fit_that_is_merely_very_good_has_it(noise):
    """Residuals a thousand times above rounding: each has two digits or more, against the fit of the noise alone."""
    rng = np.random.default_rng(3)
    Z = np.column_stack([rng.normal(size=(40, 2)), np.ones(40)])
    e = rng.normal(size=40)
    ours = influence(Z, fit(Z, Z @ [1.0, 2.0, 3.0] + noise * e)[1])
    expected = influence(Z, fit(Z, e)[1])
    np.testing.assert_allclose(ours.studentized, expected.studentized, atol=1e-14 / noise)


def test_all_rows_but_one_on_a_line():
    """Without that row the fit is perfect: how many of its σ the row is off is not defined. The others are."""
    x = np.arange(12.0)
    y = 0.1 * x + 0.3
    y[4] += 1.0
    Z = np.column_stack([x, np.ones(12)])
    ours = influence(Z, fit(Z, y)[1])
    assert np.flatnonzero(np.isnan(ours.studentized)).tolist() == [4]
    assert np.flatnonzero(np.isnan(ours.dffits)).tolist() == [4]
    assert np.flatnonzero(np.isnan(ours.dfbetas).any(axis=1)).tolist() == [4]
    assert np.isfinite(ours.cook).all()
    assert ours.standardized[4] == pytest.approx(math.sqrt(10.0), rel=1e-12)  # √df, the most that there can be


def test_no_columns_at_all():
    ours = influence(np.empty((3, 0)), [1.0, 2.0, -2.0])
    assert ours.leverage.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(ours.standardized, np.array([1.0, 2.0, -2.0]) / math.sqrt(3.0))
    assert ours.dfbetas.shape == (3, 0)


def test_memory_grows_with_rows_not_their_square():
    """A matrix of n² numbers would take 3.2 GB; the design takes 0.8 MB."""
    rng = np.random.default_rng(4)
    Z = np.column_stack([rng.normal(size=(20_000, 4)), np.ones(20_000)])
    r = fit(Z, rng.normal(size=20_000))[1]
    tracemalloc.start()
    influence(Z, r)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * Z.nbytes


@pytest.mark.parametrize(("arguments", "error", "sentence"), [
    ({"residual": np.zeros(3)}, UsageError, "a design of shape (4, 2) does not go with residuals of shape (3,)"),
    ({"combinations": np.eye(3)}, UsageError, "combinations of shape (3, 3) for 2 columns: give one row of 2 numbers"),
    ({"weight": np.ones(5)}, UsageError, "there are 5 weights for 4 rows: give one for each row"),
    ({"weight": [1, 1, -2, 1]}, DataError, "the weight of row 3 is -2: weights must be numbers of zero or more"),
    ({"weight": [1, np.nan, 1, 1]}, DataError, "the weight of row 2 is nan"),
    ({"weight": [0, 0, 0, 0]}, DataError, "all weights are zero: give some rows a positive weight"),
])  # fmt: skip
def test_errors_say_what_and_where(arguments, error, sentence):
    Z = np.column_stack([np.arange(4.0), np.ones(4)])
    with pytest.raises(error) as caught:
        influence(Z, **{"residual": np.zeros(4), **arguments})
    assert sentence in str(caught.value)
