"""Clocks of nodes in a lab, whose hosts all share this machine's kernel and clock; and what is asked of hosts
that have a clock of their own, whose hands are made up here."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from harness.cluster.base import Clock, ClusterError, Drift, Evidence, Strobe
from harness.cluster.hosts import clocks
from harness.cluster.hosts.clocks import Clocks
from harness.cluster.hosts.cluster import HostCluster
from harness.lab import lab
from harness.lab.lab import Lab
from harness.systems.store import BundledStore
from tests.support.ground import Given

NODES = ("n1", "n2", "n3")

in_a_lab = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    *[
        pytest.mark.skipif(
            shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None,
            reason=f"{program} is not installed (apt-get install {package})",
        )
        for program, package in {"sshd": "openssh-server", "cc": "gcc libc6-dev"}.items()
    ],
]


class OwnClocks(Clocks):
    """Three hosts with a kernel of their own each. `answers` are the hands', by operation."""

    name = "made up"
    nodes = NODES
    spares = ()
    shared_kernel = frozenset()

    def __init__(self, answers: dict[str, dict[str, Any]]) -> None:
        self.sites = dict.fromkeys(self.nodes)  # type: ignore[assignment]  # nobody goes there
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def states(self) -> dict[str, Any]:
        return dict.fromkeys(self.nodes, "down")

    async def ask(self, node: str, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((node, operation, args))
        return self.answers[operation]


def act(cluster: OwnClocks, call: Callable[..., Awaitable[Evidence]], *args: object) -> Evidence:
    return trio.run(call, *args)


def test_a_host_with_a_kernel_of_its_own_is_asked_for_its_clock_and_told_whose_we_are() -> None:
    cluster = OwnClocks({"clock-bump": {"keepers": [], "moved_ns": -5_000_000_000}})
    evidence = act(cluster, cluster.bump, {"n2": -5000})
    assert evidence == Evidence(True, "clocks moved: n2 by -5000 ms")
    (asked,) = cluster.asked
    here = clocks.ourselves()
    assert here is not None
    assert asked == ("n2", "clock-bump", {"shared": False, "harness_boot": here.boot, "offset_ms": -5000})


def test_a_jump_that_was_not_measured_has_not_bitten() -> None:
    cluster = OwnClocks({"clock-bump": {"keepers": ["chronyd"], "moved_ns": 3}})
    evidence = act(cluster, cluster.bump, {"n1": 5000})
    assert evidence == Evidence(False, "clocks moved: n1 by +3e-06 ms, while chronyd there may set it right")


@pytest.mark.parametrize(
    ("rate_ppm", "gained_ns", "kernel_ppm", "bit"),
    [
        (50_000, 9_990_000, 50_000.0, True),
        (50_000, 10, 50_000.0, False),
        (10, -40, 10.0, True),
        (10, 0, 0.0, False),
    ],
)
def test_a_drift_must_be_in_the_kernels_books_and_a_large_one_be_seen(
    rate_ppm: int, gained_ns: int, kernel_ppm: float, bit: bool
) -> None:
    answer = {"keepers": [], "gained_ns": gained_ns, "in_ns": 200_000_000, "rate_ppm": kernel_ppm}
    cluster = OwnClocks({"clock-drift": answer})
    assert act(cluster, cluster.drift, {"n1": rate_ppm}).bit is bit


def test_a_strobe_on_a_host_that_nobody_can_look_at_rests_on_its_first_jump() -> None:
    cluster = OwnClocks({"clock-strobe": {"keepers": [], "moved_ns": 70_000_000}})
    assert act(cluster, cluster.strobe, {"n1": 70}, 20).bit
    assert not act(cluster, cluster.strobe, {"n1": 90}, 20).bit


def test_what_is_left_after_a_reset_is_told() -> None:
    answer = {"was_ns": 81_000_000, "left_ns": 42_000, "was_ppm": 50_000.0, "jumps": 3}
    cluster = OwnClocks({"clock-reset": answer})
    evidence = act(cluster, cluster.reset)
    assert evidence.bit
    assert "n1 by -80.958 ms after 3 jumps after a drift of +50,000 ppm, +0.042 ms left" in evidence.detail
    cluster.answers["clock-reset"] = {**answer, "left_ns": 80_000_000}
    assert not act(cluster, cluster.reset).bit
    cluster.answers["clock-reset"] = {"was_ns": 20_000, "left_ns": 20_000}
    assert act(cluster, cluster.reset) == Evidence(False, "clocks moved: none")


def test_a_clock_that_is_shared_is_not_moved_when_the_run_asked_for_no_clock_fault() -> None:
    cluster = OwnClocks({})
    cluster.shared_kernel = frozenset(cluster.nodes)
    with pytest.raises(ClusterError, match=r"^n1 has no clock of its own, as the run asked for none"):
        act(cluster, cluster.bump, {"n1": 5000})
    assert act(cluster, cluster.reset) == Evidence(False, "clocks moved: none")
    assert cluster.asked == []
    assert cluster.environment("n1") == {}


# In a lab ---------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lab]:
    wall_on_monotonic = time.time_ns() - time.monotonic_ns()
    try:
        yield lab.up("clocks", 3, tmp_path / "runtime")
    finally:
        lab.down("clocks", tmp_path / "runtime")
    assert abs(time.time_ns() - time.monotonic_ns() - wall_on_monotonic) < 50_000_000


async def ahead_ms(cluster: HostCluster) -> dict[str, float]:
    """How far each node that runs is ahead of this machine's clock, as it shows it itself."""
    wall_on_monotonic_ms = (time.time_ns() - time.monotonic_ns()) / 1e6
    running = [node for node, state in cluster.states().items() if state == "up"]
    views = await cluster._wall_clocks(running)
    while len(views) < len(running):  # on a busy machine an answer may come too late
        views = await cluster._wall_clocks(running)
    return {node: view.lead_ms - wall_on_monotonic_ms for node, view in views.items()}


def near(**expected_ms: float) -> Any:
    return pytest.approx(expected_ms, abs=400)


def in_cluster(made: Lab, run_dir: Path, body: Callable[[HostCluster], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = HostCluster(Given(made.hosts), NODES, 0, BundledStore(3), silence_s=10, faults=["clock"])
        with trio.fail_after(60):
            await cluster.setup(run_dir)
            try:
                await body(cluster)
            finally:
                await cluster.teardown()

    trio.run(main)


@pytest.mark.parametrize("mark", [pytest.param(None, marks=in_a_lab)])
def test_nodes_of_a_lab_see_what_was_asked_for_and_the_machine_does_not(
    three: Lab, tmp_path: Path, mark: None
) -> None:
    async def body(cluster: HostCluster) -> None:
        assert isinstance(cluster, Clock)
        assert isinstance(cluster, Strobe)
        assert isinstance(cluster, Drift)
        assert await ahead_ms(cluster) == near(n1=0, n2=0, n3=0)
        evidence = await cluster.bump({"n1": -5000, "n2": 250_000})
        assert evidence.bit
        assert "n1 by -5000 ms (-" in evidence.detail
        assert await ahead_ms(cluster) == near(n1=-5000, n2=250_000, n3=0)

        await cluster.kill(("n1",))
        await cluster.bump({"n2": -250_000})
        unseen = await cluster.reset()
        assert unseen == Evidence(
            False, "clocks moved: n1 by +5000 ms, but no process of it runs that sees that"
        )
        await cluster.bump({"n2": 250_000})
        down = await cluster.bump({"n1": -10_000})
        assert not down.bit
        assert "no process of it runs that sees that" in down.detail
        await cluster.start(("n1",))
        assert await ahead_ms(cluster) == near(n1=-10_000, n2=250_000, n3=0)

        evidence = await cluster.reset()
        assert evidence.bit
        assert "n1 by +10000 ms (+" in evidence.detail
        assert "n3" not in evidence.detail
        assert await ahead_ms(cluster) == near(n1=0, n2=0, n3=0)
        assert await cluster.reset() == Evidence(False, "clocks moved: none")

        shared = {"shared": False, "harness_boot": "whoever says so", "offset_ms": 0}
        with pytest.raises(ClusterError, match=r"^n1: this is a container"):
            await cluster.ask("n1", "clock-bump", shared)

        evidence = await cluster.strobe({"n1": 60_000, "n3": -60_000}, 10)
        assert evidence.bit
        assert "n3 by -60000 ms (it shows forth" in evidence.detail
        assert " jumps" in (await cluster.reset()).detail

        assert (await cluster.drift({"n3": 80_000})).bit
        with trio.fail_after(10):
            while (await ahead_ms(cluster))["n3"] < 60:
                pass
        evidence = await cluster.reset()
        assert evidence.bit
        assert "after a drift of +80,000 ppm" in evidence.detail
        assert await ahead_ms(cluster) == near(n1=0, n2=0, n3=0)

    in_cluster(three, tmp_path / "run", body)
