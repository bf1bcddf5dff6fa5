"""The learning rate of any module: the curvature where it stands, and a rate that rises from step to step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import LBFGS, Optimizer

from .engines.feeds import Batch, TensorFeed, device_of
from .engines.guarding.checks import check_loss_value, check_prediction
from .engines.guarding.refusals import checked
from .engines.hessian import HessianProduct, refuse_second_derivative
from .engines.lanczos import largest_eigenvalues
from .engines.optimizers import make_optimizer
from .engines.problem import Problem
from .errors import UsageError, shown
from .feeding import training_feed
from .guards import check_arguments, check_loop, check_loss, check_number, check_values, check_whole
from .local_curvature import TopCurvature
from .range_test import RangeTest
from .words import count

__all__ = ["lr_range_test", "top_curvature"]

Loss = nn.Module | Callable[[Tensor, Tensor], Tensor]
BEYOND = 4.0  # times the first loss: where a range test ends


def top_curvature(
    model: nn.Module, data: Any, *, loss: Loss, k: int = 1, tolerance: float | None = None, seed: int = 0
) -> TopCurvature:
    """The k largest eigenvalues of the Hessian of loss(model(x), y) in all trainable parameters, where they are now.

    `data` is (x, y) or other rows in memory as `train` takes them, in evaluation mode. Lanczos on Hessian-vector
    products, until ‖Hv - λv‖ <= tolerance |λ| for the largest |λ| found, by default 1.5e-8 in float64 and 3.5e-4 in
    float32 (the root of the rounding unit), from a vector drawn with `seed`. Repeated eigenvalues are listed as often
    as they are there. The result has `values` and `residuals`, the largest also as `value` (or `float(result)`) and
    `residual`, and `lr_limit` = 2 / λmax, a local limit: the rate beyond which gradient descent leaves this place,
    which `against(optimizer)` puts beside the rate in use. The model is left as it is.

    Raises UsageError for shapes that would broadcast, a k that is no whole number from 1 to the number of parameters,
    or a model without second derivatives.

    >>> x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]])
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> found = top_curvature(model, (x, y), loss=torch.nn.MSELoss())
    >>> round(found.value, 4), round(found.lr_limit, 4)
    (10.0, 0.2)
    >>> print(found.against(torch.optim.SGD(model.parameters(), lr=0.05)))
    the rate 0.05 is 0.25 of the limit 2 / λmax = 0.2
    """
    if tolerance is not None:
        check_number("tolerance", tolerance)
    problem = _problem(model, data, loss, seed=seed)
    parameters = [p for p in problem.module.parameters() if p.requires_grad]
    q = sum(p.numel() for p in parameters)
    _check_number_of_values(k, q)
    dtype = max((p.dtype for p in parameters), key=lambda d: torch.finfo(d).bits)
    goal = math.sqrt(torch.finfo(parameters[0].dtype).eps) if tolerance is None else float(tolerance)
    generator = torch.Generator().manual_seed(int(seed))
    start = torch.randn(q, generator=generator, dtype=torch.float64).to(parameters[0].device, dtype)
    inputs, target = _one_batch(problem)
    with _as_it_was(problem, seed), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        problem.module.eval()
        prediction = checked(problem.module, inputs)
        check_prediction(loss, prediction, target)
        value = loss(prediction, target)
        check_loss_value(value)
        try:
            found = largest_eigenvalues(HessianProduct(value, parameters), start, k=int(k), tolerance=goal)
        except RuntimeError as error:
            raise refuse_second_derivative(error) from None
    return TopCurvature(found.values, found.residuals, found.tolerance, found.products, found.converged)


def _one_batch(problem: Problem) -> Any:
    if isinstance(problem.feed, TensorFeed):
        return problem.feed.whole()
    raise UsageError(
        "data is an iterable of batches, and the curvature is that of the loss on given rows: give a batch, such as "
        "next(iter(loader)), or the tensors"
    )


def _check_number_of_values(k: Any, q: int) -> None:
    check_whole("k", k, at_least=1)
    if k > q:
        raise UsageError(f"k is {k} and the model has {count(q, 'trainable parameter')}: give a k of at most {q:,}")


def lr_range_test(
    model: nn.Module,
    data: Any,
    *,
    loss: Loss,
    optimizer: type[Optimizer] | Callable[[Any, float], Optimizer],
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    seed: int = 0,
) -> RangeTest:
    """One step of the optimizer at each of `steps` rates from `low` to `high` at equal ratios, and the loss before it.

    `data` and batches are as in `train`. `optimizer` is a class of torch.optim, or
    a function of parameters and rate that gives an optimizer; the rates of its groups keep their ratios. The test ends
    where the loss is not finite or above 4 times the first. Parameters, buffers, gradients and modes are given back as
    they were (Smith 2017, Cyclical learning rates for training neural networks).

    Raises UsageError for rates, steps or batches that mean nothing, with the remedy.

    >>> x = torch.linspace(-1.0, 1.0, 20)[:, None]
    >>> model = torch.nn.Linear(1, 1)
    >>> _ = [torch.nn.init.zeros_(p) for p in model.parameters()]
    >>> found = lr_range_test(model, (x, 3.0 * x + 1.0), loss=torch.nn.MSELoss(), optimizer=torch.optim.SGD)
    >>> 0.005 < found.suggestion < 1.0 < found.diverged
    True
    """
    rates = _rates(low, high, steps)
    problem = _problem(model, data, loss, seed=seed, batch_size=batch_size)
    with _as_it_was(problem, seed), torch.enable_grad():
        stepper = _made(optimizer, [p for p in model.parameters() if p.requires_grad], rates[0])
        losses = _rise(problem, stepper, rates)
    ended = len(losses) > 1 and _is_beyond(losses[-1], losses[0])
    tried = rates[: len(losses)]
    return RangeTest.of(tried, losses, len(rates), ended=ended, noisy=not problem.full_batch)


def _rise(problem: Problem, optimizer: Optimizer, rates: list[float]) -> list[float]:
    """The loss before the step at each rate, up to the first that is out of bounds."""
    problem.module.train()
    share = [float(group["lr"]) / rates[0] for group in optimizer.param_groups]
    losses: list[float] = []
    seen: Any = None
    for rate, (x, y) in zip(rates, _endless(problem), strict=False):
        for group, part in zip(optimizer.param_groups, share, strict=True):
            group["lr"] = rate * part
        prediction = checked(problem.module, x)
        shapes = getattr(prediction, "shape", None), getattr(y, "shape", None)
        if shapes != seen:
            check_prediction(problem.loss, prediction, y)
        value, seen = problem.loss(prediction, y), shapes
        check_loss_value(value)
        losses.append(float(value.item()))
        if not math.isfinite(losses[0]):
            raise UsageError(f"the loss is {losses[0]:g} before the first step: correct the start of the model")
        if _is_beyond(losses[-1], losses[0]):
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return losses


def _endless(problem: Problem) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    epoch = 0
    while True:
        epoch += 1
        yield from problem.feed.epoch(epoch)


def _is_beyond(loss: float, first: float) -> bool:
    return not loss - first <= (BEYOND - 1.0) * abs(first)


def _rates(low: Any, high: Any, steps: Any) -> list[float]:
    check_number("low", low)
    check_number("high", high)
    if not low < high:
        raise UsageError(f"low is {low:g} and high is {high:g}: give a low below the high")
    check_whole("steps", steps, at_least=2)
    return [float(low), *np.geomspace(low, high, int(steps))[1:-1].tolist(), float(high)]


def _made(optimizer: Any, parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """The optimizer at its first rate."""
    if isinstance(optimizer, Optimizer):
        name = type(optimizer).__name__
        raise UsageError(
            f"optimizer is an instance of {name}: give its class, torch.optim.{name}, or a function of parameters and "
            f"rate, such as lambda parameters, lr: torch.optim.{name}(parameters, lr=lr)"
        )
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        if "lr" not in inspect.signature(optimizer).parameters:
            raise UsageError(f"{optimizer.__name__} takes no lr: give a function of parameters and rate that makes one")
        made: Any = optimizer(parameters, lr=lr)  # type: ignore[call-arg]
    elif callable(optimizer) and not isinstance(optimizer, type):
        check_arguments("optimizer", optimizer, "(parameters, lr)", "parameters and rate")
        made = optimizer(parameters, lr)
    else:
        raise UsageError(f"optimizer is {shown(optimizer)}: give a class such as torch.optim.SGD")
    if not isinstance(made, Optimizer):
        raise UsageError(f"optimizer gives a {type(made).__name__}: return an optimizer of torch")
    if isinstance(made, LBFGS):
        raise UsageError("LBFGS searches the rate of each step itself: give another optimizer, such as torch.optim.SGD")
    return made


def _problem(model: Any, data: Any, loss: Any, *, seed: Any, batch_size: Any = None) -> Problem:
    """Model, loss and rows, checked as `train` checks them."""
    check_loss(model, loss)
    check_values(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise UsageError("the model has no trainable parameter: set requires_grad_(True) on some")
    sgd = make_optimizer("sgd", parameters, {"lr": 1.0})
    check_loop(epochs=0, start=0, batch_size=batch_size, measure=None, seed=seed, optimizer=sgd)
    size = None if batch_size is None else int(batch_size)
    module = getattr(model, "_orig_mod", model)  # what is compiled has no second derivative
    return Problem(module, loss, sgd, training_feed(data, module, loss, batch_size=size, seed=int(seed)))


@contextmanager
def _as_it_was(problem: Problem, seed: int) -> Iterator[None]:
    """Whatever happens inside, values, gradients and modes of model and loss, and torch's generators, come back."""
    parts = [m for m in (problem.module, problem.loss) if isinstance(m, nn.Module)]
    modes = [(m, m.training) for part in parts for m in part.modules()]
    values = [(t, t.detach().clone()) for part in parts for t in (*part.parameters(), *part.buffers())]
    gradients = [(p, p.grad, None if p.grad is None else p.grad.clone()) for part in parts for p in part.parameters()]
    device = device_of(problem.module)
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            for p, _, _ in gradients:
                p.grad = None
            yield
    finally:
        with torch.no_grad():
            for t, value in values:
                t.copy_(value)
            for p, gradient, kept in gradients:
                p.grad = gradient
                if gradient is not None and kept is not None:
                    gradient.copy_(kept)
        for m, mode in modes:
            m.training = mode
