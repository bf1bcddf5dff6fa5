"""What a device refuses, as one sentence with the remedy; torch.cuda says here what it says elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sightline
from sightline.engines import devices
from sightline.engines.devices import device_named, explained, size_of
from sightline.errors import UsageError

X, Y = torch.linspace(-1.0, 1.0, 20)[:, None], torch.linspace(0.0, 3.0, 20)[:, None]
OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version"
)
BUSY = (
    "CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA kernel errors might be asynchronously reported"
)
STARTS = {  # what torch.cuda.init raises
    "no build": (AssertionError("Torch not compiled with CUDA enabled"), r"torch \S+ here is built without CUDA, so there is no cuda: install a build with it, or use --device cpu"),
    "old driver": (RuntimeError(OLD), r"the NVIDIA driver here \(of CUDA 11\.4\) is too old for torch \S+, which needs CUDA \S+, so there is no cuda: update the driver, install a torch for an older CUDA, or use --device cpu"),
    "no driver": (RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"), "there is no NVIDIA driver here, so there is no cuda: install one, or use --device cpu"),
    "no GPU": (RuntimeError("No CUDA GPUs are available"), "torch finds no GPU here, so there is no cuda: use --device cpu"),
    "busy": (torch.AcceleratorError(BUSY), "cuda is busy: another process holds it alone, .* or use --device cpu"),
    "forked": (RuntimeError("Cannot re-initialize CUDA in forked subprocess. To use CUDA"), "a forked process cannot use cuda"),
    "unknown": (RuntimeError("CUDA driver initialization failed\nand more"), r"cuda cannot be used \(CUDA driver initialization failed\): use --device cpu"),
}  # fmt: skip


def gpus(monkeypatch, count, *, refuses=None):
    """A machine with so many GPUs, as torch.cuda tells it."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)

    def zeros(*_, device):
        if refuses is not None:
            raise refuses
        return torch.empty(1)

    monkeypatch.setattr(devices.torch, "zeros", zeros)


@pytest.mark.parametrize(("error", "sentence"), STARTS.values(), ids=STARTS)
def test_no_cuda(monkeypatch, cli, heights_csv, error, sentence):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def refuse():
        raise error

    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(UsageError, match=sentence):
        device_named("cuda")
    done = cli("fit", heights_csv, "weight ~ height", "--device", "cuda")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not done.out
    model, rows = loop()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UsageError, match=r"use device='cpu'$"):
        list(sightline.train(model, rows, optimizer=sgd, device="cuda", **options()))


def test_solve_says_it_too(cli, heights_csv):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = cli("solve", heights_csv, "weight ~ height", "--device", "cuda")
    assert done.code == 2
    assert "so there is no cuda" in done.err


def test_hidden_gpus_are_named(monkeypatch):
    gpus(monkeypatch, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(
        UsageError, match=r"torch finds no GPU here \(CUDA_VISIBLE_DEVICES is ''\), so there is no cuda"
    ):
        device_named("cuda")


def test_a_number_that_no_gpu_has(monkeypatch):
    gpus(monkeypatch, 2)
    with pytest.raises(UsageError, match="there is no cuda:3, for torch finds 2 GPUs here: give cuda:0 to cuda:1, or"):
        device_named("cuda:3")
    assert device_named("cuda:1") == torch.device("cuda", 1)
    assert device_named("cuda") == torch.device("cuda", 0)
    gpus(monkeypatch, 1)
    with pytest.raises(UsageError, match="torch finds 1 GPU here: give cuda:0, or --device cpu"):
        device_named("cuda:1")


def test_a_gpu_that_another_process_holds(monkeypatch):
    gpus(monkeypatch, 1, refuses=torch.AcceleratorError(BUSY))
    with pytest.raises(UsageError, match=r"cuda:0 is busy: another process holds it alone, as its compute mode allows"):
        device_named("cuda")


def test_a_device_of_torch_is_taken_by_its_name(heights_csv):
    run = sightline.fit(heights_csv, "weight ~ height", device=torch.device("cpu"), epochs=2, output=False)
    assert run.settings.device == "cpu"
    with pytest.raises(UsageError, match="there is no cuda:7"):
        sightline.solve(heights_csv, "weight ~ height", device=torch.device("cuda:7"))


def test_names_that_are_none(cli, heights_csv):
    for name in ("gpu", "cuda:x", "cuda:", "mps", "cuda:-1"):
        done = cli("fit", heights_csv, "weight ~ height", "--device", name)
        assert done.code == 2
        assert f"--device cannot be '{name}'" in done.err
        assert "there are: auto, cpu, cuda, cuda:1" in done.err


FULL = "CUDA out of memory. Tried to allocate 37.25 GiB. GPU 0 has a total capacity of 79.11 GiB"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(FULL),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_no_room(monkeypatch, error):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3_100_000_000, 85_000_000_000))
    rows = torch.empty(0).expand(0), torch.zeros(1000, 10, dtype=torch.float64)
    sentence = (
        "cuda:1 has no room left: the rows take 80 kB and 3.1 GB of 85 GB are free there; use smaller batches with "
        "--batch-size or --device cpu"
    )
    with pytest.raises(UsageError) as raised, explained("cuda:1", rows):
        raise error
    assert raised.value.message == sentence


def test_no_room_where_even_that_is_not_told(monkeypatch):
    def refuse(device):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", refuse)
    with pytest.raises(UsageError) as raised, explained("cuda:0", less="less"):
        raise torch.OutOfMemoryError(FULL)
    assert raised.value.message == "cuda:0 has no room left; use less or --device cpu"


def test_what_is_not_of_the_device_stays_as_it_is():
    with pytest.raises(RuntimeError, match="mat1 and mat2"), explained("cuda:0"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_an_index_out_of_range_there():
    with pytest.raises(UsageError, match="has stopped at an index out of range") as raised, explained("cuda:0"):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")
    assert "run it again with --device cpu" in raised.value.message


def options():
    return {"loss": nn.MSELoss(), "epochs": 3}


class Full(nn.Module):
    """A model that finds no room at its call of that number."""

    def __init__(self, call):
        super().__init__()
        self.layer, self.left = nn.Linear(1, 1), call

    def forward(self, x):
        self.left -= 1
        if not self.left:
            raise torch.OutOfMemoryError(FULL)
        return self.layer(x)


def loop(call=0):
    model = Full(call)
    return model, (X, Y)


@pytest.mark.parametrize("call", [1, 2, 5])
@pytest.mark.parametrize("more", [{}, {"batch_size": 7}, {"valid": 0.3}])
def test_no_room_anywhere_in_a_training(call, more):
    model, rows = loop(call)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UsageError, match=r"the rows take \d+ bytes.*; use a smaller batch_size or device='cpu'"):
        list(sightline.train(model, rows, optimizer=sgd, **options(), **more))
    model, rows = loop(call)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UsageError, match=r"use a smaller batch_size or device='cpu'"):
        sightline.fit_module(model, rows, optimizer=sgd, output=False, **options(), **more)


def test_no_room_in_a_batch_of_another_size():
    """It is not taken for a shape that the model refuses."""
    model, _ = loop(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="no room left"):
        list(sightline.train(model, [(X[:3], Y[:3]), (X[:5], Y[:5]), (X, Y)], optimizer=sgd, **options()))


def test_no_room_in_a_fit_of_a_table(monkeypatch, heights, tmp_path):
    from sightline.engines.autograd import Autograd

    def refuse(*_):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(Autograd, "_forward_backward", refuse)
    with pytest.raises(
        UsageError, match=r"the rows take \d+ bytes.*; use smaller batches with --batch-size or --device cpu"
    ):
        sightline.fit(heights, "weight ~ height", engine="autograd", epochs=3, output=tmp_path)
    assert '"failed"' in next(tmp_path.glob("*/run.json")).read_text()


def test_a_loss_that_lies_elsewhere():
    model = nn.Linear(1, 2)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss(prediction, target):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        )

    with pytest.raises(
        UsageError, match=r"on different devices: give device=\.\.\., which moves the first two, or move"
    ):
        list(sightline.train(model, (X, Y), optimizer=sgd, loss=loss, epochs=1))


def test_a_step_of_ones_own_that_asks_for_a_gpu():
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(model, batch, optimizer):
        raise AssertionError("Torch not compiled with CUDA enabled")  # as .cuda() does where torch is built so

    with pytest.raises(
        UsageError, match="here is built without CUDA, so there is no cuda: install a build with it, or use"
    ):
        list(sightline.train(model, (X, Y), optimizer=sgd, step=step, epochs=1))


def test_sizes():
    assert size_of([torch.zeros(2, 2), {"a": torch.zeros(3).numpy()}, "x"]) == 28
    assert size_of(torch.zeros(4, 4).to_sparse()) == 0


def test_a_sweep_is_of_the_cpu(heights):
    with pytest.raises(
        UsageError, match="--device cuda trains one rate, and a sweep many at once on the CPU: leave it"
    ):
        sightline.sweep(heights, "weight ~ height", lr=(0.1, 1.0, 3), device="cuda", output=False)


def test_a_run_waits_for_a_gpu_that_is_busy(monkeypatch):
    from sightline.resuming import _here
    from sightline.settings import RunSettings

    gpus(monkeypatch, 1, refuses=torch.AcceleratorError(BUSY))
    with pytest.raises(UsageError, match="cuda:0 is busy"):
        _here(RunSettings(device="cuda"), "abcd")
    gpus(monkeypatch, 0)
    settings, notes = _here(RunSettings(device="cuda"), "abcd")
    assert settings.device == "cpu"
    assert notes == [
        "run abcd was trained on cuda, and torch finds no GPU here, so there is no cuda: it goes on on the CPU, whose "
        "numbers are the same to rounding"
    ]
