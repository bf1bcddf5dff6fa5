"""The largest curvatures of a module, against the whole Hessian by torch and the closed form of a linear layer."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.errors import UsageError


def rows(n=40, p=3, k=1, *, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, p, generator=g, dtype=dtype), torch.randn(n, k, generator=g, dtype=dtype)


def perceptron(*sizes, dtype=torch.float64, seed=1):
    torch.manual_seed(seed)
    layers = []
    for a, b in zip(sizes, sizes[1:], strict=False):  # noqa: RUF007
        layers += [nn.Linear(a, b, dtype=dtype), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def whole_hessian(model, x, y, loss):
    """By torch.autograd.functional.hessian, of all parameters in one vector."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    values = [p.detach() for p in model.parameters() if p.requires_grad]
    sizes = [v.numel() for v in values]

    def of(flat):
        parts = {n: f.view_as(v) for n, f, v in zip(names, flat.split(sizes), values, strict=True)}
        return loss(torch.func.functional_call(model, parts, (x,)), y)

    return torch.autograd.functional.hessian(of, torch.cat([v.reshape(-1) for v in values]))


@pytest.mark.parametrize("sizes", [(3, 1), (3, 5, 1), (3, 4, 4, 1), (3, 20, 1)])
@pytest.mark.parametrize("seed", [0, 7])
def test_it_is_the_largest_eigenvalue_of_the_whole_hessian(sizes, seed):
    model, (x, y) = perceptron(*sizes), rows()
    found = sightline.top_curvature(model, (x, y), loss=nn.MSELoss(), seed=seed)
    H = whole_hessian(model, x, y, nn.MSELoss())
    values = torch.linalg.eigvalsh(H)
    assert found.value == pytest.approx(values[-1].item(), rel=1e-9)
    assert found.converged
    assert found.residual <= 1.5e-8 * found.value
    assert float(found) == found.value
    assert found.lr_limit == 2.0 / found.value


def test_a_linear_layer_has_the_closed_form():
    """2 / n times the largest eigenvalue of [X 1]'[X 1], also far from zero, where the condition is bad."""
    x = torch.tensor([[150.0], [160.0], [170.0], [175.0], [185.0]], dtype=torch.float64)
    y = torch.tensor([[55.0], [70.0], [64.0], [80.0], [75.0]], dtype=torch.float64)
    found = sightline.top_curvature(nn.Linear(1, 1, dtype=torch.float64), (x, y), loss=nn.MSELoss())
    assert found.value == pytest.approx(56741.99, rel=1e-6)
    assert found.lr_limit == pytest.approx(3.52473e-5, rel=1e-5)
    X = torch.cat([x, torch.ones_like(x)], dim=1)
    assert found.value == pytest.approx(2.0 / 5 * torch.linalg.eigvalsh(X.T @ X)[-1].item(), rel=1e-12)


def test_float32_and_classes():
    x, _ = rows(dtype=torch.float32)
    y = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(0))
    model = perceptron(3, 6, 3, dtype=torch.float32)
    found = sightline.top_curvature(model, (x, y), loss=nn.CrossEntropyLoss())
    exact = torch.linalg.eigvalsh(whole_hessian(model.double(), x.double(), y, nn.CrossEntropyLoss()))[-1].item()
    assert found.value == pytest.approx(exact, rel=1e-5)
    assert found.converged


def test_gradient_descent_leaves_the_place_beyond_the_limit_and_not_below_it():
    """What lr_limit says of a perceptron that has come to rest."""
    model, (x, y) = perceptron(3, 3, 1), rows(12)
    sgd = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, tolerance_grad=1e-13, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure():
        sgd.zero_grad()
        value = nn.MSELoss()(model(x), y) + 5e-2 * sum(p.square().sum() for p in model.parameters())
        value.backward()
        return value

    def penalized(prediction, target):
        return nn.MSELoss()(prediction, target) + 5e-2 * sum(p.square().sum() for p in model.parameters())

    for _ in range(5):
        sgd.step(closure)
    closure()
    assert all(p.grad.abs().max() < 1e-8 for p in model.parameters())
    limit = sightline.top_curvature(model, (x, y), loss=penalized).lr_limit
    start = copy.deepcopy(model.state_dict())
    away = {}
    for factor in (0.98, 1.02):
        model.load_state_dict(start)
        with torch.no_grad():
            for i, p in enumerate(model.parameters()):
                p += 1e-6 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i), dtype=p.dtype)
        steps = torch.optim.SGD(model.parameters(), lr=factor * limit)
        for _ in range(400):
            steps.zero_grad()
            penalized(model(x), y).backward()
            steps.step()
        now = model.state_dict()
        away[factor] = max((now[name] - start[name]).abs().max().item() for name in start)
    assert away[0.98] < 2e-6
    assert away[1.02] > 1e-4


class Convolution(nn.Module):
    """Images (n, 1, 5, 5) to three scores."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.Softplus(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(2, 3)
        ).double()  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def images_and_classes():
    g = torch.Generator().manual_seed(2)
    x = torch.randn(20, 1, 5, 5, generator=g, dtype=torch.float64)
    return Convolution(), x, torch.randint(0, 3, (20,), generator=g), nn.CrossEntropyLoss()


def softmax_of_one_layer():
    x, _ = rows(p=4)
    return perceptron(4, 3), x, torch.arange(40) % 3, nn.CrossEntropyLoss()


def nine_in_threes():
    """The Hessian of nn.Linear(3, 3) with mean squared error has each eigenvalue once for each output."""
    x, _ = rows(p=3)
    return nn.Linear(3, 3, dtype=torch.float64), x, rows(p=3, k=3)[1], nn.MSELoss()


def saddle():
    """A perceptron far from its optimum."""
    x, y = rows()
    return perceptron(3, 4, 1, seed=3), x, 10.0 * y, nn.MSELoss()


def top_of_a_hill():
    """No direction curves upward."""
    x, y = rows()
    return (
        nn.Linear(3, 1, dtype=torch.float64),
        x,
        y,
        lambda prediction, target: -nn.functional.mse_loss(prediction, target),
    )


SMALL = {
    "tanh": lambda: (perceptron(3, 5, 1), *rows(), nn.MSELoss()),
    "convolution": images_and_classes,
    "softmax": softmax_of_one_layer,
    "threefold": nine_in_threes,
    "saddle": saddle,
    "hill": top_of_a_hill,
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("k", [1, 2, 4, "all"])
def test_the_k_largest_are_those_of_the_whole_hessian(make, k):
    model, x, y, loss = make()
    exact = np.linalg.eigvalsh(whole_hessian(model, x, y, loss).numpy())[::-1]
    k = len(exact) if k == "all" else k
    found = sightline.top_curvature(model, (x, y), loss=loss, k=k)
    size = np.abs(exact).max()
    assert found.values == pytest.approx(exact[:k].tolist(), rel=1e-9, abs=1e-12 * size)
    assert (found.value, found.residual) == (found.values[0], found.residuals[0])
    assert len(found.residuals) == k
    assert found.converged
    assert max(found.residuals) <= 1.5e-8 * max(abs(v) for v in found.values)


def test_the_cases_are_what_they_are_called():
    exact = {name: np.linalg.eigvalsh(whole_hessian(*make()).numpy()) for name, make in SMALL.items()}
    assert np.ptp(exact["threefold"].reshape(4, 3), axis=1).max() < 1e-14
    assert exact["saddle"][0] < -0.1 < 0.1 < exact["saddle"][-1]
    assert exact["hill"][-1] < 0.0
    assert abs(exact["softmax"][4]) < 1e-12 < exact["softmax"][5]  # scores that all grow by the same change nothing


def test_a_place_where_the_hessian_is_infinite_is_named():
    x, y = rows()
    model = nn.Linear(3, 1, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    with pytest.raises(UsageError, match="the Hessian is not finite at these parameters: move them a little"):
        sightline.top_curvature(
            model, (x, y), loss=lambda prediction, _: model.weight.abs().sqrt().sum() + prediction.sum()
        )


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)).double()
    x, y = rows()
    nn.MSELoss()(model(x), y).backward()
    model[2].eval()
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters()]
    held = [p.grad for p in model.parameters()]
    generator = torch.get_rng_state()
    first = sightline.top_curvature(model, (x, y), loss=nn.MSELoss())
    assert sightline.top_curvature(model, (x, y), loss=nn.MSELoss()) == first
    assert torch.equal(torch.get_rng_state(), generator)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is h and torch.equal(h, g) for p, h, g in zip(model.parameters(), held, gradients, strict=True))


def test_only_trainable_parameters_count():
    model, (x, y) = perceptron(3, 4, 1), rows()
    model[0].requires_grad_(False)
    found = sightline.top_curvature(model, (x, y), loss=nn.MSELoss())
    assert found.value == pytest.approx(torch.linalg.eigvalsh(whole_hessian(model, x, y, nn.MSELoss()))[-1].item())
    assert not model[0].weight.requires_grad


def test_a_loss_without_curvature():
    x, y = rows()
    found = sightline.top_curvature(nn.Linear(3, 1, dtype=torch.float64), (x, y), loss=nn.L1Loss())
    assert (found.value, found.lr_limit, found.converged) == (0.0, math.inf, True)


class Floor(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_, g):
        return g.clone()


class Once(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, x):
        return Floor.apply(self.layer(x))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1), (x, y), loss=nn.MSELoss()), "convert x and y with"),
        (lambda x, y: sightline.top_curvature(nn.Linear, (x, y), loss=nn.MSELoss()), "give an instance of torch.nn.Module"),
        (lambda x, y: sightline.top_curvature(nn.ReLU(), (x, y), loss=nn.MSELoss()), "no trainable parameter"),
        (lambda x, y: sightline.top_curvature(nn.LazyLinear(1), (x, y), loss=nn.MSELoss()), "call it once"),
        (lambda x, y: sightline.top_curvature(Once(), (x, y), loss=nn.MSELoss()), "has no second derivative"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), x, loss=nn.MSELoss()), "give the pair (x, y)"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y[:, 0]), loss=nn.MSELoss()), "reshape"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), tolerance=0), "tolerance is 0"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), seed=-1), "seed is -1"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), k=5), "k is 5 and the model has 4 trainable parameters: give a k of at most 4"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), k=0), "k is 0: give a whole number of at least 1"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), k=2.0), "k is 2.0: give a whole number"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), k=True), "k is True: give a whole number"),
        (lambda x, y: sightline.top_curvature(nn.Linear(3, 1).double(), (x, y), loss=nn.MSELoss(), k="2"), "k is '2': give a whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(call, words):
    with pytest.raises(UsageError) as told:
        call(*rows())
    assert words in str(told.value)
