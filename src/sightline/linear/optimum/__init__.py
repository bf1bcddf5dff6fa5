"""The minimum of any objective, how it was found and how sure it is."""

from __future__ import annotations

from .find import optimum
from .result import Optimum

__all__ = ["Optimum", "optimum"]
