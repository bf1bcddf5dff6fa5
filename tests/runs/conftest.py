"""Commands within the test process, as in tests/cli."""

from __future__ import annotations

from ..cli.conftest import cli

__all__ = ["cli"]
