"""A finished training of a module of one's own: its records, its verdict, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, UsageError
from ..records import Epoch, Verdict, Warning
from ..runs.files import finite
from ..runs.store import find_run, read_epochs, read_manifest, status_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

__all__ = ["KIND", "ModuleRun", "load_module"]

KIND = "module"  # of a run.json


@dataclass(frozen=True, repr=False)
class ModuleRun:
    """What `fit_module` returns and `load_module` reads back.

    `model` is the module itself, None where the run was read back; `epochs` are all records, `verdict` says how the run
    ended and what to know about it, `folder` where it was saved, or None. `result` has the numbers of the end as plain
    values, those of the record whose parameters the model has (`kept_epoch`) among them; `settings` say what was
    trained on what, and how.
    """

    result: Mapping[str, Any]
    verdict: Verdict
    epochs: Sequence[Epoch]
    folder: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: nn.Module | None = None

    def __repr__(self) -> str:
        return self.summary()

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        from ..markup import bundle
        from ..views.notebook import module_html

        return bundle(repr(self), module_html(self), include, exclude)

    def summary(self) -> str:
        """The run and its verdict as text, at most 80 columns wide."""
        from ..views.module_report import module_summary

        return module_summary(self)

    def to_dict(self) -> dict[str, Any]:
        """The result as one object that JSON can hold, numbers that are not finite as None."""
        values: dict[str, Any] = finite(dict(self.result))
        return values

    def figure(self) -> Figure:
        """The losses of all epochs, and where curvature was asked for 2 / λmax beside the rate."""
        from ..views.module_figures import module_figure

        return module_figure(self)

    def load_into(self, model: nn.Module) -> nn.Module:
        """Put the trained parameters of the run folder into a module of the same shape, and return it.

        Raises RunError where they are missing or of another model.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load

        from ..guards import check_model, check_values

        check_model(model, lazy=True)
        check_values(model)
        if self.folder is None:
            raise RunError("this run was written to no folder: use its model")
        path = self.folder / "model.safetensors"
        try:
            own = getattr(model, "_orig_mod", model)
            others = {name: part for name, part in own.state_dict().items() if not isinstance(part, torch.Tensor)}
            own.load_state_dict({**others, **load(path.read_bytes())})  # what get_extra_state gives stays as it is
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}; restore the folder from a copy") from None
        except (SafetensorError, RuntimeError) as error:
            words = " ".join(str(error).split())[:160]
            raise RunError(f"{path} does not fit this model ({words}): build the model as it was trained") from None
        return model


def load_module(folder: str | os.PathLike[str]) -> ModuleRun:
    """Read a run of `fit_module` back from its folder (or its id, under ./runs or SIGHTLINE_RUNS).

    The module itself is code, which no run folder holds: make it again and give it to `load_into`. Raises RunError if
    the folder is missing, damaged or unfinished, UsageError if it is of a table, with what to do.
    """
    path = find_run(folder)
    values = read_manifest(path)
    if values.get("kind") != KIND:
        raise UsageError(f"run {path.name} is a fit of a table: read it with sightline.load({path.name!r})")
    if "result" not in values:
        status = status_of(path, values)
        remedy = "wait for it" if status == "running" else (
            f"go on with sightline.fit_module(model, data, ..., resume={path.name!r})"
        )  # fmt: skip
        raise RunError(f"run {path.name} has no result yet (its status is {status}): {remedy}")
    try:
        result = values["result"]
        warnings = tuple(Warning(w["code"], w["text"], tuple(w["fix"])) for w in result["warnings"])
        verdict = Verdict(result["verdict"], values["sentence"], warnings)
        epochs = [record for record in read_epochs(path) if record.number <= result["epochs"]]
        run = ModuleRun(result, verdict, epochs, path, values["settings"])
        run.summary()  # which reads all that a damaged file may lack
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path / 'run.json'} is damaged ({error}): restore the folder from a copy or train again"
        ) from None
    return run
