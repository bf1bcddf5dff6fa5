"""Where numbers lie and are added up: a device by its name, and what it says when it fails, as a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UsageError, shown
from ..given import written_size
from ..words import count

__all__ = ["arrays", "device_named", "explained", "is_of_device", "size_of"]

CPU = "--device cpu"  # what goes everywhere, as a fit spells it
FAULTS = {  # what torch and CUDA say, and the sentence that it becomes
    "not compiled with CUDA": (
        "torch {torch} here is built without CUDA, so there is no {device}: install a build with it, or use {cpu}"
    ),
    "driver on your system is too old": (
        "the NVIDIA driver here{found} is too old for torch {torch}, which needs CUDA {cuda}, so there is no {device}: "
        "update the driver, install a torch for an older CUDA, or use {cpu}"
    ),
    "driver version is insufficient": (
        "the NVIDIA driver here is too old for torch {torch}, which needs CUDA {cuda}, so there is no {device}: "
        "update the driver, install a torch for an older CUDA, or use {cpu}"
    ),
    "Found no NVIDIA driver": "there is no NVIDIA driver here, so there is no {device}: install one, or use {cpu}",
    "No CUDA GPUs are available": "torch finds no GPU here{hidden}, so there is no {device}: use {cpu}",
    "no CUDA-capable device": "torch finds no GPU here{hidden}, so there is no {device}: use {cpu}",
    "busy or unavailable": (
        "{device} is busy: another process holds it alone, as its compute mode allows; wait for that one to end, "
        "choose another GPU with CUDA_VISIBLE_DEVICES, or use {cpu}"
    ),
    "no kernel image": ("torch {torch} has no machine code for {device}: install a build for this GPU, or use {cpu}"),
    "re-initialize CUDA in forked": (
        "a forked process cannot use {device} after its parent has: start processes with the method 'spawn', or use "
        "{cpu}"
    ),
    "device-side assert": (
        "{device} has stopped at an index out of range, and this process can use it no more: run it again with {cpu}, "
        "where the place is told"
    ),
}
NO_ROOM = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def device_named(name: Any, *, cpu: str = CPU) -> torch.device:
    """The device of that name, tried once where it is a GPU, with its number; "auto" is the CPU.

    Raises UsageError where there is no such device, or it cannot be used, with the reason; `cpu` is how the caller
    spells the way out.

    >>> device_named("auto"), device_named("cpu")
    (device(type='cpu'), device(type='cpu'))
    """
    device = torch.device("cpu" if isinstance(name, str) and name == "auto" else name)
    if device.type != "cuda":
        return device
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        known = torch.cuda.device_count()
        number = torch.cuda.current_device() if device.index is None else device.index
        if number >= known:
            raise UsageError(_no_such(device, known, cpu))
        device = torch.device("cuda", number)
        torch.zeros(1, device=device)  # which one that another process holds alone refuses
    except (RuntimeError, AssertionError) as error:
        raise UsageError(_sentence(error, device, cpu=cpu) or _unknown(error, device, cpu)) from None
    return device


def _no_such(device: torch.device, known: int, cpu: str) -> str:
    if not known:
        return FAULTS["No CUDA GPUs are available"].format(device=device, hidden=_hidden(), cpu=cpu)
    names = "cuda:0" if known == 1 else f"cuda:0 to cuda:{known - 1}"
    return f"there is no {device}, for torch finds {count(known, 'GPU')} here{_hidden()}: give {names}, or {cpu}"


def _hidden() -> str:
    """That the environment hides GPUs, where it does."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if value is None else f" (CUDA_VISIBLE_DEVICES is {shown(value)})"


def _unknown(error: Exception, device: torch.device, cpu: str) -> str:
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{device} cannot be used ({shown(words, quote=False, limit=120)}): use {cpu}"


def is_of_device(error: BaseException) -> bool:
    """Whether it is a device that fails, and neither the model nor its rows."""
    return isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in (*FAULTS, *NO_ROOM))


@contextmanager
def explained(
    device: torch.device | str, rows: Any = (), *, cpu: str = CPU, less: str = "smaller batches with --batch-size"
) -> Iterator[None]:
    """What a device refuses inside becomes a sentence: no room (of which the `rows` take some), busy, gone.

    `less` is what takes less room, `cpu` where there is more, as the caller spells them.
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        place = torch.device(device)
        place = torch.device("cuda") if place.type == "cpu" else place  # which a step of the user's own may use
        known = _sentence(error, place, rows, cpu=cpu, less=less) if is_of_device(error) else ""
        if not known:
            raise
        raise UsageError(known) from None


def _sentence(error: Exception, device: torch.device, rows: Any = (), *, cpu: str, less: str = "") -> str:
    """What torch says as a sentence; empty where it is unknown."""
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(words in said for words in NO_ROOM):
        return _no_room(device, rows, " or ".join(way for way in (less, cpu) if way))
    found = re.search(r"found version (\d+)(\d\d)0", said)
    names = {
        "device": device, "torch": torch.__version__, "cuda": torch.version.cuda or "another", "cpu": cpu,
        "hidden": _hidden(), "found": f" (of CUDA {int(found[1])}.{int(found[2])})" if found else "",
    }  # fmt: skip
    return next((sentence.format(**names) for words, sentence in FAULTS.items() if words in said), "")


def _no_room(device: torch.device, rows: Any, ways: str) -> str:
    taken = size_of(rows)
    facts = [f"the rows take {written_size(taken)}"] if taken else []
    if device.type == "cuda":
        try:
            free, whole = torch.cuda.mem_get_info(device)
            facts.append(f"{written_size(free)} of {written_size(whole)} are free there")
        except (RuntimeError, AssertionError):  # a device that has failed may not tell
            pass
    return f"{device} has no room left{': ' if facts else ''}{' and '.join(facts)}; use {ways}"


def size_of(value: Any) -> int:
    """Bytes that the tensors and arrays of a structure take.

    >>> size_of({"x": torch.zeros(3, 2), "y": (torch.zeros(3, dtype=torch.int64), None)})
    48
    """
    if isinstance(value, Mapping):
        return sum(size_of(part) for part in value.values())
    if isinstance(value, (tuple, list)):
        return sum(size_of(part) for part in value)
    dense = isinstance(value, Tensor) and value.layout is torch.strided and not value.is_nested
    return int(value.nbytes) if dense or isinstance(value, np.ndarray) else 0


def arrays(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Their numbers on the CPU: the memory of those that lie there, else copies that come over all at once."""
    if all(t.is_cpu for t in tensors):
        return [t.detach().numpy() for t in tensors]
    together = torch.cat([t.detach().reshape(-1) for t in tensors]).cpu()
    parts = together.split([t.numel() for t in tensors])  # type: ignore[no-untyped-call]
    return [part.to(t.dtype).reshape(t.shape).numpy() for part, t in zip(parts, tensors, strict=True)]
