"""Shared settings and data of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")
torch.set_num_threads(1)
settings.register_profile("steady", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent
HEIGHTS = {"height": [150.0, 160.0, 170.0, 175.0, 185.0], "weight": [55.0, 70.0, 64.0, 80.0, 75.0]}


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test writes its runs to a folder of its own."""
    monkeypatch.setenv("SIGHTLINE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def heights() -> dict[str, list[float]]:
    """The running example: five people."""
    return {name: list(values) for name, values in HEIGHTS.items()}
