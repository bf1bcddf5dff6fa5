"""The page of guards: what each block prints is what the page shows, and what it says of plain PyTorch holds."""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guards.md").read_text()
FENCED = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.S | re.M)
PAIRS = [(code, FENCED[2 * i + 1][1]) for i, (_, code) in enumerate(FENCED[::2])]


def test_every_block_is_followed_by_what_it_prints():
    assert [language for language, _ in FENCED] == ["python", "text"] * (len(FENCED) // 2)
    assert len(re.findall(r"^### ", PAGE, re.M)) <= len(PAIRS)
    for part in re.split(r"^### ", PAGE, flags=re.M)[1:]:
        assert "```python" in part


@pytest.mark.parametrize(("code", "expected"), PAIRS, ids=range(len(PAIRS)))
def test_the_sentence_is_the_one_shown(code, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "block", "exec"), {"__name__": "block"})
    assert printed.getvalue().split() == expected.split()
    assert expected.split()


X, Y = torch.linspace(-1, 1, 12).reshape(-1, 2), torch.ones(6, 1)


def test_a_second_softmax_leaves_at_best_so_much():
    best = torch.softmax(torch.softmax(torch.tensor([50.0, 0.0, 0.0]), 0), 0)
    assert best[0].item() == pytest.approx(math.e / (math.e + 2), rel=1e-6)
    assert "0.58 of three" in " ".join(PAGE.split())
    assert best[0].item() == pytest.approx(0.58, abs=0.005)


def test_a_second_sigmoid_keeps_the_loss_of_class_0_above_log_2():
    loss = nn.BCEWithLogitsLoss()(torch.sigmoid(torch.tensor([-50.0])), torch.tensor([0.0]))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "does"),
    [
        ("Use tensor.detach().numpy() instead", lambda: nn.Linear(2, 1)(X).numpy()),
        ("all elements of input should be between 0 and 1", lambda: nn.BCELoss()(X[:, :1], Y)),
        ("Target 2 is out of bounds", lambda: nn.CrossEntropyLoss()(X, torch.tensor([0, 1, 2, 0, 1, 1]))),
        ("mat1 and mat2 shapes cannot be multiplied (6x4 and 3x1)", lambda: nn.Linear(3, 1)(torch.ones(6, 4))),
        ("element 0 of tensors does not require grad", lambda: nn.Linear(2, 1)(X).detach().sum().backward()),
        ("per channel", lambda: nn.BatchNorm1d(2)(X[:1])),
    ],
)
def test_what_plain_pytorch_says(words, does):
    with pytest.raises((RuntimeError, IndexError, ValueError), match=re.escape(words)):
        does()
    assert words.replace("per channel", "values per channel") in " ".join(PAGE.split())


def test_where_plain_pytorch_is_silent():
    model = nn.Linear(2, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=math.nan)
    schedule = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD(model.parameters(), lr=0.1), lambda k: 1 - 2 * k)
    schedule.optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [-0.1]
    nn.functional.mse_loss(model(X), Y).backward()
    sgd.step()
    assert model.weight.isnan().all()
    assert nn.functional.mse_loss(X[:0], X[:0]).isnan()
    assert nn.CrossEntropyLoss()(X[:, :1], torch.zeros(6).long()).item() == 0.0
    numbers = (number for number in range(3))
    assert [len(list(numbers)) for _ in range(2)] == [3, 0]


def test_a_broadcast_loss_falls_to_the_variance_of_the_target():
    model, y = nn.Linear(2, 1), torch.arange(6.0)
    sgd = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in range(3000):
        sgd.zero_grad()
        loss = ((model(X) - y) ** 2).mean()
        loss.backward()
        sgd.step()
    assert loss.item() == pytest.approx(y.var(unbiased=False).item(), rel=1e-4)
