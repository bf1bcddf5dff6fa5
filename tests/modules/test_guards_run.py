"""Every guard of numbers, rates, units and data by its sentence, in the forms that the mistake takes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from sightline import DataError, UsageError
from sightline.errors import LoopWarning

from .loops import CLASSES, HOW, TWO, Lambda, Own, X, Y, loader, net, optimizer_of, stepping, train


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# Losses that are not finite


def spoiled(place=(7, 1), value=math.inf):
    x = X.clone()
    x[place] = value
    return x


@HOW
def test_the_batch_and_the_row_of_an_infinite_input(how):
    *_, last = how(nn.Linear(2, 1), loader(spoiled(), Y), loss=nn.MSELoss())
    assert last.stop.reason == "diverged"
    assert "at batch 2 of epoch 1 the loss is infinite: x is infinite in row 3 of the batch" in last.stop.sentence
    *_, last = how(Own(), [{"x": X, "y": spoiled(value=math.nan)[:, 1:]}], loss=nn.MSELoss())
    assert "the target is nan in row 7 of the batch" in last.stop.sentence
    *_, last = how(nn.Linear(2, 1), loader(spoiled(), Y), step=stepping())
    assert "in batch 2 of epoch 1 the step function returned a loss" in last.stop.sentence
    assert "x[0] is infinite in row 3 of the batch, column 1" in last.stop.sentence
    with pytest.raises(DataError, match="x holds inf at row 7, column 1"):
        how(Own(), (spoiled(), Y), loss=nn.MSELoss())
    with pytest.raises(DataError, match="in batch 2 of the validation rows x is infinite in row 3"):
        how(nn.Linear(2, 1), loader(X, Y), loss=nn.MSELoss(), valid=loader(spoiled(), Y))


@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_an_infinite_input_whose_loss_is_finite(given):
    """tanh(inf) is 1, and the gradient is infinite times 0: only the batch after it shows what happened."""
    *_, last = train(Own(), loader(spoiled(), Y), **given)
    assert "in batch 2 of epoch 1, the one before, x" in last.stop.sentence
    assert "is infinite in row 3 of the batch, column 1" in last.stop.sentence


class Between(Own):
    """An undefined operation in forward itself."""

    def forward(self, x):
        return self.out(self.hidden(x).log())


@HOW
@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: nn.Sequential(Lambda(torch.log), nn.Linear(2, 1)), r"layer 0 \(Lambda\) gives nan for"),
        (lambda: Between(), r"forward makes nan for .* between layer hidden \(Linear\) and layer out \(Linear\)"),
        (lambda: Own(1, lambda out: (out - 9).log()), r"forward makes nan for .* after layer out \(Linear\)"),
    ],
)
def test_the_place_in_the_model(how, model, sentence, size):
    *_, last = how(model(), (X, Y), loss=nn.MSELoss(), batch_size=size)
    assert last.stop.reason == "diverged"
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(last.stop.sentence)


def test_the_rows_of_a_loss_that_is_undefined():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    nn.init.ones_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    *_, last = train(model, (X, TWO * 0 + 1), loss=lambda p, y: -(y * p.log()).mean())
    assert "every prediction is finite, the loss of 6 rows (0, 1, 2, ...) of the batch is not" in last.stop.sentence
    *_, last = train(net(), (X, TWO), step=stepping(loss=lambda p, y: (p * 0).log().mean()))
    assert "every row is finite, so the model or the loss makes it" in last.stop.sentence


def test_a_bce_loss_that_refuses_nan_ends_the_run_too():
    *_, last = train(nn.Sequential(Lambda(torch.log), nn.Linear(2, 1), nn.Sigmoid()), (X, TWO), loss=nn.BCELoss())
    assert last.stop.reason == "diverged"
    assert "layer 0 (Lambda) gives nan" in last.stop.sentence


@HOW
def test_parameters_that_are_not_finite(how):
    model = Own()
    with torch.no_grad():
        model.out.bias.fill_(math.nan)
    *_, last = how(model, (X, Y), loss=nn.MSELoss())
    assert "the parameter out.bias is nan before the first step" in last.stop.sentence
    model = net()
    adam = optimizer_of(model, torch.optim.Adam, lr=1e30)
    *_, last = how(model, (X, Y), loss=nn.MSELoss(), optimizer=adam, epochs=9)
    assert last.stop.reason == "diverged"
    model = Own(1, lambda out: out + (0 * out).abs().sqrt())
    *_, last = how(model, (X, Y), loss=nn.MSELoss(), epochs=9)
    assert "is nan since the step before" in last.stop.sentence


# Learning rates


@pytest.mark.parametrize("engine", ["quadratic", "autograd"])
def test_a_diverging_run_names_the_limit(engine):
    x = torch.tensor([[1.0], [2.0], [3.0]])
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    *_, last = train(model, (x, 2 * x), loss=nn.MSELoss(), optimizer=sgd, epochs=2000, engine=engine)
    limit = 2 / (2 * (1 + 4 + 9) / 3)
    assert last.number < 2000
    assert "the learning rate 1 is above the largest that is stable where the training began" in last.stop.sentence
    assert f"{limit:.4g} (2 / λmax" in last.stop.sentence


def test_the_limit_with_momentum_and_for_a_network():
    model = nn.Linear(2, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=9.0, momentum=0.5)
    *_, last = train(model, (X, Y), loss=nn.MSELoss(), optimizer=sgd, epochs=2000, batch_size=4)
    assert "above the largest that is stable" in last.stop.sentence
    model = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Linear(8, 1))
    *_, last = train(model, (10 * X, Y), loss=nn.MSELoss(), optimizer=optimizer_of(model, lr=50.0), epochs=2000)
    assert "above the largest that is stable" in last.stop.sentence


@pytest.mark.parametrize("lr", [math.nan, math.inf])
def test_rates_that_torch_takes(lr):
    model = net()
    with pytest.raises(UsageError, match=f"learning rate is {lr:g}: give a finite rate above 0"):
        train(model, (X, Y), loss=nn.MSELoss(), optimizer=optimizer_of(model, lr=lr))


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf])
@pytest.mark.parametrize("model", [lambda: nn.Linear(2, 1), net])
def test_a_schedule_that_leaves_the_rates(how, given, bad, model):
    model = model()
    sgd = optimizer_of(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(sgd, lambda k: bad if k == 2 else 1.0)
    with pytest.raises(UsageError, match=f"the learning rate has become {0.1 * bad:g}, and a step needs a finite one"):
        how(model, (X, Y), optimizer=sgd, schedule=schedule, epochs=4, **given)


def test_the_rate_of_the_second_group():
    model = net()
    sgd = torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[2].parameters()}], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(sgd, [lambda k: 1.0, lambda k: math.nan if k else 1.0])
    with pytest.raises(UsageError, match="the learning rate of parameter group 1 has become nan"):
        train(model, (X, Y), loss=nn.MSELoss(), optimizer=sgd, schedule=schedule, epochs=4)


# Units


def dead(*biases):
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    nn.init.ones_(model[0].weight)
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor(biases))
    return model


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"loss": F.mse_loss, "batch_size": 5}, {"step": stepping()}])
@pytest.mark.parametrize("epochs", [1, 4])
def test_dead_units(how, given, epochs):
    model = dead(-100.0, 3.0, -100.0, 3.0)
    with pytest.warns(LoopWarning, match=r"2 of 4 units \(0, 2\) of layer 0 had a gradient of exactly zero") as told:
        how(model, (X, Y), optimizer=optimizer_of(model, lr=1e-3), epochs=epochs, **given)
    assert len(told) == 1
    model = dead(*[-100.0] * 4)
    with pytest.warns(LoopWarning, match="all 4 units of layer 0"):
        how(model, (X, Y), optimizer=optimizer_of(model, lr=1e-3), epochs=epochs, **given)


def test_an_output_at_its_bound():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    nn.init.constant_(model[0].bias, -100.0)
    with pytest.warns(LoopWarning, match=r"no parameter has a gradient in epoch 2.*leave the last ReLU"):
        train(model, (X, Y), loss=nn.MSELoss())
    with pytest.warns(LoopWarning, match="softmax over one output"):
        train(net(1, nn.Softmax(1)), (X, TWO), loss=nn.BCELoss())


# Data


@HOW
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((X[:0], Y[:0]), "there are no training rows"),
        ([], "the data gave no batch in epoch 1"),
        (loader(X, Y, size=40, drop_last=True), "the data gave no batch in epoch 1"),
        ([(X, Y), (X[:0], Y[:0])], "batch 2 of epoch 1 has no rows"),
        (((X, Y) for _ in range(3)), "data is a generator, which can be read once, and epochs is 2"),
        (filter(None, [(X, Y)]), "which can be read once"),
        ([(X, Y), (torch.ones(12, 3), Y)], r"batch 2 of epoch 1: the batch has the shapes \(n, 3\), \(n, 1\)"),
        ([(X, Y), (X.double(), Y)], r"batch 2 of epoch 1: layer 0, Linear.* and torch\.float64"),
        ([(X, Y), (X, Y[:5])], "batch 2 of epoch 1: x has 12 rows and y has 5"),
        ((torch.ones(12, 3), Y), r"layer 0, Linear\(.*is given shape \(12, 3\)"),
    ],
)
def test_data_that_cannot_be_trained_on(how, data, sentence):
    with pytest.raises((UsageError, DataError), match=sentence):
        how(net(), data, loss=nn.MSELoss())


class Once:
    """Looks like a list of batches, and hides a generator."""

    def __init__(self):
        self.batches = iter([(X, Y)])

    def __iter__(self):
        return self.batches


def test_a_hidden_generator_batches_of_steps_and_a_single_row():
    with pytest.raises(DataError, match="no batch in epoch 2: give an iterable that begins anew"):
        train(net(), Once(), loss=nn.MSELoss())
    with pytest.raises(UsageError, match=r"batch 2 of epoch 1: the batch has the shapes \(n, 3\)"):
        train(net(), [(X, Y), (torch.ones(12, 3), Y)], step=stepping())
    with pytest.raises(DataError, match="batch 2 of epoch 1 has no rows"):
        train(net(), [(X, Y), (X[:0], Y[:0])], step=stepping())
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(UsageError, match="batch 3 of epoch 1: the batch has 1 row and BatchNorm needs at least 2"):
        train(model, (X[:9], Y[:9]), loss=nn.MSELoss(), batch_size=4)


@HOW
@pytest.mark.parametrize(
    ("valid", "sentence"),
    [
        (0, "valid is 0: give a fraction"),
        (0.0, r"valid is 0\.0: give a fraction"),
        (1, "valid is 1: give a fraction"),
        (1.0, r"valid is 1\.0: give a fraction"),
        (True, "valid is True: give a fraction"),
        (math.nan, "valid is nan: give a fraction"),
        (0.01, "holds out 0 and leaves 12"),
        (0.99, "holds out 12 and leaves 0"),
        ((X[:0], Y[:0]), "at least one row"),
        ([], "valid has no batch"),
        (loader(X[:1], Y[:1], size=2, drop_last=True), "valid has no batch"),
        (((X, Y) for _ in range(2)), "valid is a generator"),
        (loader(X, Y.reshape(-1)), r"batch 1 of the validation rows: the model predicts shape \(4, 1\)"),
    ],
)
def test_validation_rows_that_say_nothing(how, valid, sentence):
    with pytest.raises((UsageError, DataError), match=sentence):
        how(net(), (X, Y), loss=nn.MSELoss(), valid=valid)


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        (nn.CrossEntropyLoss(), 3, CLASSES),
        (F.cross_entropy, 3, CLASSES),
        (nn.BCEWithLogitsLoss(), 1, TWO),
        (F.binary_cross_entropy_with_logits, 1, TWO),
    ],
)
def test_validation_rows_of_one_class_or_of_another(loss, outputs, y):
    with pytest.raises(UsageError, match="the only validation row is of class"):
        train(net(outputs), (X, y), loss=loss, valid=0.1)
    if outputs == 3:
        with pytest.raises(UsageError, match="batch 1 of the validation rows: row 0 of y is class 5"):
            train(net(3), (X, y), loss=loss, valid=(X, torch.full((12,), 5)))
