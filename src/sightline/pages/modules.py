"""A training of a module of one's own, for a page: no exact answer, and what was measured instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runs.store import LAYERS

__all__ = ["module_scene"]


def module_scene(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, the largest curvature beside 2 / λmax where it was measured, sizes by layer."""
    settings = manifest["settings"]
    result = manifest.get("result") or {}
    optimizer = settings.get("optimizer", {})
    batch = settings.get("batch_size")
    said = [
        ["module", str(settings.get("module"))],
        ["loss", str(settings.get("loss") or settings.get("step") or "its own step")],
        *[[name, _text(value)] for name, value in optimizer.items() if value not in (None, False)],
        ["epochs", f"{settings.get('epochs'):,}"],
        ["batch", "all rows" if batch is None else f"{batch:,}"],
        ["seed", str(settings.get("seed"))],
    ]
    return {
        "kind": "module",
        "name": settings.get("module"), "formula": None, "target": None,
        "rows": (settings.get("data") or {}).get("rows"),
        "fingerprint": (settings.get("data") or {}).get("fingerprint"),
        "settings": said, "step": optimizer, "commands": _commands(folder),
        "loss": {"name": settings.get("loss"), "exact": None, "baseline": None, "floor": False, "attained": None},
        "coef": [], "systems": [],
        "whatif": "the loss of a module of one's own has no closed form: train it with other settings to see",
        "curvature_by_epoch": result.get("curvature") or [],
        "best": {"epoch": result.get("kept_epoch"), "loss": result.get("loss")} if result else None,
        "layers": _layers(folder), "parts": settings.get("layers", {}),
        "missing": None, "classes": [],
    }  # fmt: skip


def _text(value: Any) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _commands(folder: Path) -> list[dict[str, str]]:
    name = folder.name
    return [
        {"what": "its summary", "command": f"sightline show {name}"},
        {"what": "its records in Python", "command": f"sightline.load_module({name!r})"},
    ]


def _layers(folder: Path) -> list[dict[str, Any]]:
    """What `layers.jsonl` says of the size of gradients and updates; nothing where there is none."""
    try:
        lines = (folder / LAYERS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    if len(found) > 200:
        found = [found[round(i * (len(found) - 1) / 199)] for i in range(200)]
    return found
