"""How many digits are right on this machine: certified data of NIST, and problems with exact rational answers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .double_double import Pair
from .linear.rational import rational_least_squares
from .prepare import prepare
from .run import Run
from .solving import solve

__all__ = ["Line", "certified_lines", "certified_sets", "rational_lines"]

FEW = 1e-20  # a certified zero is met by less


@dataclass(frozen=True)
class Line:
    """One problem: its size, its condition number, digits reached, certified numbers met digit for digit, seconds.

    `coefficient_digits` and `error_digits` are the fewest of all coefficients and standard errors, 31 at most; `numpy`
    those that numpy.linalg.lstsq reaches with the coefficients; `certified` how many of `printed` numbers agree in
    every digit, None where nothing is certified.
    """

    name: str
    rows: int
    coefficients: int
    condition: float
    coefficient_digits: float
    error_digits: float
    numpy: float
    certified: int | None
    printed: int
    seconds: float


def certified_lines(folder: Path | None = None) -> Iterator[Line]:
    """The certified data sets that come with sightline, or those of a folder with `certified.json` and CSV files."""
    if folder is not None:
        yield from (_certified(folder, name, values) for name, values in _sets(folder).items())
        return
    with as_file(files(__package__) / "certified") as packed:
        yield from (_certified(packed, name, values) for name, values in _sets(packed).items())


def certified_sets() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, formula and certified values of the sets that come with sightline."""
    with as_file(files(__package__) / "certified") as packed:
        for name, values in _sets(packed).items():
            yield name, str(values.get("formula") or _formula(packed / f"{name}.csv", values)), values


def _sets(folder: Path) -> dict[str, dict[str, object]]:
    values = json.loads((folder / "certified.json").read_text())
    return dict(values.get("sets", values))


def _certified(folder: Path, name: str, values: dict[str, object]) -> Line:
    formula = str(values.get("formula") or _formula(folder / f"{name}.csv", values))
    start = time.perf_counter()
    run = solve(folder / f"{name}.csv", formula)
    seconds = time.perf_counter() - start
    numbers = [c.exact for c in run.coefficients] + [c.std_error for c in run.coefficients]
    numbers += [run.result["fit"]["sigma"], run.result["fit"]["r2"]]
    texts = [*_texts(values, "coefficients"), *_texts(values, "standard_errors")]
    texts += [str(values["residual_sd"]), str(values["r_squared"])]
    met = sum(_same(number, text) for number, text in zip(numbers, texts, strict=True))
    return _line(f"NIST {name}", run, folder / f"{name}.csv", seconds, met, len(texts))


def _texts(values: dict[str, object], key: str) -> list[str]:
    found = values[key]
    assert isinstance(found, list)
    return [str(text) for text in found]


def _formula(path: Path, values: dict[str, object]) -> str:
    """y on the powers of x up to `degree`, or on all other columns."""
    degree = values.get("degree")
    columns = path.read_text().splitlines()[0].split(",")
    others = [c.strip() for c in columns if c.strip() != "y"]
    terms = [f"I(x^{k})" if k > 1 else "x" for k in range(1, int(str(degree)) + 1)] if degree else others
    return "y ~ " + " + ".join(terms if values.get("intercept", True) else ["0", *terms])


def _same(number: float | None, text: str) -> bool:
    """Whether a number printed to 15 digits is the certified one."""
    expected = Decimal(text)
    if number is None:
        return False
    if not expected:
        return abs(number) < FEW
    return Decimal(f"{number:.14e}") == Decimal(f"{expected:.14e}")


def _line(name: str, run: Run, data: object, seconds: float, met: int | None, printed: int) -> Line:
    prepared = prepare(data, str(run.result["formula"]))
    A, y = prepared.fractions()
    exact = rational_least_squares(A, y, intercept=run.design.intercept)
    assert exact is not None
    n, q = len(y), len(exact.coefficients)
    order = [q - 1, *range(q - 1)] if run.design.intercept else list(range(q))
    theta = [exact.coefficients[i] for i in order]
    scale = exact.rss / (n - q)
    reached = [_digits(c.exact, t) for c, t in zip(run.coefficients, theta, strict=True)]
    errors = [
        _square_digits(c.std_error, exact.variances[i] * scale) for c, i in zip(run.coefficients, order, strict=True)
    ]
    condition, plain = _numpy(A, y, exact.coefficients, intercept=run.design.intercept)
    return Line(name, n, q, condition, min(reached), min(errors), plain, met, printed, seconds)


def _digits(found: float | None, exact: Fraction) -> float:
    """Significant digits in which they agree, 31 at most; for an exact zero the digits behind the point."""
    if found is None:
        return 0.0
    difference = abs(Fraction(Pair.of(found).fractions().item()) - exact)
    relative = difference / abs(exact) if exact else difference
    return max(0.0, min(31.0, -math.log10(relative))) if relative else 31.0


def _square_digits(found: float | None, exact: Fraction) -> float:
    """The same of a square root, whose square is rational."""
    if found is None or not exact:
        return 31.0 if found is not None and found < FEW else 0.0
    square = Fraction(Pair.of(found).fractions().item()) ** 2
    relative = abs(square - exact) / exact / 2
    return max(0.0, min(31.0, -math.log10(relative))) if relative else 31.0


def _numpy(A: NDArray[Any], y: NDArray[Any], exact: Sequence[Fraction], *, intercept: bool) -> tuple[float, float]:
    """Condition number of the columns scaled to one length, and the digits of numpy.linalg.lstsq."""
    X = np.array([[float(v) for v in row] for row in A])
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    condition = float(np.linalg.cond(Z / np.linalg.norm(Z, axis=0)))
    found = np.linalg.lstsq(Z, np.array([float(v) for v in y]))[0]
    return condition, min(_digits(float(f), e) for f, e in zip(found, exact, strict=True))


def rational_lines() -> Iterator[Line]:
    """Problems in whole numbers, whose answers are rational: to a condition number of 2e14."""
    for name, data, formula in _problems():
        start = time.perf_counter()
        run = solve(data, formula)
        yield _line(name, run, data, time.perf_counter() - start, None, 0)


def _problems() -> Iterator[tuple[str, dict[str, list[int]], str]]:
    rng = np.random.default_rng(7)
    for degree in (5, 10, 14, 18):
        n = max(21, degree + 4)
        data = {"x": list(range(n)), "y": rng.integers(-1000, 1000, n).tolist()}
        yield f"polynomial of degree {degree}", data, "y ~ " + " + ".join(f"I(x^{k})" for k in range(1, degree + 1))
    for offset in (10**6, 10**9, 10**12):
        table = rng.integers(-50, 50, (30, 3))
        data = {"a": (table[:, 0] + offset).tolist(), "b": (table[:, 1] - offset).tolist(), "y": table[:, 2].tolist()}
        yield f"columns at {offset:.0e}", data, "y ~ a + b"
    table = rng.integers(-9, 9, (40, 2)) * 10**7
    near = table[:, 0] * 3 + table[:, 1] * 5 + rng.integers(-2, 3, 40)
    data = {
        "a": table[:, 0].tolist(),
        "b": table[:, 1].tolist(),
        "c": near.tolist(),
        "y": rng.integers(-99, 99, 40).tolist(),
    }
    yield "nearly collinear", data, "y ~ a + b + c"
