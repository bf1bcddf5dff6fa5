"""Random kill -9, fifty for each optimizer: does the run that goes on give the bits of the run that nobody killed?"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])  # for the processes to come

from tests.runs.killing import FAMILIES, MODULES, Begin, KilledRun, differing, of_module, of_table, table  # noqa: E402

from sightline.runs.checkpoint import Checkpoint  # noqa: E402

KILLS, SEED, LONGEST = 50, 7, 1.0  # for each family; seconds of training before a kill, at most


def main() -> int:
    """Print a line for each family; 1 if any run was lost or has other bits."""
    wrong = 0
    chance = random.Random(SEED)
    with tempfile.TemporaryDirectory() as scratch:
        data = table(Path(scratch) / "table.csv")
        kinds = {f"fit, {name}": of_table(data, options) for name, options in FAMILIES.items()}
        kinds |= {f"fit_module, {name}": of_module(name) for name in MODULES}
        for number, (name, begin) in enumerate(kinds.items()):
            if name.startswith(tuple(sys.argv[1:]) or ""):
                wrong += family(name, begin, Path(scratch) / str(number), chance)
    return min(wrong, 1)


def family(name: str, begin: Begin, scratch: Path, chance: random.Random) -> int:
    """Kill runs of this family until there were enough; returns how many were not the straight run."""
    scratch.mkdir()
    straight = KilledRun(begin, scratch / "straight", chance).undisturbed()
    kills = runs = equal = damaged = 0
    at: list[int] = []
    while kills < KILLS:
        run = KilledRun(begin, scratch / f"killed-{runs}", chance)
        while not run.live(LONGEST if kills + run.kills < KILLS else 1e6):
            newest = run.newest()
            damaged += isinstance(newest, str)
            at += [newest.epoch] if isinstance(newest, Checkpoint) else []
        assert run.folder is not None
        if parts := differing(straight, run.folder):
            print(f"{name}: run {runs}, killed {run.kills} times, has other {', '.join(parts)}", flush=True)
        kills, runs, equal = kills + run.kills, runs + 1, equal + (not parts)
    print(
        f"{name}: {kills} kills in {runs} runs, at {len(set(at))} epochs from {min(at)} to {max(at)}, {damaged} newest "
        f"checkpoints unreadable, {equal} of {runs} runs bit for bit the straight one",
        flush=True,
    )
    return runs - equal


if __name__ == "__main__":
    sys.exit(main())
