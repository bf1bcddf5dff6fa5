"""Analysis of variance against statsmodels on real data, tables that R prints, rational arithmetic, and laws."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import patsy
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.anova import anova_lm
from tests.linear.rational import Fit
from tests.linear.real_data import CASES, MOORE, MTCARS, NPK, WARPBREAKS, model

from sightline.errors import DataError, UsageError
from sightline.linear.anova import anova_type_1, anova_type_2, anova_type_3


def design(formula, frame):
    """Z, y, group and factors of each column, as patsy codes them."""
    y, Z = patsy.dmatrices(formula, pd.DataFrame(frame))
    info = Z.design_info
    groups = [name for name, part in info.term_name_slices.items() for _ in range(part.start, part.stop)]
    factors = {
        name: frozenset(f.name() for f in t.factors) for name, t in zip(info.term_names, info.terms, strict=True)
    }
    return np.asarray(Z), np.asarray(y)[:, 0], groups, factors


def tables(Z, y, groups, factors, **keywords):
    """All three."""
    return (
        anova_type_1(Z, y, groups=groups, **keywords),
        anova_type_2(Z, y, groups=groups, factors=factors, **keywords),
        anova_type_3(Z, y, groups=groups, **keywords),
    )


def by_term(table):
    return {row.term: row for row in (*table.terms, table.residuals)}


def sequential_fits(m):
    """Type I by a weighted fit for each term: statsmodels' own table of type I leaves the weights out."""
    names = np.array(m.groups)
    terms = list(dict.fromkeys(m.groups))
    sums = [
        sm.WLS(m.y, m.raw[:, np.isin(names, terms[: k + 1])], weights=m.weight).fit().ssr for k in range(len(terms))
    ]
    table = pd.DataFrame(
        {"sum_sq": -np.diff(sums), "df": [m.groups.count(term) for term in terms[1:]]}, index=terms[1:]
    )
    table["F"] = table["sum_sq"] / table["df"] / m.fit.mse_resid
    table["PR(>F)"] = stats.f.sf(table["F"], table["df"], m.fit.df_resid)
    table.loc["Residual", ["sum_sq", "df"]] = m.fit.ssr, m.fit.df_resid
    return table


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_against_statsmodels(case, kind):
    """Standardized coordinates here (κ < 400), raw ones there (κ < 2e5, squared where it inverts a covariance)."""
    m = model(case)
    Z, units, groups = m.standardized()
    row = {} if "Intercept" not in groups else {"intercept": units[m.groups.index("Intercept")]}
    if kind == 1:
        ours = anova_type_1(Z, m.y, groups=groups, weight=m.weight)
    elif kind == 2:
        ours = anova_type_2(Z, m.y, groups=groups, factors=m.factors, weight=m.weight)
    else:
        ours = anova_type_3(Z, m.y, groups=groups, weight=m.weight, **row)
    theirs = anova_lm(m.fit, typ=kind) if kind > 1 or m.weight is None else sequential_fits(m)
    found = by_term(ours)
    assert set(found) == {name if name != "Residual" else "Residuals" for name in theirs.index}
    for name, expected in theirs.iterrows():
        one = found[name if name != "Residual" else "Residuals"]
        assert one.df == expected["df"]
        assert one.sum_squares == pytest.approx(
            expected["sum_sq"], rel=1e-10 if kind == 1 and m.weight is None else 1e-8
        )
        if name != "Residual":
            assert one.mean_square == pytest.approx(expected["sum_sq"] / expected["df"], rel=1e-8)
            assert one.f == pytest.approx(expected["F"], rel=1e-8)
            assert one.p == pytest.approx(stats.f.sf(one.f, one.df, ours.residuals.df), rel=1e-9, abs=1e-300)
            assert one.p == pytest.approx(expected["PR(>F)"], rel=1e-6, abs=1e-300)


def printed(table, digits):
    return {
        row.term: (row.df, round(row.sum_squares, digits), row.f and round(row.f, 4))
        for row in (*table.terms, table.residuals)
    }


def test_warpbreaks_as_r_prints_it():
    """`summary(aov(breaks ~ wool * tension, warpbreaks))`: balanced, so types I and II agree."""
    Z, y, groups, factors = design("breaks ~ wool * tension", WARPBREAKS)
    table, second, _ = tables(Z, y, groups, factors)
    for one, other in zip(table.terms, second.terms, strict=True):
        assert one.sum_squares == pytest.approx(other.sum_squares, rel=1e-12)
    assert [
        (r.term, r.df, round(r.sum_squares), round(r.mean_square, 1), round(r.f, 3), float(f"{r.p:.3g}"))
        for r in table.terms
    ] == [
        ("wool", 1, 451, 450.7, 3.765, 0.0582),
        ("tension", 2, 2034, 1017.1, 8.498, 0.000693),
        ("wool:tension", 2, 1003, 501.4, 4.189, 0.021),
    ]
    assert (table.residuals.df, round(table.residuals.sum_squares), round(table.residuals.mean_square, 1)) == (
        48,
        5745,
        119.7,
    )


def test_npk_as_r_prints_it():
    """`summary(aov(yield ~ block + N*P*K, npk))`: N:P:K is confounded with blocks and has no degree of freedom."""
    Z, y, groups, factors = design("crop ~ block + C(N)*C(P)*C(K)", NPK)
    first, second, third = tables(Z, y, groups, factors)
    names = [row.term.replace("C(", "").replace(")", "") for row in first.terms]
    rows = [(r.df, round(r.sum_squares, 1), r.f and round(r.f, 3)) for r in first.terms]
    assert dict(zip(names, rows, strict=True)) == {
        "block": (5, 343.3, 4.447),
        "N": (1, 189.3, 12.259),
        "P": (1, 8.4, 0.544),
        "K": (1, 95.2, 6.166),
        "N:P": (1, 21.3, 1.378),
        "N:K": (1, 33.1, 2.146),
        "P:K": (1, 0.5, 0.031),
        "N:P:K": (0, 0.0, None),
    }
    assert (first.residuals.df, round(first.residuals.sum_squares, 1)) == (12, 185.3)
    assert second.terms[-1].df == third.terms[-1].df == 0


def test_mtcars_as_car_prints_it():
    """`Anova(lm(wt ~ factor(cyl)*factor(am), mtcars), type = 2)` and `type = 3`."""
    Z, y, groups, factors = design("wt ~ C(cyl)*C(am)", MTCARS)
    _, second, third = tables(Z, y, groups, factors)
    assert printed(second, 4) == {
        "C(cyl)": (2, 7.2278, 11.5266), "C(am)": (1, 3.2845, 10.4758), "C(cyl):C(am)": (2, 0.0668, 0.1065), "Residuals": (26, 8.1517, None),
    }  # fmt: skip
    assert printed(third, 4) == {
        "Intercept": (1, 25.8427, 82.4254), "C(cyl)": (2, 4.0124, 6.3988), "C(am)": (1, 1.7389, 5.5463), "C(cyl):C(am)": (2, 0.0668, 0.1065),
        "Residuals": (26, 8.1517, None),
    }  # fmt: skip


def test_moore_as_car_prints_it():
    """`Anova(lm(conformity ~ fcategory*partner.status, Moore))`, and with sums to zero `type = "III"`."""
    Z, y, groups, factors = design("conformity ~ C(authority)*C(status)", MOORE)
    second = {
        r.term: (r.df, round(r.sum_squares, 2), r.f and round(r.f, 4))
        for r in anova_type_2(Z, y, groups=groups, factors=factors).terms
    }
    assert second == {
        "C(authority)": (2, 11.61, 0.277), "C(status)": (1, 212.21, 10.1207), "C(authority):C(status)": (2, 175.49, 4.1846),
    }  # fmt: skip
    Z, y, groups, _ = design("conformity ~ C(authority, Sum)*C(status, Sum)", MOORE)
    third = [(r.df, round(r.sum_squares, 1), round(r.f, 4)) for r in anova_type_3(Z, y, groups=groups).terms]
    assert third == [(1, 5752.8, 274.3592), (2, 36.0, 0.8589), (1, 239.6, 11.425), (2, 175.5, 4.1846)]


@pytest.mark.parametrize("case", CASES)
def test_laws_of_the_sums(case):
    """Type I adds up to what the model explains; a last term is the same in all types; df add up to n."""
    m = model(case)
    Z, _, groups = m.standardized()
    first, second, third = tables(Z, m.y, groups, m.factors, weight=m.weight)
    explained = m.fit.centered_tss - m.fit.ssr if "Intercept" in groups else m.fit.uncentered_tss - m.fit.ssr
    assert sum(r.sum_squares for r in first.terms) == pytest.approx(explained, rel=1e-10)
    assert sum(r.df for r in first.terms) + first.residuals.df == len(m.y) - ("Intercept" in groups)
    assert first.residuals == second.residuals == third.residuals
    last = {table.terms[-1].term: table for table in (first, second, third)}
    assert len(last) == 1
    assert first.terms[-1].sum_squares == pytest.approx(third.terms[-1].sum_squares, rel=1e-11)


def test_orthogonal_designs_have_one_table():
    """A 2^3 factorial with sums to zero: every column is orthogonal to the others."""
    levels = np.array(list(itertools.product([-1.0, 1.0], repeat=3)) * 2)
    a, b, c = levels.T
    Z = np.column_stack([np.ones(16), a, b, c, a * b, a * c, a * b * c])
    groups = ["Intercept", "a", "b", "c", "a:b", "a:c", "a:b:c"]
    factors = {g: frozenset(g.split(":")) for g in groups[1:]}
    y = np.random.default_rng(0).normal(size=16)
    first, second, third = tables(Z, y, groups, factors)
    for row in first.terms:
        column = Z[:, groups.index(row.term)]
        assert row.sum_squares == pytest.approx((column @ y) ** 2 / 16, rel=1e-12)
        for table in (second, third):
            assert by_term(table)[row.term].sum_squares == pytest.approx(row.sum_squares, rel=1e-12)


@pytest.mark.parametrize("case", ["mtcars", "duncan", "credit cards", "crime, missing"])
def test_other_coordinates_give_the_same(case):
    """Units, zeros and mixtures within a term, the intercept's column put last: no span changes."""
    m = model(case)
    Z, _, groups = m.standardized()
    rng = np.random.default_rng(2)
    T = np.zeros((Z.shape[1], Z.shape[1]))
    names = np.array(groups)
    for name in dict.fromkeys(groups):
        place = np.flatnonzero(names == name)
        T[np.ix_(place, place)] = rng.normal(size=(len(place), len(place))) if name != "Intercept" else 1.0
    T[-1, :-1] = 10.0 * rng.normal(size=Z.shape[1] - 1)
    expected = tables(Z, m.y, groups, m.factors, weight=m.weight)
    moved = tables(Z @ T, m.y, groups, m.factors, weight=m.weight)
    for table, other in zip(expected, moved, strict=True):
        for row in table.terms:
            # of type III the intercept is about other zeros, as it must be
            if row.term != "Intercept":
                assert by_term(other)[row.term].sum_squares == pytest.approx(row.sum_squares, rel=1e-9), (
                    table.type,
                    row.term,
                )
    # unless the row that leads back is given: Z θ = (Z T) γ, θ = T γ
    back = anova_type_3(Z @ T, m.y, groups=groups, weight=m.weight, intercept=T[-1])
    assert by_term(back)["Intercept"].sum_squares == pytest.approx(
        by_term(expected[2])["Intercept"].sum_squares, rel=1e-9
    )


def rational_sum(Z, y, kept, dropped):
    """RSS without minus RSS with, exactly."""
    return Fit(Z[:, dropped], y).rss - Fit(Z[:, kept], y).rss


def test_small_integers_against_rational_arithmetic():
    rng = np.random.default_rng(5)
    for _ in range(10):
        a, b = rng.integers(0, 3, size=12), rng.integers(0, 2, size=12)
        y = rng.integers(-9, 10, size=12).astype(float)
        Z = np.column_stack([np.ones(12), a == 1, a == 2, b, (a == 1) * b, (a == 2) * b]).astype(float)
        if np.linalg.matrix_rank(Z) < 6:
            continue
        groups = ["Intercept", "a", "a", "b", "a:b", "a:b"]
        factors = {"a": frozenset("a"), "b": frozenset("b"), "a:b": frozenset("ab")}
        full = [0, 1, 2, 3, 4, 5]
        expected = [
            {"a": ([0, 1, 2], [0]), "b": ([0, 1, 2, 3], [0, 1, 2]), "a:b": (full, [0, 1, 2, 3])},
            {"a": ([0, 1, 2, 3], [0, 3]), "b": ([0, 1, 2, 3], [0, 1, 2]), "a:b": (full, [0, 1, 2, 3])},
            {
                "Intercept": (full, [1, 2, 3, 4, 5]),
                "a": (full, [0, 3, 4, 5]),
                "b": (full, [0, 1, 2, 4, 5]),
                "a:b": (full, [0, 1, 2, 3]),
            },
        ]
        rss = Fit(Z, y).rss
        for table, sums in zip(tables(Z, y, groups, factors), expected, strict=True):
            for row in table.terms:
                exact = rational_sum(Z, y, *sums[row.term])
                assert isinstance(exact, Fraction)
                assert row.sum_squares == pytest.approx(float(exact), rel=1e-12, abs=1e-13 * float(y @ y))
            assert table.residuals.sum_squares == pytest.approx(float(rss), rel=1e-12, abs=1e-13 * float(y @ y))


@pytest.mark.parametrize("leading", [0.0, 1e6, 1e12])
def test_leading_digits_do_not_matter(leading):
    """As in NIST's SmLs data: one-way, the response 1e12 + tenths, which doubles hold to 1e-4; as it is, exactly."""
    group = np.repeat(np.arange(9), 21)
    wave = np.tile(np.where(np.arange(21) % 2, 0.3, 0.5), 9)
    wave[::21] = 0.4
    y = leading + np.round((wave + group * 0.1 + 0.1) * 2.0**13) / 2.0**13
    Z = np.column_stack([np.ones(189), *(group == g for g in range(1, 9))]).astype(float)
    groups = ["Intercept", *["group"] * 8]
    values = np.array([Fraction(v) for v in y.tolist()])
    mean = sum(values) / 189
    means = [sum(values[group == g]) / 21 for g in range(9)]
    between = sum(21 * (v - mean) ** 2 for v in means)
    within = sum((v - means[g]) ** 2 for v, g in zip(values, group, strict=True))
    table = anova_type_1(Z, y, groups=groups)
    assert table.terms[0].sum_squares == pytest.approx(float(between), rel=1e-12)
    assert table.residuals.sum_squares == pytest.approx(float(within), rel=1e-12)
    assert table.terms[0].f == pytest.approx(float(between / 8 / (within / 180)), rel=1e-12)


def test_columns_far_from_zero_keep_their_digits():
    """x near 1e9: centered, the sums are those of x near 0."""
    rng = np.random.default_rng(3)
    x, g, y = np.arange(40.0), rng.integers(0, 2, size=40), rng.normal(size=40)
    near = np.column_stack([np.ones(40), x, g, x * g])
    far = np.column_stack([np.ones(40), x + 1e9, g, x * g])
    groups = ["Intercept", "x", "g", "x:g"]
    factors = {"x": frozenset("x"), "g": frozenset("g"), "x:g": frozenset("xg")}
    for a, b in zip(tables(near, y, groups, factors)[:2], tables(far, y, groups, factors)[:2], strict=True):
        for one, other in zip(a.terms, b.terms, strict=True):
            assert other.sum_squares == pytest.approx(one.sum_squares, rel=1e-12)


def test_aliased_terms_have_no_degree_of_freedom():
    """b = 2a + 1 adds nothing to a, in whatever order; type III asks each after the other, so neither adds anything."""
    rng = np.random.default_rng(4)
    a, c, y = rng.normal(size=(3, 20))
    Z = np.column_stack([np.ones(20), a, 2.0 * a + 1.0, c, np.full(20, 0.1)])
    groups = ["Intercept", "a", "b", "c", "constant"]
    factors = {g: frozenset([g]) for g in groups[1:]}
    first, second, third = tables(Z, y, groups, factors)
    assert [r.df for r in first.terms] == [1, 0, 1, 0]
    assert [r.df for r in second.terms] == [0, 0, 1, 0]
    assert [r.df for r in third.terms] == [0, 0, 0, 1, 0]
    assert first.residuals.df == 17
    nothing = by_term(first)["b"]
    assert (nothing.sum_squares, nothing.mean_square, nothing.f, nothing.p) == (0.0, None, None, None)
    plain = sm.OLS(y, Z[:, [0, 1, 3]]).fit()
    assert first.residuals.sum_squares == pytest.approx(plain.ssr, rel=1e-12)
    assert by_term(second)["c"].sum_squares == pytest.approx(plain.tvalues[2] ** 2 * plain.mse_resid, rel=1e-11)


def test_the_intercept_of_type_3_where_a_category_spans_it():
    """All indicators of a category beside the intercept: the intercept adds nothing to them."""
    g = np.arange(12) % 3
    Z = np.column_stack([np.ones(12), *(g == k for k in range(3))]).astype(float)
    table = anova_type_3(Z, np.random.default_rng(1).normal(size=12), groups=["Intercept", "g", "g", "g"])
    assert [(r.term, r.df) for r in table.terms] == [("Intercept", 0), ("g", 2)]


def test_noise_decides_the_rank():
    """Columns that differ by 1e-9 of their size, with a rounding of 1e-8 declared, are one."""
    rng = np.random.default_rng(6)
    a, y = rng.normal(size=(2, 30))
    Z = np.column_stack([np.ones(30), a, a + 1e-9 * rng.normal(size=30)])
    groups = ["Intercept", "a", "twin"]
    assert [r.df for r in anova_type_1(Z, y, groups=groups).terms] == [1, 1]
    noise = np.array([0.0, 1e-8, 1e-8])
    assert [r.df for r in anova_type_1(Z, y, groups=groups, noise=noise).terms] == [1, 0]
    assert anova_type_1(Z, y, groups=groups, noise=noise).residuals.df == 28


def test_perfect_fits_and_saturated_models_have_no_f():
    x = np.arange(8.0)
    Z = np.column_stack([np.ones(8), x, x**2])
    groups = ["Intercept", "x", "x2"]
    table = anova_type_1(Z, 3.0 + 0.1 * x, groups=groups)
    assert table.residuals.sum_squares == 0.0
    assert table.terms[0].f is table.terms[0].p is None
    assert table.terms[0].sum_squares == pytest.approx(0.42, rel=1e-12)
    saturated = anova_type_1(Z[:3], np.array([1.0, 5.0, 2.0]), groups=groups)
    assert saturated.residuals == type(saturated.residuals)("Residuals", 0, 0.0, None, None, None)
    assert [(r.df, r.f, r.p) for r in saturated.terms] == [(1, None, None), (1, None, None)]
    wide = anova_type_1(Z[:2], np.array([1.0, 5.0]), groups=groups)
    assert [r.df for r in wide.terms] == [1, 0]


def test_rows_of_weight_zero_count_for_nothing():
    m = model("mtcars")
    weight = np.where(np.arange(32) < 4, 0.0, m.weight)
    for ours, theirs in zip(
        tables(m.raw, m.y, m.groups, m.factors, weight=weight), tables(m.raw[4:], m.y[4:], m.groups, m.factors, weight=m.weight[4:]), strict=True
    ):  # fmt: skip
        assert ours == theirs


def test_errors():
    Z, y = np.column_stack([np.ones(5), np.arange(5.0)]), np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    with pytest.raises(
        UsageError, match="the design has 5 rows and 2 columns, for 5 values and 1 groups: give one value"
    ):
        anova_type_1(Z, y, groups=["x"])
    with pytest.raises(UsageError, match="for 4 values and 2 groups"):
        anova_type_3(Z, y[:4], groups=["Intercept", "x"])
    with pytest.raises(UsageError, match="the factors of the term 'x' are missing: did you mean 'X'"):
        anova_type_2(Z, y, groups=["Intercept", "x"], factors={"X": frozenset("x")})
    with pytest.raises(
        UsageError, match="the group Intercept must be one column of ones: give other columns another group"
    ):
        anova_type_1(Z, y, groups=["x", "Intercept"])
    with pytest.raises(DataError, match="the weight of row 2 is -1"):
        anova_type_1(Z, y, groups=["Intercept", "x"], weight=[1, -1, 1, 1, 1])
    Z[1, 1] = np.nan
    with pytest.raises(DataError, match="the design matrix must hold finite numbers"):
        anova_type_1(Z, y, groups=["Intercept", "x"])
