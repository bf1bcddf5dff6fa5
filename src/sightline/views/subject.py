"""What a view looks at: the parts of a run that it reads, so that views know nothing of how a run is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..records import Coefficient, Epoch, Verdict
from ..rows import Rows
from ..settings import RunSettings

__all__ = ["Subject"]


class Subject(Protocol):
    """A finished run, as it is shown; see `sightline.run.Run` for what each part is."""

    @property
    def result(self) -> Mapping[str, Any]: ...
    @property
    def design(self) -> Design: ...
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
    @property
    def rank(self) -> int: ...
    @property
    def covariance_factor(self) -> NDArray[np.float64] | None: ...
    def training_rows(self) -> Rows | None: ...
