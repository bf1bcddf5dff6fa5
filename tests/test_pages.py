"""What a page is told of a run, beside independent references."""

from __future__ import annotations

import json
import shlex
import shutil

import numpy as np
import pytest

import sightline
from sightline.pages.commands import fit_command, solve_command
from sightline.pages.scene import scene_of
from sightline.runs.store import read_manifest
from sightline.settings import RunSettings


def fitted(tmp_path, columns, formula, **settings):
    path = tmp_path / "data.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    run = sightline.fit(str(path), formula, output=tmp_path / "runs", figures="none", **settings)
    return run.folder


@pytest.fixture
def columns():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 2)).round(3)
    return {"a": x[:, 0] * 10 + 50, "b": x[:, 1], "y": (3 + x @ [2.0, -1.0] + rng.normal(size=60)).round(3)}


def design(columns):
    return np.column_stack([np.ones(60), columns["a"], columns["b"]])


def test_both_systems_are_the_hessian(tmp_path, columns):
    scene = scene_of(fitted(tmp_path, columns, "y ~ a + b", lr=0.1, epochs=5))
    X = design(columns)
    beta = np.linalg.lstsq(X, columns["y"], rcond=None)[0]
    for system in scene["systems"]:
        center, scale = np.array(system["center"]), np.array(system["scale"])
        Z = np.column_stack([(X[:, 1:] - center) / scale, np.ones(60)])
        values, vectors = np.array(system["values"]), np.array(system["vectors"])
        assert vectors.T @ (values[:, None] * vectors) == pytest.approx(2 / 60 * Z.T @ Z, rel=1e-9, abs=1e-9)
        expected = np.append(beta[1:] * scale, beta[0] + beta[1:] @ center)
        assert system["optimum"] == pytest.approx(expected.tolist(), rel=1e-9)
    assert [system["standardize"] for system in scene["systems"]] == [True, False]


def test_residuals_are_those_of_statsmodels(tmp_path, columns):
    import statsmodels.api as sm

    scene = scene_of(fitted(tmp_path, columns, "y ~ a + b"))
    influence = sm.OLS(columns["y"], design(columns)).fit().get_influence()
    r = scene["residuals"]
    assert r["leverage"] == pytest.approx(influence.hat_matrix_diag.tolist(), rel=1e-5)
    assert r["standardized"] == pytest.approx(influence.resid_studentized_internal.tolist(), rel=1e-5)
    assert r["cook"] == pytest.approx(influence.cooks_distance[0].tolist(), rel=1e-5)
    assert r["extreme"]["cook"] == np.argsort(-influence.cooks_distance[0])[:3].tolist()
    assert scene["sample"]["places"][0] == "line 2"


def test_an_added_variable_has_the_coefficient_as_its_slope(tmp_path, columns):
    scene = scene_of(fitted(tmp_path, columns, "y ~ a + b"))
    beta = np.linalg.lstsq(design(columns), columns["y"], rcond=None)[0]
    for one, slope in zip(scene["added"], beta[1:], strict=True):
        x, y = np.array(one["x"]), np.array(one["y"])
        assert x @ y / (x @ x) == pytest.approx(slope, rel=1e-4)


def test_the_band_is_that_of_new_rows(tmp_path):
    import statsmodels.api as sm

    x = np.array([1.0, 2, 3, 4, 5, 7])
    y = np.array([2.0, 2.5, 4.5, 4, 6, 8])
    scene = scene_of(fitted(tmp_path, {"x": x, "y": y}, "y ~ x"))
    at = np.array(scene["band"]["x"])
    found = sm.OLS(y, sm.add_constant(x)).fit().get_prediction(sm.add_constant(at)).conf_int(obs=True)
    assert (2 * np.array(scene["band"]["half"])).tolist() == pytest.approx(
        (found[:, 1] - found[:, 0]).tolist(), rel=1e-5
    )


def test_weights_are_in_it(tmp_path, columns):
    import statsmodels.api as sm

    w = np.random.default_rng(1).integers(1, 5, 60)
    scene = scene_of(fitted(tmp_path, {**columns, "w": w}, "y ~ a + b", weights="w"))
    fit = sm.WLS(columns["y"], design(columns), weights=w).fit()
    assert [c["exact"] for c in scene["coef"]] == pytest.approx(fit.params.tolist(), rel=1e-9)
    sigma = np.sqrt(fit.scale)
    Z = np.sqrt(w)[:, None] * design(columns)
    hat = np.diag(Z @ np.linalg.inv(Z.T @ Z) @ Z.T)
    expected = np.sqrt(w) * fit.resid / (sigma * np.sqrt(1 - hat))
    assert scene["residuals"]["standardized"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_data_that_are_gone_leave_the_rest(tmp_path, columns):
    folder = fitted(tmp_path, columns, "y ~ a + b", lr=0.1, epochs=5)
    whole = scene_of(folder)
    (tmp_path / "data.csv").unlink()
    scene = scene_of(folder)
    assert "gone" in scene["missing"]
    assert "residuals" not in scene
    assert [c["exact"] for c in scene["coef"]] == [c["exact"] for c in whole["coef"]]
    assert scene["systems"][0]["values"] == pytest.approx(whole["systems"][0]["values"], rel=1e-9)
    assert scene["systems"][0]["optimum"] == pytest.approx(whole["systems"][0]["optimum"], rel=1e-9)


def test_a_run_that_goes_on_has_its_truth_and_its_warnings(tmp_path, columns):
    folder = fitted(tmp_path, columns, "y ~ a + b", lr=5.0, epochs=5)
    manifest = read_manifest(folder)
    for name in ("result", "sentence", "finished", "directions", "covariance_factor", "rank", "dtype"):
        manifest.pop(name, None)
    (folder / "run.json").write_text(json.dumps({**manifest, "status": "running"}))
    scene = scene_of(folder)
    assert scene["status"] == "killed"
    assert scene["verdict"] is None
    assert [w["code"] for w in scene["before"]] == ["SL-LR-LIMIT"]
    assert scene["coef"][0]["exact"] is not None
    assert scene["step"]["lr"] == 5.0


def test_other_losses_say_what_there_is_not(tmp_path, columns):
    for settings in ({"loss": "huber"}, {"l1": 0.1}, {"optimizer": "adam", "lr": 0.01}, {"batch_size": 8, "lr": 0.01}):
        folder = fitted(tmp_path, columns, "y ~ a + b", epochs=3, **{"lr": 0.01, **settings})
        scene = scene_of(folder)
        assert scene["whatif"] or scene["step"]["closed"] is False
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lr": 3e-6, "epochs": 20, "standardize": False, "start": {"Intercept": -35.0, "height": 0.45}},
        {"optimizer": "adam", "opt": {"betas": (0.8, 0.9)}, "lr": 0.01, "batch_size": 2, "epochs": 3},
        {"momentum": 0.9, "nesterov": True, "lr": 0.1, "epochs": 3, "dtype": "float32"},
        {"l2": 0.1, "epochs": 3, "level": 0.9, "robust": "hc3"},
        {"patience": 3, "min_improvement": 0.01, "validation": 0.4, "restore_best": False, "lr": 0.1, "epochs": 9},
        {"device": "cpu", "engine": "autograd", "lr": 0.1, "epochs": 3},
        {"loss": "huber", "loss_opt": {"delta": 0.5}, "epochs": 3, "lr": 0.1},
    ],
)
def test_the_command_makes_the_same_run_again(tmp_path, heights, monkeypatch, capsys, settings):
    """The command is given to the command line, and the settings it makes are compared."""
    from sightline.cli import main

    columns = {name: list(map(int, values)) for name, values in heights.items()}
    folder = fitted(tmp_path, columns, "weight ~ height", **settings)
    command = next(c["command"] for c in scene_of(folder)["commands"] if c["what"] == "train it again")
    words = shlex.split(command)
    assert words[0] == "sightline"
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], "--quiet", "--output", str(tmp_path / "again")])
    assert ended.value.code == 0, capsys.readouterr().err
    (again,) = (tmp_path / "again").iterdir()
    made, meant = (read_manifest(f)["settings"] for f in (again, folder))
    given = made.pop("opt"), meant.pop("opt")
    assert made == meant
    assert {k: [float(v) for v in str(text).split(",")] for k, text in given[0].items()} == given[1]


def test_a_name_cannot_become_an_option():
    for made in (fit_command, solve_command):
        words = shlex.split(made("--log.csv", "y ~ x; rm -rf /", RunSettings()))
        assert words[2:] == ["./--log.csv", "y ~ x; rm -rf /"]
