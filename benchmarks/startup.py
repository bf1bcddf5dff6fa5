"""Whole commands against `import torch`, interleaved: the price of sightline where there is almost nothing to train.

Run with `scripts/bench`. Prints the median of each and of the ratios, round by round.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
FIT = ["-m", "sightline", "fit", str(ROOT / "examples/heights.csv"), "weight ~ height"]
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "fit, no figures": [*FIT, "--figures", "none"],
    "fit, figures": FIT,
    "tutorial's settings": [
        *FIT, "--figures", "none", "--no-standardize", "--dtype", "float32", "--lr", "3e-6", "--epochs", "20",
        "--start", "Intercept=-35,height=0.45",
    ],
    "--help": ["-m", "sightline", "--help"],
}  # fmt: skip


def seconds(arguments: list[str], folder: str) -> float:
    """Wall time of one process."""
    began = perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)
    return perf_counter() - began


def main() -> None:
    """Time every command once in each round, after one round that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = [{name: seconds(arguments, folder) for name, arguments in COMMANDS.items()} for _ in range(ROUNDS + 1)]
    for name in COMMANDS:
        times = [r[name] for r in rounds[1:]]
        ratios = [r[name] / r["import torch"] for r in rounds[1:]]
        low, high = min(ratios), max(ratios)
        print(f"{name:<20} {median(times):6.3f} s   {median(ratios):5.2f} x import torch  ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
