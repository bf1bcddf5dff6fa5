"""The order of the rows that torch draws, drawn faster than torch does."""

from __future__ import annotations

import numpy as np

from .jit import compiled

__all__ = ["permutation"]

WORDS, MIDDLE = 624, 397
UPPER, LOWER, TWIST = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
FIRST, SECOND = np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
ONE = np.uint32(1)


@compiled
def seeded(seed):
    """The state of a Mersenne Twister (Matsumoto and Nishimura 1998) after this seed."""
    state = np.empty(WORDS, np.uint32)
    state[0] = seed
    for i in range(1, WORDS):
        before = np.uint64(state[i - 1] ^ (state[i - 1] >> np.uint32(30)))
        state[i] = np.uint32((np.uint64(1812433253) * before + np.uint64(i)) & np.uint64(0xFFFFFFFF))
    return state


@compiled
def twisted(state, i, after, other):
    """The next word in place of word i."""
    word = (state[i] & UPPER) | (state[after] & LOWER)
    state[i] = state[other] ^ (word >> ONE) ^ ((np.uint32(0) - (word & ONE)) & TWIST)


@compiled
def draw(state, words):
    """The next 624 random words."""
    for i in range(WORDS - MIDDLE):
        twisted(state, i, i + 1, i + MIDDLE)
    for i in range(WORDS - MIDDLE, WORDS - 1):
        twisted(state, i, i + 1, i + MIDDLE - WORDS)
    twisted(state, WORDS - 1, 0, MIDDLE - 1)
    for i in range(WORDS):
        word = state[i]
        word ^= word >> np.uint32(11)
        word ^= (word << np.uint32(7)) & FIRST
        word ^= (word << np.uint32(15)) & SECOND
        words[i] = word ^ (word >> np.uint32(18))


@compiled
def permutation(seed, order):
    """Fill `order (n,)` of int64 with what `torch.randperm(n)` draws from a generator with that seed, n < 2³² / 20.

    Fisher and Yates, the i-th number swapped with one of those not before it: `word % (n - i)` places further.
    """
    n, used = len(order), WORDS
    state, words = seeded(seed), np.empty(WORDS, np.uint32)
    for i in range(n):
        order[i] = i
    for i in range(n - 1):
        if used == WORDS:
            draw(state, words)
            used = 0
        other = i + np.int64(words[used] % np.uint32(n - i))
        used += 1
        order[i], order[other] = order[other], order[i]
