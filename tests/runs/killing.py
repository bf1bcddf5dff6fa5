"""Runs killed with SIGKILL at random moments, gone on with, and compared with the run that nobody killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sightline.cli import main
from sightline.records import Epoch
from sightline.runs import checkpoint
from sightline.runs.checkpoint import Checkpoint, read_checkpoints
from sightline.runs.store import read_epochs, read_manifest

__all__ = ["FAMILIES", "KilledRun", "table"]

FAMILIES: dict[str, list[str]] = {
    "sgd": ["--epochs", "900", "--lr", "1e-3", "--dtype", "float32", "--schedule", "plateau"],
    "momentum": ["--epochs", "60", "--lr", "0.01", "--momentum", "0.9", "--batch-size", "16", "--l1", "0.01"],
    "adam": ["--epochs", "60", "--optimizer", "adam", "--batch-size", "16", "--schedule", "one-cycle"],
    "rmsprop": ["--epochs", "300", "--optimizer", "rmsprop", "--engine", "autograd", "--clip-norm", "0.5"],
    "lbfgs": ["--epochs", "120", "--optimizer", "lbfgs", "--opt", "max_iter=1", "--opt", "history_size=5",
              "--lr", "0.002", "--loss", "huber"],
}  # fmt: skip
# Processes are forked from one that has everything imported and has trained nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.runs.killing", "sightline.resuming", "sightline.cli.fit", "scipy.linalg"])


def command(arguments: list[str], errors: Path) -> None:
    """One command of sightline, in a process of its own that spends half of its time in writing checkpoints."""
    checkpoint.PAUSE, checkpoint.SHARE = 0.0, 1.0
    sys.stdout, sys.stderr = open(os.devnull, "w"), open(errors, "a")  # noqa: SIM115 - as long as the process lives
    torch.set_num_threads(1)
    main(arguments)


def table(path: Path) -> Path:
    """200 rows, three numbers, three kinds."""
    rng = np.random.default_rng(3)
    x, kind = rng.normal(size=(200, 3)), rng.choice(["a", "b", "c"], size=200)
    y = x @ [1.0, -0.5, 2.0] + (kind == "b") + 0.5 * rng.normal(size=200)
    lines = [
        ",".join([*(f"{v!r}" for v in [*row.tolist(), float(t)]), k]) for row, t, k in zip(x, y, kind, strict=True)
    ]
    path.write_text("\n".join(["u,v,w,y,kind", *lines, ""]))
    return path


class KilledRun:
    """One fit, in processes that are killed and followed by others until it is done."""

    def __init__(self, data: Path, output: Path, options: list[str], chance: random.Random) -> None:
        self.output, self.chance = output, chance
        self.start = ["fit", str(data), "y ~ u + v + w + kind", "--output", str(output), "--figures", "none", *options]
        self.kills = 0

    @property
    def folder(self) -> Path | None:
        """The run folder, once it is there with its run.json."""
        return next((p.parent for p in self.output.glob("*/run.json")), None)

    def undisturbed(self) -> Path:
        """The run to its end, in a fresh interpreter."""
        done = subprocess.run(
            [sys.executable, "-m", "sightline", *self.start], capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert self.folder is not None
        return self.folder

    def live(self, longest: float) -> bool:
        """Train on for a random time, then kill; True if it was done before."""
        folder, errors = self.folder, self.output.with_suffix(".errors")
        arguments = ["resume", str(folder)] if folder else self.start
        process = PROCESSES.Process(target=command, args=(arguments, errors))
        lives = self.lives
        process.start()
        while process.exitcode is None and self.lives == lives:  # until it trains
            time.sleep(0.002)
        process.join(self.chance.uniform(0.0, longest))
        if process.exitcode is None:
            process.kill()
            process.join()
        assert process.exitcode in (0, -9), errors.read_text()
        self.kills += process.exitcode == -9
        return process.exitcode == 0

    @property
    def lives(self) -> int:
        """How many processes have begun to train."""
        return 0 if self.folder is None else 1 + len(read_manifest(self.folder).get("resumed", []))

    def newest(self) -> Checkpoint | str | None:
        """The newest checkpoint that a kill has left."""
        return next(read_checkpoints(self.folder, self.folder.name), None) if self.folder else None


def records(folder: Path) -> list[Epoch]:
    """All records, without the time they took."""
    return [replace(record, seconds=0.0) for record in read_epochs(folder)]


def results(folder: Path) -> dict[str, object]:
    """What run.json says in the end, without the name of the run."""
    return {**read_manifest(folder)["result"], "run": None}


def bytes_of(folder: Path) -> tuple[bytes, ...]:
    """Model, parameters, optimizer, as they are on the disk."""
    return tuple((folder / name).read_bytes() for name in ("model.safetensors", "state.safetensors"))


def states(folder: Path) -> object:
    """What is beside the tensors in the last checkpoint."""
    return json.loads((folder / "state.json").read_text())["state"]


def same(one: Path, other: Path) -> bool:
    """Whether two runs have the same records, result, parameters and optimizer, bit for bit."""
    return all(look(one) == look(other) for look in (records, results, bytes_of, states))
