"""`weight ~ height * sex` as a response and terms: parsed once into values that never change.

The meaning is R's: a term is a set of factors, so `b:a` is `a:b`, `x:x` is `x`, and what comes twice counts
once. Main effects come first, then interactions by order; factors stand in the order in which the formula
first names them. The grammar of the right-hand side is in `terms.py`, that of calls in `grammar.py`.

Reference: Wilkinson and Rogers, Symbolic description of factorial models for analysis of variance, 1973.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import DataError, FormulaError, caret, nearest, shown
from .grammar import quote
from .lexer import MAX_LENGTH, OPTIONS, Cursor
from .terms import EXAMPLE, Factor, Term, TermReader, read_factor

__all__ = ["Factor", "Formula", "Term", "formula_for", "parse", "parse_factor", "quote", "term_name"]


@dataclass(frozen=True)
class Formula:
    """A response, terms in R's order (without the intercept), whether there is an intercept, and the offsets."""

    text: str
    response: Factor | None
    terms: tuple[Term, ...]
    intercept: bool
    offsets: tuple[Factor, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the formula reads, each once: the response's first."""
        factors = [] if self.response is None else [self.response]
        factors += [*(factor for term in self.terms for factor in term), *self.offsets]
        return tuple(dict.fromkeys(name for factor in factors for name in factor.columns))


def term_name(term: Term) -> str:
    """The name of a term: `a:b`, or `Intercept` for the empty one."""
    return ":".join(factor.text for factor in term) if term else "Intercept"


def parse(text: str, columns: Sequence[str] | None = None) -> Formula:
    """Read a formula; with `columns`, also check every name in it, and know what `.` stands for.

    >>> formula = parse("weight ~ height * sex - 1")
    >>> [term_name(term) for term in formula.terms], formula.intercept
    (['height', 'sex', 'height:sex'], False)

    Raises:
        FormulaError: text that is no formula; `detail` shows the place, the message what to write instead.
        DataError: a name that is not among the columns.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a text, not {type(text).__name__}: write it in quotes, {EXAMPLE}")
    cursor = Cursor(text)
    response = _response(cursor)
    reader = TermReader(cursor, columns, response.columns)
    part = reader.sum_of_terms()
    if not cursor.ended:
        raise cursor.unexpected()
    if columns is not None:
        _check_names(text, [response, *reader.bits], columns)
    terms = tuple(reader.term(bits) for bits in sorted(part.terms, key=int.bit_count))
    offsets = _offsets(text, terms)
    terms = tuple(term for term in terms if term[0] not in offsets)
    formula = Formula(text, response, terms, part.intercept is not False, offsets)
    _check_use(formula, response)
    return formula


def parse_factor(text: str) -> Factor:
    """Read one column name or one function call, as a formula writes it.

    >>> parse_factor("log( x+1 )").text
    'log(x + 1)'
    """
    cursor = Cursor(text)
    factor = read_factor(cursor)
    if not cursor.ended:
        raise cursor.unexpected()
    return factor


def formula_for(target: str, columns: Iterable[str]) -> str:
    """The formula that explains `target` by all others of the columns, which are all that the data has.

    >>> formula_for("weight", ["height", "weight", "shoe size"])
    'weight ~ height + `shoe size`'
    """
    names = list(columns)
    if target not in names:
        raise DataError(f"no column {shown(target)} in the data: {nearest(target, names)}")
    others = [quote(name) for name in names if name != target]
    if not others:
        raise DataError(f"the data has no column but the target {shown(target)}: add one that explains it")
    text = f"{quote(target)} ~ {' + '.join(others)}"
    return text if len(text) <= MAX_LENGTH else f"{quote(target)} ~ ."


def _response(cursor: Cursor) -> Factor:
    """Read up to the tilde, and the tilde."""
    tildes = [word for word in cursor.words if word.kind == "symbol" and word.text == "~"]
    if cursor.ended:
        raise cursor.error(f"the formula is empty: write the response, ~ and the terms, {EXAMPLE}")
    if not tildes or cursor.word is tildes[0]:
        raise cursor.error(f"the formula has no response: write the column to explain before a ~, {EXAMPLE}")
    if len(tildes) > 1:
        message = f"the formula has {len(tildes)} ~: write one, between the response and the terms"
        raise cursor.error(message, tildes[1])
    factor = read_factor(cursor)
    if factor.function in OPTIONS:
        message = f"{factor.function}(...) cannot be the response: write a column, or one like log(y) ~ x"
        raise cursor.error(message, cursor.words[0])
    if not cursor.accept("~"):
        raise cursor.error(
            "the response must be one column or one function call: put arithmetic inside I(...), as in I(y/100) ~ x"
        )
    if cursor.ended:
        raise cursor.error(f"nothing follows the ~: name a column, {EXAMPLE}, or write 1 for the mean alone")
    return factor


def _offsets(text: str, terms: Iterable[Term]) -> tuple[Factor, ...]:
    """The terms `offset(...)`, which stand alone."""
    found = [(factor, term) for term in terms for factor in term if factor.function == "offset"]
    for factor, term in found:
        if len(term) > 1:
            message = "offset(...) has the coefficient 1 and no interactions: add it with +, as in y ~ a*b + offset(z)"
            raise FormulaError(message, formula=text, start=factor.start, end=factor.end)
    return tuple(factor for factor, _ in found)


def _check_names(text: str, factors: Iterable[Factor], columns: Sequence[str]) -> None:
    """Refuse the first name that no column of the data has."""
    known = set(columns)
    for factor in factors:
        for name in factor.columns:
            if name not in known:
                raise DataError(
                    f"no column {shown(name)} in the data: {nearest(name, columns)}",
                    detail=caret(text, factor.start, factor.end),
                )


def _check_use(formula: Formula, response: Factor) -> None:
    """Refuse a formula that explains the response by itself, or by nothing."""
    text = formula.text
    for factor in (*(factor for term in formula.terms for factor in term), *formula.offsets):
        if len(response.columns) == 1 and response.columns[0] in factor.columns:
            name = shown(response.columns[0])
            message = f"{name} is the target and a feature too: remove it from the right of the ~"
            raise FormulaError(message, formula=text, start=factor.start, end=factor.end)
    if not formula.terms and not formula.intercept:
        message = f"the formula has no term and no intercept, so nothing is fitted: name a column, {EXAMPLE}"
        raise FormulaError(message, formula=text, end=len(text))
