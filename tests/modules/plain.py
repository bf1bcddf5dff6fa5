"""The plain PyTorch loop around any module, as one writes it by hand: the reference of these tests."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from itertools import islice
from types import SimpleNamespace

import torch
from torch import nn
from torch.utils.data import DataLoader

from sightline.data.split import held_out

EACH_STEP = (torch.optim.lr_scheduler.OneCycleLR, torch.optim.lr_scheduler.CyclicLR)


def sampler_order(rows, seed, epoch):
    """What torch's own sampler draws from the generator of that epoch."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**32)
    return torch.tensor(list(torch.utils.data.RandomSampler(range(rows), generator=generator)))


def taken(value, rows):
    if isinstance(value, dict):
        return {name: part[rows] for name, part in value.items()}
    return tuple(part[rows] for part in value) if isinstance(value, tuple) else value[rows]


def cut(x, y, size, seed, epoch):
    """Rows in memory as the batches of that epoch."""
    order = sampler_order(len(y), seed, epoch)
    return [(taken(x, rows), y[rows]) for rows in order.split(size)]


def apart(batch, target="y"):
    """Arguments of the model, by position and by name, and the target."""
    if isinstance(batch, dict):
        return (), {k: v for k, v in batch.items() if k != target}, batch[target]
    *inputs, y = batch
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
        inputs = inputs[0]
    if len(inputs) == 1 and isinstance(inputs[0], dict):
        return (), inputs[0], y
    return tuple(inputs), {}, y


def loss_at_rest(model, loss, batches, casting):
    """Of all these batches, in evaluation mode."""
    model.eval()
    total = rows = 0.0
    with torch.no_grad(), torch.random.fork_rng():  # a DataLoader draws from the global stream, even in order
        for batch in batches:
            inputs, named, y = apart(batch)
            with casting():
                value = loss(model(*inputs, **named), y).item()
            total, rows = total + value * len(y), rows + len(y)
    model.train()
    return value if rows == len(y) else total / rows


def plain_train(
    model, data, *, optimizer, epochs, loss=None, batch_size=None, seed=0, valid=None, patience=None, schedule=None,
    step=None, accumulate=1, clip_norm=None, autocast=None, target="y",
):  # fmt: skip
    """Train, and yield number, running loss, validation loss and rate of each epoch, the first one before any step."""
    casting = nullcontext if autocast is None else lambda: torch.autocast("cpu", dtype=autocast)
    scaler = torch.amp.GradScaler("cpu", enabled=autocast is torch.float16)
    if isinstance(valid, float):
        held = torch.from_numpy(held_out(len(data[1]), valid, seed=seed, name="valid"))
        data, valid = (data[0][~held], data[1][~held]), [(data[0][held], data[1][held])]
    best, best_at, best_state, rate = float("inf"), 0, None, optimizer.param_groups[0]["lr"]
    running = stop = None
    for epoch in range(epochs + 1):
        if epoch:
            model.train()
            total = rows = 0.0
            batches = iter(data if batch_size is None else cut(*data, batch_size, seed, epoch))
            while group := list(islice(batches, accumulate)):
                rate = optimizer.param_groups[0]["lr"]
                if step is not None:
                    value, n = step(model, group[0], optimizer).item(), len(group[0][1])
                    total, rows = total + value * n, rows + n
                else:
                    optimizer.zero_grad()
                    n = sum(len(apart(batch, target)[2]) for batch in group)
                    inside = 0.0
                    for batch in group:
                        inputs, named, y = apart(batch, target)
                        with casting():
                            value = loss(model(*inputs, **named), y)
                        scaler.scale(value if len(group) == 1 else value * (len(y) / n)).backward()
                        inside += value.item() * len(y)
                    if clip_norm is not None:
                        scaler.unscale_(optimizer)
                        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
                    scaler.step(optimizer)
                    scaler.update()
                    value = value.item() if len(group) == 1 else inside / n
                    total, rows = total + (value * n if batch_size is None else value * (n / len(data[1]))), rows + n
                if isinstance(schedule, EACH_STEP):
                    schedule.step()
            running = total if batch_size is not None and step is None else total / rows
            if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                schedule.step(running)
            elif schedule is not None and not isinstance(schedule, EACH_STEP):
                schedule.step()
        at_rest = None if valid is None else loss_at_rest(model, loss, valid, casting)
        if at_rest is not None and at_rest < best:
            best, best_at, best_state = at_rest, epoch, copy.deepcopy(model.state_dict())
        if patience is not None and epoch - best_at >= patience:
            stop = SimpleNamespace(sentence=f"since epoch {best_at}")
        yield SimpleNamespace(number=epoch, running_loss=running, valid_loss=at_rest, lr=rate, stop=stop)
        if stop:
            break
    if best_state is not None:
        model.load_state_dict(best_state)


def shuffled(rows, size, *, own=True, **options):
    """A DataLoader that shuffles, by a generator of its own or by the global one."""
    generator = torch.Generator().manual_seed(5) if own else None
    return DataLoader(rows, batch_size=size, shuffle=True, generator=generator, **options)


def same_bits(a, b):
    """Whether all parameters and buffers are equal."""
    one, other = (getattr(m, "_orig_mod", m).state_dict() for m in (a, b))
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
