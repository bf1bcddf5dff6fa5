"""The tutorial: its numbers, its script and its texts, against plain PyTorch written out here."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from torch import nn

HEIGHTS, WEIGHTS = [150, 160, 170, 175, 185], [55, 70, 64, 80, 75]
HOURS = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
PASSED = [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1]
DAYS = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
LOOKS = [1, 1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 0, 2, 0, 2, 0, 0, 0]  # brown, green, ripe
STEPS = ["1. Set-up", "2. Data", "3. Model", "4. Loss", "5. Optimizer", "6. Loop", "7. Figures"]


def column(values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1)


def model_at(weight, bias, k=1):
    model = nn.Linear(1, k)
    with torch.no_grad():
        model.weight.fill_(weight)
        model.bias.fill_(bias)
    return model


def printed(model, x, y, criterion, optimizer, epochs=20):
    """What the classic script prints for each epoch."""
    lines = []
    for epoch in range(epochs):
        outputs = model(x)
        loss = criterion(outputs, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        weight, bias = (" ".join(f"{v:.4f}" for v in p.flatten().tolist()) for p in model.parameters())
        lines += [f"Epoch: {epoch + 1}, train loss: {loss.item():.4f}", f"Weight: {weight}, Bias: {bias}"]
        if isinstance(criterion, nn.BCEWithLogitsLoss):
            lines.append(f"Accuracy: {((torch.sigmoid(outputs) > 0.5).float() == y).double().mean().item():.4f}")
        if isinstance(criterion, nn.CrossEntropyLoss):
            lines.append(f"Accuracy: {(outputs.detach().numpy().argmax(axis=1) == y.numpy()).mean():.4f}")
        lines.append("-" * 20)
    return "\n".join(lines) + "\n"


def classic_part(out):
    return out.partition("\nWhat the script does not tell:\n")[0]


def code_of(err):
    """The lines of the script, as the lesson shows them."""
    return "\n".join(line[4:] for line in err.partition("warning ")[0].splitlines() if line.startswith("    "))


def ran_here(script, monkeypatch):
    """What a script prints."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    sys.modules["matplotlib.pyplot"].close("all")
    return out.getvalue()


def test_the_script_in_the_run_folder_runs_by_itself(tutorial, tmp_path):
    done = tutorial("--epochs", "2")
    (kept,) = (tmp_path / "r").glob("*/script.py")
    ran = subprocess.run([sys.executable, kept], capture_output=True, text=True, check=True)
    assert ran.stdout == classic_part(done.out)
    assert ran.stderr == ""


def as_one_line(text):
    return " ".join(text.split())


@pytest.fixture
def tutorial(cli, tmp_path, monkeypatch):
    """The command with arguments, without figures, runs to ./r."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: cli("tutorial", "--no-figures", "--output", "r", *arguments)


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "smooth-l1"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_prints_what_the_plain_loop_prints(tutorial, optimizer, loss):
    lr = {"SGD": 3e-6 if loss == "mse" else 4e-5, "Adam": 0.013, "RMSprop": 0.004}[optimizer]
    criteria = {"mse": nn.MSELoss, "l1": nn.L1Loss, "huber": nn.HuberLoss, "smooth-l1": nn.SmoothL1Loss}
    model = model_at(0.45, -35.0)
    step = getattr(torch.optim, optimizer)(model.parameters(), lr=lr)
    done = tutorial("--optimizer", optimizer.lower(), "--loss", loss, "--lr", lr)
    assert done.code == 0
    assert classic_part(done.out) == printed(model, column(HEIGHTS), column(WEIGHTS), criteria[loss](), step)


@pytest.mark.parametrize(("optimizer", "lr"), [("SGD", 0.2), ("Adam", 0.1)])
def test_classes_print_what_the_plain_loop_prints(tutorial, optimizer, lr):
    model = model_at(0.0, 0.0)
    step = getattr(torch.optim, optimizer)(model.parameters(), lr=lr)
    want = printed(model, column(HOURS), column(PASSED), nn.BCEWithLogitsLoss(), step)
    assert classic_part(tutorial("--task", "classification", "--optimizer", optimizer).out) == want
    model = model_at(0.0, 0.0, 3)
    step = getattr(torch.optim, optimizer)(model.parameters(), lr=0.1)
    want = printed(model, column(DAYS), torch.tensor(LOOKS), nn.CrossEntropyLoss(), step)
    assert classic_part(tutorial("--task", "multiclass", "--optimizer", optimizer).out) == want


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--optimizer", "adam", "--loss", "huber", "--epochs", "3"],
        ["--optimizer", "lbfgs", "--epochs", "2"],
        ["--task", "classification", "--optimizer", "rmsprop", "--epochs", "4"],
        ["--task", "classification", "--optimizer", "lbfgs", "--epochs", "2"],
        ["--task", "multiclass", "--epochs", "3"],
    ],
)
def test_the_lines_of_the_script_are_a_script_that_prints_the_same(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = cli("tutorial", "--output", "r", *arguments)
    code = code_of(done.err)
    (kept,) = (tmp_path / "r").glob("*/script.py")
    assert "".join(code.split()) == "".join(re.sub(r"^# \d?[A-Z].*$", "", kept.read_text(), flags=re.M).split())
    assert ran_here(code, monkeypatch) == classic_part(done.out)
    assert [p.stat().st_size > 5000 for p in tmp_path.glob("*.png")] == [True]


def test_the_losses_of_the_script_are_those_of_the_records_to_the_last_bit(tutorial, tmp_path):
    done = tutorial()
    names = {}
    lines = code_of(done.err).replace("loss.backward()", "loss.backward(); losses.append(loss.item())")
    exec("losses = []\n" + lines, names)
    (records,) = (tmp_path / "r").glob("*/epochs.jsonl")
    assert names["losses"] == [json.loads(line)["running_loss"] for line in records.read_text().splitlines()][1:]


VARIANTS = [
    [],
    ["--plain"],
    *(["--optimizer", name] for name in ("adam", "adamw", "adamax", "nadam", "radam", "rmsprop", "adagrad", "rprop")),
    *(["--optimizer", name] for name in ("adadelta", "adafactor", "asgd", "lbfgs")),
    *(["--loss", loss, "--optimizer", name] for loss in ("l1", "huber", "smooth-l1") for name in ("sgd", "rmsprop")),
    *(["--task", task, "--optimizer", name] for task in ("classification", "multiclass") for name in ("sgd", "adam")),
    ["--lr", "4e-5", "--epochs", "40"],
    ["--task", "multiclass", "--lr", "0.3", "--epochs", "120"],
]


@pytest.mark.parametrize("arguments", VARIANTS, ids=" ".join)
def test_every_text_fits_80_columns_and_says_no_nonsense(tutorial, arguments):
    done = tutorial(*arguments)
    assert done.code == (4 if "4e-5" in arguments else 0)
    for line in (done.out + done.err).splitlines():
        assert len(line) <= 80, line
        assert line.startswith("    ") or not re.search(r"\bnan\b|\binf\b|None|[{}]|-0 ", line), line
    steps = re.findall(r"^\d\. .*$", done.err, re.M)
    assert steps == ([] if "--plain" in arguments else STEPS[:6])
    for paragraph in re.findall(r"^\d\. .*\n((?:\S.*\n)+)", done.err, re.M):
        assert paragraph.count("\n") <= 5


def test_plain_has_the_same_lines_without_the_lesson(tutorial):
    lesson, plain = tutorial(), tutorial("--plain")
    assert classic_part(plain.out) == classic_part(lesson.out)
    assert "1. Set-up" not in plain.err
    assert "rate 3e-06 (as given), stable below 3.525e-05" in plain.err
    assert "The last loss printed" in lesson.out
    assert "The last loss printed" not in plain.out


def test_gradient_and_first_step_of_the_lesson(tutorial):
    model = model_at(0.45, -35.0).double()
    x, y = column(HEIGHTS).double(), column(WEIGHTS).double()
    nn.MSELoss()(model(x), y).backward()
    gradient = [model.weight.grad.item(), model.bias.grad.item()]
    text = as_one_line(tutorial().err)
    assert f"is {gradient[0]:.4g} for the weight and {gradient[1]:.4g} for the bias" in text
    assert f"by {-3e-6 * gradient[0]:+.3g} and {-3e-6 * gradient[1]:+.3g}" in text
    X = np.column_stack([HEIGHTS, np.ones(5)])
    assert f"stable below lr {2.0 / np.linalg.eigvalsh(2.0 * X.T @ X / 5)[-1]:.4g}" in text
    assert np.mean(np.array(WEIGHTS) - (0.45 * np.array(HEIGHTS) - 35.0)) == pytest.approx(28.2)


@pytest.mark.parametrize(
    ("optimizer", "lr", "moves"),
    [("adam", 0.02, "+0.02 and +0.02"), ("rmsprop", 0.003, "10 lr, whatever the gradient, +0.03 and +0.03")],
)
def test_the_first_step_of_a_scaled_optimizer_is_told(tutorial, optimizer, lr, moves):
    assert moves in as_one_line(tutorial("--optimizer", optimizer, "--lr", lr).err)
    cls = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[optimizer]
    model = model_at(0.45, -35.0).double()
    step = cls(model.parameters(), lr=lr)
    printed(model, column(HEIGHTS).double(), column(WEIGHTS).double(), nn.MSELoss(), step, epochs=1)
    size = float(moves.rpartition("+")[2])
    assert model.weight.item() - 0.45 == pytest.approx(size, rel=1e-6)
    assert model.bias.item() + 35.0 == pytest.approx(size, rel=1e-6)


def test_what_is_told_of_adam(tutorial):
    """The scaled curvature at the start, the way that is left, and the best of the rates, each worked out here."""
    told = as_one_line(tutorial("--optimizer", "adam").out)
    X = np.column_stack([HEIGHTS, np.ones(5)]).astype(float)
    gradient = 2.0 * X.T @ (X @ [0.45, -35.0] - WEIGHTS) / 5
    steepest = np.linalg.eigvals(np.diag(1.0 / np.abs(gradient)) @ (2.0 * X.T @ X / 5)).real.max()
    assert f"it would be {2.0 * 1.9 / (0.1 * steepest):.4g}: a guide only" in told
    ends = {}
    for lr in (float(f"{d}e{e}") for e in range(-6, 2) for d in (1, 2, 5)):
        model = model_at(0.45, -35.0)
        printed(model, column(HEIGHTS), column(WEIGHTS), nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=lr))
        theta = np.array([model.weight.item(), model.bias.item()])
        ends[lr] = np.mean((X @ theta - WEIGHTS) ** 2)
        if lr == 0.01:
            left = abs(theta[1] + 26.2465753424658)
    best = min(ends, key=ends.get)
    assert f"{best:g} ends lowest, {ends[best] - 29.0287671232877:.3g} above the exact loss, so none arrives" in told
    assert f"Intercept has {left:.4g} left to go: {left / 0.01:.0f} steps of size lr" in told


def test_the_page_has_the_steps_that_are_left(tutorial):
    page = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
    for optimizer, row in (("adam", "the bias has 858 steps"), ("rmsprop", "likewise, 1,717 steps left")):
        steps = re.search(r"left to go: (\S+ steps) of size lr", as_one_line(tutorial("--optimizer", optimizer).out))
        assert steps[1] in row
        assert row in page


def test_what_is_told_of_classes(tutorial):
    done = tutorial("--task", "classification")
    exact = sm.Logit(PASSED, sm.add_constant(np.array(HOURS, float))).fit(disp=0, tol=1e-12)
    assert f"even chances at {-exact.params[0] / exact.params[1]:.3g} hours" in as_one_line(done.out)
    row = re.search(r"hours +0\.2033 +(\S+) +(\S+)", done.out)
    assert [float(v) for v in row.groups()] == pytest.approx([exact.params[1], exact.bse[1]], abs=6e-5)
    X = np.column_stack([HOURS, np.ones(16)])
    p = exact.predict()
    limit = 2.0 / np.linalg.eigvalsh(X.T @ (X * (p * (1 - p))[:, None]) / 16)[-1]
    assert f"Near the answer it is stable below lr {limit:.4g}" in as_one_line(done.err)
    assert "SL-SEPARABLE" in done.out
    done = tutorial("--task", "multiclass")
    assert "differences between scores" in as_one_line(done.out)
    assert re.search(r"green: Intercept .* 14\.068", done.out)


@pytest.mark.parametrize("task", ["regression", "classification", "multiclass"])
def test_a_figure_for_every_epoch(cli, tmp_path, task):
    assert cli("tutorial", "--task", task, "--epochs", "3", "--output", tmp_path / "r").code == 0
    figures = {p.name: p.read_bytes() for p in (tmp_path / "r").glob("*/figures/*.png")}
    assert sorted(figures) == ["epoch-01.png", "epoch-02.png", "epoch-03.png", "loss.png", "raw-data.png"]
    assert len(set(figures.values())) == 5
    assert all(data.startswith(b"\x89PNG") and len(data) > 8000 for data in figures.values())


@pytest.mark.parametrize("arguments", [[], ["--task", "classification"]], ids=" ".join)
def test_every_remedy_leads_to_the_answer(cli, tutorial, arguments):
    done = tutorial(*arguments)
    block = done.out.partition("any one of these fixes it:")[2].replace("\\\n", " ")
    commands = re.findall(r"^    (sightline [^#\n]*)", block, re.M)
    assert len(commands) >= 2
    for command in commands:
        words = shlex.split(command)[1:]
        found = cli(*words, *(["--figures", "none", "--output", "r"] if words[0] == "fit" else []))
        assert found.code == 0
        assert words[0] == "solve" or "\nCONVERGED" in found.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "clasification"], "--task cannot be 'clasification': did you mean 'classification'?"),
        (["--loss", "hubr"], "--loss cannot be 'hubr': did you mean 'huber'?"),
        (["--optimizer", "adm"], "no optimizer 'adm': did you mean 'adam'?"),
        (["--loss", "bce"], "--loss bce is for two classes, not for --task regression: use --loss mse, or --task classification"),
        (["--task", "classification", "--loss", "mse"], "--loss mse is for numbers, not for --task classification"),
        (["--task", "multiclass", "--loss", "bce"], "--loss bce is for two classes, not for --task multiclass"),
        (["--epochs", "0"], "--epochs cannot be 0: give a whole number of at least 1"),
        (["--epochs", "-1"], "--epochs cannot be -1: give a whole number of at least 1"),
        (["--epochs", "1.5"], "'1.5' is not a valid integer"),
        (["--lr", "0"], "--lr cannot be 0: give a number above 0"),
        (["--lr", "-1"], "--lr cannot be -1: give a number above 0"),
        (["--lr", "nan"], "--lr cannot be nan: give a number above 0"),
        (["--optimizer", "muon"], "optimizer Muon steps matrices only"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(tutorial, arguments, sentence):
    done = tutorial(*arguments)
    assert done.code == 2
    assert sentence in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_rate_above_the_limit_is_said_before_and_after(tutorial):
    done = tutorial("--lr", "4e-5", "--epochs", "50")
    assert done.code == 4
    assert "SL-LR-LIMIT" in done.err
    assert "The script would go on for all 50 epochs" in done.out
    assert "DIVERGED" in done.out
