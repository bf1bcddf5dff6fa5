"""Options of torch's optimizers and schedules, typed as torch's own signatures say."""

from __future__ import annotations

import inspect
import math
import numbers
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import UsageError, nearest, shown

__all__ = ["refusals_of_torch", "typed_options"]

COMPUTATION = {"foreach", "fused", "capturable", "differentiable"}
LARGEST = sys.float_info.max
BELOW_ONE = math.nextafter(1.0, 0.0)
TINY = math.nextafter(0.0, 1.0)
CHOICES = {"line_search_fn": ("strong_wolfe", "none"), "adjust_lr_fn": ("original", "match_rms_adamw", "none")}
RANGES: dict[str, tuple[float, float]] = {  # where torch itself does not look
    **dict.fromkeys(("max_iter", "max_eval", "history_size", "step_size", "T_max", "total_iters"), (1, math.inf)),
    **dict.fromkeys(("step_size_up", "step_size_down", "milestones"), (1, math.inf)),
    **dict.fromkeys(("tolerance_grad", "tolerance_change", "lambd", "t0", "patience", "cooldown"), (0, math.inf)),
    **dict.fromkeys(("gamma", "eta_min", "min_lr", "base_lr", "power", "threshold", "step_sizes"), (0, math.inf)),
    **dict.fromkeys(("max_lr", "div_factor", "final_div_factor"), (TINY, math.inf)),
    **dict.fromkeys(("base_momentum", "max_momentum", "pct_start", "alpha"), (0, BELOW_ONE)),
    "factor": (0, 1),
}


def typed_options(
    owner: str, function: Callable[..., Any], given: Mapping[str, Any], *, hidden: Collection[str] = ()
) -> dict[str, Any]:
    """The options that were given, each as `function` takes it; text becomes what torch's default or annotation is.

    `owner` begins the sentence of a refusal; `hidden` are parameters that are not the user's to give.

    >>> from torch.optim import Adam
    >>> typed_options("optimizer Adam", Adam, {"betas": "0.9,0.95", "amsgrad": "true"}, hidden={"params"})
    {'betas': (0.9, 0.95), 'amsgrad': True}
    """
    allowed = {k: p for k, p in inspect.signature(function).parameters.items() if k not in hidden}
    typed: dict[str, Any] = {}
    for name, value in given.items():
        if name in COMPUTATION and name in allowed:
            raise UsageError(f"{owner}: option {name} is about how torch computes, not about what: leave it out")
        if name == "maximize" and name in allowed:
            raise UsageError(f"{owner}: maximize would make the loss larger, and training makes it small: leave it out")
        if name not in allowed:
            own = [k for k in allowed if k not in {*COMPUTATION, "maximize"}]
            raise UsageError(f"{owner} takes no option {shown(name)}: {nearest(str(name), own)}")
        parameter = allowed[name]
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        typed[name] = _typed(owner, name, value, default, str(parameter.annotation))
    return typed


def _typed(owner: str, name: str, value: Any, default: Any, annotation: str) -> Any:
    def refuse(wanted: str) -> UsageError:
        return UsageError(f"{owner}: {name} cannot be {shown(value)}: give {wanted}")

    choices = CHOICES.get(name) or tuple(re.findall(r"'(\w+)'", "".join(re.findall(r"Literal\[(.*?)\]", annotation))))
    if choices and str(value).lower() not in choices:
        raise refuse(f"one of {', '.join(choices)}")
    if value is None or str(value).lower() == "none":
        if "None" in annotation:
            return None
        raise refuse("a value, or leave it out")
    if choices:
        return str(value).lower()
    if isinstance(default, bool):
        if str(value).lower() not in ("true", "false"):
            raise refuse("true or false")
        return str(value).lower() == "true"
    if isinstance(default, tuple) or "Iterable" in annotation:
        return _several(name, value, default, refuse)
    whole = "int" in annotation and "float" not in annotation
    return _number(name, value, refuse, whole=whole)


def _several(name: str, value: Any, default: Any, refuse: Callable[[str], UsageError]) -> tuple[Any, ...]:
    """As many numbers as torch's default has; whole ones where it has none."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        parts = [parts]
    if default is None:
        return tuple(_number(name, part, refuse, whole=True) for part in parts)
    if len(parts) != len(default):
        example = ",".join("none" if d is None else f"{d:g}" for d in default)
        raise refuse(f"{len(default)} numbers, such as {example}")
    return tuple(
        None if d is None and str(part).lower() == "none" else _number(name, part, refuse, whole=False)
        for part, d in zip(parts, default, strict=True)
    )


def _number(name: str, given: Any, refuse: Callable[[str], UsageError], *, whole: bool) -> float | int:
    wanted = "a whole number" if whole else "a number"
    kind = numbers.Integral if whole else numbers.Real
    value: Any = given
    if isinstance(given, str):
        try:
            value = int(given) if whole else float(given)
        except ValueError:
            raise refuse(wanted) from None
    of_kind = isinstance(value, kind) and not isinstance(value, bool)
    if not of_kind or not -LARGEST <= value <= LARGEST:
        raise refuse(wanted if whole else "a finite number")
    low, high = RANGES.get(name, (-math.inf, math.inf))
    if not low <= float(value) <= high:
        least = "above 0" if low == TINY else f"of at least {low:g}"
        most = "" if high == math.inf else " and at most 1" if high == 1 else " and below 1"
        raise refuse(f"{wanted} {least}{most}")
    return int(value) if whole else float(value)


@contextmanager
def refusals_of_torch(owner: str, options: Mapping[str, Any], source: str) -> Iterator[None]:
    """What torch itself refuses, as one sentence with the options and where to read what they may be."""
    try:
        yield
    except (ValueError, TypeError) as error:
        given = ", ".join(f"{k}={v}" for k, v in options.items()) or "its defaults"
        why = str(error).strip().rstrip(".").splitlines()[0]
        raise UsageError(
            f"{owner} refuses {shown(given, quote=False, limit=120)} ({shown(why, quote=False, limit=120)}): "
            f"give values that torch's {source} takes"
        ) from None
