"""Model and training state as safetensors and JSON: no pickle, nothing executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import RunError
from .files import read_json, write_bytes, write_json

__all__ = ["load_state", "save_model", "save_state"]


def save_model(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """`model.safetensors` with these keys, as `torch.nn.Linear.load_state_dict` takes them."""
    from safetensors.torch import save

    write_bytes(folder / "model.safetensors", save({name: t.detach().contiguous() for name, t in tensors.items()}))


def save_state(folder: Path, state: Mapping[str, Any], *, epoch: int, seconds: float) -> None:
    """Everything the next epoch depends on: tensors in state.safetensors, the rest in state.json."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    plain = _split(state, "", tensors)
    write_bytes(folder / "state.safetensors", save(tensors))
    write_json(folder / "state.json", {"epoch": epoch, "seconds": seconds, "state": plain})


def load_state(folder: Path) -> tuple[dict[str, Any], int, float]:
    """State, epoch and seconds that `save_state` wrote."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    values = read_json(folder / "state.json")
    path = folder / "state.safetensors"
    try:
        tensors = load(path.read_bytes())
        state = _join(values["state"], tensors)
        return state, int(values["epoch"]), float(values["seconds"])
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; train again to make a new run") from None
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise RunError(f"{path} is damaged or of another run: restore the folder from a copy or train again") from None


# A nested state becomes plain JSON in which {"tensor": key} stands for a tensor, {"tuple": [...]} for a tuple, and
# {"items": [[key, value], ...]} for a dict, whose keys may be whole numbers.


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value.detach().clone().contiguous()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {"items": [[k, _split(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_split(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"the state holds a {type(value).__name__} at {path}, which cannot be saved")


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_join(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_join(v, tensors) for v in value["tuple"])
    return {k: _join(v, tensors) for k, v in value["items"]}
