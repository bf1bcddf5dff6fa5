"""Linear hypotheses as texts: what they mean, against patsy's reader of linear constraints, and what is refused."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import patsy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import FormulaError
from sightline.linear.hypotheses import linear_hypotheses

TERMS = [
    "Intercept", "height", "weight", "a", "b", "c", "ab", "odd name", "Species[T.virginica]", "Species[T.versicolor]",
    "log(wt)", "log(x + 1)", "I(x^2)", "a:b", "poly(x, 2)[1]", "poly(x, 2)[2]", "odd name:b", "g-h[T.b]", "1990", "x - y",
    "x", "y", "a.b", "cost (€)", "tick`s", "größe", "5 year", "C(g, reference=\"b\")[T.a, 1]", "height:weight", "(x)", "I((a + b)^2)",
]  # fmt: skip


def read(text):
    """Each equation as a mapping from names to numbers, the constant under its own name."""
    found = linear_hypotheses(text, TERMS)
    return [
        {TERMS[j]: row[j] for j in np.flatnonzero(row)} | ({"=": c} if c else {})
        for row, c in zip(found.L.tolist(), found.c.tolist(), strict=True)
        for row in [np.array(row)]
    ]


MEANINGS = {
    "height = 0.5": [{"height": 1, "=": 0.5}],
    "height": [{"height": 1}],
    "Intercept": [{"Intercept": 1}],
    "height = weight": [{"height": 1, "weight": -1}],
    "2*a - b = 1": [{"a": 2, "b": -1, "=": 1}],
    "a = b = 0": [{"a": 1, "b": -1}, {"b": 1}],
    "1 = a = b": [{"a": -1, "=": -1}, {"a": 1, "b": -1}],
    "a = 0, b = 0": [{"a": 1}, {"b": 1}],
    "a, b": [{"a": 1}, {"b": 1}],
    "a == 1": [{"a": 1, "=": 1}],
    "`odd name` = 1": [{"odd name": 1, "=": 1}],
    "odd name = 1": [{"odd name": 1, "=": 1}],
    "Species[T.virginica] - Species[T.versicolor]": [{"Species[T.virginica]": 1, "Species[T.versicolor]": -1}],
    "log(wt)": [{"log(wt)": 1}],
    "log( wt ) = log(x+1)": [{"log(wt)": 1, "log(x + 1)": -1}],
    "I(x^2) = I( x ^ 2 ) + a": [{"a": -1}],
    "I((a+b)^2)": [{"I((a + b)^2)": 1}],
    "a:b": [{"a:b": 1}],
    "a : b": [{"a:b": 1}],
    "`a`:`b`": [{"a:b": 1}],
    "poly(x, 2)[1], poly(x,2)[2] = 3": [{"poly(x, 2)[1]": 1}, {"poly(x, 2)[2]": 1, "=": 3}],
    "odd name:b": [{"odd name:b": 1}],
    "`odd name`:b": [{"odd name:b": 1}],
    "g-h[T.b]": [{"g-h[T.b]": 1}],
    "`g-h`[T.b]": [{"g-h[T.b]": 1}],
    "`1990` = 1990": [{"1990": 1, "=": 1990}],
    "x - y": [{"x - y": 1}],
    "x-y": [{"x": 1, "y": -1}],
    "x -y": [{"x": 1, "y": -1}],
    "`x` - `y`": [{"x": 1, "y": -1}],
    "`x - y` = x": [{"x - y": 1, "x": -1}],
    "a.b = ab": [{"a.b": 1, "ab": -1}],
    "cost (€)": [{"cost (€)": 1}],
    "`cost (€)`*2": [{"cost (€)": 2}],
    "tick`s": [{"tick`s": 1}],
    "`tick``s`": [{"tick`s": 1}],
    "größe = 1e-3": [{"größe": 1, "=": 0.001}],
    "5 year + 5*a": [{"5 year": 1, "a": 5}],
    'C(g, reference="b")[T.a, 1], a': [{'C(g, reference="b")[T.a, 1]': 1}, {"a": 1}],
    "height:weight - height": [{"height:weight": 1, "height": -1}],
    "(x) + x": [{"(x)": 1, "x": 1}],
    "(a + b)/2 = -(c - 3)*2": [{"a": 0.5, "b": 0.5, "c": 2, "=": 6}],
    "--a = -+-2": [{"a": 1, "=": 2}],
    "2 - 3*-a": [{"a": 3, "=": -2}],
    "2*3*a/4": [{"a": 1.5}],
    "a*2 + 3*b": [{"a": 2, "b": 3}],
    "((((a))))": [{"a": 1}],
    "0.1*a + 0.2*a - 0.3*a + b": [{"b": 1}],
    "a/3 = 1/3": [{"a": 1 / 3, "=": 1 / 3}],
    "a - 1 = b + 1": [{"a": 1, "b": -1, "=": 2}],
    "  a\n= 1\t": [{"a": 1, "=": 1}],
    "0e999999999*a + b": [{"b": 1}],
    "a = .5e1": [{"a": 1, "=": 5}],
    "a = 5.": [{"a": 1, "=": 5}],
}  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), MEANINGS.items(), ids=MEANINGS)
def test_meaning(text, meaning):
    assert read(text) == meaning


def test_longest_name_first():
    terms = ["a", "a:b", "a:b:c", "a + b", "b", "c"]
    assert linear_hypotheses("a:b:c", terms).L.tolist() == [[0, 0, 1, 0, 0, 0]]
    assert linear_hypotheses("a:b + c", terms).L.tolist() == [[0, 1, 0, 0, 0, 1]]
    assert linear_hypotheses("a + b", terms).L.tolist() == [[0, 0, 0, 1, 0, 0]]
    assert linear_hypotheses("b + a", terms).L.tolist() == [[1, 0, 0, 0, 1, 0]]


def test_names_that_differ_by_spaces_only_are_taken_as_written():
    terms = ["I(a + b)", "I(a+b)"]
    assert linear_hypotheses("I(a + b)", terms).L.tolist() == [[1, 0]]
    assert linear_hypotheses("I(a+b)", terms).L.tolist() == [[0, 1]]
    with pytest.raises(FormulaError, match=re.escape("no coefficient is named 'I(a  + b)'")):
        linear_hypotheses("I(a  + b)", terms)


def outcome(text, terms):
    """What is read, or the error."""
    try:
        return linear_hypotheses(text, terms)
    except FormulaError as error:
        return error


number = st.integers(-9, 9).map(str) | st.sampled_from(["0.5", "1e2", ".25"])
name = st.sampled_from(["a", "b", "c", "height", "x"])


@st.composite
def sums(draw):
    parts = draw(
        st.lists(
            st.one_of(name, number, st.tuples(number, name).map("*".join), st.tuples(name, st.just("4")).map("/".join)),
            min_size=1,
            max_size=5,
        )
    )
    text = parts[0] if parts[0][0] != "-" else f"({parts[0]})"
    for part in parts[1:]:
        wrapped = part if part[0] != "-" else f"({part})"
        text += f" {draw(st.sampled_from('+-'))} {wrapped}"
    return f"({text})" if draw(st.booleans()) else text


@given(st.lists(sums(), min_size=1, max_size=3))
def test_against_patsy(sides):
    """patsy, by whom statsmodels reads constraints, has the same arithmetic and chains."""
    terms = ["Intercept", "a", "b", "c", "height", "x"]
    text = " = ".join(sides)
    ours = outcome(text, terms)
    try:
        found = patsy.DesignInfo(terms).linear_constraint(text)
    except patsy.PatsyError:  # a side or all of them name no coefficient that does not cancel
        assert isinstance(ours, FormulaError)
        return
    theirs = np.column_stack([found.coefs, found.constants])
    rank = np.linalg.matrix_rank(found.coefs, tol=1e-9)
    if np.linalg.matrix_rank(theirs, tol=1e-9) > rank:
        assert "no coefficients can fulfil this" in ours.message
    elif isinstance(ours, FormulaError):  # one equation of the chain says nothing
        assert "names no coefficient" in ours.message
        assert rank < len(sides) - 1
    else:  # patsy compares each side with the last one: other rows, the same solutions
        both = np.vstack([theirs, np.column_stack([ours.L, ours.c])])
        assert np.linalg.matrix_rank(both, tol=1e-9) == len(ours.L) == rank


REFUSED = {
    "": ("the hypothesis is empty: name a coefficient", ""),
    "  \n": ("the hypothesis is empty", ""),
    "heigth = 1": ("no coefficient is named 'heigth': did you mean 'height'?", "heigth"),
    "species[t.virginica] = 0": ("no coefficient is named 'species[t.virginica]': did you mean 'Species[T.virginica]'?", "species[t.virginica]"),
    "a + log(q)": ("no coefficient is named 'log(q)': did you mean 'log(wt)'?", "log(q)"),
    "a:c = 1": ("no coefficient is named 'a:c': did you mean 'a:b'?", "a:c"),
    "`odd nam` = 1": ("no coefficient is named 'odd nam': did you mean 'odd name'?", "`odd nam`"),
    "a[1]": ("no coefficient is named 'a[1]'", "a[1]"),
    "abc": ("no coefficient is named 'abc'", "abc"),
    "a.c": ("no coefficient is named 'a.c'", "a.c"),
    "``": ("no coefficient is named ''", "``"),
    "`a = 1": ("this backtick is never closed: put one more behind the name", "`"),
    "a = $1": ("a hypothesis may not use '$': write coefficients, numbers and + - * / ( ) = ,", "$"),
    "a < 1": ("a hypothesis may not use '<'", "<"),
    "1 = 2": ("'1 = 2' names no coefficient: compare one with a number or another one", "1 = 2"),
    "3": ("'3' names no coefficient", "3"),
    "1990 = 0": ("'1990 = 0' names no coefficient", "1990 = 0"),
    "a = 1, 2 = 2": ("'2 = 2' names no coefficient", "2 = 2"),
    "a - a = 0": ("'a - a = 0' names no coefficient that does not cancel", "a - a = 0"),
    "a*0": ("'a*0' names no coefficient that does not cancel", "a*0"),
    "a = 1, a = 2": ("no coefficients can fulfil this together with what stands before it: leave one of them out", "a = 2"),
    "a = b, b = c, a - c = 1e-6": ("no coefficients can fulfil this", "a - c = 1e-6"),
    "0 = a = 2": ("no coefficients can fulfil this", "a = 2"),
    "a = b = 0, a = 1": ("no coefficients can fulfil this", "a = 1"),
    "a +": ("a coefficient or a number is missing at the end", ""),
    "= a": ("a coefficient or a number is missing before '='", "="),
    "a = , b": ("a coefficient or a number is missing before ','", ","),
    "a,": ("a coefficient or a number is missing at the end", ""),
    "a ** 2": ("a coefficient or a number is missing before '*'", "*"),
    "()": ("a coefficient or a number is missing before ')'", ")"),
    "(a": ("this '(' is never closed: add the ')' that belongs to it", "("),
    "(a, b)": ("this '(' is not closed before ','", "("),
    "a = (b = 0)": ("this '(' is not closed before '='", "("),
    "a) = 1": ("this ')' has no '(' before it: remove it", ")"),
    "2a": ("an operator is missing before 'a': write * to multiply, or , between hypotheses", "a"),
    "a b": ("an operator is missing before 'b'", "b"),
    "a 2": ("an operator is missing before '2'", "2"),
    "a (b)": ("an operator is missing before '('", "("),
    "a/b": ("a hypothesis cannot divide by a coefficient: divide by numbers only", "/"),
    "1/(a - a)": ("a hypothesis cannot divide by a coefficient", "/"),
    "a*b": ("a product of two coefficients is no linear hypothesis: multiply by numbers only", "*"),
    "(1 + a)*(b - 2)": ("a product of two coefficients is no linear hypothesis", "*"),
    "a/0": ("a division by zero: write another number", "/"),
    "a/(2 - 2)": ("a division by zero", "/"),
    "1e400*a": ("the number '1e400' is too large for a double: write another", "1e400"),
    "1e-400*a": ("the number '1e-400' is too small for a double", "1e-400"),
    "a = 1e-999999999": ("the number '1e-999999999' is too small for a double", "1e-999999999"),
    "1e200*1e200*a": ("a number that arises here is out of the range of a double", "1e200*1e200*a"),
    "a = " + "*".join(["1e300"] * 9): ("a number that arises here has too many digits: write a shorter one", "*"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence", "marked"), [(k, *v) for k, v in REFUSED.items()], ids=[*REFUSED])
def test_refused(text, sentence, marked):
    with pytest.raises(FormulaError) as caught:
        linear_hypotheses(text, TERMS)
    assert sentence in caught.value.message
    assert caught.value.message.count("\n") == 0
    assert caught.value.formula[caught.value.start : caught.value.end] == marked


def test_refused_by_kind_and_length():
    with pytest.raises(FormulaError, match="a hypothesis is a text, not list: write it in quotes"):
        linear_hypotheses(["a"], TERMS)
    with pytest.raises(
        FormulaError, match="the hypothesis has 10,001 characters, more than 10,000: test fewer at once"
    ):
        linear_hypotheses("a" + " " * 10_000, TERMS)
    with pytest.raises(FormulaError, match="no coefficient is named 'a': there are none"):
        linear_hypotheses("a", [])


def test_what_follows_is_dropped_and_told():
    found = linear_hypotheses("a = 0, b = 0, a + b = 0, c = 1, 2*a = -b, 3*c = 3", TERMS)
    assert found.texts == ("a = 0", "b = 0", "c = 1")
    assert found.dropped == ("a + b = 0", "2*a = -b", "3*c = 3")
    assert found.L.shape == (3, len(TERMS))
    assert found.c.tolist() == [0.0, 0.0, 1.0]
    decimal = linear_hypotheses("0.1*a = 0.3, a = 3, 0.7*b = 0.49, b = 0.7", TERMS)
    assert decimal.dropped == ("a = 3", "b = 0.7")


def test_coefficients_of_any_size_are_told_apart():
    """Columns in units that differ by 1e13 make hypotheses with such numbers, and they are independent."""
    found = linear_hypotheses("a = 0, a + 1e-13*b = 0, 1e13*c + a = 1e13, c + 1e-26*x = 2", TERMS)
    assert len(found.texts) == 4


@given(
    st.lists(
        st.lists(st.integers(-3, 3), min_size=4, max_size=4).filter(lambda row: any(row[:3])), min_size=1, max_size=5
    )
)
def test_rank_and_contradiction_against_rational_arithmetic(rows):
    """Each row kept adds to the rank of L; a contradiction is where [L c] gains rank and L does not."""

    def rank(matrix):
        matrix, done = [[Fraction(v) for v in row] for row in matrix], 0
        for column in range(len(matrix[0]) if matrix else 0):
            pivot = next((k for k in range(done, len(matrix)) if matrix[k][column]), None)
            if pivot is not None:
                matrix[done], matrix[pivot] = matrix[pivot], matrix[done]
                for k in range(done + 1, len(matrix)):
                    factor = matrix[k][column] / matrix[done][column]
                    matrix[k] = [u - factor * v for u, v in zip(matrix[k], matrix[done], strict=True)]
                done += 1
        return done

    text = ", ".join(f"({a})*a + ({b})*b + ({c})*c = {d}" for a, b, c, d in rows)
    kept = []
    for i, row in enumerate(rows):
        before, after = [rows[k] for k in kept], [*(rows[k] for k in kept), row]
        if rank([r[:3] for r in after]) > rank([r[:3] for r in before]):
            kept.append(i)
        elif rank(after) > rank(before):
            with pytest.raises(FormulaError, match="no coefficients can fulfil this"):
                linear_hypotheses(text, ["a", "b", "c"])
            return
    found = linear_hypotheses(text, ["a", "b", "c"])
    assert np.column_stack([found.L, found.c]).tolist() == [[float(v) for v in rows[k]] for k in kept]
    assert len(found.dropped) == len(rows) - len(kept)


NAMES = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz0123456789"]
HOSTILE = {
    "open": "(" * 10_000,
    "signs": "-" * 9_999 + "a",
    "deep": "(" * 4_999 + "a" + ")" * 4_999,
    "deep sums": "(" * 1_600 + "a" + "+b)" * 1_600,
    "long sum": "+".join("a" * 5_000),
    "all names": ",".join(NAMES),
    "chain": "=".join(NAMES),
    "denominators": "+".join(f"a/{k}" for k in range(1_001, 2_400)),
    "backticks": "`" * 9_999,
    "pairs of backticks": "`a`+" * 2_499 + "a",
    "spaced": "a : b + " * 1_240 + "a",
    "powers": "*".join(["1e300"] * 1_600) + "*a",
    "brackets": "q[(" * 3_333,
    "spaces": "q" + " " * 9_998,
    "colons": "q:" * 4_999,
    "commas": "," * 9_999,
    "digits": "9" * 9_999,
    "zeros": "0." + "0" * 9_000 + "1*a",
    "controls": "\x00\x1b[31m",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_gives_an_answer_or_a_sentence(text):
    found = outcome(text, [*NAMES, "a", "b", "a:b"])
    if isinstance(found, FormulaError):
        assert found.message.isprintable()
        assert len(found.message) < 400
    else:
        assert np.isfinite(found.L).all()
        assert np.linalg.matrix_rank(found.L) == len(found.L)


@given(st.text(alphabet="ab12.+-*/()=,:[]`e x\"'", max_size=25))
def test_any_text_gives_an_answer_or_a_sentence(text):
    found = outcome(text, ["a", "b", "a:b", "x b", "e", "a[b]", "`", "-", "2"])
    if isinstance(found, FormulaError):
        assert 0 <= found.start <= len(text)
    else:
        assert np.linalg.matrix_rank(found.L) == len(found.L) == len(found.c) == len(found.texts) > 0
