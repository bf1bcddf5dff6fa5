"""The classic mistakes of a training loop, found where they can first be seen and refused in one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError, shown
from ...records import Warning
from .loss_kinds import FUNCTIONS, Kind
from .optimizer_checks import listed

__all__ = [
    "DETACHED", "broadcast", "check_activation", "check_call", "check_classes", "check_input", "check_loss_value",
    "check_prediction", "loss_name", "reached_by_gradients", "unreached",
]  # fmt: skip

Tell = Callable[[Warning], None]
VIEWS = (
    "View", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Permute", "TBackward", "ToCopy", "Alias", "Clone",
    "Slice", "Select", "Unbind", "Split",
)  # fmt: skip
DETACHED = (
    "no trainable parameter has a part in the loss: leave out detach(), item() and numpy() on the way to it, "
    "or set requires_grad_(True) on some"
)


def loss_name(loss: object) -> str:
    """By which messages call it."""
    return Kind.of(loss).name


def check_input(module: nn.Module, x: object) -> None:
    """Refuse rows that the first matrix product would refuse without saying what to do."""
    module = getattr(module, "_orig_mod", module)
    first = next(module.parameters(), None)
    if not isinstance(x, Tensor) or first is None or isinstance(first, nn.UninitializedParameter):
        return
    linear = module if isinstance(module, nn.Linear) else None
    if linear and not x.is_floating_point():
        raise UsageError(
            f"x is {str(x.dtype).removeprefix('torch.')} and the model needs floats: convert it with x.float()"
        )
    if not x.is_floating_point():
        return
    if first.is_floating_point() and first.dtype != x.dtype:
        want, got = str(first.dtype).removeprefix("torch."), str(x.dtype).removeprefix("torch.")
        raise UsageError(f"x is {got} and the model is {want}: convert x and y with .to(torch.{want})")
    if linear and x.shape[-1] != linear.in_features:
        features, shape = linear.in_features, tuple(x.shape)
        remedy = (
            "reshape it to a column with x.reshape(-1, 1)"
            if (x.ndim, features) == (1, 1)
            else (f"give it {features} columns, or build the model with nn.Linear({shape[-1]}, ...)")
        )
        raise UsageError(f"x has shape {shape} and the model takes {features} features in its last dimension: {remedy}")


def check_call(module: nn.Module, inputs: object) -> None:
    """Refuse inputs that `forward` has no place for."""
    module = getattr(module, "_orig_mod", module)
    args, words = ((), inputs) if isinstance(inputs, dict) else (inputs if isinstance(inputs, tuple) else (inputs,), {})
    try:
        taken = inspect.signature(module.forward)
    except ValueError:  # what is not written in Python tells no signature
        return
    try:
        taken.bind(*args, **words)
    except TypeError as error:
        given = f"{', '.join(words)} by name" if words else f"{len(args)} of them"
        raise UsageError(
            f"{type(module).__name__}.forward{_parameters(taken)} cannot take its inputs, {given} ({error}): give "
            "a batch the inputs that it takes, and one target behind them"
        ) from None


def _parameters(signature: inspect.Signature) -> str:
    return f"({', '.join(signature.parameters)})"


def check_prediction(loss: Any, prediction: object, target: object) -> None:
    """Refuse a prediction (n, 1) against a target (n,), which the loss would broadcast to (n, n); classes that the
    prediction has no score for; and a softmax or sigmoid that the loss applies once more, or misses.
    """
    kind = Kind.of(loss)
    if kind.base in FUNCTIONS.values():
        _check_tensors(kind.name, prediction, target)
    if not isinstance(prediction, Tensor) or not isinstance(target, Tensor) or not prediction.ndim:
        return
    check_activation(kind, prediction)
    check_classes(kind, prediction, target)
    got, want = tuple(prediction.shape), tuple(target.shape)
    if got == want or not kind.elementwise:
        return
    raise UsageError(broadcast(kind.name, got, want))


def _check_tensors(loss: str, prediction: object, target: object) -> None:
    """Losses of torch compare tensors."""
    if not isinstance(prediction, Tensor):
        raise UsageError(
            f"the model gives a {type(prediction).__name__} and {loss} takes a tensor: give a loss of your own that "
            "picks it out, as in loss=lambda out, y: torch.nn.functional.mse_loss(out[0], y)"
        )
    if not isinstance(target, Tensor):
        raise UsageError(f"the target is a {type(target).__name__} and {loss} takes a tensor: give one number a row")


def broadcast(loss: str, got: tuple[int, ...], want: tuple[int, ...]) -> str:
    """That this loss would compare each row with all others."""
    return (
        f"the model predicts shape {got} but the target has shape {want}, which {loss} would "
        f"broadcast to other pairs of rows: {_reshape_remedy(got, want)}"
    )


def check_activation(kind: Kind, prediction: Tensor) -> None:
    """Refuse what the loss applies itself, and scores where it takes probabilities."""
    name, last = kind.name, _last_operation(prediction)
    if kind.base == "CrossEntropyLoss" and (last.startswith("SoftmaxBackward") or _sums_to_one(prediction)):
        raise UsageError(
            f"the model ends in a softmax and {name} applies one itself, so the classes could never be told apart "
            "with confidence: give the loss the scores, without the softmax"
        )
    if kind.base == "BCEWithLogitsLoss" and last.startswith("SigmoidBackward"):
        raise UsageError(
            f"the model ends in a sigmoid and {name} applies one itself, so no probability could leave 0.5 to 0.73: "
            "give the loss the scores, without the sigmoid, or use BCELoss"
        )
    values = prediction.detach()
    if kind.base == "BCELoss" and bool(((values < 0) | (values > 1)).any()):
        worst = values[(values < 0) | (values > 1)][0].item()
        raise UsageError(
            f"{name} needs probabilities and the model predicts {worst:.4g}: use BCEWithLogitsLoss, which takes "
            "scores, or end the model in a sigmoid"
        )
    if kind.base == "NLLLoss" and bool((values > 1e-3).any()):
        raise UsageError(
            f"{name} needs logarithms of probabilities, which are at most 0, and the model predicts "
            f"{values.max().item():.4g}: use CrossEntropyLoss, which takes scores, or end the model in a LogSoftmax"
        )


def _last_operation(prediction: Tensor) -> str:
    """The operation that made the values, behind those that only change their shape."""
    node = prediction.grad_fn
    while node is not None and any(view in node.name() for view in VIEWS) and node.next_functions:
        node = node.next_functions[0][0]
    return "" if node is None else node.name()


def _sums_to_one(prediction: Tensor) -> bool:
    """Whether all rows are probabilities, as those of a compiled model that ends in a softmax."""
    if prediction.ndim < 2 or prediction.shape[1] < 2 or len(prediction) < 2:
        return False
    values = prediction.detach().float()
    sums = values.sum(1)
    return bool((values >= 0).all()) and bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-3))


def check_classes(loss: Any, prediction: object, y: Tensor) -> None:
    """Refuse a class beyond the scores of the model, by its row, and class weights of another number."""
    kind = Kind.of(loss)
    if not kind.classes or not isinstance(prediction, Tensor):
        return
    name, shape = kind.name, tuple(prediction.shape)
    if prediction.ndim < 2:
        raise UsageError(f"{name} needs scores (n, classes) and the model predicts shape {shape}")
    classes = shape[1]
    if kind.weight is not None and len(kind.weight) != classes:
        raise UsageError(
            f"{name} has {len(kind.weight)} weights and the model predicts {classes} classes: give one for each"
        )
    if y.is_floating_point():
        if y.shape[1:] != prediction.shape[1:]:
            raise UsageError(
                f"{name} with floats as target needs a probability for each class, and the model predicts shape "
                f"{shape} but y has {tuple(y.shape)}: give one shape, or class numbers with y.long()"
            )
        return
    wanted = (len(prediction), *shape[2:])
    if tuple(y.shape) != wanted and len(y) == len(prediction):
        raise UsageError(
            f"{name} needs one class number for each of the scores {shape} and y has shape "
            f"{tuple(y.shape)}, not {wanted}: {_class_remedy(prediction, y)}"
        )
    _check_numbers(kind, classes, y)


def _check_numbers(kind: Kind, classes: int, y: Tensor) -> None:
    beyond = (y >= classes) & (y != kind.ignore_index)
    if bool(beyond.any()):
        place = torch.nonzero(beyond)[0].tolist()
        raise UsageError(
            f"row {place[0]} of y is class {int(y[tuple(place)])} and the model predicts {classes} classes, "
            f"0 to {classes - 1}: number the classes from 0, or give the model {int(y[beyond].max()) + 1} outputs"
        )
    if classes == 1 and kind.base == "CrossEntropyLoss":
        raise UsageError(
            f"{kind.name} chooses between classes and the model has one output, so the loss is always 0: give "
            "it an output for each class, or use BCEWithLogitsLoss with targets 0.0 and 1.0"
        )


def _class_remedy(prediction: Tensor, y: Tensor) -> str:
    if y.shape == prediction.shape:
        return "use y.argmax(1), or y.float() where they are probabilities"
    if y.ndim == 2 and y.shape[1] == 1 and prediction.ndim == 2:
        return "use y.reshape(-1)"
    if prediction.ndim == 3 and tuple(y.shape) == tuple(prediction.shape[:2]):
        return "the classes come second, so use prediction.transpose(1, 2)"
    return "make them fit"


def _reshape_remedy(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    if len(prediction) == len(target) + 1 and prediction[-1] == 1:
        return "reshape the target to a column with y.reshape(-1, 1)"
    if len(target) == len(prediction) + 1 and target[-1] == 1:
        return "reshape the target to a row of numbers with y.reshape(-1)"
    return f"make the model's output and the target one shape, for example y.reshape({shown(prediction, quote=False)})"


def check_loss_value(loss: object) -> None:
    """Refuse what `backward` cannot start from: a loss that is not one number, or on which no parameter has a say."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(f"the loss gives {got}, not one number as a tensor: return its mean or its sum")
    if loss.is_complex():
        raise UsageError("the loss is a complex number, and only a real one can fall: return loss.abs() or loss.real")
    if not loss.requires_grad:
        raise UsageError(DETACHED)


def reached_by_gradients(module: nn.Module, tell: Tell) -> None:
    """After the first backward: tell of trainable parameters that no gradient reached, and refuse if it is none."""
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    missed = [name for name, p in trainable.items() if p.grad is None]
    if missed and len(missed) == len(trainable):
        raise UsageError(DETACHED)
    if missed:
        tell(unreached(missed))


def unreached(names: list[str]) -> Warning:
    """That these parameters have no gradient."""
    return Warning("SL-NOGRAD", f"the loss does not depend on {listed(names, 'parameter')}, so no step trains "
                   "them: use them in forward, or take detach() and no_grad() out of the way to them")  # fmt: skip
