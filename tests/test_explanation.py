"""One epoch worked out, against the plain loop in torch with the run's own numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.errors import RunError, UsageError
from sightline.explanation import explain, explainable

X = torch.tensor([[150.0], [160.0], [170.0], [175.0], [185.0]], dtype=torch.float64)
Y = torch.tensor([[55.0], [70.0], [64.0], [80.0], [75.0]], dtype=torch.float64)
START = {"Intercept": -35, "height": 0.45}
OPTIMIZERS = [
    ("sgd", "SGD", {"lr": 3e-6}),
    ("sgd", "SGD", {"lr": 3e-6, "momentum": 0.9}),
    ("sgd", "SGD", {"lr": 3e-6, "momentum": 0.9, "nesterov": True}),
    ("sgd", "SGD", {"lr": 3e-6, "weight_decay": 0.5}),
    ("adam", "Adam", {"lr": 0.1}),
    ("adamw", "AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("rmsprop", "RMSprop", {"lr": 0.01}),
    ("adagrad", "Adagrad", {"lr": 0.5}),
    ("nadam", "NAdam", {"lr": 0.1}),
]


@pytest.fixture
def heights_csv(tmp_path):
    path = tmp_path / "heights.csv"
    path.write_text("height,weight,people\n150,55,1\n160,70,2\n170,64,3\n175,80,1\n185,75,2\n")
    return path


def fitted(path, **options):
    given = {"standardize": False, "start": START, "epochs": 6, "figures": "none", **options}
    return sightline.load(sightline.fit(path, "weight ~ height", **given).folder)


def plain_loop(name, options, epochs, dtype=torch.float64):
    """What a script would hold around the step of that epoch: parameters, gradients, state, before and after."""
    model = nn.Linear(1, 1, dtype=dtype)
    model.weight.data.fill_(0.45)
    model.bias.data.fill_(-35.0)
    optimizer = getattr(torch.optim, name)(model.parameters(), **options)
    parameters = list(model.parameters())

    def theta():
        return np.array([p.item() for p in parameters])

    def state():
        keys = optimizer.state[parameters[0]] if optimizer.state else {}
        return {k: np.array([float(optimizer.state[p][k]) for p in parameters]) for k in keys if k != "step"}

    gradient = None
    for _ in range(epochs):
        left, before, state_before = gradient, theta(), state()
        loss = nn.functional.mse_loss(model(X.to(dtype)), Y.to(dtype))
        optimizer.zero_grad()
        loss.backward()
        gradient = np.array([p.grad.item() for p in parameters])
        optimizer.step()
    return {"left": left, "before": before, "gradient": gradient, "after": theta(), "loss": loss.item(),
            "state": state_before, "state_after": state()}  # fmt: skip


@pytest.mark.parametrize("engine", ["auto", "autograd"])
@pytest.mark.parametrize("epoch", [1, 2, 5])
@pytest.mark.parametrize(("ours", "torchs", "options"), OPTIMIZERS, ids=str)
def test_every_number_is_that_of_the_plain_loop(heights_csv, ours, torchs, options, epoch, engine):
    worked = explain(fitted(heights_csv, optimizer=ours, engine=engine, **options), epoch)
    plain = plain_loop(torchs, options, epoch)
    for name in ("before", "gradient", "after"):
        assert getattr(worked.step, name) == pytest.approx(plain[name], rel=1e-12, abs=1e-12)
    assert worked.gradient == pytest.approx(plain["gradient"], rel=1e-10, abs=1e-10)
    assert worked.loss.value(worked.step.before) == pytest.approx(plain["loss"], rel=1e-12)
    assert (worked.step.left is None) == (epoch == 1)
    if epoch > 1:
        assert worked.step.left == pytest.approx(plain["left"], rel=1e-11, abs=1e-10)
    for name in ("state", "state_after"):
        for key, value in plain[name].items():
            if value.ndim == 1 and key in getattr(worked.step, name):
                found = np.broadcast_to(getattr(worked.step, name)[key], value.shape)
                assert found == pytest.approx(value, rel=1e-10, abs=1e-12)
    assert worked.apart == 0.0
    if ours == "nadam":
        assert worked.taken is None
        assert worked.meant == pytest.approx(plain["after"] - plain["before"], rel=1e-9)
    else:
        assert worked.taken.after == pytest.approx(plain["after"], rel=1e-12)
    assert worked.record.parameters["height"] == pytest.approx(plain["after"][0], rel=1e-12)


def test_the_first_epoch_of_the_running_example(heights_csv):
    worked = explain(fitted(heights_csv, lr=3e-6, epochs=20))
    assert worked.loss.value(worked.step.before) == pytest.approx(826.225, rel=1e-15)
    assert worked.gradient == pytest.approx([-9509.0, -56.4], rel=1e-15)
    assert worked.step.after == pytest.approx([0.478527, -34.9998308], rel=1e-15)
    assert worked.rate.word == "too small"
    assert worked.rate.limit == pytest.approx(2.0 / 56741.98970779835, rel=1e-12)
    assert [p.covered for p in worked.progress] == pytest.approx(
        [3e-6 * 56741.98970779835, 3e-6 * 0.0102922016], rel=1e-4
    )


def test_float32_swallows_the_step_at_epoch_75(heights_csv):
    run = fitted(heights_csv, lr=3e-6, epochs=80, dtype="float32")
    plain = plain_loop("SGD", {"lr": 3e-6}, 75, torch.float32)
    worked = explain(run, 75)
    assert (
        plain["before"].tolist() == plain["after"].tolist() == worked.step.before.tolist() == worked.step.after.tolist()
    )
    assert worked.swallowed
    assert worked.rounding.swallowed.all()
    assert (np.abs(worked.rounding.step) < worked.rounding.half_unit).all()
    assert worked.frozen_at == 74
    moving = explain(run, 20)
    assert not moving.swallowed
    assert not moving.rounding.swallowed[0]


def test_mini_batches_are_those_that_torchs_sampler_draws(heights_csv):
    run = fitted(heights_csv, lr=3e-6, batch_size=2, epochs=3, seed=4)
    worked = explain(run, 3)
    model = nn.Linear(1, 1, dtype=torch.float64)
    model.weight.data.fill_(0.45)
    model.bias.data.fill_(-35.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=3e-6)
    seen = []
    for epoch in (1, 2, 3):
        seen = []
        generator = torch.Generator().manual_seed((4 * 1_000_003 + epoch) % 2**32)
        order = list(torch.utils.data.RandomSampler(range(5), generator=generator))
        for rows in (order[:2], order[2:4], order[4:]):
            before = [p.item() for p in model.parameters()]
            loss = nn.functional.mse_loss(model(X[rows]), Y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after = nn.functional.mse_loss(model(X[rows]), Y[rows]).item()
            seen.append((rows, before, loss.item(), after))
    assert worked.steps == 3
    assert not worked.full_batch
    assert [list(b.rows) for b in worked.batches] == [rows for rows, *_ in seen]
    assert [b.before for b in worked.batches] == pytest.approx([loss for *_, loss, _ in seen], rel=1e-12)
    assert [b.after for b in worked.batches] == pytest.approx([after for *_, after in seen], rel=1e-11)
    assert worked.step.before == pytest.approx(seen[0][1], rel=1e-14)
    assert worked.gradient == pytest.approx(worked.step.gradient, rel=1e-12)
    assert worked.step.left is not None


def test_weights_of_rows_and_a_ridge_that_spares_the_intercept(heights_csv):
    run = fitted(heights_csv, lr=3e-6, weights="people", l2=0.5)
    worked = explain(run, 2)
    v = torch.tensor([1.0, 2.0, 3.0, 1.0, 2.0], dtype=torch.float64) / 1.8
    at = torch.tensor(worked.step.before, requires_grad=True)
    loss = (v * (at[0] * X[:, 0] + at[1] - Y[:, 0]) ** 2).mean()
    (gradient,) = torch.autograd.grad(loss, at)
    assert worked.gradient == pytest.approx(gradient.numpy(), rel=1e-12)
    expected = worked.step.before - 3e-6 * (gradient.numpy() + np.array([0.5, 0.0]) * worked.step.before)
    assert worked.step.after == pytest.approx(expected, rel=1e-13)
    assert worked.taken.after == pytest.approx(expected, rel=1e-13)
    assert worked.penalty.tolist() == [0.5, 0.0]


def test_standardized_columns_are_explained_where_training_runs(heights_csv):
    run = fitted(heights_csv, standardize=True, lr=0.3, start={})
    worked = explain(run, 2)
    x = (X[:, 0].numpy() - 168.0) / np.std(X.numpy())
    assert worked.loss.X[:, 0] == pytest.approx(x, rel=1e-12)
    assert worked.design.in_units(worked.step.after) == pytest.approx(
        list(run.epochs[2].parameters.values()), rel=1e-12
    )


@pytest.mark.parametrize(
    ("epoch", "sentence"),
    [
        (7, "run .* has no epoch 7: give --epoch a number from 1 to 6"),
        (0, "epoch 0 is the state before any step: give --epoch a number from 1 to 6"),
        (-1, "run .* has no epoch -1: give --epoch a number from 1 to 6"),
    ],
)
def test_an_epoch_that_the_run_does_not_have(heights_csv, epoch, sentence):
    with pytest.raises(UsageError, match=sentence):
        explain(fitted(heights_csv, lr=3e-6), epoch)


def test_a_run_without_epochs(heights_csv, tmp_path):
    with pytest.raises(UsageError, match="has no epoch but 0, the state before any step: train it again with --epochs"):
        explain(fitted(heights_csv, lr=3e-6, epochs=0))
    with pytest.raises(UsageError, match="solved, not trained, so it has no epochs: train one with sightline fit"):
        explain(sightline.solve(heights_csv, "weight ~ height"))


def test_rows_that_are_gone_changed_or_never_were_in_a_file(heights_csv, heights):
    run = fitted(heights_csv, lr=3e-6)
    heights_csv.write_text(heights_csv.read_text().replace("185", "186"))
    with pytest.raises(RunError, match=r"heights\.csv' has changed since run .* was trained on it: restore it"):
        explain(run)
    heights_csv.unlink()
    with pytest.raises(RunError, match=r"heights\.csv', which is gone: put it back, or fit again"):
        explain(run)
    with pytest.raises(RunError, match="data that are in no file: save them to a file and fit that"):
        explain(sightline.fit(heights, "weight ~ height", epochs=2, figures="none"))


def test_a_module_that_is_not_linear(tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"format": 1, "run": "net", "status": "done"}))
    record = {"running_loss": None, "valid_loss": None, "lr": 0.1, "rows": 0, "seconds": 0.0, "parameters": {}}
    lines = [{"number": k, "train_loss": 2.5 - k, "gradient_norm": 4.0, **record, "stop": None} for k in (0, 1, 2)]
    (folder / "epochs.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    sentence = (
        "run net trained a module that is not linear: epoch 2 took its loss from 1.5 to 0.5 at rate 0.1, from a gradient "
        "of norm 4, and that is all its records tell, for its gradient has no formula of one line: explain a run of"
    )
    with pytest.raises(RunError, match=sentence):
        explainable(folder, 2)
    with pytest.raises(UsageError, match="run net has no epoch 9: give --epoch a number from 1 to 2"):
        explainable(folder, 9)


def test_a_record_that_another_machine_wrote_is_said_to_be_apart(heights_csv):
    run = fitted(heights_csv, lr=3e-6)
    path = run.folder / "epochs.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[2]["parameters"]["Intercept"] *= 1.01
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    assert explain(sightline.load(run.folder), 2).apart == pytest.approx(0.01 / 1.01, rel=1e-6)


def test_float64_swallows_a_step_that_is_small_enough(heights_csv):
    worked = explain(fitted(heights_csv, lr=1e-25), 1)
    assert worked.swallowed
    assert worked.rounding.step == pytest.approx([9509e-25, 56.4e-25], rel=1e-12)
    assert worked.line.best == pytest.approx(5.874544320348987 * 3e19, rel=1e-6)


def test_a_step_beyond_all_numbers_is_refused(heights_csv):
    sentence = (
        r"epoch 1 of run .* leads beyond 1e\+100, where nothing can be worked out: the rate 1e\+200 is far too large"
    )
    with pytest.raises(UsageError, match=sentence):
        explain(fitted(heights_csv, lr=1e200), 1)
