"""README, docs and examples do what they say: code blocks run, commands print what is shown, doctests hold."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sightline

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[pytest.ParameterSet]:
    found = []
    for page in PAGES:
        for number, match in enumerate(re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)):
            found.append(pytest.param(match[1], id=f"{page.name}-{number}"))
    return found


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the examples in it, as the README's reader has them; runs go to ./runs there."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIGHTLINE_RUNS")
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code, project):
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("code", [p for p in blocks("python") if p.id.startswith("formulas.md")])
def test_comments_behind_print_tell_what_is_printed(code, project):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "block", "exec"), {"__name__": "block"})
    expected = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.M)
    assert len(expected) == code.count("print(")
    assert printed.getvalue().splitlines() == expected


def test_the_page_of_formulas_has_an_example_of_every_function_and_option():
    from sightline.data.lexer import FUNCTIONS, OPTIONS

    page = (ROOT / "docs/formulas.md").read_text()
    run = "".join(re.findall(r"^```python\n(.*?)^```", page, re.S | re.M))
    assert all(f"{name}(" in run for name in FUNCTIONS)
    assert all(f"{option}=" in run for options in OPTIONS.values() for option in options if option != "degree")


def test_comments_in_the_readme_tell_what_is_printed(project):
    run = sightline.fit("examples/heights.csv", "weight ~ height")
    text = (ROOT / "README.md").read_text()
    assert f"# {run.verdict}" in text
    assert f"# {run.coefficients[1].estimate!r}"[:18] in text
    assert f"# [{run.predict({'height': [172]})[0]:.8f}]" in text


def steady(text: str) -> str:
    """The same text without run ids and without digits that are rounding alone."""
    text = re.sub(r"run [0-9a-f]{4,8} in runs/[0-9a-f]{4,8}", "run ID in runs/ID", text)
    text = re.sub(r"runs/sweep-[0-9a-f]{4,8}", "runs/sweep-ID", text)
    text = re.sub(r"(?<![\d.])-?\d(\.\d+)?e-[123]\d", "TINY", text)
    text = re.sub(r"(right to|gives the same) \d+ digits", r"\1 MANY digits", text)  # one more or less by rounding
    text = re.sub(r"(double-double|interior point), \d+ steps", r"\1, SOME steps", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.mark.parametrize("block", blocks("console"))
def test_commands_print_what_the_page_shows(block, project):
    for entry in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, expected = entry.partition("\n")
        words = shlex.split(command)
        assert words[0] == "sightline"
        done = subprocess.run(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env={**os.environ, "COLUMNS": "80"},
        )  # fmt: skip
        assert steady(done.stdout) == steady(expected)


def test_the_two_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.M)) == {"demo", "test"} <= targets


def test_links_of_the_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_warning_code_has_its_page():
    source = "".join(p.read_text() for p in (ROOT / "src").rglob("*.py"))
    codes = set(re.findall(r'"(SL-[A-Z-]+)"', source))
    documented = set(re.findall(r"^## (SL-[A-Z-]+)", (ROOT / "docs/warnings.md").read_text(), re.M))
    assert codes == documented


MODULES = [
    name for _, name, _ in pkgutil.walk_packages(sightline.__path__, "sightline.") if not name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name, project):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


CLASSIC = """
import torch
from torch import nn
x = torch.tensor([150, 160, 170, 175, 185], dtype=torch.float32).reshape(-1, 1)
y = torch.tensor([55, 70, 64, 80, 75], dtype=torch.float32).reshape(-1, 1)
model = nn.Linear(1, 1)
model.weight.data.fill_(0.45)
model.bias.data.fill_(-35.0)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=3e-6)
for epoch in range(20):
    outputs = model(x)
    loss = criterion(outputs, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"Epoch: {epoch + 1}, train loss: {loss.item():.4f}")
    print(f"Weight: {model.weight.item():.4f}, Bias: {model.bias.item():.4f}")
    print("-" * 20)
"""


@pytest.fixture(scope="module")
def classic_output():
    """What the plain script prints, without sightline."""
    done = subprocess.run([sys.executable, "-c", CLASSIC], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Epoch: 1, train loss: 826.2250\nWeight: 0.4785, Bias: -34.9998\n" + "-" * 20)
    return done.stdout


def test_the_example_script_prints_what_the_plain_script_prints(classic_output):
    done = subprocess.run([sys.executable, ROOT / "examples/classic.py"], capture_output=True, text=True, check=True)
    assert done.stdout == classic_output


def test_the_tutorial_prints_what_the_plain_script_prints(classic_output, project):
    done = subprocess.run([sys.executable, "-m", "sightline", "tutorial"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(classic_output)
    figures = sorted(p.name for p in project.glob("runs/*/figures/*.png"))
    assert figures == [*(f"epoch-{k:02d}.png" for k in range(1, 21)), "loss.png", "raw-data.png"]
    for told in ("3.525e-05", "32.4 million", "epoch 74", "-0.20 se", "+0.19 se", "NOT_CONVERGED"):
        assert told in done.stdout


def test_the_notebook_runs():
    import asyncio

    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "examples/classic.ipynb", as_version=4)
    env_path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env_path}"
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    finally:
        os.environ["PATH"] = env_path
        asyncio.set_event_loop(None)
    outputs = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    assert "SL-FROZEN" in outputs
    assert "CONVERGED: after 1 epoch" in outputs
