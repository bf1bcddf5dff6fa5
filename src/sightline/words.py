"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["about", "count", "duration", "in_epochs", "plain"]


def about(value: float) -> str:
    """A large number in words: `5.51 million`.

    >>> about(5513105.13), about(32386979.9), about(2703.2), about(math.inf), about(3.2e17)
    ('5.51 million', '32.4 million', '2,703', 'infinitely many', '3.2e+17')
    """
    if not math.isfinite(value):
        return "infinitely many"
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if size <= value < 1e3 * size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.2g}"


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "row"), count(20, "epoch")
    ('1 row', '20 epochs')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def in_epochs(number: float) -> str:
    """How many epochs something takes: one for all that is less than one and a half.

    >>> in_epochs(0.3), in_epochs(2703.2), in_epochs(math.inf)
    ('1 epoch', '2,703 epochs', 'infinitely many epochs')
    """
    return "1 epoch" if number < 1.5 else f"{about(number)} epochs"


def plain(value: float | None, digits: int = 4) -> str:
    """A number to a few significant digits, without a needless exponent.

    >>> plain(29.879816), plain(0.00003524), plain(None), plain(3.2e-16), plain(150.0)
    ('29.88', '3.524e-05', '-', '3.2e-16', '150')
    """
    if value is None:
        return "-"
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """A time to wait, roughly.

    >>> duration(8.2), duration(400.0), duration(14405.0), duration(4e5)
    ('8 s', '7 min', '4.0 h', '5 days')
    """
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172800.0 else f"{seconds / 86400.0:.0f} days"
