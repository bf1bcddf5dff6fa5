"""Every loss on data that are hard on it: extreme numbers, penalties, settings that fit no data."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

import sightline
from sightline.cli import main
from sightline.errors import UsageError
from sightline.job import Job
from sightline.prepare import prepare_for
from sightline.records import Stop
from sightline.settings import RunSettings
from sightline.verdict import judge

X = np.array([-1.2, 0.4, 0.9, -0.3, 2.1, 1.1, -0.8, 0.2])
Y = np.array([0.5, 1.9, 2.2, 1.0, 4.4, 3.9, -0.7, 1.2])


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def table(path, **columns):
    names = list(columns)
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    return path


@pytest.mark.parametrize("option", ["--lr", "--weight-decay", "--l2"])
def test_what_float32_cannot_hold_is_refused(tmp_path, capsys, option):
    path = table(tmp_path / "a.csv", x=X, y=Y)
    code, _, err = command(capsys, "fit", path, "y ~ x", "--dtype", "float32", option, "1e300")
    assert (code, err.count("\n")) == (2, 1)
    assert f"{option} cannot be 1e+300: the largest float32 is 3.4e+38" in err


@pytest.mark.parametrize("loss", ["l1", "huber", "hinge", "poisson-nll"])
def test_standard_errors_that_a_loss_has_not_are_refused_before_training(tmp_path, loss):
    data = {"x": X, "y": np.round(np.abs(Y))} if loss != "hinge" else {"x": X, "y": list("abababab")}
    with pytest.raises(UsageError, match="hc0 or hc1"):
        sightline.fit(data, "y ~ x", loss=loss, robust="hc3", output=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("loss", ["l1", "hinge"])
def test_the_rate_over_kinks_is_stable_for_the_penalty(loss):
    y = 1e12 * Y if loss == "l1" else ["a", "b", "a", "b", "b", "b", "a", "a"]
    run = sightline.fit({"x": X, "y": y}, "y ~ x", loss=loss, l2=0.1 if loss == "l1" else 500.0)
    assert run.verdict.name != "DIVERGED"
    assert run.result["optimizer"]["lr"] * run.settings.l2 <= 1.0


def test_a_group_of_zeros_does_not_make_the_rate_of_counts_too_large():
    data = {"x": [0] * 10 + [1] * 10, "y": [0] * 10 + list(range(10))}
    run = sightline.fit(data, "y ~ x", loss="poisson-nll")
    assert [w.code for w in run.verdict.warnings] == ["SL-INFINITE"]
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    assert run.result["excess"] < 0.05


@pytest.mark.parametrize("loss", ["mse", "huber", "smooth-l1"])
def test_a_constant_target_is_learned(loss):
    assert sightline.fit({"x": X, "y": [3.0] * 8}, "y ~ x", loss=loss, l2=0.1).verdict.name == "CONVERGED"


@pytest.mark.parametrize(("loss", "rate"), [("poisson-nll", "1e5"), ("mse", "1e300"), ("huber", "1e300")])
def test_a_run_that_diverged_is_told_and_predicts_without_a_word_of_numpy(tmp_path, capsys, loss, rate):
    path = table(tmp_path / "a.csv", x=X, y=np.round(np.abs(Y)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, out, _ = command(
            capsys, "fit", path, "y ~ x", "--loss", loss, "--lr", rate, "--json", "--output", tmp_path / "runs"
        )
        assert (code, json.loads(out)["verdict"]) == (4, "DIVERGED")
        (run,) = (tmp_path / "runs").iterdir()
        for asked in ("predict", "evaluate"):
            assert command(capsys, asked, run, path)[0] == 0


def test_a_loss_that_is_exact_from_the_start_is_drawn(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = sightline.fit({"x": X, "y": 0.0 * Y}, "y ~ x", loss="huber", output=tmp_path)
        run.figure()


def test_decoupled_weight_decay_is_not_called_a_penalty():
    run = sightline.fit({"x": X, "y": Y}, "y ~ x", optimizer="adamw", weight_decay=0.1, epochs=50)
    assert "penalized" not in run.summary()
    assert "penalized" in sightline.fit({"x": X, "y": Y}, "y ~ x", weight_decay=0.1).summary()


def test_no_standard_errors_are_named_where_there_are_none():
    run = sightline.fit({"x": X, "y": list("aabbabab")}, "y ~ x", loss="hinge", epochs=1)
    assert "of the exact answer:" in run.summary()
    assert (
        "of the exact answer (as are the standard errors):"
        in sightline.fit({"x": X, "y": Y}, "y ~ x", lr=1e-3, epochs=1).summary()
    )


def test_a_frame_that_is_not_known_is_one_sentence():
    with pytest.raises(UsageError, match="no DataFrame of 'spark9' here") as error:
        sightline.solve({"x": X, "y": Y}, "y ~ x").tidy("spark9")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("delta", [1e-3, 1e3])
def test_huber_with_any_delta_against_scipy(delta):
    run = sightline.solve({"x": X, "y": Y}, "y ~ x", loss="huber", loss_opt={"delta": delta})

    def mean(t):
        r = np.abs(Y - t[0] - t[1] * X)
        return float(np.where(r < delta, r**2 / 2, delta * (r - delta / 2)).mean())

    best = minimize(mean, [1.0, 1.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 9999})
    assert run.result["exact_loss"] == pytest.approx(best.fun, rel=1e-9)


@pytest.mark.parametrize("loss", ["bce", "cross-entropy", "hinge"])
def test_columns_whose_squares_overflow_are_refused_with_classes(loss):
    with pytest.raises(sightline.SightlineError, match=r"'x' of the dict reaches 2.1e\+300, whose square"):
        sightline.solve({"x": 1e300 * X, "y": list("aabbabab")}, "y ~ x", loss=loss)


@pytest.mark.parametrize(
    ("loss", "target"), [("huber", Y), ("bce", list("aabbabab")), ("poisson-nll", np.round(np.abs(Y)))]
)
def test_raw_columns_far_from_zero_are_told_to_be_standardized_and_that_converges(loss, target):
    data = {"x": 170.0 + 10.0 * X, "y": target}
    run = sightline.fit(data, "y ~ x", loss=loss, standardize=False, epochs=20)
    fix = run.verdict.warnings[-1].fix[0]
    options, cost = fix.split("  # ")
    assert options.startswith("--standardize --lr auto --momentum auto")
    assert int(cost.split()[0].replace(",", "")) < 200
    epochs = int(options.split("--epochs ")[1]) if "--epochs" in options else 20
    better = sightline.fit(data, "y ~ x", loss=loss, momentum="auto", lr="auto", epochs=epochs)
    assert better.verdict.name == "CONVERGED"


def test_a_minimum_below_the_one_that_was_found_is_told():
    """Of a loss that is not convex training may end lower than what descent found beforehand."""
    settings = RunSettings.of({"loss": "gaussian-nll", "lr": 0.01, "epochs": 5})
    job = Job.of(prepare_for(settings, {"x": X, "y": Y}, "y ~ x", target=None), settings)
    last = sightline.Epoch(5, 1.0, 1.0, None, 0.1, 0.01, 40, 0.0, {}, Stop("epochs", "all 5 epochs were run"))
    for excess, name in ((-0.5, "NOT_CONVERGED"), (-1e-14, "CONVERGED"), (0.5, "NOT_CONVERGED")):
        verdict = judge(replace(job.evidence, epochs=5, last=last, excess=excess), [])
        assert verdict.name == name
        assert ("0.5 below" in verdict.sentence and "not convex" in verdict.sentence) == (excess == -0.5)


def test_counts_of_zero_only_are_not_told_to_be_penalized():
    run = sightline.solve({"x": X, "y": [0.0] * 8}, "y ~ x", loss="poisson-nll")
    (warning,) = run.verdict.warnings
    assert (warning.code, "--l2" in warning.fix[0]) == ("SL-INFINITE", False)
