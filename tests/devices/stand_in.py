"""A stand-in for a GPU where there is none: tensors of another device whose numbers the CPU keeps behind them.

What mixes them with tensors of the CPU is refused as CUDA refuses it, and what comes over to the CPU is counted.
`python -m tests.devices.stand_in` trains on it and on the CPU, and prints how far the records are apart, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import sightline
from sightline import answer, api, job, resuming, training  # noqa: F401 - each holds the name of a device by its own
from sightline.engines import devices

_setup_privateuseone_for_python_backend("gpu")
PLACE = torch.device("gpu", 0)
CROSSES = ("aten::_to_copy", "aten::copy_", "aten::index")  # which CUDA too lets meet numbers of the CPU
named = devices.device_named


class There(torch.Tensor):
    """A tensor of the other device."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=PLACE
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})

    def tolist(self) -> Any:
        Here.came += 1
        return self.held.tolist()


class Here(TorchDispatchMode):
    """While it is on, what is made for the other device, or sent there, is a tensor of it."""

    came = 0  # how often numbers came over to the CPU

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})


def computed(function: Any, args: Any, kwargs: Any) -> Any:
    """By the CPU, on the numbers behind the tensors."""
    name, known, own, foreign = function.name(), {}, [], []

    def behind(value: Any) -> Any:
        if isinstance(value, There):
            own.append(value)
            known[id(value.held)] = value
            return value.held
        if isinstance(value, torch.Tensor):
            known[id(value)] = value
            foreign.extend([value] if value.ndim else [])
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == PLACE.type else value

    def before(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or id(value) in known:
            return known.get(id(value), value) if isinstance(value, torch.Tensor) else value
        return There(value) if there else value

    wanted = kwargs.get("device")
    plain, named = tree_map(behind, args), tree_map(behind, kwargs)
    if own and foreign and not name.startswith(CROSSES):
        raise RuntimeError(f"Expected all tensors to be on the same device, in {name}")
    there = bool(own) if wanted is None else torch.device(wanted).type == PLACE.type
    there = isinstance(args[0], There) if name.startswith("aten::copy_") else there
    if own and (name == "aten::_local_scalar_dense" or not there):
        Here.came += 1
    return tree_map(before, function(*plain, **named))


def present(name: Any, **_: Any) -> torch.device:
    """As `device_named`, on a machine that has the device."""
    return PLACE if str(name).startswith("cuda") else named(name)


def has_it(having: bool) -> None:
    """Whether this machine has the device."""
    for module in (devices, job, training, api, resuming):
        module.device_named = present if having else named  # type: ignore[attr-defined]


def apart(found: Any, wanted: Any) -> float:
    """The largest relative difference of two runs in any number of any record."""
    worst = 0.0
    for a, b in zip(found, wanted, strict=True):
        for name in ("running_loss", "train_loss", "valid_loss", "gradient_norm", "lr"):
            u, v = getattr(a, name), getattr(b, name)
            assert (u is None) == (v is None), (name, u, v)
            worst = max(worst, 0.0 if u is None else abs(u - v) / max(abs(v), 1e-3))
        values = [np.asarray(list(r.parameters.values()), dtype=object) for r in (a, b)]
        assert str(values[0].shape) == str(values[1].shape)
    return worst


X = np.random.default_rng(1).normal(size=(60, 3))
Z = X @ [1.0, 2.0, 3.0] + np.random.default_rng(2).normal(size=60)
COLUMNS = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}
TARGETS = {
    "mse": Z, "huber": Z, "bce": np.where(Z > 0, "yes", "no"), "cross-entropy": np.digitize(Z, [-2.0, 2.0]).astype(str),
}  # fmt: skip


def table(loss: str, **more: Any) -> float:
    """A fit of a table."""
    data, options = {**COLUMNS, "y": TARGETS[loss]}, {"loss": loss, "epochs": 12, "output": False, **more}
    there = sightline.fit(data, "y ~ a + b + c", device="cuda", **options)
    quadratic = there.result["engine"]["name"] == "quadratic"
    assert ("gpu:0" in there.result["engine"]["reason"]) or not quadratic
    here = sightline.fit(data, "y ~ a + b + c", **{"engine": "autograd", **options})
    assert all(abs(p.estimate - q.estimate) < 1e-9 for p, q in zip(there.coefficients, here.coefficients, strict=True))
    return apart(there.epochs, here.epochs)


def module_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    linear = nn.Linear(3, 1)
    deep = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
    return (linear if kind == "linear" else deep).double()


def loop(kind: str, model_there: bool, rows_there: bool, **options: Any) -> float:
    """`train` with the model, the rows, or both on the device."""
    x, y = torch.from_numpy(X), torch.from_numpy(Z[:, None])
    runs = []
    for there in (True, False):
        model = module_of(kind).to(PLACE if there and model_there else "cpu")
        rows = tuple(t.to(PLACE) if there and rows_there else t for t in (x, y))
        adam = torch.optim.Adam(model.parameters(), lr=0.05)
        runs.append(list(sightline.train(model, rows, loss=nn.MSELoss(), optimizer=adam, epochs=10, **options)))
    return apart(*runs)


def jumped() -> float:
    """`jump` on the device."""
    weights = []
    for place in (PLACE, "cpu"):
        model = module_of("linear").to(place)
        sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        rows = torch.from_numpy(X), torch.from_numpy(Z[:, None])
        sightline.jump(model, rows, loss=nn.MSELoss(), optimizer=sgd, epochs=50)
        weights.append([*model.weight.tolist()[0], *sgd.state[model.weight]["momentum_buffer"].tolist()[0]])
    return float(np.abs(np.subtract(*weights)).max())


def resumed(folder: Path, back: bool, **options: Any) -> tuple[float, str]:
    """A run of a table gone on with, on a machine that has the device or has not."""
    path = folder / "rows.csv"
    np.savetxt(path, np.column_stack([X, Z]), delimiter=",", header="a,b,c,y", comments="")
    options = {"optimizer": "adam", "lr": 0.05, "figures": "none", "output": folder / "runs", **options}
    half = sightline.fit(path, "y ~ a + b + c", device="cuda", epochs=6, **options)
    whole = sightline.fit(path, "y ~ a + b + c", epochs=12, **{"engine": "autograd", **options})
    has_it(back)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = sightline.resume(half, epochs=12)
    has_it(True)
    return apart(found.epochs, whole.epochs), " ".join(str(note.message) for note in notes)


def resumed_module(folder: Path, back: bool) -> float:
    """A run of a module gone on with, on the device or on the CPU."""

    def fit(there: bool, epochs: int, resume: Any = None) -> Any:
        model = module_of("deep").to(PLACE if there else "cpu")
        adam = torch.optim.Adam(model.parameters(), lr=0.05)
        rows = torch.from_numpy(X), torch.from_numpy(Z[:, None])
        return sightline.fit_module(
            model, rows, loss=nn.MSELoss(), optimizer=adam, epochs=epochs, resume=resume, batch_size=16, valid=0.2,
            output=folder,
        )  # fmt: skip

    half = fit(True, 6)
    return apart(fit(back, 12, half.folder).epochs, fit(False, 12).epochs)


def transfers() -> float:
    """How often numbers come over in one epoch of the plain loop on the full batch."""
    counts = []
    for epochs in (20, 40):
        before = Here.came
        table("huber", epochs=epochs)
        counts.append(Here.came - before)
    return (counts[1] - counts[0]) / 20


def fault() -> str:
    """What a training that diverges on the device says."""
    model = module_of("linear").to(PLACE)
    sgd = torch.optim.SGD(model.parameters(), lr=10.0)
    rows = torch.from_numpy(X), torch.from_numpy(Z[:, None])
    *_, last = sightline.train(model, rows, loss=nn.MSELoss(), optimizer=sgd, epochs=2000)
    return str(last.stop)


def many() -> tuple[float, float, str]:
    """The exact answer of many rows, and the training from it, whose moments the device adds up."""
    rng = np.random.default_rng(3)
    data: dict[str, Any] = {f"c{i}": rng.normal(size=9000) + 3.0 for i in range(50)}
    data["y"] = sum(data.values()) + rng.normal(size=9000)
    there, here = (sightline.fit(data, target="y", epochs=5, optimizer="adam", output=False, device=device)
                   for device in ("cuda", "cpu"))  # fmt: skip
    exact = max(abs(p.exact / q.exact - 1.0) for p, q in zip(there.coefficients, here.coefficients, strict=True))
    return exact, apart(there.epochs, here.epochs), there.result["engine"]["reason"]


def cases(folder: Path) -> dict[str, Callable[[], Any]]:
    """What is tried, by name."""
    found: dict[str, Callable[[], Any]] = {}
    for loss in TARGETS:
        for optimizer in ("sgd", "adam"):
            found[f"{loss} {optimizer}"] = lambda loss=loss, optimizer=optimizer: table(
                loss, optimizer=optimizer, lr=0.1
            )
    found["lbfgs"] = lambda: table("huber", optimizer="lbfgs", lr=0.5)
    found["nadam"] = lambda: table("mse", optimizer="nadam", lr=0.1, engine="autograd")
    found["batches, validated"] = lambda: table("bce", batch_size=16, validation=0.25, patience=4, lr=0.1)
    found["float32"] = lambda: table("huber", dtype="float32", lr=0.1)
    for kind in ("linear", "deep"):
        for places in ((True, True), (True, False), (False, True)):
            for options in ({}, {"batch_size": 16, "measure": 1}, {"valid": 0.2, "clip_norm": 1.0}):
                name = f"{kind} {places} {sorted(options)}"
                found[name] = lambda kind=kind, places=places, options=options: loop(kind, *places, **options)
    found["jump"] = jumped
    found["resumed there"] = lambda: resumed(folder / "a", True, loss="huber")
    found["resumed here"] = lambda: resumed(folder / "b", False, loss="huber")
    found["resumed here, batches"] = lambda: resumed(folder / "c", False, loss="huber", batch_size=16)
    found["module resumed there"] = lambda: resumed_module(folder / "d", True)
    found["module resumed here"] = lambda: resumed_module(folder / "e", False)
    found["transfers"] = transfers
    found["fault"] = fault
    found["many"] = many
    return found


def main() -> None:
    """Try all, and print what came of each."""
    torch.set_num_threads(1)
    has_it(True)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Here():
        for part in "abcde":
            (Path(folder) / part).mkdir()
        for name, case in cases(Path(folder)).items():
            try:
                results[name] = case()
            except Exception as error:  # told for each case, so that one does not hide the others
                results[name] = f"{type(error).__name__}: {error}"
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
