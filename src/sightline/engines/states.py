"""What every engine that steps an optimizer saves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .optimizers import load_optimizer
from .stepping import Stepper

__all__ = ["state_of", "take_up"]


def state_of(stepper: Stepper) -> dict[str, Any]:
    """Module, optimizer and what goes around its steps, as copies."""
    state = {"module": stepper.module.state_dict(), "optimizer": stepper.optimizer.state_dict()}
    return copy.deepcopy({**state, "stepping": stepper.state_dict()})


def take_up(stepper: Stepper, state: Mapping[str, Any]) -> None:
    """Put the three where `state_of` found them."""
    stepper.module.load_state_dict(state["module"])
    load_optimizer(stepper.optimizer, state["optimizer"])
    stepper.load_state_dict(state["stepping"])
