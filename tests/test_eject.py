"""Ejected scripts, run without sightline, against the runs that they repeat."""

from __future__ import annotations

import ast
import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sightline
from sightline.errors import RunError, UsageError
from sightline.exports.python_text import WIDTH, literal, remark

ROOT = Path(__file__).resolve().parent.parent
DRIVER = """
import json, runpy, sys
import torch

sys.modules["sightline"] = None  # an import of it fails
torch.set_num_threads(1)
found = {}
for path in sys.argv[1:]:
    names = runpy.run_path(path, run_name="__main__")
    assert [name for name in sys.modules if name.partition(".")[0] == "sightline"] == ["sightline"]
    model, loss = names["model"], names.get("running", names["loss"].item())
    assert type(model) is torch.nn.Linear and model.weight.is_leaf and model.weight.requires_grad
    torch.save(model.state_dict(), path + ".pt")
    found[path] = loss
json.dump(found, open("losses.json", "w"))
"""
ALONE = {"engine": "autograd", "epochs": 25}
THREE = "y ~ x1 + x2 + x3"
RUNS = {
    # losses, each on the full batch, weighted, and in weighted mini-batches
    **{
        f"{loss}-{how}": (f"{target} ~ x1 + x2 + x3", {"loss": loss, **more})
        for loss, target in {
            "mse": "y", "l1": "y", "huber": "y", "smooth-l1": "y", "poisson-nll": "count", "gaussian-nll": "y",
            "bce": "two", "bce-probability": "two", "cross-entropy": "three", "hinge": "two",
        }.items()
        for how, more in {
            "full": {},
            "weighted": {"weights": "w", "optimizer": "adam", "lr": 0.05},
            "batches": {"weights": "w", "batch_size": 16, "accumulate": 3, "l2": 0.1},
        }.items()
    },
    "huber-delta": (THREE, {"loss": "huber", "loss_opt": {"delta": 0.3}}),
    "smooth-beta": (THREE, {"loss": "smooth-l1", "loss_opt": {"beta": 0.3}}),
    "gaussian-eps": (THREE, {"loss": "gaussian-nll", "loss_opt": {"eps": 0.01}}),
    "smoothing": ("three ~ x1", {"loss": "cross-entropy", "loss_opt": {"label_smoothing": 0.1}}),
    "numbers-as-classes": ("flag ~ x1 + x2", {}),
    "two-scores": ("two ~ x1", {"loss": "cross-entropy"}),
    # optimizers
    **{f"by-{name}": (THREE, {"optimizer": name}) for name in ("adam", "adamw", "adagrad", "adadelta", "rmsprop",
       "adamax", "nadam", "radam", "asgd", "rprop", "adafactor", "lbfgs")},
    "by-muon": ("y ~ 0 + x1 + x2", {"optimizer": "muon", "lr": 0.1}),
    "options": (THREE, {"optimizer": "adam", "opt": {"betas": (0.8, 0.95), "amsgrad": True}, "lr": 0.03,
                        "weight_decay": 0.1}),
    "nesterov": (THREE, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    "lbfgs-batches": (THREE, {"optimizer": "lbfgs", "batch_size": 20, "schedule": "cosine", "loss": "huber"}),
    # schedules
    **{f"warm-{name}": (THREE, {"schedule": name, "warmup": 4, "lr": 0.1, "momentum": 0.9}) for name in (
       "step", "multi-step", "exponential", "cosine", "cosine-restarts", "linear", "constant", "polynomial",
       "plateau")},
    **{f"batches-{name}": (THREE, {"schedule": name, "lr": 0.1, "batch_size": 7}) for name in (
       "one-cycle", "cyclic", "plateau")},
    "warmup": (THREE, {"warmup": 5, "lr": 0.1, "batch_size": 7, "seed": 5}),
    "own-schedule-options": (THREE, {"schedule": "step", "schedule_opt": {"step_size": 3, "gamma": 0.7}}),
    # what goes around a step
    "clip-norm": (THREE, {"clip_norm": 0.3, "lr": 0.2}),
    "clip-value": (THREE, {"clip_value": 0.2, "lr": 0.2, "batch_size": 16}),
    "l1": (THREE, {"l1": 0.4, "lr": 0.1}),
    "l1-momentum": (THREE, {"l1": 0.4, "l2": 0.2, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "l1-schedule": ("y ~ x1", {"l1": 0.3, "schedule": "cosine", "lr": 0.1, "momentum": 0.5, "batch_size": 7,
                               "accumulate": 2, "clip_value": 0.5, "schedule_opt": {"T_max": 10}}),
    "large-seed": (THREE, {"seed": 2**63, "batch_size": 10, "epochs": 10}),
    # coordinates, start, dtype
    "raw": ("y ~ x1 + x2", {"standardize": False, "lr": 0.01}),
    "no-intercept": ("y ~ 0 + x1 + x2", {"l2": 0.1}),
    "one-no-intercept": ("y ~ 0 + x1", {}),
    "intercept-alone": ("y ~ 1", {"optimizer": "adam"}),
    "classes-intercept-alone": ("three ~ 1", {}),
    "started": (THREE, {"start": {"Intercept": -35.0, "x1": 0.45}}),
    "started-classes": ("three ~ x1 + x2", {"start": {"c: Intercept": -3.0, "c: x1": 0.45}, "dtype": "float32"}),
    "single": (THREE, {"dtype": "float32", "optimizer": "adam", "lr": 0.02, "epochs": 300}),
    "single-weighted": (THREE, {"dtype": "float32", "weights": "w", "batch_size": 16}),
    "constant-column": ("y ~ x1 + same", {}),
    "at-rest": (THREE, {"epochs": None, "lr": 0.2}),
    # what needs a prepared table
    "categories": ("y ~ x1 + three", {}),
    "validation": (THREE, {"validation": 0.3, "lr": 0.1, "optimizer": "adam", "epochs": 60}),
    "validation-patience": (THREE, {"validation": 0.3, "lr": 0.3, "patience": 5, "batch_size": 8, "epochs": 60}),
    "functions": ("y ~ log(w) + poly(x1, 2) + bs(x2, df=4)", {"weights": "w"}),
    "interaction": ("y ~ x1 * x2", {"dtype": "float32"}),
    "offset": ("y ~ x1 + offset(x3)", {}),
    "missing": ("y ~ holes", {}),
    "class-weights": ("two ~ x1", {"class_weight": "balanced"}),
    "class-weights-many": ("three ~ x1 + x2", {"class_weight": "balanced", "batch_size": 11, "weights": "w"}),
    "zero-weights": (THREE, {"weights": "some"}),
}  # fmt: skip
PREPARED = list(RUNS)[list(RUNS).index("categories") :]


def made(folder: Path) -> Path:
    """A table with all kinds of columns."""
    g, n = np.random.default_rng(1), 60
    x = {f"x{k}": g.normal(k, k + 1, n).round(4) for k in (1, 2, 3)}
    eta = sum(0.3 * v for v in x.values())
    noisy = eta + g.normal(0, 1, n)
    columns = {
        **x,
        "y": noisy.round(5),
        "count": g.poisson(np.exp(np.clip(0.4 * eta, -2, 2))),
        "two": np.where(noisy > 1.5, "yes", "no"),
        "flag": (noisy > 1.5).astype(int),
        "three": np.array(["a", "b", "c"])[np.clip(np.round(noisy).astype(int), 0, 2)],
        "w": g.integers(1, 5, n),
        "some": g.integers(0, 3, n),
        "same": np.full(n, 7.25),
        "holes": ["" if k % 9 == 0 else repr(float(v)) for k, v in enumerate(x["x1"])],
    }
    path = folder / "data.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


class Repeated:
    """Runs, their scripts, and what the scripts left behind."""

    def __init__(self, folder, runs):
        self.folder, self.runs, self.ejected = folder, runs, {}
        for name, run in runs.items():
            self.ejected[name] = sightline.eject(run, folder / f"{name}.py")
        paths = [str(made.path) for made in self.ejected.values()]
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", DRIVER, *paths], cwd=elsewhere, capture_output=True,
            text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout
        losses = json.loads((elsewhere / "losses.json").read_text())
        self.losses = {name: losses[str(made.path)] for name, made in self.ejected.items()}

    def text(self, name):
        return self.ejected[name].path.read_text()

    def state(self, name):
        return torch.load(f"{self.ejected[name].path}.pt", weights_only=True)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    data = made(folder)
    settings = {"figures": "none", "output": folder / "runs"}
    runs = {name: sightline.fit(data, f, **{**ALONE, **settings, **more}) for name, (f, more) in RUNS.items()}
    return Repeated(folder, runs)


@pytest.mark.parametrize("name", RUNS)
def test_the_script_leaves_the_very_model_of_the_run(repeated, name):
    run, state = repeated.runs[name], repeated.state(name)
    kept = run.epochs[run.result.get("kept_epoch", -1)]
    wanted = run.model.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[key], wanted[key]) and state[key].dtype == wanted[key].dtype for key in wanted)
    assert any(float(value.abs().max()) > 1e-6 for value in state.values() if value.numel())
    assert repeated.losses[name] == pytest.approx(kept.running_loss, rel=1e-15)


@pytest.mark.parametrize("name", RUNS)
def test_the_script_is_short_narrow_and_needs_torch_alone(repeated, name):
    text, ejected = repeated.text(name), repeated.ejected[name]
    lines = text.splitlines()
    assert len(lines) == ejected.lines <= 60
    assert all(len(line) <= WIDTH for line in lines if str(repeated.folder) not in line)
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert imported == {"csv", "torch"}
    assert "sightline" not in text.replace("A run of sightline as plain PyTorch", "")


@pytest.mark.parametrize("name", RUNS)
def test_only_what_is_no_plain_column_of_numbers_takes_a_table_of_its_own(repeated, name):
    ejected = repeated.ejected[name]
    own = ejected.path.with_suffix(".csv")
    assert ejected.prepared == (name in PREPARED) == own.exists()
    assert ejected.data == (own if ejected.prepared else repeated.folder / "data.csv")


def test_the_steps_of_the_loop_are_those_of_the_tutorial(repeated):
    loop = repeated.text("mse-full").partition("# Training\n")[2]
    steps = ["outputs = model(x)", "loss = criterion(outputs, y)", "optimizer.zero_grad()", "loss.backward()",
             "optimizer.step()"]  # fmt: skip
    assert [line.strip().partition("  #")[0] for line in loop.splitlines()[1:6]] == steps


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_the_scripts_are_as_ruff_formats_them_and_it_finds_nothing(repeated):
    for command in (["format", "--check", "--line-length", "100"], ["check", "--select", "E4,E7,E9,F,W,I,UP,N,PIE"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", repeated.folder],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_loss_is_printed_as_the_classic_script_does_but_not_more_than_a_screen(repeated, tmp_path):
    path = repeated.ejected["single"].path
    done = subprocess.run([sys.executable, "-I", path], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines, epochs = done.stdout.splitlines(), repeated.runs["single"].epochs
    assert 10 <= len(lines) <= 21
    assert done.stderr == ""
    for line in lines:
        number, loss = re.fullmatch(r"Epoch: (\d+), train loss: (\d+\.\d{4})", line).groups()
        assert loss == f"{epochs[int(number)].running_loss:.4f}"
    assert int(number) == 300


# Other engines, other sources


def last_model(path):
    """What a script leaves in `model`, in this process."""
    names = {"__name__": "__main__", "__file__": str(path)}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(Path(path).read_text(), str(path), "exec"), names)
    return names["model"]


def assert_equal_models(one, other, relative=0.0):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) if not relative else torch.allclose(a, b, rtol=relative, atol=0.0)


def test_the_quadratic_engine_gives_the_same_within_rounding(tmp_path):
    data = made(tmp_path)
    for more in ({}, {"optimizer": "adam", "epochs": 40, "lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "epochs": 60}):
        run = sightline.fit(data, THREE, figures="none", engine="quadratic", **more)
        assert run.result["engine"]["name"] == "quadratic"
        sightline.eject(run, tmp_path / "s.py", overwrite=True)
        assert_equal_models(last_model(tmp_path / "s.py"), run.model, 1e-9)


def test_a_loaded_run_gives_the_script_of_the_run_itself(tmp_path):
    run = sightline.fit(made(tmp_path), THREE, optimizer="adam", opt={"betas": (0.8, 0.9)}, epochs=5, figures="none")
    sightline.eject(run, tmp_path / "one.py")
    sightline.eject(sightline.load(run.folder), tmp_path / "two.py")
    assert (tmp_path / "one.py").read_text() == (tmp_path / "two.py").read_text()


@pytest.mark.parametrize(
    ("name", "head", "text"),
    [
        ("semicolons.csv", "", "a;b\n1;2\n2;2.5\n3;5\n"),
        ("tabs.tsv", "", "a\tb\n1\t2\n2\t2.5\n3\t5\n"),
        ("marked.csv", "\ufeff", "a,b\n1,2\n2,2.5\n3,5\n"),
        ("padded.csv", "", "a, b\n1, 2\n2, 2.5\n3, 5\n\n"),
        ("crlf.csv", "", "a,b\r\n1,2\r\n2,2.5\r\n3,5\r\n"),
        ("records.jsonl", "", '{"a": 1, "b": 2}\n{"a": 2, "b": 2.5}\n{"a": 3, "b": 5}\n'),
    ],
)
def test_every_kind_of_text_file_is_read_to_the_bit(tmp_path, name, head, text):
    (tmp_path / name).write_bytes((head + text).encode())
    run = sightline.fit(tmp_path / name, "b ~ a", epochs=7, lr=0.1, engine="autograd", output=False)
    ejected = sightline.eject(run, tmp_path / "s.py")
    assert ejected.prepared == (name in ("padded.csv", "records.jsonl"))
    assert_equal_models(last_model(ejected.path), run.model)


def test_data_in_memory_are_written_beside_the_script(tmp_path, heights):
    run = sightline.fit(heights, "weight ~ height", epochs=7, engine="autograd", lr=0.1)
    ejected = sightline.eject(run, tmp_path / "s.py")
    assert ejected.prepared
    assert ejected.data == tmp_path / "s.csv"
    assert_equal_models(last_model(ejected.path), run.model)
    with pytest.raises(RunError, match="in no file"):
        sightline.eject(sightline.load(run.folder), tmp_path / "t.py")


# Names from data never become code

HOSTILE = [
    'it\'s "x"', '"""', "'''", "\\", "\\'", "{0} {x!r}", "%s", "# no", "a\nimport os", "]); open('pwned', 'w'); ([",
    "coding: utf-7", "\u202e reversed", "é λ", "\x00nul", "a" * 60, '"); open("pwned", "w")  #',
]  # fmt: skip


@given(st.text(st.characters()) | st.sampled_from(HOSTILE))
def test_a_literal_is_read_back_and_a_remark_stays_on_its_line(text):
    assert ast.literal_eval(literal(text)) == text
    assert len(literal(text).splitlines()) == 1
    assert len(f"# {remark(text)}".splitlines()) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_columns_and_labels_are_only_text(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    label = f"{name} yes"
    data = {name: [1.0, 2.0, 3.5, 4.0, 2.5, 1.0], "other": [label, "no", label, label, "no", "no"]}
    for target in ({"target": "other"}, {"target": name}):
        run = sightline.fit(data, **target, epochs=4, lr=0.1, engine="autograd", figures="none")
        sightline.eject(run, "s.py", overwrite=True)
        assert_equal_models(last_model("s.py"), run.model)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", [n for n in HOSTILE if n.isprintable()])
def test_hostile_names_and_labels_of_a_file_are_only_text(tmp_path, monkeypatch, name):
    folder = tmp_path / re.sub(r"/|\0", "", name)
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    label = f"{name}."
    with open(folder / "d.csv", "w", newline="") as file:
        rows = [(1, label), (2, "no"), (3.5, label), (4, label), (2.5, "no"), (1, "no")]
        csv.writer(file).writerows([(name, f"{name}!"), *rows])
    run = sightline.fit(folder / "d.csv", target=f"{name}!", epochs=4, lr=0.1, engine="autograd", figures="none")
    sightline.eject(run, "s.py")
    assert_equal_models(last_model("s.py"), run.model)
    assert not Path("pwned").exists()


def test_long_names_are_cut_in_a_table_beside_the_script(tmp_path):
    name = "how often do you drink coffee in the morning, at noon"
    (tmp_path / "d.csv").write_text(f'"{name}","{name} ?",y\n1,2,3\n2,5,5\n4,1,6\n')
    run = sightline.fit(tmp_path / "d.csv", target="y", epochs=4, lr=0.1, engine="autograd", output=False)
    ejected = sightline.eject(run, tmp_path / "s.py")
    assert max(map(len, ejected.path.read_text().splitlines())) <= WIDTH
    assert ejected.data.read_text().startswith("x1,x2,y\n")
    assert_equal_models(last_model(ejected.path), run.model)


# Refusals


def trained(folder, **more):
    return sightline.fit(made(folder), "y ~ x1 + three", epochs=2, figures="none", **more)


def test_refuses_in_a_sentence(tmp_path):
    run = trained(tmp_path)
    with pytest.raises(UsageError, match=r"ends in \.py"):
        sightline.eject(run, tmp_path / "script.txt")
    with pytest.raises(UsageError, match="solved, not trained"):
        sightline.eject(sightline.solve(tmp_path / "data.csv", "y ~ x1"), tmp_path / "s.py")
    with pytest.raises(RunError, match="No such file"):
        sightline.eject(run, tmp_path / "nowhere" / "s.py")


def test_overwrites_only_when_told(tmp_path):
    run = trained(tmp_path)
    (tmp_path / "s.py").write_text("mine")
    with pytest.raises(UsageError, match=r"s\.py' exists: .*--force"):
        sightline.eject(run, tmp_path / "s.py")
    (tmp_path / "s.py").unlink()
    (tmp_path / "s.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"s\.csv' exists: .*--force"):
        sightline.eject(run, tmp_path / "s.py")
    assert not (tmp_path / "s.py").exists()
    assert (tmp_path / "s.csv").read_text() == "mine"
    assert sightline.eject(run, tmp_path / "s.py", overwrite=True).prepared


def test_never_overwrites_the_data(tmp_path):
    run = trained(tmp_path)
    before = (tmp_path / "data.csv").read_bytes()
    with pytest.raises(UsageError, match="is the data: give the script another name"):
        sightline.eject(run, tmp_path / "data.py", overwrite=True)
    assert (tmp_path / "data.csv").read_bytes() == before


def test_data_that_changed_or_went_are_named(tmp_path):
    run = trained(tmp_path)
    for text in (f"{(tmp_path / 'data.csv').read_text()}\n", "other,columns\n1,2\n3,4\n", ""):
        (tmp_path / "data.csv").write_text(text)
        with pytest.raises(RunError, match="has changed since run"):
            sightline.eject(run, tmp_path / "s.py")
    (tmp_path / "data.csv").unlink()
    with pytest.raises(RunError, match="which is gone"):
        sightline.eject(run, tmp_path / "s.py")
    assert not list(tmp_path.glob("s.*"))


# Command and page


def test_the_page_shows_the_script_that_is_written(tmp_path, monkeypatch):
    page = (ROOT / "docs/eject.md").read_text()
    shown = re.search(r"^```py\n(.*?)^```", page, re.S | re.M)[1]
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/heights.csv").write_bytes((ROOT / "examples/heights.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    run = sightline.fit("examples/heights.csv", "weight ~ height", optimizer="adam", lr=1.5, epochs=200)
    text = sightline.eject(run, "heights.py").path.read_text()
    steady = re.sub(r'path = \(?\s*".*"\n?\)?\n', 'path = "/home/you/examples/heights.csv"\n', text)
    steady = steady.replace(f"run {run.result['run']}", "run 3f2a")
    assert steady == shown
