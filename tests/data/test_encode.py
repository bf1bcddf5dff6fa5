"""Encodings: equal to formulaic and R column by column, the same for every table; refusals with remedies."""

import json
import math

import formulaic
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.made import DATA, as_table, learn, random_columns, table

from sightline.data.encode import Encoding
from sightline.data.formula import parse
from sightline.data.usable import complete_rows
from sightline.errors import DataError, FormulaError, RunError, UsageError


def by_formulaic(text, columns):
    """The columns of formulaic, with the whole numbers of `k` as such, which it then names as R does."""
    frame = pd.DataFrame(columns).astype({"k": int})
    context = {"sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "log2": np.log2}
    design = formulaic.model_matrix(text, frame, context=context).rhs.drop(columns="Intercept", errors="ignore")
    return list(design.columns), design.to_numpy(float)


FORMULAIC = [
    "y ~ x", "y ~ x + z", "y ~ x*z", "y ~ 0 + x", "y ~ a", "y ~ 0 + a", "y ~ a + b", "y ~ 0 + a + b",
    "y ~ 0 + x + a", "y ~ a*b", "y ~ 0 + a*b", "y ~ x*a", "y ~ x:a", "y ~ 0 + x:a", "y ~ x + x:a",
    "y ~ a + a:b", "y ~ a + a:x", "y ~ (a + b + x)^2", "y ~ (a + b + x)**3", "y ~ a*b*x", "y ~ a*b*C(k)",
    "y ~ x:z:a", "y ~ x:a + x:b", "y ~ 0 + a:b", "y ~ C(k)", "y ~ 0 + C(k)", "y ~ C(a)*x", "y ~ C(k):b + b",
    "y ~ k + C(k)", "y ~ a*b - a:b", "y ~ a*b*x - a:b:x",
    "y ~ log(x) + exp(x) + sqrt(x) + abs(z) + sin(z) + cos(z)", "y ~ log2(x) + log10(x)",
    "y ~ center(x) + scale(z)", "y ~ a*center(x)", "y ~ scale(x):scale(z)",
    "y ~ I(x*2) + I(x + z) + I(x - z*2)", "y ~ I(x*z):a", "y ~ log(x):b",
    "y ~ poly(x, 2)", "y ~ poly(z, 5)", "y ~ a*poly(z, 2)", "y ~ 0 + poly(x, 2):a", "y ~ poly(scale(x), 3) + x:z",
    "y ~ bs(x, df=5)", "y ~ bs(z, df=6, degree=2)", "y ~ bs(x, df=4)*b", "y ~ poly(x, 2):bs(z, df=4)",
    "y ~ scale(log(x)) + center(abs(z))", "y ~ .", "y ~ . - a", "y ~ (x + z)^2 + a",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAIC)
@pytest.mark.parametrize("seed", [1, 2])
def test_columns_equal_those_of_formulaic(text, seed):
    columns = random_columns(seed)
    encoding = learn(text, as_table(columns))
    names, values = by_formulaic(text, columns)
    assert list(encoding.terms) == names
    np.testing.assert_allclose(encoding.matrix(as_table(columns)), values, rtol=1e-12, atol=1e-12)


@st.composite
def hierarchical(draw):
    """A formula in which every interaction stands with its main effects, where formulaic and R agree."""
    parts = ["x", "z", "a", "b", "C(k)", "log(x)", "scale(z)", "I(x * z)", "poly(x, 2)", "bs(z, df=4)"]
    groups = draw(
        st.lists(st.lists(st.sampled_from(range(10)), min_size=1, max_size=3, unique=True), min_size=1, max_size=3)
    )
    crossed = " + ".join("*".join(parts[place] for place in sorted(group)) for group in groups)
    order = " + ".join(parts[place] for place in sorted({place for group in groups for place in group}))
    return f"y ~ {draw(st.sampled_from(['', '0 + ', '-1 + ']))}{order} + {crossed}"


@settings(max_examples=60, deadline=None)
@given(hierarchical(), st.integers(0, 3))
def test_random_formulas_equal_formulaic(text, seed):
    columns = random_columns(seed)
    encoding = learn(text, as_table(columns))
    names, values = by_formulaic(text, columns)
    assert list(encoding.terms) == names
    np.testing.assert_allclose(encoding.matrix(as_table(columns)), values, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(hierarchical(), st.integers(0, 3), st.integers(1, 40))
def test_rows_with_gaps_are_left_out_as_formulaic_does_and_blocks_make_the_whole(text, seed, size):
    frame = pd.DataFrame(random_columns(seed, n=60))
    chance = np.random.default_rng(seed)
    for name in frame:
        frame.loc[chance.random(60) < 0.04, name] = None if frame[name].dtype == object else np.nan
    columns = {n: [None if v is None or v != v else v for v in c] for n, c in frame.to_dict("list").items()}
    numbers = {n: [math.nan if v is None else v for v in columns[n]] for n in "yxzk"}
    formula = parse(text, tuple(columns))
    complete, missing = complete_rows(table(**{**columns, **numbers}), formula.columns)
    used = frame.dropna(subset=list(formula.columns))
    assert missing.rows == 60 - len(used) > 0
    encoding = Encoding.learn(formula, complete)
    whole = encoding.matrix(complete)
    names, values = by_formulaic(text, {n: used[n].fillna(0) if n in "yxzk" else used[n] for n in used})
    assert list(encoding.terms) == names
    np.testing.assert_allclose(whole, values, rtol=1e-11, atol=1e-11)
    for start in range(0, complete.rows, size):
        keep = (np.arange(complete.rows) >= start) & (np.arange(complete.rows) < start + size)
        assert (encoding.matrix(complete.take(keep)) == whole[keep]).all()


# colnames(model.matrix(...)) of R 4.2.2, where formulaic differs; written with brackets around the category
R_CODING = [
    ("y ~ a:b", "a[p]:b[u] a[q]:b[u] a[r]:b[u] a[p]:b[v] a[q]:b[v] a[r]:b[v]"),
    ("y ~ x:a + a:b", "x:a[p] x:a[q] x:a[r] a[p]:b[T.v] a[q]:b[T.v] a[r]:b[T.v]"),
    ("y ~ 0 + x + x:a", "x x:a[p] x:a[q] x:a[r]"),
    ("y ~ b:a + a", "a[T.q] a[T.r] b[T.v]:a[p] b[T.v]:a[q] b[T.v]:a[r]"),
    ("y ~ a:x + b:x", "a[p]:x a[q]:x a[r]:x x:b[T.v]"),
    ("y ~ a - 1 + x:b", "a[p] a[q] a[r] x:b[u] x:b[v]"),
    ("y ~ x + z:x", "x x:z"),
    ("y ~ a + x:a", "a[T.q] a[T.r] a[p]:x a[q]:x a[r]:x"),
    ("y ~ -1 + b + a", "b[u] b[v] a[T.q] a[T.r]"),
]


@pytest.mark.parametrize(("text", "terms"), R_CODING)
def test_where_formulaic_differs_r_is_followed(text, terms):
    assert " ".join(learn(text, DATA).terms) == terms


def test_values_of_an_interaction():
    data = table(y=[1, 2, 3, 4], x=[5, 6, 7, 8], g=["b", "a", "b", "c"])
    encoding = learn("y ~ x*g", data)
    assert encoding.terms == ("x", "g[T.b]", "g[T.c]", "x:g[T.b]", "x:g[T.c]")
    assert encoding.column_groups == ("x", "g", "g", "x:g", "x:g")
    assert encoding.matrix(data).tolist() == [
        [5, 1, 0, 5, 0], [6, 0, 0, 0, 0], [7, 1, 0, 7, 0], [8, 0, 1, 0, 8],
    ]  # fmt: skip
    assert encoding.response(data).tolist() == [1, 2, 3, 4]


def test_expressions():
    data = table(y=[4, 9, 16], x=[1, 2, 4], z=[2, 3, 5])
    encoding = learn("sqrt(y) ~ I(x^2) + I(-x^2) + I((x + z)/2) + I(2^-x) + I(x**0.5) + log1p(x - 1) + I(x - -z)", data)
    x, z = np.array([1.0, 2, 4]), np.array([2.0, 3, 5])
    expected = [x * x, -x * x, (x + z) / 2, 0.5**x, np.sqrt(x), np.log(x), x + z]
    np.testing.assert_allclose(encoding.matrix(data), np.column_stack(expected), rtol=1e-15)
    assert encoding.response(data).tolist() == [2, 3, 4]


def test_a_square_is_exactly_the_product():
    x = np.random.default_rng(0).normal(size=1000)
    data = table(y=x.tolist(), x=(x * 3).tolist())
    assert (learn("y ~ I(x^2)", data).matrix(data)[:, 0] == (x * 3) ** 2).all()


def test_reference_comes_first():
    data = table(y=[1, 2, 3], g=["a", "b", "c"], k=[4, 6, 8])
    encoding = learn('y ~ C(g, reference="b")', data)
    assert encoding.terms == ('C(g, reference="b")[T.a]', 'C(g, reference="b")[T.c]')
    assert learn("y ~ C(k, reference=6)", data).terms == ("C(k, reference=6)[T.4]", "C(k, reference=6)[T.8]")
    assert learn("y ~ C(k, reference='8')", data).terms[0] == 'C(k, reference="8")[T.4]'
    assert learn('y ~ 0 + C(g, reference="b")', data).matrix(data).tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
    ]


def test_levels_of_numbers_are_sorted_by_size_and_those_of_text_by_character():
    data = table(y=[1, 2, 3, 4], k=[10, 9, -1, 0.5], t=["10", "9", "-1", "0.5"], m=["10", 9, "b", "a"])
    assert learn("y ~ 0 + C(k)", data).terms == ("C(k)[-1]", "C(k)[0.5]", "C(k)[9]", "C(k)[10]")
    assert learn("y ~ 0 + t", data).terms == ("t[-1]", "t[0.5]", "t[10]", "t[9]")
    assert learn("y ~ 0 + C(m)", data).terms == ("C(m)[10]", "C(m)[9]", "C(m)[a]", "C(m)[b]")


def test_state_is_learned_once():
    train, new = table(y=[1, 2, 3], x=[1, 2, 6]), table(x=[10])
    encoding = learn("y ~ center(x) + scale(x) + scale(log(x))", train)
    logs = np.log([1.0, 2, 6])
    expected = [10 - 3, (10 - 3) / math.sqrt(7), (math.log(10) - logs.mean()) / logs.std(ddof=1)]
    np.testing.assert_allclose(encoding.matrix(new), [expected], rtol=1e-14)


def test_stateful_response():
    train = table(y=[1, 2, 6], x=[1, 2, 3])
    encoding = learn("center(y) ~ x", train)
    assert encoding.response(table(y=[3, 10], x=[1, 2])).tolist() == [0, 7]


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_center_and_scale_do_not_overflow(scale):
    data = table(y=[1, 2, 3], x=[1 * scale, 2 * scale, 6 * scale])
    np.testing.assert_allclose(learn("y ~ scale(x)", data).matrix(data)[:, 0], np.array([-2, -1, 3]) / math.sqrt(7))


def test_an_intercept_alone_has_no_columns():
    encoding = learn("y ~ 1", DATA)
    assert encoding.terms == encoding.column_groups == ()
    assert encoding.matrix(DATA).shape == (40, 0)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(FORMULAIC + [text for text, _ in R_CODING]),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_new_rows_get_the_rows_of_the_whole(text, chosen):
    encoding, keep = learn(text, DATA), np.array(chosen)
    assert (encoding.matrix(DATA.take(keep)) == encoding.matrix(DATA)[keep]).all()
    assert (encoding.response(DATA.take(keep)) == encoding.response(DATA)[keep]).all()
    assert len(encoding.column_groups) == len(encoding.terms) == encoding.matrix(DATA).shape[1]


@pytest.mark.parametrize("text", FORMULAIC + [text for text, _ in R_CODING])
def test_json_round_trip(text):
    encoding = learn(text, DATA)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert again == encoding
    assert again.terms == encoding.terms
    assert (again.matrix(DATA) == encoding.matrix(DATA)).all()


def test_json_of_odd_names():
    columns = {"y`": [1, 2, 3], "a:b": [1, 2, 4], "<b>\n": ["`", '"', "\\"], "": [1, 0, 5]}
    data = table(**columns)
    encoding = learn('`y``` ~ `a:b`*`` + C(`<b>\n`, reference="\\"") + log(`a:b`)', data)
    assert encoding.terms[:2] == ("a:b", "")
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding


def test_hostile_labels_are_only_labels():
    labels = ["__import__('os')", "]", "[T.x]", "a:b", "", " ", "\x1b[31m", "<script>", "{x}", "1e400"]
    data = table(y=list(range(10)), g=labels)
    encoding = learn("y ~ 0 + g", data)
    assert sorted(encoding.terms) == sorted(f"g[{label}]" for label in labels)
    assert (encoding.matrix(data).sum(axis=1) == 1).all()


def test_column_kinds_may_change_where_the_labels_do_not():
    encoding = learn("y ~ C(k)", table(y=[1, 2, 3], k=[4, 6, 8]))
    assert encoding.matrix(table(k=["6", "4"])).tolist() == [[1, 0], [0, 0]]


VALUE_ERRORS = [
    (
        "y ~ log(x)",
        {"x": [1, -2, 3]},
        r"data.csv line 3, column x: log\(x\) has no value at x = -2, since a logarithm needs",
    ),
    (
        "y ~ log(x)",
        {"x": [1, 2, 0]},
        r"line 4, .* needs a number above 0; correct the cell, remove the row, or leave",
    ),
    ("y ~ log2(x)", {"x": [1, 2, 0]}, "needs a number above 0"),
    ("y ~ log10(x)", {"x": [1, 2, 0]}, "needs a number above 0"),
    ("y ~ log1p(x)", {"x": [1, 2, -1]}, "log1p needs a number above -1"),
    ("y ~ sqrt(x)", {"x": [1, -0.5, 0]}, r"sqrt\(x\) has no value at x = -0.5, since a square root needs"),
    ("y ~ I(1/x)", {"x": [1, 2, 0]}, "1/x has no value at x = 0, since it divides by zero"),
    (
        "y ~ I(x/z)",
        {"x": [0, 2, 0], "z": [1, 0, 2]},
        "line 3, columns x, z: x/z has no value at x = 2, z = 0",
    ),
    ("y ~ I(x^0.5)", {"x": [1, 2, -1]}, r"x\^0.5 has no value .* the power is too large, or no real number"),
    ("y ~ I(x^-1)", {"x": [1, 2, 0]}, r"x\^-1 has no value"),
    ("y ~ exp(x)", {"x": [1, 2, 1000]}, r"exp\(x\) has no value at x = 1000, since the result is too large"),
    (
        "y ~ I(x*x)",
        {"x": [1, 2, 1e200]},
        r"x \* x has no value at x = 1e\+200, since the result is too large",
    ),
    ("y ~ I(1/x)", {"x": [1, 2, 1e-310]}, "the result is too large"),
    (
        "y ~ x:z",
        {"x": [1, 2, 1e200], "z": [1, 2, 1e200]},
        "line 4, columns x, z: the product x:z is too large",
    ),
    ("y ~ g:x:z", {"x": [1, 2, 1e200], "z": [1, 2, 1e200], "g": list("aba")}, "columns g, x, z: the product"),
    (
        "y ~ scale(x)",
        {"x": [0.1, 0.1, 0.1]},
        r"scale\(x\) has no value at x = 0.1, since scale needs values that differ",
    ),
    ("y ~ log(center(x))", {"x": [1, 2, 6]}, r"log\(center\(x\)\) has no value at x = 1"),
    ("y ~ sqrt(log(x) - 9)", {"x": [1, 2, 6]}, r"sqrt\(log\(x\) - 9\) has no value at x = 1"),
    (
        "y ~ I(z + log(x))",
        {"x": [1, 2, 0], "z": [1, 2, 3]},
        r"line 4, column x: log\(x\) has no value at x = 0",
    ),
    (
        "y ~ x",
        {"x": [1, math.inf, 3]},
        "line 3, column x: inf is no finite number; fill it in or remove the row",
    ),
    ("y ~ C(x)", {"x": [1, math.inf, 3]}, "line 3, column x: inf is no finite number"),
    (
        "y ~ x",
        {"x": [1, math.nan, 3]},
        "line 3, column x: the value is missing; fill it in or remove the row",
    ),
    (
        "y ~ g",
        {"g": ["a", None, "b"]},
        "line 3, column g: the value is missing; fill it in or remove the row",
    ),
    (
        "y ~ x",
        {"x": [1, "17O", 3]},
        r"line 3, column x: '17O' is not a number; correct the cell, or write C\(x\)",
    ),
    (
        "y ~ log(g)",
        {"g": ["a", "b", "c"]},
        r"column 'g' of data.csv is text, so log\(g\) has no value: .* write g alone",
    ),
    (
        "y ~ g",
        {"g": ["a", "a", "a"]},
        r"column 'g' has one category only \('a'\): remove it from the formula",
    ),
    ("y ~ C(x)", {"x": [7, 7, 7]}, r"column 'x' has one category only \('7'\)"),
    (
        "y ~ C(g, reference='z')",
        {"g": list("abc")},
        "column 'g' has no category 'z' to be the reference in .*: there are: a, b, c",
    ),
    (
        "y ~ a:b + `a:b`",
        {"a": [1, 2, 3], "b": [1, 2, 3], "a:b": [1, 2, 3]},
        "both be named 'a:b': rename one of the columns",
    ),
    (
        "y ~ Intercept",
        {"Intercept": [1, 2, 3]},
        "a column is named 'Intercept', as the model's intercept: rename or omit it",
    ),
]


@pytest.mark.parametrize(("text", "columns", "message"), VALUE_ERRORS)
def test_values_are_refused_with_place_and_remedy(text, columns, message):
    data = table(y=[1, 2, 3], **columns)
    with pytest.raises(DataError, match=message) as caught:
        learn(text, data).matrix(data)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "y", "message"),
    [
        (
            "y ~ x",
            ["a", "b", "c"],
            "the target 'y' is text; a linear model needs numbers: name a column of numbers",
        ),
        ("log(y) ~ x", ["a", "b", "c"], "the target 'y' is text"),
        ("center(y) ~ x", ["a", "b", "c"], "the target 'y' is text"),
        ("y ~ x", [1, "17O", 2], "line 3, column y: '17O' is not a number"),
        ("log(y) ~ x", [1, 0, 2], r"line 3, column y: log\(y\) has no value at y = 0"),
        ("y ~ x", [1, math.nan, 2], "line 3, column y: the value is missing"),
    ],
)
def test_responses_are_refused_with_place_and_remedy(text, y, message):
    data = table(y=y, x=[1, 2, 3])
    with pytest.raises(DataError, match=message):
        learn(text, data).response(data)


def test_a_constant_without_a_value_is_the_fault_of_the_formula():
    with pytest.raises(UsageError, match=r"log\(0\) has no value|names no column"):
        learn("y ~ I(x + log(0))", DATA).matrix(DATA)
    with pytest.raises(UsageError, match=r"1/0 has no value, since it divides by zero: correct the formula"):
        learn("y ~ I(x + 1/0)", DATA).matrix(DATA)


def test_unseen_category():
    encoding = learn("y ~ g", table(y=[1, 2], g=["setosa", "virginica"]))
    with pytest.raises(
        DataError, match=r"new.csv line 3, column g: 'Setosa' is no category .* did you mean 'setosa'[?]"
    ):
        encoding.matrix(table("new.csv", g=["setosa", "Setosa"]))
    with pytest.raises(
        DataError, match=r"there are: setosa, virginica; correct the cell, or train again with such rows"
    ):
        encoding.matrix(table("new.csv", g=[5, 6]))


def test_missing_column():
    encoding = learn("y ~ x + a", DATA)
    with pytest.raises(DataError, match=r"no column 'x' in new.csv"):
        encoding.matrix(table("new.csv", X=[1], a=["p"]))


def test_an_identifier_is_no_category_unless_it_must_be():
    data = table(y=list(range(1001)), id=[f"n{i:04}" for i in range(1001)])
    with pytest.raises(DataError, match=r"'id' has 1,001 different texts, so it looks like an identifier: .* C\(id\)"):
        learn("y ~ id", data)
    assert len(learn("y ~ C(id)", data).terms) == 1000


@pytest.mark.parametrize("text", ["y ~ C(g)", "y ~ g", "y ~ x + C(g)", "y ~ C(k)"])
def test_a_hundred_thousand_categories_are_said(text):
    n = 100_000
    data = table(y=[float(i % 7) for i in range(n)], x=[1.0] * n, k=list(range(n)), g=[f"n{i}" for i in range(n)])
    message = (
        "column '[gk]' has 100,000 categories, and each takes a coefficient of its own, more than 10,000: leave it"
    )
    with pytest.raises(DataError, match=message):
        learn(text, data)


def test_a_design_beyond_the_memory_is_said(monkeypatch):
    def refuse(shape, *_, **__):
        raise MemoryError(shape)

    monkeypatch.setattr("sightline.data.encode.np.empty", refuse)
    message = r"makes 9 columns of the 40 rows of data\.csv, 0 GB, more than there is memory: leave out interactions"
    with pytest.raises(DataError, match=message):
        learn("y ~ a*b*x - a:b:x", DATA).matrix(DATA)


def test_a_design_of_absurd_width_is_refused():
    ids = [f"n{i:04}" for i in range(400)]
    data = table(y=list(range(400)), a=ids, b=ids)
    with pytest.raises(
        DataError, match=r"makes 159,999 columns of data.csv, more than 100,000: leave out interactions"
    ):
        learn("y ~ a*b", data)


def test_no_rows_and_no_response():
    with pytest.raises(DataError, match=r"data.csv has no rows with a value in every used column: add rows"):
        learn("y ~ x", table(y=[], x=[]))
    encoding = learn("y ~ x*a", DATA)
    assert encoding.matrix(DATA.take(np.zeros(40, dtype=bool))).shape == (0, 5)


GOOD = learn("y ~ x*a + scale(z)", DATA).to_dict()


def damaged(path, value):
    """GOOD with one thing replaced; a callable value makes the new from the old, `del` takes it away."""
    copy = json.loads(json.dumps(GOOD))
    *way, last = path
    place = copy
    for step in way:
        place = place[step]
    if value == "del":
        del place[last]
    else:
        place[last] = value
    return copy


DAMAGES = [
    (("target",), "del"), (("target",), None), (("target", "expression"), "y +"),
    (("target", "expression"), 3), (("target", "expression"), "__import__('os')"),
    (("target", "expression"), "C(y)"), (("target", "learned"), [1]), (("target", "learned"), "del"),
    (("target", "expression"), "poly(y, 2)"), (("target", "expression"), "scale(y)"), (("factors",), None),
    (("factors",), []), (("factors",), {"levels": 1}), (("factors", 0), "x"), (("factors", 0), 1),
    (("factors", 1, "levels"), "pqr"), (("factors", 1, "levels"), ["p"]),
    (("factors", 1, "levels"), ["p", "p"]), (("factors", 1, "levels"), ["p", 1]),
    (("factors", 1, "levels"), [["p"], ["q"]]), (("factors", 1, "levels"), None),
    (("factors", 1, "expression"), "log(a)"), (("factors", 1, "expression"), 'C(a, reference="q")'),
    (("factors", 2, "learned"), []), (("factors", 2, "learned", 0, "sd"), math.nan),
    (("factors", 2, "learned", 0, "sd"), "1"), (("factors", 2, "learned", 0, "sd"), "del"),
    (("factors", 2, "learned", 0, "function"), "center"),
    (("factors", 2, "learned", 0, "function"), "eval"), (("factors", 2, "learned", 0, "extra"), 1.0),
    (("factors", 2, "learned", 0, "mean"), 10**400), (("terms",), None), (("terms",), 5),
    (("terms", 0), {}), (("terms", 0, "factors"), [9]), (("terms", 0, "factors"), [-1]),
    (("terms", 0, "factors"), []), (("terms", 0, "factors"), ["0"]), (("terms", 0, "factors"), [0.0]),
    (("terms", 0, "factors"), [0, 0]), (("terms", 0, "factors"), [1]), (("terms", 0, "full"), [True]),
    (("terms", 0, "full"), [1]), (("terms", 0, "full"), []), (("terms", 0, "full"), None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), DAMAGES)
def test_damaged_json_is_refused(path, value):
    with pytest.raises(RunError, match=r"the encoding of the run cannot be read \(.*\): train again"):
        Encoding.from_dict(damaged(path, value))


@pytest.mark.parametrize("values", [None, 3, "x", [], {}, [1], True])
def test_what_is_no_encoding_is_refused(values):
    with pytest.raises(RunError, match="train again"):
        Encoding.from_dict(values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
paths = [path for path, _ in DAMAGES]


@given(st.sampled_from(paths), json_values)
def test_any_damage_is_refused_or_gives_an_encoding(path, value):
    try:
        encoding = Encoding.from_dict(damaged(path, value))
    except RunError:
        return
    assert Encoding.from_dict(encoding.to_dict()) == encoding


@pytest.mark.parametrize("text", ["y ~ x"])
def test_a_formula_without_response_cannot_be_learned(text):
    formula = parse(text)
    with pytest.raises(FormulaError, match="has no response"):
        Encoding.learn(type(formula)(text, None, formula.terms, True), DATA)
