"""A run as one file: the page with everything that it shows written into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runs.series import Series
from ..views.page_files import report_html
from .scene import scene_of

__all__ = ["records_of", "report_of", "write_report"]

MOST_POINTS = 900  # records in a report


def records_of(folder: Path, terms: list[str], most: int = MOST_POINTS) -> dict[str, Any]:
    """The records of a run as columns, thinned."""
    series = Series(folder)
    series.read()
    return {**series.table(series.places(most), terms), "generation": 0, "of": len(series)}


def report_of(folder: Path) -> str:
    """The report of the run in `folder`, as HTML."""
    from .stories import stories

    scene = scene_of(folder)
    table = records_of(folder, [c["term"] for c in scene["coef"]])
    data = {
        "runs": [{"run": scene["id"]}], "default": scene["id"],
        "scenes": {scene["id"]: {"scene": scene, "table": table}},
        "stories": stories(),
    }  # fmt: skip
    return report_html(data, f"{scene['formula'] or scene['name']} · sightline")


def write_report(folder: Path, to: Path) -> int:
    """Write it; returns its size in bytes."""
    content = report_of(folder).encode("utf-8", "surrogatepass")
    to.write_bytes(content)
    return len(content)
