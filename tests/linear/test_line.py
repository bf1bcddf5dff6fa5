"""The loss along a step against its values, scipy's minimizer, and what gradient descent is known to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from sightline.linear.line import StepLine
from sightline.linear.row_losses import CrossEntropy, Logistic, SquaredLoss

HEIGHT = np.array([[150.0], [160.0], [170.0], [175.0], [185.0]])
WEIGHT = np.array([55.0, 70.0, 64.0, 80.0, 75.0])


def squared(penalty=0.0):
    loss, theta = SquaredLoss(HEIGHT, WEIGHT), np.array([0.45, -35.0])
    decay = np.full(2, penalty)
    return StepLine(loss, theta, -3e-6 * (loss.gradient(theta) + decay * theta), decay)


@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_the_parabola_is_the_objective(penalty):
    line = squared(penalty)
    for t in (0.0, 1.0, line.best, line.limit, -3.0):
        at = line.theta + t * line.step
        expected = ((HEIGHT[:, 0] * at[0] + at[1] - WEIGHT) ** 2).mean() + penalty * (at @ at) / 2.0
        assert line.value(t) == pytest.approx(expected, rel=1e-12)
        assert line.change(t) == pytest.approx(expected - line.value(0.0), rel=1e-10, abs=1e-10)
    assert line.limit == pytest.approx(2.0 * line.best, rel=1e-15)
    assert line.slope == pytest.approx(-(line.step @ line.step) / 3e-6, rel=1e-12)
    found = minimize_scalar(line.value, bracket=(0.0, 1.0))
    assert line.best == pytest.approx(found.x, rel=1e-7)  # a minimum is known to the root of eps


def test_a_tiny_change_keeps_its_digits():
    line = squared()
    small = StepLine(line.loss, line.theta, line.step * 1e-14, line.penalty)
    assert small.change(1.0) == pytest.approx(line.slope * 1e-14, rel=1e-12)


@pytest.mark.parametrize("kind", [Logistic, CrossEntropy])
def test_other_losses_are_lowest_where_scipy_finds_them(kind):
    rng = np.random.default_rng(0)
    X, outputs = rng.normal(size=(60, 2)), 1 if kind is Logistic else 3
    y = (rng.uniform(size=60) * (2 if outputs == 1 else 3)).astype(int).astype(float)
    loss = kind(X, y, outputs=outputs)
    theta = rng.normal(size=3 * outputs)
    line = StepLine(loss, theta, -0.2 * loss.gradient(theta), np.zeros_like(theta))
    found = minimize_scalar(line.value, bounds=(0.0, 1e3), method="bounded", options={"xatol": 1e-10})
    assert line.best == pytest.approx(found.x, rel=1e-6)
    again = brentq(lambda t: line.value(t) - line.value(0.0), line.best, 1e4, xtol=1e-12)
    assert line.limit == pytest.approx(again, rel=1e-9)
    assert line.slope == pytest.approx(loss.gradient(theta) @ line.step, rel=1e-12)


def test_separated_classes_have_no_lowest_point():
    loss = Logistic(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), False)
    line = StepLine(loss, np.zeros(1), np.ones(1), np.zeros(1))
    assert line.best is None
    assert line.limit is None


def test_a_step_uphill_is_lowest_behind_it():
    line = squared()
    back = StepLine(line.loss, line.theta, -line.step, line.penalty)
    assert back.slope > 0.0
    assert back.best == pytest.approx(-line.best)
    assert back.limit == pytest.approx(-line.limit)


def test_no_step_has_no_lowest_point():
    line = StepLine(SquaredLoss(HEIGHT, WEIGHT), np.zeros(2), np.zeros(2), np.zeros(2))
    assert (line.best, line.limit, line.change(5.0)) == (None, None, 0.0)


@given(st.lists(st.floats(-10.0, 10.0), min_size=2, max_size=2), st.floats(1e-3, 10.0))
def test_the_slope_alone_promises_too_much(theta, lr):
    loss = SquaredLoss(HEIGHT, WEIGHT)
    at = np.array(theta)
    line = StepLine(loss, at, -lr * loss.gradient(at), np.zeros(2))
    for t in (0.1, 1.0, 2.0):
        assert line.change(t) >= line.slope * t  # the loss is convex
