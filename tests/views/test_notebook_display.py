"""What runs, tables and verdicts look like in a notebook: HTML that runs nothing, beside the plain text."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

import sightline
from sightline.markup import table_html, verdict_html
from sightline.records import Verdict, Warning
from sightline.views.notebook import MOST_ROWS, coefficients_html

EVIL = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements of some HTML, its text, the cells of its tables; an element that is not closed fails."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.rows, self.open, self.text = [], [], [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


def safe(html):
    """The page, which runs nothing and asks for nothing, and whose words have the color of the notebook."""
    page = Page(html)
    assert set(page.tags) <= {"div", "span", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    names = {name for name, _ in page.attributes}
    assert names <= {"style", "scope", "aria-hidden"}
    assert "url(" not in html
    backgrounds = re.findall(r"background:(\w+)", html)
    assert set(backgrounds) <= {"transparent"}
    return page


@pytest.fixture
def run(heights):
    raw = {"standardize": False, "start": {"Intercept": -35.0, "height": 0.45}}
    return sightline.fit(heights, "weight ~ height", lr=3e-6, epochs=20, dtype="float32", output=False, **raw)


def test_a_run(run):
    shown = run._repr_mimebundle_()
    assert list(shown) == ["text/plain", "text/html"]
    assert shown["text/plain"] == repr(run)
    page = safe(shown["text/html"])
    assert page.rows[0] == ["term", "estimate", "exact", "std. error", "t", "p", "95 % interval", "off by"]
    # the exact line of the five people as summary(lm) prints it
    assert page.rows[2][2:6] == ["0.5658", "0.2574", "2.20", "0.115"]
    assert page.rows[1][0] == "Intercept"
    assert page.rows[1][-1] == "-0.20 se"
    assert "! NOT_CONVERGED: after 20 epochs the loss is 0.851 above the exact 29.0288" in page.text
    assert "SL-FROZEN" in page.text
    assert page.text.count("--standardize --lr auto") == 1  # a fix of three warnings is told once


def test_only_what_is_asked_for_and_plain_text_always(run):
    assert list(run._repr_mimebundle_(exclude={"text/html"})) == ["text/plain"]
    assert list(run._repr_mimebundle_(include={"image/png"})) == ["text/plain"]
    assert list(run._repr_mimebundle_(include={"text/html"})) == ["text/plain", "text/html"]


def test_a_solved_run_and_one_read_back(heights, tmp_path):
    solved = sightline.solve(heights, "weight ~ height", output=tmp_path)
    page = safe(solved._repr_mimebundle_()["text/html"])
    assert "✓ CONVERGED: solved exactly" in page.text
    again = sightline.load(solved.folder)
    assert again._repr_mimebundle_()["text/html"] == solved._repr_mimebundle_()["text/html"]


def test_classes(tmp_path):
    data = {"x": [0.0, 1, 2, 3, 4, 5, 6, 7], "k": ["no", "no", "yes", "no", "yes", "no", "yes", "yes"]}
    page = safe(sightline.fit(data, "k ~ x", output=False)._repr_mimebundle_()["text/html"])
    assert page.rows[0][4] == "z"
    assert "accuracy" in page.text


def test_names_are_escaped():
    data = {EVIL: [0.0, 1, 2, 4], "y": [1.0, 2, 2, 5]}
    run = sightline.fit(data, target="y", output=False)
    for html in (run._repr_mimebundle_()["text/html"], run.coefficients._repr_mimebundle_()["text/html"]):
        assert EVIL in safe(html).text
        assert "<img" not in html
    verdict = Verdict("DIVERGED", EVIL, (Warning("SL-X", EVIL, (EVIL,)),))
    assert safe(verdict._repr_mimebundle_()["text/html"]).text.count(EVIL) == 3


def test_the_table_of_coefficients_is_still_a_list(run):
    table = run.coefficients
    assert isinstance(table, list)
    assert table == list(table)
    assert list(table) == table
    assert repr(table) == repr(list(table)) == table._repr_mimebundle_()["text/plain"]
    assert pickle.loads(pickle.dumps(table)) == table
    assert json.dumps([[c.term, c.estimate] for c in table])
    assert len(safe(table._repr_mimebundle_()["text/html"]).rows) == 3


def test_a_long_table_says_how_many_rows_it_leaves_out(run):
    many = list(run.coefficients) * 150
    page = safe(coefficients_html(many))
    assert len(page.rows) == MOST_ROWS + 1
    assert "and 100 more" in page.text


def test_coefficients_without_values():
    run = sightline.fit({"x": [1.0, 2, 3], "z": [5.0, 5, 5], "y": [1.0, 2, 4]}, "y ~ x + z", output=False)
    page = safe(run._repr_mimebundle_()["text/html"])
    assert page.rows[3] == ["z", *["-"] * 7]


def test_a_verdict_and_what_divergence_proved_right():
    warnings = (Warning("SL-LR-LIMIT", "too large", ("--lr 1",)), Warning("SL-COND", "uneven", ("--lr 1", "--lr 2")))
    page = safe(Verdict("DIVERGED", "at epoch 3", warnings)._repr_mimebundle_()["text/html"])
    assert page.text == "✕ DIVERGED: at epoch 3SL-COND: unevenany one of these fixes it:--lr 1--lr 2"
    plain = Verdict("STOPPED_EARLY", "at epoch 3")
    assert plain._repr_mimebundle_()["text/plain"] == repr(plain)
    assert safe(verdict_html("STOPPED_EARLY", "at epoch 3")).text == "! STOPPED_EARLY: at epoch 3"


def test_a_module_of_ones_own():
    torch.manual_seed(0)
    x = torch.randn(60, 3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    adam = torch.optim.Adam(model.parameters(), 0.01)
    run = sightline.fit_module(
        model, (x, x[:, :1]), loss=nn.MSELoss(), optimizer=adam, epochs=20, batch_size=10, valid=0.2, output=False
    )
    shown = run._repr_mimebundle_()
    assert shown["text/plain"] == repr(run)
    page = safe(shown["text/html"])
    assert "Sequential: 21 parameters" in page.text
    assert page.rows[0] == ["epoch", "running loss", "validation", "rate"]
    assert page.rows[-1][0] == "20"
    assert run.verdict.name in page.text


def test_an_empty_table():
    assert safe(table_html([("term", []), ("estimate", [])])).rows == [["term", "estimate"]]


CELLS = [
    """
import warnings; warnings.simplefilter("ignore")
import torch, sightline
from torch import nn
x = torch.linspace(0, 1, 20).reshape(-1, 1)
model = nn.Linear(1, 1)
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
seen = []
for epoch in sightline.watch(sightline.train(model, (x, 2 * x + 1), loss=nn.MSELoss(), optimizer=sgd, epochs=300)):
    seen.append(epoch.number)
assert seen == list(range(301))
""",
    """
run = sightline.fit({"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]}, "weight ~ height")
run
""",
    "run.coefficients",
    "run.verdict",
    """
from sightline.notebook import live
live(run)
""",
    """
import json, time
from sightline.runs.store import RunFolder
whole = json.loads((run.folder / "run.json").read_text())
folder = RunFolder.create(run.folder.parent, {name: whole[name] for name in ("settings", "design", "source")})
view = live(folder.path)
for record in run.epochs:
    folder.append(record)
folder.finish("done", **{name: value for name, value in whole.items() if name not in folder.manifest})
until = time.monotonic() + 30
while view.scene["status"] == "running" and time.monotonic() < until:
    time.sleep(0.05)  # the cell is busy: what is told comes from a thread
view
""",
]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The outputs of those cells in a real kernel."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("SIGHTLINE_RUNS", str(tmp_path_factory.mktemp("kernel") / "runs"))
        client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3")
        client.execute()
    asyncio.set_event_loop(None)
    book["metadata"]["seen"] = list(client.widget_state.values())
    return book


@pytest.fixture
def outputs(book):
    return [cell["outputs"] for cell in book.cells]


def test_a_loop_that_is_watched_in_a_kernel_is_one_output_that_was_replaced(outputs):
    (shown,) = (o for o in outputs[0] if o["output_type"] == "display_data")
    assert shown["data"]["text/plain"].startswith("epoch 300  loss ")
    assert shown["data"]["text/html"].count("<svg") == 1
    assert "script" not in shown["data"]["text/html"]


@pytest.mark.parametrize(("cell", "words"), [(1, "weight ~ height"), (2, "Coefficient("), (3, "Verdict(")])
def test_a_value_in_a_kernel_has_both_forms(cell, words, outputs):
    (shown,) = (o for o in outputs[cell] if o["output_type"] == "execute_result")
    assert words in shown["data"]["text/plain"]
    safe(shown["data"]["text/html"])


def test_the_live_view_in_a_kernel_is_a_widget(outputs):
    pytest.importorskip("anywidget")
    (shown,) = (o for o in outputs[4] if o["output_type"] in ("execute_result", "display_data"))
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    assert shown["data"]["text/plain"].startswith("live view of run ")


def test_the_page_of_a_kernel_that_is_busy_hears_of_a_run_that_grows(book):
    """What came over the wire, as the front end has it."""
    pytest.importorskip("anywidget")
    views = [state for state in book["metadata"]["seen"] if "scene" in state]
    assert len(views) == 2
    assert [view["scene"]["verdict"]["name"] for view in views] == ["CONVERGED", "CONVERGED"]
    assert [view["table"]["number"] for view in views] == [[0, 1], [0, 1]]
    assert all("render" in view["_esm"] for view in views)
