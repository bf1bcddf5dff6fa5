"""Rows of every kind: the faster engines give the plain loop's answer, or its very error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.engines.kernels import engine

N = 60


def rows(p=3, n=N):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p))
    return x, x @ np.ones((p, 1)) + 0.1 * rng.normal(size=(n, 1))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


KINDS = {
    "columns in one piece": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1],
    "integers": lambda a: (10 * a).astype(np.int64),
    "bytes": lambda a: (np.abs(10 * a)).astype(np.uint8),
    "truth": lambda a: a > 0,
    "half": lambda a: a.astype(np.float16),
    "swapped": lambda a: a.astype(">f8"),
    "read only": read_only,
    "a list": lambda a: a.tolist(),
    "with a gradient": lambda a: torch.tensor(a, requires_grad=True),
    "the result of an operation": lambda a: torch.tensor(a, requires_grad=True) * 1.0,
    "transposed": lambda a: torch.tensor(a).T.contiguous().T,
    "expanded": lambda a: torch.tensor(a[:1]).expand(*a.shape),
    "denormal": lambda a: a * 1e-310,
    "nan in the middle": lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.nan, a),
    "infinite": lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size - 1, -np.inf, a),
    "no rows": lambda a: a[:0],
    "one row": lambda a: a[:1],
    "two rows": lambda a: a[:2],
    "no columns": lambda a: a[:, :0],
    "huge": lambda a: a * 1e200,
    "complex": lambda a: a.astype(complex),
    "text": lambda a: a.astype(str),
    "masked": lambda a: np.ma.masked_greater(a, 1.0),
    "a table of three axes": lambda a: a[:, :, None],
    "one axis": lambda a: a[:, 0],
}


def outcome(x, y, how, dtype, **options):
    """Parameters and running losses, or the type and words of the error."""
    torch.manual_seed(0)
    try:
        shape = np.shape(x.detach() if isinstance(x, torch.Tensor) else x)
        model = nn.Linear(shape[1] if len(shape) > 1 else 1, 1, dtype=dtype)
        sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
        records = list(
            sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=3, engine=how, measure=1, **options)
        )
    except sightline.SightlineError as error:
        return type(error), str(error)
    numbers = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).tolist()
    return numbers, [r.running_loss for r in records[1:]], [r.stop and r.stop.reason for r in records]


def same(got, want, dtype):
    if isinstance(want[0], type):
        return got == want
    close = 1e-4 if dtype is torch.float32 else 1e-10
    numbers = all(
        g == pytest.approx(w, rel=close, abs=close, nan_ok=True) for g, w in zip(got[:2], want[:2], strict=True)
    )
    return numbers and got[2] == want[2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize("options", [{}, {"batch_size": 16}], ids=["full batch", "batches"])
def test_rows_of_any_kind_train_as_in_the_plain_loop(monkeypatch, kind, which, options, dtype):
    monkeypatch.setattr(engine, "LONG", 0.0)  # machine code, where there is any
    x, y = rows()
    if which == "x":
        x = KINDS[kind](x)
    else:
        y = KINDS[kind](y)
    if kind in ("one row", "two rows"):
        x, y = x[: len(y)], y[: len(x)]
    if dtype is torch.float32:
        x, y = (np.asarray(a, np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a for a in (x, y))
    want = outcome(x, y, "autograd", dtype, **options)
    assert same(outcome(x, y, "auto", dtype, **options), want, dtype), want


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("p", [0, 1, 7, 8, 9, 200])
def test_more_columns_than_rows_and_no_columns_at_all(monkeypatch, p):
    monkeypatch.setattr(engine, "LONG", 0.0)
    x, y = rows(p, 20)
    for options in ({}, {"batch_size": 6}):
        want = outcome(x * 0.1, y, "autograd", torch.float64, **options)
        assert same(outcome(x * 0.1, y, "auto", torch.float64, **options), want, torch.float64)


SCRIPT = """
import sys
{first}
import torch
import sightline
from sightline.engines.kernels import engine
engine.LONG = 0.0
x = torch.arange(40.0).reshape(20, 2) / 40
y = x.sum(1, keepdim=True)
torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
list(sightline.train(model, (x, y), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=5, batch_size=4, engine="kernel"))
print(*model.weight.tolist()[0], model.bias.item())
"""


def printed(first="", **environment):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)], env={**os.environ, **environment}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert not found.stderr
    return [float(number) for number in found.stdout.split()]


def test_without_numba_and_without_a_place_for_its_cache_the_answer_is_the_same(tmp_path):
    pytest.importorskip("numba", reason="machine code needs numba")
    want = printed()
    hidden = "import importlib.util as u; find = u.find_spec; "
    hidden += "u.find_spec = lambda name, *a: None if name == 'numba' else find(name, *a); sys.modules['numba'] = None"
    assert printed(hidden) == pytest.approx(want, rel=1e-5)
    nowhere = tmp_path / "a file"
    nowhere.write_text("no folder can be made below it")
    assert printed(NUMBA_CACHE_DIR=str(nowhere / "cache")) == want
    assert list(Path(tmp_path).iterdir()) == [nowhere]
