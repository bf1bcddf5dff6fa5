"""Rows that repeat, with every loss of a row that torch has, against the plain loop over all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sightline
from sightline.engines.choose import choose
from sightline.engines.feeds import TensorFeed
from sightline.engines.kernels import engine, grouped
from sightline.engines.losses import BCEOfProbability, GaussianNLL, HingeLoss, Weighted
from sightline.engines.problem import Problem
from sightline.engines.repeated import Repeated

ROWS, GROUPS, EPOCHS = 3 * grouped.SAMPLE, 50, 5
DRAW = torch.Generator().manual_seed(3)
NUMBER, ONE_OF_TWO = torch.randn(GROUPS, 1, generator=DRAW).double(), torch.randint(2, (GROUPS, 1), generator=DRAW)
CLASS, COUNT = torch.randint(3, (GROUPS,), generator=DRAW), torch.randint(6, (GROUPS, 1), generator=DRAW).double()
SHARES = torch.softmax(torch.randn(GROUPS, 3, generator=DRAW).double(), 1)
WEIGHTS = torch.tensor([0.5, 2.0, 1.5]).double()
SIGN, YES = 2.0 * ONE_OF_TWO.double() - 1.0, ONE_OF_TWO.double()
BESIDE = torch.cat([COUNT, torch.rand(GROUPS, 1, generator=DRAW).double() + 0.5], 1)

CASES = {
    "huber, sum": (nn.HuberLoss(reduction="sum"), NUMBER, 1),
    "l1, sum": (nn.L1Loss(reduction="sum"), NUMBER, 1),
    "smooth l1 of beta 0": (nn.SmoothL1Loss(beta=0.0), NUMBER, 1),
    "poisson": (nn.PoissonNLLLoss(), COUNT, 1),
    "poisson, full": (nn.PoissonNLLLoss(full=True, reduction="sum"), COUNT, 1),
    "bce, pos_weight": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]).double()), YES, 1),
    "bce, weight": (nn.BCEWithLogitsLoss(weight=WEIGHTS), SHARES, 3),
    "classes, weight": (nn.CrossEntropyLoss(weight=WEIGHTS), CLASS, 3),
    "classes, weight, smoothed": (nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.2), CLASS, 3),
    "classes, sum": (nn.CrossEntropyLoss(reduction="sum"), CLASS, 3),
    "probabilities": (nn.CrossEntropyLoss(), SHARES, 3),
    "probabilities, weight": (nn.CrossEntropyLoss(weight=WEIGHTS), SHARES, 3),
    "soft margin": (nn.SoftMarginLoss(), SIGN, 1),
    "multi margin": (nn.MultiMarginLoss(margin=0.7), CLASS, 3),
    "several labels": (nn.MultiLabelSoftMarginLoss(), (SHARES > 0.3).double(), 3),
    "hinge embedding": (nn.HingeEmbeddingLoss(), SIGN, 1),
    "hinge": (HingeLoss(), YES, 1),
    "of probability": (BCEOfProbability(), YES, 1),
    "gaussian": (GaussianNLL(), NUMBER, 2),
    "weighted": (Weighted(nn.PoissonNLLLoss(reduction="none")), BESIDE, 1),
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-5, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.01, max_iter=2),
}


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)


def rows(target, p=4):
    """Rows drawn from a few, in any order."""
    few = torch.randn(GROUPS, p, generator=torch.Generator().manual_seed(1)).double()
    pick = torch.randint(GROUPS, (ROWS,), generator=torch.Generator().manual_seed(2))
    return few[pick], target[pick]


def linear(outputs):
    torch.manual_seed(0)
    return nn.Linear(4, outputs).double()


def plain(model, optimizer, loss, x, y):
    """Losses before each step and after the last one."""
    found = []

    def closure():
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        return value

    for _ in range(EPOCHS):
        found.append(optimizer.step(closure).item())
    return [*found, loss(model(x), y).item()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", CASES)
def test_every_loss_gives_the_records_of_all_rows(name, optimizer):
    loss, target, outputs = CASES[name]
    x, y = rows(target)
    ours, theirs = linear(outputs), linear(outputs)
    want = plain(theirs, OPTIMIZERS[optimizer](theirs.parameters()), loss, x, y)
    own = OPTIMIZERS[optimizer](ours.parameters())
    engine_, reason = choose(Problem(ours, loss, own, TensorFeed(x, y)), epochs=EPOCHS)
    assert isinstance(engine_, Repeated)
    different = len(torch.unique(torch.cat([x, y.double().reshape(len(x), -1)], 1), dim=0))
    assert engine_.different == different == GROUPS
    assert engine_.rows == ROWS
    assert reason.startswith("forward and backward of 50 different rows, each times how many of them there are")
    records = list(sightline.train(ours, (x, y), loss=loss, optimizer=own, epochs=EPOCHS))
    assert [r.running_loss for r in records[1:]] == pytest.approx(want[:-1], rel=1e-12)
    assert records[-1].train_loss == pytest.approx(want[-1], rel=1e-12)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(loss(theirs(x), y), list(theirs.parameters()))
    norm = torch.cat([g.reshape(-1) for g in gradients]).norm().item()
    assert records[-1].gradient_norm == pytest.approx(norm, rel=1e-9, abs=1e-12)


def test_classes_that_are_ignored_count_for_nothing():
    x, y = rows(torch.where(CLASS == 1, -100, CLASS))
    loss, ours, theirs = nn.CrossEntropyLoss(), linear(3), linear(3)
    engine_ = choose(Problem(ours, loss, OPTIMIZERS["adamw"](ours.parameters()), TensorFeed(x, y)), epochs=EPOCHS)[0]
    assert isinstance(engine_, Repeated)
    value = engine_.loss_of(x, y).item()
    assert value == pytest.approx(loss(theirs(x), y).item(), rel=1e-12)


def _other(change):
    x, y = rows(NUMBER)
    model, loss = linear(1), nn.PoissonNLLLoss()
    if change == "a hook":
        model.register_forward_hook(lambda *_: None)
    elif change == "batches":
        return Problem(model, loss, OPTIMIZERS["adamw"](model.parameters()), TensorFeed(x, y, 64))
    elif change == "a loss of its own":
        return Problem(
            model, lambda z, y: (z - y).abs().max(), OPTIMIZERS["adamw"](model.parameters()), TensorFeed(x, y)
        )
    elif change == "weights of rows":
        loss = nn.BCEWithLogitsLoss(weight=torch.rand(ROWS, 1).double())
    elif change == "a network":
        model = nn.Sequential(linear(1))
    elif change == "different rows":
        x = torch.randn_like(x)
    return Problem(model, loss, OPTIMIZERS["adamw"](model.parameters()), TensorFeed(x, y))


@pytest.mark.parametrize(
    "change", ["a hook", "batches", "a loss of its own", "weights of rows", "a network", "different rows"]
)
def test_what_is_not_a_sum_over_rows_of_a_linear_model_sees_all_of_them(change):
    assert not isinstance(choose(_other(change), epochs=EPOCHS)[0], Repeated)


def test_a_mistake_is_told_as_ever():
    x, _ = rows(NUMBER)
    model = linear(3)
    call = {
        "loss": nn.CrossEntropyLoss(weight=WEIGHTS),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "epochs": 2,
    }
    wrong = torch.full((ROWS,), 7)
    said = []
    for name in ("auto", "autograd"):
        with pytest.raises(sightline.UsageError) as refused:
            list(sightline.train(model, (x, wrong), engine=name, **call))
        said.append(refused.value.message)
    assert said[0] == said[1]
    assert "7" in said[0]


def test_a_loss_that_is_infinite_is_explained_as_ever():
    x, y = rows(COUNT)
    ends = []
    for name in ("auto", "autograd"):
        model = linear(1)
        own = torch.optim.SGD(model.parameters(), lr=1e300)
        how = {"loss": nn.PoissonNLLLoss(), "optimizer": own, "epochs": 9, "engine": name}
        records = list(sightline.train(model, (x, y), **how))
        ends.append((len(records), records[-1].stop.sentence))
    assert ends[0] == ends[1]
    assert "the loss is infinite: the learning rate 1e+300 is above the largest that is stable" in ends[0][1]
