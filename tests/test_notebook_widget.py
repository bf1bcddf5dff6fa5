"""The live view: what it is told as a run folder grows, and what its front end draws of that in a browser."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import sightline
from sightline.notebook import MOST_TERMS, Follower, live
from sightline.runs.store import RunFolder, as_dict
from sightline.views.page_files import widget_script

from .page.conftest import browser as browser
from .page.widget_page import part, show

START = {"Intercept": -35.0, "height": 0.45}
EVIL = "<img src=x onerror=alert(1)>"


def until(true, seconds=20.0):
    """Wait for something that comes soon; how soon is not measured."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def finished(tmp_path, heights):
    """A run of the five people, from a file, that has ended."""
    data = tmp_path / "heights.csv"
    rows = zip(heights["height"], heights["weight"], strict=True)
    data.write_text("height,weight\n" + "".join(f"{h},{w}\n" for h, w in rows))
    return sightline.fit(
        str(data), "weight ~ height", lr=3e-6, epochs=20, standardize=False, start=START, figures="none",
        output=tmp_path / "runs",
    )  # fmt: skip


@pytest.fixture
def growing(finished, tmp_path):
    """The same run while it goes on: a folder that is written by this process, and its records."""
    whole = json.loads((finished.folder / "run.json").read_text())
    kept = ("settings", "design", "source", "versions")
    folder = RunFolder.create(tmp_path / "growing", {name: whole[name] for name in kept})
    yield SimpleNamespace(folder=folder, path=folder.path, records=finished.epochs, whole=whole)
    folder.close()


def end(growing):
    done = {name: growing.whole[name] for name in growing.whole if name not in growing.folder.manifest}
    growing.folder.finish("done", **done)


def test_a_run_that_has_ended_is_told_at_once(finished):
    follower = Follower(finished.folder)
    news = follower.look()
    assert follower.ended
    assert follower.look() == {}
    scene, table = news["scene"], news["table"]
    assert scene["verdict"]["name"] == "NOT_CONVERGED"
    assert scene["verdict"]["sentence"] == finished.verdict.sentence
    assert scene["loss"]["exact"] == pytest.approx(29.0287671, rel=1e-8)
    assert [line["term"] for line in scene["coef"]] == ["Intercept", "height"]
    assert scene["coef"][1]["estimate"] == finished.coefficients[1].estimate
    assert scene["coef"][1]["exact"] == pytest.approx(0.565753424657534, rel=1e-12)  # Sxy / Sxx of the five people
    assert table["number"] == list(range(21))
    assert table["loss"] == pytest.approx([e.loss for e in finished.epochs], rel=1e-12)
    json.dumps(news, allow_nan=False)


def test_it_grows_as_lines_are_appended(growing):
    follower = Follower(growing.path)
    first = follower.look()
    assert first["scene"]["status"] == "running"
    assert first["scene"]["loss"]["exact"] == pytest.approx(29.0287671, rel=1e-8)  # before the first epoch
    assert first["table"]["number"] == []
    for record in growing.records[:5]:
        growing.folder.append(record)
    assert follower.look()["table"]["number"] == [0, 1, 2, 3, 4]
    assert follower.look() == {}
    growing.folder.append(growing.records[5])
    news = follower.look()
    assert list(news) == ["table"]
    assert news["table"]["parameters"] == dict(growing.records[5].parameters)
    assert not follower.ended
    end(growing)
    assert follower.look()["scene"]["verdict"]["name"] == "NOT_CONVERGED"
    assert follower.ended


def test_damaged_lines_are_passed_over(growing):
    follower = Follower(growing.path)
    with open(growing.path / "epochs.jsonl", "a") as file:
        for number, record in enumerate(growing.records[:4]):
            file.write(json.dumps(as_dict(record)) + "\n")
            file.write(["\x00\x00\n", '{"number": 1}\n', "[1, 2]\n", '{"number": 4, "train'][number])
    assert follower.look()["table"]["number"] == [0, 1, 2, 3]


def test_a_folder_that_goes_away_ends_it_with_a_sentence(growing):
    follower = Follower(growing.path)
    follower.look()
    shutil.rmtree(growing.path)
    news = follower.look()
    assert follower.ended
    assert news["scene"]["status"] == "lost"
    assert "run.json" in news["scene"]["trouble"]
    growing.path.mkdir()  # for the lock that is let go


def test_a_run_whose_process_is_gone_is_killed(growing):
    follower = Follower(growing.path)
    assert follower.look()["scene"]["status"] == "running"
    growing.folder.close()
    assert follower.look()["scene"]["status"] == "killed"
    assert follower.ended


def test_a_result_that_is_damaged(finished):
    follower = Follower(finished.folder)
    values = json.loads((finished.folder / "run.json").read_text())
    values["result"]["coef"] = 7
    (finished.folder / "run.json").write_text(json.dumps(values))
    assert "is damaged" in follower.look()["scene"]["trouble"]


def test_looking_on_leaves_the_random_numbers_alone(growing):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    follower = Follower(growing.path)
    follower.look()
    end(growing)
    follower.look()
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_that_are_in_no_file_have_their_exact_answer_at_the_end(heights, tmp_path):
    run = sightline.fit(heights, "weight ~ height", output=tmp_path)
    news = Follower(run.folder).look()
    assert news["scene"]["missing"] is None
    assert news["scene"]["coef"][1]["exact"] == run.coefficients[1].exact


def test_many_coefficients_and_separated_classes(tmp_path):
    data = {f"c{j}": [float((i * (j + 3)) % 17) for i in range(140)] for j in range(120)}
    run = sightline.fit({**data, "y": [float(i % 7) for i in range(140)]}, target="y", epochs=2, output=tmp_path)
    scene = Follower(run.folder).look()["scene"]
    assert (len(scene["coef"]), scene["more"]) == (MOST_TERMS, 121 - MOST_TERMS)
    apart = sightline.fit({"x": [*range(12)], "k": ["a"] * 6 + ["b"] * 6}, "k ~ x", epochs=5, output=tmp_path)
    scene = Follower(apart.folder).look()["scene"]
    assert scene["loss"]["attained"] is False
    json.dumps(scene, allow_nan=False)


def test_without_anywidget_it_says_what_to_install(finished, monkeypatch):
    from sightline.notebook import _widget

    monkeypatch.setitem(sys.modules, "anywidget", None)
    _widget.cache_clear()
    with pytest.raises(sightline.UsageError) as error:
        live(finished)
    assert str(error.value) == "the live view in a notebook needs anywidget: pip install 'sightline[notebook]'"


def test_runs_that_are_in_no_folder_or_nowhere(heights, tmp_path):
    pytest.importorskip("anywidget")
    with pytest.raises(sightline.UsageError, match="written to no folder"):
        live(sightline.fit(heights, "weight ~ height", output=False))
    with pytest.raises(sightline.RunError, match="no run 'nothing'"):
        live("nothing")
    with pytest.raises(sightline.UsageError, match="the run is a int"):
        live(3)


def test_the_widget_follows_in_a_thread_until_the_run_has_ended(growing):
    pytest.importorskip("anywidget")
    view = live(growing.path)
    assert repr(view) == f"live view of run {growing.path.name}, running: no records yet"
    for record in growing.records[:3]:
        growing.folder.append(record)
    until(lambda: view.table["number"] == [0, 1, 2])
    for record in growing.records[3:]:
        growing.folder.append(record)
    end(growing)
    until(lambda: view.scene["status"] == "done" and not view._thread.is_alive())
    assert view.table["number"] == list(range(21))
    assert repr(view).endswith("done: epoch 20, loss 29.8798")
    assert {"scene", "table", "_esm", "_css"} <= set(view.get_state())
    view.close()


def test_closing_the_widget_ends_the_thread_and_not_the_run(growing):
    pytest.importorskip("anywidget")
    before = threading.active_count()
    view = live(growing.path)
    assert threading.active_count() == before + 1
    view.close()
    until(lambda: not view._thread.is_alive())
    growing.folder.append(growing.records[0])


def test_a_view_of_a_run_that_has_ended_needs_no_thread(finished):
    pytest.importorskip("anywidget")
    before = threading.active_count()
    view = live(str(finished.folder))
    assert threading.active_count() == before
    assert view.scene["status"] == "done"
    view.close()


def test_marimo_has_threads_of_its_own(growing, monkeypatch):
    pytest.importorskip("anywidget")

    class Thread(threading.Thread):
        pass

    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: True, Thread=Thread))
    view = live(growing.path)
    assert type(view._thread) is Thread
    view.close()


def test_the_front_end_is_one_small_file_that_asks_for_nothing():
    script, style = widget_script(), part("widget.css")
    assert len(script.encode()) + len(style.encode()) < 25_000
    assert "import " not in script.replace("important", "")
    for word in ("fetch(", "XMLHttpRequest", "innerHTML", "eval(", "https:"):
        assert word not in script
    assert "url(" not in style
    assert "@import" not in style


@pytest.fixture
def context(browser):
    found = browser.new_context(viewport={"width": 1000, "height": 600})
    yield found
    found.close()


def test_in_a_browser_a_run_grows_and_ends(context, finished, growing):
    follower = Follower(growing.path)
    for record in growing.records[:6]:
        growing.folder.append(record)
    news = follower.look()
    page = show(context, news["scene"], news["table"])
    assert page.inner_text(".verdict").startswith("… RUNNING training goes on, epoch 5.")
    assert page.inner_text(".status") == "● live"
    assert page.locator(".plot circle.dot").count() == 7  # six records, and the last one larger
    for record in growing.records[6:]:
        growing.folder.append(record)
    end(growing)
    for name, value in follower.look().items():
        page.evaluate("([name, value]) => window.model.put(name, value)", [name, value])
    page.wait_for_function("() => document.querySelector('.status').textContent === 'ended'")
    assert "! NOT CONVERGED after 20 epochs the loss is 0.851 above" in page.inner_text(".verdict")
    cells = page.locator("tbody tr").nth(1).locator("th, td").all_inner_texts()
    assert cells[:4] == ["height", "0.61357", "0.56575", "+0.19 se"]
    assert dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True)) == {
        "epoch": "20", "loss": "29.8798", "exact": "29.0288", "above": "0.851", "gradient": "228", "rate": "3e-6",
    }  # fmt: skip
    assert page.inner_text(".plot .reading") == "0.851 above the exact loss 29.0288 at epoch 20."
    assert page.complaints == []


def test_in_a_browser_it_lets_go_of_the_model_when_it_is_taken_away(context, finished):
    news = Follower(finished.folder).look()
    page = show(context, news["scene"], news["table"])
    assert page.evaluate("() => window.model.count()") == 2
    page.evaluate("() => window.end()")
    assert page.evaluate("() => window.model.count()") == 0


@pytest.mark.parametrize(("dark", "color"), [(False, "rgb(4, 16, 98)"), (True, "rgb(140, 147, 234)")])
def test_in_a_browser_its_colors_are_those_of_the_notebook(context, finished, dark, color):
    news = Follower(finished.folder).look()
    page = show(context, news["scene"], news["table"], dark=dark)
    assert page.evaluate("() => getComputedStyle(document.querySelector('path.now')).stroke") == color


def test_in_a_browser_names_are_only_text(context, finished):
    news = Follower(finished.folder).look()
    scene = news["scene"]
    warning = {"code": EVIL, "text": EVIL, "fix": [EVIL]}
    scene = {
        **scene, "formula": EVIL, "id": EVIL, "verdict": {"name": EVIL, "sentence": EVIL, "warnings": [warning]},
        "coef": [{**scene["coef"][0], "term": EVIL}],
    }  # fmt: skip
    page = show(context, scene, news["table"])
    assert page.locator("img").count() == 0
    assert page.inner_text("tbody th") == EVIL
    assert page.complaints == []


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"number": [0], "loss": [None], "valid": [None]},
        {"number": [0], "loss": [5.0], "valid": [None]},
        {"number": [0, 1], "loss": [5.0, 5.0], "valid": [None, None]},
        {"number": [0, 1, 2], "loss": [1e-300, 1e300, None], "valid": [None, 3.0, None]},
        {"number": [0, 1], "loss": [-4.0, -8.0], "valid": [None, None]},
        {"number": [0, 1_000_000_000], "loss": [5.0, 0.0], "valid": [None, None]},
    ],
)
@pytest.mark.parametrize("exact", [None, 0.0, 5.0, -9.0])
def test_in_a_browser_any_numbers_can_be_drawn(context, table, exact):
    loss = {"name": "mse", "exact": exact, "floor": True, "attained": True}
    page = show(context, {"id": "1", "status": "running", "verdict": None, "loss": loss, "coef": []}, table)
    assert "NaN" not in page.content()
    assert "Infinity" not in page.content()
    assert page.complaints == []


def test_in_a_browser_a_narrow_cell_has_no_bar_to_scroll_by(browser, finished):
    news = Follower(finished.folder).look()
    context = browser.new_context(viewport={"width": 400, "height": 900})
    page = show(context, news["scene"], news["table"])
    page.wait_for_timeout(100)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400
    context.close()


def test_the_files_of_the_front_end_are_in_the_package():
    assert Path(sightline.__file__).parent.joinpath("views", "widget", "widget.js").is_file()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("status", ["running", "done"])
def test_in_a_browser_axe_finds_nothing(context, finished, dark, status):
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    news = Follower(finished.folder).look()
    scene = {**news["scene"], "status": status}
    scene["coef"] = [{**scene["coef"][1], "term": f"x{j}"} for j in range(40)]  # more than there is room for
    page = show(context, scene, news["table"], dark=dark)
    page.evaluate((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    if status == "done":
        page.click("summary")
    found = page.evaluate(
        "async () => (await axe.run('.sightline-live')).violations.map(v => [v.id, v.nodes.map(n => n.html)])"
    )
    assert found == []
