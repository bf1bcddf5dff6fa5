"""`--folds` of `sightline fit`: the recipe trained once for each fold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..signals import signals

if TYPE_CHECKING:
    from ..folding import Folding, Part
    from ..k_folds import Fold
    from ..settings import RunSettings
    from .questions import Findings

__all__ = ["ask_folds", "fold_options", "plan_folds"]

F = TypeVar("F", bound=Callable[..., Any])


def fold_options(function: F) -> F:
    """--folds and --fold-seed."""
    seed = click.option("--fold-seed", type=int, metavar="N", help="Decides which rows are in which fold (default 0).")
    folds = click.option(
        "--folds", type=int, metavar="K", help="Train it all again in K folds too: errors on rows left out."
    )
    return folds(seed(function))


def plan_folds(
    settings: RunSettings, data: object, formula: str | None, *, target: str | None, ways: dict[str, Any]
) -> Folding | None:
    """The folds that the options ask for, checked before anything is trained; None without them."""
    if ways["folds"] is None:
        if ways["fold_seed"] is not None:
            raise click.UsageError("--fold-seed has no effect without folds: add --folds 5, or leave it out")
        return None
    from ..folding import Folding

    return Folding.of(settings, data, formula, target=target, folds=ways["folds"], seed=ways["fold_seed"] or 0)


def ask_folds(folding: Folding | None, found: Findings, *, silent: bool) -> int:
    """Add the table of the folds to what was found; the signal that ended them before it could be made, or 0."""
    if folding is None:
        return 0
    tell = None if silent else Progress(folding.count)
    parts: list[Part] = []
    with signals() as received:
        for part in folding.trained([received.rule]):
            if received:
                what = f"after {len(parts)} of {folding.count} folds, so there is no table of them"
                click.echo(f"\nstopped {what}; the fit itself is complete", err=True)
                return received.numbers[0]
            parts.append(part)
            if tell:
                tell(part.fold)
    result = folding.gathered(parts)
    found.add("folds", result.to_dict(), [*str(result).splitlines(), ""])
    return 0


class Progress:
    """Folds on stderr as they are done: on a terminal one line that is redrawn, else at 1, 2, 4, 8, ... and the end."""

    def __init__(self, folds: int) -> None:
        self.folds, self.live, self.next = folds, sys.stderr.isatty(), 1
        click.echo("", err=True)

    def __call__(self, fold: Fold) -> None:
        from ..words import count

        last = fold.number == self.folds
        line = f"fold {fold.number:,} of {self.folds:,}: {count(fold.epochs, 'epoch')}, {fold.verdict}"
        if self.live:
            click.echo(f"\r\x1b[K{line}", nl=last, err=True)
        elif last or fold.number >= self.next:
            click.echo(line, err=True)
            self.next = 2 * fold.number
