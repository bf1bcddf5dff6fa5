"""The classic mistakes of a training loop, found where they can first be seen and refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UsageError, shown
from ..records import Warning
from ..words import count

__all__ = [
    "check_classes", "check_input", "check_loss_value", "check_optimizer", "check_prediction", "check_target",
    "loss_name", "reached_by_gradients",
]  # fmt: skip

Tell = Callable[[Warning], None]
ELEMENTWISE = frozenset(
    {
        "MSELoss",
        "L1Loss",
        "SmoothL1Loss",
        "HuberLoss",
        "BCELoss",
        "BCEWithLogitsLoss",
        "PoissonNLLLoss",
        "SoftMarginLoss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
    }
)
FLOAT_TARGETS = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "PoissonNLLLoss"}
SOFTMAX_INSIDE = frozenset({"CrossEntropyLoss", "cross_entropy"})
SIGMOID_INSIDE = frozenset({"BCEWithLogitsLoss", "binary_cross_entropy_with_logits"})
VIEWS = ("View", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Permute", "TBackward", "ToCopy", "Alias", "Clone")


def loss_name(loss: object) -> str:
    """By which messages call it."""
    return type(loss).__name__ if isinstance(loss, nn.Module) else getattr(loss, "__name__", "the loss")


def check_optimizer(optimizer: Optimizer, module: nn.Module, others: Iterable[Any], tell: Tell) -> None:
    """Refuse an optimizer made for another model, or before the model was changed or moved; tell of parameters that it
    holds in vain, or leaves out.
    """
    named = dict(module.named_parameters())
    known = {id(p) for p in named.values()} | {
        id(p) for m in others if isinstance(m, nn.Module) for p in m.parameters()
    }
    held = [p for group in optimizer.param_groups for p in group["params"]]
    ids = {id(p) for p in held}
    left_out = [name for name, p in named.items() if p.requires_grad and p.numel() and id(p) not in ids]
    foreign = [p for p in held if id(p) not in known]
    if foreign:
        raise UsageError(_foreign(len(foreign), len(held), left_out))
    _check_state(optimizer, named)
    frozen = [name for name, p in named.items() if not p.requires_grad and id(p) in ids]
    trained = [p for p in held if p.requires_grad]
    if held and not trained:
        raise UsageError(
            "every parameter that the optimizer holds is frozen (requires_grad is False), so no step changes anything: "
            "set requires_grad_(True) on what is to be trained"
        )
    if frozen:
        tell(Warning("SL-NOGRAD", f"the optimizer holds {_listed(frozen, 'frozen parameter')}, which no step trains: "
             "build it from [p for p in model.parameters() if p.requires_grad], or unfreeze them"))  # fmt: skip
    if left_out:
        tell(Warning("SL-LEFTOUT", f"the optimizer lacks {_listed(left_out, 'trainable parameter')}, which stay as "
             "they are: build it after the model is complete, or freeze them with requires_grad_(False)"))  # fmt: skip


def _foreign(foreign: int, held: int, left_out: list[str]) -> str:
    if foreign < held and left_out:
        return (
            f"the optimizer holds {count(foreign, 'parameter')} that the model no longer has, and lacks "
            f"{_listed(left_out, 'parameter')}: it was made before the model was changed, make it afterwards"
        )
    return (
        "the optimizer holds parameters of another model, which no gradient will ever reach: "
        "build it from this model, for example torch.optim.SGD(model.parameters(), lr=...)"
    )


def _check_state(optimizer: Optimizer, named: dict[str, nn.Parameter]) -> None:
    """Momenta and moments that lie elsewhere than their parameter, or have another dtype."""
    for name, p in named.items():
        for key, value in optimizer.state.get(p, {}).items():
            if not isinstance(value, Tensor) or value.shape != p.shape or not value.is_floating_point() or not p.ndim:
                continue
            narrower = torch.finfo(value.dtype).bits < torch.finfo(p.dtype).bits
            if value.device != p.device or narrower:
                raise UsageError(_moved(name, key, value, p))


def _moved(name: str, key: str, value: Tensor, p: Tensor) -> str:
    was, now = (f"{str(t.dtype).removeprefix('torch.')} on {t.device}" for t in (value, p))
    return (
        f"the optimizer's {key} of {name} is {was} and the parameter is {now}: the model was moved or converted after "
        "the optimizer had taken steps, make a new optimizer from it"
    )


def _listed(names: list[str], what: str) -> str:
    """Their number, and the first three."""
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{count(len(names), what)} ({some})"


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


def check_prediction(loss: Any, prediction: object, target: object) -> None:
    """Refuse a prediction (n, 1) against a target (n,), which the loss would broadcast to (n, n); classes that the
    prediction has no score for; and a softmax or sigmoid that the loss applies once more.
    """
    if not isinstance(prediction, Tensor) or not isinstance(target, Tensor) or not prediction.ndim:
        return
    name = loss_name(loss)
    _check_activation(name, prediction)
    check_classes(loss, prediction, target)
    got, want = tuple(prediction.shape), tuple(target.shape)
    column_and_row = {got, want} == {(len(prediction),), (len(prediction), 1)} and target.is_floating_point()
    if got == want or not (name in ELEMENTWISE or column_and_row):
        return
    raise UsageError(
        f"the model predicts shape {got} but the target has shape {want}, which {name} would "
        f"broadcast to other pairs of rows: {_reshape_remedy(got, want)}"
    )


def _check_activation(loss: str, prediction: Tensor) -> None:
    last = _last_operation(prediction)
    if loss in SOFTMAX_INSIDE and (last.startswith("SoftmaxBackward") or _sums_to_one(prediction)):
        raise UsageError(
            f"the model ends in a softmax and {loss} applies one itself, so the classes could never be told apart "
            "with confidence: give the loss the scores, without the softmax"
        )
    if loss in SIGMOID_INSIDE and last.startswith("SigmoidBackward"):
        raise UsageError(
            f"the model ends in a sigmoid and {loss} applies one itself, so no probability could leave 0.5 to 0.73: "
            "give the loss the scores, without the sigmoid, or use BCELoss"
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
    if not isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)) or not isinstance(prediction, Tensor):
        return
    name = type(loss).__name__
    if prediction.ndim < 2:
        raise UsageError(f"{name} needs scores (n, classes) and the model predicts shape {tuple(prediction.shape)}")
    classes, weight = prediction.shape[1], getattr(loss, "weight", None)
    if weight is not None and len(weight) != classes:
        raise UsageError(
            f"{name} has {len(weight)} weights and the model predicts {classes} classes: give one for each"
        )
    if y.is_floating_point():
        if y.shape[1:] != prediction.shape[1:]:
            raise UsageError(
                f"{name} with floats as target needs a probability for each class, and the model predicts shape "
                f"{tuple(prediction.shape)} but y has {tuple(y.shape)}: give one shape, or class numbers with y.long()"
            )
        return
    wanted = (len(prediction), *prediction.shape[2:])
    if tuple(y.shape) != wanted and len(y) == len(prediction):
        raise UsageError(
            f"{name} needs one class number for each of the scores {tuple(prediction.shape)} and y has shape "
            f"{tuple(y.shape)}, not {wanted}: {_class_remedy(prediction, y)}"
        )
    if bool((y >= classes).any()):
        place = torch.nonzero(y >= classes)[0].tolist()
        raise UsageError(
            f"row {place[0]} of y is class {int(y[tuple(place)])} and the model predicts {classes} classes, "
            f"0 to {classes - 1}: number the classes from 0, or give the model {int(y.max()) + 1} outputs"
        )


def _class_remedy(prediction: Tensor, y: Tensor) -> str:
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
    if not loss.requires_grad:
        raise UsageError(
            "no trainable parameter has a part in the loss: leave out detach(), item() and numpy() on the way to it, "
            "or set requires_grad_(True) on some"
        )


def reached_by_gradients(module: nn.Module, tell: Tell) -> None:
    """After the first backward: tell of trainable parameters that no gradient reached."""
    missed = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    if missed:
        tell(Warning("SL-NOGRAD", f"the loss does not depend on {_listed(missed, 'parameter')}, so no step trains "
             "them: use them in forward, or take detach() and no_grad() out of the way to them"))  # fmt: skip


def check_target(loss: Any, y: Tensor) -> None:
    """Refuse targets of a kind that the loss cannot use."""
    if not isinstance(loss, nn.Module):
        return
    name = type(loss).__name__
    if name in FLOAT_TARGETS and not y.is_floating_point():
        raise UsageError(f"{name} needs floating-point targets and y is {y.dtype}: convert it with y.float()")
    if name in ("BCELoss", "BCEWithLogitsLoss") and not bool(((y >= 0) & (y <= 1)).all()):
        worst = y[(y < 0) | (y > 1)][0].item()
        raise UsageError(f"{name} needs targets between 0 and 1 and y holds {worst:g}: map the two classes to 0 and 1")
    if name in ("CrossEntropyLoss", "NLLLoss"):
        _check_class_numbers(name, loss, y)


def _check_class_numbers(name: str, loss: nn.Module, y: Tensor) -> None:
    if y.is_floating_point() and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)):
        raise UsageError(f"{name} needs class numbers and y is {y.dtype}: convert it with y.long().reshape(-1)")
    if not y.is_floating_point() and y.ndim == 2 and y.shape[1] == 1:
        raise UsageError(
            f"{name} needs class numbers of shape (n,) and y has shape {tuple(y.shape)}: use y.reshape(-1)"
        )
    if y.is_floating_point() or not y.numel():
        return
    if y.dtype not in (torch.int64, torch.uint8):
        raise UsageError(f"{name} needs class numbers as int64 and y is {y.dtype}: convert it with y.long()")
    y = y.long()
    ignored, weight = getattr(loss, "ignore_index", -100), getattr(loss, "weight", None)
    for wrong, why in (
        (
            (y < 0) & (y != ignored if y.ndim > 1 else True),
            "and classes are numbered from 0: number them from 0, or leave the row out",
        ),
        ((y == ignored) & (y.ndim == 1), f"which is the ignore_index, so {name} would pass over it: leave the row out"),
        (y >= (y.max() + 1 if weight is None else len(weight)), "for which the loss has no weight: give one more"),
    ):
        if bool(wrong.any()):
            place = torch.nonzero(wrong)[0].tolist()
            raise UsageError(f"row {place[0]} of y is class {int(y[tuple(place)])}, {why}")
