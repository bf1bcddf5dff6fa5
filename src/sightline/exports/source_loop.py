"""The training loop of a script: batches, steps, what goes around them, the schedule, and what is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .python_text import called, literal

__all__ = ["Around", "loop"]

LINES = 20  # at most about so many are printed
EACH_STEP = ("OneCycleLR", "CyclicLR")


@dataclass(frozen=True)
class Around:
    """The loop and what goes around its steps.

    `schedule` is a class of `torch.optim.lr_scheduler`. `momentum` tells whether the optimizer keeps a buffer, which
    the soft threshold of `l1` sets anew. `closure` tells that the optimizer measures the loss itself. `last_loss` is
    what the run ended with, for the number of digits to print.
    """

    epochs: int
    lr: float
    last_loss: float = 1.0
    batch_size: int | None = None
    seed: int = 0
    accumulate: int = 1
    closure: bool = False
    clip_norm: float | None = None
    clip_value: float | None = None
    l1: float = 0.0
    momentum: bool = False
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    warmup: int = 0

    @property
    def where(self) -> str:
        """What picks the rows of a step."""
        return "" if self.batch_size is None else "[batch]"

    @property
    def by_step(self) -> bool:
        """Whether the schedule moves after each step."""
        return self.schedule in EACH_STEP

    @property
    def plateau(self) -> bool:
        """Whether the schedule looks at the loss."""
        return self.schedule == "ReduceLROnPlateau"

    @property
    def scheduled(self) -> bool:
        """Whether the rate moves."""
        return self.schedule is not None or self.warmup > 0

    def schedule_lines(self) -> list[str]:
        """The lines that build the schedule, in the order in which the run built it."""
        module, options = "torch.optim.lr_scheduler", [f"{k}={literal(v)}" for k, v in self.schedule_options.items()]
        if not self.scheduled:
            return []
        name = "warmup" if self.schedule else "scheduler"
        factor = f"start_factor={literal(1.0 / (self.warmup + 1))}"
        rise = [factor, f"total_iters={self.warmup}"]
        lines = called(f"{name} = {module}.LinearLR", ["optimizer", *rise]) if self.warmup else []
        if self.schedule is None:
            return lines
        lines += called(f"scheduler = {module}.{self.schedule}", ["optimizer", *options])
        if self.warmup and not self.plateau:
            both = ["optimizer", "[warmup, scheduler]", f"milestones=[{self.warmup}]"]
            lines += called(f"scheduler = {module}.SequentialLR", both)
        return lines


def loop(a: Around, loss: str, shape: Sequence[int]) -> list[str]:
    """The lines of the loop; `loss` is the expression that gives it, `shape` that of the outputs of all rows."""
    n, k = shape
    forward = [f"outputs = model(x{a.where})  # ({a.batch_size or n}, {k})", f"loss = {loss}"]
    body = _one_batch(a, forward) if a.batch_size is None else _batches(a, forward)
    lines = [f"for epoch in range(1, {a.epochs + 1}):", *_in([*body, *_end_of_epoch(a), *_print(a)])]
    if not a.closure:
        return lines
    evaluated = ["optimizer.zero_grad()", *forward, "loss.backward()", "return loss"]
    return ["def closure():", *_in(evaluated), "", "", *lines]


def _in(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _one_batch(a: Around, forward: Sequence[str]) -> list[str]:
    if a.closure:
        return ["loss = optimizer.step(closure)  # the loss before the step", *_after_step(a)]
    return [*forward, "optimizer.zero_grad()", "loss.backward()", *_step(a)]


def _batches(a: Around, forward: Sequence[str]) -> list[str]:
    order = "torch.randperm(len(x), generator=generator)"
    start = [f"generator = torch.Generator().manual_seed({_seed(a)})", "running = 0.0  # mean loss of the epoch"]
    running = "running += loss.item() * (len(batch) / len(x))"
    if a.accumulate > 1:
        share = "(loss * (len(batch) / len(step))).backward()"
        inner = ["optimizer.zero_grad()", f"for batch in step.split({a.batch_size}):"]
        inner += [*_in([*forward, share, running]), *_step(a)]
        return [*start, f"for step in {order}.split({a.accumulate} * {a.batch_size}):", *_in(inner)]
    return [*start, f"for batch in {order}.split({a.batch_size}):", *_in([*_one_batch(a, forward), running])]


def _seed(a: Around) -> str:
    """The seed of an epoch's order, seed * 1_000_003 + epoch modulo 2**32, as short as it can be told."""
    first = a.seed * 1_000_003
    if first + a.epochs < 2**32:
        return f"{first} + epoch" if first else "epoch"
    return f"({first} + epoch) % 2**32"


def _step(a: Around) -> list[str]:
    clip = []
    if a.clip_norm is not None:
        clip.append(f"nn.utils.clip_grad_norm_(model.parameters(), {literal(a.clip_norm)})")
    if a.clip_value is not None:
        clip.append(f"nn.utils.clip_grad_value_(model.parameters(), {literal(a.clip_value)})")
    before = ["before = model.weight.detach().clone()"] if a.l1 and a.momentum else []
    return [*clip, *before, "optimizer.step()", *_after_step(a)]


def _after_step(a: Around) -> list[str]:
    return [*(_threshold(a) if a.l1 else []), *(["scheduler.step()"] if a.by_step else [])]


def _threshold(a: Around) -> list[str]:
    """The proximal step of the penalty Σ|w|, and momentum from the step that was really taken."""
    lr = 'optimizer.param_groups[0]["lr"]' if a.scheduled else literal(a.lr)
    lines = [f"lr = {lr}", "with torch.no_grad():  # the proximal step of l1, a soft threshold"]
    lines.append(f"    shrunk = (model.weight.abs() - lr * {literal(a.l1)}).clamp(min=0.0)")
    lines.append("    model.weight.copy_(model.weight.sign() * shrunk)")
    if a.momentum:
        lines.append('buffer = optimizer.state[model.weight]["momentum_buffer"]')
        moved = "buffer.copy_((before - model.weight.detach()) / lr)  # the step really taken"
        lines += ["if lr:", f"    {moved}"] if a.scheduled else [moved]
    return lines


def _end_of_epoch(a: Around) -> list[str]:
    if not a.scheduled or a.by_step:
        return []
    if not a.plateau:
        return ["scheduler.step()"]
    step = f"scheduler.step({_loss(a)})"
    if not a.warmup:
        return [step]
    return [f"if epoch <= {a.warmup}:", "    warmup.step()", "else:", f"    {step}"]


def _loss(a: Around) -> str:
    return "loss.item()" if a.batch_size is None else "running"


def _print(a: Around) -> list[str]:
    form = ".4f" if abs(a.last_loss) >= 0.01 else ".4e"
    line = f'print(f"Epoch: {{epoch}}, train loss: {{{_loss(a)}:{form}}}")'
    if a.epochs <= LINES:
        return [line]
    every = next(step * 10**k for k in range(20) for step in (1, 2, 5) if a.epochs <= step * 10**k * LINES)
    return [f"if epoch % {every} == 0 or epoch == {a.epochs}:", f"    {line}"]
