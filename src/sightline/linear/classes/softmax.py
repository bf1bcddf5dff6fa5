"""The maximum of the likelihood of logistic and softmax regression to some 25 digits, or word that there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...double_double import Pair
from .basis import Basis, precise_size
from .fit import ClassFit
from .likelihood import ClassRows
from .many import fit_of_many
from .problem import Problem, ridge_of

__all__ = ["logistic_optimum", "softmax_of_blocks", "softmax_of_codes", "softmax_optimum"]

Array = NDArray[np.float64]


def logistic_optimum(
    X: Pair, y: ArrayLike, *, intercept: bool = True, weight: Array | None = None, l2: float = 0.0
) -> ClassFit:
    """The maximum-likelihood logistic regression of `y (n,)` in {0, 1} on `X (n, p)`: `softmax_optimum` of two classes.

    The penalty (l2 / 2) ‖w‖² is that of the one weight vector, as of a `torch.nn.Linear(p, 1)`.

    >>> fit = logistic_optimum(Pair.of([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]]), [0, 0, 1, 0, 1, 1])
    >>> fit.coefficients.hi.ravel().round(12).tolist()  # 2 ln 2 and -ln 2
    [1.38629436112, -0.69314718056]
    """
    return softmax_optimum(X, y, 2, intercept=intercept, weight=weight, l2=l2)


def softmax_optimum(
    X: Pair, codes: ArrayLike, classes: int, *, intercept: bool = True, weight: Array | None = None, l2: float = 0.0
) -> ClassFit:
    """The minimizer of Σ w (ln Σ_k exp η_k - η_y) / Σ w + (l2 / 2) ‖W‖² for `X (n, p)`, the intercepts free.

    `codes (n,)` in 0..K-1 with K = `classes`, `weight (n,)` > 0 as case weights. W has a row of slopes for each of the
    K classes when K > 2, as `torch.nn.Linear(p, K)`; their sum is zero at the minimum, and coefficients are their
    differences from class 0. With two classes it is the one row of class 1 against 0, as `torch.nn.Linear(p, 1)`.

    Newton's method in orthonormalized columns with step halving, then with gradients in double-double (up to one
    million entries of X). Without a penalty the maximum is proven to exist, or a separating hyperplane is found and
    the limit is fitted: rows on the hyperplane only (Albert and Anderson 1984; Geyer 2009, Likelihood inference in
    exponential families and directions of recession). With a penalty separation is only noted, and looked for in up
    to 200,000 entries in memory.

    Raises DataError for columns that are linearly dependent and for a class without rows: leave them out.

    >>> X = Pair.of([[0.0], [1.0], [2.0], [3.0]])
    >>> softmax_optimum(X, [0, 0, 1, 1], 2).separation.kind
    'complete'
    """
    own = np.asarray(codes, dtype=np.int64)
    if (
        classes == 2
        and X.shape[1]
        and not precise_size(len(own), X.shape[1] + int(intercept))
        and 0 < own.sum() < len(own)
    ):
        found = fit_of_many(X.hi, own, intercept=intercept, weight=weight, l2=l2)
        if found is not None:
            return found
    problem = Problem.of(X, own, classes, weight, intercept, l2)
    return problem.solved()


def softmax_of_blocks(
    X: Any, R: Array, codes: NDArray[np.int64], classes: int, *, intercept: bool, weight: Array | None, l2: float = 0.0
) -> ClassFit:
    """The same for rows `X (n, p)` of which blocks are read, pass after pass; `R (q, q)` is the triangular factor of
    √w [1 X], or of √w X without an intercept. It begins where Newton's method ends on some thousand rows.
    """
    w = np.broadcast_to(1.0, len(codes)) if weight is None else np.asarray(weight)
    total = float(w.sum())
    basis = Basis.of_factor(R, total, rows=len(codes), intercept=intercept, ridge=l2 * total)
    rows = ClassRows(basis.rows_of(X, orthonormal=True), codes, w, classes, ridge_of(basis, classes, total, l2))
    problem = Problem(basis, basis.rows_of(X, orthonormal=False), rows, l2)
    return problem.solved()


def softmax_of_codes(
    Z: Any, basis: Basis, codes: NDArray[np.int64], classes: int, *, weight: Array | None, l2: float = 0.0
) -> ClassFit:
    """The same for rows `Z (n, q)` that add up their own products: those of X in a `basis` with R = 1, so that they
    stay what they are.
    """
    w = np.broadcast_to(1.0, len(codes)) if weight is None else np.asarray(weight)
    problem = Problem(basis, Z, ClassRows(Z, codes, w, classes, ridge_of(basis, classes, float(w.sum()), l2)), l2)
    return problem.solved()
