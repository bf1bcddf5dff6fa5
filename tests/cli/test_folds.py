"""`sightline fit --folds`: the table after that of the fit, JSON, interruptions, and options that cannot be."""

from __future__ import annotations

import json
import signal

import numpy as np
import pandas as pd
import pytest

import sightline


@pytest.fixture
def frame():
    rng = np.random.default_rng(2)
    x, city = rng.normal(size=60), np.array(["Basel", "Bern", "Chur"])[rng.integers(0, 3, 60)]
    y = 2 * x + (city == "Bern") + rng.normal(size=60)
    return pd.DataFrame({"x": x, "city": city, "y": y, "passed": np.where(y + rng.normal(size=60) > 0, "yes", "no")})


def test_the_command_prints_the_table_before_the_verdict(cli, tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = cli("fit", tmp_path / "t.csv", "y ~ x + city", "--folds", 4, "--fold-seed", 2)
    found = sightline.k_fold(tmp_path / "t.csv", "y ~ x + city", folds=4, fold_seed=2)
    assert done.code == 0
    assert str(found) in done.out
    assert done.out.index("residual standard error") < done.out.index("held-out RMSE") < done.out.index("\nCONVERGED")
    assert "fold 4 of 4: " in done.err
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert max(len(line) for line in done.out.splitlines() if not line.startswith(" run ")) <= 80


def test_the_command_gives_the_same_as_json(cli, tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = cli("fit", tmp_path / "t.csv", "passed ~ x", "--folds", 3, "--json")
    values = json.loads(done.out)["folds"]
    found = sightline.k_fold(tmp_path / "t.csv", "passed ~ x", folds=3)
    assert values == json.loads(json.dumps(found.to_dict()))
    assert done.err == ""


def test_a_fold_that_cannot_be_trained_does_not_take_the_fit_away(cli, tmp_path):
    rows = "\n".join(f"{x},{'a' if x % 2 else 'b'}" for x in range(20))
    (tmp_path / "t.csv").write_text(f"x,k\n{rows}\n")
    done = cli("fit", tmp_path / "t.csv", "k ~ x", "--folds", 5, "--validation", 0.13, "--seed", 0)
    assert done.code == 2
    assert "error: fold " in done.err
    assert "validation rows are all of the class" in done.err
    assert "k ~ x" in done.out


@pytest.mark.parametrize(("options", "message"), [
    (["--folds", "1"], "give a whole number of at least 2"),
    (["--folds", "99"], "99 folds of 5 rows"),
    (["--folds", "five"], "'five' is not a valid integer"),
    (["--fold-seed", "3"], "--fold-seed has no effect without folds: add --folds 5"),
])  # fmt: skip
def test_bad_options_are_refused_before_anything_is_trained(cli, tmp_path, heights, options, message):
    pd.DataFrame(heights).to_csv(tmp_path / "h.csv", index=False)
    done = cli("fit", tmp_path / "h.csv", "weight ~ height", *options)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_in_a_fold_keeps_the_fit(cli, tmp_path, frame, monkeypatch):
    from sightline.cli import folds

    class Interrupting(folds.Progress):
        def __call__(self, fold):
            super().__call__(fold)
            if fold.number == 2:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(folds, "Progress", Interrupting)
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = cli("fit", tmp_path / "t.csv", "y ~ x", "--folds", 5)
    assert done.code == 130
    assert "stopped after 2 of 5 folds, so there is no table of them; the fit itself is complete" in done.err
    assert "y ~ x" in done.out
    assert "held-out" not in done.out
