"""A hot key: who serves its reads, and how old they are, by where readers turn to. In simulated nodes.

Half of all reads go to one key, the others to many, while a writer changes the hot one all the time; reads
and writes are at level `one`. Readers know the ring, as clients of the store do. Whoever is asked asks all
replicas (`store/core/data/quorum.py`), so who answers readers and who has to look a key up are two figures.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from harness.cluster.base import Session
from harness.cluster.sim import SimCluster
from harness.plan import node_names
from harness.sim.world import MS, Future
from store.core.machine import Records
from store.core.messages import Fetch, Found, Get, Layout, PeerMessage, Put
from store.core.node import Node
from store.core.options import Options
from store.core.ownership.ring import Ring

STRATEGIES: Final = {
    "first": "first owner",
    "replicas": "any replica",
    "cached": "any replica, cached",
}
NODES: Final = node_names(5)
REPLICATION: Final = 3
READERS: Final = 20
READS: Final = 150
"""Of each reader."""
KEYS: Final = 200
HOT: Final = "hot"
LEVEL: Final = "one"
THINK_NS: Final = 2 * MS
WRITE_EVERY_NS: Final = 3 * MS
CACHE_LIFE_NS: Final = 20 * MS
PATIENCE_S: Final = 5.0


class Load(NamedTuple):
    """`busiest`: the largest part of all reads that one node answered to readers; `looks_up`: the largest
    part for which one node looked into its data; `from_store`: the part that was asked of any node. A read is
    stale if a newer value had been acknowledged before it began; `oldest_ms` is how long before, at most."""

    strategy: str
    reads: int
    from_store: float
    busiest: float
    looks_up: float
    p50_ms: float
    stale: int
    oldest_ms: float


def loads(seed: int) -> list[Load]:
    return [_Experiment(strategy, seed).load() for strategy in STRATEGIES]


class _Counted(Node):
    """Counts whom it asks to look a key up, itself among them."""

    looked_up: Counter[str]

    def send(self, peer: str, message: PeerMessage) -> None:
        if type(message) is Fetch:
            self.looked_up[peer] += 1
        super().send(peer, message)


class _Experiment:
    def __init__(self, strategy: str, seed: int) -> None:
        self._strategy = strategy
        self._looked_up: Counter[str] = Counter()
        self._cluster = SimCluster(NODES, REPLICATION, seed, make=self._node)
        self._world = self._cluster.world
        self._ring = Ring(NODES)
        self._draw = self._world.random("readers")
        self._served = dict.fromkeys(NODES, 0)
        self._took_ms: list[float] = []
        self._acknowledged: list[int] = []
        """When each version of the hot key was, by its number."""
        self._stale_ms: list[float] = []
        self._cache: dict[str, tuple[int, bytes]] = {}
        """When it was put in, and what."""
        self._over = False

    def load(self) -> Load:
        with TemporaryDirectory() as logs:
            self._world.complete(self._main(Path(logs)))
        reads = len(self._took_ms)
        return Load(
            self._strategy,
            reads,
            sum(self._served.values()) / reads,
            max(self._served.values()) / reads,
            max(self._looked_up.values()) / reads,
            median(self._took_ms),
            len(self._stale_ms),
            max(self._stale_ms, default=0.0),
        )

    def _node(
        self,
        name: str,
        first: Layout | None,
        boot: int,
        records: Records,
        rng: random.Random,
        options: Options,
    ) -> Node:
        node = _Counted(name, first, boot, records, rng, options)
        node.looked_up = self._looked_up
        return node

    async def _main(self, logs: Path) -> None:
        await self._cluster.setup(logs)
        writer = await self._cluster.connect(self._ring.preference(HOT, 1)[0])
        for number in range(KEYS):
            await writer.request(Put(f"key{number}", b"0", "all"), PATIENCE_S)
        await writer.request(Put(HOT, b"0", "all"), PATIENCE_S)
        self._acknowledged.append(self._world.now)
        self._looked_up.clear()
        written = self._begin(self._write(writer))
        readers = [self._begin(self._read()) for _ in range(READERS)]
        for reader in readers:
            await reader
        self._over = True
        await written
        await self._cluster.teardown()

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        done = Future[None](self._world)
        self._world.spawn(coroutine, done.resolve)
        return done

    async def _write(self, session: Session) -> None:
        while not self._over:
            version = len(self._acknowledged)
            await session.request(Put(HOT, b"%d" % version, LEVEL), PATIENCE_S)
            self._acknowledged.append(self._world.now)
            await self._world.sleep(WRITE_EVERY_NS)

    async def _read(self) -> None:
        sessions = {node: await self._cluster.connect(node) for node in NODES}
        for _ in range(READS):
            key = HOT if self._draw.random() < 0.5 else f"key{self._draw.randrange(KEYS)}"
            began = self._world.now
            value = await self._value(key, sessions)
            self._took_ms.append((self._world.now - began) / MS)
            if key == HOT:
                self._judge(int(value), began)
            await self._world.sleep(self._draw.randrange(2 * THINK_NS))

    async def _value(self, key: str, sessions: Mapping[str, Session]) -> bytes:
        if self._strategy == "cached":
            kept_at, value = self._cache.get(key, (-CACHE_LIFE_NS, b""))
            if self._world.now - kept_at < CACHE_LIFE_NS:
                return value
        owners = self._ring.preference(key, REPLICATION)
        node = owners[0] if self._strategy == "first" else owners[self._draw.randrange(len(owners))]
        self._served[node] += 1
        response = await sessions[node].request(Get(key, LEVEL), PATIENCE_S)
        if not isinstance(response, Found) or response.value is None:
            raise RuntimeError(f"a read without faults was answered by {response}")
        self._cache[key] = (self._world.now, response.value)
        return response.value

    def _judge(self, version: int, began: int) -> None:
        if version + 1 < len(self._acknowledged) and self._acknowledged[version + 1] < began:
            self._stale_ms.append((began - self._acknowledged[version + 1]) / MS)
