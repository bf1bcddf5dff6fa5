"""A file of 5 GB in a process that may not take more than 500 MB beside what it has once it is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

LIMIT, SIZE, ROOM = 500_000_000, 5_000_000_000, 20_000_000_000  # bytes
COLUMNS, USED = 20, 5

CHILD = f"""
import json, resource, sys
import numpy, torch, duckdb, polars, scipy.special, scipy.linalg, sightline, sightline.solution
def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
before, held = status("VmRSS"), status("VmData")
resource.setrlimit(resource.RLIMIT_DATA, (held + {LIMIT}, held + {LIMIT}))  # what is beyond is refused by the system
run = sightline.solve(sys.argv[1], sys.argv[2], memory="500MB")
coefficients = [[c.estimate, c.std_error] for c in run.coefficients]
print(json.dumps([status("VmHWM") - before, run.verdict.name, run.result["rows"], coefficients]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells and limits the data of a process")
def test_a_file_ten_times_the_memory(tmp_path):
    """A table of 100,000 rows again and again: the coefficients are its own, the standard errors those of as many rows
    as there are.
    """
    pytest.importorskip("polars", reason="polars, which reads plain text fast, is not installed")
    if shutil.disk_usage(tmp_path).free < ROOM:
        pytest.skip("less than 20 GB are free for a file of 5 GB and its numbers")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, COLUMNS)).round(4)
    X[:, -1] = (X[:, :USED].sum(axis=1) + rng.normal(size=len(X))).round(4)
    names = [f"x{j}" for j in range(COLUMNS - 1)] + ["y"]
    path, part = tmp_path / "large.csv", tmp_path / "part.csv"
    np.savetxt(part, X, fmt="%.4f", delimiter=",", comments="")
    times = -(-SIZE // part.stat().st_size)
    try:
        with open(path, "wb") as file:
            file.write((",".join(names) + "\n").encode())
            for _ in range(times):
                file.write(part.read_bytes())
        assert path.stat().st_size >= SIZE
        formula = "y ~ " + " + ".join(names[:USED])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "2")
        done = subprocess.run(
            [sys.executable, "-c", CHILD, path, formula],
            env={**os.environ, **threads}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        path.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    taken, verdict, rows, found = json.loads(done.stdout)
    assert taken < LIMIT
    assert (verdict, rows) == ("CONVERGED", times * len(X))
    Z = np.column_stack([np.ones(len(X)), X[:, :USED]])
    theta = np.linalg.lstsq(Z, X[:, -1], rcond=None)[0]
    residual = X[:, -1] - Z @ theta
    sigma2 = times * (residual @ residual) / (rows - USED - 1)
    error = np.sqrt(sigma2 / times * np.diag(np.linalg.inv(Z.T @ Z)))
    np.testing.assert_allclose(found, np.column_stack([theta, error]), rtol=1e-10)
