"""What stress showed, in words; and stress where nodes run on this machine, and on hosts of a lab."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from harness.cluster.base import NodeState, Stress
from harness.cluster.hosts import hand
from harness.cluster.hosts.stress import Stressing
from harness.cluster.stress import SHARED_BYTES_MAX, OwnStress, burnt, hogged, relaxed
from harness.hand.proc import see_all
from harness.lab import lab
from harness.remote.connection import Connection

MIB = 1 << 20
PATIENCE_S = 60


def cpu(used: list[float], processes: int = 2, slowdown: float | None = 2.04) -> dict[str, Any]:
    return {"processes": processes, "cpu_ms": used, "slowdown": slowdown}


def test_processors_are_stressed_if_every_process_got_one() -> None:
    evidence = burnt({"n1": cpu([20.2, 30]), "n2": cpu([1, 2], slowdown=None)}, ["n3"])
    assert evidence.bit
    assert evidence.detail == (
        "n1 2 busy processes, 50 ms of processor so far, work is 2.0 times as slow; "
        "n2 2 busy processes, 3 ms of processor so far; felt by n3, too, which share the machine"
    )
    assert not burnt({"n1": cpu([20, 0])}, []).bit
    assert not burnt({"n1": cpu([20])}, []).bit
    assert not burnt({}, []).bit


def held(much: int, wanted: int) -> dict[str, Any]:
    return {"held_bytes": much * MIB, "wanted_bytes": wanted * MIB, "available_bytes": [4096 * MIB, 1]}


def test_memory_is_stressed_if_most_of_it_is_held() -> None:
    evidence = hogged({"n1": held(600, 1000)}, [])
    assert evidence.bit
    assert evidence.detail == "n1 600 MiB held of 1,000 MiB, available were 4,096 MiB"
    assert not hogged({"n1": held(600, 1000), "n2": held(400, 1000)}, []).bit
    assert not hogged({}, []).bit


def ended(**changes: Any) -> dict[str, Any]:
    whole = {"lasted_s": 2.04, "cpu_ms": 3900.0, "ended_before": 0, "left": 0}
    return {**whole, "held_bytes": 600 * MIB, "wanted_bytes": 1000 * MIB, **changes}


def test_it_was_there_and_is_over() -> None:
    evidence = relaxed({"n1": {"ended": {"cpu": ended()}}, "n2": {"ended": {"memory": ended()}}})
    assert evidence.bit
    assert evidence.detail == (
        "processes left: 0; ended: n1 3.9 s of processor in 2.0 s; n2 600 MiB held of 1,000 MiB in 2.0 s"
    )


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("cpu", {"left": 2}, "processes left: 2"),
        ("cpu", {"cpu_ms": 0.0}, "0.0 s of processor"),
        (
            "memory",
            {"held_bytes": 0, "ended_before": 1},
            "0 MiB held of 1,000 MiB in 2.0 s, 1 processes were gone",
        ),
    ],
)
def test_what_had_no_effect_or_is_not_over_has_not_bitten(
    kind: str, changes: dict[str, Any], said: str
) -> None:
    evidence = relaxed({"n1": {"ended": {kind: ended(**changes)}}})
    assert not evidence.bit
    assert said in evidence.detail


def test_nothing_to_end_is_no_evidence() -> None:
    assert not relaxed({"n1": {"ended": {}}}).bit


class Here(OwnStress):
    name = "here"

    def __init__(self, home: Path) -> None:
        self.nodes = ("n1", "n2")
        self.open_stress(home)


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_this_machine_is_stressed_once_whichever_the_nodes_are(tmp_path: Path) -> None:
    async def main() -> None:
        here = Here(tmp_path)
        assert isinstance(here, Stress)
        before = see_all().keys()
        try:
            burning = await here.burn_cpu(("n1", "n2"))
            assert burning.bit, burning
            assert "felt by" not in burning.detail
            busy = len(see_all().keys() - before)
            assert (await here.burn_cpu(("n1",))).detail.endswith("felt by n2, too, which share the machine")
            assert busy >= len(os.sched_getaffinity(0))
        finally:
            relaxed = await here.relax()
        assert relaxed.bit, relaxed
        assert not (await here.relax()).bit

    trio.run(main)
    assert not list(tmp_path.iterdir())


class Hosts(Stressing):
    """As much of a cluster of hosts as stress needs."""

    def __init__(self, hands: dict[str, hand.Hand]) -> None:
        self.hands = hands
        self.nodes, self.spares = tuple(hands), ()
        self.shared_kernel = frozenset(hands)

    def states(self) -> dict[str, NodeState]:
        return dict.fromkeys(self.nodes, "up")


@pytest.fixture(scope="module")
def play() -> Any:
    """Runs a scene on a cluster of three hosts of a lab."""
    if os.getuid() != 0 or sys.platform != "linux":
        pytest.skip("needs root on Linux")
    if shutil.which("sshd", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    made = lab.up("stress-test", 3)

    def run(scene: Callable[[Hosts], Awaitable[None]]) -> None:
        async def main() -> None:
            with trio.fail_after(PATIENCE_S):
                connections = {host.name: Connection(host) for host in made.hosts}
                hands = {name: hand.Hand(name, there, 30.0) for name, there in connections.items()}
                try:
                    for one in hands.values():
                        await one.start()
                    await scene(Hosts(hands))
                finally:
                    for name, one in hands.items():
                        await one.aclose()
                        await connections[name].aclose()

        trio.run(main)

    try:
        yield run
    finally:
        lab.down("stress-test")


def stressors() -> set[int]:
    """The busy processes and hogs of this machine, and so of all labs, that come from a hand's zip."""
    found = set()
    for pid in see_all():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"/srv/stormcellar/hand.pyz" in words and (b"cpu" in words or b"memory" in words):
            found.add(pid)
    return found


@pytest.mark.real
def test_hosts_are_stressed_and_relaxed(play: Callable[[Callable[[Hosts], Awaitable[None]]], None]) -> None:
    before = stressors()

    async def scene(cluster: Hosts) -> None:
        assert isinstance(cluster, Stress)
        burning = await cluster.burn_cpu(("n1", "n3"))
        assert burning.bit, burning
        assert burning.detail.endswith("felt by n2, too, which share the machine")
        assert len(stressors() - before) >= 2 * (1 + len(os.sched_getaffinity(0)))
        relaxed = await cluster.relax()
        assert relaxed.bit, relaxed
        assert relaxed.detail.startswith("processes left: 0; ended: n1 ")
        assert stressors() <= before
        assert not (await cluster.relax()).bit

    play(scene)


@pytest.mark.real
def test_hosts_that_share_a_machine_take_little_of_its_memory(
    play: Callable[[Callable[[Hosts], Awaitable[None]]], None],
) -> None:
    async def scene(cluster: Hosts) -> None:
        asked = []
        each = cluster.each

        async def noted(operation: str, args: Any) -> Any:
            asked.append(args)
            return await each(operation, {node: {**order, "bytes_max": MIB} for node, order in args.items()})

        cluster.each = noted  # type: ignore[method-assign]
        held = await cluster.hog_memory(("n1", "n2"), 0.5)
        assert held.bit, held
        share = {"fraction": 0.5, "bytes_max": SHARED_BYTES_MAX // 2}
        assert asked == [{"n1": share, "n2": share}]

    play(scene)


@pytest.mark.real
def test_a_hand_that_ends_ends_the_stress(
    play: Callable[[Callable[[Hosts], Awaitable[None]]], None],
) -> None:
    before = stressors()

    async def scene(cluster: Hosts) -> None:
        await cluster.burn_cpu(("n1", "n2", "n3"))
        undone = [words for one in cluster.hands.values() for words in await one.aclose()]
        assert undone == ["cpu stress was ended"] * 3
        assert stressors() <= before

    play(scene)
