"""Questions to a finished linear fit: collinearity, influence of rows, assumptions, cross-validation.

All of them belong to the exact answer, whatever training reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .answer import answer
from .answer_of_many import MANY_COLUMNS
from .errors import RunError, UsageError
from .limits import larger_memory
from .linear import crossval
from .linear.block_fit import BlockFit
from .linear.collinearity import (
    Conditioning,
    Inflation,
    condition_diagnostics,
    inflation_of_factor,
    variance_inflation,
)
from .linear.crossval import Validation
from .linear.crossval_blocks import cross_validate_blocks
from .linear.folds import assign_folds
from .linear.influence import Influence, influence_of
from .linear.influence_blocks import influence_of_blocks, left_out_of_blocks
from .linear.projection import Projection
from .linear.specification import Test, specification_tests
from .linear.specification_blocks import specification_tests_of_blocks
from .linear.triangle import rows_factor
from .rows import Rows
from .views.subject import Subject

__all__ = [
    "Residuals",
    "Validation",
    "assumptions",
    "conditioning",
    "cross_validate",
    "design_matrix",
    "diagnose",
    "influence",
    "of_least_squares",
    "refuse_penalized",
    "residual_sum_of_squares",
    "residuals",
    "rows_at_once",
    "training_rows",
    "vif",
]

Array = NDArray[np.float64]
MOST = 100  # rows of which the influence is told where they are read in blocks
LIKELIHOODS = ("mse", "bce", "bce-probability", "cross-entropy")


@dataclass(frozen=True)
class Residuals:
    """The design `Z (n, q)`, its ones last, in training coordinates, and what the exact answer leaves of `y (n,)`.

    `fitted` and `residual` are in the units of the target; `names` and `groups` are the columns of Z and their terms.
    """

    rows: Rows
    Z: Array
    fitted: Array
    residual: Array
    rank: int
    names: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def y(self) -> Array:
        """The target."""
        return self.rows.y

    @property
    def weight(self) -> Array | None:
        """The weights of the rows."""
        return self.rows.weight

    @cached_property
    def fit(self) -> Projection:
        """The fit as a projection."""
        return Projection.of(self.Z, self.residual, rank=self.rank, weight=self.weight)


def residuals(run: Subject) -> Residuals:
    """Rows, fitted values and residuals `(n,)` of the exact answer, in the units of the target.

    Raises RunError where the training rows of a loaded run are gone: put the file back where it was; UsageError for
    classes.

    >>> from sightline import solve
    >>> residuals(solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x")).residual.round(6).tolist()
    [-0.1, 0.8, -1.3, 0.6]
    """
    of_least_squares(run)
    rows, design = rows_at_once(run), run.design
    names, groups = design.encoding.terms, design.encoding.column_groups
    if design.intercept:
        names, groups = (*names, "Intercept"), (*groups, "Intercept")
    Z = design_matrix(run, rows)
    fitted = Z @ _training_coordinates(run)
    return Residuals(rows, Z, fitted, rows.y - fitted, run.rank, tuple(names), tuple(groups))


def _training_coordinates(run: Subject) -> Array:
    """The exact coefficients `(q,)` of standardized columns, the intercept last."""
    design = run.design
    exact = np.array([0.0 if c.exact is None else float(c.exact) for c in run.coefficients])
    slopes = exact[int(design.intercept) :]
    return np.append(slopes * design.scale, (exact[:1] + slopes @ design.center)[: int(design.intercept)])


def of_least_squares(run: Subject) -> Rows:
    """The rows of a run, wherever they are; UsageError for what is no least squares."""
    if run.design.classes:
        raise UsageError("this is about residuals of a number, and the target has classes: ask --test or --versus")
    if run.result["loss_name"] != "mse" or run.settings.l1:
        loss = "lasso" if run.settings.l1 else f"{run.result['loss_name']} loss"
        raise UsageError(f"this is about least squares, and the run has the {loss}: fit with --loss mse")
    return training_rows(run)


def rows_at_once(run: Subject) -> Rows:
    """The rows of a run in memory; refused where they are on the disk."""
    rows = training_rows(run)
    if rows.on_disk:
        name = Path(str(run.source["name"])).name
        remedy = larger_memory(cached=run.settings.cache is not None)
        raise UsageError(f"this needs all rows at once, and {name} is read in blocks: {remedy}")
    return rows


def training_rows(run: Subject) -> Rows:
    """The rows of a run; raises RunError where those of a loaded run are gone: put the file back where it was."""
    rows = run.training_rows()
    if rows is None:
        raise RunError("the rows of this run are gone or have changed: put the data file back, or fit again")
    return rows


def design_matrix(run: Subject, rows: Rows) -> Array:
    """`Z (n, q)` in training coordinates, the ones last."""
    return np.column_stack([rows.X, np.ones(len(rows))]) if run.design.intercept else rows.X


def residual_sum_of_squares(run: Subject) -> float:
    """Σ w r² of the exact answer, σ² times its degrees of freedom; zero where none are left."""
    sigma = run.result["fit"]["sigma"]
    return 0.0 if sigma is None else float(sigma) ** 2 * float(run.result["fit"]["df_resid"])


def vif(run: Subject) -> list[Inflation]:
    """Generalized variance inflation factor of each term: by how much the others widen its confidence region.

    >>> from sightline import solve
    >>> run = solve({"a": [0, 0, 1, 1], "b": [0, 1, 1, 1], "y": [1, 3, 2, 5]}, "y ~ a + b")
    >>> [round(one.gvif, 6) for one in vif(run)]
    [1.5, 1.5]
    """
    rows, design = of_least_squares(run), run.design
    if rows.on_disk:
        first, groups = int(design.intercept), design.encoding.column_groups
        R = rows_factor(rows.X, rows.weight, intercept=design.intercept)[first:, first:]
        return inflation_of_factor(R, groups=groups, rows=len(rows), noise=design.rounding[: len(groups)])
    r = residuals(run)
    return variance_inflation(r.Z, groups=r.groups, weight=r.weight, noise=design.noise)


def conditioning(run: Subject) -> Conditioning:
    """Condition indices and variance proportions of the columns in the units of the data (Belsley, Kuh and Welsch)."""
    rows, design = of_least_squares(run), run.design
    if rows.on_disk:  # any factor of the columns stands for them
        R = rows_factor(rows.X, rows.weight, intercept=design.intercept)
        first = int(design.intercept)
        units = R[:, first:] * design.scale
        raw = np.column_stack([R[:, :1], units + R[:, :1] * design.center]) if first else units
        return condition_diagnostics(raw, names=design.terms)
    X = rows.X * design.scale + design.center
    raw = np.column_stack([np.ones(len(X)), X]) if design.intercept else X
    return condition_diagnostics(raw, names=design.terms, weight=rows.weight)


def influence(run: Subject, most: int | None = None) -> Influence:
    """Leverage, residuals, Cook's distance, DFFITS and DFBETAS `(n, q)` of each row, as R has them.

    With `most` that many rows with the largest Cook's distances, the largest first, and first of all those that have
    none, as they alone determine a coefficient; of rows that are read in blocks 100, where it is not given.

    >>> from sightline import solve
    >>> influence(solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x")).leverage.round(6).tolist()
    [0.7, 0.3, 0.3, 0.7]
    """
    refuse_penalized(run, "the influence of rows")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise UsageError(f"most is {most!r}: give how many rows are wanted, a whole number from 1 on")
    rows = of_least_squares(run)
    return _influence(run, _fit_of(run, rows), most)


def assumptions(run: Subject) -> tuple[Test, ...]:
    """Tests of what standard errors assume: independent, equally spread, normal residuals, and a linear model.

    >>> from sightline import solve
    >>> tests = assumptions(solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x"))
    >>> tests[0].name, round(tests[0].statistic, 4)
    ('Durbin-Watson', 3.2704)
    """
    refuse_penalized(run, "a test of assumptions")
    rows = of_least_squares(run)
    return _tests(_fit_of(run, rows))


def diagnose(run: Subject) -> tuple[tuple[Test, ...], Influence]:
    """`assumptions` and `influence` of one fit: rows that come in blocks are read less often than for each of them."""
    refuse_penalized(run, "a test of assumptions")
    rows = of_least_squares(run)
    fit = _fit_of(run, rows)
    return _tests(fit), _influence(run, fit, None)


def _fit_of(run: Subject, rows: Rows) -> Residuals | BlockFit:
    """The residuals of a run with their projection; of rows that come in blocks the fit in orthonormal coordinates,
    for as long as someone holds the rows: of a run that is loaded, their files go with them.
    """
    if not rows.on_disk:
        return residuals(run)
    theta, R = _training_coordinates(run), None
    if run.design.intercept and len(theta) > MANY_COLUMNS:  # as counts of categories give it, without their columns
        exact = answer(run.design, rows, None, np.zeros(len(theta))).exact
        R = exact.factor
    return BlockFit.of(rows.X, rows.y, theta, rank=run.rank, weight=rows.weight, R=R)


def _tests(fit: Residuals | BlockFit) -> tuple[Test, ...]:
    if isinstance(fit, BlockFit):
        return specification_tests_of_blocks(fit)
    return specification_tests(fit.fit, fit.fitted)


def _influence(run: Subject, fit: Residuals | BlockFit, most: int | None) -> Influence:
    if isinstance(fit, BlockFit):
        return influence_of_blocks(fit, run.design.unit_map, most=most or MOST)
    found = influence_of(fit.fit, run.design.unit_map)
    return found if most is None else found.largest(most)


def cross_validate(run: Subject, folds: int | str = 10, *, seed: int = 0) -> Validation:
    """Cross-validation in closed form: `folds` of them, or "loo" for one row at a time; clusters stay together.

    Encoding and standardization are those of all rows.

    >>> from sightline import solve
    >>> round(cross_validate(solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x"), "loo").rmse, 6)
    1.488809
    """
    refuse_penalized(run, "cross-validation in closed form")
    rows, design = of_least_squares(run), run.design
    if folds == "loo":
        return _leave_one_out(run, _fit_of(run, rows))
    if isinstance(folds, bool) or not isinstance(folds, int):
        raise UsageError(f"folds is {folds!r}: give a whole number such as 10, or 'loo' for one row at a time")
    groups = None if rows.cluster is None else rows.cluster.tolist()
    chosen = assign_folds(len(rows), folds, seed=seed, groups=groups)
    how, noise = (cross_validate_blocks, design.rounding) if rows.on_disk else (crossval.cross_validate, design.noise)
    found = how(rows.X, rows.y, chosen, intercept=design.intercept, weight=rows.weight, noise=noise)
    return Validation(folds, found.residual, found.rmse, found.r2, found.undetermined)


def _leave_one_out(run: Subject, fit: Residuals | BlockFit) -> Validation:
    if isinstance(fit, BlockFit):
        residual = left_out_of_blocks(fit)
    else:
        residual = crossval.leave_one_out(fit.fit, weight=fit.weight).residual
    return crossval.summary_of_left_out(fit.y, residual, fit.weight, intercept=run.design.intercept)


def refuse_penalized(run: Subject, what: str) -> None:
    """Refuse a question that the pull of a penalty makes meaningless, or that this loss has no answer to."""
    s, loss = run.settings, run.result["loss_name"]
    if s.l2 or s.l1 or s.weight_decay:
        raise UsageError(
            f"{what} belongs to least squares without a penalty: leave --l2 and --weight-decay out"
            + ", and --l1" * bool(s.l1)
        )
    if loss not in LIKELIHOODS or s.loss_opt:
        raise UsageError(f"{what} is known for least squares and for likelihoods of classes, not for the {loss} loss")
