"""Tests of a finished linear fit: named hypotheses, analysis of variance, and a smaller model against a larger one.

All of them belong to the exact answer, whatever training reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .analysis import (
    design_matrix,
    of_least_squares,
    refuse_penalized,
    residual_sum_of_squares,
    residuals,
    training_rows,
)
from .answer import answer
from .class_truth import ClassTruth
from .coded_robust import robust_of_blocks
from .double_double import Pair
from .errors import UsageError
from .linear.anova import Anova, anova_type_1, anova_type_2, anova_type_3
from .linear.blocks import summed
from .linear.hypotheses import Hypotheses, linear_hypotheses
from .linear.hypothesis_tests import ModelComparison, WaldTest, likelihood_ratio, nested_f, wald
from .linear.projection import Projection
from .linear.robust import cluster_sizes, robust_covariance, robust_df
from .linear.span import Span
from .linear.triangle import merged_factors
from .linear.wide import Triangle
from .objectives import objective_of
from .parameters import Layout
from .rows import Rows
from .views.subject import Subject

__all__ = ["anova", "nested_test", "wald_test"]

Array = NDArray[np.float64]


def wald_test(run: Subject, hypothesis: str) -> tuple[Hypotheses, WaldTest]:
    """Test named hypotheses such as "height = 0.5" or "a = b, c = 0" with the standard errors of the run.

    F = d'(L V L')⁻¹ d / m with d = Lθ - c, V classical or robust, as the run has it; chi-squared of classes, m F.

    >>> from sightline import solve
    >>> run = solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x")
    >>> round(wald_test(run, "x = 0")[1].p, 6) == round(run.coefficients[1].p, 6)
    True
    """
    refuse_penalized(run, "a test of hypotheses")
    read = linear_hypotheses(hypothesis, [c.term for c in run.coefficients])
    exact = np.array([0.0 if c.exact is None else float(c.exact) for c in run.coefficients])
    V, df = _class_covariance(run, read) if run.design.classes else _covariance(run, read)
    m = len(read.L)
    return read, wald(read.L @ exact, V, np.eye(m), read.c, df=df)


def _class_covariance(run: Subject, read: Hypotheses) -> tuple[Array, None]:
    used = (read.L != 0).any(axis=0)
    for c, asked in zip(run.coefficients, used.tolist(), strict=True):
        if asked and c.std_error is None:
            raise UsageError(
                f"the coefficient {c.term} has no finite value or standard error to test: compare this model with one "
                "without the column by --versus"
            )
    rows, design = training_rows(run), run.design
    layout = Layout(design, run.result["loss_name"])
    objective = objective_of(layout, rows, run.settings)

    def pairs() -> tuple[Pair, Pair]:
        return Pair.of(rows.X * design.scale + design.center), Pair.of(rows.y)

    truth = ClassTruth.of(layout, objective, rows, run.settings, pairs=None if rows.on_disk else pairs)
    return truth.covariance(read.L), None


def _covariance(run: Subject, read: Hypotheses) -> tuple[Array, float]:
    """Covariance `(m, m)` of the combinations, of the kind of the run, and its degrees of freedom."""
    rows, settings, combinations = of_least_squares(run), run.settings, read.L @ run.design.unit_map
    if len(rows) <= run.rank:
        raise UsageError("this fit has no residual degrees of freedom, so nothing can be tested: use more rows")
    kind = "cluster" if settings.cluster else settings.robust
    clusters = rows.cluster if kind == "cluster" else None
    known, V = (_on_disk if rows.on_disk else _in_memory)(run, rows, combinations, kind, clusters)
    if not known.all():
        lost = read.texts[int(np.argmin(known))]
        raise UsageError(f"the data do not determine {lost}, as some columns repeat others: test what they determine")
    if V is None:
        if run.covariance_factor is None:
            raise UsageError(
                f"a covariance of {len(run.design.terms):,} coefficients is not kept: test in a smaller model"
            )
        U = run.covariance_factor @ combinations.T
        return float(run.result["fit"]["sigma"]) ** 2 * (U.T @ U), float(run.result["df"])
    if kind is None:
        return V, float(run.result["df"])
    groups = None if clusters is None else cluster_sizes(clusters).count
    return V, float(robust_df(len(rows), run.rank, clusters=groups))


def _in_memory(
    run: Subject, rows: Rows, combinations: Array, kind: str | None, clusters: Any
) -> tuple[NDArray[np.bool_], Array | None]:
    """Which combinations the rows determine, and their covariance of a robust kind."""
    r = residuals(run)
    known = r.fit.estimable(combinations)
    if kind is None or not known.all():
        return known, None
    return known, robust_covariance(
        r.Z,
        r.residual,
        kind=kind.lower(),
        combinations=combinations,
        weight=rows.weight,
        clusters=clusters,
        rank=r.rank,
    )


def _on_disk(
    run: Subject, rows: Rows, combinations: Array, kind: str | None, clusters: Any
) -> tuple[NDArray[np.bool_], Array | None]:
    """The same of rows that are read block by block; of very many columns the classical covariance too, as no run keeps
    it.
    """
    exact = answer(run.design, rows, None, np.zeros(len(run.design.terms))).exact
    if isinstance(exact.geometry, Triangle):  # of full rank
        known = np.ones(len(combinations), dtype=bool)
        if kind is None:
            half = np.array([exact.geometry.half(c, exact.rank) for c in combinations])
            return known, float(run.result["fit"]["sigma"]) ** 2 * (exact.rows / exact.mass) * (half @ half.T)
    else:
        known = Span.of(exact.factor, rows=len(rows), rank=run.rank).estimable(combinations)
    if kind is None or not known.all():
        return known, None
    return known, robust_of_blocks(rows, exact, kind.lower(), combinations, clusters)


def anova(run: Subject, type: int = 2) -> Anova:
    """Analysis of variance: 1 sequential (R's anova), 2 each term after all that do not contain it, 3 after all.

    Sums of squares are of orthogonal projections; F against the residual mean square.

    >>> from sightline import solve
    >>> table = anova(solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x"))
    >>> [(row.term, row.df, round(row.sum_squares, 4)) for row in table.terms]
    [('x', 1, 6.05)]
    """
    if type not in (1, 2, 3):
        raise UsageError(f"the type of the analysis of variance is {type!r}: give 1, 2 or 3")
    refuse_penalized(run, "an analysis of variance")
    rows, design = of_least_squares(run), run.design
    Z, noise = (rows.X, design.rounding) if rows.on_disk else (design_matrix(run, rows), design.noise)
    groups = (*design.encoding.column_groups, *["Intercept"] * design.intercept)
    if type == 1:
        return anova_type_1(Z, rows.y, groups=groups, weight=rows.weight, noise=noise)
    if type == 3:
        row = design.unit_map[0] if design.intercept else None
        return anova_type_3(Z, rows.y, groups=groups, weight=rows.weight, noise=noise, intercept=row)
    return anova_type_2(Z, rows.y, groups=groups, factors=design.encoding.term_factors, weight=rows.weight, noise=noise)


def nested_test(small: Subject, large: Subject) -> ModelComparison:
    """A fit against a larger one that contains it, on the same rows: F for numbers, likelihood ratio for classes.

    F = ((RSS₀ - RSS₁) / m) / (RSS₁ / df₁) as R's anova(small, large); 2 (ln L₁ - ln L₀) is chi-squared with as many
    degrees of freedom as the larger one has more coefficients.

    >>> from sightline import solve
    >>> data = {"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}
    >>> round(nested_test(solve(data, "y ~ 1"), solve(data, "y ~ x")).statistic, 6)
    4.481481
    """
    for run in (small, large):
        refuse_penalized(run, "a comparison of nested models")
    a, b = training_rows(small), training_rows(large)
    if len(a) != len(b) or not np.array_equal(a.y, b.y) or small.design.classes != large.design.classes:
        raise UsageError(
            f"the two runs have other rows or targets ({len(a):,} and {len(b):,} rows): fit both to the same rows"
        )
    wide, narrow, weight = _columns(large, b, small, a)
    if not Projection.of(wide, np.zeros(len(wide)), weight=weight).spans(narrow):
        raise UsageError(
            f"{small.design.formula} is not nested in {large.design.formula}, which lacks some of its columns: compare "
            "a model with one that contains it"
        )
    df = int(small.result["df"]), int(large.result["df"])
    if large.design.classes:
        loglik = [float(run.result["fit"]["log_likelihood"]) for run in (small, large)]
        return likelihood_ratio(loglik[0], len(a) - df[0], loglik[1], len(b) - df[1])
    return nested_f(residual_sum_of_squares(small), df[0], residual_sum_of_squares(large), df[1])


def _columns(large: Subject, b: Rows, small: Subject, a: Rows) -> tuple[Array, Array, Array | None]:
    """The columns of both designs, with the weights of the rows; of rows on the disk their triangular factor, which has
    the same lengths and angles.
    """
    if not (a.on_disk or b.on_disk):
        return design_matrix(large, b), design_matrix(small, a), b.weight

    def leaf(part: slice, _: None) -> Array:
        root = np.ones((part.stop - part.start, 1)) if b.weight is None else np.sqrt(b.weight[part])[:, None]
        blocks = [
            b.X[part] * root,
            *[root] * large.design.intercept,
            a.X[part] * root,
            *[root] * small.design.intercept,
        ]
        return np.asarray(np.linalg.qr(np.hstack(blocks), mode="r"))

    n, p, q = len(b), b.X.shape[1] + a.X.shape[1] + 2, b.X.shape[1] + int(large.design.intercept)
    R = summed(leaf, lambda _: None, rows=n, columns=p, work=2 * n * p * p, add=merged_factors)
    return R[:, :q], R[:, q:], None
