"""Runs and addresses that a page does not meet every day: what it says of them is true, and it stays usable."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import sightline

from .conftest import READY, Server
from .test_page import asked, settled
from .test_server import ask, served

NONSENSE = re.compile(r"undefined|NaN|\bnull\b|\bunknown\b|could not be drawn")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(2)
    n = 60
    a, b = rng.normal(size=n).round(3), rng.normal(size=n).round(3)
    columns = {
        "a": a, "b": b, "c": np.ones(n, dtype=int), "d": (2 * a).round(3), "g": ["uvw"[i % 3] for i in range(n)],
        "w": rng.integers(1, 4, n), "y": (1 + a - b + rng.normal(size=n)).round(3), "count": rng.poisson(np.exp(0.4 + 0.5 * a)),
        "k": np.where(a + rng.normal(size=n) > 0, "yes", "no").tolist(), "line": (3 * a).round(6),
    }  # fmt: skip
    path = tmp_path / "mix.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


RUNS = {
    "only an intercept": ("y ~ 1", {}),
    "no intercept": ("y ~ 0 + a + b", {"lr": 0.1, "epochs": 5}),
    "categories": ("y ~ g + a:g", {"lr": 0.1, "epochs": 5}),
    "constant": ("y ~ a + c", {"lr": 0.1, "epochs": 5}),
    "collinear": ("y ~ a + d", {"lr": 0.1, "epochs": 5}),
    "weights": ("y ~ a", {"weights": "w", "lr": 0.1, "epochs": 5}),
    "ridge": ("y ~ a + b", {"l2": 0.2, "lr": 0.1, "epochs": 5}),
    "lasso": ("y ~ a + b", {"l1": 0.1, "lr": 0.1, "epochs": 5}),
    "huber": ("y ~ a", {"loss": "huber", "lr": 0.1, "epochs": 5}),
    "counts": ("count ~ a", {"loss": "poisson-nll", "lr": 0.1, "epochs": 30}),
    "gaussian": ("y ~ a", {"loss": "gaussian-nll", "lr": 0.05, "epochs": 5}),
    "hinge": ("k ~ a + b", {"loss": "hinge", "lr": 0.05, "epochs": 5}),
    "batches": ("y ~ a", {"batch_size": 7, "lr": 0.05, "epochs": 5}),
    "schedule": ("y ~ a", {"schedule": "cosine", "lr": 0.1, "epochs": 8}),
    "validation": ("y ~ a + b", {"validation": 0.25, "batch_size": 4, "lr": 0.05, "epochs": 12}),
    "lbfgs": ("y ~ a", {"optimizer": "lbfgs", "epochs": 3}),
    "exactly": ("line ~ a", {"lr": 0.1, "epochs": 5}),
    "g is wide": ("y ~ a * g + I(a^2) + b", {"lr": 0.05, "epochs": 5}),
}


def words(page):
    return page.evaluate("() => document.body.innerText")


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_is_told_without_nonsense(table, tmp_path, open_page, name):
    formula, settings = RUNS[name]
    run = sightline.fit(table, formula, output=tmp_path / "runs", figures="none", **settings)
    from sightline.pages.report import write_report

    write_report(run.folder, tmp_path / "r.html")
    page = open_page(f"file://{tmp_path / 'r.html'}")
    for state in ({}, {"k": 0}, {"guess": 1}):
        asked(page, **state)
        assert not NONSENSE.search(words(page)), (state, NONSENSE.search(words(page)))
        page.evaluate("() => window.sightline.page.set({k: undefined, guess: undefined})")


def test_a_solution_is_told(table, tmp_path, open_page):
    from sightline.pages.report import write_report

    run = sightline.solve(table, "y ~ a + b", output=tmp_path / "runs")
    write_report(run.folder, tmp_path / "r.html")
    page = open_page(f"file://{tmp_path / 'r.html'}")
    assert "Solved without training" in page.locator("#panel-E .reading").inner_text()
    assert not NONSENSE.search(words(page))


def test_the_curve_of_counts_is_an_exponential(table, tmp_path):
    from sightline.pages.scene import scene_of

    run = sightline.fit(table, "count ~ a", loss="poisson-nll", output=tmp_path / "runs", figures="none")
    scene = scene_of(run.folder)
    import statsmodels.api as sm

    data = np.genfromtxt(table, delimiter=",", names=True, dtype=None, encoding=None)
    fit = sm.GLM(data["count"], sm.add_constant(data["a"]), family=sm.families.Poisson()).fit()
    assert scene["residuals"]["fitted"] == pytest.approx(fit.fittedvalues.tolist(), rel=1e-5)
    assert run.figures.reading("fit").startswith("Now: count = exp(")


def test_numbers_that_are_too_large_are_said_to_be(server, runs, open_page):
    page = open_page(f"{server.base}#run={runs.plain}")
    state = asked(page, lr=3e-4, k=2000)
    assert "too large to write down" in state["verdict"]["sentence"]
    assert state["epoch"] < 2000
    assert np.isfinite(state["now"]).all()
    assert not NONSENSE.search(words(page))


@pytest.mark.parametrize(
    "more",
    [
        "&lr=0",
        "&lr=-1",
        "&lr=x",
        "&m=5",
        "&dt=float16",
        "&k=2.5&lr=3e-6",
        "&pair=0.5,1",
        "&row=0.5",
        "&class=9",
        "&start=1",
    ],
)
def test_addresses_that_make_no_sense_are_passed_over(server, runs, open_page, more):
    page = open_page(f"{server.base}#run={runs.example}{more}")
    assert not NONSENSE.search(words(page))
    assert page.locator("#trouble").is_hidden()


@pytest.mark.parametrize("address", ["#story=2&scene=9&present=1", "#story=99&present=1", "#story=0.5"])
def test_stories_that_there_are_not(server, open_page, address):
    page = open_page(f"{server.base}{address}", ready=False)
    page.wait_for_function(
        "() => !document.getElementById('list').hidden || window.sightline.page.view", timeout=20_000
    )
    assert page.locator("#trouble").is_hidden()


def test_a_story_ends_where_it_began(server, runs, open_page):
    page = open_page(f"{server.base}#run={runs.plain}")
    page.keyboard.press("p")
    page.keyboard.press("PageDown")
    page.wait_for_function("() => window.sightline.page.stories.shown", timeout=20_000)
    page.get_by_role("button", name="end", exact=True).click()
    page.wait_for_function(f"() => window.sightline.page.opened === '{runs.plain}'", timeout=20_000)
    assert settled(page)["state"] == {"run": runs.plain}


def test_one_damaged_run_leaves_the_others(runs, tmp_path, open_page):
    folder = tmp_path / "runs"
    shutil.copytree(runs.folder / runs.plain, folder / "well")
    for name, damage in (("lr", {"settings": {"lr": "abc"}}), ("bare", None)):
        shutil.copytree(runs.folder / runs.plain, folder / name)
        path = folder / name / "run.json"
        values = json.loads(path.read_text())
        if damage:
            values["settings"] |= damage["settings"]
        path.write_text(json.dumps(values) if damage else "{")
    with served(str(folder)) as server:
        listed = json.loads(ask(server, "/api/runs")[1])["runs"]
        assert {run["run"]: run["status"] for run in listed} == {"well": "done", "lr": "damaged", "bare": "damaged"}
        page = open_page(f"{server.base}#run=well")
        assert page.locator("#panel-A").is_visible()
        for name in ("lr", "bare"):
            status, content, _ = ask(server, f"/api/scene/{name}")
            assert status == 404
            assert "run.json" in json.loads(content)["error"]


def test_ctrl_c_with_an_open_page_says_nothing(runs):
    server = Server(str(runs.folder))
    stream = urllib.request.urlopen(server.base + "api/events")

    def reads():
        with contextlib.suppress(OSError, http.client.HTTPException):
            stream.read(1000)

    threading.Thread(target=reads, daemon=True).start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGINT)
    _, said = server.process.communicate(timeout=15)
    assert "Traceback" not in said
    assert server.process.returncode == 0


def test_a_run_whose_writer_is_killed_is_said_to_be(tmp_path, open_page):
    data = tmp_path / "long.csv"
    data.write_text("x,y\n" + "".join(f"{i},{(7 * i) % 11}\n" for i in range(50)))
    words_ = [
        sys.executable,
        "-m",
        "sightline",
        "fit",
        str(data),
        "y ~ x",
        "--lr",
        "1e-9",
        "--epochs",
        "100000000",
        "--quiet",
    ]
    process = subprocess.Popen(
        [*words_, "--output", str(tmp_path / "runs"), "--figures", "none"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (found := list((tmp_path / "runs").glob("*/epochs.jsonl"))) or found[0].stat().st_size < 2000:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with served(str(tmp_path / "runs")) as server:
        page = open_page(f"{server.base}#run={found[0].parent.name}")
        assert "RUNNING" in page.locator("#verdict").inner_text()
        first = page.evaluate("() => window.sightline.page.view.last")
        page.wait_for_function(f"() => window.sightline.page.view.last > {first}", timeout=20_000)
        process.kill()
        process.wait()
        page.wait_for_function("() => document.getElementById('verdict').innerText.includes('KILLED')", timeout=20_000)


def test_the_kept_epoch_is_the_one_that_is_shown(table, tmp_path, open_page):
    settings = {"validation": 0.2, "batch_size": 4, "epochs": 12, "lr": 0.05, "momentum": 0.9}
    run = sightline.fit(table, "y ~ a + b", output=tmp_path / "runs", figures="none", **settings)
    kept = run.result["kept_epoch"]
    with served(str(run.folder)) as server:
        page = open_page(server.base)
        assert page.evaluate("() => window.sightline.page.view.k") == kept
        shown = page.evaluate("() => window.sightline.page.view.now")
        assert shown == pytest.approx([c.estimate for c in run.coefficients], rel=1e-9)


def test_a_token_with_odd_characters(runs, open_page):
    with served(str(runs.folder), "--host", "0.0.0.0", "--token", "a&b#c d%") as server:
        assert "a%26b%23c%20d%25" in server.url
        page = open_page(f"{server.url}#run={runs.plain}", ready=False)
        page.wait_for_function(READY, timeout=20_000)
        assert page.locator("#panel-A").is_visible()
        assert ask(server, "/api/runs", host="somewhere:1", X_Sightline_Token="a&b#c d%")[0] == 200


@pytest.mark.parametrize("body", ["[" * 4000, '{"run": 1}', '"x"', '{"run": "RUN", "lr": 1, "start": [1e999, 0]}'])
def test_settings_that_are_none_are_refused(server, runs, body):
    headers = {"Origin": f"http://127.0.0.1:{server.port}", "X_Sightline_Token": server.token}
    status, content, _ = ask(server, "/api/start", method="POST", body=body.replace("RUN", runs.plain), **headers)
    assert status in (400, 404)
    assert json.loads(content)["error"]


def test_what_is_shown_is_what_is_started(table, tmp_path, open_page):
    settings = {"optimizer": "adam", "batch_size": 7, "lr": 0.05, "epochs": 5, "patience": 3, "validation": 0.2}
    run = sightline.fit(table, "y ~ a", output=tmp_path / "runs", figures="none", **settings)
    with served(str(run.folder)) as server:
        page = open_page(f"{server.url}#run={run.folder.name}")
        asked(page, lr=0.25, m=0.5, k=9)
        page.get_by_role("button", name="start a run with these …").click()
        shown = page.locator("#command-text").inner_text()
        with page.expect_response("**/api/start") as answer:
            page.get_by_role("button", name="start it").click()
        import shlex

        drop = {"--figures", "none", "final"}
        started = [w for w in shlex.split(answer.value.json()["command"]) if w not in drop]
        assert sorted(shlex.split(shown)) == sorted(started)


def test_a_formula_that_begins_with_a_dash(tmp_path, heights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_RUNS", str(tmp_path / "runs"))
    Path("-h.csv").write_text("height,weight\n" + "".join(f"{a},{b}\n" for a, b in zip(*heights.values(), strict=True)))
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "live", "--no-browser", "--port", "0", "--", "-h.csv", "weight ~ height"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline().startswith("http://")
    finally:
        process.terminate()
        process.communicate()
