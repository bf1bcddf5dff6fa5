"""How well predictions match observations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["regression_metrics"]


def regression_metrics(observed: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float | None]:
    """Mean squared error, its root, mean and largest absolute error, R² about the observed mean, mean residual; shapes
    `(n,)`.

    >>> regression_metrics(np.array([1.0, 3.0]), np.array([1.0, 2.0]))["mse"]
    0.5
    """
    residual = observed - predicted
    mse = float(np.mean(residual**2))
    spread = float(np.mean((observed - observed.mean()) ** 2))
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": float(np.mean(np.abs(residual))),
        "max_error": float(np.max(np.abs(residual))),
        "r2": 1.0 - mse / spread if spread > 0 else None,
        "mean_residual": float(residual.mean()),
    }
