"""What can go wrong, as one tree; the text of an error says what, where, and what to do.

SightlineError            exit code 1
├── UsageError            exit code 2: a setting or an argument
│   └── FormulaError      exit code 2: the formula, with a caret under the place
└── DataError             exit code 3: a file, a column, a value
    └── RunError          exit code 3: a run folder

LoopWarning is the one warning: what a training loop does that is probably not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "DataError", "FormulaError", "LoopWarning", "RunError", "SightlineError", "Terminated", "UsageError", "caret",
    "nearest", "shown",
]  # fmt: skip


class SightlineError(Exception):
    """Base of everything that sightline raises on purpose; `detail` holds lines to show below the sentence."""

    exit_code = 1

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends what is done as Ctrl-C does."""


class UsageError(SightlineError):
    """A setting or an argument that cannot be used."""

    exit_code = 2


class FormulaError(UsageError):
    """A formula that cannot be read; `start` and `end` mark the place in it."""

    def __init__(self, message: str, *, formula: str = "", start: int = 0, end: int | None = None) -> None:
        super().__init__(message, detail=caret(formula, start, end) if formula else "")
        self.formula, self.start, self.end = formula, start, end


class DataError(SightlineError):
    """A file, a column or a value that cannot be used."""

    exit_code = 3


class RunError(DataError):
    """A run folder that is missing, damaged or of another version."""


class LoopWarning(UserWarning):
    """What the loop does and is probably not meant: a frozen parameter in the optimizer, units that are dead."""


def caret(formula: str, start: int, end: int | None = None) -> str:
    """The formula on one line with carets under `start` to `end`; a long one is cut down to that place.

    >>> print(caret("weight ~ heigth", 9, 15))
      weight ~ heigth
               ^^^^^^
    """
    end = min(max(start + 1, start + 1 if end is None else end), start + 60)
    first = max(0, start - 40) if len(formula) > 76 else 0
    last = max(end, first + 76)
    before, marked, after = (_printable(formula[a:b]) for a, b in ((first, start), (start, end), (end, last)))
    before = "..." + before if first else before
    after = after + "..." if last < len(formula) else after
    return f"  {before}{marked}{after}\n  {' ' * _cells(before)}{'^' * max(1, _cells(marked))}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _cells(text: str) -> int:
    """How many terminal columns the text takes: wide letters two, combining marks none."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which of the choices was perhaps meant, as the end of a sentence.

    >>> nearest("heigth", ["height", "weight"])
    "did you mean 'height'? there are: height, weight"
    >>> nearest("adma", ["adam", "adamax"])
    "did you mean 'adam'? there are: adam, adamax"
    """
    from difflib import get_close_matches

    known = [str(choice) for choice in choices]
    lowered = {choice.casefold().strip(): choice for choice in reversed(known)}
    found = get_close_matches(name.casefold().strip(), lowered, n=3, cutoff=0.6)
    found.sort(key=lambda c: sorted(c) != sorted(name.casefold().strip()))  # letters in another order: mistyped
    close = [lowered[c] for c in found[:1]]
    listing = ", ".join(shown(choice, quote=False) for choice in known[:12]) + (", ..." if len(known) > 12 else "")
    guess = f"did you mean {shown(close[0])}? " if close else ""
    return f"{guess}there {'is' if len(known) == 1 else 'are'}: {listing}" if known else "there are none"


def shown(value: object, *, quote: bool = True, limit: int = 40) -> str:
    r"""A value as an error may show it: one line, escaped, at most 40 characters.

    >>> shown("17O"), shown("a\x1b[31m")
    ("'17O'", "'a\\x1b[31m'")
    """
    text = str(value)
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"'{text}'" if quote else text
