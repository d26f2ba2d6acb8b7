"""A storm over five simulated nodes, without generators or a scheduler: clients at every level, and a nemesis
that kills, pauses, cuts and bumps. `python -m tests.support.storm SEED` prints the digest of everything that
every node was told and answered, and when."""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter

from harness.cluster.base import Lost, NotSent
from harness.cluster.sim import SimCluster, SimOptions
from harness.sim.network import NetworkOptions
from harness.sim.world import MS
from store.core.machine import Effect, Input, Records
from store.core.messages import Cas, Delete, Get, KeyBody, Layout, Put, Response
from store.core.node import Node
from store.core.options import Options

NODES = ("n1", "n2", "n3", "n4", "n5")
LEVELS = ("one", "quorum", "all", "r=1,w=3", "linearizable")
OPTIONS = SimOptions(network=NetworkOptions(loss_fraction=0.01, duplicate_fraction=0.01))


class Storm:
    """`outcomes` counts what clients got; `bites` the evidence of each fault that bit."""

    def __init__(self, seed: int, clients: int = 10, requests: int = 60) -> None:
        self.outcomes: Counter[str] = Counter()
        self.bites: Counter[str] = Counter()
        self.details: list[str] = []
        self.digest = hashlib.sha256()
        self.cluster = SimCluster(NODES, 3, seed, OPTIONS, make=self._traced)
        self._seed = seed
        self._clients = clients
        self._requests = requests
        self._ended: list[None] = []

    def run(self) -> None:
        world = self.cluster.world
        world.complete(self.cluster.start(NODES))
        world.spawn(self._nemesis(), lambda _: None)
        for number in range(self._clients):
            world.spawn(self._client(number), self._ended.append)
        while len(self._ended) < self._clients:
            world.run_until(world.now + 1000 * MS)

    def _traced(
        self,
        name: str,
        first: Layout | None,
        boot: int,
        records: Records,
        rng: random.Random,
        options: Options,
    ) -> Traced:
        return Traced(self.digest, Node(name, first, boot, records, rng, options))

    async def _client(self, number: int) -> None:
        rng = random.Random(f"{self._seed} client {number}")
        session = None
        for count in range(self._requests):
            await self.cluster.world.sleep(rng.randrange(100 * MS))
            body = _body(rng, b"%d/%d" % (number, count))
            outcome: Response | Exception
            try:
                session = session or await self.cluster.connect(NODES[number % len(NODES)])
                outcome = await session.request(body, 0.5)
            except (NotSent, Lost) as error:
                session, outcome = None, error
            self.outcomes[f"{body.level} {getattr(outcome, 'code', type(outcome).__name__)}"] += 1

    async def _nemesis(self) -> None:
        rng = random.Random(f"{self._seed} nemesis")
        cluster = self.cluster
        while len(self._ended) < self._clients:
            victims = tuple(rng.sample(NODES, 2))
            rest = frozenset(NODES) - frozenset(victims)
            steps = [
                ("kill", cluster.kill, cluster.start, (victims,), (NODES,)),
                ("pause", cluster.pause, cluster.resume, (victims,), (NODES,)),
                ("cut", cluster.cut, cluster.heal, (dict.fromkeys(victims, rest),), ()),
                ("bump", cluster.bump, cluster.reset, ({victims[0]: rng.randrange(-500, 500)},), ()),
            ]
            name, inject, undo, targets, all_of_it = rng.choice(steps)
            for what, act, args in [(name, inject, targets), (f"un{name}", undo, all_of_it)]:
                evidence = await act(*args)  # type: ignore[operator]
                self.bites[what] += evidence.bit
                self.details.append(evidence.detail)
                await cluster.world.sleep(rng.randrange(400 * MS))


class Traced:
    """A node that adds all its inputs and effects to `digest`."""

    def __init__(self, digest: hashlib._Hash, node: Node) -> None:
        self._digest = digest
        self._node = node

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        effects = self._node.step(event, now, wall)
        self._digest.update(repr((self._node.name, now, wall, event, effects)).encode())
        return effects


def _body(rng: random.Random, value: bytes) -> KeyBody:
    level = rng.choice(LEVELS)
    key = f"{'register' if level == 'linearizable' else 'cell'}{rng.randrange(5)}"
    kinds: list[KeyBody] = [Get(key, level), Put(key, value, level), Delete(key, level)]
    if level == "linearizable":
        kinds.append(Cas(key, None, value, level))
    return rng.choice(kinds)


if __name__ == "__main__":
    storm = Storm(int(sys.argv[1]))
    storm.run()
    print(storm.digest.hexdigest(), sorted(storm.outcomes.items()), storm.details)
