"""What a finished run tells as text: the standard library reads it, without the numbers that predictions need."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import RunError, UsageError
from .records import Coefficient, Epoch, Verdict, Warning
from .runs.files import finite
from .runs.store import find_run, read_epochs, read_manifest, status_of
from .settings import RunSettings
from .views.subject import Named

__all__ = ["Account", "Coefficients", "Names", "account", "read_account", "read_finished", "readable"]


@dataclass(frozen=True)
class Names:
    """What the table of a run needs to know of its design: see `data.design.Design`."""

    terms: Sequence[str]
    constant: Sequence[str]
    classes: Sequence[str]

    @classmethod
    def of(cls, design: Mapping[str, Any], result: Mapping[str, Any]) -> Names:
        """From what `Design.to_dict` wrote, and the table, which has the terms once for each output.

        >>> design = {"constant": [], "encoding": {"target": {"levels": ["a", "b", "c"]}}}
        >>> names = ["b: Intercept", "b: x", "c: Intercept", "c: x"]
        >>> Names.of(design, {"loss_name": "cross-entropy", "coef": [{"term": name} for name in names]}).terms
        ('Intercept', 'x')
        """
        classes = tuple(design["encoding"]["target"].get("levels", ()))
        several = len(classes) > 2
        outputs = len(classes) - 1 if several else 2 if result["loss_name"] == "gaussian-nll" else 1
        first = [c["term"] for c in result["coef"][: len(result["coef"]) // outputs]]
        terms = tuple(term.removeprefix(f"{classes[1]}: ") for term in first) if several else tuple(first)
        return cls(terms, tuple(design["constant"]), classes)


class Coefficients(list[Coefficient]):
    """The list of them, which a notebook shows as a table."""

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        from .markup import bundle
        from .views.notebook import coefficients_html

        return bundle(repr(self), coefficients_html(self), include, exclude)


@dataclass(frozen=True, repr=False)
class Account:
    """A run as `sightline show` prints it; `sightline.run.Run` is this and the numbers that the rest asks for."""

    result: Mapping[str, Any]
    design: Named
    coefficients: Sequence[Coefficient]
    verdict: Verdict
    epochs: Sequence[Epoch] = ()
    folder: Path | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", Coefficients(self.coefficients))

    @property
    def level(self) -> float:
        """The level of the confidence intervals."""
        return self.settings.level

    def summary(self) -> str:
        """The table and the verdict as text, at most 80 columns wide."""
        from .views.console import summary

        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: what `--json` prints."""
        return dict(finite(dict(self.result)))

    def __repr__(self) -> str:
        return f"{self.summary()}\n\n{self.verdict}"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        from .markup import bundle
        from .views.notebook import run_html

        return bundle(repr(self), run_html(self), include, exclude)


def account(folder: str | Path) -> Account:
    """Read the account of a run from its folder (or its id).

    Raises RunError and UsageError as `sightline.load` does.
    """
    path, values = read_finished(folder)
    with readable(path):
        return read_account(path, values)


def read_finished(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a run and its run.json, which has a result of a table.

    Raises RunError if the folder is missing, damaged or unfinished, UsageError if it is of a module, with what to do.
    """
    path = find_run(folder)
    values = read_manifest(path)
    if values.get("kind") == "module":
        raise UsageError(
            f"run {path.name} trained a module of your own, not a table: see it with sightline show {path.name}, and "
            f"read it with sightline.load_module({path.name!r})"
        )
    if "result" not in values:
        status = status_of(path, values)
        remedy = "wait for it" if status == "running" else f"go on with sightline resume {path.name}"
        raise RunError(f"run {path.name} has no result yet (its status is {status}): {remedy}")
    return path, values


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What a damaged run.json lacks, as a RunError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path / 'run.json'} is damaged ({error}): restore the folder from a copy or train again"
        ) from None


def read_account(path: Path, values: Mapping[str, Any], *, records: bool = True) -> Account:
    """The account in a run.json that `read_finished` found, with or without its records; within `readable`."""
    result = values["result"]
    coefficients = [_with_infinity(Coefficient(**c), values.get("infinite", {})) for c in result["coef"]]
    warnings = tuple(Warning(w["code"], w["text"], tuple(w["fix"])) for w in result["warnings"])
    verdict = Verdict(result["verdict"], values["sentence"], warnings)
    seen = read_epochs(path) if records else iter(())
    epochs = [e for e in seen if e.number <= result["epochs"]]  # while it is gone on with, there are more
    return Account(
        result, Names.of(values["design"], result), coefficients, verdict, epochs, path,
        values.get("source", {}), values["dtype"], RunSettings(**values["settings"]),
    )  # fmt: skip


def _with_infinity(c: Coefficient, infinite: Mapping[str, bool]) -> Coefficient:
    """As JSON has no infinity, the coefficients there are listed with whether they are positive."""
    if c.term not in infinite:
        return c
    value = math.inf if infinite[c.term] else -math.inf
    return replace(c, estimate=value if c.estimate is None else c.estimate, exact=value)
