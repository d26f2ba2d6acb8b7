"""What a scan over all shards costs, and reading one key, in simulated clusters of several sizes.

A scan asks each node for its keys, and then the replicas of each key for its value: it is as dear as reading
every key one by one, and asks the nodes in addition; what it saves is time.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from harness.cluster.sim import SimCluster
from harness.plan import node_names
from harness.sim.world import MS
from store.core.messages import Get, Put, Scan, Scanned

SIZES: Final = (3, 6, 12)
REPLICATION: Final = 3
KEYS: Final = 60
LEVEL: Final = "quorum"
PATIENCE_S: Final = 5.0


class Cost(NamedTuple):
    """Messages between nodes, questions and answers; `get_messages` for one key, on average."""

    nodes: int
    keys: int
    scan_nodes: int
    scan_messages: int
    scan_ms: float
    get_messages: float
    get_ms: float


def costs(seed: int) -> list[Cost]:
    return [_cost(size, seed) for size in SIZES]


def _cost(size: int, seed: int) -> Cost:
    nodes = node_names(size)
    cluster = SimCluster(nodes, REPLICATION, seed)
    world = cluster.world

    async def main(logs: Path) -> Cost:
        await cluster.setup(logs)
        session = await cluster.connect(nodes[0])
        for number in range(KEYS):
            await session.request(Put(f"key{number}", b"value", LEVEL), PATIENCE_S)
        began, before = world.now, cluster.messages
        for number in range(KEYS):
            await session.request(Get(f"key{number}", LEVEL), PATIENCE_S)
        get_ms = (world.now - began) / KEYS / MS
        get_messages = (cluster.messages - before) / KEYS
        began, before = world.now, cluster.messages
        whole = await session.request(Scan("key", "", KEYS, LEVEL), PATIENCE_S)
        if not (isinstance(whole, Scanned) and len(whole.items) == KEYS):
            raise RuntimeError(f"a scan without faults was answered by {whole}")
        scan_ms = (world.now - began) / MS
        scan_messages = cluster.messages - before
        await cluster.teardown()
        return Cost(size, KEYS, whole.cost["nodes_asked"], scan_messages, scan_ms, get_messages, get_ms)

    with TemporaryDirectory() as logs:
        return world.complete(main(Path(logs)))
