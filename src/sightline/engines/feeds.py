"""Where the batches of an epoch come from: rows in memory, a DataLoader, any iterable of batches."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..data.batches import epoch_order
from ..errors import DataError, UsageError, shown

__all__ = [
    "Batch",
    "BatchFeed",
    "Feed",
    "Splitter",
    "TensorFeed",
    "device_of",
    "moved",
    "predicted",
    "rows_in",
    "tensors_in",
]

Batch = tuple[Any, Any]  # what the model is given, and the target


class Feed(Protocol):
    """The batches of one epoch after the other."""

    rows: int  # that one epoch has; of a stream, those of the last epoch

    @property
    def full_batch(self) -> bool:
        """Whether one batch holds all rows."""

    @property
    def batches(self) -> int | None:
        """That one epoch has, where it is known before."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of that epoch, (inputs, target) each."""


class TensorFeed:
    """Rows in memory: `inputs` are a tensor (n, ...), a tuple or a dict of them; `target` (n, ...).

    Without `batch_size` the rows are one batch. Else they are shuffled by (seed, epoch), and the last batch is shorter
    where they do not divide. Batches go to `device` where the rows are elsewhere; one of all rows goes once and stays.
    """

    def __init__(
        self, inputs: Any, target: Any, batch_size: int | None = None, seed: int = 0, *,
        device: torch.device | None = None,
    ) -> None:  # fmt: skip
        self.inputs, self.target, self.batch_size, self.seed = inputs, target, batch_size, seed
        self.rows = rows_in(inputs)
        self.device = device if device and any(t.device != device for t in tensors_in((inputs, target))) else None

    @property
    def full_batch(self) -> bool:
        """Whether one epoch is one step on all rows."""
        return self.batch_size is None or self.batch_size >= self.rows

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return 1 if self.batch_size is None else -(-self.rows // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of that epoch."""
        if self.full_batch:
            yield self.whole()
            return
        order, size = epoch_order(self.rows, seed=self.seed, epoch=number), self.batch_size or self.rows
        for rows in order.split(size):  # type: ignore[no-untyped-call]
            yield self._placed((_taken(self.inputs, rows), _taken(self.target, rows)))

    def whole(self) -> Batch:
        """All rows in the order they have."""
        return self._resident if self.full_batch else self._placed((self.inputs, self.target))

    def part(self, rows: Tensor) -> TensorFeed:
        """The same of some of the rows."""
        inputs, target = _taken(self.inputs, rows), _taken(self.target, rows)
        return TensorFeed(inputs, target, self.batch_size, self.seed, device=self.device)

    @cached_property
    def _resident(self) -> Batch:
        return self._placed((self.inputs, self.target))

    def _placed(self, batch: Batch) -> Batch:
        return batch if self.device is None else moved(batch, self.device)


class BatchFeed:
    """Batches of a DataLoader or of any iterable, taken from it once for each epoch, in its own order.

    `split` turns a batch into (inputs, target); None leaves it whole, for a step function.
    """

    def __init__(
        self, source: Iterable[Any], split: Splitter | None, *, device: torch.device, held_out: bool = False
    ) -> None:
        self.source, self.rows, self._held_out = source, 0, held_out
        self._split, self._device = split, device

    @property
    def full_batch(self) -> bool:
        """Never known to be one batch."""
        return False

    @property
    def batches(self) -> int | None:
        """What the iterable says of its length; None where it has none."""
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None

    @property
    def one_shot(self) -> bool:
        """Whether it can be read once only."""
        return isinstance(self.source, Iterator)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of that epoch."""
        count = rows = 0
        for batch in self.source:
            count += 1
            try:
                inputs, target = (batch, None) if self._split is None else self._split(batch)
            except UsageError as error:
                raise UsageError(f"{self._place(count, number)}: {error.message}") from None
            got = rows_in(inputs)
            if not got and next(tensors_in(inputs), None) is not None:
                raise DataError(f"{self._place(count, number)} has no rows: leave it out")
            rows += got
            yield moved((inputs, target), self._device)
        self._check_end(number, count)
        self.rows = rows

    def _place(self, count: int, number: int) -> str:
        return f"batch {count} of {'the validation rows' if self._held_out else f'epoch {number}'}"

    def _check_end(self, number: int, count: int) -> None:
        said = self.batches
        if not count and self._held_out:
            raise DataError("valid gave no batch: give an iterable of at least one that begins anew, as a list")
        if not count:
            raise DataError(
                f"the data gave no batch in epoch {number}: "
                + ("give at least one" if number == 1 or said == 0 else "give an iterable that begins anew, as a list")
            )
        if said is not None and count < said and not isinstance(self.source, torch.utils.data.DataLoader):
            raise DataError(
                f"the data ended after {self._place(count, number)}, and its length is {said}: find out what ended it, "
                "or correct its __len__"
            )


class Splitter:
    """From a batch to what the model is given and the target, by the shape of the batch.

    `(x, y)`: x is given to the model, `(x1, x2, y)`: it is called with x1 and x2. The first of two may itself be a
    tuple or a dict: `((x1, x2), y)`, `({"a": x1, "b": x2}, y)`. Of a dict, the entries that `forward` names are given
    to it by name, and the one that is left over is the target.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = getattr(module, "_orig_mod", module)

    def __call__(self, batch: Any) -> Batch:
        """Inputs and target."""
        if isinstance(batch, Mapping):
            return self._by_name(batch)
        if isinstance(batch, (tuple, list)) and len(batch) >= 2:
            inputs = batch[0] if len(batch) == 2 else tuple(batch[:-1])
            return (tuple(inputs) if isinstance(inputs, list) else inputs), batch[-1]
        got = f"shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
        raise UsageError(
            f"a batch of {got} has no target: give pairs (x, y), or train with a step function of your own, step=..."
        )

    @cached_property
    def _taken(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self._module.forward).parameters

    def _by_name(self, batch: Mapping[str, Any]) -> Batch:
        taken = self._taken
        inputs = {name: value for name, value in batch.items() if name in taken}
        left = [name for name in batch if name not in taken]
        if len(left) == 1 and inputs:
            return inputs, batch[left[0]]
        names, kind = ", ".join(shown(name) for name in batch), type(self._module).__name__
        why = f"{len(left)} of them are" if left else "none of them is"
        raise UsageError(
            f"a batch with {names}: {kind}.forward takes {', '.join(taken) or 'nothing'}, and {why} left to be the "
            "target: leave one over, or train with a step function of your own, step=..."
        )


def predicted(module: nn.Module, inputs: Any) -> Any:
    """What the module makes of the inputs: of a tuple by position, of a dict by name."""
    if isinstance(inputs, tuple):
        return module(*inputs)
    if isinstance(inputs, dict):
        return module(**inputs)
    return module(inputs)


def rows_in(value: Any) -> int:
    """The number of rows of the first tensor in it."""
    if isinstance(value, Tensor):
        return len(value) if value.ndim else 1
    first = next(tensors_in(value), None)
    return 0 if first is None else rows_in(first)


def device_of(module: nn.Module) -> torch.device:
    """Where its parameters are."""
    first: Tensor | None = next(module.parameters(), None)
    first = next(module.buffers(), None) if first is None else first
    return torch.device("cpu") if first is None else first.device


def moved(value: Any, device: torch.device) -> Any:
    """The same structure with its tensors on that device."""
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if hasattr(value, "_fields") and not hasattr(value, "to"):  # a named tuple, and no packed sequence
        return type(value)(*(moved(part, device) for part in value))
    if (isinstance(value, tuple) and type(value) is tuple) or isinstance(value, list):
        return type(value)(moved(part, device) for part in value)
    if isinstance(value, Mapping):
        return {name: moved(part, device) for name, part in value.items()}
    return value.to(device) if hasattr(value, "to") else value


def _taken(value: Any, rows: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {name: _taken(part, rows) for name, part in value.items()}
    return tuple(_taken(part, rows) for part in value) if isinstance(value, tuple) else value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors of a structure, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
