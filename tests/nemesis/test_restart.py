from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.cluster.base import Cluster, Evidence, NodeState
from harness.cluster.local import LocalCluster
from harness.cluster.sim import SimCluster
from harness.weather import Weather
from nemesis.base import nemesis_op
from nemesis.restart import KINDS, RestartFault, roll, storm
from nemesis.targets import nodes_of

FIVE = ("n1", "n2", "n3", "n4", "n5")
THREE = FIVE[:3]
seeds = st.integers(min_value=0, max_value=2**64 - 1)


class Told:
    """A cluster that writes down what it was told; `stuck` nodes do not serve after a start."""

    name = "told"
    nodes = FIVE

    def __init__(self, stuck: frozenset[str] = frozenset(), **others: NodeState) -> None:
        self.told: list[tuple[str, tuple[str, ...]]] = []
        self._stuck = stuck
        self._states: dict[str, NodeState] = {**dict.fromkeys(FIVE, "up"), **others}

    def states(self) -> dict[str, NodeState]:
        return dict(self._states)

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        return self._end("kill", nodes)

    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        return self._end("stop", nodes)

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        self.told.append(("start", nodes))
        down = [node for node in nodes if self._states[node] == "down"]
        self._states.update(dict.fromkeys(down, "up"))
        return Evidence(bool(down) and not self._stuck.intersection(nodes), f"started {'+'.join(nodes)}")

    def _end(self, what: str, nodes: tuple[str, ...]) -> Evidence:
        self.told.append((what, nodes))
        assert all(self._states[node] == "up" for node in nodes)
        self._states.update(dict.fromkeys(nodes, "down"))
        return Evidence(True, f"{what} {'+'.join(nodes)}")


def drawn(seed: int, kind: str | None = None) -> Op:
    return RestartFault(FIVE, kind)._inject(seed)


def invoke(op: Op, cluster: Any) -> Evidence:
    return trio.run(RestartFault(FIVE).invoke, op, cluster)


@given(seeds)
def test_what_is_drawn_names_its_nodes(seed: int) -> None:
    op = drawn(seed)
    nodes = nodes_of(op)
    assert op.f in KINDS.values()
    assert set(nodes) <= set(FIVE)
    assert {"stop": len(nodes) <= 2, "restart-rolling": len(nodes) == 5, "restart-storm": len(nodes) <= 3}[
        op.f
    ]
    assert msgspec.json.decode(msgspec.json.encode(op), type=Op) == op


def test_every_kind_is_drawn_or_the_one_that_was_asked_for() -> None:
    assert {drawn(seed).f for seed in range(50)} == set(KINDS.values())
    for kind, f in KINDS.items():
        assert {drawn(seed, kind).f for seed in range(9)} == {f}
    assert len({nodes_of(drawn(seed, "rolling")) for seed in range(20)}) > 5, "in another order each time"
    with pytest.raises(ValueError, match=r"^restart:brisk: must be graceful, rolling, storm, and after that"):
        RestartFault(FIVE, "brisk")


def test_it_strikes_whom_it_is_asked_to() -> None:
    for kind in KINDS:
        assert {frozenset(nodes_of(drawn(seed, f"{kind}@n1+n3"))) for seed in range(9)} == {
            frozenset({"n1", "n3"})
        }
        by_role = drawn(1, f"{kind}@steward")
        assert (by_role.f, by_role.value["role"]) == (KINDS[kind], "steward")
    orders = {nodes_of(drawn(seed, "rolling@n1+n3")) for seed in range(9)}
    assert orders == {("n1", "n3"), ("n3", "n1")}
    with pytest.raises(ValueError, match=r"^restart:storm@n9: must be one, minority, majority, all"):
        RestartFault(FIVE, "storm@n9")


def test_a_rolling_restart_takes_one_node_at_a_time() -> None:
    cluster = Told()
    evidence = invoke(nemesis_op("restart-rolling", {"target": "all", "nodes": ["n2", "n1"]}), cluster)
    assert cluster.told == [(what, (node,)) for node in ("n2", "n1") for what in ("stop", "start")]
    assert evidence == Evidence(True, "restarted in turn: n2, n1")


def test_it_goes_no_further_than_to_a_node_that_does_not_serve_again() -> None:
    cluster = Told(frozenset({"n2"}))
    evidence = trio.run(roll, FIVE, cluster)
    assert [nodes for _, nodes in cluster.told] == [("n1",), ("n1",), ("n2",), ("n2",)]
    assert evidence == Evidence(True, "restarted in turn: n1; n2: stop n2; started n2")
    assert not trio.run(roll, ("n2",), Told(frozenset({"n2"}))).bit


def test_a_storm_strikes_the_same_nodes_again_and_again() -> None:
    cluster = Told()
    evidence = invoke(nemesis_op("restart-storm", {"target": "one", "nodes": ["n3", "n4"]}), cluster)
    assert cluster.told == [("kill", ("n3", "n4")), ("start", ("n3", "n4"))] * 3
    assert evidence == Evidence(True, "killed and started 3 times: n3, n4")


@pytest.mark.parametrize("act", [roll, storm])
def test_nodes_that_other_faults_hold_down_or_frozen_are_left_to_them(act: Any) -> None:
    cluster = Told(n1="down", n2="paused")
    evidence = trio.run(act, THREE, cluster)
    assert {nodes for _, nodes in cluster.told} == {("n3",)}
    assert evidence.detail.endswith("; left alone, as they were not up: n1, n2")
    nobody = trio.run(act, ("n1", "n2"), cluster)
    assert not nobody.bit


def test_the_healing_starts_every_node_which_is_no_evidence_of_what_ended_it() -> None:
    cluster = Told(n1="down", n5="down")
    assert invoke(RestartFault(FIVE).healing(), cluster) == Evidence(False, "started n1+n2+n3+n4+n5")
    assert cluster.told == [("start", FIVE)]


def test_the_weather_knows_who_is_away() -> None:
    def op(type_: str, f: str, at: int, **more: Any) -> Op:
        value = {"target": "one", "nodes": ["n1"]}
        return Op(process=NEMESIS, type=type_, f=f, value=value, time=at * 10**10, **more)

    def sky(*ops: Op) -> Any:
        return Weather(ops).skies[-1]

    down = (op("invoke", "stop", 1), op("info", "stop", 2))
    assert sky(*down).away == {"n1"}
    assert sky(*down, op("invoke", "restart-start", 3), op("info", "restart-start", 4)) == sky()
    for f in ("restart-rolling", "restart-storm"):
        assert sky(op("invoke", f, 1), op("info", f, 2)) == sky()
        failed = (op("invoke", f, 1), op("info", f, 2, error="too slow"))
        assert sky(*failed).unknown == {f}
        assert sky(*failed, op("invoke", "restart-start", 3), op("info", "restart-start", 4)) == sky()


async def act_out(cluster: Cluster) -> None:
    """Every kind of restart on a cluster of three nodes, and what is seen of it."""
    fault = RestartFault(cluster.nodes)
    assert fault.supported(cluster)

    async def do(f: str, *nodes: str) -> Evidence:
        return await fault.invoke(nemesis_op(f, {"target": "-", "nodes": list(nodes)}), cluster)

    stopped = await do("stop", "n2")
    assert stopped.bit
    assert cluster.states() == {"n1": "up", "n2": "down", "n3": "up"}
    assert not (await do("stop", "n2")).bit
    assert " again" in (await fault.invoke(fault.healing(), cluster)).detail
    assert set(cluster.states().values()) == {"up"}
    rolled = await do("restart-rolling", "n3", "n1")
    assert rolled == Evidence(True, "restarted in turn: n3, n1")
    stormed = await do("restart-storm", "n2")
    assert stormed == Evidence(True, "killed and started 3 times: n2")
    assert (await fault.invoke(fault.healing(), cluster)).detail.endswith(": none")
    assert set(cluster.states().values()) == {"up"}
    assert cluster.unexpected_deaths() == []


def test_restarts_in_the_simulator(tmp_path: Path) -> None:
    cluster = SimCluster(THREE, 3, seed=1)
    cluster.world.complete(cluster.setup(tmp_path))
    cluster.world.complete(act_out(cluster))
    cluster.world.complete(cluster.teardown())
    assert "ended as it was asked to" in (tmp_path / "nodes/n2.log").read_text()


@pytest.mark.real
def test_restarts_of_real_processes(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = LocalCluster(THREE, 3)
        try:
            with trio.fail_after(60):
                await cluster.setup(tmp_path)
                await act_out(cluster)
                assert (await cluster.pause(("n1",))).bit
                stopped = await cluster.stop(("n1", "n2"))
                assert stopped == Evidence(
                    True, "ended after SIGTERM: n1 (exit status 0), n2 (exit status 0)"
                )
        finally:
            await cluster.teardown()

    trio.run(main)
