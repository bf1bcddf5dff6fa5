"""The three exercises: a few rows each, where training starts, the losses that fit, and the rates to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...errors import UsageError, nearest, shown

__all__ = ["EXERCISES", "Exercise", "exercise_for", "loss_for", "rate_for"]


@dataclass(frozen=True)
class Exercise:
    """One column and a target; `labels` are the classes in the order of their numbers, empty where y is a number.

    `rows` is how a sentence names the rows, `start` holds weight and bias, or what all weights and biases are.
    """

    task: str
    rows: str
    x_name: str
    x_unit: str
    y_name: str
    x: tuple[int, ...]
    y: tuple[int, ...]
    labels: tuple[str, ...]
    start: tuple[float, float]
    losses: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of the data as a file."""
        return {"regression": "heights.csv", "classification": "exam.csv"}.get(self.task, "bananas.csv")

    @property
    def formula(self) -> str:
        """The model as a formula."""
        return f"{self.y_name} ~ {self.x_name}"

    @property
    def csv(self) -> str:
        """The rows as a file has them, classes as words."""
        shown = [self.labels[v] if self.labels else v for v in self.y]
        return "\n".join(
            [f"{self.x_name},{self.y_name}", *(f"{x},{y}" for x, y in zip(self.x, shown, strict=True)), ""]
        )

    @property
    def coefficients(self) -> dict[str, float]:
        """Where training starts, by the names of the table; empty where all is zero."""
        weight, bias = self.start
        return {"Intercept": bias, self.x_name: weight} if any(self.start) else {}

    @property
    def scores(self) -> int:
        """How many numbers the model gives for each row."""
        return len(self.labels) if len(self.labels) > 2 else 1


EXERCISES = {
    e.task: e
    for e in (
        Exercise(
            "regression", "people", "height", "cm", "weight", (150, 160, 170, 175, 185), (55, 70, 64, 80, 75), (),
            (0.45, -35.0), ("mse", "l1", "huber", "smooth-l1"),
        ),
        Exercise(
            "classification", "students", "hours", "hours", "passed", (1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8),
            (0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1), ("no", "yes"), (0.0, 0.0), ("bce",),
        ),
        Exercise(
            "multiclass", "bananas", "days", "days", "banana", (1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9),
            (1, 1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 0, 2, 0, 2, 0, 0, 0), ("brown", "green", "ripe"), (0.0, 0.0),
            ("cross-entropy",),
        ),
    )
}  # fmt: skip


class _Rates(NamedTuple):
    """A rate at which 20 epochs show something: of a squared error, of an absolute one, of two classes, of three."""

    mse: float
    absolute: float
    classification: float
    multiclass: float


STEEP = _Rates(3e-6, 5e-5, 0.2, 0.1)  # steps that are lr times the gradient
SCALED = _Rates(0.01, 0.01, 0.1, 0.1)  # steps of about lr, whatever the gradient
RATES = {
    "sgd": STEEP,
    "asgd": STEEP,
    "radam": STEEP,  # its first five steps are not scaled yet
    "rmsprop": _Rates(0.005, 0.005, 0.02, 0.02),
    "adagrad": _Rates(0.05, 0.05, 0.1, 0.1),
    "adadelta": _Rates(1.0, 1.0, 1.0, 1.0),
    "lbfgs": _Rates(1.0, 1.0, 1.0, 1.0),
}


def exercise_for(task: str) -> Exercise:
    """The exercise of that name.

    Raises UsageError for another name, with the nearest.
    """
    if task not in EXERCISES:
        raise UsageError(f"--task cannot be {shown(task)}: {nearest(task, EXERCISES)}")
    return EXERCISES[task]


def loss_for(exercise: Exercise, loss: str | None) -> str:
    """The loss, or the one that is meant where none was given.

    Raises UsageError for a loss that does not fit the task, or that the tutorial does not have.
    """
    if loss is None or loss in exercise.losses:
        return loss or exercise.losses[0]
    other = next((e.task for e in EXERCISES.values() if loss in e.losses), None)
    if other is not None:
        kind = "numbers" if other == "regression" else f"{'two' if other == 'classification' else 'three'} classes"
        own = f"--loss {exercise.losses[0]}"
        raise UsageError(f"--loss {loss} is for {kind}, not for --task {exercise.task}: use {own}, or --task {other}")
    if len(exercise.losses) == 1:
        raise UsageError(f"--loss {shown(loss)} is not for --task {exercise.task}: use --loss {exercise.losses[0]}")
    raise UsageError(f"--loss cannot be {shown(loss)}: {nearest(loss, exercise.losses)}")


def rate_for(exercise: Exercise, loss: str, optimizer: str) -> float:
    """The learning rate where none was given.

    >>> rate_for(EXERCISES["regression"], "mse", "sgd")
    3e-06
    """
    rates = RATES.get(optimizer.lower(), SCALED)
    if exercise.task == "regression":
        return rates.mse if loss == "mse" else rates.absolute
    return rates.classification if exercise.task == "classification" else rates.multiclass
