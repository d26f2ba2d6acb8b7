"""Clients and nodes in three regions that are far from each other, simulated: what a level costs, and buys.

In each region some clients read and write the same few keys, through the nearest node. Nothing is wrong
meanwhile: there is no partition and no fault, so all that is seen is the price of the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from harness.cluster.base import Session
from harness.cluster.sim import SimCluster, SimOptions
from harness.sim.network import NetworkOptions
from harness.sim.world import MS, Future
from store.core.messages import Body, Done, Found, Get, Put, Response

REGIONS: Final = ("eu", "us", "ap")
ROUND_TRIPS_MS: Final = {("eu", "us"): 90, ("us", "ap"): 200, ("eu", "ap"): 260}
"""About what is measured between data centres in Frankfurt, Virginia and Sydney."""
PLACEMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "one in each": {"n1": "eu", "n2": "us", "n3": "ap"},
    "two and one": {"n1": "eu", "n2": "eu", "n3": "us"},
    "all in eu": {"n1": "eu", "n2": "eu", "n3": "eu"},
}
"""Where the replicas of every key are."""
LEVELS: Final = ("one", "quorum", "all", "linearizable")
CLIENTS: Final = 3
"""In each region."""
ROUNDS: Final = 25
"""Of each client: a write and three reads."""
READS: Final = 3
KEYS: Final = len(REGIONS) * CLIENTS
"""One for each client to write."""
THINK_NS: Final = 20 * MS
PATIENCE_S: Final = 5.0


class Figures(NamedTuple):
    """Of one region's clients. Latencies are ms; `stale` counts reads that began after a newer value than
    theirs had been acknowledged, `oldest_ms` is how long before, at most. `refused`: all else than an
    answer."""

    placement: str
    level: str
    region: str
    read_p50: float
    read_p99: float
    write_p50: float
    write_p99: float
    reads: int
    stale: int
    oldest_ms: float
    refused: int


def round_trip_ms(one: str, other: str) -> int:
    return 0 if one == other else ROUND_TRIPS_MS.get((one, other)) or ROUND_TRIPS_MS[other, one]


def measure(placement: str, level: str, seed: int) -> list[Figures]:
    """A line for each region."""
    return _Experiment(placement, level, seed).figures()


class _Region:
    def __init__(self) -> None:
        self.reads: list[float] = []
        self.writes: list[float] = []
        self.stale_ms: list[float] = []
        self.refused = 0


class _Experiment:
    def __init__(self, placement: str, level: str, seed: int) -> None:
        self._placement = placement
        self._level = level
        self._home = PLACEMENTS[placement]
        network = NetworkOptions(
            distances_us={
                (a, b): round_trip_ms(self._home[a], self._home[b]) * 500
                for a in self._home
                for b in self._home
                if a != b
            }
        )
        self._cluster = SimCluster(tuple(self._home), len(self._home), seed, SimOptions(network=network))
        self._world = self._cluster.world
        self._draw = self._world.random("clients")
        self._seen = {region: _Region() for region in REGIONS}
        self._acknowledged: dict[str, list[int]] = {f"k{number}": [0] for number in range(KEYS)}
        """When each version of a key was. A key has one writer, who counts its versions."""

    def figures(self) -> list[Figures]:
        with TemporaryDirectory() as logs:
            self._world.complete(self._main(Path(logs)))
        return [self._told(region) for region in REGIONS]

    async def _main(self, logs: Path) -> None:
        await self._cluster.setup(logs)
        keys = iter(self._acknowledged)
        clients = []
        for region in REGIONS:
            for _ in range(CLIENTS):
                done = Future[None](self._world)
                self._world.spawn(self._client(region, next(keys)), done.resolve)
                clients.append(done)
        for client in clients:
            await client
        await self._cluster.teardown()

    async def _client(self, region: str, own: str) -> None:
        """Writes its own key, and reads everybody's."""
        node = min(self._home, key=lambda node: round_trip_ms(region, self._home[node]))
        way_ns = round_trip_ms(region, self._home[node]) * MS // 2
        session = await self._cluster.connect(node)
        seen = self._seen[region]
        for version in range(1, ROUNDS + 1):
            await self._write(session, own, version, way_ns, seen)
            for _ in range(READS):
                await self._world.sleep(self._draw.randrange(2 * THINK_NS))
                await self._read(session, f"k{self._draw.randrange(KEYS)}", way_ns, seen)

    async def _write(self, session: Session, key: str, version: int, way_ns: int, seen: _Region) -> None:
        began = self._world.now
        response = await self._asked(session, Put(key, b"%d" % version, self._level), way_ns)
        if isinstance(response, Done):
            self._acknowledged[key].append(self._world.now)
            seen.writes.append((self._world.now - began) / MS)
        else:
            seen.refused += 1

    async def _read(self, session: Session, key: str, way_ns: int, seen: _Region) -> None:
        began = self._world.now
        response = await self._asked(session, Get(key, self._level), way_ns)
        if not isinstance(response, Found):
            seen.refused += 1
            return
        seen.reads.append((self._world.now - began) / MS)
        version = int(response.value or 0)
        known = self._acknowledged[key]
        if version + 1 < len(known) and known[version + 1] < began:
            seen.stale_ms.append((began - known[version + 1]) / MS)

    async def _asked(self, session: Session, body: Body, way_ns: int) -> Response:
        await self._world.sleep(way_ns)
        response = await session.request(body, PATIENCE_S)
        await self._world.sleep(way_ns)
        return response

    def _told(self, region: str) -> Figures:
        seen = self._seen[region]
        return Figures(
            self._placement,
            self._level,
            region,
            median(seen.reads),
            _p99(seen.reads),
            median(seen.writes),
            _p99(seen.writes),
            len(seen.reads),
            len(seen.stale_ms),
            max(seen.stale_ms, default=0.0),
            seen.refused,
        )


def _p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]
