"""Runs of classes to look at: solved, and trained by plain gradient descent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

import sightline
from sightline.class_metrics import estimated_metrics
from sightline.records import Epoch

__all__ = ["trained"]


def trained(data, formula, *, epochs=60, lr=None, **options):
    """The exact answer with the estimates that `epochs` steps of plain PyTorch reach from zero, all of them recorded."""
    run = sightline.solve(data, formula, **options)
    design, rows = run.design, run.rows
    m = len(design.classes) - 1
    X = torch.tensor(np.column_stack([rows.X, np.ones(len(rows))]))
    y, w = torch.tensor(rows.y.astype(int)), None if rows.weight is None else torch.tensor(rows.weight)
    theta = torch.zeros(X.shape[1], m, dtype=torch.float64, requires_grad=True)
    lr = lr or 2.0 / float(torch.linalg.matrix_norm(X, 2) ** 2 / len(X))
    records = []
    for number in range(epochs + 1):
        theta.grad = None
        each = torch.nn.functional.cross_entropy(
            torch.cat([torch.zeros(len(X), 1), X @ theta], dim=1), y, reduction="none"
        )
        loss = each.mean() if w is None else (w @ each) / w.sum()
        loss.backward()
        values = [v for k in range(m) for v in design.in_units(theta.detach().numpy()[:, k])]
        at = {c.term: v for c, v in zip(run.coefficients, values, strict=True)}
        norm = float(theta.grad.norm())
        records.append(Epoch(number, None, float(loss.detach()), None, norm, lr, len(X), 0.1 * number, at))
        with torch.no_grad():
            theta -= lr * theta.grad
    coefficients = [replace(c, estimate=v) for c, v in zip(run.coefficients, values, strict=True)]
    result = {
        **run.result, "loss": records[-1].loss, "excess": records[-1].loss - run.result["exact_loss"], "epochs": epochs,
        "engine": {"name": "autograd", "reason": "plain"}, "metrics": estimated_metrics(design, rows, values, "bce"),
        "optimizer": {"name": "sgd", "lr": lr},
    }  # fmt: skip
    return replace(run, result=result, coefficients=coefficients, epochs=records)
