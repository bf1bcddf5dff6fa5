"""Every guard of steps, optimizers, losses and targets by its sentence, in the forms that the mistake takes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from sightline import UsageError
from sightline.errors import LoopWarning

from .loops import CLASSES, HOW, TWO, Lambda, Own, X, Y, compiled, loader, net, optimizer_of, stepping, train


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


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
    with pytest.raises(UsageError, match="the optimizer holds parameters of another model"):
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
