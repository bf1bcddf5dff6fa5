"""The examples of docs/modules.md train as the plain loop does, bit for bit, and to the accuracy that stands there."""

from __future__ import annotations

import contextlib
import io
import re
from functools import partial

import pytest

import sightline
from tests.modules import worked
from tests.modules.plain import plain_train, same_bits

TITLES = ("An MLP", "A CNN", "An LSTM", "A transformer")


def run(title):
    """What the first example of the section leaves behind, and the accuracy that it prints and that it states."""
    code, names, printed = worked.blocks(title)[0], {"__name__": "block"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, title, "exec"), names)
    stated = re.search(r"^print\(f\"accuracy .*\)  # (.*)$", code, re.M)[1]
    return names, float(printed.getvalue().split()[-1]), float(stated)


@pytest.mark.parametrize("title", TITLES)
def test_an_example_is_the_plain_loop_bit_for_bit(title, monkeypatch):
    ours, accuracy, stated = run(title)
    monkeypatch.setattr(sightline, "train", partial(plain_train, target="higher"))
    theirs, same_accuracy, _ = run(title)
    assert same_bits(ours["model"], theirs["model"])
    for name in ("number", "running_loss", "valid_loss", "lr"):
        assert getattr(ours["epoch"], name) == getattr(theirs["epoch"], name)
    assert accuracy == same_accuracy
    assert abs(accuracy - stated) < 0.03  # other processors round otherwise
