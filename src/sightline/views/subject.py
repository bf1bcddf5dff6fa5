"""What a view looks at: the parts of a run that it reads, so that views know nothing of how a run is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..records import Coefficient, Direction, Epoch, Verdict
from ..settings import RunSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.design import Design
    from ..rows import Rows

__all__ = ["Named", "Subject", "Told"]


class Named(Protocol):
    """The names that a design gives."""

    @property
    def terms(self) -> Sequence[str]: ...
    @property
    def constant(self) -> Sequence[str]: ...
    @property
    def classes(self) -> Sequence[str]: ...


class Told(Protocol):
    """A finished run, as text tells it; see `sightline.run.Run` for what each part is."""

    @property
    def result(self) -> Mapping[str, Any]: ...
    @property
    def design(self) -> Named: ...
    @property
    def coefficients(self) -> Sequence[Coefficient]: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def epochs(self) -> Sequence[Epoch]: ...
    @property
    def folder(self) -> Path | None: ...
    @property
    def level(self) -> float: ...
    @property
    def settings(self) -> RunSettings: ...


class Subject(Told, Protocol):
    """A finished run with its numbers."""

    @property
    def design(self) -> Design: ...
    @property
    def source(self) -> Mapping[str, Any]: ...
    @property
    def rank(self) -> int: ...
    @property
    def directions(self) -> Sequence[Direction]: ...
    @property
    def covariance_factor(self) -> NDArray[np.float64] | None: ...
    def training_rows(self) -> Rows | None: ...
