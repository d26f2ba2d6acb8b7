"""Nodes on the hosts of a lab: how they are started, ended, frozen and watched, and what is left of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from harness.cluster.base import ClusterError, Kill, Membership, NotSent, Pause, Stop
from harness.cluster.hosts import processes
from harness.cluster.hosts.cluster import HostCluster
from harness.hand.proc import see_all
from harness.lab import lab
from harness.lab.lab import Lab
from harness.remote.host import Host
from harness.systems.base import System
from harness.systems.store import BundledStore
from store.core.messages import Done, Found, Get, Put
from tests.support.abacus import PROGRAM, Abacus
from tests.support.ground import Given

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None,
        reason="sshd is not installed (apt-get install openssh-server)",
    ),
]
PATIENCE_S = 60
THREE = ("n1", "n2", "n3")
Scene = Callable[[HostCluster, Path], Awaitable[None]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nodes on a machine whose disk is busy with others."""
    monkeypatch.setattr(processes, "SERVE_LIMIT_S", PATIENCE_S)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    runtime = tmp_path_factory.mktemp("runtime")
    made = lab.up("lives", 4, runtime)
    try:
        yield made
    finally:
        lab.down("lives", runtime)


def play(made: Lab, scene: Scene, tmp_path: Path, system: System | None = None, spares: int = 0) -> None:
    """The scene with a cluster that is set up; afterwards nothing of it is left on the hosts."""
    ground = Given(made.hosts)
    cluster = HostCluster(ground, THREE, spares, system or BundledStore(3), silence_s=10)

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            try:
                await cluster.setup(tmp_path)
                await scene(cluster, tmp_path)
            finally:
                await cluster.teardown()
                await cluster.teardown()

    trio.run(main)
    assert ground.left == 2
    assert set(cluster.states().values()) == {"down"}
    assert_nothing_is_left(made)


def assert_nothing_is_left(made: Lab) -> None:
    for host in made.layout.hosts:
        ours = made.layout.host_directory(host) / "srv/stormcellar"
        assert not list((ours / "nodes").glob("*")), host.name
        assert not (ours / "undo.jsonl").exists(), host.name
        deadline = time.monotonic() + PATIENCE_S
        while others := set(pids_on(made, host.name).values()) - {"sshd", "sshd-session", "unshare"}:
            assert time.monotonic() < deadline, f"{host.name}: {others}"
            time.sleep(0.01)


def pids_on(made: Lab, host: str) -> dict[int, str]:
    """The processes of a host, as this machine numbers them, with their names."""
    network = os.stat(f"{made.client.path.parent}/{host}").st_ino
    found = {}
    for pid in see_all():
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == network:
                found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
    return found


def daemon_on(made: Lab, host: str) -> int:
    """The store's process there."""
    (found,) = [pid for pid in pids_on(made, host) if b"\0node\0--config\0" in command_line(pid)]
    return found


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def until(fact: Callable[[], object]) -> None:
    while not fact():  # noqa: ASYNC110
        await trio.sleep(0.02)


def test_nodes_are_killed_stopped_frozen_and_come_back_with_what_they_had(four: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster, run_dir: Path) -> None:
        assert isinstance(cluster, Kill | Stop | Pause)
        assert isinstance(cluster, Membership)
        assert cluster.states() == dict.fromkeys(THREE, "up")
        assert {site.address for site in cluster.sites.values()} == {"10.77.0.1", "10.77.0.2", "10.77.0.3"}
        assert cluster.shared_kernel == set(THREE)
        session = await cluster.connect("n1")
        assert isinstance(await session.request(Put("k", b"v", "all"), 5), Done)

        paused = await cluster.pause(("n1", "n2"))
        assert (paused.bit, paused.detail) == (True, "stopped, as /proc shows: n1, n2")
        assert see_all()[daemon_on(four, "n1")].state == "T"
        assert cluster.states() == {"n1": "paused", "n2": "paused", "n3": "up"}
        resumed = await cluster.resume(THREE)
        assert (resumed.bit, resumed.detail) == (True, "go on: n1, n2")

        assert (await cluster.pause(("n3",))).bit
        stopped = await cluster.stop(("n3",))
        assert (stopped.bit, stopped.detail) == (True, "after SIGTERM: n3 ended with exit status 0")
        killed = await cluster.kill(THREE)
        assert killed.bit
        assert killed.detail == "reaped after SIGKILL: n1, n2; n3 was not running"
        assert not (await cluster.kill(("n1",))).bit
        with pytest.raises(NotSent, match=r"^n2 is down$"):
            await cluster.connect("n2")

        started = await cluster.start(THREE)
        assert started.bit
        assert started.detail.endswith(" s: n1, n2, n3")
        session = await cluster.connect("n3")
        found = await session.request(Get("k", "all"), 5)
        assert isinstance(found, Found)
        assert found.value == b"v"
        with pytest.raises(ClusterError, match=r"^there is no node 'n9'; the nodes are n1, n2, n3$"):
            await cluster.kill(("n9",))
        assert cluster.unexpected_deaths() == []

    play(four, scene, tmp_path)
    for node in THREE:
        log = (tmp_path / f"nodes/{node}.log").read_text()
        assert log.count("serves") >= 2, "of all its lives"


def test_members_come_and_go(four: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster, run_dir: Path) -> None:
        assert cluster.spares == ("n4",)
        assert (await cluster.roles())["owner"] == THREE
        joined = await cluster.join("n4")
        assert joined.bit, joined.detail
        assert (await cluster.roles())["owner"] == ("n1", "n2", "n3", "n4")
        wiped = await cluster.wipe("n2")
        assert wiped.bit, wiped.detail
        assert (await cluster.pause(("n3",))).bit
        with pytest.raises(ClusterError, match=r"not serving: .*n3"):
            await cluster.restore(0.5)
        assert cluster.states()["n3"] == "paused"  # to start it would not make it go on
        assert (await cluster.resume(THREE)).bit
        await cluster.restore()
        assert (await cluster.roles())["owner"] == THREE
        assert cluster.unexpected_deaths() == []

    play(four, scene, tmp_path, spares=1)


def test_a_node_that_ends_by_itself_is_told_and_so_is_one_that_does_not_start(
    four: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "WATCH_S", 0.05)

    async def scene(cluster: HostCluster, run_dir: Path) -> None:
        os.kill(daemon_on(four, "n2"), signal.SIGSEGV)
        await until(cluster.unexpected_deaths)
        (said,) = cluster.unexpected_deaths()
        assert said.startswith("node n2: store was ended by SIGSEGV: ")
        assert cluster.states()["n2"] == "down"

        assert (await cluster.kill(("n1",))).bit
        await cluster.sites["n1"].host.run(["rm", f"{cluster.sites['n1'].home}/secret"])
        with pytest.raises(ClusterError, match=r"^node n1: store ended with exit status 1: .*secret"):
            await cluster.start(("n1",))
        assert cluster.states()["n1"] == "down"
        assert len(cluster.unexpected_deaths()) == 2

        cluster._watching.cancel()  # nobody looks
        pid = daemon_on(four, "n3")
        os.kill(pid, signal.SIGTERM)
        await until(lambda: pid not in see_all())
        killed = await cluster.kill(("n3",))
        assert not killed.bit, "that was not the kill"
        assert cluster.unexpected_deaths()[2].startswith("node n3: store ended with exit status 0: ")

    play(four, scene, tmp_path)


def test_a_start_that_is_broken_off_leaves_nothing_running(four: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster, run_dir: Path) -> None:
        await cluster.kill(THREE)
        with trio.move_on_after(0.1) as hurry:
            await cluster.start(THREE)
        assert hurry.cancelled_caught
        assert cluster.states() == dict.fromkeys(THREE, "down")
        for node in THREE:
            assert (await cluster.ask(node, "look", {}))["nodes"][node] == {}
        assert (await cluster.start(THREE)).bit

    play(four, scene, tmp_path)


def test_a_hand_that_is_lost_is_told_and_the_rest_is_left_in_order(
    four: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "WATCH_S", 0.05)
    cluster = HostCluster(Given(four.hosts), THREE, 0, BundledStore(3), silence_s=10)

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            try:
                await cluster.setup(tmp_path)
                node = daemon_on(four, "n2")
                os.kill(see_all()[node].parent, signal.SIGKILL)
                await until(cluster.unexpected_deaths)
                assert cluster.unexpected_deaths()[0].startswith("n2: the hand is gone: ")
                await until(lambda: node not in see_all())  # its guard has healed
            finally:
                with pytest.raises(ClusterError, match="n2: "):
                    await cluster.teardown()

    trio.run(main)
    assert_nothing_is_left(four)


def test_teardown_in_the_middle_of_the_setup_leaves_nothing(four: Lab, tmp_path: Path) -> None:
    async def main(limit_s: float) -> None:
        cluster = HostCluster(Given(four.hosts), THREE, 0, BundledStore(3), silence_s=10)
        try:
            with trio.move_on_after(limit_s):
                await cluster.setup(tmp_path)
        finally:
            await cluster.teardown()

    for limit_s in (0.05, 0.2, 0.4, 0.6, 0.9):
        trio.run(main, limit_s)
        assert_nothing_is_left(four)


def test_whatever_is_wrong_with_a_host_is_told_for_each_before_anything_is_done(
    four: Lab, tmp_path: Path
) -> None:
    n1, n2, n3, _ = four.hosts
    bad: tuple[Host, ...] = (replace(n1, user="nobody"), n2, replace(n3, address="10.77.0.77"))
    cluster = HostCluster(Given(bad), THREE, 0, BundledStore(3), silence_s=10)

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            with pytest.raises(ClusterError) as failed:
                await cluster.setup(tmp_path)
            await cluster.teardown()
        said = str(failed.value)
        assert "n1: it does not let nobody in with the key " in said
        assert "; n3: 10.77.0.77 port 22 does not answer: " in said
        assert "n2" not in said

    trio.run(main)


def test_a_preflight_that_is_not_content_ends_it_before_anything_is_done(four: Lab, tmp_path: Path) -> None:
    seen: list[str] = []

    async def preflight(connections: object) -> None:
        assert isinstance(connections, dict)
        seen.extend(connections)
        raise ClusterError("n2: its clock is made of cheese")

    cluster = HostCluster(Given(four.hosts), THREE, 1, BundledStore(3), silence_s=10, preflight=preflight)

    async def main() -> None:
        with pytest.raises(ClusterError, match="cheese"):
            await cluster.setup(tmp_path)
        await cluster.teardown()

    trio.run(main)
    assert seen == [*THREE, "n4"]


def test_a_system_that_is_not_ours_is_run_and_broken_likewise(
    four: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "WATCH_S", 0.05)

    async def scene(cluster: HostCluster, run_dir: Path) -> None:
        session = await cluster.connect("n2")
        assert isinstance(await session.request(Put("k", b"7", "one"), 5), Done)
        assert (await cluster.pause(("n2",))).bit
        frozen = [pid for pid in pids_on(four, "n2") if re.search(rb"\$NOTE|abacus", command_line(pid))]
        assert [see_all()[pid].state for pid in frozen] == ["T", "T"]
        assert (await cluster.resume(("n2",))).bit
        killed = await cluster.kill(("n2",))
        assert killed.detail == "reaped after SIGKILL: n2"
        assert not pids_on(four, "n2").keys() & set(frozen), "the other daemon, too"
        assert (await cluster.start(("n2",))).bit
        stopped = await cluster.stop(("n2",))
        assert stopped.detail == ("after SIGTERM: n2 was ended by SIGTERM and ended with exit status 0")
        assert (await cluster.start(("n2",))).bit
        session = await cluster.connect("n2")
        found = await session.request(Get("k", "one"), 5)
        assert isinstance(found, Found)
        assert found.value == b"7"
        assert await cluster.roles() == {"first": ("n1",), "other": ("n2", "n3")}
        with pytest.raises(ClusterError, match="how the system abacus changes its members"):
            await cluster.wipe("n1")

        session = await cluster.connect("n3")
        with pytest.raises(Exception, match="hung up"):
            await session.say("die 9", 5)  # type: ignore[attr-defined]
        await until(cluster.unexpected_deaths)
        (said,) = cluster.unexpected_deaths()
        assert said == "node n3: server ended with exit status 9: the abacus listens"

    play(four, scene, tmp_path, Abacus())
    logs = tmp_path / "nodes"
    said = (logs / "n2-server.log").read_text().split("\n")
    assert said.count("the abacus listens") == 3
    assert said.count("asked to end") == 2
    assert "n2 is well" in (logs / "n2-clerk.log").read_text()
    assert "none.log" in (logs / "n2-none.log").read_text(), "why it could not be fetched"
    for host in four.layout.hosts:
        assert not (four.layout.host_directory(host) / PROGRAM.removeprefix("/")).exists()
