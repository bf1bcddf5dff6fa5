"""What became of each learning rate of a sweep: too small, just right or too large, and which one to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .records import Epoch
from .words import about, count, plain

__all__ = ["JUST_RIGHT", "TOO_LARGE", "TOO_SMALL", "Ground", "Judged", "Outcome", "judge_rates", "outcome_of"]

TOO_SMALL, JUST_RIGHT, TOO_LARGE = "too small", "just right", "too large"
SLOWER = 2.0  # a rate is right that arrives, or needs at most so many times the epochs of the best one
LONGER = 10.0  # times the epochs are worth training, before something else should be changed
STILL = 0.999  # of the gradient a third of the epochs before: what shrinks less has settled, or never will
CYCLES = 0.9  # the same where the loss is not quadratic: too large a rate is drawn into a cycle there, ever more slowly
FEWEST = 6  # epochs in which that can be seen


@dataclass(frozen=True)
class Ground:
    """What is known without any training.

    `tolerance`: the objective above its optimum that counts as the answer. `limit`: the largest stable rate, None where
    no closed form has one; `rule` is its formula, and `local` whether it holds near the optimum only. `settling`:
    whether a good rate comes to rest, as gradient descent on all rows does. `needs(lr)`: the epochs to the answer,
    where they are known. `remedy`: options that help more than epochs do where no rate arrives. `eps` is that of the
    arithmetic.
    """

    tolerance: float
    epochs: int
    limit: float | None
    rule: str
    local: bool
    settling: bool
    needs: Callable[[float], float | None]
    remedy: str
    eps: float

    def forbids(self, lr: float) -> bool:
        """Whether the rate is above a limit that holds everywhere."""
        return self.limit is not None and not self.local and lr >= self.limit


@dataclass(frozen=True)
class Outcome:
    """One rate: the `loss` in the end and the objective above its optimum, `excess` (None where not finite);
    the epoch in which it `reached` the answer, or `diverged`; whether it `settles`; `pace`, the digits that the excess
    loses per epoch; how many epochs it `needs` in all, where that is known.
    """

    lr: float
    epochs: int
    loss: float | None
    excess: float | None
    reached: int | None
    diverged: int | None
    settles: bool
    pace: float
    needs: float | None
    word: str = ""


@dataclass(frozen=True)
class Judged:
    """All rates from the smallest to the largest. `bracket`: the largest rate that settles below the smallest that
    does not, and that one; None on a side where the sweep has none.
    """

    outcomes: tuple[Outcome, ...]
    ground: Ground
    start: float
    best: Outcome | None
    bracket: tuple[float | None, float | None]

    @property
    def sentence(self) -> str:
        """The verdict, which ends in what to do."""
        return _sentence(self)


def outcome_of(records: Sequence[Epoch], excess: Sequence[float], ground: Ground) -> Outcome:
    """What became of one rate, whose objective above its optimum was `excess` at each of its records."""
    last, lr = records[-1], records[-1].lr
    diverged = last.number if last.stop is not None and last.stop.reason == "diverged" else None
    there = excess[-1] <= ground.tolerance
    settles = diverged is None and (there or not ground.settling or _comes_to_rest(records, excess, ground))
    reached = next((r.number for r, e in zip(records, excess, strict=True) if e <= ground.tolerance), None)
    if not settles or ground.forbids(lr):
        reached = None
    needs = ground.needs(lr) if reached is None and settles and not ground.forbids(lr) else None
    finite = math.isfinite(excess[-1])
    return Outcome(
        lr, last.number, last.loss if finite else None, max(excess[-1], 0.0) if finite else None, reached, diverged,
        settles, _pace(excess, reached, needs, ground) if settles else -math.inf, needs,
    )  # fmt: skip


def _comes_to_rest(records: Sequence[Epoch], excess: Sequence[float], ground: Ground) -> bool:
    """Whether the gradient shrinks from the middle third of the epochs to the last, or the loss at least never rises
    there.
    """
    if len(records) < FEWEST:
        return excess[-1] <= excess[0]
    third = len(records) // 3
    norms = [math.inf if r.gradient_norm is None else r.gradient_norm for r in records]
    if max(norms[-third:]) < (CYCLES if ground.local else STILL) * max(norms[-2 * third : -third]):
        return True
    losses = [r.loss or 0.0 for r in records[-third:]]
    return all(b - a <= 64.0 * ground.eps * abs(a) for a, b in pairwise(losses))


def _pace(excess: Sequence[float], reached: int | None, needs: float | None, ground: Ground) -> float:
    """Digits of the excess per epoch, on the way to the answer or to where it ends."""
    goal, way = ground.tolerance, reached if needs is None else needs
    if way is None:
        goal, way = max(goal, excess[-1]), len(excess) - 1
    return math.log10(max(excess[0], goal) / goal) / max(way, 1) if goal > 0.0 else 0.0


def judge_rates(outcomes: Sequence[Outcome], ground: Ground, start: float) -> Judged:
    """A word for each rate, beside the best of them; `start` is the excess before any training."""
    known = sorted(outcomes, key=lambda o: o.lr)
    good = [o for o in known if o.settles and not ground.forbids(o.lr) and o.pace > 0.0]
    best = max(good, key=lambda o: (o.pace, -(o.excess or 0.0)), default=None)
    words = [_word(o, best, ground) for o in known]
    middle = len(known) if best is None else known.index(best)
    _carry_on(words, known, range(middle, len(known)), TOO_LARGE)
    _carry_on(words, known, range(min(middle, len(known) - 1), -1, -1), TOO_SMALL)
    worded = tuple(replace(o, word=word) for o, word in zip(known, words, strict=True))
    chosen = None if best is None else next(o for o in worded if o.lr == best.lr)
    return Judged(worded, ground, start, chosen, _bracket(known))


def _word(o: Outcome, best: Outcome | None, ground: Ground) -> str:
    if not o.settles or ground.forbids(o.lr):
        return TOO_LARGE
    if best is None:
        return TOO_SMALL
    if o.reached is not None:
        return JUST_RIGHT
    if o.pace >= best.pace / SLOWER:
        return JUST_RIGHT
    return TOO_SMALL if o.lr < best.lr else TOO_LARGE


def _carry_on(words: list[str], known: Sequence[Outcome], order: range, word: str) -> None:
    """Beyond a rate that is too large, or too small, none is right that has not arrived: its swing ended by luck."""
    seen = False
    for i in order:
        if seen and known[i].reached is None and words[i] == JUST_RIGHT:
            words[i] = word
        seen = seen or words[i] == word


def _bracket(known: Sequence[Outcome]) -> tuple[float | None, float | None]:
    high = next((o.lr for o in known if not o.settles), None)
    below = [o.lr for o in known if o.settles and (high is None or o.lr < high)]
    return (below[-1] if below else None), high


def _sentence(j: Judged) -> str:
    g, best = j.ground, j.best
    if j.start <= g.tolerance:
        return "training starts at the answer, so no rate can show anything: leave --start out"
    if best is None:
        return _none_good(j)
    lr = f"--lr {plain(best.lr)}"
    if best.reached is not None:
        return f"use {lr} (reaches the answer in {count(best.reached, 'epoch')}){_stable(g)}{_room(j)}"
    if _room(j):
        return f"every rate is too small for {count(g.epochs, 'epoch')}{_stable(g)}: sweep higher, {_higher(j)}"
    way = f"comes within {plain(best.excess)} of it" if best.needs is None else f"would need {about(best.needs)}"
    lead = f"no rate reaches the answer in {count(g.epochs, 'epoch')}, the best ({plain(best.lr)}) {way}{_stable(g)}"
    if g.remedy and not (best.needs is not None and best.needs <= LONGER * g.epochs):
        return f"{lead}: sweep again with {g.remedy}"
    return f"{lead}: use {lr} --epochs {math.ceil(best.needs or LONGER * g.epochs)}"


def _none_good(j: Judged) -> str:
    g, low = j.ground, j.outcomes[0].lr
    if all(o.word == TOO_LARGE for o in j.outcomes):
        top = g.limit if g.limit is not None and g.limit < low else low
        return f"every rate is too large{_stable(g)}: sweep lower, --lr {plain(top / 1e4)}:{plain(top)}:24"
    return f"no rate comes nearer to the answer in {count(g.epochs, 'epoch')}: sweep higher, {_higher(j)}"


def _stable(g: Ground) -> str:
    if g.limit is None or not math.isfinite(g.limit):
        return ""
    return f"; stable {'near the answer ' if g.local else ''}below {plain(g.limit)}"


def _room(j: Judged) -> str:
    """That higher rates may be better, where the best is the highest and the limit is not near."""
    best, last = j.best, j.outcomes[-1]
    near = j.ground.limit is not None and last.lr * 1.5 > j.ground.limit
    if best is None or best.lr < last.lr or near or best.reached == 1:
        return ""
    return f"; it is the largest of the sweep, and larger ones may be better: {_higher(j)}"


def _higher(j: Judged) -> str:
    last, limit = j.outcomes[-1].lr, j.ground.limit
    top = 2.0 * limit if limit is not None and last < limit < 1e6 * last else 1e3 * last
    return f"--lr {plain(last)}:{plain(top)}:24"
