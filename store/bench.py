"""A load on the store, and how it took it: clients that each ask for one thing after the other.

A closed loop: a slow answer delays the next question of that client, so latencies under a rate that the store
cannot keep up with do not show here (Tene's "coordinated omission"); the rate itself does.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from store.client.errors import NotServed, StoreError
from store.client.operations import TIMEOUT_S

WARM_UP_S: Final = 0.5
KEY: Final = "bench-{}"


class Asked(Protocol):
    """Whatever is put under load; `Operations` are. They raise `StoreError`."""

    async def put(self, key: str, value: bytes, level: str, timeout_s: float) -> None: ...

    async def get(self, key: str, level: str, timeout_s: float) -> bytes | None: ...

    async def delete(self, key: str, level: str, timeout_s: float) -> None: ...


Ask = Callable[[Asked, str, "Load"], Awaitable[object]]
ASKS: Final[Mapping[str, Ask]] = {
    "put": lambda store, key, load: store.put(key, b"x" * load.value_bytes, load.level, TIMEOUT_S),
    "get": lambda store, key, load: store.get(key, load.level, TIMEOUT_S),
    "delete": lambda store, key, load: store.delete(key, load.level, TIMEOUT_S),
}
"""What clients can ask for."""


@dataclass(frozen=True, slots=True)
class Load:
    """`mix`: how often each of `ASKS` is asked for, relative to the others."""

    clients: int
    seconds: float
    level: str
    mix: Mapping[str, int]
    keys: int = 1000
    value_bytes: int = 100


@dataclass(slots=True)
class Tally:
    """What became of the requests of one kind; `latencies_ms` of those that were served, ascending."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds if self.seconds else 0.0

    def quantile_ms(self, q: float) -> float | None:
        """None if nothing was served."""
        return quantile(self.latencies_ms, q)


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that a share of `q` of `ordered` does not exceed (nearest rank)."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]


async def measure(connections: Sequence[Asked], load: Load) -> dict[str, Tally]:
    """Put `load` on the store through `connections`, of which each client has one (several may share it)."""
    tallies = {name: Tally() for name in load.mix}
    names, weights = list(load.mix), list(load.mix.values())
    clock = time.perf_counter
    start = clock() + WARM_UP_S
    end = start + load.seconds

    async def client(number: int) -> None:
        draw = random.Random(number)
        store = connections[number % len(connections)]
        while (before := clock()) < end:
            name = names[0] if len(names) == 1 else draw.choices(names, weights)[0]
            failure = ""
            try:
                await ASKS[name](store, KEY.format(draw.randrange(load.keys)), load)
            except StoreError as error:
                failure = error.code if isinstance(error, NotServed) else type(error).__name__
            if before < start:
                continue
            if failure:
                tallies[name].failures[failure] += 1
            else:
                tallies[name].latencies_ms.append((clock() - before) * 1000)

    async with trio.open_nursery() as nursery:
        for number in range(load.clients):
            nursery.start_soon(client, number)
    for tally in tallies.values():
        tally.seconds = clock() - start
        tally.latencies_ms.sort()
    return tallies
