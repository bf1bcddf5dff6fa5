"""What goes around a step, in which precision, of a compiled module: the plain loop, bit for bit."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sightline
from tests.modules.checked import CE, batches, by_name, check_same, net, pairs, records_of, rows, step, two
from tests.modules.plain import plain_train, same_bits, shuffled


@pytest.mark.parametrize("size", [None, 16])
def test_a_step_of_ones_own(size):
    data = rows if size else lambda: shuffled(TensorDataset(*rows()), 16)
    check_same(net, data, step=step, batch_size=size)


def test_a_step_of_ones_own_moves_the_schedule():
    check_same(
        net, batches, step=step, epochs=2,
        schedule=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=12),
    )  # fmt: skip


SCHEDULES = {
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=18),
    "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.001, 0.05, step_size_up=4, cycle_momentum=False),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=3),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "warm-up, then steps": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o, [torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=1), torch.optim.lr_scheduler.StepLR(o, 1)], [1]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    records = check_same(
        net, lambda: shuffled(TensorDataset(*rows()), 16), loss=CE, schedule=SCHEDULES[name], clip_norm=0.7
    )
    assert len({r.lr for r in records}) > 1


def groups(model):
    """No decay for norms and biases, and a rate of their own."""
    flat = [p for p in model.parameters() if p.ndim < 2]
    rest = [p for p in model.parameters() if p.ndim > 1]
    return torch.optim.AdamW([{"params": rest, "weight_decay": 0.1}, {"params": flat, "lr": 0.02}], lr=0.01)


def test_two_groups_of_parameters():
    check_same(net, batches, loss=CE, optimizer=groups, schedule=SCHEDULES["cosine"])


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("k", [2, 4])
def test_accumulation(k, clip):
    check_same(net, batches, loss=CE, accumulate=k, clip_norm=clip)
    check_same(two, pairs, loss=CE, accumulate=k, clip_norm=clip)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype, accumulate):
    records = check_same(net, batches, loss=CE, autocast=dtype, accumulate=accumulate, valid=batches)
    _, single = records_of(sightline.train, net, batches, loss=CE, accumulate=accumulate)
    assert records[1].running_loss != single[1].running_loss == pytest.approx(records[1].running_loss, rel=0.05)


def test_float16_clips_gradients_of_their_own_size():
    check_same(net, batches, loss=CE, autocast=torch.float16, clip_norm=0.5)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_modules(backend):
    def compiled(model):
        torch._dynamo.reset()
        return torch.compile(model, backend=backend)

    check_same(net, batches, loss=CE, wrap=compiled, valid=batches)
    check_same(two, by_name, loss=CE, wrap=compiled)


class Steep(nn.Module):
    """A loss whose scaled gradients overflow in float16, so that the first steps are passed over."""

    def forward(self, prediction, target):
        return 3000 * nn.functional.cross_entropy(prediction.float(), target)


def test_float16_passes_over_steps_that_overflow_and_does_not_warn_of_the_schedule():
    how = {"loss": Steep(), "autocast": torch.float16, "schedule": SCHEDULES["one cycle"]}
    ours, _ = records_of(sightline.train, net, batches, **how)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        theirs, _ = records_of(plain_train, net, batches, **how)
    assert same_bits(ours, theirs)
