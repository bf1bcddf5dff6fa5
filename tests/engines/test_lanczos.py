"""The largest eigenvalues from products, against LAPACK's of the whole matrix, with any spectrum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.engines.lanczos import largest_eigenvalues
from sightline.errors import UsageError


@pytest.mark.parametrize("q", [1, 2, 31, 32, 33, 300])
def test_lanczos_with_any_spectrum(q):
    """Clustered, repeated and negative eigenvalues; restarts are needed beyond 32."""
    g = torch.Generator().manual_seed(q)
    Q, _ = torch.linalg.qr(torch.randn(q, q, generator=g, dtype=torch.float64))
    values = torch.linspace(-3.0, 1.0, q, dtype=torch.float64)
    values[q // 2 :] = 1.0 if q % 2 else values[q // 2 :]
    H = Q @ torch.diag(values) @ Q.T
    start = torch.randn(q, generator=g, dtype=torch.float64)
    found = largest_eigenvalues(lambda v: H @ v, start, tolerance=1e-9)
    assert found.converged
    assert found.values[0] == pytest.approx(values.max().item(), abs=1e-9)


def test_too_few_products_are_told():
    H = torch.diag(torch.linspace(1.0, 1.001, 2000, dtype=torch.float64))
    found = largest_eigenvalues(lambda v: H @ v, torch.ones(2000, dtype=torch.float64), tolerance=1e-14, most=40)
    assert not found.converged
    assert found.residuals[0] > 1e-14


def symmetric(values, seed):
    """A matrix with these eigenvalues in random directions."""
    g = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=g, dtype=torch.float64))
    return Q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ Q.T


def start_of(q, seed):
    return torch.randn(q, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)


EIGENVALUES = st.one_of(
    st.integers(-3, 3).map(float), st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, 1.0 + 1e-12, -1.0, 1e-9])
)


@given(st.lists(EIGENVALUES, min_size=1, max_size=60), st.data(), st.integers(0, 1000))
def test_of_any_symmetric_matrix(values, data, seed):
    k = data.draw(st.integers(1, len(values)))
    H = symmetric(values, seed)
    exact = np.linalg.eigvalsh(H.numpy())[::-1][:k]
    found = largest_eigenvalues(lambda v: H @ v, start_of(len(H), seed), k=k, tolerance=1.5e-8)
    size = max(1e-300, np.abs(values).max())
    assert found.converged
    assert max(found.residuals) <= max(1.5e-8 * max(map(abs, found.values)), 1e-14 * size)
    assert list(found.values) == sorted(found.values, reverse=True)
    assert found.values == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-13 * size)


@given(st.integers(100, 250), st.integers(1, 12), st.integers(1, 6), st.integers(0, 1000))
def test_repeated_eigenvalues_are_found_as_often_as_they_are_there(q, k, times, seed):
    """More than fit into one cycle, so restarts are needed too."""
    values = np.sort(np.random.default_rng(seed).normal(size=q))[::-1]
    values = np.repeat(values, times)[:q]
    H = symmetric(values.tolist(), seed)
    found = largest_eigenvalues(lambda v: H @ v, start_of(q, seed), k=k, tolerance=1e-9)
    assert found.converged
    assert found.values == pytest.approx(values[:k].tolist(), abs=1e-7)


def test_a_start_without_any_part_along_the_largest_still_finds_it():
    """Where more than one is sought, the check begins at random."""
    H = torch.diag(torch.tensor([1.0, 2.0, 9.0, 3.0], dtype=torch.float64))
    start = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    found = largest_eigenvalues(lambda v: H @ v, start, k=2, tolerance=1e-10)
    assert found.values == pytest.approx([9.0, 3.0], rel=1e-12)


def test_a_check_that_was_cut_short_is_not_called_converged():
    """An identity of many rows but for one eigenvalue, and products for one cycle only."""
    H = torch.linspace(1.0, 1.001, 3000, dtype=torch.float64)
    H[0] = 100.0
    found = largest_eigenvalues(lambda v: H * v, torch.ones(3000, dtype=torch.float64), k=2, tolerance=1e-3, most=20)
    assert max(found.residuals) <= 1e-3 * 100.0
    assert found.products >= 40
    sure = largest_eigenvalues(lambda v: H * v, torch.ones(3000, dtype=torch.float64), k=2, tolerance=1e-3)
    assert sure.converged
    assert sure.values == pytest.approx([100.0, 1.001], rel=1e-5)


def test_float32():
    values = np.repeat([4.0, 2.0, 1.0, -3.0], 20)
    H = symmetric(values.tolist(), 3).float()
    found = largest_eigenvalues(lambda v: H @ v, start_of(80, 3).float(), k=25, tolerance=3.5e-4)
    assert found.converged
    assert found.values == pytest.approx([4.0] * 20 + [2.0] * 5, rel=1e-5)


def test_a_product_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="the Hessian is not finite"):
        largest_eigenvalues(lambda v: v * torch.nan, torch.ones(3), tolerance=1e-3)
