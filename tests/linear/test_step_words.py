"""Rounding, progress along directions, and the judgment of a rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.linear.curvature import Curvature
from sightline.linear.learning_rate import judge_rate
from sightline.linear.progress import progress
from sightline.linear.rounding import rounding


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1.0, 1.0))
def test_a_step_below_half_a_unit_is_lost_and_above_it_is_not(value, share):
    before = np.float32(value)
    if before == 0.0 or abs(before) < 1e-30:
        return
    half = rounding(np.array([float(before)]), np.array([float(before)]), np.array([share]), dtype="float32").half_unit[
        0
    ]
    step = np.float32(share * half * 0.99)
    assert before + step == before
    assert before + np.float32(np.copysign(half * 1.01, share or 1.0)) != before or share == 0.0


def test_swallowed_only_where_there_was_a_step():
    found = rounding(np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.5]), np.array([1e-9, 0.0, 0.5]), dtype="float32")
    assert found.swallowed.tolist() == [True, False, False]


def heights():
    X = np.column_stack([[150.0, 160.0, 170.0, 175.0, 185.0], np.ones(5)])
    return X, np.array([55.0, 70.0, 64.0, 80.0, 75.0])


def test_directions_add_up_to_the_excess_and_gradient_descent_covers_lr_times_curvature():
    X, y = heights()
    optimum = np.linalg.lstsq(X, y, rcond=None)[0]
    curvature = Curvature.of(np.linalg.qr(X)[1], rows=5, rank=2)
    before, lr = np.array([0.45, -35.0]), 3e-6
    after = before - lr * 2.0 / 5.0 * X.T @ (X @ before - y)
    found = progress(curvature, optimum, before, after)
    for theta, parts in ((before, [p.excess_before for p in found]), (after, [p.excess_after for p in found])):
        excess = ((X @ theta - y) ** 2).mean() - ((X @ optimum - y) ** 2).mean()
        assert sum(parts) == pytest.approx(excess, rel=1e-9)
    eigenvalues = np.linalg.eigvalsh(2.0 * X.T @ X / 5.0)[::-1]
    assert [p.curvature for p in found] == pytest.approx(eigenvalues.tolist(), rel=1e-7)
    assert found[0].covered == pytest.approx(lr * eigenvalues[0], rel=1e-9)
    assert found[1].covered == pytest.approx(lr * eigenvalues[1], rel=1e-4)  # 3e-8 of a way of 9, in rounding of 35


def test_no_way_left_is_no_share():
    curvature = Curvature.of(np.eye(2), rows=2, rank=2)
    assert progress(curvature, np.ones(2), np.ones(2), np.zeros(2))[0].covered is None


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999, 1.001, 3.0])
def test_the_judgment_is_what_iteration_shows(share, momentum):
    curvature = Curvature.of(np.diag([3.0, 1.0]), rows=2, rank=2)
    eigenvalues = np.array([9.0, 1.0])
    limit = 2.0 * (1.0 + momentum) / 9.0
    found = judge_rate(curvature, share * limit, momentum)
    error, velocity = np.ones(2), np.zeros(2)
    for _ in range(4000):
        velocity = momentum * velocity + eigenvalues * error
        error = error - share * limit * velocity
        if np.abs(error).max() > 1e100:
            break
    assert found.limit == pytest.approx(limit)
    assert (found.lr > found.limit) == bool(np.abs(error).max() > 1.0)
    overshoots = share == 0.999 and momentum < 0.9  # slow just below the limit; with much momentum it is not slower
    assert (found.word == "too large") == (found.lr > found.limit or overshoots)
    if share < 1.0 and found.word == "right":
        assert found.needs <= max(2.0 * found.best_needs, 5.0)


def test_a_flat_loss_has_no_judgment():
    assert judge_rate(Curvature.of(np.zeros((1, 1)), rows=1, rank=0), 0.1) is None
