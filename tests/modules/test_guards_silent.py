"""Correct training loops in which no guard speaks: every warning is an error here."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from .loops import CLASSES, HOW, TWO, Lambda, Own, X, Y, compiled, fit, loader, net, optimizer_of, stepping, train


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def falls(epochs):
    losses = [e.loss for e in epochs if e.loss is not None]
    return len(losses) > 1 and losses[-1] < losses[0]


@HOW
@pytest.mark.parametrize(
    ("model", "loss", "y"),
    [
        (lambda: net(3, nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES),
        (lambda: Own(3, lambda out: out.log_softmax(1)), F.nll_loss, CLASSES),
        (lambda: net(1, nn.Sigmoid()), nn.BCELoss(), TWO),
        (lambda: Own(1, torch.sigmoid), F.binary_cross_entropy, TWO),
        (lambda: net(3), nn.CrossEntropyLoss(), CLASSES),
        (lambda: net(3), F.cross_entropy, CLASSES),
        (lambda: compiled(net(3)), F.cross_entropy, CLASSES),
        (lambda: net(3, nn.Tanh()), nn.CrossEntropyLoss(), CLASSES),
        (lambda: net(3), nn.CrossEntropyLoss(), F.one_hot(CLASSES, 3).float()),
        (lambda: net(3), F.cross_entropy, torch.full((12, 3), 0.2) + 0.4 * F.one_hot(CLASSES, 3)),
        (lambda: net(1), nn.BCEWithLogitsLoss(), TWO),
        (lambda: net(1, nn.Tanh()), nn.BCEWithLogitsLoss(), TWO),
        (lambda: net(3, nn.Softmax(1)), nn.MSELoss(), F.one_hot(CLASSES, 3).float()),
        (lambda: net(1, nn.Softplus()), nn.PoissonNLLLoss(log_input=False), CLASSES.float().reshape(-1, 1)),
        (lambda: net(1), lambda p, y: F.mse_loss(p.squeeze(1), y), Y.reshape(-1)),
        (lambda: net(1), lambda p, y: (p - y.unsqueeze(1)).pow(2).mean(), Y.reshape(-1)),
        (
            lambda: net(1),
            lambda p, y: F.binary_cross_entropy_with_logits(p.squeeze(1), y.float()),
            TWO.reshape(-1).long(),
        ),
    ],
)
@pytest.mark.parametrize("size", [None, 4])
def test_losses_with_what_they_take(how, model, loss, y, size):
    assert falls(how(model(), (X, y), loss=loss, batch_size=size, measure=1, epochs=20))


class Attention(nn.Module):
    """Softmax inside, scores out."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.into, self.out = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x):
        rows = self.into(x)
        weights = (rows @ rows.transpose(1, 2)).softmax(-1)
        return self.out(self.attention(rows, weights @ rows, rows)[0].mean(1))


@HOW
def test_a_softmax_inside(how):
    x = torch.stack([X, -X, 2 * X, X], dim=1)
    assert falls(how(Attention(), (x, CLASSES), loss=nn.CrossEntropyLoss(), epochs=20))


def _accumulating(every, *, first):
    calls = [0]

    def step(model, batch, optimizer):
        if first and calls[0] % every == 0:
            optimizer.zero_grad()
        loss = F.mse_loss(model(batch[0]), batch[1])
        (loss / every).backward()
        calls[0] += 1
        if calls[0] % every == 0:
            optimizer.step()
            if not first:
                optimizer.zero_grad()
        return loss

    return step


@HOW
@pytest.mark.parametrize("every", [2, 6])
@pytest.mark.parametrize("first", [True, False])
def test_accumulation_in_a_step_function(how, every, first):
    assert falls(how(Own(), (X, Y), step=_accumulating(every, first=first), batch_size=2, epochs=20))


def _chunked(model, batch, optimizer):
    optimizer.zero_grad()
    total = 0.0
    for x, y in zip(batch[0].chunk(3), batch[1].chunk(3), strict=True):
        loss = F.mse_loss(model(x), y) / 3
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def _scaled(model, batch, optimizer):
    for p in model.parameters():
        if p.grad is not None:
            p.grad.mul_(0.5)
    loss = F.mse_loss(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def _heavy_ball():
    velocity = {}

    def step(model, batch, optimizer):
        optimizer.zero_grad()
        loss = F.mse_loss(model(batch[0]), batch[1])
        loss.backward()
        for p in model.parameters():
            velocity[p] = 0.5 * velocity.get(p, 0.0) + p.grad
            p.grad = velocity[p].clone()
        optimizer.step()
        return loss

    return step


def _zeroed_after(model, batch, optimizer):
    loss = F.mse_loss(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach().numpy()


@HOW
@pytest.mark.parametrize("step", [_chunked, _scaled, _heavy_ball(), _zeroed_after])
def test_gradients_by_hand(how, step):
    assert falls(how(Own(), (X, Y), step=step, epochs=20))


@HOW
@pytest.mark.parametrize("own", [False, True])
def test_lbfgs(how, own):
    def step(model, batch, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = F.mse_loss(model(batch[0]), batch[1])
            loss.backward()
            return loss

        return optimizer.step(closure)

    model = Own()
    given = {"step": step} if own else {"loss": nn.MSELoss()}
    optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    assert falls(how(model, (X, Y), optimizer=optimizer, epochs=5, **given))


@HOW
@pytest.mark.parametrize("data", [(X, Y), loader(X, Y)])
def test_two_optimizers_and_a_parameter_outside_the_model(how, data):
    model, scale = net(), nn.Parameter(torch.zeros(()))
    first = torch.optim.SGD([*model[0].parameters(), scale], lr=0.1)
    second = torch.optim.Adam(model[2].parameters(), lr=0.01)

    def step(model, batch, optimizer):
        optimizer.zero_grad()
        second.zero_grad()
        loss = F.mse_loss(model(batch[0]) * scale.exp(), batch[1])
        loss.backward()
        optimizer.step()
        second.step()
        return loss

    assert falls(how(model, data, step=step, optimizer=first, epochs=20))


class Pair(nn.Module):
    """A generator and a critic."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = net(1), nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))


@HOW
def test_two_players(how):
    pair = Pair()
    theirs = torch.optim.Adam(pair.critic.parameters(), lr=0.01)

    def step(pair, batch, optimizer):
        x, y = batch
        theirs.zero_grad()
        (pair.critic(pair.generator(x).detach()) - pair.critic(y)).mean().backward()
        theirs.step()
        optimizer.zero_grad()
        loss = -pair.critic(pair.generator(x)).mean()
        loss.backward()
        optimizer.step()
        return loss

    ours = torch.optim.Adam(pair.generator.parameters(), lr=0.01)
    epochs = how(pair, (X, Y), step=step, optimizer=ours, batch_size=4, epochs=4)
    assert all(math.isfinite(e.running_loss) for e in epochs[1:])


@HOW
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_frozen_layers_with_a_filtered_optimizer(how, given):
    model = net()
    model[0].requires_grad_(False)
    sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    epochs = how(model, (X, Y), optimizer=sgd, epochs=20, **given)
    assert epochs[-1].running_loss < epochs[1].running_loss


@HOW
@pytest.mark.parametrize("data", [(X[:9], Y[:9]), loader(X[:9], Y[:9])])
@pytest.mark.parametrize("given", [{"loss": nn.MSELoss()}, {"step": stepping()}])
def test_a_last_batch_of_one_row(how, data, given):
    size = {"batch_size": 4} if isinstance(data, tuple) else {}
    epochs = how(Own(), data, epochs=20, **size, **given)
    assert epochs[-1].running_loss < epochs[1].running_loss


class Tagger(nn.Module):
    """A score for each class at each place of a sequence, classes second."""

    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(50, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.embedding(x)).transpose(1, 2)


def _sequences(length, ignored):
    x = (torch.arange(6 * length).reshape(6, length) % 9) + 1
    y = x % 3
    x[3:, -2:], y[3:, -2:] = 0, ignored
    return x, y


@HOW
@pytest.mark.parametrize("ignored", [-100, 2])
def test_padding_lengths_and_rows_of_an_embedding_that_are_never_used(how, ignored):
    loss = nn.CrossEntropyLoss(ignore_index=ignored)
    batches = [_sequences(length, ignored) for length in (5, 8, 5, 3)]
    epochs = how(Tagger(), batches, loss=loss, epochs=20)
    assert epochs[-1].running_loss < epochs[1].running_loss
    assert falls(how(Tagger(), _sequences(5, ignored), loss=loss, epochs=20))

    def flat(p, y):
        return F.cross_entropy(p.transpose(1, 2).reshape(-1, 3), y.reshape(-1), ignore_index=ignored)

    assert falls(how(Tagger(), _sequences(5, ignored), loss=flat, epochs=20))
    epochs = how(Tagger(), batches, step=stepping(loss=flat), epochs=20)
    assert epochs[-1].running_loss < epochs[1].running_loss


def relu(outputs=1, last=None):
    """Units that all rows switch on, so that none is dead."""
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, outputs), *([last] if last else []))
    nn.init.constant_(model[0].bias, 4.0)
    return model


@HOW
@pytest.mark.parametrize("given", [{}, {"batch_size": 4}])
@pytest.mark.parametrize("pruned", [False, True])
def test_a_perfect_fit_is_not_dead(how, given, pruned):
    model = relu()
    y = 0 * Y
    if pruned:
        nn.init.zeros_(model[2].weight)
        nn.init.zeros_(model[2].bias)
    else:
        y = model(X).detach()
    epochs = how(model, (X, y), loss=nn.MSELoss(), epochs=8, measure=1, **given)
    assert epochs[-1].train_loss < 1e-12

    def offset(p, y):
        return 1.0 + ((p - y) ** 2).mean()

    epochs = how(model, (X, y), loss=offset, epochs=8, measure=1, **given)
    assert epochs[-1].train_loss == pytest.approx(1.0)
    epochs = how(model, (X, y), step=stepping(loss=offset), epochs=8, **given)
    assert epochs[-1].running_loss == pytest.approx(1.0)


@HOW
@pytest.mark.parametrize("margin", [1.0, 0.01])
def test_a_hinge_that_is_satisfied_is_not_dead(how, margin):
    def hinge(p, y):
        return (margin - (2 * y - 1) * p).clamp_min(0).mean()

    epochs = how(relu(), (X, (X.sum(1, keepdim=True) > 0).float()), loss=hinge, epochs=64, batch_size=4, measure=1)
    assert epochs[-1].train_loss < epochs[0].train_loss


@HOW
def test_a_last_layer_that_begins_at_zero(how):
    model = relu()
    nn.init.zeros_(model[2].weight)
    assert falls(how(model, (X, Y), loss=nn.MSELoss(), optimizer=optimizer_of(model, lr=0.01), epochs=4))


@HOW
@pytest.mark.parametrize("size", [None, 4])
def test_batch_normalization_dropout_and_columns_that_are_zero(how, size):
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
    x = X.clone()
    x[:, 1] = 0.0
    epochs = how(model, (x, Y), loss=nn.MSELoss(), epochs=16, batch_size=size)
    assert all(math.isfinite(e.running_loss) for e in epochs[1:])


@HOW
def test_rows_of_zeros_leave_units_that_the_bias_trains(how):
    model = relu()
    epochs = how(model, (0 * X, Y), loss=nn.MSELoss(), optimizer=optimizer_of(model, lr=0.001), epochs=4)
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_float32_moments_beside_bfloat16_parameters_are_meant():
    model = nn.Linear(2, 1).bfloat16()
    adam = optimizer_of(model, torch.optim.Adam, lr=0.01)
    data = (X.bfloat16(), Y.bfloat16())
    train(model, data, loss=nn.MSELoss(), optimizer=adam)
    for p in model.parameters():
        adam.state[p]["exp_avg"] = adam.state[p]["exp_avg"].float()
        adam.state[p]["exp_avg_sq"] = adam.state[p]["exp_avg_sq"].float()
    from sightline.engines.guarding.optimizer_checks import check_optimizer

    check_optimizer(adam, model, [], pytest.fail)


@pytest.mark.parametrize("data", [{"x": X, "y": Y}, X])
def test_rows_without_a_target_for_a_step_function(data):
    def step(model, batch, optimizer):
        x = batch["x"] if isinstance(batch, dict) else batch
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    epochs = fit(Own(), data, step=step, batch_size=5, epochs=20)
    assert epochs[-1].running_loss < epochs[1].running_loss


def test_an_outer_product_within_a_model_is_no_mistake():
    model = nn.Sequential(Lambda(lambda x: (x[:, :1] * torch.ones(len(x)))[:, :2]), nn.Linear(2, 1))
    epochs = train(model, (X, Y), step=stepping(), epochs=20)
    assert epochs[-1].running_loss < epochs[1].running_loss


def test_gradients_of_single_rows_by_vmap():
    def step(model, batch, optimizer):
        x, y = batch
        held = dict(model.named_parameters())

        def loss_of(values, row, target):
            return F.mse_loss(torch.func.functional_call(model, values, (row[None],)), target[None])

        each = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))(held, x, y)
        optimizer.zero_grad()
        for name, p in held.items():
            p.grad = each[name].mean(0).detach()
        optimizer.step()
        return F.mse_loss(model(x), y).detach()

    epochs = train(net(), (X, Y), step=step, epochs=20)
    assert epochs[-1].running_loss < epochs[1].running_loss
