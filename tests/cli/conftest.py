"""Running commands within the test process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from sightline.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`cli("fit", ...)` gives exit code, stdout and stderr."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Done(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def heights_csv(tmp_path):
    """The running example as a file."""
    path = tmp_path / "heights.csv"
    path.write_text("height,weight\n150,55\n160,70\n170,64\n175,80\n185,75\n")
    return path
