"""Work on one thing after the other in threads, a few ahead of what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

S = TypeVar("S")
T = TypeVar("T")
THREADS = 2


def ahead(call: Callable[[S], T], items: Iterable[S], threads: int = THREADS) -> Generator[T]:
    """What `call` makes of each item, in their order; not more than one for each thread is held besides the next.

    To be closed where it is not used up: where garbage is collected its threads might wait for themselves.

    >>> list(ahead(str, range(3)))
    ['0', '1', '2']
    """
    waiting: list[Future[T]] = []
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
