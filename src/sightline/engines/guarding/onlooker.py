"""Looks at the losses of torch that are called in the user's own code, where they are called."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...errors import UsageError
from .checks import broadcast, check_activation
from .loss_kinds import FUNCTIONS, Kind, check_target

__all__ = ["Onlooker", "column_and_row"]

Shape = tuple[int, ...]


class Onlooker(TorchFunctionMode):
    """While it is entered, a softmax before `cross_entropy`, a sigmoid before `binary_cross_entropy_with_logits`,
    targets of the wrong kind, and a prediction (n, 1) against a target (n,) are refused.

    `pair` is the sentence for two tensors (n, 1) and (n,) that meet in anything else; without it they may.
    """

    def __init__(self, pair: str = "") -> None:
        super().__init__()
        self._pair = pair

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look, then do what was asked for."""
        given = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in FUNCTIONS:
            self._loss(name, args, given)
        elif self._pair and len(args) > 1 and column_and_row(args[0], args[1]):
            raise UsageError(self._pair)
        return func(*args, **given)

    def _loss(self, name: str, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        pair = [*args[:2], *(given[key] for key in ("input", "target") if key in given)][:2]
        if not all(isinstance(part, Tensor) for part in pair):
            return
        prediction, target = pair
        kind = Kind(FUNCTIONS[name], name)
        if kind.elementwise and column_and_row(prediction, target):
            raise UsageError(self._pair or broadcast(name, tuple(prediction.shape), tuple(target.shape)))
        try:
            check_activation(kind, prediction)
            if kind.two_classes or (kind.classes and target.ndim == 1 and target.is_floating_point()):
                check_target(kind, target)
        except RuntimeError:  # values that cannot be read here, as those within torch.func.vmap
            return


def column_and_row(a: Any, b: Any) -> bool:
    """Whether one is (n, 1) and the other (n,), which torch broadcasts to (n, n)."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or {a.ndim, b.ndim} != {1, 2}:
        return False
    return len(a) > 1 and {tuple(a.shape), tuple(b.shape)} == {(len(a),), (len(a), 1)}
