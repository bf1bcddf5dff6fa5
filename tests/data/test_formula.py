"""Formulas: what they mean, for which R is the reference, and what is refused, each with its remedy."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formula import Factor, formula_for, parse, parse_factor, quote, term_name
from sightline.errors import DataError, FormulaError, SightlineError

COLUMNS = ["y", "a", "b", "c", "x", "z", "weight (kg)", "log"]


def names(formula, columns=COLUMNS):
    return [term_name(term) for term in parse(formula, columns).terms]


# attr(terms(formula), "term.labels") and "intercept" of R 4.2.2
R_TERMS = [
    ("y ~ a", ["a"], True),
    ("y ~ a + b - 1", ["a", "b"], False),
    ("y ~ 0 + a", ["a"], False),
    ("y ~ a + 0", ["a"], False),
    ("y ~ -1 + a", ["a"], False),
    ("y ~ a + -1", ["a"], False),
    ("y ~ 0 + 1 + a", ["a"], True),
    ("y ~ a - 0", ["a"], True),
    ("y ~ a - 1 + 1", ["a"], True),
    ("y ~ 1", [], True),
    ("y ~ a*b", ["a", "b", "a:b"], True),
    ("y ~ a:b + a", ["a", "a:b"], True),
    ("y ~ b:a + a", ["a", "b:a"], True),
    ("y ~ a + b:a", ["a", "a:b"], True),
    ("y ~ z:x + x", ["x", "z:x"], True),
    ("y ~ (a + b + c)^2", ["a", "b", "c", "a:b", "a:c", "b:c"], True),
    ("y ~ (a + b + c)**3", ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"], True),
    ("y ~ a*b*c - a:b:c", ["a", "b", "c", "a:b", "a:c", "b:c"], True),
    ("y ~ a*b - b:a", ["a", "b"], True),
    ("y ~ (a + b):(c + x)", ["a:c", "a:x", "b:c", "b:x"], True),
    ("y ~ (a:b + c)^2", ["c", "a:b", "a:b:c"], True),
    ("y ~ a*(b + c)", ["a", "b", "c", "a:b", "a:c"], True),
    ("y ~ a + b*c:x", ["a", "b", "c:x", "b:c:x"], True),
    ("y ~ x + x + x:x + x^2 + x*x", ["x"], True),
    ("y ~ a + (b - a)", ["a", "b"], True),
    ("y ~ a - (a - b)", [], True),
    ("y ~ -a + a", ["a"], True),
    ("y ~ ((a)) + (((b)))", ["a", "b"], True),
    ("y ~ I(x*2) + I(x ** 2) + I( x^2 ) + log( x+1 )", ["I(x * 2)", "I(x^2)", "log(x + 1)"], True),
    ("y ~ I((x+z)*2) + I(x-(z-1)) + I(x/(z*2))", ["I((x + z) * 2)", "I(x - (z - 1))", "I(x/(z * 2))"], True),
    ("y ~ I((x^2)^3) + I(x^2^3) + I((-x)^2)", ["I((x^2)^3)", "I(x^2^3)", "I((-x)^2)"], True),
    ("y ~ I(-x^2) + I(2^-x) + I(x - -z)", ["I(-x^2)", "I(2^-x)", "I(x - -z)"], True),
    ("y ~ . - z - log - `weight (kg)`", ["a", "b", "c", "x"], True),
    ("sqrt(y) ~ .:x - z:x", ["x", "a:x", "b:x", "c:x", "x:weight (kg)", "x:log"], True),
]


@pytest.mark.parametrize(("text", "terms", "intercept"), R_TERMS)
def test_meaning_is_that_of_r(text, terms, intercept):
    formula = parse(text, COLUMNS)
    assert [term_name(term) for term in formula.terms] == terms
    assert formula.intercept is intercept


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("log(x)", "log(x)"),
        ("log ( x\n)", "log(x)"),
        ("I(a*b)", "I(a * b)"),
        ("I(x**2)", "I(x^2)"),
        ("I(+x)", "I(x)"),
        ("I((x))", "I(x)"),
        ("I(x * 2.50 + 1e3)", "I(x * 2.5 + 1000)"),
        ("I(log(x) / sqrt(z))", "I(log(x)/sqrt(z))"),
        ("scale(log(abs(x) + 1))", "scale(log(abs(x) + 1))"),
        ("poly(x,2)", "poly(x, 2)"),
        ("poly(x, degree = 2, raw = TRUE)", "poly(x, degree=2, raw=True)"),
        ("bs(x,df=4)", "bs(x, df=4)"),
        ("C(a)", "C(a)"),
        ("C( a, reference = 'b' )", 'C(a, reference="b")'),
        (r'C(a, reference="say \"b\" \\")', r'C(a, reference="say \"b\" \\")'),
        ("C(a, reference=-4)", "C(a, reference=-4)"),
        ("`weight (kg)`", "weight (kg)"),
        ("log(`weight (kg)`)", "log(`weight (kg)`)"),
        ("log(`.`)", "log(`.`)"),
        ("C(`weight (kg)`)", "C(`weight (kg)`)"),
        ("`x`", "x"),
        ("`a``b`", "a`b"),
        ("größe", "größe"),
        ("a.b_1", "a.b_1"),
        (".x", ".x"),
        ("log", "log"),
    ],
)
def test_canonical_text(typed, canonical):
    factor = parse_factor(typed)
    assert factor.text == canonical
    assert parse(f"y ~ {typed}").terms == ((factor,),)


def test_a_factor_knows_its_place_and_its_columns():
    formula = parse("log(y) ~ a + I(x + z*x) - b")
    factor = formula.terms[1][0]
    assert (factor.start, factor.end) == (13, 23)
    assert factor.columns == ("x", "z")
    assert formula.columns == ("y", "a", "x", "z")
    assert formula.response.text == "log(y)"


def test_equal_factors_are_equal_wherever_they_stand():
    assert parse_factor("I(x**2)") == Factor("I(x^2)", parse_factor("I( x ^ 2 )").expression, 7, 9)
    assert parse("y ~ `log(x)` + log(x)").terms[0] != parse("y ~ `log(x)` + log(x)").terms[1]


def test_a_column_may_have_the_name_of_a_function():
    assert names("y ~ log + log(x)") == ["log", "log(x)"]


def test_response_of_several_columns_may_share_one_with_the_features():
    assert names("I(y - x) ~ x") == ["x"]
    assert names("I(y - x) ~ . - c - log - `weight (kg)`") == ["a", "b", "z"]


def test_removed_terms_are_not_used():
    assert parse("y ~ . - z", ["y", "x", "z"]).columns == ("y", "x")
    assert parse("y ~ y + x - y").columns == ("y", "x")


FORMULA_ERRORS = [
    ("", "the formula is empty: write the response"),
    ("  \n", "the formula is empty"),
    ("x", "has no response: write the column to explain before a ~, as in weight ~ height"),
    ("~ x", "has no response"),
    ("y = x", "has no response"),
    ("y ~", "nothing follows the ~: name a column"),
    ("y ~ x ~ a", "has 2 ~: write one"),
    ("y ~ (x ~ a)", "has 2 ~: write one"),
    ("y ~ x[1]", r"may not use '\[': allowed are \+ - : \* \^ \( \) 0 1 \. and the functions log, "),
    ("y ~ x % a", "may not use '%'"),
    ("y ~ x @ a", "may not use '@'"),
    ("y ~ x | a", r"may not use '\|'"),
    ("y ~ x; a", "may not use ';'"),
    ("y ~ {x}", "may not use '{'"),
    ("y ~ x < 3", "may not use '<'"),
    ("y ~ x \u2212 a", "may not use '\u2212'"),
    ("y ~ x\x00", r"may not use '\\x00'"),
    ("y ~ x == 3", "may not use '=' here: .* nothing is compared"),
    ("y ~ a/b", r"may not use '/' here: division goes inside I\(\.\.\.\)"),
    ("y ~ a, b", r"may not use ',' here: .* terms are joined with \+"),
    ("y ~ I(a:b)", r"may not use ':' here: interactions stand outside of functions"),
    ("y ~ lgo(x)", "unknown function 'lgo': did you mean 'log'[?]"),
    ("y ~ os.system(x)", "unknown function 'os.system'"),
    ("y ~ x + lag(x, 1)", "unknown function 'lag'"),
    ("y ~ a b", r"an operator is missing before 'b': write \+ between two terms"),
    ("y ~ (a)(b)", r"an operator is missing before '\(': write \+ or \* between the two"),
    ("y ~ (lambda: x)()", r"an operator is missing before '\('"),
    ("y ~ log(x)(x)", r"an operator is missing before '\('"),
    ("y ~ I((x)(x))", r"an operator is missing before '\('"),
    ("y ~ 2x", "'2' cannot be a term"),
    ("y ~ x 2", "an operator is missing before '2'"),
    ("y ~ 2*x", r"'2' cannot be a term: .* as in I\(2\*x\)"),
    ("y ~ 1*x", r"0 and 1 cannot be joined by '\*': add or subtract them at the end"),
    ("y ~ a:(b - 1)", "0 and 1 cannot be joined by ':'"),
    ("y ~ (a + 1)^2", r"0 and 1 cannot be joined by '\^'"),
    ("y ~ x + 0.5", "'0.5' cannot be a term"),
    ("y ~ 1e999", "the number '1e999' is too large: write a smaller one"),
    ("y ~ (a", r"this '\(' is never closed: add the '\)'"),
    ("y ~ log(a", r"this '\(' is never closed"),
    ("y ~ a)", r"this '\)' has no '\(' before it: remove it"),
    ("y ~ ()", r"a column is missing before '\)'"),
    ("y ~ log()", r"a column is missing before '\)'"),
    ("y ~ a +", r"ends too early: a column is missing after '\+'"),
    ("y ~ a + * b", r"a column is missing before '\*'"),
    ("y ~ a + -b", "a column is missing before '-'"),
    ("y ~ * a", r"a column is missing before '\*'"),
    ("y ~ 'a'", "'a' is a text in quotes, which may only stand in C.* between backticks"),
    ("y ~ 'a", "this quote is never closed"),
    ("y ~ `a", "this backtick is never closed"),
    ("y ~ `log`(x)", "between backticks is a column, not a function"),
    ("y ~ log(x, 2)", r"log\(\.\.\.\) takes one argument only: remove the comma"),
    ("y ~ log(2)", r"log\(\.\.\.\) names no column here"),
    ("y ~ log(.)", "inside a function '.' cannot stand for all columns"),
    ("y ~ log(C(a))", r"C\(\.\.\.\) cannot stand inside another function"),
    ("y ~ I(x, raw=True)", "takes one argument only"),
    ("y ~ C(a + b)", r"may not|operator|column|closed"),
    ("y ~ C(log(a))", r"C\(\.\.\.\) takes the name of one column"),
    ("y ~ C(a, 'b')", r"C\(\.\.\.\) takes reference=\.\.\. behind the column, each once and by name"),
    ("y ~ C(a, reference=b)", 'reference= must be a category: a text in quotes, as in "b", or a number'),
    ("y ~ C(a, levels=2)", r"C\(\.\.\.\) takes reference="),
    ("y ~ C(a, reference='b', reference='c')", "each once"),
    ("y ~ poly(x, 2, 3)", r"poly\(\.\.\.\) takes degree=\.\.\. and raw=\.\.\."),
    ("y ~ poly(x, degree=1.5)", "degree= must be a whole number"),
    ("y ~ poly(x, degree=-1)", "degree= must be a whole number"),
    ("y ~ poly(x, 2, raw=maybe)", "raw= must be True or False"),
    ("y ~ bs(x, df='4')", "df= must be a whole number"),
    ("y ~ x^11", r"whole number from 1 to 10, .* for the power of a column write I\(x\^2\)"),
    ("y ~ x^0", "whole number from 1 to 10"),
    ("y ~ x^1.5", "whole number from 1 to 10"),
    ("y ~ x^" + "0" * 5000 + "2", "whole number from 1 to 10"),
    ("y ~ x^a", "whole number from 1 to 10"),
    ("y ~ x^", "whole number from 1 to 10"),
    (
        "y + a ~ x",
        r"one column or one function call: put arithmetic inside I\(\.\.\.\), as in I\(y/100\) ~ x",
    ),
    ("1 ~ x", "'1' is a number: name a column here"),
    (". ~ x", "'.' stands for all other columns: name one column here"),
    ("C(y) ~ x", r"C\(\.\.\.\) cannot be the response"),
    ("poly(y, 2) ~ x", r"poly\(\.\.\.\) cannot be the response"),
    ("y ~ y + x", "'y' is the target and a feature too: remove it from the right"),
    ("y ~ x:y", "'y' is the target and a feature too"),
    ("log(y) ~ x + sqrt(y)", "'y' is the target and a feature too"),
    ("y ~ 0", "no term and no intercept, so nothing is fitted"),
    ("y ~ x - x - 1", "no term and no intercept"),
    ("y ~ " + "x + " * 3000 + "x", "12,005 characters, more than 10,000: shorten it"),
    ("y ~ " + "(" * 101 + "x" + ")" * 101, "nested deeper than 100 levels"),
    ("y ~ I(" + "-" * 200 + "x)", "nested deeper than 100 levels"),
    ("y ~ I(" + "x^" * 200 + "x)", "nested deeper than 100 levels"),
    ("y ~ (" + " + ".join(string.ascii_lowercase[:24]) + ")^10", "more than 10,000 terms"),
    ("y ~ " + "*".join(string.ascii_lowercase[:20]), "more than 10,000 terms"),
    ("y ~ (" + "):(".join(["*".join(string.ascii_lowercase[:12])] * 2) + ")", "more than 10,000 terms"),
]


@pytest.mark.parametrize(("text", "message"), FORMULA_ERRORS)
def test_refused_with_a_remedy(text, message):
    with pytest.raises(FormulaError, match=message) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message


def test_the_caret_stands_under_the_place():
    with pytest.raises(FormulaError) as caught:
        parse("y ~ a + lgo(x)")
    assert caught.value.detail == "  y ~ a + lgo(x)\n          ^^^"


def test_the_caret_of_a_long_formula_stays_on_one_line():
    with pytest.raises(FormulaError) as caught:
        parse("y ~ " + "x + " * 200 + "lgo(x)" + " + x" * 200)
    line, mark = caught.value.detail.splitlines()
    assert len(line) < 100
    assert line[mark.index("^") :].startswith("lgo(x)")


def test_the_caret_counts_wide_letters_and_hides_control_characters():
    with pytest.raises(FormulaError) as caught:
        parse("高 ~\n\u202ex")
    assert caught.value.detail.splitlines() == ["  高 ~  x", "       ^"]


def test_the_formula_must_be_text():
    with pytest.raises(FormulaError, match="a formula is a text, not int"):
        parse(3)


def test_dot_needs_columns_and_something_to_stand_for():
    with pytest.raises(FormulaError, match="which are not known here: name the columns"):
        parse("y ~ .")
    with pytest.raises(FormulaError, match=r"stands for no column, .* write 1 for the mean alone"):
        parse("y ~ .", ["y"])


def test_unknown_column_names_the_nearest_and_shows_the_place():
    with pytest.raises(DataError, match=r"no column 'heigth' in the data: did you mean 'height'[?]") as caught:
        parse("weight ~ heigth", ["height", "weight"])
    assert caught.value.detail == "  weight ~ heigth\n           ^^^^^^"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("text", ["Y ~ x", "y ~ x - w", "y ~ I(x + w)", "y ~ C(w)", "w(y) ~ x", "y ~ x.__class__"])
def test_every_name_is_checked(text):
    with pytest.raises((DataError, FormulaError), match=r"no column|unknown function"):
        parse(text, ["x", "y"])


def test_large_but_legal_formulas_are_read():
    assert len(parse("y ~ I(" + "x + " * 2400 + "x)").terms) == 1
    assert len(parse("y ~ " + "(" * 100 + "x" + ")" * 100).terms) == 1
    assert len(parse("y ~ " + " + ".join(f"x{i}" for i in range(1200))).terms) == 1200
    assert len(parse("y ~ .", ["y", *(f"x{i}" for i in range(10_000))]).terms) == 10_000
    assert len(parse("y ~ .^2", ["y", *(f"x{i}" for i in range(100))]).terms) == 5050


@given(st.lists(st.text(max_size=12), min_size=2, max_size=6, unique=True))
def test_any_column_name_can_be_quoted(columns):
    formula = parse(formula_for(columns[0], columns), columns)
    assert formula.response.text == columns[0]
    assert [term_name(term) for term in formula.terms] == columns[1:]
    assert formula.columns == tuple(columns)


@given(st.recursive(
    st.sampled_from(["x", "`odd name`", "2", "0.5", "1e-7", "123456789012345678"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(list("+-*/^")), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda t: f"-({t})"),
        inner.map(lambda t: f"log({t} + x)"),
    ),
    max_leaves=12,
))  # fmt: skip
def test_canonical_text_reads_back_as_the_same(arithmetic):
    factor = parse_factor(f"I(x + ({arithmetic}))")
    assert parse_factor(factor.text) == factor


def test_quote():
    assert [quote(n) for n in ("height", "a.b", "é", "_", ".x")] == ["height", "a.b", "é", "_", ".x"]
    assert [quote(n) for n in ("", ".", "1x", ".1", "a b", "a:b", "a`b", "~")] == [
        "``", "`.`", "`1x`", "`.1`", "`a b`", "`a:b`", "`a``b`", "`~`",
    ]  # fmt: skip


def test_formula_for():
    assert formula_for("weight", ["height", "weight", "shoe size"]) == "weight ~ height + `shoe size`"
    wide = ["y", *(f"column{i}" for i in range(3000))]
    assert len(parse(formula_for("y", wide), wide).terms) == 3000
    with pytest.raises(DataError, match="no column 'wieght' in the data: did you mean 'weight'"):
        formula_for("wieght", ["height", "weight"])
    with pytest.raises(DataError, match="no column but the target 'weight'"):
        formula_for("weight", ["weight"])


def test_parse_factor_reads_one_factor_only():
    for text in ("a + b", "a:b", "", ".", "1", "log(x) x"):
        with pytest.raises(SightlineError):
            parse_factor(text)
