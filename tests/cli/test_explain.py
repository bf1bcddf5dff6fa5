"""`sightline explain`: what it prints and writes, the page about it, and each error as one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "explain.md"
CLASSIC = (
    "--no-standardize",
    "--lr",
    "3e-6",
    "--epochs",
    "20",
    "--start",
    "Intercept=-35,height=0.45",
    "--figures",
    "none",
)


@pytest.fixture
def run(cli, heights_csv, tmp_path):
    """The folder of the running example."""
    assert cli("fit", heights_csv, "weight ~ height", *CLASSIC, "--quiet").code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_the_first_epoch_is_printed_and_drawn(cli, run):
    done = cli("explain", run)
    assert (done.code, done.err) == (0, "")
    assert "w ← 0.45 - 3e-6 · (-9509) = 0.45 + 0.028527 = 0.478527" in done.out
    assert done.out.endswith(f"\nfigure: {run / 'figures' / 'step-01.png'}\n")
    assert (run / "figures" / "step-01.png").read_bytes()[:4] == b"\x89PNG"
    assert all(len(line) <= 80 for line in done.out.splitlines() if str(run) not in line)


def test_an_id_is_enough_and_epochs_can_be_chosen(cli, run):
    done = cli("explain", run.name[:3], "--epoch", "20")
    assert done.out.startswith("Epoch 20 of 20, worked out\n")
    assert (run / "figures" / "step-20.png").exists()


def test_explaining_changes_nothing_of_the_run(cli, run):
    files = {p: p.read_bytes() for p in run.iterdir() if p.is_file()}
    cli("explain", run, "--epoch", "3")
    assert {p: p.read_bytes() for p in run.iterdir() if p.is_file()} == files


@pytest.mark.parametrize(("form", "start"), [("markdown", "# Epoch 1 of 20"), ("latex", "\\documentclass{article}")])
def test_other_formats_are_alone_on_stdout(cli, run, form, start):
    done = cli("explain", run, "--format", form)
    assert done.out.startswith(start)
    assert "figure:" not in done.out
    assert "figure:" in done.err


def test_the_page_shows_what_is_printed(cli, run, monkeypatch):
    shown = re.search(r"```text\n(.*?)```", PAGE.read_text(), re.S)[1]
    monkeypatch.chdir(run.parent.parent)
    monkeypatch.delenv("SIGHTLINE_RUNS")
    assert shown == cli("explain", run.name).out.replace(run.name, "1376")


def test_symbols_without_a_run(cli):
    done = cli("explain", "--symbols")
    assert "w ← w - lr · m̂ / (√v̂ + ε)" in done.out
    assert done.err == ""


def test_symbols_of_a_run_are_its_own(cli, run):
    done = cli("explain", run, "--symbols")
    assert "    ŷ = w · x + b\n" in done.out
    assert "w ← w - lr · g" in done.out
    assert "m̂" not in done.out
    assert not (run / "figures" / "step-01.png").exists()


@pytest.mark.parametrize(
    ("kinds", "model"), [("a a b b a b a b", "z = w · x + b"), ("a b c a c b a b", "zₖ = Σ wₖⱼ · xⱼ + bₖ")]
)
def test_symbols_of_a_solved_model_of_classes(cli, tmp_path, kinds, model):
    path = tmp_path / "kinds.csv"
    path.write_text("kind,x\n" + "".join(f"{k},{i}\n" for i, k in enumerate(kinds.split())))
    assert cli("solve", path, "kind ~ x", "--output", tmp_path / "solved").code == 0
    (folder,) = (tmp_path / "solved").iterdir()
    assert f"    {model}\n" in cli("explain", folder, "--symbols").out
    done = cli("explain", folder)
    assert done.code == 2
    assert done.err == (
        "error: this run was solved, not trained, so it has no epochs: train one with sightline fit, or see the "
        "mathematics with sightline explain --symbols\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["RUN", "--epoch", "75"], 2, "run ID has no epoch 75: give --epoch a number from 1 to 20"),
        (["RUN", "--epoch", "0"], 2, "epoch 0 is the state before any step: give --epoch a number from 1 to 20"),
        (["RUN", "--epoch", "two"], 2, "'two' is not a valid integer"),
        (
            ["RUN", "--format", "tex"],
            2,
            "--format cannot be 'tex': did you mean 'text'? there are: text, markdown, latex",
        ),
        (["RUN", "--symbols", "--epoch", "1"], 2, "--symbols shows no epoch: leave --epoch out, or --symbols"),
        ([], 2, "explain needs a run: give its id or folder, or --symbols for the mathematics alone"),
        (["nowhere"], 3, "no run 'nowhere' in "),
        (["FOLDER"], 3, "no run "),
    ],
)
def test_wrong_arguments(cli, run, tmp_path, arguments, code, sentence):
    places = {"RUN": str(run), "FOLDER": str(tmp_path)}
    done = cli("explain", *(places.get(a, a) for a in arguments))
    assert done.code == code
    assert done.out == ""
    assert sentence.replace("ID", run.name) in done.err
    assert done.err.count("\n") == 1


def test_a_run_of_a_module_that_is_not_linear(cli, tmp_path):
    folder = tmp_path / "runs" / "net"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 1, "run": "net", "status": "done"}))
    record = {"running_loss": None, "valid_loss": None, "gradient_norm": None, "lr": 0.1, "rows": 0, "seconds": 0.0}
    lines = [json.dumps({"number": k, "train_loss": 2.5 - k, **record}) for k in (0, 1)]
    (folder / "epochs.jsonl").write_text("\n".join(lines) + "\n")
    done = cli("explain", "net")
    assert done.code == 3
    assert done.err == (
        "error: run net trained a module that is not linear: epoch 1 took its loss from 2.5 to 1.5 at rate 0.1, and that "
        "is all its records tell, for its gradient has no formula of one line: explain a run of sightline fit\n"
    )


def test_data_that_have_changed(cli, run, heights_csv):
    heights_csv.write_text(heights_csv.read_text().replace("185", "186"))
    done = cli("explain", run)
    assert done.code == 3
    assert f"heights.csv' has changed since run {run.name} was trained on it: restore it, or fit again" in done.err


def test_a_figure_that_cannot_be_written_is_said_after_the_numbers(cli, run):
    (run / "figures").rmdir()
    (run / "figures").write_text("in the way")
    done = cli("explain", run)
    assert done.code == 3
    assert "0.478527" in done.out
    assert re.search(
        r"cannot write the figure .*figures: .*; make room there, the numbers above are complete", done.err
    )


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_directions_of_a_softmax_are_named_as_its_parameters_are(cli, tmp_path, form):
    assert cli("tutorial", "--task", "multiclass", "--epochs", "2", "--no-figures", "--output", tmp_path).code == 0
    (folder,) = (p for p in tmp_path.iterdir() if p.is_dir())
    sheet = cli("explain", folder, "--format", form).out
    name = {"text": r"mostly [wb]\[(?:brown|green|ripe)\]", "markdown": r"mostly \$[wb]_", "latex": r"mostly \$[wb]_"}[
        form
    ]
    assert re.search(name, sheet)
    assert "\x02" not in sheet
