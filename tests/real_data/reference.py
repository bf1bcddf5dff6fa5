"""What the answers should be: statsmodels, and moments in exact arithmetic.

statsmodels works on the design that patsy makes of the same formula. With weights it is ordinary least squares on rows
multiplied by √w, which is what weighted least squares is: statsmodels' own influence measures and White's test leave
weights out. Two things stand beside it:

    centered   The same model in columns z = (x - mean) / deviation. Centering rounds nothing that matters (a difference
               of two near doubles is exact), so the span of the columns stays, and κ falls from up to 1e10 to below 1e4.
               `Model.units` maps its coefficients back to those in units of the data.
    exact      All doubles are whole numbers times a power of two, so [X y]'W[X y] is a matrix of Python integers without
               any rounding; its systems are then solved to 60 digits with mpmath (`Moments`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property

import mpmath
import numpy as np
import patsy
import statsmodels.api as sm

import sightline
from tests.real_data.tables import CASES

log, log2, log10, log1p, sqrt, exp, sin, cos = np.log, np.log2, np.log10, np.log1p, np.sqrt, np.exp, np.sin, np.cos
mpmath.mp.dps = 60


def center(x):
    return x - np.mean(x)


def scale(x):
    """As R has it: n - 1."""
    return (x - np.mean(x)) / np.std(x, ddof=1)


def for_patsy(formula):
    """The formula in patsy's words, which shares R's meaning of `:` `*` `^` and treatment coding."""
    formula = re.sub(r"`([^`]*)`", r'Q("\1")', formula)
    formula = re.sub(r"\b([A-Z][a-z]+\.[A-Z][a-z]*)", r'Q("\1")', formula)
    formula = re.sub(r'C\((\w+), reference=("\w+")\)', r"C(\1, Treatment(\2))", formula)
    return formula.replace("^", "**")


def plain(name):
    """A name of patsy's as sightline writes it; the factors of an interaction in sorted order."""
    name = re.sub(r'Q\("([^"]*)"\)', r"\1", name)
    name = re.sub(r'Treatment\(("\w+")\)', r"reference=\1", name)
    name = re.sub(r"(\[(?:T\.)?-?\d+)\.0\]", r"\1]", name).replace("**", "^").replace(" ", "")
    return ":".join(sorted(name.replace("`", "").split(":")))


def by_term(run, field):
    """A column of the table of coefficients, by name."""
    return {plain(c.term): getattr(c, field) for c in run.coefficients}


@cache
def solved(name, robust=None, cluster=False):
    """The run of a case."""
    case = CASES[name]
    return sightline.solve(
        case.load(), case.formula, weights=case.weights, robust=robust, cluster=case.cluster if cluster else None
    )


@dataclass(frozen=True)
class Model:
    """Design `X (n, q)` with the names and terms of its columns, response `y`, weights, rows of the table used."""

    name: str
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    names: tuple[str, ...]
    terms: tuple[str, ...]
    order: tuple[str, ...]
    rows: np.ndarray
    centered: bool

    @property
    def intercept(self):
        return "Intercept" in self.terms

    @cached_property
    def units(self):
        """The map `(q, q)` from coefficients of `Z` to those of X."""
        q = len(self.names)
        units = np.eye(q)
        if self.centered:
            mean, deviation = self.X[:, 1:].mean(axis=0), self.X[:, 1:].std(axis=0)
            units[1:, 1:], units[0, 1:] = np.diag(1.0 / deviation), -mean / deviation
        return units

    @cached_property
    def Z(self):  # noqa: N802
        """The design that statsmodels gets."""
        if not self.centered:
            return self.X
        columns = self.X[:, 1:] - self.X[:, 1:].mean(axis=0)
        return np.column_stack([np.ones(len(self.X)), columns / self.X[:, 1:].std(axis=0)])

    @cached_property
    def root(self):
        return np.sqrt(self.weight)

    @cached_property
    def fit(self):
        """statsmodels' fit on rows times √w."""
        keywords = {} if self.intercept else {"hasconst": False}  # R looks at the formula only
        return sm.OLS(self.root * self.y, self.root[:, None] * self.Z, **keywords).fit()

    @property
    def params(self):
        return self.units @ self.fit.params

    def errors(self, covariance):
        """Standard errors in the units of the data."""
        return np.sqrt(np.diag(self.units @ covariance @ self.units.T))

    @cached_property
    def moments(self):
        return Moments.of(self)


@cache
def model(name):
    """The case in patsy's and statsmodels' hands."""
    case = CASES[name]
    frame, formula = case.load(), case.formula
    if " ~ ." in formula:
        dropped = {formula.split(" ~ ")[0], *formula.split(" - ")[1:]}
        formula = formula.split(" ~ ")[0] + " ~ " + " + ".join(c for c in frame.columns if c not in dropped)
    if case.weights is not None:
        frame = frame[frame[case.weights] > 0]  # as R, which drops rows of weight zero
    frame = frame.astype({c: float for c in frame.columns if frame[c].dtype.kind in "iu"})
    y, X = patsy.dmatrices(for_patsy(formula), frame, return_type="dataframe")
    info = X.design_info
    terms = [n for n, part in info.term_name_slices.items() for _ in range(part.start, part.stop)]
    # patsy puts categories before numbers; the formula's own order is that of sequential sums of squares
    written = patsy.ModelDesc.from_formula(for_patsy(formula)).rhs_termlist
    order = [plain(t.name()) for t in sorted(written, key=lambda t: len(t.factors))]
    weight = np.ones(len(X)) if case.weights is None else frame.loc[X.index, case.weights].to_numpy(dtype=float)
    return Model(
        name, X.to_numpy(), y.to_numpy()[:, 0], weight, tuple(map(plain, X.columns)), tuple(map(plain, terms)), tuple(order),
        X.index.to_numpy(), case.centered,
    )  # fmt: skip


def whole(values):
    """Doubles as integers times a common power of two: the integers `(n,)` and that power."""
    ratios = [float(v).as_integer_ratio() for v in values]
    power = max(d for _, d in ratios)
    return np.array([n * (power // d) for n, d in ratios], dtype=object), power


@dataclass(frozen=True)
class Moments:
    """M = [X y]'W[X y] to 60 digits, as rows of `mpf`, for n rows."""

    M: list
    rows: int
    terms: tuple[str, ...]
    intercept: bool

    @classmethod
    def of(cls, m):
        columns, powers = zip(*(whole(v) for v in [*m.X.T, m.y]), strict=True)
        weight, unit = whole(m.weight)
        weighted = [column * weight for column in columns]
        M = [[None] * len(columns) for _ in columns]
        for i, left in enumerate(weighted):
            for j, right in enumerate(columns[: i + 1]):
                M[i][j] = M[j][i] = mpmath.mpf(int(left @ right)) / (powers[i] * powers[j] * unit)
        return cls(M, len(m.y), m.terms, m.intercept)

    def rss(self, terms):
        """Residual sum of squares of the model with these terms."""
        return self.left_by([j for j, term in enumerate(self.terms) if term in terms])

    def left_by(self, columns):
        """The same for columns by number: Gaussian elimination, the last pivot."""
        kept = [*columns, len(self.M) - 1]
        A = [[self.M[i][j] for j in kept] for i in kept]
        for k in range(len(columns)):
            for i in range(k + 1, len(A)):
                factor = A[k][i] / A[k][k]  # symmetric: only what is right of the diagonal is kept
                row, top = A[i], A[k]
                for j in range(i, len(A)):
                    row[j] -= factor * top[j]
        return A[-1][-1]

    @cached_property
    def solution(self):
        """Coefficients, standard errors, t and p, each a list of `mpf`; then RSS and the total sum of squares."""
        q = len(self.M) - 1
        A = [row[:] for row in self.M]
        for k in range(q):  # sweeps (Goodnight 1979)
            pivot = 1 / A[k][k]
            row = A[k] = [value * pivot for value in A[k]]
            for i in range(q + 1):
                if i != k:
                    factor, own = A[i][k], A[i]
                    A[i] = [value - factor * top for value, top in zip(own, row, strict=True)]
                    A[i][k] = -factor * pivot
            row[k] = pivot
        df, rss = self.rows - q, A[q][q]
        beta = [A[i][q] for i in range(q)]
        error = [mpmath.sqrt(A[i][i] * rss / df) for i in range(q)]
        t = [b / e for b, e in zip(beta, error, strict=True)]
        return beta, error, t, [two_sided(v, df) for v in t], rss, self.rss({"Intercept"} & set(self.terms))


def two_sided(t, df):
    """P(|T| > |t|) of Student's t as an incomplete beta integral."""
    with mpmath.workdps(30):
        return mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, df / (df + t * t), regularized=True)


def upper(f, df, df_resid):
    """P(F > f)."""
    with mpmath.workdps(30):
        x = df_resid / (df_resid + df * f)
        return mpmath.betainc(mpmath.mpf(df_resid) / 2, mpmath.mpf(df) / 2, 0, x, regularized=True)


def close(ours, theirs, rel, floor=0.0):
    """Fail unless each of ours is within `rel` of theirs, or within `floor` where theirs is near zero; NaN is NaN."""
    np.testing.assert_allclose(
        np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float), rtol=rel, atol=floor, equal_nan=True
    )
