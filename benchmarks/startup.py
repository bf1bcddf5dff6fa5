"""Whole commands beside a bare interpreter and `import torch`, interleaved: the price of sightline before any work.

Run with `python benchmarks/startup.py`. Prints the median seconds of each command, those beyond the bare interpreter of
the same round, and of what trains the ratio to `import torch` of the same round, which is to be at most 1.5.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 15
BARE, TORCH = "python -c pass", "import torch"
SIGHTLINE = ["-m", "sightline"]
FIT = [*SIGHTLINE, "fit", str(ROOT / "examples/heights.csv"), "weight ~ height"]
COMMANDS = {
    BARE: ["-c", "pass"],
    "--help": [*SIGHTLINE, "--help"],
    "runs": [*SIGHTLINE, "runs", "--output", "one"],
    "show": [*SIGHTLINE, "show"],  # the run of the first round is named behind it
    TORCH: ["-c", "import torch"],
    "fit, 20 epochs": [*FIT, "--figures", "none", "--epochs", "20"],
    "fit, no figures": [*FIT, "--figures", "none"],
    "fit, figures": FIT,
    "tutorial's settings": [
        *FIT, "--figures", "none", "--no-standardize", "--dtype", "float32", "--lr", "3e-6", "--epochs", "20",
        "--start", "Intercept=-35,height=0.45",
    ],
}  # fmt: skip


def seconds(arguments: list[str], folder: str) -> float:
    """Wall time of one process, which finds its modules compiled, as after an installation."""
    compiled = {"PYTHONPYCACHEPREFIX": os.path.join(folder, "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    environment = {**os.environ, **compiled}
    began = perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    return perf_counter() - began


def measured(folder: str) -> list[dict[str, float]]:
    """Every command once in each round, after one round that is not counted."""
    seconds([*COMMANDS["fit, 20 epochs"], "--output", "one"], folder)
    (run,) = map(str, Path(folder, "one").iterdir())
    commands = {**COMMANDS, "show": [*COMMANDS["show"], run]}
    return [{name: seconds(how, folder) for name, how in commands.items()} for _ in range(ROUNDS + 1)][1:]


def line(name: str, rounds: list[dict[str, float]]) -> str:
    """The medians of one command."""
    beyond = median(r[name] - r[BARE] for r in rounds)
    text = f"{name:<20} {median(r[name] for r in rounds):6.3f} s   {beyond:6.3f} s beyond {BARE}"
    ratios = [r[name] / r[TORCH] for r in rounds]
    spread = f"   {median(ratios):5.2f} x import torch  ({min(ratios):.2f} to {max(ratios):.2f})"
    return text + (spread if "fit" in name or "tutorial" in name else "")


def main() -> None:
    """Print a line for each command."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = measured(folder)
    print("\n".join(line(name, rounds) for name in COMMANDS))


if __name__ == "__main__":
    main()
