"""Least squares of many rows on a GPU: moments where the rows lie, then a thousand epochs of Adam on the CPU.

Run with `python benchmarks/gpu_moments.py` (100 million rows of 100 float32 columns, 40 GB, made on the GPU), or with
fewer as `--rows 1e7`; `--device cpu --rows 100000` is a trial where there is no GPU. Agreement with the plain loop
comes before time. Times on a GPU are those of CUDA events, each after a call that is not timed; the bandwidth that they
are compared with is measured in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

import sightline
from sightline.engines.device_moments import moments_on
from sightline.engines.devices import device_named, explained
from sightline.errors import UsageError
from sightline.given import written_size

ROOM = 2**30  # bytes of a block that is made, copied or read at once, at most
TOLERANCE = 1e-5  # of the loss after the epochs of the plain loop, whose float32 sums round
RATE = 0.01


def rows_on(device: torch.device, n: int, p: int) -> tuple[Tensor, Tensor]:
    """Normal columns with means from -2 to 2, and a target that is linear in them but for noise, made in blocks."""
    generator = torch.Generator(device).manual_seed(0)
    x, y = torch.empty(n, p, device=device), torch.empty(n, 1, device=device)
    weight, center = torch.linspace(-1.0, 1.0, p, device=device)[:, None], torch.linspace(-2.0, 2.0, p, device=device)
    for part in parts(n, p):
        x[part].normal_(generator=generator).add_(center)
        y[part].normal_(generator=generator).add_(x[part] @ weight)
    return x, y


def parts(n: int, p: int) -> list[slice]:
    """Blocks of rows that take so much room."""
    size = max(1, ROOM // (4 * p))
    return [slice(first, first + size) for first in range(0, n, size)]


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """How long the work takes: by CUDA events on a GPU, else by the clock."""
    if device.type != "cuda":
        began = perf_counter()
        work()
        return perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    work()
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last) / 1000.0


def bandwidth(device: torch.device, x: Tensor) -> tuple[float, float]:
    """Bytes a second of a plain copy (read and written) and of a plain sum (read), the best of five each."""
    source = x[parts(*x.shape)[0]]
    target, size = torch.empty_like(source), source.nbytes

    def best(work: Callable[[], object]) -> float:
        return min(seconds(device, work) for _ in range(6))

    return 2 * size / best(lambda: target.copy_(source)), size / best(source.sum)


def plain(x: Tensor, y: Tensor, epochs: int) -> tuple[float, float]:
    """Seconds of an epoch of the loop as it is written, on the device, and the loss after the last."""
    model = nn.Linear(x.shape[1], 1, device=x.device)
    zeroed(model)
    adam, loss = torch.optim.Adam(model.parameters(), lr=RATE), nn.MSELoss()

    def run(number: int) -> None:
        for _ in range(number):
            adam.zero_grad()
            value = loss(model(x), y)
            value.backward()
            adam.step()

    run(1)
    took = seconds(x.device, lambda: run(epochs - 1)) / (epochs - 1)
    with torch.no_grad():
        return took, float(loss(model(x), y))


def ours(x: Tensor, y: Tensor, epochs: int) -> float:
    """`train` from beginning to end: the checks, the moments and the residuals on the device, the steps on the CPU."""
    model = nn.Linear(x.shape[1], 1)
    zeroed(model)
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    *_, last = sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=adam, epochs=epochs, engine="quadratic")
    assert last.train_loss is not None
    return last.train_loss


def zeroed(model: nn.Linear) -> None:
    """The same start everywhere."""
    for parameter in model.parameters():
        nn.init.zeros_(parameter)


def report(device: torch.device, n: int, p: int, epochs: int, few: int) -> None:
    """Make the rows, compare, measure, print."""
    x, y = rows_on(device, n, p)
    size = x.nbytes + y.nbytes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    print(f"{n:,} rows of {p} float32 columns, {written_size(size)}, on {name}; torch {torch.__version__}")
    per_epoch, wanted = plain(x, y, few)
    found = ours(x, y, few)
    apart = abs(found - wanted) / wanted
    print(f"loss after {few} epochs: plain {wanted:.9g}, sightline {found:.9g}, apart by {apart:.1e}")
    if apart > TOLERANCE:
        raise SystemExit(f"DISAGREE: more than {TOLERANCE:g}, so nothing is timed")
    copied, read = bandwidth(device, x)
    moments_on(device, x[: 2**18], y[: 2**18])
    moments = seconds(device, lambda: moments_on(device, x, y))
    whole = seconds(device, lambda: ours(x, y, epochs))
    print(f"bandwidth: copy {written_size(copied)}/s, read {written_size(read)}/s")
    print(
        f"moments: {1000 * moments:.3g} ms, {written_size(size / moments)}/s, {size / moments / read:.0%} of the read"
    )
    print(f"train, {epochs:,} epochs of Adam with moments and checks: {whole:.3g} s")
    print(
        f"plain PyTorch: {1000 * per_epoch:.3g} ms an epoch, {epochs * per_epoch:.3g} s for {epochs:,} (from {few - 1})"
    )
    print(f"train is {epochs * per_epoch / whole:.0f} times as fast")


def main() -> None:
    """Measure, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1e8)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--plain-epochs", type=int, default=5, help="of the plain loop, at least 2")
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    try:
        device = device_named(asked.device)
        with explained(device, less="fewer --rows"):
            report(device, int(asked.rows), asked.columns, asked.epochs, max(2, asked.plain_epochs))
    except UsageError as error:
        print(f"nothing is measured: {error.message}")


if __name__ == "__main__":
    main()
