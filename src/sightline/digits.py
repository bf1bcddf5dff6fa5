"""A float that knows more digits than a double holds, and prints them."""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from typing import Any

__all__ = ["Digits"]

EXACT = Context(prec=800)  # enough for the sum of any two doubles
SPEC = re.compile(
    r"(?P<align>.?[<>=^])?(?P<sign>[-+ ]?)(?P<alt>#?)(?P<width>0?\d*)(?P<comma>,?)"
    r"(\.(?P<places>\d+))?(?P<kind>[eEfFgG])"
)


class Digits(float):
    """The number value + low; formats from both, so that the last digit printed is right. In arithmetic it is value.

    `trusted` is how many significant digits are known to be right, None where that was not asked.

    >>> third = Digits(1 / 3, 1.850371707708594e-17, trusted=30.0)
    >>> f"{third:.25g}", third * 3, third.text(20)
    ('0.3333333333333333333333333', 1.0, '0.33333333333333333333')
    """

    __slots__ = ("low", "trusted")
    low: float
    trusted: float | None

    def __new__(cls, value: float, low: float = 0.0, trusted: float | None = None) -> Digits:
        """The number value + low."""
        self = super().__new__(cls, value)
        self.low, self.trusted = low, trusted
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.low, self.trusted

    def __format__(self, spec: str) -> str:
        found = SPEC.fullmatch(spec)
        if found is None or not self.low or not math.isfinite(self):
            return format(float(self), spec)
        places = 6 if found["places"] is None else int(found["places"])
        body = _formatted(
            self.decimal(), found["kind"], places, found["sign"] + found["comma"], keep=bool(found["alt"])
        )
        return format(body, (found["align"] or ">") + found["width"]) if found["width"] else body

    def decimal(self) -> Decimal:
        """The exact decimal value of value + low."""
        return EXACT.add(Decimal(float(self)), Decimal(self.low))

    def text(self, most: int = 25) -> str:
        """As many significant digits as are trusted, 17 at least and `most` at most: enough to read the double back."""
        trusted = 17 if self.trusted is None or not math.isfinite(self.trusted) else int(self.trusted)
        return f"{self:.{min(max(trusted, 17), most)}g}"

    @classmethod
    def read(cls, text: str) -> float:
        """The number that a decimal text spells, with its low part where it has more than 17 digits."""
        value = float(text)
        if len(text) <= 17 or not math.isfinite(value):
            return value
        low = float(EXACT.subtract(Decimal(text), Decimal(value)))
        digits = len(re.sub(r"[eE].*|[-+.]", "", text).lstrip("0"))
        return cls(value, low, float(digits)) if digits > 17 else value


def _formatted(value: Decimal, kind: str, places: int, flags: str, *, keep: bool) -> str:
    """As C formats a float, of any number of digits."""
    sign = "".join(f for f in flags if f in "-+ ")
    comma = "," if "," in flags else ""
    if kind in "fF":
        return format(value, f"{sign}{comma}.{places}f")
    digits = places if kind in "eE" else max(places, 1) - 1
    mantissa, _, power = format(value, f"{sign}.{digits}e").partition("e")
    exponent = int(power)
    if kind in "gG" and -4 <= exponent <= digits:
        fixed = format(value, f"{sign}{comma}.{digits - exponent}f")
        return fixed if keep or "." not in fixed else fixed.rstrip("0").rstrip(".")
    if kind in "gG" and not keep and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    text = f"{mantissa}e{exponent:+03d}"
    return text.upper() if kind in "EG" else text
