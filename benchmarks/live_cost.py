"""What an open page costs the training that it shows: the same one with and without a server and a browser beside it.

Run by hand: python benchmarks/live_cost.py [--rounds N]. Needs chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

FIT = """
import sys, time, torch, sightline
from torch import nn
torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(20_000, 64); y = x[:, :1] ** 2
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
run = sightline.fit_module(model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.Adam(model.parameters()), epochs=25,
                           batch_size=256, output=sys.argv[1])
print(run.epochs[-1].seconds)
"""


@contextmanager
def page(folder: Path, wanted: bool):
    """The server and a browser that looks at the newest run, or nothing."""
    if not wanted:
        yield
        return
    from playwright.sync_api import sync_playwright

    words = [sys.executable, "-m", "sightline", "live", str(folder), "--no-browser", "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    base = server.stdout.readline().partition("?")[0]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        looking = browser.new_page()
        looking.goto(base)
        yield looking
        browser.close()
    server.terminate()
    server.wait()


def seconds(folder: Path, looking) -> float:
    """Training time of one run, which the page opens as soon as it is there."""
    before = set(folder.glob("*/run.json"))
    process = subprocess.Popen([sys.executable, "-c", FIT, str(folder)], stdout=subprocess.PIPE, text=True)
    while looking is not None and not (new := set(folder.glob("*/run.json")) - before):
        time.sleep(0.05)
    if looking is not None:
        looking.evaluate("(id) => { location.hash = `run=${id}`; }", next(iter(new)).parent.name)
    said, _ = process.communicate()
    return float(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(rounds):
            found = {}
            for wanted in (False, True) if i % 2 else (True, False):
                with page(folder, wanted) as looking:
                    found[wanted] = seconds(folder, looking)
            ratios.append(found[True] / found[False])
            print(
                f"round {i + 1}: {found[False]:.2f} s alone, {found[True]:.2f} s with the page open: {ratios[-1]:.4f}"
            )
    print(f"median {statistics.median(ratios):.4f}, from {min(ratios):.4f} to {max(ratios):.4f}")


if __name__ == "__main__":
    main()
