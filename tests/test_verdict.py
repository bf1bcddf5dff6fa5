"""Verdicts and warnings: the facts of the running example, and that every fix that a warning names does fix the run."""

from __future__ import annotations

import ast
import json
import math
import shlex
from itertools import pairwise

import numpy as np
import pytest
import torch

import sightline
from sightline.cli import main
from sightline.linear.curvature import best_momentum, epochs_per_digit, epochs_per_factor
from tests.conftest import HEIGHTS
from tests.plain import plain_loop, running_example

START = {"Intercept": -35.0, "height": 0.45}
CLASSIC = {"lr": 3e-6, "epochs": 20, "standardize": False, "start": START}
X = np.array(HEIGHTS["height"])
Y = np.array(HEIGHTS["weight"])
EXACT = (-1916.0 / 73.0, 413.0 / 730.0)  # the normal equations by hand: Sxy / Sxx = 413 / 730, ȳ - slope · 168


def classic(**more):
    return sightline.fit(HEIGHTS, "weight ~ height", output=False, **{**CLASSIC, **more})


def codes(run):
    return [w.code for w in run.verdict.warnings]


def hessian():
    """The second derivative of the loss by automatic differentiation, not from moments."""
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    return torch.autograd.functional.hessian(
        lambda t: ((x * t[0] + t[1] - y) ** 2).mean(), torch.zeros(2, dtype=torch.float64)
    )


# The running example


def test_exact_answer_of_the_running_example():
    run = classic()
    assert [c.exact for c in run.coefficients] == pytest.approx(EXACT, rel=1e-13)
    residual = Y - EXACT[0] - EXACT[1] * X
    loss = float(residual @ residual) / 5.0
    assert loss == pytest.approx(29.0287671233, abs=1e-10)
    assert run.to_dict()["exact_loss"] == pytest.approx(loss, rel=1e-13)
    errors = [c.std_error for c in run.coefficients]
    sigma2, sxx = 5.0 * loss / 3.0, float(((X - 168.0) ** 2).sum())
    assert errors == pytest.approx([math.sqrt(sigma2 * (0.2 + 168.0**2 / sxx)), math.sqrt(sigma2 / sxx)], rel=1e-12)
    assert [round(e, 2) for e in errors] == [43.36, 0.26]


def test_twenty_epochs_of_the_running_example():
    """Against the plain loop in float64; another order of summation differs by rounding, below 1e-12 of each number."""
    model, x, y = running_example()
    losses, states = plain_loop(model, x, y, torch.nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=3e-6), 20)
    run = classic()
    assert [e.train_loss for e in run.epochs] == pytest.approx(losses, rel=1e-12)
    assert [e.number for e in run.epochs] == list(range(21))
    slopes = [state[0].item() for state in states]
    assert [e.parameters["height"] for e in run.epochs] == pytest.approx(slopes, rel=1e-12)
    assert losses[0] == pytest.approx(826.225, rel=1e-14)
    estimates = [c.estimate for c in run.coefficients]
    assert estimates == pytest.approx([-34.9990259714, 0.6135704920], abs=5e-11)
    assert run.to_dict()["loss"] == pytest.approx(29.8798, abs=5e-5)
    assert run.epochs[20].running_loss == pytest.approx(30.0865, abs=5e-5)


def test_verdict_of_the_running_example():
    run = classic()
    off = [c.off_by for c in run.coefficients]
    assert [round(v, 2) for v in off] == [-0.20, 0.19]
    assert off == pytest.approx(
        [(c.estimate - e) / c.std_error for c, e in zip(run.coefficients, EXACT, strict=True)], rel=1e-9
    )
    assert run.verdict.name == "NOT_CONVERGED"
    assert codes(run) == ["SL-COND", "SL-SLOW"]
    assert "0.851 above the exact 29.0288" in run.verdict.sentence
    assert run.to_dict()["excess"] == pytest.approx(29.8798166757 - 29.0287671233, abs=2e-10)


def test_curvature_of_the_running_example():
    values = torch.linalg.eigvalsh(hessian()).tolist()
    curvature = classic().to_dict()["curvature"]
    # eigvalsh is good to eps · λmax absolute: 1e-11 of 0.0103 is 1e-9 relative
    assert curvature["min"] == pytest.approx(values[0], rel=3e-9)
    assert curvature["max"] == pytest.approx(values[1], rel=1e-13)
    # the smaller one exactly: determinant of the Hessian over the larger, and the determinant is 4 · Sxx / n
    assert curvature["min"] == pytest.approx(4.0 * 146.0 / curvature["max"], rel=1e-11)
    assert curvature["min"] == pytest.approx(0.0102922, abs=5e-8)
    assert curvature["max"] == pytest.approx(56741.99, abs=5e-3)
    assert curvature["condition"] == pytest.approx(5.51e6, rel=1e-3)
    assert curvature["lr_limit"] == pytest.approx(3.52473e-5, rel=1e-6)
    assert curvature["lr_limit"] == pytest.approx(2.0 / values[1], rel=1e-13)


def test_speed_of_the_running_example():
    small, large = 0.010292201648, 56741.989707799
    time_constant = -1.0 / math.log1p(-3e-6 * small)
    assert epochs_per_factor(1.0 - 3e-6 * small) == pytest.approx(time_constant, rel=1e-6)  # 1 - 3e-8 has 9 digits left
    root = math.sqrt(large / small)
    momentum = ((root - 1.0) / (root + 1.0)) ** 2
    slow = next(w for w in classic().verdict.warnings if w.code == "SL-SLOW")
    assert round(time_constant / 1e6, 1) == 32.4
    assert "32.4 million epochs for each factor e" in slow.text
    assert round(momentum, 4) == 0.9983
    assert round(-math.log(10.0) / math.log(math.sqrt(momentum))) == 2703
    assert "2,703 epochs for each digit" in slow.text
    assert "0.9983" in slow.text
    assert "3.525e-05" in slow.text


def test_best_momentum_of_the_running_example_by_hand():
    """Rate 7.04e-5 with momentum 0.9983: 2703 epochs more take a digit off the slow direction."""
    from sightline.linear.curvature import Curvature

    values, vectors = np.linalg.eigh(hessian().numpy())
    lr, momentum = best_momentum(Curvature(values[::-1], vectors.T[::-1], 2))
    assert lr == pytest.approx(7.04e-5, rel=1e-3)
    assert round(momentum, 4) == 0.9983
    assert round(epochs_per_digit(math.sqrt(momentum))) == 2703
    bent, theta, velocity = hessian().numpy(), np.array([0.45, -35.0]), np.zeros(2)
    goal, distance = np.array(EXACT[::-1]), []
    for _ in range(11706):
        distance.append(abs(theta[1] - goal[1]))
        velocity = momentum * velocity + bent @ (theta - goal)
        theta = theta - lr * velocity
    # a double root: the error is (a + b t) ρ^t, so one digit's epochs late in the run shrink it by a little under ten
    # (an even number of epochs, since the steep direction alternates)
    assert 7.0 < distance[9000] / distance[9000 + 2704] < 10.0


def test_freeze_of_the_running_example_in_float32():
    model, x, y = running_example(torch.float32)
    sgd = torch.optim.SGD(model.parameters(), lr=3e-6)
    losses, states = plain_loop(model, x, y, torch.nn.MSELoss(), sgd, 150)
    changed = [any(not torch.equal(a, b) for a, b in zip(u, v, strict=True)) for u, v in pairwise(states)]
    last = max(i + 1 for i, c in enumerate(changed) if c)
    assert last == 74
    short, long = classic(dtype="float32"), classic(dtype="float32", epochs=None)
    assert short.to_dict()["frozen_at"] == long.to_dict()["frozen_at"] == last  # forecast, and seen
    for run in (short, long):
        assert run.verdict.name == "NOT_CONVERGED"
        assert codes(run) == ["SL-COND", "SL-SLOW", "SL-FROZEN"]
        assert "cannot converge" in run.verdict.sentence
    frozen = short.verdict.warnings[-1].text
    assert "float32" in frozen
    assert "epoch 74" in frozen
    assert f"{losses[-1]:.3f}" in frozen  # the loss from then on, 29.423
    assert long.epochs[-1].stop.reason == "frozen"
    assert [f"{c.estimate:.8f}" for c in long.coefficients] == ["-34.99900818", "0.61758298"]


def test_a_rate_above_the_limit():
    model, x, y = running_example()
    losses, _ = plain_loop(model, x, y, torch.nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=4e-5), 20)
    run = classic(lr=4e-5)
    ends = next(i for i, loss in enumerate(losses) if loss > 1e3 * max(losses[0], float(Y.var())))
    assert run.verdict.name == "DIVERGED"
    assert run.epochs[-1].number == ends
    assert codes(run)[:1] == ["SL-LR-LIMIT"]
    assert "SL-DIVERGED" in codes(run)
    text = run.verdict.warnings[0].text
    assert "3.525e-05" in text
    assert f"by {4e-5 * 56741.98970779835 - 1.0:.3g}" in text  # |1 - lr λmax| = 1.27
    assert f"{4e-5 / 3.5247265918930745e-05:.3g} times" in run.verdict.warnings[-1].text


def test_a_rate_just_below_the_limit_is_not_warned_of():
    run = classic(lr=3.5e-5)
    assert "SL-LR-LIMIT" not in codes(run)
    assert run.verdict.name == "NOT_CONVERGED"


def test_converged_in_one_epoch_when_standardized():
    run = sightline.fit(HEIGHTS, "weight ~ height", output=False)
    assert run.verdict.name == "CONVERGED"
    assert run.epochs[-1].number == 1
    assert codes(run) == []
    assert [c.estimate for c in run.coefficients] == pytest.approx(EXACT, rel=1e-12)
    assert run.to_dict()["curvature"]["condition"] == pytest.approx(1.0, abs=1e-12)


def test_a_run_that_rounding_has_ended_says_so_with_an_automatic_rate_too():
    """The bias, 20000, is rounded by 1e-3 in float32: far more than 1e-5 of a standard deviation of the target."""
    run = sightline.fit(far_target(), "y ~ a", output=False, dtype="float32")
    assert run.verdict.name == "NOT_CONVERGED"
    assert run.epochs[-1].stop.reason == "frozen"
    assert run.to_dict()["frozen_at"] is not None
    assert "SL-FROZEN" in codes(run)


# Every fix works: the command with the fix added ends converged, at the answer that numpy finds


def numbers(seed, n, p):
    return np.random.default_rng(seed).normal(size=(n, p))


def near_copies():
    a = numbers(1, 60, 3)
    return {"a": a[:, 0], "b": a[:, 0] + 3e-3 * a[:, 1], "y": 2.0 + a[:, 0] + a[:, 2]}


def scales():
    a = numbers(2, 50, 4)
    return {"a": 1000.0 * a[:, 0], "b": 0.01 * a[:, 1], "c": 5.0 + a[:, 2], "y": a.sum(axis=1)}


def nearer():
    return {"a": [h - 150.0 for h in HEIGHTS["height"]], "y": HEIGHTS["weight"]}


def far_target():
    a = numbers(3, 40, 2)
    return {"a": 30.0 + a[:, 0], "y": 20000.0 + a.sum(axis=1)}


def plain_columns():
    a = numbers(4, 50, 3)
    return {"a": a[:, 0], "b": 3.0 + 2.0 * a[:, 1], "y": 1.0 + a.sum(axis=1)}


CLASSIC_LINE = "--no-standardize --start Intercept=-35,height=0.45"
COMMANDS = {
    "classic": (lambda: HEIGHTS, "weight ~ height", f"--lr 3e-6 --epochs 20 {CLASSIC_LINE}"),
    "classic, float32": (lambda: HEIGHTS, "weight ~ height", f"--lr 3e-6 --epochs 20 --dtype float32 {CLASSIC_LINE}"),
    "classic, above the limit": (lambda: HEIGHTS, "weight ~ height", f"--lr 4e-5 --epochs 20 {CLASSIC_LINE}"),
    "classic, nesterov": (
        lambda: HEIGHTS, "weight ~ height", f"--lr 7e-6 --momentum 0.9 --nesterov --epochs 20 {CLASSIC_LINE}",
    ),
    "one epoch": (nearer, "y ~ a", "--lr 3e-5 --epochs 1 --no-standardize"),
    "momentum": (nearer, "y ~ a", "--lr 1e-5 --momentum 0.9 --epochs 20 --no-standardize"),
    "momentum above the limit": (nearer, "y ~ a", "--lr 0.1 --momentum 0.9 --epochs 200 --no-standardize"),
    "nesterov": (nearer, "y ~ a", "--lr 1e-5 --momentum 0.9 --nesterov --epochs 20 --no-standardize"),
    "nesterov above the limit": (
        nearer, "y ~ a", "--lr 0.1 --momentum 0.9 --nesterov --epochs 200 --no-standardize",
    ),
    "weight decay": (nearer, "y ~ a", "--lr 1e-5 --weight-decay 0.1 --epochs 20 --no-standardize"),
    "adam, steep": (lambda: HEIGHTS, "weight ~ height", f"--optimizer adam --lr 0.01 --epochs 100 {CLASSIC_LINE}"),
    "adam, steep, standardized": (near_copies, "y ~ a + b", "--optimizer adam --lr 0.01 --epochs 100"),
    "near copies": (near_copies, "y ~ a + b", "--lr 0.1 --epochs 50"),
    "near copies, float32": (near_copies, "y ~ a + b", "--lr 0.1 --epochs 50 --dtype float32"),
    "near copies, above the limit": (near_copies, "y ~ a + b", "--lr 1.5 --epochs 50"),
    "scales": (scales, "y ~ a + b + c", "--lr 1e-8 --epochs 30 --no-standardize"),
    "scales, no intercept": (scales, "y ~ 0 + a + b + c", "--lr 1e-8 --epochs 30 --no-standardize"),
    "scales, above the limit": (scales, "y ~ a + b + c", "--lr 1e-4 --epochs 30 --no-standardize"),
    "far target, float32": (far_target, "y ~ a", "--lr 1e-4 --epochs 30 --no-standardize --dtype float32"),
    "too slow only": (plain_columns, "y ~ a + b", "--lr 1e-4 --epochs 30"),
    "too slow, momentum": (plain_columns, "y ~ a + b", "--lr 1e-4 --momentum 0.95 --epochs 30"),
    "adam, too few epochs": (plain_columns, "y ~ a + b", "--optimizer adam --lr 0.01 --epochs 20"),
}  # fmt: skip


def write_csv(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(repr(float(v)) for v in row) for row in rows)]) + "\n")
    return path


def run_line(line, capsys):
    """A command line, in this process; its exit code and JSON object."""
    with pytest.raises(SystemExit) as left:
        main([*line, "--json"])
    shown = capsys.readouterr()
    return left.value.code, json.loads(shown.out or json.dumps({"verdict": shown.err, "excess": None}))


def answer(columns, formula, weight_decay=0.0, *, standardize=False):
    """Coefficients by name from numpy's SVD; with weight decay those penalized in training coordinates."""
    names = [t for t in formula.split("~")[1].replace(" ", "").split("+") if t != "0"]
    Z = np.column_stack([np.asarray(columns[n], dtype=float) for n in names])
    y = np.asarray(columns[formula.split(" ~")[0]], dtype=float)
    center, scale = (Z.mean(axis=0), Z.std(axis=0)) if standardize else (np.zeros(len(names)), np.ones(len(names)))
    intercept = "0" not in formula.replace(" ", "").split("~")[1].split("+")
    if standardize and not intercept:
        center, scale = 0.0 * center, np.sqrt((Z**2).mean(axis=0))
    Z = (Z - center) / scale
    if intercept:
        Z = np.column_stack([Z, np.ones(len(y))])
    q = Z.shape[1]
    Z = np.vstack([Z, math.sqrt(weight_decay * len(y) / 2.0) * np.eye(q)])
    theta = np.linalg.lstsq(Z, np.append(y, np.zeros(q)), rcond=None)[0]
    found = dict(zip(names, theta[: len(names)] / scale, strict=True))
    if intercept:
        found["Intercept"] = theta[-1] - sum(found[n] * c for n, c in zip(names, center, strict=True))
    return found


def predictions(columns, coefficients):
    return sum(v * (np.asarray(columns[n], dtype=float) if n != "Intercept" else 1.0) for n, v in coefficients.items())


def warnings_of(case, tmp_path, capsys):
    load, formula, line = COMMANDS[case]
    columns = load()
    data = str(write_csv(tmp_path / "my data.csv", columns))
    command = ["fit", data, formula, *line.split(), "--figures", "none"]
    return columns, formula, command, run_line(command, capsys)[1]


@pytest.mark.parametrize("case", COMMANDS)
def test_every_fix_fixes(case, tmp_path, capsys):
    columns, formula, command, first = warnings_of(case, tmp_path, capsys)
    assert first["verdict"] in ("NOT_CONVERGED", "DIVERGED")
    fixes = {fix for warning in first["warnings"] for fix in warning["fix"]}
    assert fixes
    decay = float(command[command.index("--weight-decay") + 1]) if "--weight-decay" in command else 0.0
    failed = []
    for fix in sorted(fixes):
        words = shlex.split(fix, comments=True)
        line = words[1:] if words[0] == "sightline" else [*command, *words, "--require-converged"]
        code, result = run_line(line, capsys)
        if code != 0 or result["verdict"] != "CONVERGED":
            failed.append(f"{fix!r}: {result['verdict']}, excess {result['excess']}")
            continue
        # the contract of CONVERGED, checked with numpy: the mean square between both predictions is the excess
        weight_decay = decay if words[0] != "sightline" else 0.0
        best = answer(
            columns, formula, weight_decay, standardize="--standardize" in words or "--no-standardize" not in line
        )
        moved = predictions(columns, {c["term"]: c["estimate"] for c in result["coef"]}) - predictions(columns, best)
        y = np.asarray(columns[formula.split(" ~")[0]], dtype=float)
        baseline = float(np.mean(y**2)) if "0 +" in formula else float(y.var())
        assert float(np.mean(moved**2)) <= 1.01e-10 * baseline, fix
    assert not failed


@pytest.mark.parametrize("case", ["classic", "classic, float32", "classic, above the limit"])
def test_one_epoch_is_enough_where_a_fix_says_so(case, tmp_path, capsys):
    _, _, command, first = warnings_of(case, tmp_path, capsys)
    promised = {fix for w in first["warnings"] for fix in w["fix"] if fix.endswith("# 1 epoch")}
    assert promised
    for fix in promised:
        code, result = run_line([*command, *shlex.split(fix, comments=True), "--epochs", "1"], capsys)
        assert (code, result["verdict"], result["epochs"]) == (0, "CONVERGED", 1)


def test_solve_fix_for_data_in_memory():
    run = classic()
    fix = next(f for w in run.verdict.warnings for f in w.fix if f.startswith("sightline.solve"))
    call = ast.parse(fix, mode="eval").body
    assert ast.unparse(call.func) == "sightline.solve"
    assert ast.unparse(call.args[0]) == "data"
    solved = sightline.solve(HEIGHTS, ast.literal_eval(call.args[1]))
    assert [c.estimate for c in solved.coefficients] == pytest.approx(EXACT, rel=1e-13)


def test_fix_of_a_path_with_quotes_and_spaces(tmp_path, capsys):
    path = write_csv(tmp_path / "a 'b' $c.csv", HEIGHTS)
    _, first = run_line(
        ["fit", str(path), "weight ~ height", "--lr", "1e-6", "--epochs", "3", "--no-standardize"], capsys
    )
    fix = next(f for w in first["warnings"] for f in w["fix"] if f.startswith("sightline solve"))
    code, result = run_line(shlex.split(fix, comments=True)[1:], capsys)
    assert code == 0
    assert [c["exact"] for c in result["coef"]] == pytest.approx(EXACT, rel=1e-13)


@pytest.mark.parametrize(
    ("columns", "formula", "code"),
    [
        ({"a": [1.0, 2, 3, 4, 6], "b": [7.0] * 5, "y": [1.0, 3, 2, 5, 4]}, "y ~ a + b", "SL-CONSTANT"),
        ({"a": [1.0, 2, 3, 4, 6], "b": [2.0, 4, 6, 8, 12], "y": [1.0, 3, 2, 5, 4]}, "y ~ a + b", "SL-COLLINEAR"),
    ],
)
def test_removing_the_column_that_a_fix_names_ends_the_warning(columns, formula, code):
    run = sightline.fit(columns, formula, output=False)
    (fix,) = next(w.fix for w in run.verdict.warnings if w.code == code)
    name = fix.removeprefix("remove ").removesuffix(" from the formula")
    kept = [t for t in ("a", "b") if t != name]
    assert len(kept) == 1
    again = sightline.fit(columns, f"y ~ {kept[0]}", output=False)
    assert codes(again) == []
    np.testing.assert_allclose(
        again.predict(columns), run.predict(columns), rtol=1e-6
    )  # 1e-10 of the baseline in the loss


# Verdicts by their definition


def test_converged_is_an_excess_of_1e_10_of_the_baseline():
    """Epochs are counted out just before and just after the mark is crossed, by the plain loop's own loss."""
    table = plain_columns()
    Z = np.column_stack([table["a"], table["b"]])
    x = torch.from_numpy((Z - Z.mean(axis=0)) / Z.std(axis=0))
    y = torch.from_numpy(table["y"])[:, None]
    design = np.column_stack([x.numpy(), np.ones(50)])
    best = float(np.mean((table["y"] - design @ np.linalg.lstsq(design, table["y"], rcond=None)[0]) ** 2))
    model = torch.nn.Linear(2, 1, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    losses, _ = plain_loop(model, x, y, torch.nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=0.1), 200)
    mark = 1e-10 * float(table["y"].var())
    crossed = next(i for i, loss in enumerate(losses) if loss - best <= mark)
    assert (losses[crossed - 1] - best) / (losses[crossed] - best) > 1.3  # far more than the rounding of either
    names = [
        sightline.fit(table, "y ~ a + b", output=False, lr=0.1, epochs=n).verdict.name for n in (crossed - 1, crossed)
    ]
    assert names == ["NOT_CONVERGED", "CONVERGED"]


@pytest.mark.parametrize("standardize", [True, False])
def test_converged_means_the_same_in_float32(standardize):
    """A bias near 20000 in float32 is rounded by up to 1e-3: only a run that came closer has converged."""
    table = far_target()
    run = sightline.fit(table, "y ~ a", output=False, dtype="float32", standardize=standardize, lr=1e-4, epochs=20)
    again = sightline.fit(table, "y ~ a", output=False, dtype="float32")
    best = predictions(table, answer(table, "y ~ a"))
    for one in (run, again):
        excess = float(np.mean((one.predict(table) - best) ** 2))
        assert (one.verdict.name == "CONVERGED") == (excess <= 1e-10 * float(table["y"].var()))


def test_training_without_epochs_goes_on_to_1e_14():
    table = near_copies()
    run = sightline.fit(table, "y ~ a + b", output=False)
    best = predictions(table, answer(table, "y ~ a + b"))
    excess = float(np.mean((run.predict(table) - best) ** 2))
    assert run.epochs[-1].stop.reason == "converged"
    assert excess <= 1.1e-14 * float(table["y"].var())
    assert run.epochs[-2].train_loss - float(np.mean((table["y"] - best) ** 2)) > 0.9e-14 * float(table["y"].var())


@pytest.mark.parametrize("lr", [3e38, 1e308])
def test_overflow_is_divergence_and_json_null(lr):
    run = sightline.fit(
        HEIGHTS, "weight ~ height", output=False, lr=lr, epochs=20, dtype="float32" if lr < 1e39 else "float64"
    )
    assert run.verdict.name == "DIVERGED"
    json.dumps(run.to_dict(), allow_nan=False)


def test_diverged_means_a_thousand_times_the_larger_of_start_and_baseline():
    """From a start at the optimum the first loss is small, so the baseline counts."""
    run = sightline.fit(
        HEIGHTS, "weight ~ height", output=False, lr=4e-5, epochs=2000, standardize=False,
        start={"Intercept": EXACT[0], "height": EXACT[1] + 1e-3},
    )  # fmt: skip
    ceiling = 1e3 * float(Y.var())
    assert run.epochs[0].train_loss < float(Y.var())
    assert run.verdict.name == "DIVERGED"
    assert run.epochs[-1].train_loss > ceiling >= run.epochs[-2].train_loss


def test_adamw_is_said_to_settle_beside_the_answer():
    run = sightline.fit(HEIGHTS, "weight ~ height", output=False, optimizer="adamw")
    assert run.verdict.name == "NOT_CONVERGED"
    (warning,) = run.verdict.warnings
    assert warning.code == "SL-DECAY"
    assert "0.01" in warning.text
    free = sightline.fit(HEIGHTS, "weight ~ height", output=False, optimizer="adamw", weight_decay=0.0)
    assert free.verdict.name == "CONVERGED"


@pytest.mark.parametrize("settings", [{"optimizer": "rmsprop", "lr": 0.3}, {"batch_size": 8, "lr": 0.05}])
def test_runs_that_circle_are_told_so_and_not_to_train_longer(settings):
    rng = np.random.default_rng(5)
    table = {"a": rng.normal(size=64), "b": rng.normal(size=64)}
    table["y"] = table["a"] - table["b"] + rng.normal(size=64)
    table["b"] = 0.9 * table["a"] + 0.4 * table["b"]  # correlated: no step by sign arrives at both at once
    run = sightline.fit(table, "y ~ a + b", output=False, **settings)
    assert run.verdict.name == "NOT_CONVERGED"
    best = min(run.epochs, key=lambda e: e.train_loss).number
    assert best < run.epochs[-1].number - 400
    (warning,) = run.verdict.warnings
    assert f"has not improved since epoch {best:,}" in warning.text
    assert not any(
        "--epochs" in fix and "--optimizer sgd" not in fix and "--batch-size full" not in fix for fix in warning.fix
    )


def test_a_rate_above_the_limit_that_runs_out_of_epochs_has_a_verdict():
    run = classic(lr=4e-5, epochs=4)
    assert run.verdict.name == "NOT_CONVERGED"
    assert codes(run)[0] == "SL-LR-LIMIT"
