"""Commands end to end: what they print, write and exit with."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from safetensors.numpy import load_file

KEYS = [
    "run",
    "formula",
    "rows",
    "df",
    "loss_name",
    "loss",
    "exact_loss",
    "excess",
    "epochs",
    "verdict",
    "frozen_at",
    "coef",
    "fit",
    "curvature",
    "engine",
    "warnings",
    "optimizer",
    "accuracy",
]
SCRIPT = (
    "--lr",
    "3e-6",
    "--no-standardize",
    "--dtype",
    "float32",
    "--start",
    "Intercept=-35,height=0.45",
    "--figures",
    "none",
)


def test_fit_prints_the_table_and_saves_the_run(cli, heights_csv, tmp_path):
    done = cli("fit", heights_csv, "weight ~ height", "--output", tmp_path / "r")
    assert done.code == 0
    for number in ("-26.2466", "0.5658", "43.36", "0.2574", "29.0288", "CONVERGED"):
        assert number in done.out
    assert all(len(line) <= 80 for line in (done.out + done.err).splitlines() if str(tmp_path) not in line)
    (folder,) = (tmp_path / "r").iterdir()
    assert {p.name for p in folder.iterdir()} == {
        "run.json", "epochs.jsonl", "model.safetensors", "state.safetensors", "state.json", "figures",
    }  # fmt: skip
    assert [p.name for p in (folder / "figures").iterdir()] == ["overview.png"]
    model = load_file(folder / "model.safetensors")
    assert model["weight"].shape == (1, 1)
    assert model["weight"].item() == pytest.approx(0.5657534246575343, rel=1e-13)
    assert model["bias"].item() == pytest.approx(-26.2465753424658, rel=1e-12)


def test_json_has_the_contract_and_nothing_else_is_on_stdout(cli, heights_csv):
    done = cli("fit", heights_csv, "weight ~ height", "--json", *SCRIPT, "--epochs", "20")
    result = json.loads(done.out)
    assert list(result) == KEYS
    assert result["verdict"] == "NOT_CONVERGED"
    assert result["frozen_at"] == 74
    assert result["epochs"] == 20
    assert result["curvature"]["lr_limit"] == pytest.approx(3.52473e-5, rel=1e-5)
    assert [round(c["off_by"], 2) for c in result["coef"]] == [-0.20, 0.19]
    assert [w["code"] for w in result["warnings"]] == ["SL-COND", "SL-SLOW", "SL-FROZEN"]
    assert all(w["fix"] for w in result["warnings"])
    assert result["coef"][1]["estimate"] == pytest.approx(0.613570511341095, abs=1e-15)


def test_a_rate_above_the_limit_is_warned_of_before_training_and_diverges(cli, heights_csv):
    done = cli("fit", heights_csv, "weight ~ height", "--lr", "4e-5", "--no-standardize", "--figures", "none")
    assert done.code == 4
    assert done.err.index("SL-LR-LIMIT") < done.err.index("above exact")
    assert "3.525e-05" in done.err
    assert "DIVERGED" in done.out
    done = cli("fit", heights_csv, "weight ~ height", "--lr", "4e-5", "--no-standardize", "--epochs", "5000", "--json")
    assert done.code == 4
    result = json.loads(done.out)
    assert result["verdict"] == "DIVERGED"
    assert result["loss"] > 1e3 * 4809.2
    assert result["epochs"] == 15


def test_numbers_that_are_not_finite_are_null(cli, heights_csv):
    done = cli(
        "fit", heights_csv, "weight ~ height", "--lr", "1e300", "--no-standardize", "--json", "--figures", "none"
    )
    result = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert done.code == 4
    assert result["loss"] is None or result["loss"] > 1e6


def test_require_converged(cli, heights_csv):
    assert cli("fit", heights_csv, "weight ~ height", *SCRIPT, "--epochs", "20").code == 0
    assert cli("fit", heights_csv, "weight ~ height", *SCRIPT, "--epochs", "20", "--require-converged").code == 4
    assert cli("fit", heights_csv, "weight ~ height", "--figures", "none", "--require-converged").code == 0


def test_quiet_prints_coefficients_only(cli, heights_csv):
    done = cli("fit", heights_csv, "weight ~ height", "--quiet", "--figures", "none")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [r[0] for r in rows] == ["Intercept", "height"]
    assert float(rows[1][1]) == pytest.approx(0.5657534246575343, rel=1e-13)
    assert done.err == ""


def test_progress_is_log_spaced_and_log_prints_every_epoch(cli, heights_csv):
    options = ("fit", heights_csv, "weight ~ height", *SCRIPT, "--epochs", "20")

    def epochs(text):
        return [int(m) for m in re.findall(r"^ +(\d+) +[\d.]+ +[\d.e+-]+ +[\d.]+$", text, re.M)]

    spaced = epochs(cli(*options).err)
    assert spaced == [0, 1, 2, 4, 8, 16, 20]
    assert epochs(cli(*options, "--log").err) == list(range(21))


def test_figures_every_epoch(cli, heights_csv, tmp_path):
    cli(
        "fit",
        heights_csv,
        "weight ~ height",
        *SCRIPT[:-2],
        "--epochs",
        "3",
        "--figures",
        "every",
        "--output",
        tmp_path / "r",
    )
    (folder,) = (tmp_path / "r").glob("*/figures")
    assert sorted(p.name for p in folder.iterdir()) == ["epoch-01.png", "epoch-02.png", "epoch-03.png", "overview.png"]


def test_solve_equals_fit_and_writes_only_with_output(cli, heights_csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solved = json.loads(cli("solve", heights_csv, "weight ~ height", "--json").out)
    assert list(solved) == KEYS
    assert not (tmp_path / "runs").exists()
    assert [c["estimate"] for c in solved["coef"]] == [c["exact"] for c in solved["coef"]]
    fitted = json.loads(cli("fit", heights_csv, "weight ~ height", "--json", "--figures", "none").out)
    for a, b in zip(solved["coef"], fitted["coef"], strict=True):
        assert a["exact"] == b["exact"]
        assert a["std_error"] == b["std_error"]
    done = cli("solve", heights_csv, "weight ~ height", "--output", tmp_path / "s")
    assert "43.36" in done.out
    assert len(list((tmp_path / "s").glob("*/model.safetensors"))) == 1


def test_target_takes_all_other_columns(cli, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,odd name,g,y\n1,2,u,3\n2,1,v,5\n3,5,u,4\n4,4,v,8\n5,9,u,1\n6,1,v,2\n")
    result = json.loads(cli("fit", path, "--target", "y", "--json", "--figures", "none").out)
    assert [c["term"] for c in result["coef"]] == ["Intercept", "a", "odd name", "g[T.v]"]


def test_standard_input(heights_csv, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sightline",
            "fit",
            "-",
            "weight ~ height",
            "--json",
            "--output",
            tmp_path / "r",
            "--figures",
            "none",
        ],
        input=heights_csv.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["coef"][1]["exact"] == pytest.approx(0.5657534246575343, rel=1e-13)


def test_show_runs_predict_evaluate_from_the_folder_alone(cli, heights_csv, tmp_path):
    runs = tmp_path / "runs"  # SIGHTLINE_RUNS of the tests
    first = cli("fit", heights_csv, "weight ~ height", "--figures", "none")
    (folder,) = runs.iterdir()
    shown = cli("show", folder.name)
    assert shown.code == 0
    assert first.out.split("CONVERGED")[1] in shown.out
    assert json.loads(cli("show", folder, "--json").out)["run"] == folder.name
    listed = cli("runs")
    assert folder.name in listed.out
    assert "weight ~ height" in listed.out
    assert [r["run"] for r in json.loads(cli("runs", "--json").out)] == [folder.name]
    new = tmp_path / "new.csv"
    new.write_text("height\n172\n\n150\n")
    done = cli("predict", folder.name, new)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [float(r["prediction"]) for r in rows] == pytest.approx([71.0630136986, 58.6164383562], rel=1e-11)
    out = tmp_path / "out.csv"
    assert cli("predict", folder.name, new, "--interval", "0.95", "-o", out).code == 0
    frame = pd.DataFrame({"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]})
    want = (
        smf.ols("weight ~ height", frame)
        .fit()
        .get_prediction(pd.DataFrame({"height": [172, 150]}))
        .summary_frame(alpha=0.05)
    )
    got = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [float(r["low"]) for r in got] == pytest.approx(want["obs_ci_lower"].tolist(), rel=1e-10)
    assert [float(r["high"]) for r in got] == pytest.approx(want["obs_ci_upper"].tolist(), rel=1e-10)
    metrics = json.loads(cli("evaluate", folder.name, heights_csv, "--json").out)
    assert metrics["mse"] == pytest.approx(29.0287671232877, rel=1e-12)
    assert metrics["r2"] == pytest.approx(0.6168325353314719, rel=1e-12)
    assert " root mean squared error       5.38784\n" in cli("evaluate", folder.name, heights_csv).out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_are_saved(number, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "d.csv"
    x = rng.normal(size=(200, 3))
    np.savetxt(path, np.column_stack([x, x.sum(1)]), delimiter=",", header="a,b,c,y", comments="")
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "fit", path, "y ~ a + b + c", "--lr", "1e-9", "--epochs", "100000000",
         "--figures", "none", "--output", tmp_path / "r"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not [p for p in (tmp_path / "r").glob("*/epochs.jsonl") if p.stat().st_size > 2000]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "STOPPED_EARLY" in out
    assert "Traceback" not in err
    (folder,) = (tmp_path / "r").iterdir()
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["status"] == "interrupted"
    lines = (folder / "epochs.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["stop"]["reason"] == "interrupted"
    assert (
        len(lines)
        == json.loads(lines[-1])["number"] + 1
        == json.loads((folder / "state.json").read_text())["epoch"] + 1
    )
    assert (folder / "model.safetensors").exists()


def test_main_help_names_every_command_and_no_arguments_give_help(cli):
    for done in (cli("--help"), cli()):
        assert done.code == 0
        for name in ("fit", "solve", "tutorial", "show", "runs", "predict", "evaluate"):
            assert name in done.out
    assert cli("--version").out.startswith("sightline 0.")


def test_no_color_codes_off_a_terminal(cli, heights_csv):
    done = cli("fit", heights_csv, "weight ~ height", "--figures", "none")
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.err


def test_works_where_the_output_is_ascii(heights_csv, tmp_path):
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sightline",
            "fit",
            heights_csv,
            "weight ~ height",
            "--figures",
            "none",
            "--output",
            tmp_path / "r",
        ],
        capture_output=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"CONVERGED" in done.stdout


def test_runs_of_other_folders_are_found_by_path(cli, heights_csv, tmp_path):
    cli("fit", heights_csv, "weight ~ height", "--figures", "none", "--output", tmp_path / "elsewhere")
    (folder,) = Path(tmp_path / "elsewhere").iterdir()
    assert cli("show", folder).code == 0
    assert cli("show", folder.name).code == 3


def test_colors_only_where_they_are_wanted(monkeypatch):
    from sightline.cli.options import colored

    assert "\x1b[" in colored("DIVERGED: at once", "DIVERGED", "red")
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert colored("DIVERGED: at once", "DIVERGED", "red") == "DIVERGED: at once"


def test_a_penalized_fit_says_so(cli, heights_csv):
    done = cli("fit", heights_csv, "weight ~ height", "--weight-decay", "0.1", "--figures", "none")
    assert "weight decay 0.1" in done.err
    assert "penalized (weight decay 0.1): estimates are pulled to zero" in done.out
    assert "penalized loss" in done.out.splitlines()[-1]


def test_a_second_interrupt_does_not_wait_and_keeps_what_was_written(heights_csv, tmp_path):
    """A sink that never returns stands for an epoch that takes for ever."""
    code = (
        "import os, signal, sys, time\nimport sightline.views.console as console\nfrom sightline.cli import main\n"
        "def stuck(self, epoch):\n"
        "    if epoch.number == 3:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "console.Progress.__call__ = stuck\nmain(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", heights_csv, "weight ~ height", "--lr", "0.1", "--epochs", "9",
         "--figures", "none", "--output", tmp_path / "r"],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 130
    assert "what was already written is kept" in done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = (tmp_path / "r").iterdir()
    assert len((folder / "epochs.jsonl").read_text().splitlines()) == 4
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_compare_names_the_loss_of_each_run_and_warns_of_different_targets(cli, tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("x,y,c\n" + "".join(f"{i},{i % 4 + 0.1 * i:.1f},{'ab'[i % 3 == 0]}\n" for i in range(12)))
    settings = [("y ~ x", "mse"), ("y ~ x", "huber"), ("c ~ x", "bce")]
    fits = [
        cli("fit", data, formula, "--loss", loss, "--figures", "none", "--epochs", "3") for formula, loss in settings
    ]
    ids = [re.search(r"^ run (\w+) in", fit.out, re.M)[1] for fit in fits]
    same, other = cli("compare", *ids[:2]).out, cli("compare", *ids[1:]).out
    assert re.search(r"^ loss +mse +huber$", same, re.M)
    assert re.search(r"^ loss +huber +bce$", other, re.M)
    assert "the targets differ" in other
    assert "the targets differ" not in same
