"""How far an epoch is: the steps that are done and their losses, so that it can be gone on with in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from .at_rest import MeanLoss
from .random_streams import load_streams, snapshot, streams

__all__ = ["Progress"]

T = TypeVar("T")


class Progress:
    """The losses of an epoch, step by step; `on_step` is called after each step, where someone wants to look.

    `source` is what batches come from, whose random streams belong to the position.
    """

    def __init__(self, source: Any = None) -> None:
        self.on_step: Callable[[], None] | None = None
        self.running = MeanLoss(mean=True)
        self._source = source
        self._steps = 0
        self._began: tuple[Any, ...] | None = None
        self._saved: Mapping[str, Any] | None = None

    def begin(self, running: MeanLoss, steps: Iterator[T]) -> Iterator[T]:
        """The steps of a new epoch that are still to do, after those that a saved position has behind it.

        The streams are put where they were when the epoch began, the steps that are done are drawn once more, and then
        the streams are put where they were at the position.
        """
        saved, self._saved = self._saved, None
        self.running, self._steps = running, 0
        if saved is not None:
            load_streams(saved["began"], self._source)
        self._began = None if self.on_step is None else snapshot(self._source)
        if saved is None:
            return steps
        self._steps = int(saved["steps"])
        for _ in range(self._steps):
            next(steps, None)
        running.load_state_dict(saved["running"])
        load_streams(saved["now"], self._source)
        return steps

    def step(self, loss: float, counts: float) -> None:
        """One more step was taken."""
        self.running.add(loss, counts)
        self._steps += 1
        if self.on_step is not None:
            self.on_step()

    def end(self) -> float:
        """The epoch is over; returns its running loss."""
        self._steps = 0
        return self.running.value

    def state_dict(self) -> dict[str, Any]:
        """The position within the epoch; nothing between two epochs."""
        if self._saved is not None:  # taken up, and not yet gone on from
            return {"position": self._saved}
        if not self._steps or self._began is None:
            return {}
        state = {"steps": self._steps, "running": self.running.state_dict(), "began": streams(self._began)}
        return {"position": {**state, "now": streams(snapshot(self._source))}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a position: the next epoch begins there."""
        self._saved = state.get("position")
