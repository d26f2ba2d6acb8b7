"""Storms over convergent data in the simulator: clients change counters, siblings, sets and maps while nodes
are killed, frozen and cut off, and leave, join, or lose their disks. Then all heals, and what the replicas
keep is held against what the clients were told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from harness.cluster.base import Lost, NotSent
from harness.cluster.sim import SimCluster, SimOptions
from harness.sim.network import NetworkOptions
from harness.sim.world import SECOND
from nemesis.grudge import complete
from store.core.messages import (
    DEFINITE,
    Body,
    ChangeElements,
    ChangeFields,
    Done,
    Failed,
    FoundCopies,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    Get,
    Increment,
    Inspect,
    Layout,
    Put,
    Response,
)
from store.core.node import Node
from store.core.options import MS, Options
from tests.support.buckets import BUCKETS

NAMES: Final = ("n1", "n2", "n3", "n4", "n5")
SPARE: Final = "s1"
CLIENTS: Final = 6
PER_KEY: Final = 20
"""So many changes are made to a key, by all clients together."""
LASTS_S: Final = 15.0
SETTLES_S: Final = 20.0
TIMEOUT_S: Final = 1.5
PACE: Final = Options(
    probe_nanos=200 * MS,
    compare_nanos=300 * MS,
    scrub_nanos=0,
    tombstone_grace_nanos=61 * SECOND,
    hint_life_nanos=60 * SECOND,
)
LEVELS: Final = ("one", "quorum", "all", "quorum,sloppy", "one,sloppy", "w=3")
SAFE_LEVELS: Final = ("quorum", "all", "w=3")
"""What was acknowledged at them outlives the loss of one disk."""


class Change(Struct):
    """`number` is its own in its key. `over`: numbers of those that it takes away, if it has an effect.
    `ended`: ok, fail (it certainly had no effect) or info (either)."""

    key: str
    number: int
    ended: str = "info"
    over: frozenset[int] = frozenset()


class SimStorm:
    """Runs in its constructor. `changes`: all that were asked. `copies`: at the end, by key, what each
    replica keeps."""

    def __init__(self, seed: int, membership: bool) -> None:
        self.changes: list[Change] = []
        self.faults: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._fate = random.Random(f"{seed}/faults")
        self._levels = SAFE_LEVELS if membership else LEVELS
        self._membership = membership
        network = NetworkOptions(loss_fraction=0.01, duplicate_fraction=0.02)
        options = SimOptions(network=network, core=PACE, spares=1)
        self._cluster = SimCluster(NAMES, 3, seed, options, make=_node)
        self._world = self._cluster.world
        self._over: list[None] = []
        self._world.complete(self._play())
        self.copies = {key: self._world.complete(self._look(key)) for key in self.keys()}
        self._world.complete(self._cluster.teardown())

    def keys(self) -> list[str]:
        return sorted({change.key for change in self.changes})

    async def _play(self) -> None:
        cluster, world = self._cluster, self._world
        await cluster.start(NAMES)
        await world.sleep(SECOND)
        for _ in range(CLIENTS):
            world.spawn(self._client(), self._over.append)
        end = world.now + int(LASTS_S * SECOND)
        while world.now < end:
            await self._trouble()
            await world.sleep(int(self._fate.uniform(0.2, 1.5) * SECOND))
        await cluster.heal()
        await cluster.resume(NAMES)
        await cluster.start(NAMES)
        if self._membership:
            await cluster.restore()
        while len(self._over) < CLIENTS:
            await world.sleep(SECOND)
        await world.sleep(int(SETTLES_S * SECOND))

    async def _trouble(self) -> None:
        """One fault begins or ends. One disk at most is lost at a time, which the cluster sees to."""
        cluster, rng = self._cluster, self._fate
        some = tuple(rng.sample(NAMES, rng.randint(1, 3)))
        kinds = ["kill", "start", "cut", "heal", "pause", "resume"]
        kind = rng.choice(kinds + ["leave", "join", "replace", "wipe", "restore"] * self._membership)
        match kind:
            case "kill":
                evidence = await cluster.kill(some)
            case "start":
                evidence = await cluster.start(NAMES)
            case "cut":
                evidence = await cluster.cut(complete((some, tuple(set(NAMES) - set(some)))))
            case "heal":
                evidence = await cluster.heal()
            case "pause":
                evidence = await cluster.pause(some)
            case "resume":
                evidence = await cluster.resume(NAMES)
            case "join":
                evidence = await cluster.join(SPARE)
            case "replace":
                evidence = await cluster.replace(some[0], SPARE)
            case "leave":
                evidence = await cluster.leave(some[0])
            case "wipe":
                evidence = await cluster.wipe(some[0])
            case _:
                await cluster.heal()
                await cluster.resume(NAMES)
                await cluster.start(NAMES)
                evidence = await cluster.restore()
        self.faults[kind] += evidence.bit

    # The clients -------------------------------------------------------------------------------------

    async def _client(self) -> None:
        rng, world = self._rng, self._world
        end = world.now + int(LASTS_S * SECOND)
        while world.now < end:
            kind = rng.choice(("cnt", "sib", "set", "map"))
            made = sum(change.key.startswith(kind) for change in self.changes)
            change = Change(f"{kind}/{made // PER_KEY}", made % PER_KEY)
            self.changes.append(change)
            node = rng.choice(NAMES)
            body = await self._body(node, change)
            change.ended = _ended(await self._ask(node, body))
            await world.sleep(int(rng.uniform(0.005, 0.05) * SECOND))

    async def _body(self, node: str, change: Change) -> Body:
        rng, key, number, level = self._rng, change.key, change.number, self._rng.choice(self._levels)
        match key[:3]:
            case "cnt":
                return Increment(key, 4**number, level)
            case "map":
                return ChangeFields(key, {str(number): b"v"}, level)
            case "set":
                before = number - 1
                if number % 3 == 2 and any(
                    other.key == key and other.number == before and other.ended == "ok"
                    for other in self.changes
                ):
                    change.over = frozenset((before,))
                removed = tuple([b"%d" % gone for gone in change.over])
                return ChangeElements(key, (b"%d" % number,), removed, level)
        context = b""
        if rng.random() < 0.3:
            read = await self._ask(node, Get(key, rng.choice(self._levels)))
            if isinstance(read, FoundSiblings):
                context, change.over = read.context, frozenset(map(int, read.values))
        return Put(key, b"%d" % number, level, 0, context)

    async def _ask(self, node: str, body: Body) -> Response | NotSent | None:
        try:
            session = await self._cluster.connect(node)
            response = await session.request(body, TIMEOUT_S)
            await session.close()
        except NotSent as refused:
            return refused
        except Lost:
            return None
        return response

    async def _look(self, key: str) -> dict[str, Any]:
        found = await self._ask("n1", Inspect(key))
        assert isinstance(found, FoundCopies), f"{key}: {found}"
        return {node: _shown(copy) for node, copy in found.copies.items()}

    # The verdict -------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """Sentences, one for each thing that should not be."""
        found = []
        for key, copies in self.copies.items():
            first, *rest = copies.values()
            if any(copy != first for copy in rest):
                found.append(f"{key}: the copies differ: {copies}")
                continue
            present = _digits(first) if key.startswith("cnt") else dict.fromkeys(map(int, first), 1)
            found += self._judged(key, present)
        return found

    def _judged(self, key: str, present: dict[int, int]) -> Iterable[str]:
        changes = [change for change in self.changes if change.key == key]
        taken = {gone for change in changes if change.ended != "fail" for gone in change.over}
        for change in changes:
            count = present.get(change.number, 0)
            if count > 1:
                yield f"{key}: {change.number} was made {count} times"
            if change.ended == "ok" and not count and change.number not in taken:
                yield f"{key}: {change.number} was acknowledged and is lost"
            if change.ended == "fail" and count:
                yield f"{key}: {change.number} failed for certain, and is there"


def _node(name: str, first: Layout | None, *rest: Any) -> Node:
    """With buckets of three replicas only: ownership cannot bear the loss of one disk of two."""
    buckets = tuple(sorted([bucket for bucket in BUCKETS if bucket.n == 3], key=lambda bucket: bucket.name))
    return Node(name, None if first is None else replace(first, buckets=buckets), *rest)


def _ended(response: Response | NotSent | None) -> str:
    if isinstance(response, NotSent):
        return "fail"
    if isinstance(response, Done):
        return "ok"
    return "fail" if isinstance(response, Failed) and DEFINITE[response.code] else "info"


def _shown(copy: Any) -> Any:
    match copy:
        case FoundCount(count=count):
            return count
        case FoundSiblings(values=values):
            return sorted(values)
        case FoundElements(elements=elements):
            return sorted(elements)
        case FoundFields(fields=fields):
            return sorted(fields)
    raise AssertionError(copy)


def _digits(count: int) -> dict[int, int]:
    """Each increment has its own digit of base 4, so that one which was made twice shows."""
    return {number: count // 4**number % 4 for number in range(PER_KEY + 1)}
