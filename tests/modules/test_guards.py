"""Every guard of the loop by its sentence, in the forms that the mistake takes."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import sightline
from sightline import DataError, UsageError
from sightline.errors import LoopWarning

X = torch.linspace(-1, 1, 24).reshape(12, 2)
Y = X.sum(1, keepdim=True).sin()
CLASSES = torch.arange(12) % 3
TWO = (torch.arange(12) % 2).float().reshape(-1, 1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Own(nn.Module):
    """Layers of one's own, with something done to the output."""

    def __init__(self, outputs=1, end=lambda out: out):
        super().__init__()
        self.hidden, self.out, self.end = nn.Linear(2, 4), nn.Linear(4, outputs), end

    def forward(self, x):
        return self.end(self.out(torch.tanh(self.hidden(x))))


def net(outputs=1, *end):
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, outputs), *end)


def compiled(module):
    return torch.compile(module, backend="eager")


def optimizer_of(model, kind=torch.optim.SGD, lr=0.1, **options):
    return kind(model.parameters(), lr=lr, **options)


def train(model, data, *, optimizer=None, epochs=2, **options):
    optimizer = optimizer or optimizer_of(model)
    return list(sightline.train(model, data, optimizer=optimizer, epochs=epochs, **options))


def fit(model, data, *, optimizer=None, epochs=2, **options):
    """The same by fit_module; what it tells comes as a warning here too."""
    optimizer = optimizer or optimizer_of(model)
    run = sightline.fit_module(model, data, optimizer=optimizer, epochs=epochs, output=False, **options)
    for note in run.verdict.warnings:
        if note.code != "SL-DIVERGED":
            warnings.warn(f"{note.text} ({note.code})", LoopWarning, stacklevel=2)
    return run.epochs


def loader(*tensors, size=4, **options):
    return DataLoader(TensorDataset(*tensors), batch_size=size, **options)


HOW = pytest.mark.parametrize("how", [train, fit])


def stepping(zero=True, backward=True, step=True, loss=F.mse_loss):
    """A step function with its parts in or out."""

    def one(model, batch, optimizer):
        x, y = batch
        if zero:
            optimizer.zero_grad()
        value = loss(model(x), y)
        if backward:
            value.backward()
        if step:
            optimizer.step()
        return value

    return one


# Steps of one's own


@HOW
@pytest.mark.parametrize("data", [(X, Y), loader(X, Y), [(X[:5], Y[:5]), (X[5:], Y[5:])]])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_a_forgotten_zero_grad(how, data, kind):
    model = Own()
    with pytest.raises(UsageError, match=r"still is that of the last step .* call optimizer\.zero_grad\(\) before"):
        how(model, data, step=stepping(zero=False), optimizer=optimizer_of(model, kind), epochs=3)


def test_a_forgotten_zero_grad_with_clipping_in_a_dict_and_in_a_closure():
    def clipped(model, batch, optimizer):
        loss = F.mse_loss(model(batch["x"]), batch["y"])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        return loss

    def closed(model, batch, optimizer):
        def closure():
            loss = F.mse_loss(model(batch["x"]), batch["y"])
            loss.backward()
            return loss

        return optimizer.step(closure)

    for step, kind in ((clipped, torch.optim.SGD), (closed, torch.optim.LBFGS)):
        model = net()
        with pytest.raises(UsageError, match="still is that of the last step"):
            train(model, {"x": X, "y": Y}, step=step, optimizer=optimizer_of(model, kind, lr=0.01), epochs=4)


@pytest.mark.parametrize("to_none", [True, False])
def test_zero_grad_at_the_wrong_place(to_none):
    def step(model, batch, optimizer):
        loss = F.mse_loss(model(batch[0]), batch[1])
        loss.backward()
        optimizer.zero_grad(set_to_none=to_none)
        optimizer.step()
        return loss

    with pytest.raises(UsageError, match=r"zero again when optimizer\.step"):
        train(net(), (X, Y), step=step)


@HOW
@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (stepping(backward=False), "left no parameter with a gradient"),
        (stepping(loss=lambda p, y: F.mse_loss(p.detach(), y).requires_grad_()), "left no parameter with a gradient"),
        (stepping(loss=lambda p, y: F.mse_loss(p.detach(), y)), r"leave out detach\(\)"),
        (stepping(step=False), r"never called optimizer\.step\(\) in epoch 1"),
        (stepping(loss=lambda p, y: (p - y) ** 2), r"loss of several numbers: take its mean"),
        (lambda model, batch, optimizer: None, "returned nothing: return the loss"),
        (lambda model, batch, optimizer: (1.0, 2.0), "returned a value of type tuple"),
        (lambda model, batch, optimizer: torch.ones(3), r"returned a tensor of shape \(3,\)"),
        (lambda model, batch: 1.0, r"takes \(model, batch\) and is called with model, batch and optimizer"),
    ],
)
def test_steps_that_train_nothing(how, step, sentence):
    with pytest.raises(UsageError, match=sentence):
        how(net(), (X, Y), step=step)


# Losses without a way to the parameters


@HOW
@pytest.mark.parametrize(
    "loss",
    [
        lambda p, y: F.mse_loss(p.detach(), y),
        lambda p, y: torch.tensor(F.mse_loss(p, y).item()),
        lambda p, y: torch.tensor(F.mse_loss(p, y).item(), requires_grad=True),
        lambda p, y: (p.sign() > y).float().mean(),
    ],
)
@pytest.mark.parametrize("size", [None, 4])
def test_a_detached_loss(how, loss, size):
    with pytest.raises(UsageError, match=r"no trainable parameter has a part in the loss: leave out detach\(\)"):
        how(Own(), (X, Y), loss=loss, batch_size=size)


def test_numpy_and_no_grad_on_the_way():
    with pytest.raises(UsageError, match="no gradient passes through numpy"):
        train(net(), (X, Y), loss=lambda p, y: torch.tensor(((p.numpy() - y.numpy()) ** 2).mean()))
    model = net()
    model.forward = torch.no_grad()(model.forward)
    with pytest.raises(UsageError, match="has a part in the loss"):
        train(model, (X, Y), loss=nn.MSELoss())


@HOW
@pytest.mark.parametrize("data", [(X, Y), loader(X, Y)])
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_parameters_that_the_loss_does_not_reach_are_told_once(how, data, given):
    model = Own()
    model.unused = nn.Linear(2, 1)
    with pytest.warns(LoopWarning, match=r"does not depend on 2 parameters \(unused\.weight, unused\.bias\)") as told:
        how(model, data, epochs=5, **given)
    assert len(told) == 1


# Optimizers


@HOW
def test_frozen_parameters_in_the_optimizer(how):
    model = net()
    model[0].requires_grad_(False)
    with pytest.warns(LoopWarning, match=r"holds 2 frozen parameters \(0\.weight, 0\.bias\)"):
        how(model, (X, Y), loss=nn.MSELoss())
    model.requires_grad_(False)
    with pytest.raises(UsageError, match="every parameter that the optimizer holds is frozen"):
        how(model, (X, Y), loss=nn.MSELoss())


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_a_layer_replaced(how, given):
    model = net()
    sgd = optimizer_of(model)
    model[2] = nn.Linear(4, 1)
    with pytest.raises(UsageError, match=r"2 parameters that the model no longer has, and lacks .*2\.weight"):
        how(model, (X, Y), optimizer=sgd, **given)


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_a_layer_added(how, given):
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    sgd = optimizer_of(model)
    model.append(nn.Linear(4, 1))
    before = model[2].weight.detach().clone()
    with pytest.warns(LoopWarning, match=r"lacks 2 trainable parameters \(2\.weight, 2\.bias\)") as told:
        how(model, (X, Y), optimizer=sgd, epochs=4, **given)
    assert len(told) == 1
    assert torch.equal(before, model[2].weight)


@HOW
def test_a_layer_removed_and_all_layers_replaced(how):
    model = net()
    sgd = optimizer_of(model)
    del model[2]
    with pytest.raises(UsageError, match="2 parameters which no gradient will ever reach"):
        how(model, (X, torch.zeros(12, 4)), loss=nn.MSELoss(), optimizer=sgd)
    model = nn.Sequential(nn.Linear(2, 1))
    sgd = optimizer_of(model)
    model[0] = nn.Linear(2, 1)
    with pytest.raises(UsageError, match="those that this one had before it was changed"):
        how(model, (X, Y), loss=nn.MSELoss(), optimizer=sgd)


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_the_optimizer_of_another_model(how, given):
    with pytest.raises(UsageError, match="only parameters of another model"):
        how(net(), (X, Y), optimizer=optimizer_of(net()), **given)


@pytest.mark.parametrize(("before", "after"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
@pytest.mark.parametrize(("kind", "state"), [(torch.optim.Adam, "exp_avg"), (torch.optim.SGD, "momentum_buffer")])
def test_a_model_converted_after_steps(before, after, kind, state):
    model = net().to(before)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = optimizer_of(model, kind, lr=0.01, **options)
    train(model, (X.to(before), Y.to(before)), loss=nn.MSELoss(), optimizer=optimizer)
    model.to(after)
    with pytest.raises(UsageError, match=rf"the optimizer's {state} of 0\.weight is .* make a new optimizer"):
        train(model, (X.to(after), Y.to(after)), loss=nn.MSELoss(), optimizer=optimizer)


def test_a_model_that_left_its_parameters_behind():
    model = net()
    adam = optimizer_of(model, torch.optim.Adam)
    model.to("meta")
    with pytest.raises(UsageError, match="before it was changed or converted"):
        train(model, (X, Y), loss=nn.MSELoss(), optimizer=adam)


# Activations

SOFTMAX = {
    "last": lambda: net(3, nn.Softmax(1)),
    "own": lambda: Own(3, lambda out: out.softmax(-1)),
    "view": lambda: net(3, nn.Softmax(1), Lambda(lambda p: p.view(-1, 3))),
    "squeeze": lambda: net(3, nn.Unflatten(1, (1, 3)), nn.Softmax(2), Lambda(lambda p: p.squeeze(1))),
    "slice": lambda: net(3, nn.Softmax(1), Lambda(lambda p: p[:, :])),
    "dropout": lambda: net(3, nn.Softmax(1), nn.Dropout(0.0)),
    "by hand": lambda: Own(3, lambda out: out.exp() / out.exp().sum(1, keepdim=True)),
    "compiled": lambda: compiled(net(3, nn.Softmax(1))),
}
CROSS = {
    "module": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "function": F.cross_entropy,
    "lambda": lambda p, y: 2 * F.cross_entropy(p, y),
}


@pytest.mark.parametrize("model", SOFTMAX.values(), ids=SOFTMAX)
@pytest.mark.parametrize("loss", CROSS.values(), ids=CROSS)
@pytest.mark.parametrize("data", [(X, CLASSES), loader(X, CLASSES)], ids=["memory", "loader"])
def test_a_softmax_before_the_cross_entropy(model, loss, data):
    with pytest.raises(UsageError, match=r"ends in a softmax and (CrossEntropyLoss|cross_entropy) applies one itself"):
        train(model(), data, loss=loss)


@HOW
def test_a_softmax_in_a_step_function_and_in_a_dict(how):
    with pytest.raises(UsageError, match="ends in a softmax and cross_entropy"):
        how(net(3, nn.Softmax(1)), (X, CLASSES), step=stepping(loss=nn.CrossEntropyLoss()))
    with pytest.raises(UsageError, match="ends in a softmax and CrossEntropyLoss"):
        how(Own(3, lambda out: out.softmax(1)), {"x": X, "y": CLASSES}, loss=nn.CrossEntropyLoss())


@pytest.mark.parametrize("size", [None, 1, 4])
@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits])
@pytest.mark.parametrize(
    "model",
    [
        lambda: net(1, nn.Sigmoid()),
        lambda: Own(1, torch.sigmoid),
        lambda: net(1, nn.Sigmoid(), nn.Flatten(0), nn.Unflatten(0, (-1, 1))),
        lambda: compiled(net(1, nn.Sigmoid())),
    ],
)
def test_a_sigmoid_before_the_logits(model, loss, size):
    with pytest.raises(UsageError, match=r"ends in a sigmoid and .* applies one itself"):
        train(model(), (X, TWO), loss=loss, batch_size=size)


@pytest.mark.parametrize(
    ("loss", "y", "sentence"),
    [
        (nn.BCELoss(), TWO, "BCELoss needs probabilities and the model predicts -"),
        (F.binary_cross_entropy, TWO, "binary_cross_entropy needs probabilities"),
        (nn.NLLLoss(), CLASSES * 0, "NLLLoss needs logarithms of probabilities"),
    ],
)
def test_scores_where_probabilities_are_wanted(loss, y, sentence):
    with pytest.raises(UsageError, match=sentence):
        train(Own(1, lambda out: torch.cat([out - 9, -out + 9], 1)[:, : 1 + (y.ndim == 1)]), (X, y), loss=loss)


# Targets


@HOW
@pytest.mark.parametrize("loss", CROSS.values(), ids=CROSS)
@pytest.mark.parametrize("stream", [False, True])
def test_float_targets_of_classes(how, loss, stream):
    data = loader(X, CLASSES.float()) if stream else (X, CLASSES.float())
    with pytest.raises(UsageError, match=r"needs class numbers and y is torch\.float32: convert it with y\.long\(\)"):
        how(net(3), data, loss=loss)


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "sentence"),
    [
        (F.cross_entropy, 3, CLASSES.int(), r"y is torch\.int32: convert it with y\.long\(\)"),
        (F.cross_entropy, 2, CLASSES, "row 2 of y is class 2 and the model predicts 2 classes"),
        (nn.CrossEntropyLoss(), 3, F.one_hot(CLASSES), r"use y\.argmax\(1\), or y\.float\(\)"),
        (nn.CrossEntropyLoss(), 1, CLASSES * 0, "one output, so the loss is always 0"),
        (F.binary_cross_entropy_with_logits, 1, TWO.long(), r"convert it with y\.float\(\)"),
        (nn.BCEWithLogitsLoss(), 1, TWO.bool(), r"convert it with y\.float\(\)"),
    ],
)
def test_targets_of_the_wrong_kind(loss, outputs, y, sentence):
    with pytest.raises(UsageError, match=sentence):
        train(net(outputs), (X, y), loss=loss)


@HOW
@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(),
        F.mse_loss,
        nn.L1Loss(),
        nn.BCEWithLogitsLoss(),
        lambda p, y: (y - p).pow(2).mean(),
        lambda p, y: F.huber_loss(p, y),
        lambda p, y: F.mse_loss(input=p, target=y),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_column_against_a_row(how, loss, stream):
    y = TWO.reshape(-1)
    with pytest.raises(UsageError, match=r"1\) but the target has shape .*y\.reshape\(-1, 1\)"):
        how(Own(), loader(X, y) if stream else (X, y), loss=loss)


def test_a_row_against_a_column_and_whole_numbers_and_a_step_function():
    with pytest.raises(UsageError, match=r"predicts shape \(12,\) but the target has shape \(12, 1\)"):
        train(Own(1, torch.flatten), (X, Y), loss=lambda p, y: (p - y).abs().mean())
    with pytest.raises(UsageError, match=r"reshape\(-1, 1\)"):
        train(Own(), (X, CLASSES), loss=lambda p, y: (p - y).abs().mean())
    with pytest.raises(UsageError, match=r"reshape\(-1, 1\)"):
        train(Own(), (X, Y.reshape(-1)), step=stepping(loss=nn.SmoothL1Loss()))


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
    assert "in epoch 1, at step 2," in last.stop.sentence
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
