"""The mistakes people make in this loop, each refused before any training, with what to do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sightline


def train(model, x, y, loss=None):
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return list(sightline.train(model, (x, y), loss=loss or nn.MSELoss(), optimizer=sgd, epochs=1))


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(), nn.functional.mse_loss, nn.HuberLoss(), lambda p, t: ((p - t) ** 2).mean()]
)
@pytest.mark.parametrize("module", [nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))])
def test_a_column_against_a_row_is_refused(loss, module):
    with pytest.raises(sightline.UsageError, match=r"\(5, 1\) but the target has shape \(5,\).*y\.reshape\(-1, 1\)"):
        train(module, torch.ones(5, 2), torch.ones(5), loss)


def test_a_row_against_a_column_is_refused():
    with pytest.raises(sightline.UsageError, match=r"\(5,\) but the target has shape \(5, 1\).*y\.reshape\(-1\)"):
        train(nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)), torch.ones(5, 2), torch.ones(5, 1))


def test_classes_against_scores_are_not_taken_for_that_mistake():
    records = train(nn.Linear(2, 3), torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2]), nn.CrossEntropyLoss())
    assert records[1].train_loss < records[0].train_loss


def test_rows_of_another_dtype_or_width():
    with pytest.raises(
        sightline.UsageError, match=r"x is float64 and the model is float32: convert .*\.to\(torch\.float32\)"
    ):
        train(nn.Linear(2, 1), torch.ones(5, 2, dtype=torch.float64), torch.ones(5, 1))
    with pytest.raises(sightline.UsageError, match=r"shape \(5,\) .*x\.reshape\(-1, 1\)"):
        train(nn.Linear(1, 1), torch.ones(5), torch.ones(5))
    with pytest.raises(sightline.UsageError, match=r"takes 3 features .*nn\.Linear\(2, \.\.\.\)"):
        train(nn.Linear(3, 1), torch.ones(5, 2), torch.ones(5, 1))


def test_an_optimizer_of_another_model():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    sgd = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(sightline.UsageError, match=r"build it from this model"):
        list(sightline.train(model, (torch.ones(5, 2), torch.ones(5, 1)), loss=nn.MSELoss(), optimizer=sgd, epochs=1))


@pytest.mark.parametrize(
    ("loss", "y", "remedy"),
    [
        (nn.MSELoss, torch.ones(5, 1), r"give an instance, MSELoss\(\)"),
        ("mse", torch.ones(5, 1), r"such as torch\.nn\.MSELoss\(\)"),
        (nn.MSELoss(reduction="none"), torch.ones(5, 1), "use 'mean' or 'sum'"),
        (nn.CrossEntropyLoss(), torch.ones(5, 1), r"y\.long\(\)"),
        (nn.CrossEntropyLoss(), torch.ones(5, 1, dtype=torch.long), r"y\.reshape\(-1\)"),
        (nn.CrossEntropyLoss(), torch.tensor([0, 1, -1, 0, 1]), "number them from 0"),
        (nn.MSELoss(), torch.ones(5, 1, dtype=torch.long), r"y\.float\(\)"),
        (nn.BCEWithLogitsLoss(), torch.full((5, 1), 2.0), "map the two classes to 0 and 1"),
    ],
)
def test_losses_and_targets_that_do_not_fit(loss, y, remedy):
    with pytest.raises(sightline.UsageError, match=remedy):
        train(nn.Linear(2, 1), torch.ones(5, 2), y, loss)


def test_an_optimizer_that_holds_foreign_parameters_too():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    sgd = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    with pytest.raises(sightline.UsageError, match="parameters of another model"):
        list(sightline.train(model, (torch.ones(5, 2), torch.ones(5, 1)), loss=nn.MSELoss(), optimizer=sgd, epochs=1))


class Two(nn.Module):
    """Two outputs, as many modules have."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x), x.mean()


def test_modules_with_several_outputs_and_a_loss_of_their_own():
    records = train(Two(), torch.randn(6, 2), torch.randn(6, 1), lambda out, y: ((out[0] - y) ** 2).mean())
    assert records[1].train_loss < records[0].train_loss


def test_numbers_of_numpy_and_rows_that_require_gradients_and_no_grad():
    import numpy as np

    model = nn.Linear(2, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(6, 2, requires_grad=True) * 2.0
    with torch.no_grad():
        stream = sightline.train(
            model, (x, torch.randn(6, 1)), loss=nn.HuberLoss(), optimizer=sgd, epochs=np.int64(3), seed=np.int64(4),
            batch_size=np.int64(2), measure=1,
        )  # fmt: skip
        assert [r.number for r in stream] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("loss", "remedy"),
    [
        (lambda p, t: (p - t) ** 2, "return its mean or its sum"),
        (lambda p, t: 1.0, "return its mean or its sum"),
        (lambda p, t: ((p.detach() - t) ** 2).mean(), r"leave out detach\(\)"),
    ],
)
def test_losses_that_backward_cannot_start_from(loss, remedy):
    with pytest.raises(sightline.UsageError, match=remedy):
        train(nn.Linear(2, 1), torch.ones(5, 2), torch.ones(5, 1), loss)


def test_whole_numbers_as_rows():
    with pytest.raises(sightline.UsageError, match=r"convert it with x\.float\(\)"):
        train(nn.Linear(2, 1), torch.ones(5, 2, dtype=torch.long), torch.ones(5, 1))
