"""Schedules of the rate against the plain loop with the same scheduler of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torch_schedules

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.choose import choose
from sightline.engines.feeds import TensorFeed
from sightline.engines.problem import Problem
from sightline.engines.schedules import SCHEDULES, make_schedule
from sightline.engines.stepping import Stepping
from sightline.loop import run
from sightline.runs.checkpoint import read_checkpoints, save_state
from tests.plain import linear, table

EPOCHS, SIZE, STEPS = 24, 16, 3

BY_NAME = {  # name, options as typed: the scheduler that is meant, for 24 epochs of 3 steps and the rate 0.05
    "step": ({}, lambda o: torch_schedules.StepLR(o, step_size=8)),
    "multi-step": ({"milestones": "3,9,9", "gamma": "0.5"}, lambda o: torch_schedules.MultiStepLR(o, [3, 9, 9], gamma=0.5)),
    "exponential": ({"gamma": "0.9"}, lambda o: torch_schedules.ExponentialLR(o, gamma=0.9)),
    "cosine": ({"eta_min": "1e-3"}, lambda o: torch_schedules.CosineAnnealingLR(o, T_max=24, eta_min=1e-3)),
    "cosine-restarts": ({"T_mult": "2"}, lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, T_0=8, T_mult=2)),
    "one-cycle": ({}, lambda o: torch_schedules.OneCycleLR(o, max_lr=0.05, total_steps=72)),
    "cyclic": ({"mode": "triangular2"}, lambda o: torch_schedules.CyclicLR(o, 0.005, 0.05, step_size_up=9, mode="triangular2")),
    "linear": ({}, lambda o: torch_schedules.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=24)),
    "constant": ({"factor": "0.5"}, lambda o: torch_schedules.ConstantLR(o, factor=0.5, total_iters=5)),
    "polynomial": ({"power": "2"}, lambda o: torch_schedules.PolynomialLR(o, total_iters=24, power=2.0)),
    "plateau": ({"patience": "1", "threshold": "0.2"}, lambda o: torch_schedules.ReduceLROnPlateau(o, patience=1, threshold=0.2)),
}  # fmt: skip
BY_STEP = (torch_schedules.OneCycleLR, torch_schedules.CyclicLR)


def plain(model, x, y, optimizer, scheduler, *, size=SIZE, epochs=EPOCHS):
    """Running losses and the rate of the last step of each epoch."""
    running, rates = [], []
    for epoch in range(1, epochs + 1):
        order = torch.arange(len(x)) if size is None else epoch_order(len(x), seed=0, epoch=epoch)
        total = 0.0
        for rows in order.split(size or len(x)):
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate = optimizer.param_groups[0]["lr"]
            if isinstance(scheduler, BY_STEP):
                scheduler.step()
            total += loss.item() * (len(rows) / len(x))
        if isinstance(scheduler, torch_schedules.ReduceLROnPlateau):
            scheduler.step(total)
        elif not isinstance(scheduler, BY_STEP):
            scheduler.step()
        running.append(total)
        rates.append(rate)
    return running, rates


def made(name, model, lr=0.05):
    options = {"momentum": 0.5} if name == "SGD" else {}
    return getattr(torch.optim, name)(model.parameters(), lr=lr, **options)


def same_bits(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_by_name_are_those_of_torch(name, optimizer):
    x, y = table(40, 3)
    options, meant = BY_NAME[name]
    ours, theirs = linear(3), linear(3)
    reference = made(optimizer, theirs)
    running, rates = plain(theirs, x, y, reference, meant(reference))
    mine = made(optimizer, ours)
    schedule = make_schedule(name, mine, options, epochs=EPOCHS, steps_per_epoch=STEPS)
    problem = Problem(ours, nn.MSELoss(), mine, TensorFeed(x, y, SIZE), stepping=Stepping(schedule))
    assert problem.steps == STEPS
    records = list(run(choose(problem, epochs=EPOCHS)[0], epochs=EPOCHS))
    assert [r.running_loss for r in records[1:]] == running
    assert [r.lr for r in records[1:]] == rates
    assert same_bits(ours, theirs)
    assert len(set(rates)) > 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_scheduler_of_ones_own(name):
    """`train` takes the scheduler object, and steps it when torch's documentation says."""
    x, y = table(40, 3)
    _, meant = BY_NAME[name]
    ours, theirs = linear(3), linear(3)
    reference, mine = made("SGD", theirs), made("SGD", ours)
    running, rates = plain(theirs, x, y, reference, meant(reference))
    stream = sightline.train(
        ours, (x, y), loss=nn.MSELoss(), optimizer=mine, epochs=EPOCHS, batch_size=SIZE, schedule=meant(mine)
    )
    records = list(stream)
    assert [r.running_loss for r in records[1:]] == running
    assert [r.lr for r in records[1:]] == rates
    assert same_bits(ours, theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch_schedules.LambdaLR(o, lambda epoch: 0.9**epoch),
        lambda o: torch_schedules.MultiplicativeLR(o, lambda epoch: 0.95),
        lambda o: torch_schedules.ChainedScheduler(
            [torch_schedules.ConstantLR(o, factor=0.3, total_iters=4), torch_schedules.ExponentialLR(o, 0.9)]
        ),
    ],
)
def test_schedulers_without_a_name_here(make):
    x, y = table(40, 3)
    ours, theirs = linear(3), linear(3)
    reference, mine = made("SGD", theirs), made("SGD", ours)
    running, rates = plain(theirs, x, y, reference, make(reference))
    records = list(
        sightline.train(
            ours, (x, y), loss=nn.MSELoss(), optimizer=mine, epochs=EPOCHS, batch_size=SIZE, schedule=make(mine)
        )
    )
    assert [r.running_loss for r in records[1:]] == running
    assert [r.lr for r in records[1:]] == rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_quadratic_engine_steps_the_same_schedule(name):
    x, y = table(40, 3)
    _, meant = BY_NAME[name]
    ours, theirs = linear(3), linear(3)
    reference, mine = made("SGD", theirs), made("SGD", ours)
    running, rates = plain(theirs, x, y, reference, meant(reference), size=None)
    records = list(
        sightline.train(
            ours, (x, y), loss=nn.MSELoss(), optimizer=mine, epochs=EPOCHS, schedule=meant(mine), engine="quadratic"
        )
    )
    assert [r.running_loss for r in records[1:]] == pytest.approx(running, rel=1e-9)
    assert [r.lr for r in records[1:]] == rates


def test_record_0_has_the_rate_to_come_and_others_the_rate_of_their_last_step():
    x, y = table(40, 3)
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.8)
    halves = torch_schedules.ExponentialLR(sgd, gamma=0.5)
    stream = sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=3, schedule=halves)
    assert [r.lr for r in stream] == [0.8, 0.8, 0.4, 0.2]
    cycle_model = linear(3)
    sgd = torch.optim.SGD(cycle_model.parameters(), lr=0.8)
    cycle = torch_schedules.OneCycleLR(sgd, max_lr=0.8, total_steps=6)
    stream = sightline.train(
        cycle_model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=2, batch_size=16, schedule=cycle
    )
    twin = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    again, rates = torch_schedules.OneCycleLR(twin, max_lr=0.8, total_steps=6), []
    for _ in range(6):
        rates.append(twin.param_groups[0]["lr"])
        twin.step()
        again.step()
    assert [r.lr for r in stream] == [rates[0], rates[2], rates[5]]


@pytest.mark.parametrize("name", ["cosine", "multi-step", "cosine-restarts", "linear", "exponential", None])
def test_warm_up_then_schedule(name):
    """Rates lr k / (N + 1) in epoch k, then the schedule as if it began there, made for the epochs that are left."""
    parameters = [nn.Parameter(torch.zeros(1))]
    sgd, alone = torch.optim.SGD(parameters, lr=0.8), torch.optim.SGD(parameters, lr=0.8)
    schedule = make_schedule(name, sgd, {}, epochs=20, warmup=4)
    after = make_schedule(name, alone, {}, epochs=16) if name else None
    rates, wanted = [], [0.8 * k / 5.0 for k in range(1, 5)]
    for epoch in range(20):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.after_epoch(1.0)
        if epoch >= 4:
            wanted.append(alone.param_groups[0]["lr"])
            alone.step()
            if after:
                after.after_epoch(1.0)
    assert rates == pytest.approx(wanted, rel=1e-12)


def test_warm_up_then_plateau():
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    schedule = make_schedule("plateau", sgd, {"patience": 1, "factor": 0.5}, epochs=None, warmup=3)
    rates = []
    for _ in range(8):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.after_epoch(1.0)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.4, 0.4])
    assert schedule.told() == {"name": "plateau", "patience": 1, "factor": 0.5, "warmup": 3}


@pytest.mark.parametrize("batch", [16, None])
@pytest.mark.parametrize(
    ("name", "warmup"), [*((n, 0) for n in SCHEDULES), *((n, 4) for n in SCHEDULES if n not in ("one-cycle", "cyclic"))]
)
def test_a_saved_state_goes_on_with_the_same_bits(tmp_path, name, warmup, batch):
    """Saved as JSON and safetensors in the middle of it, also in the middle of the warm-up."""
    x, y = table(40, 3)

    def make():
        model = linear(3)
        optimizer = made("SGD", model)
        options, _ = BY_NAME[name]
        schedule = make_schedule(name, optimizer, options, epochs=12, steps_per_epoch=3 if batch else 1, warmup=warmup)
        stepping = Stepping(schedule, clip_norm=0.5, l1=0.01)
        problem = Problem(model, nn.MSELoss(), optimizer, TensorFeed(x, y, batch), stepping=stepping)
        return choose(problem, epochs=100)[0]

    whole = list(run(make(), epochs=12))
    for stop in (0, 2, 7):
        half = make()
        *_, record = run(half, epochs=stop)
        save_state(tmp_path, half.state_dict(), epoch=stop, seconds=record.seconds)
        fresh = make()
        saved = next(read_checkpoints(tmp_path))
        fresh.load_state_dict(saved.state)
        rest = list(run(fresh, epochs=12, start=saved.epoch))
        assert [(r.parameters, r.lr) for r in rest] == [(r.parameters, r.lr) for r in whole[stop:]]
        assert [r.running_loss for r in rest[1:]] == [r.running_loss for r in whole[stop + 1 :]]


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"constant", "plateau"}))
def test_what_needs_the_number_of_epochs_says_so(name):
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    with pytest.raises(
        sightline.UsageError, match=f"schedule {name} needs to know where the training ends: add --epochs N"
    ):
        make_schedule(name, sgd, {}, epochs=None)


ENOUGH = {
    "step": {"step_size": 3}, "multi-step": {"milestones": [2, 4]}, "exponential": {"gamma": 0.9},
    "cosine": {"T_max": 5}, "cosine-restarts": {"T_0": 5}, "cyclic": {"step_size_up": 5}, "linear": {"total_iters": 5},
    "polynomial": {"total_iters": 5}, "constant": {}, "plateau": {},
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ENOUGH.items())
def test_with_its_own_length_no_number_of_epochs_is_needed(name, options):
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    assert make_schedule(name, sgd, options, epochs=None).name == name


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("epochs", [0, 1, 2, 3])
def test_few_epochs(name, epochs):
    x, y = table(40, 3)
    model = linear(3)
    sgd = made("SGD", model)
    schedule = make_schedule(name, sgd, {}, epochs=epochs)
    problem = Problem(model, nn.MSELoss(), sgd, TensorFeed(x, y), stepping=Stepping(schedule))
    records = list(run(choose(problem, epochs=epochs)[0], epochs=epochs))
    assert [r.number for r in records] == list(range(epochs + 1))
    assert all(0.0 <= r.lr <= 0.05 for r in records)
    assert all(math.isfinite(r.train_loss) for r in records)


@pytest.mark.parametrize("name", ["one-cycle", "cyclic"])
def test_momentum_is_cycled_where_the_optimizer_has_one(name):
    x = nn.Parameter(torch.zeros(1))
    assert make_schedule(name, torch.optim.SGD([x], lr=0.1), {}, epochs=9).scheduler.cycle_momentum
    assert make_schedule(name, torch.optim.Adam([x], lr=0.1), {}, epochs=9).scheduler.cycle_momentum
    assert not make_schedule(name, torch.optim.Adagrad([x], lr=0.1), {}, epochs=9).scheduler.cycle_momentum
    with pytest.raises(sightline.UsageError, match="must support momentum"):
        make_schedule(name, torch.optim.Adagrad([x], lr=0.1), {"cycle_momentum": "true"}, epochs=9)


REFUSED = [
    ("cosin", {}, {}, "no schedule 'cosin': did you mean 'cosine'"),
    ("cosine", {"eta_mim": 1}, {}, "schedule cosine takes no option 'eta_mim': did you mean 'eta_min'"),
    ("cosine", {"T_max": "0"}, {}, "T_max cannot be '0': give a whole number of at least 1"),
    ("cosine", {"T_max": "2.5"}, {}, "give a whole number"),
    ("cosine", {"eta_min": "-1"}, {}, "give a number of at least 0"),
    ("cosine", {"eta_min": "nan"}, {}, "give a finite number"),
    ("cosine", {"last_epoch": 3}, {}, "takes no option 'last_epoch'"),
    ("multi-step", {"milestones": "3,four"}, {}, "milestones cannot be '3,four': give a whole number"),
    ("one-cycle", {"total_steps": 3}, {}, "takes no option 'total_steps'"),
    ("one-cycle", {"pct_start": "1"}, {}, "of at least 0 and below 1"),
    ("one-cycle", {"anneal_strategy": "cubic"}, {}, "give one of cos, linear"),
    ("one-cycle", {}, {"warmup": 3}, "rises by itself: leave the warm-up out"),
    ("cyclic", {"mode": "square"}, {}, "give one of triangular, triangular2, exp_range"),
    ("cyclic", {"base_momentum": "1.2"}, {}, "and below 1"),
    ("plateau", {"factor": "1"}, {}, "Factor should be < 1.0"),
    ("plateau", {"mode": "max"}, {}, "takes no option 'mode'"),
    ("linear", {"start_factor": "2"}, {}, "schedule linear refuses start_factor=2.0 (Starting multiplicative factor"),
    ("cosine-restarts", {"T_mult": "0"}, {}, "T_mult"),
    ("cosine", {}, {"warmup": 10}, "a warm-up of 10 epochs leaves none of 10: give fewer warm-up epochs, or more"),
    (None, {}, {"warmup": 12}, "a warm-up of 12 epochs leaves none of 10"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "more", "sentence"), REFUSED)
def test_schedules_that_are_refused(name, options, more, sentence):
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    with pytest.raises(sightline.UsageError) as caught:
        make_schedule(name, sgd, options, epochs=10, **more)
    assert sentence in str(caught.value)


def bad_object(schedule, *, other=False, epochs=4):
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    of = torch.optim.SGD(model.parameters(), lr=0.1) if other else sgd
    given = schedule(of) if callable(schedule) and not isinstance(schedule, type) else schedule
    return sightline.train(model, table(20, 3), loss=nn.MSELoss(), optimizer=sgd, epochs=epochs, schedule=given)


@pytest.mark.parametrize(
    ("schedule", "more", "sentence"),
    [
        ("cosine", {}, "schedule is 'cosine': give a scheduler of torch, such as"),
        (torch_schedules.StepLR, {}, "give a scheduler of torch"),
        (lambda o: torch_schedules.StepLR(o, 3), {"other": True}, "belongs to another optimizer"),
        (lambda o: torch_schedules.OneCycleLR(o, 0.1, total_steps=3), {}, "made for 3 steps and the training takes 4: build it with total_steps=4"),
    ],
)  # fmt: skip
def test_scheduler_objects_that_are_refused(schedule, more, sentence):
    with pytest.raises(sightline.UsageError) as caught:
        bad_object(schedule, **more)
    assert sentence in str(caught.value)


def test_what_is_told_is_what_was_used():
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    told = make_schedule("multi-step", sgd, {}, epochs=20, warmup=4).told()
    assert isinstance(told, Mapping)
    assert told == {"name": "multi-step", "milestones": (8, 12), "warmup": 4}
