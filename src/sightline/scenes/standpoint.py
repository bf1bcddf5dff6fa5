"""From where a page looks at a run: the truth beside it, its rows, and the step that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..data.design import Design
from ..evidence import Evidence
from ..parameters import Layout
from ..rows import Rows
from ..settings import RunSettings
from ..truth import Truth
from ..tuning import Step, choose_step

__all__ = ["Standpoint"]


@dataclass(frozen=True)
class Standpoint:
    """What the panels are made of where the rows are at hand; `engine` is its name and the reason for it."""

    truth: Truth
    rows: Rows
    settings: RunSettings
    step: Step
    evidence: Evidence
    engine: Mapping[str, str]
    frozen_at: int | None = None

    @classmethod
    def of(cls, truth: Truth, rows: Rows, settings: RunSettings) -> Standpoint:
        """With the step that these settings choose."""
        start = truth.layout.from_units(settings.start)
        step = choose_step(settings, truth, start)
        return cls(truth, rows, settings, step, Evidence(truth, start, settings, step, ""), {})

    @property
    def layout(self) -> Layout:
        """How parameters and coefficients belong together."""
        return self.truth.layout

    @property
    def design(self) -> Design:
        """The design of the columns."""
        return self.truth.layout.design

    @property
    def optimizer(self) -> dict[str, Any]:
        """The optimizer as it is used."""
        return {"name": self.settings.optimizer, **self.step.options, "reason": self.step.reason}
