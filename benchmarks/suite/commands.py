"""Row 1: the running example as a whole command."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite.measure import Peer, Row

__all__ = ["running_example"]

HEIGHTS = Path(__file__).resolve().parents[2] / "examples" / "heights.csv"
CLASSIC = [
    "--figures", "none", "--no-standardize", "--dtype", "float32", "--lr", "3e-6", "--epochs", "20",
    "--start", "Intercept=-35,height=0.45",
]  # fmt: skip
PLAIN = """
import csv, sys
import torch
from torch import nn
rows = list(csv.DictReader(open(sys.argv[1])))
x = torch.tensor([[float(r["height"])] for r in rows])
y = torch.tensor([[float(r["weight"])] for r in rows])
model = nn.Linear(1, 1)
model.weight.data.fill_(0.45)
model.bias.data.fill_(-35.0)
optimizer = torch.optim.SGD(model.parameters(), lr=3e-6)
for epoch in range(20):
    loss = nn.MSELoss()(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"Epoch: {epoch + 1}, train loss: {loss.item():.4f}")
"""


def running_example() -> Row:
    """20 epochs, without figures."""
    fit = ("-m", "sightline", "fit", str(HEIGHTS), "weight ~ height", *CLASSIC)
    return Row(
        "1", "the running example, 20 epochs, whole command, no figures", Peer("sightline fit", lambda: command(*fit)),
        [
            Peer("plain script", lambda: command("-c", PLAIN, str(HEIGHTS))),
            Peer("import torch", lambda: command("-c", "import torch"), role="yardstick"),
        ],
        deviation, 1e-6, {"import torch": 1 / 1.5}, short="5 rows, a command", limit="import torch", commands=True,
    )  # fmt: skip


def command(*arguments: str) -> None:
    """In a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)


def deviation() -> tuple[float, float]:
    """Of the losses before each epoch's step."""
    import torch
    from torch import nn

    import sightline
    from benchmarks.suite.loops import full_batch, in_float64

    run = sightline.fit(
        str(HEIGHTS), "weight ~ height", output=False, standardize=False, dtype="float32", lr=3e-6, epochs=20,
        start={"Intercept": -35.0, "height": 0.45},
    )  # fmt: skip

    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Linear(1, 1)
        nn.init.constant_(model.weight, 0.45)
        nn.init.constant_(model.bias, -35.0)
        return model, torch.optim.SGD(model.parameters(), lr=3e-6)

    x, y = (torch.tensor(v)[:, None] for v in ([150.0, 160.0, 170.0, 175.0, 185.0], [55.0, 70.0, 64.0, 80.0, 75.0]))
    plain, _ = full_batch(make, x, y, nn.MSELoss(), epochs=20)
    exact, _ = full_batch(in_float64(make), x.double(), y.double(), nn.MSELoss(), epochs=20)
    ours = [epoch.train_loss for epoch in run.epochs[:20]]
    return _apart(ours, exact), _apart(plain, exact)


def _apart(losses: Sequence[float], exact: Sequence[float]) -> float:
    return max(abs(a / b - 1.0) for a, b in zip(losses, exact, strict=True))
