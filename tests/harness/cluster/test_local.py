from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from harness.cluster.base import Clock, Cluster, ClusterError, Kill, Lost, NotSent, Partition, Pause
from harness.cluster.local import LocalCluster
from harness.cluster.process import comes_true
from store.core.messages import Done, Failed, Found, Get, Put, Status

THREE = ("n1", "n2", "n3")
PATIENCE_S = 20


def play(
    scene: Callable[[LocalCluster], Awaitable[None]], run_dir: Path, nodes: tuple[str, ...] = THREE
) -> None:
    """`scene` on a cluster of its own; afterwards no process of it is left."""

    async def main() -> None:
        cluster = LocalCluster(nodes, replication=len(nodes))
        pids: set[int] = set()
        try:
            with trio.fail_after(3 * PATIENCE_S):
                await cluster.setup(run_dir)
                pids |= pids_of(run_dir)
                await scene(cluster)
                pids |= pids_of(run_dir)
        finally:
            await cluster.teardown()
            await cluster.teardown()
        assert not any(map(exists, pids))
        assert set(cluster.states().values()) == {"down"}

    trio.run(main)


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def pids_of(run_dir: Path, node: str = "") -> set[int]:
    """The processes whose command line names a node's file of this run."""
    prefix = os.fsencode(run_dir / "nodes" / node)
    found = set()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = cmdline.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(argument.startswith(prefix) for argument in arguments):
            found.add(int(cmdline.parent.name))
    return found


async def put(cluster: Cluster, node: str, key: str, value: bytes, level: str = "all") -> None:
    session = await cluster.connect(node)
    assert isinstance(await session.request(Put(key, value, level), PATIENCE_S), Done)
    await session.close()


async def get(cluster: Cluster, node: str, key: str, level: str = "all") -> bytes | None:
    session = await cluster.connect(node)
    response = await session.request(Get(key, level), PATIENCE_S)
    await session.close()
    assert isinstance(response, Found)
    return response.value


def test_what_it_can_break() -> None:
    cluster = LocalCluster(THREE, 3)
    assert all(isinstance(cluster, capability) for capability in (Kill, Pause, Partition))
    assert not isinstance(cluster, Clock)


def test_before_setup_all_is_down_and_teardown_is_safe() -> None:
    async def main() -> None:
        cluster = LocalCluster(THREE, 3)
        assert set(cluster.states().values()) == {"down"}
        with pytest.raises(NotSent, match=r"^n1 is down$"):
            await cluster.connect("n1")
        with pytest.raises(ClusterError, match=r"^there is no node 'n9'; the nodes are n1, n2, n3$"):
            await cluster.kill(("n9",))
        await cluster.teardown()

    trio.run(main)


@pytest.mark.real
def test_a_killed_node_comes_back_with_what_was_on_its_disk(tmp_path: Path) -> None:
    async def scene(cluster: LocalCluster) -> None:
        await put(cluster, "n1", "k", b"v")
        evidence = await cluster.kill(THREE)
        assert evidence.bit
        assert evidence.detail == "reaped after SIGKILL: n1, n2, n3"
        assert set(cluster.states().values()) == {"down"}
        with pytest.raises(NotSent, match="n2 is down"):
            await cluster.connect("n2")
        again = await cluster.kill(("n2",))
        assert not again.bit
        assert "n2 was not running" in again.detail
        assert not (await cluster.resume(THREE)).bit, "a killed node cannot be resumed, and that is no error"

        with trio.move_on_after(0.02) as hurry:
            await cluster.start(THREE)
        assert hurry.cancelled_caught
        assert set(cluster.states().values()) == {"down"}, (
            "a start that was broken off leaves nothing running"
        )
        assert pids_of(tmp_path) == set()

        evidence = await cluster.start(THREE)
        assert evidence.bit
        assert evidence.detail.endswith(": n1, n2, n3")
        assert set(cluster.states().values()) == {"up"}
        assert await get(cluster, "n3", "k") == b"v"
        assert not (await cluster.start(THREE)).bit, "they run, and go on running"
        assert cluster.unexpected_deaths() == []

    play(scene, tmp_path)


@pytest.mark.real
def test_a_paused_node_keeps_silent_until_it_is_resumed_and_can_be_killed(tmp_path: Path) -> None:
    async def scene(cluster: LocalCluster) -> None:
        session = await cluster.connect("n1")
        await session.request(Status(), PATIENCE_S)
        evidence = await cluster.pause(("n1", "n2"))
        assert evidence.bit
        assert evidence.detail == "stopped: n1, n2"
        assert cluster.states() == {"n1": "paused", "n2": "paused", "n3": "up"}
        with pytest.raises(Lost):
            await session.request(Status(), 0.1)
        with pytest.raises(NotSent):
            await session.request(Status(), 0.1)

        assert (await cluster.kill(("n2",))).bit
        assert not (await cluster.start(("n1",))).bit, "it runs, though it is paused"
        evidence = await cluster.resume(THREE)
        assert evidence.bit
        assert evidence.detail == "go on: n1"
        assert cluster.states() == {"n1": "up", "n2": "down", "n3": "up"}
        await put(cluster, "n1", "k", b"v", "quorum")

        await cluster.pause(("n3",))  # and teardown ends it all the same

    play(scene, tmp_path)


@pytest.mark.real
def test_a_cut_holds_messages_in_the_named_direction_until_it_is_healed(tmp_path: Path) -> None:
    async def scene(cluster: LocalCluster) -> None:
        async def keep_asking_n1() -> None:
            while True:
                session = await cluster.connect("n1")
                with suppress(Lost):
                    await session.request(Put("k", b"v", "all"), 0.1)
                await session.close()

        # n1 does not hear the others, so as a coordinator it gets no answers; but they hear it.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_asking_n1)
            evidence = await cluster.cut({"n1": frozenset({"n2", "n3"})})
            assert evidence.bit
            assert evidence.detail.startswith("2 links cut, ")
            with trio.fail_after(PATIENCE_S):
                while await get(cluster, "n2", "k", "one") is None:
                    pass
            session = await cluster.connect("n1")
            with suppress(Lost):  # on a busy machine a refusal may come when our time is up
                assert isinstance(await session.request(Get("k", "all"), 0.3), Failed)
            evidence = await cluster.heal()
            assert evidence.bit
            assert "of 2 cut links held back" in evidence.detail
            nursery.cancel_scope.cancel()
        assert await get(cluster, "n1", "k") == b"v"
        assert await get(cluster, "n2", "k") == b"v"
        evidence = await cluster.heal()
        assert not evidence.bit
        assert evidence.detail == "nothing was cut"
        with pytest.raises(ClusterError, match="there is no node 'n7'"):
            await cluster.cut({"n1": frozenset({"n7"})})

    play(scene, tmp_path)


@pytest.mark.real
def test_a_node_that_ends_by_itself_is_down_and_told_of(tmp_path: Path) -> None:
    async def scene(cluster: LocalCluster) -> None:
        (pid,) = pids_of(tmp_path, "n2")
        os.kill(pid, signal.SIGSEGV)
        assert await comes_true(lambda: cluster.states()["n2"] == "down", PATIENCE_S)
        (sentence,) = cluster.unexpected_deaths()
        assert sentence.startswith("node n2 was ended by SIGSEGV: ")
        assert "Z INFO n2 " in sentence
        await cluster.start(("n2",))
        assert cluster.states()["n2"] == "up"
        assert cluster.unexpected_deaths() == [sentence]

    play(scene, tmp_path, ("n1", "n2"))


@pytest.mark.real
def test_a_node_that_does_not_start_again_is_told_of(tmp_path: Path) -> None:
    async def scene(cluster: LocalCluster) -> None:
        await cluster.kill(("n1", "n2"))
        data = tmp_path / "nodes" / "data" / "n2"
        shutil.rmtree(data)
        data.write_text("a file where its data directory should be")
        with pytest.raises(ClusterError, match=r"^node n2 did not start"):
            await cluster.start(("n1", "n2"))
        (sentence,) = cluster.unexpected_deaths()
        assert sentence.startswith("node n2 did not start (ended with exit status ")
        assert cluster.states() == {"n1": "up", "n2": "down"}

    play(scene, tmp_path, ("n1", "n2"))


@pytest.mark.real
def test_names_that_look_like_the_files_of_other_nodes_are_names(tmp_path: Path) -> None:
    nodes = ("n1", "n1.log", "n1.toml", "data")

    async def scene(cluster: LocalCluster) -> None:
        assert set(cluster.states().values()) == {"up"}

    play(scene, tmp_path, nodes)


@pytest.mark.real
def test_a_node_that_cannot_start_says_why_and_nothing_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        data = tmp_path / "nodes" / "data"
        data.mkdir(parents=True)
        (data / "n2").write_text("a file where its data directory should be")
        cluster = LocalCluster(THREE, 3)
        with pytest.raises(
            ClusterError, match=r"^node n2 did not start \(ended with exit status \d+\): .*n2"
        ):
            await cluster.setup(tmp_path)
        await cluster.teardown()

    trio.run(main)
    assert pids_of(tmp_path) == set()


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "nodes").write_text("in the way")
        cluster = LocalCluster(THREE, 3)
        with pytest.raises(ClusterError, match=r"^the cluster local cannot be prepared: .*nodes"):
            await cluster.setup(tmp_path)
        await cluster.teardown()

    trio.run(main)


HARNESS = """
import sys, trio
from pathlib import Path
from harness.cluster.local import LocalCluster

async def main():
    cluster = LocalCluster(("n1", "n2", "n3"), 3)
    await cluster.setup(Path(sys.argv[1]))
    await cluster.pause(("n2",))
    print("up", flush=True)
    await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_no_node_outlives_a_harness_that_is_killed_not_even_a_paused_one(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert harness.stdout is not None
        assert harness.stdout.readline() == "up\n"
        nodes = pids_of(tmp_path) - {harness.pid}
        assert len(nodes) == 3
    finally:
        harness.kill()
        harness.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while alive := [pid for pid in nodes if exists(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.01)
