"""`watch`: the records of a loop, unchanged, with their progress shown beside it."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from html import escape
from time import perf_counter
from typing import Any, Protocol, TextIO

from ..errors import UsageError, shown
from ..records import Epoch
from ..words import duration, plain
from .loss_plot import Seen, block_plot, loss_svg, sparkline

__all__ = ["watch"]

WIDTH = 80
SPARK = 24  # characters of the loss on a line
TERMINAL, NOTEBOOK = 0.1, 0.2  # seconds between two pictures, at least


def watch(records: Iterable[Epoch], *, total: int | None = None) -> Iterator[Epoch]:
    """Yield the records of a loop as they are, in their order, and show beside it how far it is and how the loss falls.

    In a terminal one line that is drawn again while the loop runs, and the loss as a plot when it ends; in a notebook a
    plot that grows, at most five times a second; elsewhere a line at epochs 0, 1, 2, 4, 8, ... and at the last. `total`
    is the number of the last epoch, where the time that is left should be told. All of it goes to stderr or to the
    notebook, takes no part in `seconds`, and an error in it ends the display, never the loop. Closing it closes the
    loop.

    Raises UsageError where `records` cannot be iterated over, or `total` is no whole number above 0.

    >>> [record.number for record in watch([Epoch(0, None, 4.0, None, 1.0, 0.1, 0, 0.0)])]
    [0]
    """
    if total is not None and (isinstance(total, bool) or not isinstance(total, int) or total < 1):
        raise UsageError(f"total is {shown(total)}: give the number of the last epoch, a whole number above 0")
    try:
        inner = iter(records)
    except TypeError:
        what = type(records).__name__
        raise UsageError(f"there are no records in a {what}: give the loop, watch(sightline.train(...))") from None
    return _watched(inner, total)


def _watched(inner: Iterator[Epoch], total: int | None) -> Generator[Epoch, None, Any]:
    beside = _Beside(total)
    try:
        while True:
            try:
                record = next(inner)
            except StopIteration as end:
                return end.value
            beside.see(record)
            yield record
    finally:
        beside.end()
        if isinstance(inner, Generator):
            inner.close()


class _Display(Protocol):
    """Where progress is shown."""

    pause: float

    def draw(self, seen: Progressed) -> None: ...
    def end(self, seen: Progressed) -> None: ...


class Progressed(Seen):
    """What was seen of a loop, and how fast it came, readers included: that is what one waits for."""

    def __init__(self, total: int | None) -> None:
        super().__init__()
        self.total, self._began = total, perf_counter()

    def take(self, record: Epoch) -> None:
        """The same; the clock begins at the first record."""
        if self.first is None:
            self._began = perf_counter()
        super().take(record)

    def words(self) -> list[str]:
        """Epoch, losses, pace."""
        last = self.last
        if last is None:
            return []
        whole = f"{self.total:,}" if self.total else ""
        of = f" of {whole}" if whole else ""
        said = [f"epoch {last.number:>{len(whole)},}{of}", f"loss {_loss(last.loss)}"]
        if last.valid_loss is not None:
            said.append(f"held out {_loss(last.valid_loss)}")
        return [*said, *self._pace(last)]

    def ending(self) -> str:
        """Why the loop ended, where that is no matter of course."""
        stop = self.last.stop if self.last is not None else None
        return stop.sentence if stop is not None and stop.reason != "epochs" else ""

    def _pace(self, last: Epoch) -> list[str]:
        assert self.first is not None
        passed, done = perf_counter() - self._began, last.number - self.first.number
        if done <= 0 or passed <= 0.0:
            return []
        speed = done / passed
        said = f"{speed:,.0f} epochs/s" if speed >= 10 else f"{plain(speed, 2)} epochs/s"
        left = (self.total - last.number) / speed if self.total else 0.0
        return [said, f"{duration(left)} left"] if left >= 1.0 and last.stop is None else [said]


def _loss(loss: float | None) -> str:
    if loss is None:
        return "not measured"
    if not math.isfinite(loss):
        return "not finite"
    return f"{loss:.4f}" if 1e-3 <= abs(loss) < 1e8 else f"{loss:.5g}"


class _Beside:
    """The display beside a loop; where it fails it says so once and shows no more."""

    def __init__(self, total: int | None) -> None:
        self.seen, self._drawn = Progressed(total), -math.inf
        self._display: _Display | None = None
        try:
            self._display = _display()
        except Exception as error:
            self._give_up(error)

    def see(self, record: Epoch) -> None:
        if self._display is None:
            return
        try:
            self.seen.take(record)
            if perf_counter() - self._drawn >= self._display.pause:
                self._display.draw(self.seen)
                self._drawn = perf_counter()
        except Exception as error:
            self._give_up(error)

    def end(self) -> None:
        if self._display is None or self.seen.last is None:
            return
        try:
            self._display.end(self.seen)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._display = None
        with suppress(Exception):
            why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            sys.stderr.write(f"\nthe display of progress has ended ({why}); the loop goes on\n")


def _display() -> _Display:
    """The one for where this runs; what is not loaded already is not loaded for it."""
    if (marimo := sys.modules.get("marimo")) is not None and marimo.running_in_notebook():
        return _Marimo(marimo)
    if (found := sys.modules.get("IPython")) is not None:
        shell = found.get_ipython()
        if shell is not None and getattr(shell, "kernel", None) is not None:
            return _Notebook(found.display.display)
    return _Terminal(sys.stderr) if sys.stderr.isatty() else _Lines(sys.stderr)


class _Lines:
    """A line at epochs 0, 1, 2, 4, 8, ... and at the last."""

    pause = 0.0

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._next, self._written = stream, 0, -1

    def draw(self, seen: Progressed) -> None:
        if seen.last is not None and (seen.last.number >= self._next or seen.last.stop is not None):
            self._write(seen.last)

    def end(self, seen: Progressed) -> None:
        if seen.last is not None and seen.last.number != self._written:
            self._write(seen.last)

    def _write(self, e: Epoch) -> None:
        valid = [] if e.valid_loss is None else [_loss(e.valid_loss)]
        if self._written < 0:
            self._put(["epoch", "loss", "gradient", *("held out" for _ in valid)])
        self._put([f"{e.number:,}", _loss(e.loss), plain(e.gradient_norm), *valid])
        self._written, self._next = e.number, max(1, 2 * e.number)

    def _put(self, cells: list[str]) -> None:
        self._stream.write(" ".join(cell.rjust(w) for cell, w in zip(cells, (9, 14, 12, 14), strict=False)) + "\n")
        self._stream.flush()


class _Terminal:
    """One line that is drawn again, and a plot of a few lines when the loop ends."""

    pause = TERMINAL

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            "▁│".encode(getattr(stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            self._blocks = False
        else:
            self._blocks = True

    def draw(self, seen: Progressed) -> None:
        self._stream.write(f"\r{self._line(seen)}\x1b[K")
        self._stream.flush()

    def end(self, seen: Progressed) -> None:
        wide = min(WIDTH, shutil.get_terminal_size().columns) - 1
        plot = block_plot(seen.points(), wide, 6) if self._blocks and wide >= 40 else []
        said = [seen.ending()] if seen.ending() else []
        self._stream.write("\n".join([f"\r{self._line(seen)}\x1b[K", *plot, *said]) + "\n")
        self._stream.flush()

    def _line(self, seen: Progressed) -> str:
        words = seen.words()
        if self._blocks and (spark := sparkline(seen.points(), SPARK)):
            words.insert(2, spark)
        return "  ".join(words)[: shutil.get_terminal_size().columns - 1]


def _page(seen: Progressed, *, ended: bool) -> dict[str, str]:
    """What a notebook shows."""
    text = "  ".join(seen.words())
    said = seen.ending() if ended else ""
    style = "font-variant-numeric:tabular-nums"
    html = f'<div style="{style}">{escape(text.replace("  ", " · "))}</div>{loss_svg(seen)}'
    return {
        "text/plain": f"{text}\n{said}" if said else text,
        "text/html": f"<div>{html}{f'<div>{escape(said)}</div>' if said else ''}</div>",
    }


class _Notebook:
    """One output of a cell of Jupyter, VS Code or Colab, replaced as the loop goes on."""

    pause = NOTEBOOK

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def draw(self, seen: Progressed) -> None:
        self._show(_page(seen, ended=False))

    def end(self, seen: Progressed) -> None:
        self._show(_page(seen, ended=True))

    def _show(self, page: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = self._display(page, raw=True, display_id=True)
        else:
            self._handle.update(page, raw=True)


class _Marimo:
    """The output of a cell of marimo."""

    pause = NOTEBOOK

    def __init__(self, marimo: Any) -> None:
        self._marimo = marimo

    def draw(self, seen: Progressed) -> None:
        self._marimo.output.replace(self._marimo.Html(_page(seen, ended=False)["text/html"]))

    def end(self, seen: Progressed) -> None:
        self._marimo.output.replace(self._marimo.Html(_page(seen, ended=True)["text/html"]))
