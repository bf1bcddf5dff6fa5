"""Photograph the page in every state that docs/live.md shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from playwright.sync_api import sync_playwright
from torch import nn

import sightline

ROOT = Path(__file__).resolve().parent.parent
HEIGHTS = "heights.csv"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
READY = "() => window.sightline && window.sightline.page.view && !window.sightline.page.waiting"


def table(path: Path, **columns: object) -> str:
    rows = zip(*columns.values(), strict=True)  # type: ignore[call-overload]
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def runs(place: Path) -> dict[str, str]:
    """Ids of runs of every kind, in place/runs."""
    rng, folder = np.random.default_rng(4), place / "runs"
    x = rng.normal(size=(240, 6)).round(3)
    y = (3 + x @ [1.0, -2.0, 0.5, 0.0, 1.5, 0.2] + rng.normal(size=240)).round(3)
    corners = np.array([[0.0, 0.0], [2.6, 0.6], [0.8, 2.6]])
    kind = rng.integers(0, 3, 240)
    at = (corners[kind] + rng.normal(size=(240, 2))).round(3)
    passed = rng.random(240) < 1 / (1 + np.exp(0.3 - 1.4 * x[:, 0]))
    files = {
        "many": table(place / "houses.csv", **{f"x{j}": x[:, j] for j in range(6)}, y=y),
        "two": table(
            place / "exams.csv", hours=(5 + 2 * x[:, 0]).round(2), passed=["yes" if v else "no" for v in passed],
        ),
        "three": table(place / "flowers.csv", length=at[:, 0], width=at[:, 1],
                       kind=[("red", "blue", "white")[k] for k in kind]),
    }  # fmt: skip

    def fit(data: str, formula: str, **settings: object) -> str:
        run = sightline.fit(data, formula, output=folder, figures="none", **settings)
        return run.folder.name

    raw = {"standardize": False, "start": {"Intercept": -35.0, "height": 0.45}}
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    rows = torch.tensor(x, dtype=torch.float32)
    module = sightline.fit_module(
        model, (rows, rows[:, :1] ** 2), loss=nn.MSELoss(), optimizer=torch.optim.Adam(model.parameters(), 0.01),
        epochs=60, batch_size=32, curvature=6, output=folder,
    )  # fmt: skip
    return {
        "example": fit(HEIGHTS, "weight ~ height", lr=3e-6, epochs=20, dtype="float32", **raw),
        "diverged": fit(HEIGHTS, "weight ~ height", lr=4e-5, epochs=400, standardize=False),
        "many": fit(files["many"], "y ~ x0 + x1 + x2 + x3 + x4 + x5", lr=0.1, epochs=40),
        "logistic": fit(files["two"], "passed ~ hours", lr=0.5, epochs=30),
        "softmax": fit(files["three"], "kind ~ length + width", lr=0.5, epochs=80),
        "module": module.folder.name,
    }


STATES = {  # name: run, the rest of the address, width, height, dark
    "live": ("example", "", 1280, 800, False),
    "live-what-if": ("example", "&lr=0.00003&dt=float64&k=1000", 1280, 800, False),
    "live-dark": ("example", "", 1280, 800, True),
    "live-phone": ("example", "", 390, 844, False),
    "live-diverged": ("diverged", "", 1280, 800, False),
    "live-many": ("many", "&row=11", 1280, 1120, False),
    "live-logistic": ("logistic", "", 1280, 1000, False),
    "live-softmax": ("softmax", "", 1280, 1000, False),
    "live-module": ("module", "", 1280, 800, False),
    "live-present": (
        "example", "&present=1&story=2&scene=2&lr=0.000003&std=0&dt=float64&start=-35,0.45&k=1000000", 1920, 1080,
        False,
    ),
    "live-runs": ("", "&with=", 1280, 800, False),
}  # fmt: skip


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "examples" / HEIGHTS, folder)
        os.chdir(folder)  # so that names of files are short
        ids = runs(Path())
        words = [sys.executable, "-m", "sightline", "live", "runs", "--no-browser", "--port", "0"]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        base = server.stdout.readline().partition("?")[0]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            for name, (run, more, width, height, dark) in STATES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
                )
                page = context.new_page()
                beside = f"{ids['example']},{ids['diverged']}" if not run else ""
                page.goto(f"{base}#run={ids.get(run, '')}{more}{beside}")
                page.wait_for_function(READY if run else "() => document.querySelector('#beside path')")
                page.wait_for_timeout(400)
                path = ROOT / "docs" / f"{name}.png"
                page.screenshot(path=path)
                with Image.open(path) as picture:
                    small = picture.convert("RGB").quantize(160, dither=Image.Dither.NONE)
                small.save(path, optimize=True)
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
                context.close()
            browser.close()
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
