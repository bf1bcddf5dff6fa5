"""Rows that are held out: which, their loss, when to stop, and whose weights are kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sightline
from sightline.errors import DataError, UsageError
from sightline.stopping import patience, target_loss

MTCARS = Path(__file__).parent / "real_data" / "data" / "mtcars.csv"


@pytest.fixture(scope="module")
def cars() -> pd.DataFrame:
    return pd.read_csv(MTCARS)


def noisy(n=60, p=25, seed=3):
    """More columns than the rows can bear: training on them for long makes predictions worse."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(p)]).assign(y=X[:, 0] + 2.0 * rng.normal(size=n))


def test_a_fraction_is_held_out_of_everything(cars):
    run = sightline.fit(cars, "mpg ~ wt", validation=0.25, seed=7, output=False)
    assert run.result["rows"] == 24
    assert run.result["valid_rows"] == 8
    train = run.rows
    kept = pd.DataFrame({"wt": train.X[:, 0] * run.design.scale[0] + run.design.center[0], "mpg": train.y}).round(9)
    rest = cars[["wt", "mpg"]].round(9).merge(kept, how="outer", indicator=True)
    held = rest[rest["_merge"] == "left_only"]
    assert 7 <= len(held) <= 8  # rows of equal values merge
    slope = np.polyfit(kept["wt"], kept["mpg"], 1)[0]
    assert run.coefficients[1].exact == pytest.approx(slope, rel=1e-9)
    assert run.design.center[0] == pytest.approx(kept["wt"].mean())
    alone = sightline.fit(kept, "mpg ~ wt", output=False)
    assert alone.result["exact_loss"] == pytest.approx(run.result["exact_loss"], rel=1e-9)
    again = sightline.fit(cars, "mpg ~ wt", validation=0.25, seed=7, output=False)
    other = sightline.fit(cars, "mpg ~ wt", validation=0.25, seed=8, output=False)
    assert again.result["valid_loss"] == run.result["valid_loss"] != other.result["valid_loss"]


@pytest.mark.parametrize(
    ("formula", "loss"),
    [("mpg ~ wt + hp", "mse"), ("mpg ~ wt + hp", "huber"), ("am ~ wt + hp", "bce"), ("gear ~ wt", "cross-entropy")],
)
def test_the_validation_loss_is_that_of_the_model_on_those_rows(cars, tmp_path, formula, loss):
    train, valid = cars.iloc[::2], cars.iloc[1::2]
    valid.to_csv(tmp_path / "valid.csv", index=False)
    run = sightline.fit(
        train,
        formula,
        loss=loss,
        validation=str(tmp_path / "valid.csv"),
        lr=0.05,
        epochs=30,
        restore_best=False,
        output=False,
    )
    names = formula.split(" ~ ")[1].split(" + ")
    X = torch.tensor(valid[names].to_numpy(float))
    y = torch.tensor(valid[formula.split()[0]].to_numpy())
    target = (
        torch.tensor(pd.Categorical(y.numpy()).codes.astype(int)) if loss == "cross-entropy" else y.double()[:, None]
    )
    function = {
        "mse": nn.MSELoss(),
        "huber": nn.HuberLoss(),
        "bce": nn.BCEWithLogitsLoss(),
        "cross-entropy": nn.CrossEntropyLoss(),
    }
    with torch.no_grad():
        expected = function[loss](run.model(X), target).item()
    assert run.epochs[-1].valid_loss == pytest.approx(expected, rel=1e-9)
    assert run.result["valid_loss"] == run.epochs[-1].valid_loss
    assert run.result["kept_epoch"] == 30


def test_the_best_weights_are_kept_and_the_run_says_so(tmp_path):
    data = noisy()
    data.to_csv(tmp_path / "noisy.csv", index=False)
    run = sightline.fit(
        tmp_path / "noisy.csv", target="y", validation=0.4, epochs=400, lr=0.02, output=tmp_path, figures="none"
    )
    losses = [e.valid_loss for e in run.epochs]
    best = int(np.argmin(losses))
    assert 0 < best < 400
    assert run.result["kept_epoch"] == best
    assert run.result["loss"] == run.epochs[best].train_loss
    assert run.result["epochs"] == 400
    assert {c.term: c.estimate for c in run.coefficients} == pytest.approx(dict(run.epochs[best].parameters))
    assert f"kept are the weights of epoch {best}" in run.verdict.sentence
    again = sightline.load(run.folder)
    assert torch.equal(again.model.weight, run.model.weight)
    assert np.array_equal(again.training_rows().X, run.rows.X)
    last = sightline.fit(data, target="y", validation=0.4, epochs=400, lr=0.02, restore_best=False, output=False)
    assert last.result["kept_epoch"] == 400
    assert last.result["loss"] == last.epochs[-1].train_loss


def test_going_on_keeps_the_best_weights_of_before(tmp_path):
    noisy().to_csv(tmp_path / "noisy.csv", index=False)
    options = {"target": "y", "validation": 0.4, "lr": 0.02, "figures": "none"}
    half = sightline.fit(tmp_path / "noisy.csv", epochs=60, output=tmp_path, **options)
    straight = sightline.fit(tmp_path / "noisy.csv", epochs=120, output=False, **options)
    whole = sightline.resume(half, epochs=120)
    assert whole.result["kept_epoch"] == straight.result["kept_epoch"] == half.result["kept_epoch"] < 60
    assert [e.valid_loss for e in whole.epochs] == [e.valid_loss for e in straight.epochs]
    assert [e.train_loss for e in whole.epochs] == [e.train_loss for e in straight.epochs]
    assert torch.equal(whole.model.weight, straight.model.weight)


def test_patience_stops_and_target_and_time_do():
    data = noisy()
    run = sightline.fit(data, target="y", validation=0.4, epochs=400, lr=0.02, patience=15, output=False)
    losses = [e.valid_loss for e in run.epochs]
    assert run.verdict.name == "STOPPED_EARLY"
    assert len(run.epochs) - 1 == int(np.argmin(losses)) + 15
    assert run.epochs[-1].stop.reason == "patience"
    some = losses[5]
    run = sightline.fit(data, target="y", validation=0.4, epochs=400, lr=0.02, target_loss=some, output=False)
    assert (run.epochs[-1].number, run.epochs[-1].stop.reason) == (5, "target")
    run = sightline.fit(data, target="y", epochs=10**6, lr=0.02, time_limit=0.05, engine="autograd", output=False)
    assert run.epochs[-1].stop.reason == "time"
    assert run.epochs[-1].seconds >= 0.05 > run.epochs[-2].seconds


def test_rules_look_at_the_validation_loss():
    def record(number, loss, valid):
        return sightline.Epoch(number, None, loss, valid, None, 0.1, 0, 0.0)

    stream = [record(0, 3.0, 2.0), record(1, 2.0, 1.95), record(2, 1.0, 1.92), record(3, 0.5, 1.91)]
    rule = patience(2, 0.1)
    assert [rule(r) is not None for r in stream] == [False, False, True, True]
    assert target_loss(1.92)(stream[1]) is None
    assert target_loss(1.92)(stream[2]).reason == "target"
    assert target_loss(1.0)(record(2, 1.0, None)).sentence == "at epoch 2 the loss reached 1"


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(25, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))


def split():
    data = noisy()
    x = torch.tensor(data.drop(columns="y").to_numpy(), dtype=torch.float32)
    y = torch.tensor(data[["y"]].to_numpy(), dtype=torch.float32)
    return (x[:36], y[:36]), (x[36:], y[36:])


def test_any_module_is_measured_at_rest_and_gets_its_best_weights_back():
    train, valid = split()
    model = module()
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    states, losses = [], []
    for epoch in sightline.train(
        model, train, loss=nn.MSELoss(), optimizer=adam, epochs=60, batch_size=12, valid=valid, restore_best=True
    ):
        model.eval()
        with torch.no_grad():
            losses.append(nn.functional.mse_loss(model(valid[0]), valid[1]).item())
        model.train()
        assert epoch.valid_loss == losses[-1]
        states.append({k: v.clone() for k, v in model.state_dict().items()})
    best = int(np.argmin(losses))
    assert best < 60
    assert all(torch.equal(v, states[best][k]) for k, v in model.state_dict().items())


def test_validation_changes_nothing_of_the_training():
    train, valid = split()
    weights = []
    for held in (None, valid):
        model = module()
        torch.manual_seed(1)  # of the dropout
        sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        records = list(
            sightline.train(
                model, train, loss=nn.MSELoss(), optimizer=sgd, epochs=10, batch_size=12, valid=held, restore_best=False
            )
        )
        weights.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert all(math.isfinite(r.valid_loss) for r in records)


def test_patience_of_any_module():
    train, valid = split()
    model = module()
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    *_, last = sightline.train(model, train, loss=nn.MSELoss(), optimizer=adam, epochs=500, valid=valid, patience=10)
    assert last.stop.reason == "patience"
    assert last.number < 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0}, "--validation cannot be 0: give a number above 0 and below 1"),
        ({"validation": 1.0}, "--validation cannot be 1"),
        ({"validation": -0.2}, "--validation cannot be -0.2"),
        ({"validation": 0.01}, r"--validation 0.01 of 32 rows holds out 0 and leaves 32"),
        ({"validation": 0.99}, r"holds out 32 and leaves 0 to train on"),
        ({"validation": True}, "--validation cannot be"),
        ({"patience": 0}, "--patience cannot be 0"),
        ({"patience": 1.5}, "--patience cannot be '1.5'"),
        ({"min_improvement": 0.1}, "--min-improvement has no effect without patience"),
        ({"restore_best": False}, "--no-restore-best has no effect without validation rows"),
        ({"time_limit": 0}, "--time-limit cannot be 0"),
        ({"target_loss": float("nan")}, "--target-loss cannot be"),
    ],
)
def test_what_is_refused(cars, options, message):
    with pytest.raises(UsageError, match=message):
        sightline.fit(cars, "mpg ~ wt", output=False, **options)


def test_validation_files_are_checked(cars, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        sightline.fit(cars, "mpg ~ wt", validation=str(tmp_path / "none.csv"), output=False)
    cars.drop(columns="wt").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match="'wt'"):
        sightline.fit(cars, "mpg ~ wt", validation=str(tmp_path / "short.csv"), output=False)
    cars[cars.am == 0].to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(UsageError, match="the 19 validation rows are all of the class '0'"):
        sightline.fit(cars, "am ~ wt", validation=str(tmp_path / "one.csv"), output=False)
    cars.assign(am=2).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match=r"column am: .*2"):
        sightline.fit(cars, "am ~ wt", validation=str(tmp_path / "other.csv"), output=False)


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        (3, "valid is 3: give a fraction between 0 and 1"),
        ((torch.ones(3, 25), torch.ones(2, 1)), "x of valid has 3 rows and y of valid has 2"),
        ((torch.ones(3, 24), torch.ones(3, 1)), "x of the validation rows has shape"),
        ((torch.ones(3, 25, dtype=torch.float64), torch.ones(3, 1)), "torch.float64"),
        ((torch.full((3, 25), math.nan), torch.ones(3, 1)), "x of valid holds nan at row 0, column 0"),
    ],
)
def test_what_train_refuses(valid, message):
    train, _ = split()
    model = module()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises((UsageError, DataError), match=message):
        sightline.train(model, train, loss=nn.MSELoss(), optimizer=sgd, epochs=2, valid=valid)
    with pytest.raises(UsageError, match="patience has no loss to look at"):
        sightline.train(model, train, loss=nn.MSELoss(), optimizer=sgd, epochs=2, patience=3, batch_size=4)
