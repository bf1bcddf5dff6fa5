"""A real browser on real runs: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sightline

from ..conftest import HEIGHTS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
START = {"Intercept": -35.0, "height": 0.45}
AWAY = re.compile("net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION)")  # what a browser says of a server that ended
READY = "() => window.sightline && window.sightline.page.view && !window.sightline.page.waiting"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests of a worker, in whichever folder they are."""
    if STARTED:
        yield STARTED[0]
        return
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: as root, apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        STARTED.append(found)
        yield found
        STARTED.clear()
        found.close()


STARTED: list[Any] = []  # Playwright can be started once in a process


def write_csv(path: Path, columns: dict[str, Any]) -> str:
    names = list(columns)
    quoted = ['"' + name.replace('"', '""') + '"' if not name.isidentifier() else name for name in names]
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(quoted), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Finished runs of every kind in one folder, by name: their ids."""
    place = tmp_path_factory.mktemp("page")
    folder, rng = place / "runs", np.random.default_rng(3)
    x = rng.normal(size=(120, 3))
    files = {
        "heights": write_csv(place / "heights.csv", HEIGHTS),
        "many": write_csv(
            place / "many.csv",
            {**{f"c{j}": x[:, j].round(4) for j in range(3)}, "y": (1 + x @ [1.0, 2.0, -1.0] + rng.normal(size=120)).round(4)},
        ),
        "two": write_csv(
            place / "two.csv",
            {
                "hours": (5 + 2 * x[:, 0]).round(3), "sleep": (7 + x[:, 1]).round(3),
                "passed": ["yes" if v else "no" for v in rng.random(120) < 1 / (1 + np.exp(-0.5 - 1.5 * x[:, 0]))],
            },
        ),
        "three": write_csv(
            place / "three.csv",
            {"u": x[:, 0].round(3), "kind": ["abc"[int(v)] for v in np.clip(np.round(x[:, 0] + rng.normal(size=120)), 0, 2)]},
        ),
        "apart": write_csv(place / "apart.csv", {"x": list(range(20)), "k": ["lo" if i < 11 else "hi" for i in range(20)]}),
    }  # fmt: skip

    def fit(data: str, formula: str, **settings: Any) -> str:
        run = sightline.fit(files[data], formula, output=folder, figures="none", **settings)
        assert run.folder is not None
        return run.folder.name

    raw = {"standardize": False, "start": START}
    found = {
        "example": fit("heights", "weight ~ height", lr=3e-6, epochs=20, dtype="float32", **raw),
        "plain": fit("heights", "weight ~ height", lr=3e-6, epochs=200, **raw),
        "momentum": fit("heights", "weight ~ height", lr=1e-5, momentum=0.9, epochs=300, **raw),
        "nesterov": fit("heights", "weight ~ height", lr=1e-5, momentum=0.8, nesterov=True, epochs=300, **raw),
        "decay": fit("heights", "weight ~ height", lr=1e-5, weight_decay=0.01, epochs=300, **raw),
        "arrived": fit("heights", "weight ~ height"),
        "diverged": fit("heights", "weight ~ height", lr=4e-5, epochs=400, standardize=False),
        "many": fit("many", "y ~ c0 + c1 + c2", lr=0.1, epochs=30),
        "adam": fit("many", "y ~ c0 + c1 + c2", optimizer="adam", lr=0.05, epochs=40),
        "logistic": fit("two", "passed ~ hours", lr=0.5, epochs=40),
        "plane": fit("two", "passed ~ hours + sleep"),
        "softmax": fit("three", "kind ~ u", lr=0.5, epochs=60),
        "apart": fit("apart", "k ~ x", epochs=100),
        "module": module(folder),
    }
    return SimpleNamespace(place=place, folder=folder, files=files, **found)


def module(folder: Path) -> str:
    import torch
    from torch import nn

    torch.manual_seed(0)
    x = torch.randn(100, 4)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    run = sightline.fit_module(
        model, (x, x[:, :1] ** 2), loss=nn.MSELoss(), optimizer=torch.optim.Adam(model.parameters(), 0.01), epochs=12,
        batch_size=20, curvature=4, output=folder,
    )  # fmt: skip
    assert run.folder is not None
    return run.folder.name


class Server:
    """`sightline live` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        words = [sys.executable, "-m", "sightline", "live", *arguments, "--no-browser"]
        if "--port" not in arguments:
            words += ["--port", "0"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.stderr and self.process.stderr.read()
        self.base, _, self.token = self.url.partition("?token=")
        self.port = int(self.base.rsplit(":", 1)[1].strip("/"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="session")
def server(runs: SimpleNamespace) -> Iterator[Server]:
    """All runs on one server."""
    found = Server(str(runs.folder))
    yield found
    found.stop()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open an address in a context of its own; an error in the console, or a request elsewhere, fails the test."""
    contexts, complaints = [], []

    def opened(
        url: str, *, width: int = 1280, height: int = 800, ready: bool = True, before: str = "", **options: Any
    ) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        if before:
            page.add_init_script(before)
        home = url.split("/", 3)[2]
        page.on(
            "console", lambda m: complaints.append(m.text) if m.type == "error" and not AWAY.search(m.text) else None
        )
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("request", lambda r: complaints.append(f"asked {r.url}") if r.url.split("/", 3)[2] != home else None)
        page.goto(url)
        if ready:
            page.wait_for_function(READY, timeout=90_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
