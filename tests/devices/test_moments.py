"""Sums over rows as a device adds them up, by torch's CPU, against rational arithmetic and numpy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sightline
from sightline.engines import device_moments
from sightline.engines.device_moments import form_on, moments_on
from sightline.linear.squared_error import SquaredError

CPU = torch.device("cpu")


def exact(X, y, weight=None):
    """Sum of weights, means and centered sums of products of [X, y] in rational arithmetic, as doubles."""
    rows = [[Fraction(float(v)) for v in row] for row in np.column_stack([X, y])]
    w = [Fraction(1)] * len(rows) if weight is None else [Fraction(float(v)) for v in weight]
    n, width = sum(w), len(rows[0])
    mean = [sum(a * row[j] for a, row in zip(w, rows, strict=True)) / n for j in range(width)]
    away = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
    sums = [[sum(a * r[i] * r[j] for a, r in zip(w, away, strict=True)) for j in range(width)] for i in range(width)]
    return float(n), np.array(mean, dtype=float), np.array(sums, dtype=float)


def check(found, X, y, weight=None):
    """Each sum within 1e-12 of the lengths of its two columns, each mean within 1e-12 of the size of its column."""
    n, mean, sums = exact(X, y, weight)
    p = X.shape[1]
    length = np.sqrt(np.diag(sums))
    assert found.n == pytest.approx(n, rel=1e-13)
    assert np.concatenate([found.x_mean, found.y_mean]) == pytest.approx(mean, rel=1e-13, abs=1e-13)
    assert (np.abs(found.xx - sums[:p, :p]) <= 1e-12 * np.outer(length[:p], length[:p])).all()
    assert (np.abs(found.xy - sums[:p, p:]) <= 1e-12 * np.outer(length[:p], length[p:])).all()
    assert (np.abs(found.yy - np.diag(sums)[p:]) <= 1e-12 * length[p:] ** 2).all()


def rows(n, p, k=1, *, far=0.0, dtype=np.float64):
    rng = np.random.default_rng(n + p)
    X = (rng.normal(size=(n, p)) * 3.0 + far).astype(dtype)
    return X, (X.astype(float) @ rng.normal(size=(p, k)) + rng.normal(size=(n, k))).astype(dtype)


@pytest.mark.parametrize("block", [(2**23, 2048), (997, 61)], ids=["one block", "several blocks"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_rational_arithmetic(monkeypatch, block, dtype, far, weighted):
    monkeypatch.setattr(device_moments, "BLOCK", block[0])
    monkeypatch.setattr(device_moments, "RUN", block[1])
    X, y = rows(800, 3, 2, far=far, dtype=dtype)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X)) if weighted else None
    check(moments_on(CPU, X, y, weight), X, y, weight)
    tensors = (torch.from_numpy(v) for v in (X, y))
    check(moments_on(CPU, *tensors, None if weight is None else torch.from_numpy(weight)), X, y, weight)


@given(st.integers(1, 40), st.integers(1, 4), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_moments_of_any_rows(n, p, far, size):
    X = np.random.default_rng(n).normal(size=(n, p)) * size + far
    y = X[:, 0] - far + np.arange(n)
    found, (_, _, sums) = moments_on(CPU, X, y), exact(X, y)
    assert found.xx == pytest.approx(sums[:p, :p], rel=1e-9, abs=1e-9 * size * size * n)


@pytest.mark.parametrize(
    "make",
    [
        lambda X: np.asfortranarray(X),
        lambda X: X[::-1],
        lambda X: X.astype(np.int64),
        lambda X: X > 0,
        lambda X: np.lib.stride_tricks.as_strided(X, writeable=False),
        lambda X: torch.from_numpy(X).requires_grad_(),
        lambda X: torch.from_numpy(X).int(),
        lambda X: torch.from_numpy(X) > 0,
    ],
    ids=[
        "columns first",
        "backwards",
        "whole",
        "booleans",
        "read only",
        "with a gradient",
        "whole tensor",
        "bool tensor",
    ],
)
def test_rows_of_every_kind(make):
    X, y = rows(50, 3)
    X = make(X * 5)
    as_numbers = X.detach().numpy() if isinstance(X, torch.Tensor) else X
    check(moments_on(CPU, X, y), np.asarray(as_numbers, dtype=float), y)


def test_what_is_not_finite_stays_so():
    X, y = rows(50, 2)
    X[3, 1] = np.nan
    found = moments_on(CPU, X, y)
    assert np.isnan(found.xx[1, 1])
    assert np.isfinite(found.xx[0, 0])
    assert form_on(CPU, torch.from_numpy(X), torch.from_numpy(y)) is None


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("near", [1.0, 1e-5], ids=["apart", "nearly collinear"])
def test_the_form_is_the_loss_of_the_rows(monkeypatch, intercept, total, near):
    monkeypatch.setattr(device_moments, "BLOCK", 997)
    monkeypatch.setattr(device_moments, "RUN", 61)
    X, y = rows(3000, 4, 2, far=2.0)
    X[:, 3] = X[:, 2] + near * X[:, 3]
    form = form_on(CPU, torch.from_numpy(X), torch.from_numpy(y), intercept=intercept, total=total)
    assert form is not None
    assert (form.root is None) == (near == 1.0)
    rng = np.random.default_rng(5)
    for scale in (1.0, 1e-3):
        w = torch.tensor(form.weight + scale * rng.normal(size=(2, 4)), requires_grad=True)
        b = torch.tensor(form.bias + scale * rng.normal(size=2), requires_grad=True) if intercept else None
        loss = torch.nn.functional.mse_loss(
            torch.nn.functional.linear(torch.from_numpy(X), w, b),
            torch.from_numpy(y),
            reduction="sum" if total else "mean",
        )
        loss.backward()
        value = float(loss.detach())
        at = w.detach().numpy(), None if b is None else b.detach().numpy()
        assert form.value(*at) == pytest.approx(value, rel=1e-11)
        by_weight, by_bias = form.gradient(*at)
        assert by_weight == pytest.approx(w.grad.numpy(), rel=1e-9, abs=1e-11 * value)
        if b is not None:
            assert by_bias == pytest.approx(b.grad.numpy(), rel=1e-9, abs=1e-11 * value)


def test_the_form_is_that_of_numpy():
    X, y = rows(500, 3, far=100.0)
    found = form_on(CPU, torch.from_numpy(X), torch.from_numpy(y))
    wanted = SquaredError.of(X, y)
    assert found is not None
    assert found.minimum == pytest.approx(wanted.minimum, rel=1e-12)
    assert found.weight == pytest.approx(wanted.weight, rel=1e-9)


def test_least_squares_of_a_tensor_on_a_device(monkeypatch):
    from sightline import arrays

    X, Y = rows(4000, 80)
    wanted = sightline.least_squares(X, Y)
    asked = []
    monkeypatch.setattr(arrays, "_device", lambda *values: CPU if isinstance(values[0], torch.Tensor) else None)
    monkeypatch.setattr(device_moments, "moments_on", lambda *given: asked.append(given) or moments_on(*given))
    found = sightline.least_squares(torch.from_numpy(X), torch.from_numpy(Y))
    assert asked
    assert asked[0][1].dtype == torch.float64
    assert found.path == wanted.path == "moments"
    assert found.coefficients == pytest.approx(np.linalg.lstsq(np.column_stack([X, np.ones(4000)]), Y)[0], rel=1e-10)
