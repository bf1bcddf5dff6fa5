"""Cross-validation of a whole recipe: each fold is trained anew on the rows of the others, by the settings of a fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.categories import Categorical, labels_of
from .data.design import Design
from .data.table import Table
from .data.transforms import where
from .errors import DataError, SightlineError, UsageError, shown
from .job import Job
from .k_folds import CLASS_METRICS, NUMBER_METRICS, Fold, KFold, Values
from .linear.folds import assign_folds
from .linear.metrics import class_probabilities
from .prediction import Known, measured, parameters_of, response_of
from .prepare import prepare_for, prepare_part
from .prepared import Prepared
from .run import Run
from .settings import RunSettings
from .solving import by_name
from .stopping import Rule
from .words import count

__all__ = ["Folding", "Part", "k_fold"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
NOT_HERE = ("output", "sinks")


def k_fold(
    data: object,
    formula: str | None = None,
    *,
    target: str | None = None,
    folds: int = 5,
    fold_seed: int = 0,
    **settings: Any,
) -> KFold:
    """Train the recipe of `fit` once for each fold, on the rows of all others, and measure it on the rows left out.

    Nothing is learned from the rows held out: encoding, centers and scales, weights of classes, an automatic rate and
    the coefficients `(q,)` are those of the other folds, and `validation=0.2` holds a fifth of these out to stop by.
    `folds` are drawn by `fold_seed` from the rows without missing values and zero weights; rows of a `cluster` stay
    together, and classes are spread evenly over the folds. `settings` are those of `fit`. No run folder is written.

    Raises UsageError and DataError as `fit` does, with the fold that they come from, and where a class, or a category
    of a column, would be in no row trained on; each says what to do. Source: Stone 1974, Cross-validatory choice and
    assessment of statistical predictions.

    >>> found = k_fold({"x": [1, 2, 3, 4, 5, 6], "y": [1, 3, 2, 5, 4, 6]}, "y ~ x", folds=3)
    >>> [fold.verdict for fold in found.folds], round(found.pooled["rmse"], 6)
    (['CONVERGED', 'CONVERGED', 'CONVERGED'], 1.189309)
    """
    if named := [name for name in NOT_HERE if name in settings]:
        raise UsageError(f"k_fold writes no run folders and calls no sinks: leave {named[0]} out, or use fit")
    chosen = RunSettings.of(by_name(settings))
    folding = Folding.of(chosen, data, formula, target=target, folds=folds, seed=fold_seed)
    return folding.gathered(list(folding.trained()))


@dataclass(frozen=True)
class Part:
    """One fold as trained: its record, and of the rows held out the target `(m,)`, the scores Xw + b `(m, k)`, the
    offsets `(m,)`, and the mean of the rows trained on `(m,)`.
    """

    fold: Fold
    observed: Array
    scores: Array
    offset: Array
    mean: Array


@dataclass(frozen=True)
class Folding:
    """Folds that are ready to be trained: all rows, the settings of each training, and the fold of each row, from 0."""

    prepared: Prepared
    settings: RunSettings
    fold: Codes
    seed: int

    @classmethod
    def of(
        cls, settings: RunSettings, data: object, formula: str | None, *, target: str | None, folds: Any, seed: Any
    ) -> Folding:
        """Read the rows, and assign each to a fold."""
        _check_whole("folds", folds, least=2)
        _check_whole("fold-seed", seed, least=0)
        whole = prepare_for(replace(settings, validation=None, restore_best=True), data, formula, target=target)
        # A part of the rows may look like classes where the whole does not, so the loss is settled here.
        return cls(whole, replace(settings, loss=whole.loss), _assigned(whole, int(folds), int(seed)), int(seed))

    @property
    def count(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1

    def trained(self, rules: Sequence[Rule] = ()) -> Iterator[Part]:
        """Train one fold after the other; `rules` may end each of them."""
        for number in range(self.count):
            with _named(number + 1, self.count):
                part = self._part(number, rules)
            yield part

    def gathered(self, parts: Sequence[Part]) -> KFold:
        """What all folds say together."""
        design, loss = self.prepared.design, self.prepared.loss
        observed, scores, offset, mean = (
            self._in_order([getattr(part, name) for part in parts]) for name in ("observed", "scores", "offset", "mean")
        )
        pooled = _metrics(design, observed, scores, _prior(design, self.prepared.tables()), loss=loss, mean=mean)
        return KFold(
            design.formula, design.target, loss, self.seed, tuple(part.fold for part in parts), self.fold + 1,
            _predictions(design, scores, offset, loss), design.classes, _named_metrics(design, pooled),
            pooled.get("baseline_log_loss"),
        )  # fmt: skip

    def _in_order(self, values: Sequence[Array]) -> Array:
        """Values of the rows of each fold, in the order of all rows."""
        found = np.empty((len(self.fold), *values[0].shape[1:]))
        for number, own in enumerate(values):
            found[self.fold == number] = own
        return found

    def _part(self, number: int, rules: Sequence[Rule]) -> Part:
        keep = self.fold != number
        prepared = prepare_part(self.prepared, self.settings, keep)
        run = Job.of(prepared, self.settings).run(output=None, rules=rules)
        mean = float(np.average(prepared.rows.y, weights=_prior(run.design, prepared.tables())))
        held = _Scored.of(run, self._held(~keep))
        fold = Fold(
            number + 1, len(prepared.rows), len(held.observed), 0 if prepared.valid is None else len(prepared.valid),
            run.result["epochs"], run.verdict.name, tuple(w.code for w in run.verdict.warnings),
            held.metrics(run, mean), _Scored.of(run, prepared.tables()).metrics(run, mean),
        )  # fmt: skip
        return Part(fold, held.observed, held.scores, held.offset, np.full(len(held.observed), mean))

    def _held(self, chosen: NDArray[np.bool_]) -> Iterable[Table]:
        """Some rows, all at once or part by part."""
        whole = self.prepared
        return [whole.table.take(chosen)] if whole.stored is None else whole.stored.of(chosen).tables()


@dataclass(frozen=True)
class _Scored:
    """Of usable rows the target `(m,)`, the scores `(m, k)` by what training reached, the offsets and the weights of
    the rows themselves `(m,)`, None where they have none.
    """

    observed: Array
    scores: Array
    offset: Array
    weight: Array | None

    @classmethod
    def of(cls, run: Run, tables: Iterable[Table]) -> _Scored:
        """From tables, one after the other."""
        design, known = run.design, parameters_of(run.design, run.coefficients, run.result["loss_name"])
        parts = []
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverged
            for table in tables:
                scores = Known(design, table, np.ones(table.rows, dtype=bool)).scores(*known)
                weight = np.ones(table.rows) if design.weights is None else table.numbers(design.weights)
                parts.append((design.encoding.response(table), scores, design.encoding.offset(table), weight))
        observed, scores, offset, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
        return cls(observed, scores, offset, None if design.weights is None else weight)

    def metrics(self, run: Run, mean: float) -> Values:
        """Those that folds have."""
        loss = run.result["loss_name"]
        found = _metrics(run.design, self.observed, self.scores, self.weight, loss=loss, mean=mean)
        return _named_metrics(run.design, found)


def _metrics(
    design: Design, observed: Array, scores: Array, weight: Array | None, *, loss: str, mean: Any
) -> dict[str, Any]:
    """Nothing where a score is no finite number."""
    if not np.isfinite(scores).all():
        return {}
    return measured(design, observed, scores, weight, loss=loss, mean=None if design.classes else mean)


def _named_metrics(design: Design, found: Mapping[str, Any]) -> Values:
    """Those that folds have, None for one that overflows."""
    values = {name: found.get(name) for name in (CLASS_METRICS if design.classes else NUMBER_METRICS)}
    return {name: value if value is not None and np.isfinite(value) else None for name, value in values.items()}


def _prior(design: Design, tables: Iterable[Table]) -> Array | None:
    """The weights of the rows themselves; those of classes say what training cares for."""
    return None if design.weights is None else np.concatenate([table.numbers(design.weights) for table in tables])


def _predictions(design: Design, scores: Array, offset: Array, loss: str) -> Array:
    if design.classes and loss != "hinge":
        return class_probabilities(scores)
    return response_of(loss, scores[:, 0]) + offset


@contextmanager
def _named(number: int, folds: int) -> Iterator[None]:
    """An error says which fold it comes from."""
    try:
        yield
    except SightlineError as error:
        error.message = f"fold {number} of {folds}: {error.message}"
        error.args = (error.message,)
        raise


def _check_whole(name: str, value: Any, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"--{name} cannot be {shown(value)}: give a whole number of at least {least}")


def _assigned(prepared: Prepared, folds: int, seed: int) -> Codes:
    """The fold of each row: clusters stay together, classes are spread evenly."""
    rows, design = prepared.rows, prepared.design
    groups = None if rows.cluster is None else rows.cluster.tolist()
    strata = np.asarray(rows.y).astype(np.intp) if design.classes and groups is None else None
    fold = assign_folds(len(rows), folds, seed=seed, groups=groups, strata=strata)
    _check_sizes(prepared, fold)
    if design.classes:
        _check_present(prepared, fold, design.target, "class")
    for factor in design.encoding.factors:
        if isinstance(factor, Categorical):
            _check_present(prepared, fold, factor.column, "category")
    return fold


def _check_sizes(prepared: Prepared, fold: Codes) -> None:
    """Refuse folds that leave too little to train on."""
    sizes = np.bincount(fold)
    least = len(fold) - int(sizes.max())
    if least < 2:
        raise UsageError(
            f"{count(len(sizes), 'fold')} of {count(len(fold), 'row')} leave {count(least, 'row')} to train on, and a "
            "fit needs at least 2: add rows, or ask for more folds"
        )
    rows = prepared.rows
    if rows.cluster is not None and (alone := len(rows.clusters) - _clusters_in_a_fold(rows.cluster, fold)) < 2:
        raise UsageError(
            f"{count(len(sizes), 'fold')} of {count(len(rows.clusters), 'cluster')} leave "
            f"{count(alone, 'cluster')} to train on, and standard errors by cluster need at least 2: ask for more "
            "folds, or name a column with more clusters"
        )


def _clusters_in_a_fold(cluster: Codes, fold: Codes) -> int:
    """How many clusters are in the fold that has most of them."""
    return max(len(np.unique(cluster[fold == number])) for number in range(int(fold.max()) + 1))


def _standing(prepared: Prepared) -> Table:
    """A table that knows where each row stands."""
    return prepared.table if prepared.stored is None else replace(prepared.table, place=prepared.rows.place)


def _check_present(prepared: Prepared, fold: Codes, column: str, what: str) -> None:
    """Refuse a label that one fold has all rows of, as the training without them could not know it."""
    labels: Sequence[str]
    if prepared.stored is None:
        labels, codes = labels_of(prepared.table, column)
    else:
        codes, labels = prepared.stored.labels(column)
    first, last = np.full(len(labels), len(fold)), np.full(len(labels), -1)
    np.minimum.at(first, codes, fold)
    np.maximum.at(last, codes, fold)
    for code in np.flatnonzero(first == last)[:1]:
        rows = np.flatnonzero(codes == code)
        one, place = len(rows) == 1, where(_standing(prepared), int(rows[0]), column)
        raise DataError(
            f"{place}: {shown(labels[code])} is in fold {first[code] + 1} of "
            f"{fold.max() + 1} only ({count(len(rows), 'row')}), so the training on the other folds has no such "
            f"{what}: leave {'this row' if one else 'these rows'} out, join the {what} with another, or "
            + ("add rows of it" if one else "draw other folds with another --fold-seed")
        )
