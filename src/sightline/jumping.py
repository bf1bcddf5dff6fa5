"""To any epoch of full-batch training at once."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from .engines.choose import BEYOND, quadratic_form, why_not_quadratic
from .engines.devices import arrays
from .engines.kernels.obstacles import HOOKS
from .engines.quadratic import Quadratic
from .errors import UsageError
from .guards import check_whole
from .linear.trajectory import Descent, Trajectory
from .loop_settings import LoopOptions
from .records import Epoch, Stop
from .training import Training

__all__ = ["jump"]

Array = np.ndarray[Any, Any]


def jump(
    model: nn.Module, data: Any, *, loss: nn.Module | None = None, optimizer: torch.optim.Optimizer, epochs: int
) -> Epoch:
    """Go to the record that `train` would end with after so many full-batch epochs, in real arithmetic and at once.

    With the eigenvalues λ of the Hessian each direction of SGD is on its own: without momentum its distance from the
    optimum is (1 - lr λ)ᵗ of what it was after t epochs; with momentum, Nesterov's, dampening and weight decay it is a
    sum of two powers. The model's parameters and the optimizer's momentum are updated in place, rounded once to their
    dtype. What a loop's own rounding does on the way is left out: a float32 loop may have frozen long before.

    Raises UsageError for what has no closed form (another model, loss or optimizer); train it with `train`.

    Goh 2017, Why Momentum Really Works; https://distill.pub/2017/momentum.

    >>> model = torch.nn.Linear(1, 1)
    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> record = jump(model, (x, y), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=1_000_000)
    >>> record.number, round(model.weight.item(), 5), round(model.bias.item(), 5)
    (1000000, 2.0, 1.0)
    """
    began = perf_counter()
    check_whole("epochs", epochs, at_least=0)
    engine = _engine(model, data, loss, optimizer)
    path = Trajectory.of(engine.form, _theta(engine.module), *_descent(engine))
    before = path.at(epochs - 1)[0] if epochs else None
    running = None if before is None else engine.form.value(*_apart(engine.module, before))
    theta, momentum = path.at(epochs)
    if epochs:
        _write(engine, theta, momentum)
    seen = engine.measure(loss=True)
    finite = bool(np.isfinite(theta).all()) and not seen.fault
    stop = Stop("epochs", f"all {epochs:,} epochs were run") if finite else Stop("diverged", _diverged(path, epochs))
    return Epoch(
        epochs, running, seen.train_loss, None, seen.gradient_norm, seen.lr, engine.rows * epochs,
        perf_counter() - began, seen.parameters, stop,
    )  # fmt: skip


def _engine(model: nn.Module, data: Any, loss: Any, optimizer: torch.optim.Optimizer) -> Quadratic:
    """The engine on moments, for a model, loss and optimizer with a closed form."""
    options = LoopOptions(loss=loss, optimizer=optimizer, epochs=0, engine="autograd")
    problem = Training.of(model, data, options).problem
    if obstacle := _why_not_closed(optimizer) or why_not_quadratic(problem):
        raise UsageError(f"this has no closed form: {obstacle}; use train")
    form = quadratic_form(problem)
    if form is None:
        raise UsageError(f"this has no closed form: {BEYOND}; use train")
    return Quadratic(problem, form)


def _why_not_closed(optimizer: torch.optim.Optimizer) -> str:
    """What stands against the closed form of its steps, as a clause; empty where nothing does."""
    if type(optimizer) is not torch.optim.SGD:
        return f"its steps are known for SGD, not {type(optimizer).__name__}"
    if any(getattr(optimizer, name, None) for name in HOOKS):
        return "hooks look at the optimizer's steps"
    first = optimizer.param_groups[0]
    for name in ("lr", "momentum", "dampening", "nesterov", "maximize"):
        if any(group[name] != first[name] for group in optimizer.param_groups):
            return f"the groups of the optimizer have their own {name}"
    return "the optimizer maximizes, and a squared error has no maximum" if first["maximize"] else ""


def _theta(module: nn.Linear) -> Array:
    """Weights and bias `(q, k)` in float64."""
    weight, *bias = (a.astype(np.float64) for a in arrays([p for p in (module.weight, module.bias) if p is not None]))
    return np.vstack([weight.T, *bias])


def _apart(module: nn.Linear, theta: Array) -> tuple[Array, Array | None]:
    p = module.in_features
    return theta[:p].T, None if module.bias is None else theta[p]


def _parts(module: nn.Linear, values: Array) -> list[tuple[Any, Array]]:
    """Each parameter with its own of `values (q, k)`."""
    weight, bias = _apart(module, values)
    return [(module.weight, weight), *([] if bias is None else [(module.bias, bias)])]


def _descent(engine: Quadratic) -> tuple[Descent, Array | None]:
    """The options of the optimizer, and the momentum that it has."""
    module, optimizer = engine.module, engine.optimizer
    first = optimizer.param_groups[0]
    decay = {id(p): float(g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    of_each = np.full(module.in_features, decay[id(module.weight)])
    if module.bias is not None:
        of_each = np.append(of_each, decay[id(module.bias)])
    how = Descent(
        float(first["lr"]), float(first["momentum"]), float(first["dampening"]), bool(first["nesterov"]), of_each
    )
    held = [optimizer.state.get(p, {}).get("momentum_buffer") for p in module.parameters()]
    if any(b is None for b in held):
        return how, None
    weight, *bias = (a.astype(np.float64) for a in arrays([b for b in held if b is not None]))
    return how, np.vstack([weight.T, *bias])


def _write(engine: Quadratic, theta: Array, momentum: Array | None) -> None:
    """Into the parameters, and into the optimizer's state as torch keeps it."""
    with torch.no_grad(), np.errstate(over="ignore"):
        for parameter, values in _parts(engine.module, theta):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
        for parameter, values in [] if momentum is None else _parts(engine.module, momentum):
            held = torch.from_numpy(np.ascontiguousarray(values)).to(parameter.device, parameter.dtype)
            engine.optimizer.state[parameter]["momentum_buffer"] = held


def _diverged(path: Trajectory, epochs: int) -> str:
    return (
        f"the learning rate {path.how.lr:g} is too large for the largest curvature {path.values.max(initial=0.0):.6g}: "
        f"after {epochs:,} epochs the numbers are beyond the dtype"
    )
