"""What `train` is given as data, checked, as a feed of batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from .data.split import held_out
from .engines.feeds import BatchFeed, Feed, Splitter, TensorFeed, device_of, rows_in
from .engines.guarding.loss_kinds import Kind, check_target
from .errors import UsageError
from .guards import as_rows

__all__ = ["held_out_feed", "training_feed"]

GIVE = "give the pair (x, y) of tensors with one row per example, a TensorDataset, a DataLoader or batches"


def training_feed(
    data: Any, module: nn.Module, loss: Any, *, batch_size: int | None = None, seed: int = 0, whole: bool = False,
    name: str = "data",
) -> Feed:  # fmt: skip
    """The batches of `data`, on the device of the module: rows in memory cut into batches, or those of an iterable.

    With `whole` a batch is not taken apart into inputs and target, for it goes to a step function.
    """
    device = device_of(module)
    if isinstance(data, Mapping) and not data:
        raise UsageError(f"{name} is an empty dict: {GIVE}")
    rows = _rows_in_memory(data, module, whole=whole)
    if rows is not None:
        inputs, target = rows
        if isinstance(target, Tensor):
            check_target(loss, target)
            if len(target) != rows_in(inputs):
                raise UsageError(f"x has {rows_in(inputs)} rows and y has {len(target)}: give one target for each row")
        size = None if batch_size is None else int(batch_size)
        return TensorFeed(inputs, target, size, seed, device=device)
    table = isinstance(data, (Tensor, np.ndarray, str, bytes)) or hasattr(data, "columns")
    table = table or (not whole and isinstance(data, (tuple, list)) and any(not _is_batch(part) for part in data))
    if table or isinstance(data, Dataset) or not hasattr(data, "__iter__"):
        remedy = (
            "wrap it in torch.utils.data.DataLoader(dataset, batch_size=...)" if isinstance(data, Dataset) else GIVE
        )
        raise UsageError(f"{name} is a {type(data).__name__}: {remedy}")
    if batch_size is not None:
        owner = "the DataLoader" if isinstance(data, DataLoader) else "the iterable"
        raise UsageError(f"batch_size is {batch_size} and {owner} makes the batches itself: set it there")
    return BatchFeed(data, None if whole else Splitter(module), device=device, held_out=name == "valid")


def held_out_feed(valid: Any, training: Feed, module: nn.Module, loss: Any, *, seed: int) -> tuple[Feed, Feed | None]:
    """What is trained on, and what is held out: a fraction of the rows in memory, or data of its own."""
    if valid is None:
        return training, None
    if isinstance(valid, (int, float)) and isinstance(training, TensorFeed):
        return _split(training, valid, loss, seed=seed)
    if isinstance(valid, (int, float)):
        raise UsageError(
            f"valid is {valid:g}, and a fraction can be held out only of rows in memory: give valid=0.2 with tensors, "
            "or a loader of validation rows"
        )
    if isinstance(valid, (tuple, list)) and len(valid) == 2 and isinstance(training, TensorFeed):
        x, y = _pair("valid", valid)
        _check_alike(x, y, training)
    feed = training_feed(valid, module, loss, name="valid")
    if isinstance(feed, BatchFeed) and feed.one_shot:
        raise UsageError("valid is a generator, which can be read once: give a list or a DataLoader")
    if feed.batches == 0 or (isinstance(feed, TensorFeed) and not feed.rows):
        raise UsageError("valid has no batch: give at least one, or leave valid out")
    return training, feed


def _split(feed: TensorFeed, fraction: float, loss: Any, *, seed: int) -> tuple[Feed, Feed]:
    if isinstance(fraction, bool) or not 0.0 < fraction < 1.0:
        raise UsageError(f"valid is {fraction!r}: give a fraction between 0 and 1, such as 0.2, or validation rows")
    held = torch.from_numpy(held_out(feed.rows, fraction, seed=seed, name="valid"))
    one = feed.part(held)
    if _one_class(loss, one.target) and not _one_class(loss, feed.target):
        rows = "only validation row is" if one.rows == 1 else f"{one.rows} validation rows are all"
        raise UsageError(
            f"the {rows} of class {int(one.target.flatten()[0])}: hold out more rows, or others with another seed"
        )
    return feed.part(~held), TensorFeed(one.inputs, one.target, device=one.device)


def _one_class(loss: Any, y: Any) -> bool:
    """Whether the targets are classes, and all the same."""
    kind = Kind.of(loss)
    if not isinstance(y, Tensor) or not (kind.classes or kind.two_classes) or not y.numel():
        return False
    numbers = y.ndim == 1 or y.shape[1:].numel() == 1
    whole = kind.two_classes or not y.is_floating_point()
    first = y.flatten()[0]
    return numbers and whole and float(first) == int(first) and bool((y == first).all())


def _check_alike(x: Any, y: Any, training: TensorFeed) -> None:
    for name, rows, like in (("x", x, training.inputs), ("y", y, training.target)):
        if not isinstance(rows, Tensor) or not isinstance(like, Tensor):
            continue
        if rows.shape[1:] != like.shape[1:] or rows.dtype != like.dtype:
            raise UsageError(
                f"{name} of the validation rows has shape {tuple(rows.shape)} and {rows.dtype}, where that of the data "
                f"has {tuple(like.shape)} and {like.dtype}: make them alike but for the number of rows"
            )
    if isinstance(x, Tensor) and isinstance(y, Tensor) and (not len(x) or len(x) != len(y)):
        raise UsageError(
            f"x of valid has {len(x)} rows and y of valid has {len(y)}: give one target for each row, and at least one "
            "row"
        )


def _rows_in_memory(data: Any, module: nn.Module, *, whole: bool) -> tuple[Any, Any] | None:
    """Inputs and target of rows that are in memory; None for what is an iterable of batches."""
    if isinstance(data, TensorDataset):
        return _apart(tuple(data.tensors), whole=whole)
    if isinstance(data, Mapping):
        named = {str(name): as_rows(f"{name}", part) for name, part in data.items()}
        _check_lengths(named)
        return (named, None) if whole else Splitter(module)(named)
    if isinstance(data, Tensor) and whole:
        return as_rows("data", data), None
    if whole and isinstance(data, list):  # of batches, each as it is
        return None
    numbers = isinstance(data, (tuple, list)) and any(isinstance(part, (int, float, str)) for part in data)
    if isinstance(data, (tuple, list)) and len(data) >= 2 and not _is_batch(data[-1]) and not numbers:
        return _apart(tuple(data), whole=whole)
    return None


def _is_batch(value: Any) -> bool:
    """Whether it has parts itself, so that what holds it is a list of batches."""
    nested = isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value)
    return isinstance(value, Mapping) or nested


def _apart(parts: tuple[Any, ...], *, whole: bool) -> tuple[Any, Any]:
    if len(parts) == 1:
        if whole:
            return (as_rows("x", parts[0]),), None
        raise UsageError("the dataset has one tensor and no target: add the target, or train with step=...")
    return _pair("data", parts if len(parts) == 2 else (parts[:-1], parts[-1]))


def _pair(name: str, pair: Any) -> tuple[Any, Any]:
    """Inputs, which may be several, and target, as tensors of finite numbers."""
    inputs, target = pair
    of = "" if name == "data" else f" of {name}"
    y = as_rows(f"y{of}", target)
    if isinstance(inputs, Mapping):
        x: Any = {str(key): as_rows(f"{key}{of}", part) for key, part in inputs.items()}
    elif isinstance(inputs, (tuple, list)) and any(isinstance(part, (Tensor, np.ndarray)) for part in inputs):
        x = tuple(as_rows(f"x[{i}]{of}", part) for i, part in enumerate(inputs))
    else:
        return as_rows(f"x{of}", inputs), y
    _check_lengths({**(x if isinstance(x, dict) else {f"x[{i}]": part for i, part in enumerate(x)}), "y": y})
    return x, y


def _check_lengths(parts: Mapping[str, Tensor]) -> None:
    (first, head), *others = parts.items()
    for name, part in others:
        if len(part) != len(head):
            raise UsageError(f"{first} has {len(head)} rows and {name} has {len(part)}: give each one row per example")
