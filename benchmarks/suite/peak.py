"""Loops that do nothing but read, or nothing but multiply and add: the limits that rows are measured against."""

from __future__ import annotations

from typing import Any

from sightline.compiled.jit import compiled
from sightline.compiled.memory import address
from sightline.compiled.vectors import add, fma, lanes, load, spread, total

__all__ = ["FLOPS_A_LANE", "multiplied", "summed"]

FLOPS_A_LANE = 24  # of one turn: twelve chains, which hide the latency of each


@compiled
def summed(array: Any) -> Any:
    """The sum of a contiguous array, in eight chains of vectors."""
    x = address(array)
    wide = lanes(x)
    a, b, c, d = spread(x, 0.0), spread(x, 0.0), spread(x, 0.0), spread(x, 0.0)
    e, f, g, h = spread(x, 0.0), spread(x, 0.0), spread(x, 0.0), spread(x, 0.0)
    for i in range(0, len(array) - 8 * wide + 1, 8 * wide):
        a, b = add(a, load(x, i)), add(b, load(x, i + wide))
        c, d = add(c, load(x, i + 2 * wide)), add(d, load(x, i + 3 * wide))
        e, f = add(e, load(x, i + 4 * wide)), add(f, load(x, i + 5 * wide))
        g, h = add(g, load(x, i + 6 * wide)), add(h, load(x, i + 7 * wide))
    return total(add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h))))


@compiled
def multiplied(array: Any, turns: Any) -> Any:
    """So many turns of v ← v s + s on twelve vectors."""
    x = address(array)
    s = load(x, 0)
    a, b, c, d = spread(x, 1.0), spread(x, 2.0), spread(x, 3.0), spread(x, 4.0)
    e, f, g, h = spread(x, 5.0), spread(x, 6.0), spread(x, 7.0), spread(x, 8.0)
    i, j, k, m = spread(x, 9.0), spread(x, 10.0), spread(x, 11.0), spread(x, 12.0)
    for _ in range(turns):
        a, b, c, d = fma(a, s, s), fma(b, s, s), fma(c, s, s), fma(d, s, s)
        e, f, g, h = fma(e, s, s), fma(f, s, s), fma(g, s, s), fma(h, s, s)
        i, j, k, m = fma(i, s, s), fma(j, s, s), fma(k, s, s), fma(m, s, s)
    return total(add(add(add(a, b), add(c, d)), add(add(e, f), add(add(g, h), add(add(i, j), add(k, m))))))
