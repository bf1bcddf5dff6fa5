"""Sizes of weights, gradients and updates by layer, beside a plain loop; a training is never disturbed by them."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

import sightline
from sightline.modules.layers import MOST_LINES, LayerSizes
from sightline.records import Epoch


def record(number, stop=None):
    return Epoch(number, None, 1.0, None, None, 0.1, 0, 0.0, {}, stop)


def lines(folder):
    return [json.loads(line) for line in (folder / "layers.jsonl").read_text().splitlines()]


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def test_they_are_those_of_the_plain_loop(tmp_path):
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    y = x[:, :1] ** 2
    model, plain = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    run = sightline.fit_module(model, (x, y), loss=nn.MSELoss(), optimizer=optimizer, epochs=3, output=tmp_path)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.5)
    for line in lines(run.folder)[1:]:
        before = copy.deepcopy(plain)
        optimizer.zero_grad()
        nn.functional.mse_loss(plain(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        nn.functional.mse_loss(plain(x), y).backward()  # on the full batch a record is of the gradient where it stands
        gradients = [[p.grad.clone() for p in layer.parameters()] for layer in (plain[0], plain[2])]
        for name, layer, old, gradient in zip(
            "02", (plain[0], plain[2]), (before[0], before[2]), gradients, strict=True
        ):
            flat = torch.cat([p.flatten() for p in layer.parameters()]).detach()
            moved = flat - torch.cat([p.flatten() for p in old.parameters()]).detach()
            told = line["layers"][name]
            assert told["weight"] == pytest.approx(float(flat.norm()), rel=1e-6)
            assert told["update"] == pytest.approx(float(moved.norm() / flat.norm()), rel=1e-5)
            assert told["gradient"] == pytest.approx(float(torch.cat([g.flatten() for g in gradient]).norm()), rel=1e-5)
    assert [line["number"] for line in lines(run.folder)] == [0, 1, 2, 3]


def test_long_trainings_are_measured_ever_less(tmp_path):
    sizes = LayerSizes(tmp_path, net())
    for number in range(10 * MOST_LINES):
        sizes(record(number))
    numbers = [line["number"] for line in lines(tmp_path)]
    assert numbers == sorted(set(numbers))
    assert numbers[: MOST_LINES - 1] == list(range(MOST_LINES - 1))
    assert len(numbers) < 3 * MOST_LINES
    assert numbers[-1] > 9.9 * MOST_LINES
    assert lines(tmp_path)[-1]["layers"]["0"]["update"] == 0.0


def test_a_disk_that_takes_nothing_does_not_stop_a_training(tmp_path):
    (tmp_path / "layers.jsonl").mkdir()
    sizes = LayerSizes(tmp_path, net())
    for number in range(3):
        sizes(record(number))
    assert list((tmp_path / "layers.jsonl").iterdir()) == []


def test_parameters_that_have_no_size_are_passed_over(tmp_path):
    model = net()
    model.register_parameter("steps", nn.Parameter(torch.tensor([3]), requires_grad=False))
    model.register_parameter("wave", nn.Parameter(torch.tensor([3 + 4j])))
    LayerSizes(tmp_path, model)(record(0))
    (line,) = lines(tmp_path)
    assert sorted(line["layers"]) == ["0", "2", "wave"]
    assert line["layers"]["wave"]["weight"] == pytest.approx(5.0)


def test_what_is_trained_again_is_measured_again(tmp_path):
    sizes = LayerSizes(tmp_path, net())
    for number in range(6):
        sizes(record(number))
    again = LayerSizes(tmp_path, net(), done=2)
    again(record(3))
    assert [line["number"] for line in lines(tmp_path)] == [0, 1, 2, 3]
