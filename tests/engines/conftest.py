"""What the tests of the kernel engine share."""

from __future__ import annotations

import pytest

from sightline.engines.kernels import engine


@pytest.fixture(params=["machine code", "torch"])
def how(request, monkeypatch):
    """Both ways of stepping, whatever the length of the run."""
    if request.param == "machine code":
        pytest.importorskip("numba", reason="machine code needs numba")
        monkeypatch.setattr(engine, "LONG", 0.0)
    return request.param
