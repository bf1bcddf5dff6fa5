"""`sightline sweep`: what is on the screen, in the JSON and in the folder; bad input is told and loses nothing."""

from __future__ import annotations

import json
import os
import signal

import pytest

from sightline.engines.stacked import Stacked


def test_the_screen(cli, heights_csv, tmp_path):
    done = cli("sweep", heights_csv, "weight ~ height", "--lr", "1e-3:10:24", "--output", tmp_path / "out")
    assert done.code == 0
    (folder,) = (tmp_path / "out").iterdir()
    lines = done.out.splitlines()
    assert max(map(len, [*lines, *done.err.splitlines()])) <= 80 + len(str(folder))
    assert lines[0] == "      rate  loss above exact after 100 epochs, logarithmic bars"
    assert sum(line.startswith(" 1.000e+00 -- the limit: 2 / λmax ---") for line in lines) == 1
    at = next(i for i, line in enumerate(lines) if "the limit" in line)
    assert "just right" in lines[at - 1]
    assert "too large   diverged in epoch 7" in lines[at + 1]
    assert "best: in 9 epochs" in "".join(lines)
    assert lines[-1] == "use --lr 0.4062 (reaches the answer in 9 epochs); stable below 1"
    assert f" sweep in {folder}" in lines
    assert "24 rates at once, 100 epochs" in done.err
    assert sorted(p.name for p in folder.iterdir()) == ["epochs.jsonl", "figures", "sweep.json"]
    assert (folder / "figures" / "sweep.png").stat().st_size > 10_000


def test_json_is_one_object_and_the_file(cli, heights_csv, tmp_path):
    done = cli(
        "sweep", heights_csv, "weight ~ height", "--lr", "0.001,0.4,3", "--momentum", "0.5", "--nesterov", "--json",
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    values = json.loads(done.out)
    assert [r["word"] for r in values["rates"]] == ["too small", "just right", "too large"]
    assert values["limit"]["rule"] == "2 (1 + β) / ((1 + 2β) λmax)"
    assert values["limit"]["computed"] == pytest.approx(0.75)
    assert values["best"]["lr"] == 0.4
    assert values["optimizer"] == {"name": "sgd", "momentum": 0.5, "nesterov": True}
    assert json.loads((tmp_path / "out" / values["sweep"] / "sweep.json").read_text()) == values


def test_all_options_of_data_loss_and_optimizer_are_taken(cli, tmp_path):
    path = tmp_path / "rows.csv"
    rows = "\n".join(f"{i % 7},{'yes' if (i * 5) % 7 > 2 else 'no'},{1 + i % 3}" for i in range(30))
    path.write_text("x,y,w\n" + rows + "\n")
    done = cli(
        "sweep", path, "y ~ x", "--lr", "0.01:1:4", "--loss", "bce", "--class-weight", "no=2,yes=1", "--optimizer", "adam",
        "--opt", "betas=0.8,0.9", "--l2", "0.1", "--epochs", "7", "--batch-size", "8",
        "--seed", "3", "--no-standardize", "--start", "x=0.5", "--dtype", "float32", "--weights", "w", "--refine", "--json",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    values = json.loads(done.out)
    assert values["optimizer"] == {"name": "adam", "betas": [0.8, 0.9]}
    assert (values["epochs"], values["batch_size"], values["dtype"], values["seed"]) == (7, 8, "float32", 3)
    assert values["penalized"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--lr", "1e-1:1e-6:24"], 2, "the first must be the smaller one: give 1e-06:0.1:24"),
        (["--lr", "1e-6:1e-1:1"], 2, "give a whole number from 2 to 1,000"),
        (["--lr", "auto"], 2, "--lr auto is one rate, and a sweep compares many"),
        (["--lr", "1e-6:1e-1"], 2, "has 2 parts between its colons"),
        ([], 2, "sweep needs --lr, the rates to compare"),
        (["--lr", "0.1,0.2", "--optimizer", "lbfgs"], 2, "lbfgs searches the rate of each step itself"),
        (["--lr", "0.1,0.2", "--momentum", "auto"], 2, "--momentum auto is made for one rate"),
        (["--lr", "0.1,0.2", "--momentum", "x"], 2, "'x' is neither a number nor 'auto'"),
        (["--lr", "0.1,0.2", "--schedule", "cosine"], 2, "no such option '--schedule'"),
        (["--lr", "0.1,0.2", "--epochs", "0"], 2, "--epochs 0 trains nothing"),
        (["--lr", "0.1,0.2", "--loss", "bce"], 2, "bce"),
        (["--lr", "0.1,0.2", "--weights", "mass"], 3, "no column 'mass'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_writes_nothing(cli, heights_csv, tmp_path, arguments, code, words):
    done = cli("sweep", heights_csv, "weight ~ height", *arguments, "--output", tmp_path / "out")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert words.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_column_and_a_missing_file(cli, heights_csv, tmp_path):
    assert "did you mean 'height'" in cli("sweep", heights_csv, "weight ~ heigth", "--lr", "0.1,0.2").err
    done = cli("sweep", tmp_path / "none.csv", "weight ~ height", "--lr", "0.1,0.2")
    assert (done.code, done.out) == (3, "")


def test_ctrl_c_saves_what_there_is(cli, heights_csv, tmp_path, monkeypatch):
    original = Stacked.run_epoch

    def interrupted(self, number):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, number)

    monkeypatch.setattr(Stacked, "run_epoch", interrupted)
    done = cli("sweep", heights_csv, "weight ~ height", "--lr", "0.001:0.1:3", "--output", tmp_path / "out")
    assert done.code == 130
    (folder,) = (tmp_path / "out").iterdir()
    records = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    assert [r["number"] for r in records] == [*range(6)] * 3
    assert records[5]["stop"]["reason"] == "interrupted"


def test_words_are_colored_on_a_terminal_only(cli, heights_csv):
    from sightline.cli.sweep import _painted
    from sightline.views.rates import WORD_AT

    done = cli("sweep", heights_csv, "weight ~ height", "--lr", "0.001:10:5")
    assert "\x1b" not in done.out
    line = next(line for line in done.out.splitlines() if "just right" in line)
    assert line[WORD_AT] == "just right"
    assert _painted(line) == line.replace("just right", "\x1b[32m\x1b[1mjust right\x1b[0m")
