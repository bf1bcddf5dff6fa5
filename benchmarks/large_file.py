"""A file far larger than the memory it is fitted in: `python -m benchmarks.large_file --gb 10 --memory 100MB`.

The rows are made block by block, written as text, and added up on the way in the coordinates of what made them, which
is what the coefficients, their standard errors and the verdict of the file are compared with.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, BLOCK = 20, 200_000
ROW = 155  # bytes of text, about
CHILD = """
import json, sys, time
import duckdb, numpy, scipy.linalg, scipy.special, torch, sightline, sightline.solution
try:
    import polars
except ImportError:
    pass
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
before, began = peak(), time.perf_counter()
run = sightline.solve(sys.argv[1], target="y", memory=sys.argv[2], **json.loads(sys.argv[3]))
seconds = time.perf_counter() - began
print(json.dumps({
    "before": before, "peak": peak(), "seconds": seconds, "verdict": run.verdict.name,
    "estimate": [c.estimate for c in run.coefficients], "std_error": [c.std_error for c in run.coefficients],
    "r2": run.result["fit"]["r2"], "accuracy": run.result["accuracy"]["reason"],
}))
"""


def blocks(rows: int) -> Iterator[Any]:
    """`[x0 ... x19, y]` as they are written, of four decimals, `(m, 21)` each."""
    slopes = np.linspace(-1.0, 1.0, COLUMNS)
    for first in range(0, rows, BLOCK):
        rng = np.random.default_rng(first)
        m = min(BLOCK, rows - first)
        X = rng.standard_normal((m, COLUMNS)) * np.linspace(0.5, 3.0, COLUMNS) + np.linspace(-5.0, 50.0, COLUMNS)
        y = X @ slopes + 2.0 + rng.standard_normal(m)
        yield np.round(np.column_stack([X, y]), 4)


def written(path: Path, rows: int) -> None:
    """The file, which is made once."""
    if path.exists():
        return
    import duckdb

    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        file.write((",".join([*(f"x{j}" for j in range(COLUMNS)), "y"]) + "\n").encode())
        for block in blocks(rows):
            columns = {f"c{j}": block[:, j].copy() for j in range(block.shape[1])}  # noqa: F841  duckdb finds it
            piece = path.with_suffix(".piece")
            duckdb.sql(f"COPY (SELECT * FROM columns) TO '{piece}' (FORMAT csv, HEADER false)")
            file.write(piece.read_bytes())
            piece.unlink()
    part.rename(path)


def reference(rows: int) -> dict[str, Any]:
    """The answer of rows that were never all in memory: sums of products about the means that the rows were made with,
    in extended precision.
    """
    shift = np.append(
        np.linspace(-5.0, 50.0, COLUMNS), np.linspace(-1.0, 1.0, COLUMNS) @ np.linspace(-5.0, 50.0, COLUMNS)
    )
    products, sums = np.zeros((COLUMNS + 1,) * 2, np.longdouble), np.zeros(COLUMNS + 1, np.longdouble)
    for block in blocks(rows):
        moved = block - shift
        products += moved.T @ moved
        sums += moved.sum(axis=0)
    mean = sums / rows
    centered = np.asarray(products - rows * np.outer(mean, mean), dtype=np.float64)
    mean = np.asarray(mean + shift, dtype=np.float64)
    A, b = centered[:COLUMNS, :COLUMNS], centered[:COLUMNS, COLUMNS]
    slopes = np.linalg.solve(A, b)
    rss, df = centered[COLUMNS, COLUMNS] - b @ slopes, rows - COLUMNS - 1
    inverse, sigma = np.linalg.inv(A), math.sqrt(rss / df)
    x = mean[:COLUMNS]
    errors = sigma * np.sqrt(np.append(1.0 / rows + x @ inverse @ x, np.diag(inverse)))
    return {
        "estimate": [mean[COLUMNS] - x @ slopes, *slopes], "std_error": errors.tolist(),
        "r2": 1.0 - rss / centered[COLUMNS, COLUMNS],
    }  # fmt: skip


def solved(path: Path, memory: str, **settings: Any) -> dict[str, Any]:
    """What a process of its own finds, and what it took."""
    call = [sys.executable, "-c", CHILD, str(path), memory, json.dumps(settings)]
    found: dict[str, Any] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    return found


def lines(found: dict[str, Any], wanted: dict[str, Any], size: float) -> list[str]:
    """What was found, beside what should be."""

    def apart(name: str) -> float:
        a, b = np.array(found[name]), np.array(wanted[name])
        return float(np.max(np.abs(a - b) / np.abs(b)))

    seconds, over = found["seconds"], found["peak"] - found["before"]
    return [
        f"{size / 1e9:.2f} GB in {seconds:.1f} s, {size / seconds / 1e6:,.0f} MB/s; {found['accuracy']}",
        f"memory: {over / 1e6:,.0f} MB over the imports, {found['peak'] / 1e6:,.0f} MB in all",
        f"{found['verdict']}; off by at most {apart('estimate'):.1e} (coefficients), {apart('std_error'):.1e} "
        f"(standard errors), {abs(found['r2'] - wanted['r2']):.1e} (R²)",
    ]


def main() -> None:
    """Make the file, fit it twice with a cache, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=10.0, help="size of the file (default 10)")
    parser.add_argument("--memory", default="100MB", help="what the rows may take")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the file is made and stays")
    parser.add_argument("--again", action="store_true", help="keep the numbers, and fit a second time from them")
    asked = parser.parse_args()
    rows = int(asked.gb * 1e9 / ROW)
    path = Path(asked.folder, f"rows-{rows}.csv")
    began = time.perf_counter()
    written(path, rows)
    size = path.stat().st_size
    print(f"{path}: {rows:,} rows, made in {time.perf_counter() - began:.0f} s", flush=True)
    wanted = reference(rows)
    if not asked.again:
        print("\n".join(lines(solved(path, asked.memory), wanted, size)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as kept:
        for what in ("first", "again, from the numbers that were kept"):
            print(f"{what}:")
            print(
                "\n".join(f"  {line}" for line in lines(solved(path, asked.memory, cache=kept), wanted, size)),
                flush=True,
            )


if __name__ == "__main__":
    main()
