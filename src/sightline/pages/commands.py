"""The commands that make a run again, and the settings as a person reads them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..settings import RunSettings
from ..words import plain

__all__ = ["commands_of", "fit_command", "said_settings", "solve_command"]

APART = ("auto_momentum", "restore_best")  # whose flags have other names
SWITCHES = ("nesterov", "standardize")
SOLVES = ("loss", "loss_opt", "class_weight", "weights", "l1", "l2", "robust", "cluster", "level", "memory", "device")


def fit_command(data: str, formula: str, settings: RunSettings) -> str:
    """The command line that fits with these settings; what has its default is left out.

    >>> fit_command("heights.csv", "weight ~ height", RunSettings(lr=3e-6, epochs=20, standardize=False))
    "sightline fit heights.csv 'weight ~ height' --lr 3e-06 --epochs 20 --no-standardize"
    """
    return _command(["sightline", "fit", _as_argument(data), shlex.quote(formula)], settings)


def solve_command(data: str, formula: str, settings: RunSettings) -> str:
    """The command line of the exact answer to the very problem that these settings train.

    >>> solve_command("heights.csv", "weight ~ height", RunSettings(lr=0.1, l2=0.5))
    "sightline solve heights.csv 'weight ~ height' --l2 0.5"
    """
    return _command(["sightline", "solve", _as_argument(data), shlex.quote(formula)], settings, SOLVES)


def _as_argument(data: str) -> str:
    """The data as a shell has it; a name that begins with a dash would be taken for an option."""
    return shlex.quote(f"./{data}" if data.startswith("-") else data)


def _command(parts: list[str], settings: RunSettings, names: Sequence[str] = ()) -> str:
    default = RunSettings()
    for name in names or [f.name for f in fields(settings)]:
        value = getattr(settings, name)
        if value == getattr(default, name) or name in APART:
            continue
        flag = "--" + name.replace("_", "-")
        if name in SWITCHES:
            parts.append(flag if value else f"--no-{name}")
        elif isinstance(value, Mapping):
            parts += _of_mapping(flag, value)
        else:
            parts += [flag, shlex.quote(f"{value!r}" if isinstance(value, float) else str(value))]
    if names:
        return " ".join(parts)
    if settings.auto_momentum:
        parts += ["--momentum", "auto"]
    if not settings.restore_best:
        parts.append("--no-restore-best")
    return " ".join(parts)


def _of_mapping(flag: str, values: Mapping[str, Any]) -> list[str]:
    pairs = [f"{name}={_typed(value)}" for name, value in values.items()]
    if flag == "--start":
        return [flag, shlex.quote(",".join(pairs))]
    return [part for pair in pairs for part in (flag, shlex.quote(pair))]


def _solved(data: str, formula: str, settings: RunSettings) -> list[tuple[str, str]]:
    """Nothing where rows were held out or a decay of the optimizer was on: solve knows neither."""
    if settings.validation is not None or settings.weight_decay:
        return []
    return [("the exact answer alone", solve_command(data, formula, settings))]


def _typed(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_typed, value))
    return repr(value) if isinstance(value, float) else str(value)


def commands_of(folder: Path, source: Mapping[str, Any], formula: str, settings: RunSettings) -> list[dict[str, str]]:
    """What to type to make the run again, and to go on with it."""
    data, run = str(source.get("path") or source.get("name") or "DATA"), shlex.quote(folder.name)
    found = [
        ("train it again", fit_command(data, formula, settings)),
        *_solved(data, formula, settings),
        ("one epoch, number by number", f"sightline explain {run}"),
        ("as plain PyTorch", f"sightline eject {run} -o loop.py"),
        ("predictions", f"sightline predict {run} new.csv"),
    ]
    return [{"what": what, "command": command} for what, command in found]


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_typed(v)}" for name, v in value.items())
    return plain(value) if isinstance(value, float) else str(value)


def said_settings(settings: RunSettings) -> list[list[str]]:
    """The settings that are not their defaults, and those that everybody asks for, as pairs of words.

    >>> said_settings(RunSettings(lr=3e-6))[:2]
    [['optimizer', 'sgd'], ['learning rate', '3e-06']]
    """
    always = {
        "optimizer": settings.optimizer,
        "learning rate": "auto" if settings.lr is None else plain(settings.lr),
        "momentum": "auto" if settings.momentum is None and settings.lr is None else plain(settings.momentum or 0.0),
        "epochs": "until it arrives" if settings.epochs is None else f"{settings.epochs:,}",
        "batch": "all rows" if settings.batch_size is None else f"{settings.batch_size:,}",
        "standardize": "yes" if settings.standardize else "no",
        "precision": settings.dtype,
        "seed": str(settings.seed),
    }
    told = {"optimizer", "lr", "momentum", "epochs", "batch_size", "standardize", "dtype", "seed", "figures", "engine"}
    default = RunSettings()
    more = {
        f.name.replace("_", " "): _said(value)
        for f in fields(settings)
        if f.name not in told and (value := getattr(settings, f.name)) != getattr(default, f.name)
    }
    return [[name, value] for name, value in {**always, **more}.items()]
