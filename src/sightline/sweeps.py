"""What a sweep of learning rates found, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .rate_words import Judged
from .records import Epoch
from .runs.store import default_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sweep", "saved"]


@dataclass(frozen=True)
class Sweep:
    """All rates of a sweep, from the smallest to the largest, what each did, and the verdict.

    `runs[i]` are the records of `rates[i]`, those of a `fit` with that rate; `excess[i]` the objective above its
    optimum at each of them. `limit` is the largest stable rate as computed, None where no closed form has one; `found`
    the two rates between which the sweep saw it.
    """

    rates: tuple[float, ...]
    runs: tuple[list[Epoch], ...] = field(repr=False)
    excess: tuple[list[float], ...] = field(repr=False)
    judged: Judged = field(repr=False)
    subject: Mapping[str, Any]
    folder: Path | None = None

    @property
    def limit(self) -> float | None:
        """The largest stable rate: 2 / λmax, 2 (1 + β) / λmax with momentum β; near the optimum only for losses that
        are not quadratic.
        """
        return self.judged.ground.limit

    @property
    def found(self) -> tuple[float | None, float | None]:
        """The largest rate that settled below the smallest that did not, and that one."""
        return self.judged.bracket

    @property
    def best(self) -> float | None:
        """The rate that needs the fewest epochs, None where none comes nearer to the answer."""
        return None if self.judged.best is None else self.judged.best.lr

    @property
    def words(self) -> tuple[str, ...]:
        """ "too small", "just right" or "too large" for each rate."""
        return tuple(o.word for o in self.judged.outcomes)

    @property
    def verdict(self) -> str:
        """One sentence that ends in what to do."""
        return self.judged.sentence

    def summary(self) -> str:
        """The table of rates, with the limit and the best in their places, and the verdict."""
        from .views.rates import sweep_table

        return "\n".join(sweep_table(self.judged, self.subject))

    def figure(self) -> Figure:
        """Loss against rate, and the way of every rate, epoch by epoch."""
        from .views.rate_figures import sweep_figure

        return sweep_figure(self.judged, self.excess, self.subject)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as sweep.json and `--json` have them; the epochs are in the records."""
        ground, best = self.judged.ground, self.judged.best
        limit = {"computed": ground.limit, "rule": ground.rule, "local": ground.local, "found": list(self.found)}
        return {
            "sweep": None if self.folder is None else self.folder.name,
            **self.subject,
            "limit": limit,
            "best": None if best is None else asdict(best),
            "rates": [asdict(o) for o in self.judged.outcomes],
            "verdict": self.verdict,
        }


def saved(found: Sweep, output: Path | None) -> Sweep:
    """The same sweep in a folder under `output`, its picture drawn; None is ./runs or SIGHTLINE_RUNS."""
    from .runs.sweeps import save_sweep
    from .views.drawing import save

    folder = save_sweep(output or default_output(), found.to_dict(), found.runs)
    save(found.figure(), folder / "figures" / "sweep.png")
    return replace(found, folder=folder)
