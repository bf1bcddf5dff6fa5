"""The loss as it falls: thinned while it comes, drawn in block characters or as SVG, without a library for it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from ..markup import GOOD, NOW
from ..records import Epoch
from .readings import known, num, whole

__all__ = ["Seen", "block_plot", "loss_svg", "sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"
SHARE = 150  # records that are kept in each doubling and a half: more than a plot has places
MANY = 200  # epochs from which on their axis is logarithmic, 0 having a place of its own
RATIO = 20.0  # of the largest to the smallest loss from which on its axis is logarithmic
Point = tuple[float, float]


class Seen:
    """Records that a plot needs of all that came: every one at first, then at equal ratios, and always the last."""

    def __init__(self) -> None:
        self.first: Epoch | None = None
        self.last: Epoch | None = None
        self._kept: list[tuple[int, float | None, float | None]] = []
        self._next = -1

    def take(self, record: Epoch) -> None:
        """Look at the next record; it costs next to nothing where it is not kept."""
        if self.first is None:
            self.first, self._next = record, record.number
        self.last = record
        if record.number >= self._next:
            self._kept.append((record.number, record.loss, record.valid_loss))
            self._next = record.number + max(1, (record.number - self.first.number) // SHARE)

    def points(self, *, valid: bool = False) -> list[Point]:
        """(epoch, loss) of what was kept and is a finite number."""
        kept = list(self._kept)
        if self.last is not None and kept[-1][0] != self.last.number:
            kept.append((self.last.number, self.last.loss, self.last.valid_loss))
        return [(float(k), float(v)) for k, *both in kept if known(v := both[valid]) and v is not None]


class Axis:
    """From numbers to a share of the axis, 0 to 1; logarithmic where `log`."""

    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self.log = low, high, log
        self._from, self._to = (math.log(low), math.log(high)) if log else (low, high)

    def __call__(self, value: float) -> float:
        at = math.log(max(value, 1e-320)) if self.log else value
        width = self._to - self._from
        return 0.5 if not width > 0.0 or math.isinf(width) else min(1.0, max(0.0, (at - self._from) / width))

    def ticks(self, count: int) -> list[float]:
        """Round numbers on it, about so many."""
        return list(_decades(self.low, self.high, count) if self.log else _rounds(self.low, self.high, count))


def _decades(low: float, high: float, count: int) -> Iterator[float]:
    a, b = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if b - a < 1:
        yield from (v for v in _rounds(low, high, count) if v > 0)
        return
    yield from (10.0**k for k in range(a, b + 1, max(1, math.ceil((b - a) / count))))


def _rounds(low: float, high: float, count: int) -> Iterator[float]:
    if not high > low or math.isinf(high - low):
        yield low
        return
    size = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= (high - low) / count * 0.999)
    yield from (k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1))


def _epochs(first: float, last: float) -> Axis:
    """Epochs from the first one on, moved so that a logarithm has them all."""
    many = last - first > MANY
    return Axis(1.0 if many else 0.0, last - first + (1.0 if many else 0.0), log=many)


def _losses(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    return Axis(low, high, log=low > 0.0 and high > RATIO * low)


def _levels(points: Sequence[Point], y: Axis, width: int) -> list[float]:
    """How high the line is in each of so many columns, 0 to 1: straight between the records."""
    first, x = points[0][0], _epochs(points[0][0], points[-1][0])
    places = [x(number - first + (1.0 if x.log else 0.0)) * (width - 1) for number, _ in points]
    heights = [y(loss) for _, loss in points]
    found = []
    for column in range(width):
        right = min(max(1, bisect_left(places, column)), len(places) - 1)
        gap = places[right] - places[right - 1]
        share = 1.0 if gap <= 0.0 else min(1.0, max(0.0, (column - places[right - 1]) / gap))
        found.append(heights[right - 1] + share * (heights[right] - heights[right - 1]))
    return found


def sparkline(points: Sequence[Point], width: int) -> str:
    """The loss on one line, at most `width` characters.

    >>> sparkline([(0, 8.0), (1, 4.0), (2, 3.0), (3, 1.0)], 8)
    '█▇▅▄▃▂▁▁'
    """
    if len(points) < 2:
        return ""
    y = _losses([loss for _, loss in points])
    return "".join(BLOCKS[min(7, int(8 * v))] for v in _levels(points, y, min(width, 8 * len(points))))


def block_plot(points: Sequence[Point], width: int, height: int) -> list[str]:
    """The loss on `height` lines with its largest and smallest value, the epochs below; no lines of less than two
    records.

    >>> print("\\n".join(block_plot([(0, 9.0), (1, 4.0), (2, 1.0)], 26, 2)))
    loss 9.000 │█▇▅▄▂▁
         1.000 │██████▇▆▅▄▄▃▂▁
               └──────────────
                0   epoch    2
    """
    if len(points) < 2:
        return []
    y = _losses([loss for _, loss in points])
    labels = [f"loss {num(y.high, 4)}", *[""] * (height - 2), num(y.low, 4)]
    gutter = max(10, *map(len, labels))
    levels = [1 + round(v * (8 * height - 1)) for v in _levels(points, y, width - gutter - 2)]
    lines = [_row(levels, height - 1 - i) for i in range(height)]
    first, last = whole(points[0][0]), whole(points[-1][0])
    log = " (logarithmic)" if points[-1][0] - points[0][0] > MANY else ""
    foot = f"{first}{f'epoch{log}'.center(len(levels) - len(first) - len(last))}{last}"
    return [
        *(f"{label:>{gutter}} │{line.rstrip()}" for label, line in zip(labels, lines, strict=True)),
        f"{'':>{gutter}} └{'─' * len(levels)}",
        f"{'':>{gutter}}  {foot}",
    ]


def _row(levels: Sequence[int], row: int) -> str:
    """What the columns show in that row, counted from below."""
    parts = (max(0, min(8, level - 8 * row)) for level in levels)
    return "".join(" " if not part else BLOCKS[part - 1] for part in parts)


WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 200, 64, 30, 10, 12
TEXT = 'fill="currentColor" font-size="11" font-family="system-ui, sans-serif"'


def loss_svg(seen: Seen) -> str:
    """A picture of the losses of all rows and of those held out, in colors that show on white and on dark; empty
    before there are two records.
    """
    points, valid = seen.points(), seen.points(valid=True)
    both = [*points, *valid]
    if len(both) < 2:
        return ""
    first, last = min(k for k, _ in both), max(k for k, _ in both)
    x, y = _epochs(first, last), _losses([v for _, v in both])

    def place(point: Point) -> Point:
        across = x(point[0] - first + (1.0 if x.log else 0.0))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y(point[1]) * (HEIGHT - BOTTOM - TOP)

    lines = [_path([place(p) for p in points], NOW, "")]
    if valid:
        lines.append(_path([place(p) for p in valid], GOOD, ' stroke-dasharray="6 3"'))
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{NOW}"/>' for a, b in map(place, points))
    end = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{NOW}"/>' for a, b in map(place, points[-1:]))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="loss by epoch" style="max-width:100%;height:auto;color:inherit">'
        f"{_axes(x, y, first)}{''.join(lines)}{dots if len(points) <= 40 else ''}{end}{_legend(bool(valid))}</svg>"
    )


def _path(places: Sequence[Point], color: str, dashes: str) -> str:
    d = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    return (
        f'<path d="M{d}" fill="none" stroke="{color}" stroke-width="2"{dashes} stroke-linejoin="round"/>' if d else ""
    )


def _axes(x: Axis, y: Axis, first: float) -> str:
    drawn = []
    for value in y.ticks(4):
        at = HEIGHT - BOTTOM - y(value) * (HEIGHT - BOTTOM - TOP)
        drawn.append(_grid(LEFT, at, WIDTH - RIGHT, at))
        drawn.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" {TEXT}>{_tick(value)}</text>')
    for share, epoch in _epoch_ticks(x, first):
        at = LEFT + share * (WIDTH - LEFT - RIGHT)
        drawn.append(_grid(at, TOP, at, HEIGHT - BOTTOM))
        drawn.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle" {TEXT}>{whole(epoch)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(f'<text x="{middle:.0f}" y="{HEIGHT - 3}" text-anchor="middle" {TEXT}>epoch</text>')
    return "".join(drawn)


def _epoch_ticks(x: Axis, first: float) -> list[Point]:
    """Places on the axis of epochs and what they are called: 0, 1, 10, 100, ... after the first, or round numbers."""
    if not x.log:
        return [(x(v - first), v) for v in _rounds(first, first + x.high, 6) if v == int(v)]
    after = [0.0, *(10.0**k for k in range(int(math.log10(x.high)) + 1))]
    return [(x(v + 1.0), first + v) for v in after if v < x.high]


def _grid(a: float, b: float, c: float, d: float) -> str:
    ends = f'x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"'
    return f'<line {ends} stroke="currentColor" stroke-opacity=".15"/>'


def _tick(value: float) -> str:
    text = num(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _legend(valid: bool) -> str:
    """What the lines are, where there are two."""
    if not valid:
        return ""
    entries = (("training", NOW, ""), ("held out", GOOD, ' stroke-dasharray="6 3"'))
    drawn = []
    for i, (name, color, dashes) in enumerate(entries):
        at = WIDTH - RIGHT - 84, TOP + 12 + 15 * i
        drawn.append(
            f'<line x1="{at[0]}" x2="{at[0] + 22}" y1="{at[1] - 4}" y2="{at[1] - 4}" stroke="{color}" '
            f'stroke-width="2"{dashes}/><text x="{at[0] + 27}" y="{at[1]}" {TEXT}>{name}</text>'
        )
    return "".join(drawn)
