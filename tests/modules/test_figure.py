"""The picture of a training of a module."""

from __future__ import annotations

import torch
from torch import nn

import sightline


def fitted(lr=0.1, **options):
    torch.manual_seed(0)
    x = torch.linspace(-1.0, 1.0, 40)[:, None]
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    return sightline.fit_module(
        model, (x, 3.0 * x + 1.0), loss=nn.MSELoss(), optimizer=sgd, epochs=6, output=False, **options
    )


def test_every_loss_is_drawn_as_it_was_recorded_and_the_kept_epoch_marked():
    run = fitted(valid=0.25, measure=1, curvature=2)
    losses, rates = run.figure().axes
    lines = {line.get_label(): line for line in losses.lines}
    for label, values in (
        ("running loss", {e.number: e.running_loss for e in run.epochs if e.running_loss is not None}),
        ("loss at rest", {e.number: e.train_loss for e in run.epochs}),
        ("validation loss", {e.number: e.valid_loss for e in run.epochs}),
    ):
        assert dict(zip(*lines[label].get_data(), strict=True)) == values
    colors = {lines[label].get_color() for label in ("running loss", "loss at rest", "validation loss")}
    assert len(colors) == 3
    kept = next(e for e in run.epochs if e.number == run.result["kept_epoch"])
    assert lines[f"kept: epoch {kept.number}"].get_xydata().tolist() == [[kept.number, kept.valid_loss]]
    limit = next(line for line in rates.lines if "λmax" in line.get_label())
    assert limit.get_xdata().tolist() == [0, 2, 4, 6]
    assert limit.get_ydata().tolist() == [found["lr_limit"] for found in run.result["curvature"]]


def test_a_run_without_a_finite_loss_says_so():
    torch.manual_seed(0)
    x = torch.full((8, 1), 1e30)
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    run = sightline.fit_module(model, [(x, x)], loss=nn.MSELoss(), optimizer=sgd, epochs=2, output=False)
    assert run.verdict.name == "DIVERGED"
    (axes,) = run.figure().axes
    assert [text.get_text() for text in axes.texts] == ["no finite loss was measured"]
