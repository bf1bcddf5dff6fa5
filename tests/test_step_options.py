"""Optimizers' options, schedules, clipping, accumulation and L1 from the command line: used as told, or refused."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import sightline
from sightline.cli.options import read_options
from sightline.errors import UsageError
from sightline.settings import RunSettings
from tests.cli.conftest import cli, heights_csv  # noqa: F401 - fixtures
from tests.conftest import HEIGHTS

FORMULA = "weight ~ height"
NOT_NUMBERS = [math.nan, math.inf, -math.inf, "many", True, [1], 10**400]
BAD = [
    *[(name, v) for name in ("clip_norm", "clip_value") for v in [*NOT_NUMBERS, 0, 0.0, -1.0]],
    *[("l1", v) for v in [*NOT_NUMBERS, -1e-9]],
    *[("warmup", v) for v in [math.nan, math.inf, "many", True, 2.5, -1, [1]]],
    *[("accumulate", v) for v in [math.nan, math.inf, "many", True, 2.5, 0, -1, [1]]],
    *[("seed", v) for v in [-1, 2**64, 10**40, 2.5, "one"]],
    *[("opt", v) for v in ["betas=1", 3, [0.5]]],
    *[("schedule_opt", v) for v in ["eta_min=1", 3, [0.5]]],
    *[("schedule", v) for v in ["cosin", "", 3, True]],
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{n}={str(v)[:12]}" for n, v in BAD])
def test_a_bad_value_is_a_usage_error_that_names_the_setting(name, value):
    with pytest.raises(UsageError) as caught:
        sightline.fit(HEIGHTS, FORMULA, output=False, **{"epochs": 1, "lr": 0.1, name: value})
    message = str(caught.value)
    assert name.replace("_", "-") in message or name in message
    assert ":" in message
    assert len(message) < 400


LOOP = [
    *[("clip_norm", v, "clip_norm is") for v in [*NOT_NUMBERS, 0, -1.0]],
    *[("clip_value", v, "clip_value is") for v in [*NOT_NUMBERS, 0, -1.0]],
    *[("l1", v, "l1 is") for v in [*NOT_NUMBERS, None, -1e-9]],
    *[("accumulate", v, "accumulate is") for v in [math.nan, "many", True, 2.5, 0, -1, None]],
    *[("batch_size", v, "batch_size is") for v in [0, -1, 2.5, "half", True]],
    *[("epochs", v, "epochs is") for v in [-1, 1.5, "ten", None, True, math.inf]],
    *[("seed", v, "seed is") for v in [-1, 2**64, 1.5, None]],
    *[("schedule", v, "schedule is") for v in ["cosine", 3, torch.optim.lr_scheduler.StepLR]],
]


@pytest.mark.parametrize(("name", "value", "sentence"), LOOP, ids=[f"{n}={str(v)[:12]}" for n, v, _ in LOOP])
def test_train_refuses_them_too(name, value, sentence):
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.zeros(4, 1), torch.ones(4, 1)
    with pytest.raises(UsageError, match=sentence):
        sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, **{"epochs": 1, name: value})


@pytest.mark.parametrize("rate", [0.0, math.nan, math.inf])
def test_a_rate_that_is_none(rate):
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    sgd.param_groups[0]["lr"] = rate
    with pytest.raises(UsageError, match=r"the optimizer's learning rate is .*: give a finite rate above 0"):
        sightline.train(model, (torch.zeros(4, 1), torch.ones(4, 1)), loss=nn.MSELoss(), optimizer=sgd, epochs=1)


def test_a_batch_larger_than_the_table_is_the_full_batch(cli, heights_csv):  # noqa: F811
    done = cli("fit", heights_csv, FORMULA, "--batch-size", "6", "--lr", "0.1", "--epochs", "3", "--figures", "none")
    assert done.code == 0
    assert "full batch" in done.err


OPTIONS = {
    "opt unknown": (["--optimizer", "adam", "--opt", "betaz=1"], "optimizer Adam takes no option 'betaz': did you mean 'betas'"),
    "opt text": (["--optimizer", "adam", "--opt", "eps=tiny"], "optimizer Adam: eps cannot be 'tiny': give a number"),
    "opt range": (["--optimizer", "adam", "--opt", "betas=1.5,0.9"], "Invalid beta parameter at index 0: 1.5"),
    "opt without =": (["--opt", "betas"], "--opt cannot read 'betas': write --opt name=value"),
    "opt without name": (["--opt", "=3"], "--opt cannot read '=3'"),
    "opt without value": (["--optimizer", "adam", "--opt", "eps="], "eps cannot be '': give a number"),
    "opt twice": (["--opt", "eps=1", "--opt", "eps=2"], "--opt gives eps twice: leave one of them out"),
    "flag and opt": (["--lr", "0.1", "--opt", "lr=0.2"], "lr is given twice, as --lr and as --opt lr: leave one of them out"),
    "flag and opt decay": (["--weight-decay", "0.1", "--opt", "weight_decay=0.2"], "as --weight-decay and as --opt weight_decay"),
    "flag and opt nesterov": (["--nesterov", "--opt", "nesterov=true"], "nesterov is given twice"),
    "opt lr text": (["--opt", "lr=fast"], "--lr cannot be 'fast': give a number"),
    "opt computation": (["--opt", "foreach=true"], "foreach is about how torch computes"),
    "opt maximize": (["--opt", "maximize=true"], "maximize would make the loss larger"),
    "sparse": (["--optimizer", "sparseadam"], "steps sparse gradients only, and these are dense: use adam"),
    "muon": (["--optimizer", "muon"], "matrices only, .*: leave the intercept out of the model, as in 'y ~ 0 \\+ x'"),
    "momentum of adam": (["--optimizer", "adam", "--momentum", "0.9"], "Adam takes no momentum: leave --momentum out"),
    "nesterov of adam": (["--optimizer", "adam", "--nesterov"], "Adam takes no nesterov: leave --nesterov out"),
    "decay of lbfgs": (["--optimizer", "lbfgs", "--weight-decay", "1"], "LBFGS takes no weight_decay: leave --weight-decay out"),
    "l2 of rprop": (["--optimizer", "rprop", "--l2", "1"], "--l2 is a weight decay in the gradient, and rprop has none"),
    "l2 decoupled": (["--optimizer", "adam", "--opt", "decoupled_weight_decay=true", "--l2", "1"], "--l2 is part of the loss"),
    "schedule": (["--schedule", "cosin", "--epochs", "9"], "no schedule 'cosin': did you mean 'cosine'"),
    "schedule without end": (["--schedule", "cosine"], "needs to know where the training ends: add --epochs N, or --schedule-opt T_max="),
    "one-cycle without end": (["--schedule", "one-cycle"], "needs to know where the training ends: add --epochs N$"),
    "schedule option": (["--schedule", "cosine", "--epochs", "9", "--schedule-opt", "eta_mim=1"], "did you mean 'eta_min'"),
    "schedule options alone": (["--schedule-opt", "eta_min=1"], "--schedule-opt has no effect without a schedule: add --schedule cosine"),
    "warm-up too long": (["--warmup", "9", "--epochs", "9"], "a warm-up of 9 epochs leaves none of 9"),
    "warm-up negative": (["--warmup", "-1"], "--warmup cannot be -1: give a whole number of at least 0"),
    "warm-up fraction": (["--warmup", "1.5"], "'1.5' is not a valid integer"),
    "warm-up of one-cycle": (["--schedule", "one-cycle", "--warmup", "2", "--epochs", "9"], "rises by itself"),
    "momentum under one-cycle": (["--schedule", "one-cycle", "--epochs", "9", "--momentum", "0.9"], "--momentum has no effect, for the schedule one-cycle moves it: add --schedule-opt cycle_momentum=false"),
    "clip nan": (["--clip-norm", "nan"], "--clip-norm cannot be nan: give a number above 0"),
    "clip zero": (["--clip-value", "0"], "--clip-value cannot be 0: give a number above 0"),
    "clip text": (["--clip-norm", "much"], "'much' is not a valid float"),
    "clip twice": (["--clip-norm", "1", "--clip-value", "1"], "two ways to clip a gradient"),
    "clip lbfgs": (["--optimizer", "lbfgs", "--clip-norm", "1"], "clip_norm has no meaning for LBFGS"),
    "accumulate alone": (["--accumulate", "2"], "accumulate 2 has no effect, for one batch holds all rows: give a batch size"),
    "accumulate zero": (["--accumulate", "0"], "--accumulate cannot be 0: give a whole number of at least 1"),
    "l1 negative": (["--l1", "-1"], "--l1 cannot be -1: give a number at least 0"),
    "l1 adam": (["--optimizer", "adam", "--l1", "1"], "for Adam that is not the lasso: use SGD"),
    "l1 nesterov": (["--nesterov", "--momentum", "0.9", "--l1", "1"], "l1 with nesterov"),
    "l1 dampening": (["--momentum", "0.9", "--lr", "0.1", "--opt", "dampening=0.1", "--l1", "1"], "l1 with dampening"),
    "seed": (["--seed", str(2**64)], "--seed cannot be 18446744073709551616: give a whole number below 2\\*\\*64"),
    "epochs text": (["--epochs", "ten"], "'ten' is not a valid integer"),
    "epochs negative": (["--epochs", "-1"], "--epochs cannot be -1"),
    "batch negative": (["--batch-size", "-1"], "--batch-size cannot be -1: give a whole number of at least 1"),
    "batch fraction": (["--batch-size", "2.5"], "'2.5' is neither a whole number nor 'full'"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "remedy"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_are_refused(cli, heights_csv, tmp_path, options, remedy):  # noqa: F811
    import re

    done = cli("fit", heights_csv, FORMULA, *options)
    assert done.code == 2
    first = done.err.splitlines()[0]
    assert first.startswith("error: ")
    assert re.search(remedy, first), first
    assert done.out == ""
    assert not list(tmp_path.glob("runs/*"))


def test_what_is_typed_reaches_torch_and_is_told(cli, heights_csv, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SIGHTLINE_RUNS", str(tmp_path / "runs"))
    arguments = [
        "--optimizer",
        "adam",
        "--lr",
        "0.5",
        "--opt",
        "betas=0.8,0.95",
        "--opt",
        "eps=1e-6",
        "--schedule",
        "cosine",
    ]
    arguments += [
        "--schedule-opt",
        "eta_min=1e-3",
        "--warmup",
        "5",
        "--epochs",
        "40",
        "--clip-norm",
        "3",
        "--figures",
        "none",
    ]
    done = cli("fit", heights_csv, FORMULA, *arguments, "--json")
    told = json.loads(done.out)["optimizer"]
    assert {k: told[k] for k in ("name", "lr", "betas", "eps", "clip_norm", "schedule")} == {
        "name": "adam", "lr": 0.5, "betas": [0.8, 0.95], "eps": 1e-6, "clip_norm": 3.0,
        "schedule": {"name": "cosine", "T_max": 35, "eta_min": 1e-3, "warmup": 5},
    }  # fmt: skip
    assert "accumulate" not in told
    assert "l1" not in told
    (folder,) = (tmp_path / "runs").iterdir()
    settings = json.loads((folder / "run.json").read_text())["settings"]
    assert settings["opt"] == {"betas": "0.8,0.95", "eps": "1e-6"}
    assert (settings["schedule"], settings["warmup"], settings["clip_norm"]) == ("cosine", 5, 3.0)
    again = sightline.fit(
        HEIGHTS, FORMULA, output=False, **{k: v for k, v in settings.items() if k not in ("auto_momentum", "figures")}
    )
    records = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    assert [e.train_loss for e in again.epochs] == [r["train_loss"] for r in records]
    assert sightline.load(folder).settings.opt == settings["opt"]


def test_the_announcement_says_what_goes_around_a_step(cli, heights_csv):  # noqa: F811
    arguments = ["--lr", "0.01", "--schedule", "cosine", "--warmup", "2", "--epochs", "9", "--batch-size", "2"]
    done = cli("fit", heights_csv, FORMULA, *arguments, "--accumulate", "2", "--clip-value", "4", "--l1", "0.5")
    assert "the rate rises for 2 epochs then schedule cosine (T_max 7)" in done.err
    assert "gradient cut at ±4, l1 0.5, batches in each step: 2" in done.err
    assert "±±" not in done.err


@pytest.mark.parametrize(
    "options",
    [
        ["--batch-size", "2", "--accumulate", "2", "--lr", "0.01", "--epochs", "3"],
        ["--warmup", "3", "--lr", "0.001", "--epochs", "5"],
        ["--lr", "0.001", "--epochs", "5", "--schedule", "cosine"],
        ["--lr", "0.001", "--epochs", "5", "--clip-norm", "1"],
        ["--optimizer", "adam", "--lr", "0.001", "--epochs", "5", "--opt", "betas=0.5,0.9"],
    ],
)
def test_what_is_offered_as_a_fix_works_added_to_the_command(cli, heights_csv, options):  # noqa: F811
    import shlex

    done = cli("fit", heights_csv, FORMULA, *options, "--figures", "none", "--json")
    offered = [fix.split("  #")[0] for w in json.loads(done.out)["warnings"] for fix in w["fix"]]
    assert offered
    for fix in offered:
        if fix.startswith("sightline solve"):
            assert cli(*shlex.split(fix)[1:]).code == 0
        else:
            again = cli("fit", heights_csv, FORMULA, *options, "--figures", "none", "--json", *fix.split())
            assert json.loads(again.out)["verdict"] == "CONVERGED"


def plain_fit(around, *, epochs, lr=0.1, make=None, schedule=None):
    """The plain loop on standardized heights."""
    x = torch.tensor(HEIGHTS["height"], dtype=torch.float64).reshape(-1, 1)
    x = (x - x.mean()) / x.std(correction=0)
    y = torch.tensor(HEIGHTS["weight"], dtype=torch.float64).reshape(-1, 1)
    model = nn.Linear(1, 1, dtype=torch.float64)
    for p in model.parameters():
        nn.init.zeros_(p)
    optimizer = (make or torch.optim.SGD)(model.parameters(), lr=lr)
    scheduler = schedule(optimizer) if schedule else None
    losses = []
    for _ in range(epochs):
        loss = nn.functional.mse_loss(model(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        around(model)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return losses


def test_fit_is_the_plain_loop_with_them():
    losses = plain_fit(
        lambda model: nn.utils.clip_grad_norm_(model.parameters(), 5.0), epochs=60,
        schedule=lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=20),
    )  # fmt: skip
    run = sightline.fit(HEIGHTS, FORMULA, output=False, lr=0.1, epochs=60, clip_norm=5.0, schedule="step")
    assert [e.train_loss for e in run.epochs[:-1]] == pytest.approx(losses, rel=1e-9)
    assert run.to_dict()["optimizer"]["schedule"] == {"name": "step", "step_size": 20}


@pytest.mark.parametrize(
    "more", [{}, {"standardize": False}, {"opt": {"line_search_fn": "none"}}, {"lr": 0.5}, {"opt": {"max_iter": 2}}]
)
def test_lbfgs_by_name_converges(more):
    run = sightline.fit(HEIGHTS, FORMULA, output=False, optimizer="LBFGS", **more)
    assert run.verdict.name == "CONVERGED"
    assert len(run.epochs) < 60


def test_muon_by_name_without_an_intercept():
    run = sightline.fit(HEIGHTS, "weight ~ 0 + height", output=False, optimizer="muon", lr=0.1, epochs=50)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss


def test_dampening_is_part_of_what_is_known_of_the_descent():
    run = sightline.fit(HEIGHTS, FORMULA, output=False, lr=0.1, momentum=0.5, epochs=5, opt={"dampening": "0.5"})
    plain = sightline.fit(HEIGHTS, FORMULA, output=False, lr=0.1, momentum=0.5, epochs=5)
    assert run.to_dict()["optimizer"]["dampening"] == 0.5
    assert run.to_dict()["curvature"]["lr_limit"] > plain.to_dict()["curvature"]["lr_limit"]


def test_an_option_with_a_flag_of_its_own_is_that_flag():
    settings = RunSettings.of({"opt": {"lr": "0.1", "momentum": 0.5, "nesterov": "true", "dampening": 0}})
    assert (settings.lr, settings.momentum, settings.nesterov, settings.opt) == (0.1, 0.5, True, {"dampening": 0})


def test_decoupled_decay_asked_for_is_no_part_of_the_loss():
    table = {"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.0, 4.0, 4.0]}
    given = {"optimizer": "adam", "weight_decay": 0.5, "epochs": 3, "output": False, "lr": 0.01}
    free = sightline.solve(table, "y ~ x").coefficients[1].exact
    decoupled = sightline.fit(table, "y ~ x", opt={"decoupled_weight_decay": True}, **given)
    penalized = sightline.fit(table, "y ~ x", **given)
    assert decoupled.coefficients[1].exact == pytest.approx(free, rel=1e-12)
    assert penalized.coefficients[1].exact < 0.9 * free


def test_settings_with_options_survive_plain_values():
    settings = RunSettings.of({"optimizer": "adam", "opt": {"betas": [0.9, 0.95]}, "schedule": "plateau", "warmup": 3})
    assert settings.opt == {"betas": (0.9, 0.95)}
    assert RunSettings(**settings.to_dict()) == settings
    again = RunSettings(**json.loads(json.dumps(settings.to_dict())))
    runs = [
        sightline.fit(
            HEIGHTS,
            FORMULA,
            output=False,
            epochs=4,
            lr=0.1,
            **{k: v for k, v in s.to_dict().items() if k in ("opt", "optimizer")},
        )
        for s in (settings, again)
    ]
    assert runs[0].epochs[-1].train_loss == runs[1].epochs[-1].train_loss


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], {}),
        (["betas=0.9,0.95,eps=1e-8"], {"betas": "0.9,0.95", "eps": "1e-8"}),
        (["milestones=3, 5 ,7", "gamma=0.5"], {"milestones": "3,5,7", "gamma": "0.5"}),
        (["line_search_fn=none"], {"line_search_fn": "none"}),
    ],
)
def test_a_part_without_equals_goes_on_with_the_value_before(texts, wanted):
    assert read_options("--opt", texts) == wanted


@pytest.mark.parametrize("name", ["opt", "schedule", "clip_norm", "clip_value", "accumulate", "warmup"])
def test_solve_takes_none_of_them(name):
    with pytest.raises(UsageError):
        sightline.solve(
            HEIGHTS, FORMULA, **{name: {"eps": 1.0} if name == "opt" else "step" if name == "schedule" else 1}
        )


def test_explain_works_out_a_step_at_the_rate_of_its_epoch(heights_csv, tmp_path):  # noqa: F811
    run = sightline.fit(
        heights_csv, FORMULA, lr=0.2, epochs=9, schedule="exponential", schedule_opt={"gamma": 0.5}, warmup=2,
        figures="none", output=tmp_path / "runs",
    )  # fmt: skip
    from sightline.explanation import explain

    for epoch in (1, 2, 3, 6):
        worked = explain(run, epoch)
        assert worked.options["lr"] == run.epochs[epoch].lr
        assert worked.apart < 1e-12
    clipped = sightline.fit(
        heights_csv, FORMULA, lr=0.2, epochs=3, clip_norm=1.0, figures="none", output=tmp_path / "more"
    )
    with pytest.raises(UsageError, match="nor with clipping, l1 or accumulation"):
        explain(clipped, 1)


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        ("adam", {"opt": {"betas": (0.8, 0.9), "decoupled_weight_decay": True}, "weight_decay": 0.1}),
        ("rmsprop", {"opt": {"centered": True, "alpha": 0.9}}),
        ("sgd", {"opt": {"dampening": 0.3}, "momentum": 0.5}),
        ("adagrad", {"opt": {"lr_decay": 0.1, "initial_accumulator_value": 0.5}}),
    ],
)
def test_explain_writes_out_the_options(heights_csv, tmp_path, optimizer, more):  # noqa: F811
    import numpy as np

    from sightline.explanation import explain

    run = sightline.fit(heights_csv, FORMULA, optimizer=optimizer, lr=0.1, epochs=4, figures="none", **more)
    worked = explain(run, 3)
    assert worked.taken is not None
    np.testing.assert_allclose(worked.taken.after, worked.step.after, rtol=1e-12)


def test_a_batch_larger_than_the_data_is_said(heights_csv, tmp_path, capsys):  # noqa: F811
    from sightline.cli import main

    with pytest.raises(SystemExit):
        main(["fit", str(heights_csv), FORMULA, "--batch-size", "1000", "--epochs", "1", "--output", str(tmp_path)])
    assert "full batch (there are no 1,000 rows)" in " ".join(capsys.readouterr().err.split())
