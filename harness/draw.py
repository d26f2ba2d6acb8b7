"""Randomness as a pure function: a seed and a position give a number, and nothing is used up by asking.

The numbers are those of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, figure 17): its i-th output can be
computed at once. They are for choosing workloads and faults, not for secrets. `fork` derives independent
seeds by name, so that adding a draw in one place changes none elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15


def mix64(seed: int, i: int) -> int:
    """The i-th number of the stream `seed`, uniform in 0 .. 2**64 - 1."""
    z = (seed + (i + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform_int(seed: int, n: int, i: int = 0) -> int:
    """The i-th number of the stream `seed` that is uniform in 0 .. n-1."""
    if n < 1:
        raise ValueError(f"uniform_int draws from 0 .. n-1, so n must be at least 1, not {n}")
    return mix64(seed, i) * n >> 64


def choice(seed: int, options: Sequence[T]) -> T:
    """The one of `options` that belongs to `seed`."""
    return options[uniform_int(seed, len(options))]


def shuffled(seed: int, items: Sequence[T]) -> list[T]:
    """`items` in the order that belongs to `seed` (Fisher-Yates); a random subset is the start of it."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = uniform_int(seed, last + 1, last)
        order[last], order[other] = order[other], order[last]
    return order


def fork(seed: int, name: str) -> int:
    """The seed of the stream called `name` that belongs to `seed`."""
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big")
