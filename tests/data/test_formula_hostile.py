"""Formulas and column names made to do harm: refused, or only text; nothing is ever evaluated."""

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.data.formula import formula_for, parse, term_name
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
    ")(", "()", "(())", "x()", "(x)(x)", "x (x)",
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


WORDS = ["log", "C", "I", "poly", "reference=", "__", "é", "𝟏"]
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
