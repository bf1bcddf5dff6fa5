"""Why a loss is not a finite number: the first place on the way from the rows to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...words import count
from ..feeds import predicted
from ..random_streams import undisturbed

__all__ = ["finite", "in_parameters_or_rows", "in_rows", "why_not_finite"]

MOST_ROWS = 4096  # that are tried one by one
BOUND = "keep what it computes where it is defined, as log is above 0, or lower the learning rate"


def why_not_finite(module: nn.Module, loss: Callable[[Any, Any], Any], inputs: Any, target: Any, *, new: bool) -> str:
    """A clause that names the parameter, the rows or the layer, and what to do; module and streams stay as they are.

    `new` says that no step has been taken yet.
    """
    known = in_parameters_or_rows(module, inputs, target, new=new)
    if known:
        return known
    with undisturbed(), _as_it_is(module), torch.no_grad():
        way, handles = _Way(), []
        for name, layer in module.named_modules():
            if not any(True for _ in layer.children()):
                handles.append(layer.register_forward_hook(way.hook(name)))
        try:
            prediction = predicted(module, inputs)
            fault = way.fault or way.after(prediction)
            return f"{fault}: {BOUND}" if fault else _of_the_loss(loss, prediction, target)
        except Exception as error:  # what happens here must not hide what happened
            return f"and a second forward pass ends in {type(error).__name__}"
        finally:
            for handle in handles:
                handle.remove()


def in_parameters_or_rows(module: nn.Module, inputs: Any, target: Any, *, new: bool = False) -> str:
    """A clause that names the first parameter, or the rows, that are not finite; empty where all are."""
    for name, p in module.named_parameters():
        if finite(p):
            continue
        if new:
            return f"the parameter {name} is {_kind(p)} before the first step: initialize it anew, or load others"
        return (
            f"the parameter {name} is {_kind(p)} since the step before: lower the learning rate, clip the "
            "gradients, or see torch.autograd.set_detect_anomaly(True)"
        )
    return in_rows(inputs, target)


def in_rows(inputs: Any, target: Any) -> str:
    """A clause that names the rows that are not finite; empty where all are."""
    for what, value in (("x", inputs), ("the target", target)):
        place = _place(what, value)
        if place:
            return f"{place}: leave such rows out, or correct them"
    return ""


def _of_the_loss(loss: Callable[[Any, Any], Any], prediction: Any, target: Any) -> str:
    """The rows whose own loss is not finite."""
    place = _place("the prediction", prediction)
    if place:
        return f"{place}: bound what the model gives the loss"
    rows = []
    if isinstance(prediction, Tensor) and isinstance(target, Tensor) and len(prediction) <= MOST_ROWS:
        for i in range(len(prediction)):
            if not finite(loss(prediction[i : i + 1], target[i : i + 1])):
                rows.append(i)
    of = f" of {_rows(rows)} of the batch" if rows else ""
    return (
        f"every prediction is finite, the loss{of} is not, as log(0) is not: keep what it computes where it is "
        "defined, for example log(p.clamp_min(1e-7))"
    )


def finite(value: Any) -> bool:
    """Whether it is no tensor with a number that is not finite."""
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all())


class _Way:
    """The way of the rows through the layers, up to the first value that is not finite."""

    def __init__(self) -> None:
        self.fault, self._last = "", ""

    def hook(self, name: str) -> Callable[..., None]:
        """A forward hook of the layer of that name."""

        def hook(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            here = f"layer {name} ({type(layer).__name__})" if name else f"the model ({type(layer).__name__})"
            bad = next((x for x in given if not finite(x)), None)
            if self.fault:
                return
            if bad is not None:
                between = f"between {self._last} and {here}" if self._last else f"before {here}"
                self.fault = f"forward makes {_kind(bad)} for {_rows(_bad_rows(bad))} of the batch {between}"
            elif not finite(output):
                self.fault = f"{here} gives {_kind(output)} for {_rows(_bad_rows(output))} of the batch"
            self._last = here

        return hook

    def after(self, prediction: Any) -> str:
        """What the model gives, where no layer was at fault."""
        if not self._last or finite(prediction):
            return ""
        return f"forward makes {_kind(prediction)} for {_rows(_bad_rows(prediction))} of the batch after {self._last}"


def _place(what: str, value: Any) -> str:
    """The first part that is not finite, with its rows."""
    for name, part in _parts(what, value):
        if isinstance(part, Tensor) and not finite(part):
            rows = _bad_rows(part)
            where = torch.nonzero(~torch.isfinite(part))[0].tolist()
            column = f", column {where[1]}" if len(where) == 2 else f", at {where[1:]}" if len(where) > 2 else ""
            return f"{name} is {_kind(part)} in {_rows(rows)} of the batch{column}"
    return ""


def _parts(what: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (tuple, list)):
        yield from ((f"{what}[{i}]", part) for i, part in enumerate(value))
    else:
        yield what, value


def _bad_rows(value: Tensor) -> list[int]:
    bad = ~torch.isfinite(value.detach())
    return torch.nonzero(bad.flatten(1).any(1) if bad.ndim > 1 else bad).flatten().tolist()


def _rows(rows: list[int]) -> str:
    if not rows:
        return "a row"
    some = ", ".join(str(row) for row in rows[:3])
    return f"row {some}" if len(rows) == 1 else f"{count(len(rows), 'row')} ({some}{', ...' if len(rows) > 3 else ''})"


def _kind(value: Tensor) -> str:
    return "nan" if bool(torch.isnan(value).any()) else "infinite"


@contextmanager
def _as_it_is(module: nn.Module) -> Iterator[None]:
    """Buffers, such as running statistics, come back as they were."""
    held = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in held:
                buffer.copy_(value)
