"""The random streams that a training draws from: torch, numpy, Python, and those of a loader."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

__all__ = ["generators_of", "load_streams", "snapshot", "streams", "undisturbed"]


def generators_of(source: Any) -> list[Generator]:
    """The generators that a DataLoader, its samplers and its dataset hold, each once."""
    found: list[Generator] = []
    waiting, seen = [source], set[int]()
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        generator = getattr(part, "generator", None)
        if isinstance(generator, Generator) and not any(generator is g for g in found):
            found.append(generator)
        waiting += [getattr(part, name, None) for name in ("sampler", "batch_sampler", "dataset")]
    return found


def snapshot(source: Any = None) -> tuple[Any, ...]:
    """Where all of them are, at little cost; `streams` of it are plain values and tensors."""
    cuda = list(torch.cuda.get_rng_state_all()) if _uses_cuda() else None
    loader = [generator.get_state() for generator in generators_of(source)]
    return torch.get_rng_state(), cuda, random.getstate(), np.random.get_state(), loader


def streams(taken: tuple[Any, ...]) -> dict[str, Any]:
    """A snapshot as plain values and tensors."""
    torch_state, cuda, (version, internal, gauss), (name, keys, position, has_gauss, cached), loader = taken
    return {
        "torch": torch_state,
        **({"cuda": cuda} if cuda else {}),
        "python": {"version": version, "state": torch.tensor(internal, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "name": name, "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)), "position": int(position),
            "has_gauss": int(has_gauss), "cached": float(cached),
        },
        "loader": loader,
    }  # fmt: skip


def load_streams(state: Mapping[str, Any], source: Any = None) -> None:
    """Put all of them where they were."""
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        for number, stream in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(stream, number)
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["state"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))
    for generator, value in zip(generators_of(source), state["loader"], strict=True):
        generator.set_state(value)


@contextmanager
def undisturbed(source: Any = None) -> Iterator[None]:
    """What is drawn inside leaves all of them, and those of the loader, as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    held: list[tuple[Generator, Tensor]] = [(g, g.get_state()) for g in generators_of(source)]
    devices = list(range(torch.cuda.device_count())) if _uses_cuda() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for generator, state in held:
                generator.set_state(state)
            random.setstate(python)
            np.random.set_state(numpy)


def _uses_cuda() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
