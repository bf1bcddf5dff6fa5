"""What an engine is: four verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

__all__ = ["Engine", "Measured"]


@dataclass(frozen=True, slots=True)
class Measured:
    """The model at rest: loss of all training rows, gradient norm of that loss, learning rate, parameters.

    `fault` says why the loss is no finite number, where it is none: nothing can be trained any further.
    """

    train_loss: float | None
    gradient_norm: float | None
    lr: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


class Engine(Protocol):
    """Runs one epoch, measures itself at rest, and gives and takes its whole state. A fifth verb needs a written
    reason.
    """

    name: ClassVar[str]

    @property
    def rows(self) -> int:
        """Training rows that one epoch reads."""

    def run_epoch(self, number: int) -> float | None:
        """One pass over the training rows; returns the running loss, if there is one."""

    def measure(self, *, loss: bool) -> Measured:
        """Look at the parameters as they are; the loss only if asked for, for it can cost a pass over the rows."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
