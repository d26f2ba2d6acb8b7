"""Whole nodes that gossip, in the simulator: what they tell of each other when asked for their status."""

from __future__ import annotations

from typing import Any

from harness.cluster.sim import SimCluster, SimOptions
from harness.sim.network import NetworkOptions
from harness.sim.world import SECOND
from store.core.messages import Report, Status
from store.core.options import Options

NODES = ("n1", "n2", "n3", "n4", "n5")
GOSSIP = Options(compare_nanos=0, scrub_nanos=0)


class Watch:
    """A cluster that is asked for its status now and then."""

    def __init__(self, seed: int, loss: float = 0.0) -> None:
        network = NetworkOptions(loss_fraction=loss, duplicate_fraction=loss)
        self.cluster = SimCluster(NODES, 3, seed, SimOptions(network=network, core=GOSSIP))
        self.complete = self.cluster.world.complete
        assert self.complete(self.cluster.start(NODES)).bit

    def after(self, seconds: float) -> None:
        world = self.cluster.world
        world.run_until(world.now + int(seconds * SECOND))

    def status(self, node: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            session = await self.cluster.connect(node)
            report = await session.request(Status(), 1.0)
            assert isinstance(report, Report)
            await session.close()
            return report.status

        return self.complete(ask())

    def states(self, node: str) -> dict[str, str]:
        return {name: seen["state"] for name, seen in self.status(node)["members"].items()}


def test_a_crash_and_a_return_are_seen_in_everyones_status() -> None:
    watch = Watch(1, loss=0.05)
    watch.after(60)
    for node in NODES:
        assert watch.states(node) == dict.fromkeys(NODES, "alive")
    watch.complete(watch.cluster.kill(("n2",)))
    watch.after(30)
    for node in ("n1", "n3", "n4", "n5"):
        status = watch.status(node)
        assert status["members"]["n2"]["state"] == "dead"
        assert status["side"] == ["n1", "n3", "n4", "n5"]
        assert status["partitioned_since"] is not None
    watch.complete(watch.cluster.start(("n2",)))
    watch.after(10)
    for node in NODES:
        assert watch.states(node) == dict.fromkeys(NODES, "alive")
        assert watch.status(node)["partitioned_since"] is None


def test_a_split_is_seen_from_both_sides_and_heals() -> None:
    watch = Watch(2)
    left, right = frozenset(NODES[:2]), frozenset(NODES[2:])
    grudge = {node: right if node in left else left for node in NODES}
    watch.complete(watch.cluster.cut(grudge))
    watch.after(90)
    assert watch.status("n1")["side"] == ["n1", "n2"]
    assert watch.status("n5")["side"] == ["n3", "n4", "n5"]
    ranges = [watch.status(node)["ranges_with_quorum"].split(" of ") for node in ("n1", "n5")]
    assert sum(int(seen) for seen, _ in ranges) == int(ranges[0][1])
    watch.complete(watch.cluster.heal())
    watch.after(10)
    for node in NODES:
        assert watch.status(node)["partitioned_since"] is None


def test_a_paused_node_comes_back() -> None:
    watch = Watch(3)
    watch.complete(watch.cluster.pause(("n2",)))
    watch.after(30)
    assert watch.states("n1")["n2"] == "dead"
    watch.complete(watch.cluster.resume(("n2",)))
    watch.after(10)
    for node in NODES:
        assert watch.states(node) == dict.fromkeys(NODES, "alive")


def test_one_seed_one_status() -> None:
    def seen(seed: int) -> list[dict[str, Any]]:
        watch = Watch(seed, loss=0.1)
        watch.complete(watch.cluster.kill(("n3",)))
        watch.after(20)
        return [watch.status(node) for node in ("n1", "n2")]

    assert seen(4) == seen(4)
