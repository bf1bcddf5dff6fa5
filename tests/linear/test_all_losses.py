"""Values, gradients and Hessians of all losses against torch; differences against arithmetic to 50 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.linear.all_losses import CLASS_WEIGHT, LOSSES
from torch import nn

from sightline.errors import UsageError
from sightline.linear import row_losses
from sightline.linear.row_losses import CrossEntropy, GaussianNLL, Huber, SmoothL1

each_loss = pytest.mark.parametrize("name", LOSSES)


def test_every_loss_is_in_the_table():
    assert {rows.kind for rows in LOSSES.values()} == set(row_losses.LOSSES.values())
    assert {name for name in LOSSES if name.count("-") < 2} == set(row_losses.LOSSES)


@each_loss
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_value_gradient_and_hessian_are_torchs(name, intercept, weighted):
    rows = LOSSES[name]
    loss = rows.problem(intercept=intercept, weighted=weighted)
    value = rows.torch_value(loss)
    theta = np.random.default_rng(3).normal(size=loss.outputs * (3 + intercept))
    at = torch.tensor(theta, requires_grad=True)
    result = value(at)
    (gradient,) = torch.autograd.grad(result, at)
    H = torch.autograd.functional.hessian(value, torch.tensor(theta)).numpy()
    assert loss.value(theta) == pytest.approx(result.item(), rel=1e-13)
    assert loss.gradient(theta) == pytest.approx(gradient.numpy(), rel=1e-12, abs=1e-13)
    assert loss.hessian(theta) == pytest.approx(H, rel=1e-11, abs=1e-13)
    v = np.linspace(-1.0, 2.0, len(theta))
    assert loss.hessian_times(theta, v) == pytest.approx(H @ v, rel=1e-11, abs=1e-13)


@each_loss
def test_the_bend_is_never_steeper_than_the_bound(name):
    loss = LOSSES[name].problem()
    z = np.random.default_rng(4).normal(size=(len(loss.y), loss.outputs)) * 3.0
    steep = np.linalg.eigvalsh(loss.bend(z)).max()
    if loss.steepest is None:
        assert steep > 1.0
    else:
        assert steep <= loss.steepest * (1.0 + 1e-14)


@pytest.mark.parametrize(("name", "z"), [("bce", [0.0]), ("cross-entropy", [0.0, 0.0, -50.0]), ("huber", None)])
def test_the_bound_of_the_bend_is_reached(name, z):
    loss = LOSSES[name].problem(n=2)
    at = loss.y[:, None] if z is None else np.array([z, z])
    assert np.linalg.eigvalsh(loss.bend(at)).max() == pytest.approx(loss.steepest, rel=1e-12)


def test_class_weights_in_the_smoothing_are_torchs():
    base = LOSSES["cross-entropy"].problem()
    v = CLASS_WEIGHT[base.y.astype(int)]
    loss = CrossEntropy(base.X, base.y, True, v / v.mean(), 3, smoothing=0.3, class_weight=CLASS_WEIGHT)
    criterion = nn.CrossEntropyLoss(weight=torch.tensor(CLASS_WEIGHT), label_smoothing=0.3)
    theta = torch.tensor(np.linspace(-1.0, 1.0, 12), requires_grad=True)
    result = criterion(torch.tensor(base.X) @ theta[:9].reshape(3, 3).T + theta[9:], torch.tensor(base.y).long())
    result.backward()
    assert loss.value(theta.detach().numpy()) == pytest.approx(result.item(), rel=1e-13)
    assert loss.gradient(theta.detach().numpy()) == pytest.approx(theta.grad.numpy(), rel=1e-12, abs=1e-14)


def row_exactly(name, z, y, loss):
    """ℓ of `z`, numbers of 50 digits."""
    m, y = mpmath.mpf, mpmath.mpf(float(y))
    r = z[0] - y
    if name in ("huber", "smooth-l1"):
        edge = m(loss.delta if name == "huber" else loss.beta)
        inner = r * r / 2 if abs(r) <= edge else edge * (abs(r) - edge / 2)
        return inner if name == "huber" else inner / edge
    if name.startswith("cross-entropy"):
        total, share = mpmath.log(sum(mpmath.exp(v) for v in z)), m(loss.smoothing)
        return (1 - share) * (total - z[int(y)]) + share / len(z) * sum(total - v for v in z)
    if name.startswith("gaussian"):
        v = max(mpmath.exp(z[1]), m(loss.eps))
        return (mpmath.log(v) + r * r / v) / 2
    return {
        "mse": lambda: r * r,
        "l1": lambda: abs(r),
        "bce": lambda: mpmath.log(1 + mpmath.exp(z[0])) - y * z[0],
        "hinge": lambda: max(m(0), 1 - (1 if y else -1) * z[0]),
        "poisson-nll": lambda: mpmath.exp(z[0]) - y * z[0],
    }[name]()


@pytest.mark.parametrize("size", [1e-13, 1e-6, 0.1, 5.0])
@each_loss
def test_differences_of_rows_keep_their_digits(name, size):
    loss = LOSSES[name].problem(n=40)
    rng = np.random.default_rng(5)
    z = rng.normal(size=(40, loss.outputs)) * 2.0
    d = rng.normal(size=z.shape) * size
    found = loss.difference(z, d)
    with mpmath.workdps(50):
        for i in range(40):
            start = [mpmath.mpf(v) for v in z[i].tolist()]
            end = [a + mpmath.mpf(b) for a, b in zip(start, d[i].tolist(), strict=True)]
            before = row_exactly(name, start, loss.y[i], loss)
            exact = float(row_exactly(name, end, loss.y[i], loss) - before)
            # of the slope; and where a limit of the variance is in force the plain difference is taken
            slope = 1.0 + np.abs(loss.at(z).error[i]).max() * loss.factor + abs(exact) / size
            whole = abs(float(before)) + abs(exact) + 1.0 if name == "gaussian-nll-limited" else 0.0
            assert abs(found[i] - exact) <= 2e-15 * (5.0 * slope * np.abs(d[i]).max() + whole), i


@given(st.sampled_from(sorted(LOSSES)), st.integers(0, 10**6), st.floats(-6.0, 2.0))
@settings(max_examples=80, deadline=None)
def test_the_change_of_the_mean_is_the_difference_of_values(name, seed, exponent):
    loss = LOSSES[name].problem(n=20, seed=seed, weighted=True)
    rng = np.random.default_rng(seed)
    theta, step = rng.normal(size=(2, loss.outputs * 4))
    step *= 10.0**exponent
    with np.errstate(over="ignore"):
        after, before = loss.value(theta + step), loss.value(theta)
    if np.isfinite(after):
        assert loss.change(theta, step) == pytest.approx(
            after - before, rel=1e-9, abs=1e-12 * (abs(before) + abs(after))
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: Huber(X, y, delta=0.0), "the delta of the huber loss is 0.0: give a number above 0"),
        (
            lambda X, y: SmoothL1(X, y, beta=0.0),
            "the beta of the smooth-l1 loss is 0.0: give a number above 0, or the loss l1",
        ),
        (lambda X, y: GaussianNLL(X, y, eps=-1.0), "the eps of the gaussian-nll loss is -1.0"),
        (lambda X, y: GaussianNLL(X, y, outputs=1), "gaussian-nll has 1 outputs: it takes 2"),
        (
            lambda X, y: CrossEntropy(X, y, outputs=2, smoothing=1.5),
            "the label smoothing is 1.5: give a number from 0 to 1",
        ),
        (
            lambda X, y: CrossEntropy(X, y, outputs=2, class_weight=np.zeros(2)),
            "give one above 0 for each of 2 classes",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make(np.ones((2, 1)), np.array([0.0, 1.0]))


def test_a_loss_that_cannot_be_worded_is_refused():
    with pytest.raises(UsageError, match="the loss 'huber' cannot be worked out by hand"):
        row_losses.row_loss("huber")
