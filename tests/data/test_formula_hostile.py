"""Formulas and column names made to do harm: refused, or only text; nothing is ever evaluated."""

import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.data.encode import Encoding
from sightline.data.formula import formula_for, parse, quote, term_name
from sightline.data.table import Column, Table
from sightline.errors import DataError, FormulaError

PAYLOADS = [
    "__import__('os').system('true')", "__import__", "eval('1')", "exec('1')", "compile('1','','eval')",
    "open('f')", "getattr(x, 'y')", "x.__class__.__mro__", "().__class__", "x.__init__.__globals__",
    "lambda: 0", "lambda x: x", "[i for i in x]", "{i for i in x}", "{x: 1}", "(i for i in x)",
    "x if x else x", "x := 3", "f'{x}'", "f\"{x!r}\"", "b'x'", "'x' * 9", "x[0]", "x[::1]", "x.T", "@x",
    "*x", "**x", "~x", "not x", "x and x", "x or x", "x is x", "x in x", "x < 3", "x > 3", "x == 3",
    "x != 3", "x <= 3", "x << 3", "x | x", "x & x", "x // 2", "x % 2", "x @ x", "await x", "yield x",
    "import os", "from os import *", "del x", "x = 3", "x; x", "x # x", "x \\ x", "\\", "$x", "!x", "?x",
    "print(x)", "Q('x')", "Q(\"x\")", "np.log(x)", "numpy.load(x)", "os.system(x)", "sys.exit(x)",
    "{__import__('os')}", "{{x}}", "{% x %}", "${x}", "${jndi:ldap://h/x}", "#{x}", "%s", "%n%n", "%(x)s",
    "$(id)", "`id`;`id`", "|id", "&& id", "; id", "> f", "< f", "../../x", "..\\x", "/etc/passwd", "C:\\x",
    "file:///x", "'; DROP TABLE x; --", "1 OR 1=1", "\" OR \"\"=\"", "x' --", "/* x */", "UNION SELECT x",
    "x; SELECT 1", "<script>x</script>", "<img src=x onerror=x>", "&lt;x&gt;", "\"><svg onload=x>",
    "javascript:x", "]]>", "<!-- x", "x\x00", "\x00", "\x01", "\x07", "\x1b[31mx", "\x7f", "\x85x",
    "\u00a0", "\u200bx", "x\u200d", "\u202ex", "\u2028", "\ufeffx", "\ufffex", "\ud800", "\U0010ffff",
    "\u0430", "\u03b1", "ｘ", "ｌｏｇ(x)", "lοg(x)", "Ι(x)", "С(x)",
    "ⅼog(x)", "x＋x", "x − x", "x × x", "x ∗ x",
    "x∶x", "（x）", "x²", "½", "١", "１", "𝟏", "٣x", "x̸", "🙂", "x🙂", "ﬁ", "K", "℘", "``", "```", "````",
    "`````", "`a``", "`a`b`", "`", "x`", "`x`x`", "`\n`", "`\x00`", "`__import__('os')`",
    "`a` + __import__('os')", "`I(x)`", "`x`.y", "`x`(x)", "`log`(x)", "''", "\"\"", "'", "\"", "'''x'''",
    "'\\'", "'\\x41'", "\"`\"", "C(x, reference=__import__('os'))", "C(x, reference=f'{x}')",
    "C(x, reference='a' 'b')", "C(x, reference='a' + 'b')", "C(x, **x)", "C(*x)", "C(x, reference=)",
    "C(x,)", "C(,x)", "C()", "C", "C(x)(x)", "C(x).y", "C(x, contr.treatment)", "C(x, levels=[1])",
    "poly(x, 1e9)", "poly(x, 10**9)", "bs(x, knots=x)", "log(x)(x)", "log(x).y", "log(log)", "log(x,)",
    "log(,x)", "log(x=x)", "log(*x)", "log(x for x in x)", "log[x]", "log", "log log x", "I(x)I(x)",
    "I(x)x", "I(eval)", "I(eval(x))", "I(x.y)", "I(x[0])", "I(x if x else x)", "I(lambda: x)", "I(x == 3)",
    "I(x ^ ^ x)", "I(* x)", "I(x **)", "I(9**9**9**9)", "I(x*9**9**9)", "I(1/0)", "I('x')", "I(x, x)",
    "I(x = 3)", "I(x := 3)", "I(x; x)", "I(`x`x)", "I()", "I(.)", "I(1_000 * x)", "I(0x10 * x)", "I(0b1*x)",
    "I(1j*x)", "I(x!)", "1e400", "-1e400", "1e", "1e+", ".5", "5.", "0x10", "1_0", "nan", "inf", "-inf",
    "None", "True", "NULL", "NA", "+" * 500, "-" * 500, "-1" * 500, "(" * 5000, ")" * 5000, "((" * 60 + "x",
    "[" * 500, "x" * 9990, "x:" * 3000, "x^" * 3000, "x^9" * 3000, "^", ":", "*", ".", "..", "...", ". .",
    ".:.", ".^10", "(.)^2", "-.", ". - .", "0", "00", "01", "1.0", "+1", "--1", "0 - 0 - 0", "1 - 1", "1:1",
    "1^2", "x^1^1", "x^-1", "x^(2)", "x:", ":x", "x::x", "x***x", "x+ +x", "x - -x", "x - - 1", "(x", "x)",
    ")(", "()", "(())", "x()", "(x)(x)", "x (x)", "poly(x, __import__('os'))", "poly(x, degree=x)", "poly(x, raw=x)",
    "poly(x, raw='True')", "poly(x, 1e300)", "poly(x, " + "9" * 400 + ")", "poly(x, 2)[1]", "poly(x, 2).T",
    "bs(x, knots=[1])", "bs(x, knots=c(eval('1')))", "bs(x, knots=c(c(1)))", "bs(x, knots=c(x))", "bs(x, knots=c(1",
    "bs(x, knots=c(1e400))", "bs(x, knots=c(1)(2))", "bs(x, knots=c)", "bs(x, knots=c(1,))", "bs(x, knots=c(--1))",
    "bs(x, knots=c(" + "1," * 4000 + "))", "bs(x, df=99999999)", "bs(x, df=3, df=3)", "c(1)", "c(x)", "offset",
    "offset(x):x", "x*offset(x)", "offset(offset(x))", "offset(eval)(x)", "offset(x).y", "-offset(x)", "offset(x)^2",
]  # fmt: skip


def parsed_or_refused(text, columns):
    """The formula, or None if it was refused as it should be."""
    try:
        return parse(text, columns)
    except (FormulaError, DataError) as error:
        refusal = error
    assert str(refusal).isprintable()
    assert all(c.isprintable() or c == "\n" for c in refusal.detail)
    return None


class Audit:
    """Records what the interpreter itself reports of code being compiled, run, imported, of files opened."""

    def __init__(self):
        self.listening = False
        self.events = []
        sys.addaudithook(self)

    def __call__(self, event, args):
        if self.listening and event.partition(".")[0] in (
            "exec",
            "compile",
            "import",
            "open",
            "os",
            "subprocess",
        ):
            self.events.append((event, args))

    def __enter__(self):
        parsed_or_refused("y ~ lgo(x) + x", ["x"])  # what is imported when first needed, is imported now
        parsed_or_refused("高 ~ lgo(x)", ["x"])
        self.events.clear()
        self.listening = True

    def __exit__(self, *_):
        self.listening = False


@pytest.fixture(scope="module")
def audit():
    return Audit()


def test_the_audit_notices(audit):
    with audit:
        eval("1")
    assert audit.events


def test_there_are_enough_payloads():
    assert len(set(PAYLOADS)) > 250


@pytest.mark.parametrize("columns", [None, ["y", "x"]])
def test_hostile_formulas_are_refused_or_harmless(audit, columns):
    with audit:
        for payload in PAYLOADS:
            for text in (
                payload,
                f"y ~ {payload}",
                f"y ~ x + {payload}",
                f"y ~ log({payload})",
                f"{payload} ~ x",
            ):
                formula = parsed_or_refused(text, columns)
                assert formula is None or columns is None or set(formula.columns) <= {"y", "x"}
    assert audit.events == []


def test_hostile_column_names_are_only_names(audit):
    with audit:
        for payload in (p for p in PAYLOADS if len(p) < 4000):
            formula = parse(formula_for("y1", ["y1", payload, "x1"]), ["y1", payload, "x1"])
            assert [term_name(term) for term in formula.terms] == [payload, "x1"]
            target = parse(formula_for(payload, ["x1", payload]), ["x1", payload])
            assert target.response.text == payload
    assert audit.events == []


WORDS = ["log", "C", "I", "poly(", "bs(", "offset(", "knots=c(", "reference=", "__", "é", "𝟏"]
REFUSED = [
    "y ~ (x", "y ~ x)", "y ~ ((x)", "y ~ log(x", "y ~ I((x)", "y ~ )x(", "~", "y ~", "~ x", "", " ", "y ~ x ~ x", "y ~~ x",
    "y ~ x +", "y ~ x *", "y ~ x:", "y ~ x ^", "y ~ x -", "y ~ I(x /)", "y ~ x.__class__", "y ~ x.mean()", "y ~ x.T",
    "y ~ max(x)", "y ~ eval('x')", "y ~ (lambda: x)()", "y ~ [v for v in x]", "y ~ {v for v in x}", "y ~ f'{x}'",
    'y ~ f"{x}"', "y ~ __name__", "y ~ __builtins__", "y ~ x\\", "y ~ \\x", "y ~ 'x'", 'y ~ "x"', "y ~ 'x", "y ~ `x",
    "y ~ x`", "y ~ ``", "y ~ 🙂", "y ~ `🙂`", "y ~ <b>x</b>", "y ~ &amp;", "y ~ " + "x" * 9_996, "y ~ " + "x" * 10_000,
    "y ~ " + "(" * 1_000_000, "y ~ " + "(" * 1_000_000 + "x" + ")" * 1_000_000, "y ~ " + ")" * 1_000_000, "[" * 1_000_000,
    "y ~ " + "log(" * 1_000_000, "y ~ " + "(" * 9_000, "y ~ " + "log(" * 2_000, "y ~ I(" + "-" * 9_000 + "x)",
    "y ~ bs(x, knots=c(" + "(" * 9_000, "y ~ " + "-" * 9_000, "y ~ " + "x^" * 4_000,
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:24].encode("unicode_escape").decode())
def test_refused_with_one_sentence(audit, text):
    with audit, pytest.raises((FormulaError, DataError)) as caught:
        parse(text, ["y", "x"])
    assert audit.events == []
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()
    assert len(caught.value.message.split()) > 5
    assert max(map(len, caught.value.detail.splitlines()), default=0) < 100


def test_hostile_column_names_and_categories_are_fitted_as_any_others(audit):
    numbers = np.array([1.0, 2.0, 4.0, 3.0])
    for payload in {p for p in PAYLOADS if p != "y" and len(p) < 2000}:
        labels = np.array([payload, "a", payload, "b"], dtype=object)
        columns = [Column("y", numbers, "number"), Column(payload, numbers, "number"), Column("g", labels, "text")]
        table = Table("data.csv", {column.name: column for column in columns}, 4)
        with audit:
            text = f"y ~ poly({quote(payload)}, 2, raw=True) + g"
            encoding = Encoding.learn(parse(text, list(table.columns)), table)
            again = Encoding.from_dict(encoding.to_dict())
            assert again.terms == encoding.terms
            assert (again.matrix(table) == encoding.matrix(table)).all()
        assert audit.events == []
        assert encoding.terms[0] == f"poly({quote(payload)}, 2, raw=True)[1]"
        assert any(term == f"g[T.{payload}]" for term in encoding.terms) == (payload > "a")


alphabet = st.sampled_from([*"yxab01.~+-:*^()/,='\"` \n", *WORDS])


@given(st.lists(alphabet, max_size=40).map("".join))
@example("y ~ ``")
def test_any_text_is_parsed_or_refused(text):
    formula = parsed_or_refused(text, None)
    if formula is not None:
        assert parse(text) == formula
        for factor in (factor for term in formula.terms for factor in term):
            assert text[factor.start : factor.end].strip() == text[factor.start : factor.end] != ""


@given(st.text(max_size=60))
def test_any_unicode_is_parsed_or_refused(text):
    parsed_or_refused(text, ["x"])
    parsed_or_refused(f"y ~ {text}", None)
