"""What a command imports, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import sightline
from sightline.account import account

CODE = """
import sys
from sightline.cli import main
try: main(sys.argv[1:])
except SystemExit as stop: assert not stop.code
print()
print(*sys.modules)
"""
HEAVY = {"torch", "numpy", "scipy", "matplotlib", "duckdb", "pandas", "pyarrow", "polars", "safetensors"}


def loaded(*arguments: object, code: str = CODE) -> set[str]:
    """The names of the modules that are there when the command has ended."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def below(names: set[str], *packages: str) -> list[str]:
    """Those of the packages, with what is in them."""
    return sorted(name for name in names if name.startswith(tuple(f"{p}." for p in packages)) or name in packages)


def test_import_of_the_package_loads_nothing_heavy():
    assert not HEAVY & loaded(code="import sys, sightline; print(*sys.modules)")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_help_of_the_whole_loads_nothing_heavy(arguments):
    assert not HEAVY & loaded(*arguments)


@pytest.mark.parametrize("command", ["fit", "tutorial", "solve", "show", "runs"])
def test_help_of_a_command_loads_nothing_heavy(command):
    assert not HEAVY & loaded(command, "--help")


def module_run(output):
    import torch

    model = torch.nn.Linear(1, 1)
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return sightline.fit_module(
        model, (x, 2 * x), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=2, batch_size=2, output=output
    )


DATA = {
    "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "one": [1.0] * 9,
    "y": [1.0, 3.0, 2.0, 5.0, 4.0, 6.0, 9.0, 7.0, 8.0],
    "two": ["a", "b", "a", "a", "b", "b", "a", "b", "b"],
    "three": ["a", "c", "b", "a", "b", "c", "a", "b", "c"],
}
KINDS = {
    "linear": lambda output: sightline.fit(DATA, "y ~ x", epochs=3, output=output, figures="none"),
    "no intercept": lambda output: sightline.fit(DATA, "y ~ 0 + x", epochs=3, output=output, figures="none"),
    "categories": lambda output: sightline.solve(DATA, "y ~ x + three", output=output),
    "a constant": lambda output: sightline.solve(DATA, "y ~ x + one", output=output),
    "two classes": lambda output: sightline.fit(DATA, "two ~ x", epochs=3, output=output, figures="none"),
    "three classes": lambda output: sightline.fit(DATA, "three ~ x + one", epochs=3, output=output, figures="none"),
    "mean and variance": lambda output: sightline.fit(
        DATA, "y ~ x + one", loss="gaussian-nll", epochs=3, output=output, figures="none"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_account_of_a_run_is_that_of_the_run(kind, tmp_path):
    run = KINDS[kind](tmp_path)
    told, read = account(run.folder), sightline.load(run.folder)
    for name in ("terms", "constant", "classes"):
        assert getattr(told.design, name) == getattr(run.design, name) == getattr(read.design, name)
    assert str(told) == str(run) == str(read)
    assert json.dumps(told.to_dict()) == json.dumps(read.to_dict())


@pytest.mark.parametrize("kind", ["linear", "categories", "two classes", "three classes", "a module"])
def test_show_and_runs_load_nothing_heavy(kind, tmp_path):
    run = {**KINDS, "a module": module_run}[kind](tmp_path)
    for arguments in (["show", run.folder], ["show", run.folder, "--json"], ["runs", "--output", tmp_path]):
        assert not HEAVY & loaded(*arguments), arguments


def test_show_reads_the_numbers_where_a_question_needs_them(cli, heights_csv, tmp_path):
    run = sightline.solve(heights_csv, "weight ~ height", output=tmp_path / "r")
    told = json.loads(cli("show", run.folder, "--json", "--test", "height = 0").out)
    (slope,) = (c for c in told["coef"] if c["term"] == "height")
    np.testing.assert_allclose(told["tests"][0]["statistic"], slope["t"] ** 2, rtol=1e-10)


def test_solve_does_not_load_torch(heights_csv):
    assert not below(loaded("solve", heights_csv, "weight ~ height"), "torch", "matplotlib", "sightline.engines")


SOLVE = """
import sys, pandas, sightline
frame = pandas.DataFrame({"g": pandas.Categorical(["a", "b"] * 4), "x": range(8), "y": [1.0, 3, 2, 5, 4, 4, 6, 9]})
assert sightline.solve(frame, "y ~ g + x", robust="HC1").result["verdict"] == "CONVERGED"
assert sightline.solve(sys.argv[1], target="weight", memory="1 kB").coefficients
print(*sys.modules)
"""


def test_nor_does_solve_in_python(heights_csv):
    assert not below(loaded(heights_csv, code=SOLVE), "torch", "matplotlib", "sightline.engines")


FIT = ("weight ~ height", "--figures", "none", "--lr", "0.1", "--epochs", "3")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_fit_loads_only_what_it_uses(optimizer, heights_csv, tmp_path):
    names = loaded("fit", heights_csv, *FIT, "--optimizer", optimizer, "--output", tmp_path / "r")
    others = ("matplotlib", "pandas", "pyarrow", "polars", "narwhals", "numba", "torch._dynamo", "sympy")
    ours = ("modules", "sweeper", "sweeps", "lr_sweep", "cli.lesson", "cli.tutorial", "cli.sweep", "exports", "folding")
    truths = ("class_truth", "general_truth", "linear.classes", "linear.optimum", "linear.crossval")
    assert not below(names, *others, *(f"sightline.{name}" for name in (*ours, *truths)))
    parts = {name.split(".")[1] for name in names if name.startswith("scipy.")}
    assert {part for part in parts if not part.startswith("_")} <= {"special", "version"}


def test_fit_loads_no_more_of_distributed_torch_than_torch_itself_does(heights_csv, tmp_path):
    torch = loaded(code="import sys, torch; print(*sys.modules)")
    names = loaded("fit", heights_csv, *FIT, "--output", tmp_path / "r")
    assert not below(names - torch, "torch.distributed", "torch.fx", "torch.testing", "torch._inductor")
