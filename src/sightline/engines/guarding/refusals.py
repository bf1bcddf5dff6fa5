"""What torch refuses in a forward pass or a loss, as a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...errors import UsageError
from ..feeds import predicted, rows_in
from ..random_streams import undisturbed
from .checks import DETACHED

__all__ = ["checked", "of_a_layer", "of_torch"]

SAYS = {
    "does not require grad and does not have a grad_fn": DETACHED,
    "grad can be implicitly created only for scalar outputs": (
        "backward() is called on a loss of several numbers: take its mean() or sum() first"
    ),
    "Can't call numpy() on Tensor that requires grad": (
        "numpy() is called on the way to the loss, and no gradient passes through numpy: compute it with torch"
    ),
    "expected target dtype to be Long": (
        "the loss needs class numbers and the target is of another dtype: convert it with y.long().reshape(-1)"
    ),
    "expected scalar type Long but found": (
        "the loss needs class numbers and the target is of another dtype: convert it with y.long().reshape(-1)"
    ),
    "result type Float can't be cast to the desired output type Long": (
        "the loss needs floating-point targets and the target holds whole numbers: convert it with y.float()"
    ),
    "Expected all tensors to be on the same device": (
        "the model, its loss and the rows are on different devices: give device=..., which moves the first two, or "
        "move what is elsewhere with .to(device)"
    ),
}
OF_LAYERS = (
    "must be Tensor, not",
    "cannot be multiplied",
    "same dtype",
    "expected input",
    "Given groups=",
    "must match the size of",
)


def checked(module: nn.Module, inputs: Any, *, where: str = "") -> Any:
    """What the module makes of the inputs; what torch refuses there is said as a sentence where it is known."""
    try:
        return predicted(module, inputs)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        known = of_torch(error, inputs) or of_a_layer(error, module, inputs)
        if known:
            raise UsageError(where + known) from error
        raise


def of_torch(error: Exception, inputs: Any) -> str:
    """The sentence for what torch says; empty where it is unknown."""
    said = str(error)
    if "Expected more than 1 value per channel" in said:
        return (
            f"the batch has {rows_in(inputs)} row and BatchNorm needs at least 2 to train on: choose a batch_size that "
            "leaves no single row over, or a DataLoader with drop_last=True"
        )
    return next((sentence for words, sentence in SAYS.items() if words in said), "")


def of_a_layer(error: Exception, module: nn.Module, inputs: Any) -> str:
    """Which layer refuses the shape or dtype that it is given; empty where no layer does."""
    if not any(words in str(error) for words in OF_LAYERS):
        return ""
    entered, handles = list[str](), []
    for name, layer in module.named_modules():
        if not any(True for _ in layer.children()):
            handles.append(layer.register_forward_pre_hook(_noting(name, entered)))
    try:
        with undisturbed(), torch.no_grad():
            predicted(module, inputs)
    except Exception:  # the same again
        return entered[-1] if entered else ""
    finally:
        for handle in handles:
            handle.remove()
    return ""


def _noting(name: str, entered: list[str]) -> Callable[..., None]:
    def hook(layer: nn.Module, given: tuple[Any, ...]) -> None:
        x = given[0] if given else None
        got = f"shape {tuple(x.shape)} and {x.dtype}" if isinstance(x, torch.Tensor) else type(x).__name__
        where = f"layer {name}, {layer}," if name else f"the model, {layer},"
        entered.append(f"{where} is given {got}, which it cannot take: make the sizes and dtypes of x and layer fit")

    return hook
