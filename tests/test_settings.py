"""Every setting refuses what it cannot be, by name and with what to give instead."""

from __future__ import annotations

import math

import pytest

import sightline
from sightline.errors import UsageError
from sightline.settings import RunSettings
from tests.conftest import HEIGHTS

NOT_NUMBERS = [math.nan, math.inf, -math.inf, "many", True, [1], 10**400]
BAD = [
    *[("lr", v) for v in [*NOT_NUMBERS, 0, 0.0, -0.1, -0.0]],
    *[("momentum", v) for v in [*NOT_NUMBERS, 1.0, 1.5, -0.1]],
    *[("weight_decay", v) for v in [*NOT_NUMBERS, -1e-9]],
    *[("level", v) for v in [*NOT_NUMBERS, 0.0, 1.0, 95, -0.5]],
    *[("epochs", v) for v in [math.nan, math.inf, "many", True, 2.5, 3.0, -1, [1]]],
    *[("batch_size", v) for v in [math.nan, math.inf, "many", True, 2.5, 0, -1, [1]]],
    *[("seed", v) for v in [math.nan, math.inf, "many", True, 2.5, -1, [1]]],
    *[("dtype", v) for v in ["float16", "double", "", 64, True]],
    *[("figures", v) for v in ["all", "", True, 1]],
    *[("engine", v) for v in ["fast", "", True, 1]],
    *[("device", v) for v in ["gpu", "", True, 0]],
    *[("loss", v) for v in ["mean", "", True, 1]],
    *[("optimizer", v) for v in ["sdg", "", True, 1, "SparseAdam"]],
    *[("nesterov", v) for v in ["yes", 2, math.nan]],
    *[("standardize", v) for v in ["no", 2, math.nan]],
    *[
        ("start", v)
        for v in ["height=0.5", 3, [0.5], {"height": "much"}, {"height": math.nan}, {"height": True}, {"hight": 1.0}]
    ],
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{n}={str(v)[:12]}" for n, v in BAD])
def test_a_bad_value_is_a_usage_error_that_names_the_setting(name, value):
    with pytest.raises(UsageError) as caught:
        sightline.fit(HEIGHTS, "weight ~ height", output=False, **{"epochs": 1, name: value})
    message = str(caught.value)
    assert name.replace("_", "-") in message or name in message
    assert len(message) < 600
    assert ":" in message  # "what is wrong: what to do"


REMEDIES = {
    ("lr", 0.0): "above 0",
    ("lr", "many"): "give a number",
    ("momentum", 1.0): "at least 0 and below 1",
    ("weight_decay", -1.0): "at least 0",
    ("level", 95): "above 0 and below 1",
    ("epochs", 2.5): "whole number",
    ("epochs", -1): "at least 0",
    ("batch_size", 0): "at least 1",
    ("dtype", "flot64"): "did you mean 'float64'?",
    ("engine", "quadratik"): "did you mean 'quadratic'?",
    ("figures", "evry"): "did you mean 'every'?",
    ("optimizer", "adm"): "did you mean 'adam'?",
    ("start", "hight"): "did you mean 'height'?",
}


@pytest.mark.parametrize(("setting", "remedy"), REMEDIES.items(), ids=[f"{n}={v}" for n, v in REMEDIES])
def test_the_remedy(setting, remedy):
    name, value = setting
    with pytest.raises(UsageError) as caught:
        sightline.fit(HEIGHTS, "weight ~ height", output=False, **{name: {value: 1.0} if name == "start" else value})
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learning_rate", None), ("momentun", "momentum"), ("epoch", "epochs"), ("batchsize", "batch_size")],
)
def test_an_unknown_setting_names_the_nearest(name, meant):
    for verb in (sightline.fit, sightline.solve):
        with pytest.raises(UsageError) as caught:
            verb(HEIGHTS, "weight ~ height", output=False, **{name: 1})
        assert f"'{name}'" in str(caught.value)
        if meant:
            assert f"did you mean '{meant}'?" in str(caught.value)


def test_the_inner_switch_is_no_setting():
    with pytest.raises(UsageError, match="auto_momentum"):
        RunSettings.of({"auto_momentum": True})


def test_nesterov_needs_momentum():
    with pytest.raises(UsageError, match="momentum above 0"):
        sightline.fit(HEIGHTS, "weight ~ height", output=False, nesterov=True, momentum=0.0)


def test_nesterov_with_a_rate_and_no_momentum_is_refused_too():
    """As soon as lr is a number, momentum has torch's default 0, which torch refuses for Nesterov as well."""
    with pytest.raises(UsageError, match="momentum above 0"):
        sightline.fit(HEIGHTS, "weight ~ height", output=False, nesterov=True, lr=0.1, epochs=1)


@pytest.mark.parametrize("setting", [{"momentum": 0.9}, {"nesterov": True}])
def test_what_an_optimizer_does_not_take_is_refused(setting):
    with pytest.raises(UsageError, match="Adam takes no"):
        sightline.fit(
            HEIGHTS, "weight ~ height", output=False, optimizer="adam", epochs=1, **{"momentum": 0.9, **setting}
        )


def test_numpy_numbers_are_numbers():
    import numpy as np

    run = sightline.fit(
        HEIGHTS,
        "weight ~ height",
        output=False,
        lr=np.float64(0.1),
        epochs=np.int64(3),
        seed=np.int32(1),
        level=np.float32(0.5),
    )
    assert len(run.epochs) == 4
    assert run.to_dict()["optimizer"]["lr"] == 0.1


def test_defaults_are_those_of_the_contract():
    s = RunSettings()
    assert (s.loss, s.optimizer, s.dtype, s.figures, s.level, s.seed) == (None, "sgd", "float64", "final", 0.95, 0)
    assert s.standardize
    assert s.lr is s.momentum is s.epochs is s.batch_size is None


def test_settings_survive_plain_values():
    s = RunSettings.of({"lr": 0.1, "momentum": "auto", "start": {"Intercept": 1.0}, "epochs": 5, "batch_size": "full"})
    assert s.auto_momentum
    assert s.batch_size is None
    assert RunSettings(**s.to_dict()) == s


def test_zero_epochs_is_the_start():
    run = sightline.fit(HEIGHTS, "weight ~ height", output=False, epochs=0)
    assert [e.number for e in run.epochs] == [0]
    assert run.verdict.name == "NOT_CONVERGED"
    # zero in training coordinates: every prediction is 0, and the loss is the mean square of the target
    assert run.epochs[0].train_loss == pytest.approx(sum(w * w for w in HEIGHTS["weight"]) / 5.0, rel=1e-14)
