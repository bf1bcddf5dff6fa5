"""Everything that trains, on a stand-in for a GPU: the records are those of the CPU, and nothing mixes the two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from torch.utils import backend_registration

from ..conftest import ROOT

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch has no devices that are written in Python",
)
SENTENCE = "was trained on cuda, and torch "


@pytest.fixture(scope="module")
def tried() -> dict[str, Any]:
    """In a process of its own, for a device that is made known stays known to torch."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.devices.stand_in"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_records_are_those_of_the_cpu(tried):
    apart = {
        name: value
        for name, value in tried.items()
        if not isinstance(value, list) and name not in ("transfers", "fault")
    }
    assert len(apart) > 30
    wrong = {name: value for name, value in apart.items() if not isinstance(value, float) or value > 1e-10}
    assert not wrong


def test_a_run_goes_on_there_and_where_there_is_no_such_device(tried):
    assert tried["resumed there"] == [0.0, ""]
    for name in ("resumed here", "resumed here, batches"):
        apart, note = tried[name]
        assert apart < 1e-10
        assert SENTENCE in note
        assert note.endswith("it goes on on the CPU, whose numbers are the same to rounding")


def test_many_rows_are_added_up_there(tried):
    exact, records, reason = tried["many"]
    assert exact < 1e-10
    assert records < 1e-10
    assert "gpu:0 added up the moments, and the CPU steps" in reason


def test_few_numbers_come_over_in_an_epoch(tried):
    assert tried["transfers"] < 4.5  # loss, norm, parameters, whether a reader has changed them; units, now and then


def test_why_it_diverged_is_said_there_too(tried):
    assert "is above the largest that is stable where the training began, 0.84" in tried["fault"]
