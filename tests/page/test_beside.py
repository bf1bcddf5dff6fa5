"""`sightline fit --live` and `sightline live DATA FORMULA`: a fit with the page beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

from .conftest import Server


def started(tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "sightline", "fit", *words, "--live", "--output", str(tmp_path / "runs"), "--figures", "none"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def said_until(process, *wanted):
    """What the process says until all of that was said; a fit and its page may speak in either order."""
    said = ""
    while not all(re.search(pattern, said) for pattern in wanted):
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def address(said):
    return re.search(ADDRESS, said)[0]


ADDRESS = r"http://127\.0\.0\.1:\d+/"


def is_there(url):
    try:
        urllib.request.urlopen(url, timeout=2).read()
    except OSError:
        return False
    return True


def test_a_fit_with_its_page(tmp_path, heights):
    path = tmp_path / "h.csv"
    path.write_text("height,weight\n" + "".join(f"{a},{b}\n" for a, b in zip(*heights.values(), strict=True)))
    process = started(tmp_path, str(path), "weight ~ height", "--json")
    url = address(said_until(process, ADDRESS, "the page stays open"))
    deadline = time.monotonic() + 30
    while not is_there(url + "api/runs"):
        assert time.monotonic() < deadline
    runs = json.loads(urllib.request.urlopen(url + "api/runs").read())
    assert [run["formula"] for run in runs["runs"]] == ["weight ~ height"]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out)["verdict"] == "CONVERGED"
    assert not is_there(url)


def test_the_page_ends_with_its_fit(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("x,y\n" + "".join(f"{i},{(7 * i) % 11}\n" for i in range(50)))
    process = started(tmp_path, str(path), "y ~ x", "--lr", "1e-9", "--epochs", "100000000", "--quiet")
    url = address(said_until(process, ADDRESS))
    deadline = time.monotonic() + 30
    while not is_there(url + "api/runs"):
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    while is_there(url + "api/runs"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_data_and_formula_are_fitted_and_shown(tmp_path, heights, monkeypatch):
    path = tmp_path / "h.csv"
    path.write_text("height,weight\n" + "".join(f"{a},{b}\n" for a, b in zip(*heights.values(), strict=True)))
    monkeypatch.setenv("SIGHTLINE_RUNS", str(tmp_path / "shown"))
    server = Server(str(path), "weight ~ height")
    try:
        found = json.loads(urllib.request.urlopen(server.base + "api/runs").read())
        assert found["default"] == found["runs"][0]["run"]
        assert len(list((tmp_path / "shown").glob("*/run.json"))) == 1
    finally:
        server.stop()


def test_a_fit_that_cannot_be_says_why(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text("height,weight\n1,2\n3,4\n")
    words = [sys.executable, "-m", "sightline", "live", str(path), "weight ~ heigth", "--no-browser"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "heigth" in ended.stderr
    assert "Traceback" not in ended.stderr
