"""Cross-validation by blocks of rows: beside fits that were made without each fold."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.linear import blocks
from sightline.linear.crossval import cross_validate
from sightline.linear.crossval_blocks import cross_validate_blocks
from sightline.linear.folds import assign_folds


class Slices:
    """Rows of which slices are read."""

    def __init__(self, X):
        self.X, self.read = X, 0

    shape = property(lambda self: self.X.shape)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.read += len(self.X[rows])
        return self.X[rows]


def data(n=700, near=1.0):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 3))
    X[:, 2] = X[:, 0] + near * X[:, 2]
    return X, X @ [1.0, -2.0, 0.5] + 3.0 + rng.normal(size=n), rng.uniform(0.5, 2.0, size=n)


@pytest.mark.parametrize("block", [50, 256, 3072])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("near", [1.0, 1e-5])
def test_fits_without_each_fold(monkeypatch, block, intercept, weighted, near):
    monkeypatch.setattr(blocks, "BLOCK", block)
    X, y, w = data(near=near)
    fold = assign_folds(len(y), 7, seed=3)
    rows, weight = Slices(X), w if weighted else None
    found = cross_validate_blocks(rows, y, fold, intercept=intercept, weight=weight)
    assert rows.read == 2 * len(y)
    Z = np.column_stack([X, np.ones(len(y))]) if intercept else X
    root = np.sqrt(w) if weighted else np.ones(len(y))
    want = np.empty(len(y))
    for k in range(7):
        theta = np.linalg.lstsq(Z[fold != k] * root[fold != k, None], (y * root)[fold != k], rcond=None)[0]
        want[fold == k] = y[fold == k] - Z[fold == k] @ theta
    np.testing.assert_allclose(found.residual, want, rtol=1e-9, atol=1e-9)
    assert found.mse == pytest.approx(np.average(want**2, weights=root**2), rel=1e-10)
    at_once = cross_validate(X, y, fold, intercept=intercept, weight=weight)
    assert (found.rmse, found.r2) == pytest.approx((at_once.rmse, at_once.r2), rel=1e-9)
    np.testing.assert_allclose(found.fold_mse, at_once.fold_mse, rtol=1e-9)
    np.testing.assert_array_equal(found.sizes, at_once.sizes)


def test_rows_that_the_others_do_not_determine(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    X, y, _ = data()
    fold = assign_folds(len(y), 5, seed=0)
    only = ((fold == 2) & (np.arange(len(y)) < 100)).astype(float)
    X = np.column_stack([X, only])
    found, want = cross_validate_blocks(Slices(X), y, fold), cross_validate(X, y, fold)
    np.testing.assert_array_equal(np.isnan(found.residual), only == 1)
    assert found.undetermined == want.undetermined == only.sum()
    assert found.mse == pytest.approx(want.mse, rel=1e-10)
