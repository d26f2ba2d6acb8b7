"""What nodes tell of themselves during a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from harness import sightings
from harness.cluster.base import Lost
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from harness.sightings import Sighting, Sightings, read, sighting
from store.core.messages import Report


class Node:
    def __init__(self, told: dict[str, Any] | Exception | None) -> None:
        self.told = told

    async def request(self, body: object, timeout_s: float) -> Report:
        await trio.lowlevel.checkpoint()
        if isinstance(self.told, Exception):
            raise self.told
        if self.told is None:
            await trio.sleep(timeout_s)
            raise Lost("no answer")
        return Report(1, self.told)

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


class Three:
    """A cluster of a node that tells, one that is silent, one that makes no sense, and one that is down."""

    name = "three"
    nodes = ("tells", "silent", "odd", "down")

    def __init__(self) -> None:
        self.connected: list[str] = []

    async def connect(self, node: str) -> Node:
        await trio.lowlevel.checkpoint()
        self.connected.append(node)
        told = {"wall_ms": 5, "epoch": 3, "members": {"tells": {"state": "alive"}, "odd": {"state": "dead"}}}
        return Node({"tells": told, "silent": None, "odd": RuntimeError("what?")}[node])

    def states(self) -> dict[str, str]:
        return {node: "down" if node == "down" else "up" for node in self.nodes}


def test_each_node_is_seen_for_what_it_tells(tmp_path: Path) -> None:
    seen = {each.node: each for each in asked(tmp_path / "nodes.jsonl", 0.9)}
    assert {node: each.state for node, each in seen.items()} == {
        "tells": "up",
        "silent": "silent",
        "odd": "silent",
        "down": "down",
    }
    assert seen["tells"].members == {"tells": "alive", "odd": "dead"}
    assert seen["tells"].epoch == 3
    assert seen["tells"].clock_ms is not None
    assert seen["tells"].clock_ms < -1e9
    assert 0.5 <= seen["tells"].within_ms < 400
    assert seen["silent"].members == {}


def test_how_sure_a_clock_is_goes_by_how_long_asking_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def request(self: Node, body: object, timeout_s: float) -> Report:
        await trio.sleep(0.05)
        return Report(1, {"wall_ms": 5})

    monkeypatch.setattr(Node, "request", request)
    seen = {each.node: each for each in asked(tmp_path / "nodes.jsonl", 0.5)}
    assert seen["tells"].within_ms >= 25.5


def test_a_node_that_was_silent_is_asked_over_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes late must not be taken for that to the next question."""
    monkeypatch.setattr(sightings, "ASK_S", 0.01)
    three = Three()
    asked(tmp_path / "nodes.jsonl", 0.2, three, every_s=0.03)
    assert three.connected.count("silent") >= 2
    assert three.connected.count("tells") == 1


def asked(
    path: Path, for_s: float, three: Three | None = None, every_s: float = sightings.EVERY_S
) -> list[Sighting]:
    async def main() -> None:
        began = trio.current_time()
        seen = Sightings(path, 10)
        seen.every_s = every_s
        with trio.move_on_after(for_s):
            await seen.ask(three or Three(), lambda: trio.current_time() - began)  # type: ignore[arg-type]
        seen.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return read(path)


def test_simulated_nodes_are_read_without_anything_happening_to_them(tmp_path: Path) -> None:
    cluster = SimCluster(("n1", "n2", "n3"), 3, 1, SimOptions(core=PACE))
    world = cluster.world
    world.complete(cluster.setup(tmp_path))
    world.complete(cluster.bump({"n2": 1500}))
    world.complete(cluster.kill(("n3",)))
    before = (world.now, world.events)
    sightings = Sightings(tmp_path / "nodes.jsonl", 60)
    sightings.look(cluster, 0.0)
    sightings.look(cluster, 0.5)
    sightings.look(cluster, 1.0)
    sightings.close()
    assert (world.now, world.events) == before
    seen = read(tmp_path / "nodes.jsonl")
    assert [(each.time_s, each.node, each.state, each.clock_ms) for each in seen[:3]] == [
        (0.0, "n1", "up", 0.0),
        (0.0, "n2", "up", 1500.0),
        (0.0, "n3", "down", None),
    ]
    assert len(seen) == 6
    assert set(seen[0].members) == {"n1", "n2", "n3"}


def test_a_long_run_is_looked_at_less_often(tmp_path: Path) -> None:
    assert Sightings(tmp_path / "a", 60).every_s == 1.0
    assert Sightings(tmp_path / "b", 86_400).every_s == 86.4


def test_a_file_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    cluster = SimCluster(("n1",), 1, 1)
    sightings = Sightings(tmp_path / "no" / "nodes.jsonl", 60)
    sightings.look(cluster, 0.0)
    sightings.close()
    assert read(tmp_path / "no" / "nodes.jsonl") == []


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "nodes.jsonl"
    path.write_bytes(b'{"time_s":1,"node":"n1","state":"up"}\n{"time_s":2,"no')
    assert read(path) == [Sighting(1.0, "n1", "up")]


@pytest.mark.parametrize("told", [{}, {"members": 3}, {"members": {"n1": "alive"}, "epoch": "x"}])
def test_a_status_is_read_as_far_as_it_says_something(told: dict[str, Any]) -> None:
    seen = sighting(1.0, "n1", "up", told, None)
    assert seen.epoch is None
    assert seen.members in ({}, {"n1": "alive"})
