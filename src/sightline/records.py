"""What a run says about itself: frozen values, standard library only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Coefficient", "Direction", "Epoch", "Stop", "Verdict", "Warning"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ended: `reason` is a stable word, `sentence` is what the reader sees."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Epoch:
    """The model after one pass over the training rows; number 0 is the state before any update.

    `running_loss` is the mean loss over the batches of this epoch, while the parameters moved; `train_loss` is the
    loss of all training rows at the parameters of this record. They are two different quantities.

    >>> Epoch(0, None, 826.225, None, 9508.9, 3e-6, 0, 0.0).train_loss
    826.225
    """

    number: int
    running_loss: float | None
    train_loss: float | None
    valid_loss: float | None
    gradient_norm: float | None
    lr: float
    rows: int
    seconds: float
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)  # up to 1,000 numbers
    stop: Stop | None = None

    @property
    def loss(self) -> float | None:
        """The best known loss of this record: at rest where it was measured, else the running loss."""
        return self.running_loss if self.train_loss is None else self.train_loss


@dataclass(frozen=True, slots=True)
class Warning:
    """Something the reader should know: a stable code, a sentence with numbers, and what fixes it."""

    code: str
    text: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended: `name` is CONVERGED, NOT_CONVERGED, DIVERGED or STOPPED_EARLY, and a sentence says why."""

    name: str
    sentence: str
    warnings: tuple[Warning, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        from .markup import bundle, verdict_html

        return bundle(repr(self), verdict_html(self.name, self.sentence, self.warnings), include, exclude)


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One line of the table, in the units of the data.

    `estimate` is what training reached; everything else belongs to the exact optimum of the same objective.
    `off_by` is (estimate - exact) / std_error. None where a number is not defined.
    """

    term: str
    estimate: float | None
    exact: float | None
    std_error: float | None
    t: float | None
    p: float | None
    low: float | None
    high: float | None
    off_by: float | None


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the loss: its curvature, and how fast gradient descent moves along it at the rate in use.

    `time_constant`: epochs in which the error shrinks by the factor e; `epochs_per_digit`: tenfold; None where it
    does not shrink, or where no closed form is known. `mix`: the terms that make up the direction, in training
    coordinates.
    """

    curvature: float
    time_constant: float | None
    epochs_per_digit: float | None
    mix: Mapping[str, float]
