"""Runs killed with SIGKILL at random moments, gone on with, and compared with the run that nobody killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sightline.cli import main
from sightline.modules.fit import fit_module
from sightline.records import Epoch
from sightline.runs import checkpoint
from sightline.runs.checkpoint import Checkpoint, read_checkpoints
from sightline.runs.store import read_epochs, read_manifest

__all__ = ["FAMILIES", "MODULES", "KilledRun", "of_module", "of_table", "table"]

FAMILIES: dict[str, list[str]] = {
    "sgd": ["--epochs", "900", "--lr", "1e-3", "--dtype", "float32", "--schedule", "plateau"],
    "momentum": ["--epochs", "60", "--lr", "0.01", "--momentum", "0.9", "--batch-size", "16", "--l1", "0.01"],
    "adam": ["--epochs", "60", "--optimizer", "adam", "--batch-size", "16", "--schedule", "one-cycle"],
    "rmsprop": ["--epochs", "300", "--optimizer", "rmsprop", "--engine", "autograd", "--clip-norm", "0.5"],
    "lbfgs": ["--epochs", "120", "--optimizer", "lbfgs", "--opt", "max_iter=1", "--opt", "history_size=5",
              "--lr", "0.002", "--loss", "huber"],
}  # fmt: skip
MODULES = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3),
    "lbfgs": lambda parameters: torch.optim.LBFGS(parameters, lr=0.05, max_iter=2, history_size=4),
}
# Processes are forked from one that has everything imported and has trained nothing.
Begin = Callable[[Path, Path | None], tuple[Callable[..., None], list[Any]]]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.runs.killing", "sightline.resuming", "sightline.cli.fit", "scipy.linalg"])


def prepare_process(errors: Path, *, often: bool) -> None:
    """In a process of its own: quiet, one thread, half of the time spent in writing checkpoints if they are to be
    written `often`.
    """
    if often:
        checkpoint.PAUSE, checkpoint.SHARE = 0.0, 1.0
    sys.stdout, sys.stderr = open(os.devnull, "w"), open(errors, "a")  # noqa: SIM115 - as long as the process lives
    torch.set_num_threads(1)


def command(arguments: list[str], errors: Path, often: bool) -> None:
    """One command of sightline."""
    prepare_process(errors, often=often)
    main(arguments)


def train_module(family: str, output: str, resume: str | None, errors: Path, often: bool) -> None:
    """A net with dropout and batch normalization on batches of a shuffling loader."""
    prepare_process(errors, often=often)
    random.seed(5)  # of what is not drawn from the state is kept too
    np.random.seed(5)
    torch.manual_seed(5)
    x = torch.randn(300, 6)
    y = (x[:, :3].sum(1) > 0).long() + (x[:, 3:].sum(1) > 0).long()
    layers = [nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)]
    model = nn.Sequential(*layers)
    generator = None if family == "adam" else torch.Generator().manual_seed(2)  # Adam's loader draws from torch's own
    loader = DataLoader(TensorDataset(x[:250], y[:250]), batch_size=25, shuffle=True, generator=generator)
    fit_module(
        model, loader, loss=nn.CrossEntropyLoss(), optimizer=MODULES[family](model.parameters()), epochs=40,
        valid=(x[250:], y[250:]), output=output, resume=resume,
    )  # fmt: skip


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


def of_table(data: Path, options: list[str]) -> Begin:
    """How a fit of that table is begun, and how it is gone on with."""

    def begin(output: Path, folder: Path | None) -> tuple[Callable[..., None], list[Any]]:
        fit = ["fit", str(data), "y ~ u + v + w + kind", "--output", str(output), "--figures", "none", *options]
        return command, [["resume", str(folder)] if folder else fit]

    return begin


def of_module(family: str) -> Begin:
    """The same of a module."""
    return lambda output, folder: (train_module, [family, str(output), str(folder) if folder else None])


class KilledRun:
    """One training, in processes that are killed and followed by others until it is done."""

    def __init__(self, begin: Begin, output: Path, chance: random.Random) -> None:
        self.begin, self.output, self.chance = begin, output, chance
        self.kills = 0

    @property
    def folder(self) -> Path | None:
        """The run folder, once it is there with its run.json."""
        return next((p.parent for p in self.output.glob("*/run.json")), None)

    def undisturbed(self) -> Path:
        """The run to its end, in a process that nobody kills."""
        process, errors = self._process(often=False)
        process.start()
        process.join()
        assert process.exitcode == 0, errors.read_text()
        assert self.folder is not None
        return self.folder

    def live(self, longest: float) -> bool:
        """Train on for a random time, then kill; True if it was done before."""
        process, errors = self._process(often=True)
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

    def _process(self, *, often: bool) -> tuple[Any, Path]:
        errors = self.output.with_suffix(".errors")
        target, arguments = self.begin(self.output, self.folder)
        return PROCESSES.Process(target=target, args=(*arguments, errors, often)), errors

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


def differing(one: Path, other: Path) -> list[str]:
    """In what two runs differ, bit by bit: records, result, parameters and optimizer, the state beside them."""
    return [look.__name__ for look in (records, results, bytes_of, states) if look(one) != look(other)]
