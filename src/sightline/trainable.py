"""A design and its rows as something to train: layer, optimizer, tensors."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from .answer_of_many import are_many
from .coded_rows import CodedRows
from .coded_sums import coded_moments, coded_residual_pass
from .data.ahead import ahead
from .data.disk import changeable, written
from .engines.coded import CodedLinear, coded_inputs
from .engines.device_moments import moments_on
from .engines.devices import arrays
from .engines.feeds import TensorFeed, moved
from .engines.losses import target_tensor, torch_loss
from .engines.modules import linear_layer
from .engines.optimizers import make_optimizer
from .engines.problem import SIZE_LIMIT, Problem
from .engines.schedules import make_schedule
from .engines.stepping import Stepping
from .errors import DataError, UsageError
from .linear.curvature import MOST_PARAMETERS
from .linear.moments import Moments
from .linear.squared_error import SquaredError
from .linear.triangle import is_steep, triangle
from .objectives import row_shares
from .parameters import Layout
from .rows import Rows
from .settings import RunSettings
from .squared_truth import SquaredTruth
from .truth import Truth
from .tuning import Step

__all__ = ["form_of", "make_problem", "tensors", "theta_of"]

Array = NDArray[np.float64]
CPU = torch.device("cpu")
NO_DECAY = ("lbfgs", "rprop")
MOST_WRITTEN = 512  # columns of rows on the disk that are all written for the training
AT_ONCE = 2**20  # numbers of a block that is written


def make_problem(
    layout: Layout, settings: RunSettings, step: Step, rows: Rows, start: Array, *, device: torch.device = CPU
) -> Problem:
    """The linear layer at its start, the optimizer with its step, and the rows in the run's dtype, all on a device."""
    k, p = layout.outputs, rows.X.shape[1]
    bias = start[k * p :] if layout.design.intercept else None
    module = linear_layer(start[: k * p].reshape(k, p), bias, dtype=settings.dtype)
    if _takes_codes(rows):
        module = CodedLinear.like(module, rows.blocks)
    module = module.to(device)
    optimizer = make_optimizer(settings.optimizer, _groups(module, settings), step.options)
    names = layout.names
    size = settings.batch_size or len(rows.y)
    x, y = tensors(layout, settings, rows)

    def describe(module: torch.nn.Module) -> dict[str, float]:
        return dict(zip(names, layout.in_units(theta_of(module)).tolist(), strict=True))

    return Problem(
        module,
        torch_loss(layout.loss, settings.loss_opt, weighted=rows.weight is not None),
        optimizer,
        TensorFeed(moved(x, device), y.to(device), settings.batch_size, settings.seed),
        describe if len(names) <= SIZE_LIMIT else lambda _: {},
        _stepping(settings, optimizer, batches=-(-len(rows.y) // size)),
    )


def form_of(truth: Truth, rows: Rows, device: torch.device = CPU) -> SquaredError | None:
    """The squared error as a quadratic about the exact answer, from the moments where they are known already; those of
    many rows are else added up on the device.
    """
    if not isinstance(truth, SquaredTruth):
        return None
    exact, weight, moments = truth.exact, row_shares(rows), truth.answer.moments
    at = (exact.weight[None, :], None if exact.bias is None else np.array([exact.bias]))
    moments = moments if weight is None else None  # those of the answer are in the weights as given
    if rows.coded:
        return _form_of_blocks(rows, at, weight, moments)
    if moments is None and device.type != "cpu" and are_many(*rows.X.shape):
        moments = moments_on(device, rows.X, rows.y, weight)
    return SquaredError.of(rows.X, rows.y, intercept=exact.intercept, at=at, weight=weight, moments=moments)


def _form_of_blocks(
    rows: Rows, at: tuple[Array, Array | None], weight: Array | None, moments: Moments | None
) -> SquaredError:
    X, y = rows.blocks, rows.y[:, None]
    moments, p = moments or coded_moments(X, y, weight), X.shape[1]
    steep = p <= MOST_PARAMETERS and is_steep(moments)
    root = triangle(rows.X, y, moments, weight)[:p, :p] if steep else None
    return SquaredError.at(at, coded_residual_pass(X, y, *at, weight), moments, count=len(rows), root=root)


def tensors(layout: Layout, settings: RunSettings, rows: Rows) -> tuple[Any, Tensor]:
    """Rows and targets in the dtype of the run, the weights of the rows beside the targets."""
    dtype = getattr(torch, settings.dtype)
    target = target_tensor(layout.loss, changeable(rows.y), row_shares(rows), dtype)
    if _takes_codes(rows):
        return coded_inputs(rows.blocks, dtype), target
    return torch.from_numpy(_numbers(rows.X, settings.dtype)).to(dtype), target


def _takes_codes(rows: Rows) -> bool:
    """Whether the model is given the codes: always in memory; of the disk where there are very many columns."""
    return isinstance(rows.X, CodedRows) and (rows.X.folder is None or rows.X.shape[1] > MOST_WRITTEN)


def _numbers(X: Any, dtype: str) -> Any:
    """All columns; those of rows on the disk in a file there."""
    if not isinstance(X, CodedRows):
        return X
    assert X.folder is not None
    needed, free = X.size * np.dtype(dtype).itemsize, shutil.disk_usage(X.folder).free
    if needed > 0.9 * free:
        raise DataError(
            f"training on these rows takes {needed / 1e9:,.1f} GB on the disk of {X.folder}, of which "
            f"{free / 1e9:,.1f} GB are free: make room there, or let TMPDIR name another folder"
        )
    size = max(AT_ONCE // max(1, X.shape[1]), 1)
    blocks = ahead(lambda first: X[first : min(first + size, len(X))].astype(dtype), range(0, len(X), size))
    with closing(blocks):
        return written(blocks, X.folder / f"rows.{dtype}", dtype, X.shape)


def _stepping(settings: RunSettings, optimizer: Optimizer, *, batches: int) -> Stepping:
    """What goes around the optimizer's steps."""
    s, accumulate = settings, settings.accumulate or 1
    schedule = None
    if s.schedule is not None or s.warmup:
        steps, warmup = -(-batches // accumulate), s.warmup or 0
        schedule = make_schedule(
            s.schedule, optimizer, s.schedule_opt, epochs=s.epochs, steps_per_epoch=steps, warmup=warmup
        )
    return Stepping(schedule, s.clip_norm, s.clip_value, accumulate, s.l1 or 0.0)


def _groups(module: torch.nn.Linear, settings: RunSettings) -> list[Any]:
    """The parameters to train; with a ridge penalty the slopes are a group of their own, as the intercept is free."""
    if not settings.l2:
        return [p for p in module.parameters() if p.numel()]
    name = settings.optimizer.lower()
    if name in NO_DECAY:
        raise UsageError(f"--l2 is a weight decay in the gradient, and {name} has none: use --optimizer adam")
    if settings.decoupled:
        raise UsageError(f"--l2 is part of the loss, and {name} keeps its decay out of it: use --optimizer adam")
    groups: list[dict[str, Any]] = [
        {"params": [module.weight], "weight_decay": settings.l2 + (settings.weight_decay or 0.0)}
    ]
    return groups if module.bias is None else [*groups, {"params": [module.bias]}]


def theta_of(module: torch.nn.Module) -> Array:
    """Weights, then bias, in float64, shape `(q,)`."""
    return np.concatenate([values.ravel() for values in arrays(list(module.parameters()))]).astype(np.float64)
