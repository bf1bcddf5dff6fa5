"""Every loss with torch's own, on rows that suit it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sightline.linear.row_losses import (
    Absolute,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    Logistic,
    PoissonNLL,
    SmoothL1,
    SquaredLoss,
)

CLASS_WEIGHT = np.array([0.5, 1.0, 3.0])


class Rows:
    """One loss: the class here, its options, torch's loss row by row from z `(n, k)` and the target."""

    def __init__(self, kind, torchs, *, target="number", outputs=1, **options):
        self.kind, self.torchs, self.target, self.outputs, self.options = kind, torchs, target, outputs, options

    def problem(self, n=60, p=3, *, seed=0, intercept=True, weighted=False):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, p)) * np.linspace(0.5, 2.0, p) + np.linspace(-1.0, 1.0, p)
        linear = X @ np.linspace(-0.5, 0.7, p) + 0.3
        y = {
            "number": lambda: linear + rng.standard_t(2, size=n),
            "01": lambda: (linear + rng.logistic(size=n) > 0).astype(float),
            "class": lambda: np.clip(np.round(linear + rng.normal(size=n)) + 1, 0, 2),
            "count": lambda: rng.poisson(np.exp(0.5 * linear)).astype(float),
        }[self.target]()
        v = None
        if weighted:
            v = rng.uniform(0.2, 2.0, n)
            v /= v.mean()
        return self.kind(X, y, intercept, v, self.outputs, **self.options)

    def torch_value(self, loss):
        """θ -> the mean loss, by torch."""
        X, y = torch.tensor(loss.X), torch.tensor(loss.y)
        v = torch.ones(len(y), dtype=torch.float64) if loss.weight is None else torch.tensor(loss.weight)
        k, p = loss.outputs, loss.X.shape[1]

        def value(theta):
            z = X @ theta[: k * p].reshape(k, p).T + (theta[k * p :] if loss.intercept else 0.0)
            return (self.torchs(z, y) * v).mean()

        return value


def simple(criterion):
    return lambda z, y: criterion(z[:, 0], y)


LOSSES = {
    "mse": Rows(SquaredLoss, simple(nn.MSELoss(reduction="none"))),
    "l1": Rows(Absolute, simple(nn.L1Loss(reduction="none"))),
    "huber": Rows(Huber, simple(nn.HuberLoss(reduction="none", delta=0.7)), delta=0.7),
    "smooth-l1": Rows(SmoothL1, simple(nn.SmoothL1Loss(reduction="none", beta=0.4)), beta=0.4),
    "bce": Rows(Logistic, simple(nn.BCEWithLogitsLoss(reduction="none")), target="01"),
    "cross-entropy": Rows(
        CrossEntropy, lambda z, y: nn.CrossEntropyLoss(reduction="none")(z, y.long()), target="class", outputs=3
    ),
    "cross-entropy-smoothed": Rows(
        CrossEntropy,
        lambda z, y: nn.CrossEntropyLoss(reduction="none", label_smoothing=0.2)(z, y.long()),
        target="class",
        outputs=3,
        smoothing=0.2,
    ),
    "hinge": Rows(Hinge, lambda z, y: torch.relu(1.0 - (2.0 * y - 1.0) * z[:, 0]), target="01"),
    "poisson-nll": Rows(PoissonNLL, simple(nn.PoissonNLLLoss(reduction="none")), target="count"),
    "gaussian-nll": Rows(
        GaussianNLL, lambda z, y: nn.GaussianNLLLoss(reduction="none")(z[:, 0], y, torch.exp(z[:, 1])), outputs=2
    ),
    "gaussian-nll-limited": Rows(
        GaussianNLL,
        lambda z, y: nn.GaussianNLLLoss(reduction="none", eps=1.5)(z[:, 0], y, torch.exp(z[:, 1])),
        outputs=2,
        eps=1.5,
    ),
}
