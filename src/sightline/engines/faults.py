"""Why a loss is not a finite number: the first place on the way from the rows to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..words import count
from .feeds import predicted
from .random_streams import undisturbed

__all__ = ["in_parameters_or_rows", "why_not_finite"]

MOST_ROWS = 4096  # that are tried one by one


def why_not_finite(module: nn.Module, loss: Callable[[Any, Any], Any], inputs: Any, target: Any) -> str:
    """A clause that names the parameter, the rows or the layer, and what to do; module and streams stay as they are."""
    known = in_parameters_or_rows(module, inputs, target)
    if known:
        return known
    with undisturbed(), _as_it_is(module), torch.no_grad():
        layers, handles = list[str](), []
        for name, layer in module.named_modules():
            if not any(True for _ in layer.children()):
                handles.append(layer.register_forward_hook(_reporter(name or "the model", layers)))
        try:
            prediction = predicted(module, inputs)
            if layers:
                return f"{layers[0]}: scale its input, lower the learning rate, or bound it"
            return _of_the_loss(loss, prediction, target)
        except Exception as error:  # what happens here must not hide what happened
            return f"and a second forward pass ends in {type(error).__name__}"
        finally:
            for handle in handles:
                handle.remove()


def in_parameters_or_rows(module: nn.Module, inputs: Any, target: Any) -> str:
    """A clause that names the first parameter, or the rows, that are not finite; empty where all are."""
    for name, p in module.named_parameters():
        if not _finite(p):
            return (
                f"the parameter {name} is {_kind(p)} since the step before: lower the learning rate, clip the "
                "gradients, or see torch.autograd.set_detect_anomaly(True)"
            )
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
            if not _finite(loss(prediction[i : i + 1], target[i : i + 1])):
                rows.append(i)
    of = f" of {_rows(rows)} of the batch" if rows else ""
    return f"every prediction is finite, the loss{of} is not, as log(0) is: give it values where it is defined"


def _reporter(name: str, found: list[str]) -> Callable[..., None]:
    def hook(layer: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not found and not _finite(output):
            found.append(f"layer {name} ({type(layer).__name__}) gives {_kind(output)} for {_rows(_bad_rows(output))}")

    return hook


def _place(what: str, value: Any) -> str:
    """The first part that is not finite, with its rows."""
    for name, part in _parts(what, value):
        if isinstance(part, Tensor) and not _finite(part):
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


def _finite(value: Any) -> bool:
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all())


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
