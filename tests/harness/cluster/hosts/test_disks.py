"""Disks and files of nodes in a lab: what is done to them, and what the bundled store makes of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from harness.cluster.base import ClusterError, Disk, Files, Power
from harness.cluster.hosts import processes
from harness.cluster.hosts.cluster import HostCluster
from harness.cluster.hosts.disks import Disks
from harness.lab import lab, state
from harness.lab.lab import Lab
from harness.systems.store import BundledStore
from store.core.messages import Done, Failed, Found, Get, Put, Response
from tests.support.ground import Given

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    *[
        pytest.mark.skipif(
            shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None,
            reason=f"{program} is not installed (apt-get install {package})",
        )
        for program, package in {
            "sshd": "openssh-server",
            "strace": "strace",
            "mkfs.ext4": "e2fsprogs",
        }.items()
    ],
]
PATIENCE_S = 60
THREE = ("n1", "n2", "n3")
Scene = Callable[[HostCluster], Awaitable[None]]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    runtime = tmp_path_factory.mktemp("runtime")
    made = lab.up("disks", 3, runtime)
    try:
        yield made
    finally:
        lab.down("disks", runtime)


def play(made: Lab, scene: Scene, tmp_path: Path, *faults: str) -> None:
    """The scene with a cluster that is set up for these faults; afterwards nothing of it is left."""
    cluster = HostCluster(Given(made.hosts), THREE, 0, BundledStore(3), silence_s=10, faults=faults)
    there: set[str] = set()

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            try:
                await cluster.setup(tmp_path / "run")
                there.update(images(made))
                await scene(cluster)
            finally:
                await cluster.teardown()

    trio.run(main)
    assert not there & mounted()
    assert not images(made)
    for node in THREE:
        assert not (home_of(made, node) / "snapshots").is_dir() or not any(
            (home_of(made, node) / "snapshots").iterdir()
        )


def images(made: Lab) -> set[str]:
    """The inodes of the files in which the disks of the lab are."""
    found = [image.stat() for node in THREE for image in home_of(made, node).glob("disks/*.img")]
    return {f"{at.st_ino} {os.major(at.st_dev)}:{os.minor(at.st_dev)}" for at in found}


def mounted() -> set[str]:
    """Those of all that some loop device of the machine has; other labs have theirs."""
    words = ["losetup", "-n", "-l", "-O", "BACK-INO,BACK-MAJ:MIN"]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    return {" ".join(line.split()) for line in said.stdout.splitlines()}


def home_of(made: Lab, node: str) -> Path:
    host = next(host for host in made.layout.hosts if host.name == node)
    return made.layout.host_directory(host) / "srv/stormcellar"


async def ask(cluster: HostCluster, node: str, body: Put | Get) -> Response:
    session = await cluster.connect(node)
    try:
        return await session.request(body, 5)
    finally:
        await session.close()


async def put(cluster: HostCluster, node: str, key: str, level: str = "quorum") -> str:
    response = await ask(cluster, node, Put(key, b"v" * 1000, level))
    return response.code if isinstance(response, Failed) else type(response).__name__


async def held(cluster: HostCluster, node: str, keys: list[str]) -> list[str]:
    return [key for key in keys if isinstance(await ask(cluster, node, Get(key, "quorum")), Found)]


class FullDisks(Disks):
    """Two hosts; `refused` is with what a write to the disk of the second fails after it was mended."""

    name = "made up"
    nodes = ("n1", "n2")
    spares = ()

    def __init__(self, refused: str) -> None:
        self.sites, self.hands = {}, {}
        self._states = dict.fromkeys(self.nodes, "down")
        self.refused = refused

    async def each(self, operation: str, args: object) -> dict[str, dict[str, Any]]:
        mended = {"was_full": True, "free_bytes": 9, "took_ms": [], "traced": []}
        return {"n1": {**mended, "refused": ""}, "n2": {**mended, "refused": self.refused}}


@pytest.mark.parametrize(("refused", "bit"), [("", True), ("ENOSPC", False)])
def test_one_disk_that_is_still_full_is_not_mended(refused: str, bit: bool) -> None:
    evidence = trio.run(FullDisks(refused).mend_disks)
    assert evidence.bit is bit
    assert ("a write fails with ENOSPC" in evidence.detail) is not bit


def test_disks_are_full_and_slow_and_lose_power(
    three: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SERVE_LIMIT_S", PATIENCE_S)  # this machine's disk may be busy, too

    async def scene(cluster: HostCluster) -> None:
        assert isinstance(cluster, Disk)
        assert isinstance(cluster, Power)
        assert len(images(three) & mounted()) == 3

        full = await cluster.fill(THREE)
        assert full.bit
        assert full.detail.count("a write fails with ENOSPC") == 3
        await put(cluster, "n1", "stuck")  # by which the disks are found to be full
        assert await put(cluster, "n1", "a") == "disk-full"
        mended = await cluster.mend_disks()
        assert mended.bit
        assert mended.detail.count("a write succeeds") == 3
        while await put(cluster, "n1", "a") != Done.__name__:  # noqa: ASYNC110
            await trio.sleep(0.05)  # the store looks again every now and then

        assert not (await cluster.slow(THREE)).bit
        began = time.monotonic()
        assert await put(cluster, "n2", "b", "all") == Done.__name__
        assert time.monotonic() - began > 0.1
        await cluster.kill(("n1",))
        await cluster.start(("n1",))
        fast = await cluster.mend_disks()
        assert fast.bit
        took = re.search(r"syncs of n1 took (\d+) ms", fast.detail)
        assert took is not None  # it was started while it was to be slow
        assert int(took[1]) >= 100
        assert await cluster.mend_disks() == (await cluster.mend_disks())
        assert not (await cluster.mend_disks()).bit

        keys = [f"k{i}" for i in range(12)]
        for i, key in enumerate(keys):
            assert await put(cluster, THREE[i % 3], key) == Done.__name__
        dark = await cluster.power_off(THREE)
        assert dark.bit, dark
        assert set(cluster.states().values()) == {"down"}
        assert (await cluster.start(THREE)).bit
        assert await held(cluster, "n1", keys) == keys
        assert (await cluster.power_off(("n2",))).bit
        assert (await cluster.power_off(("n2",))).bit  # what a dead one left unsynced is lost, too
        await cluster.start(("n2",))
        assert cluster.unexpected_deaths() == []

    play(three, scene, tmp_path, "disk", "power")


def test_a_node_whose_disk_is_full_starts_when_there_is_room(three: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster) -> None:
        assert (await cluster.fill(("n1",))).bit
        assert (await cluster.kill(("n1", "n2"))).bit
        assert not (await cluster.start(THREE)).bit
        while cluster.states() != {"n1": "down", "n2": "up", "n3": "up"}:  # noqa: ASYNC110
            await trio.sleep(0.05)
        mended = await cluster.mend_disks()
        assert mended.bit
        assert "; serve again after" in mended.detail
        assert set(cluster.states().values()) == {"up"}
        assert (await cluster.kill(("n1",))).bit
        assert not (await cluster.mend_disks()).bit  # and starts nobody who does not wait for it
        assert cluster.states()["n1"] == "down"
        assert cluster.unexpected_deaths() == []

    play(three, scene, tmp_path, "disk")


def test_files_are_damaged_and_the_store_mends_itself(three: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster) -> None:
        assert isinstance(cluster, Files)
        keys = [f"k{i}" for i in range(12)]
        for i, key in enumerate(keys[:6]):
            assert await put(cluster, THREE[i % 3], key, "all") == Done.__name__
        copied = await cluster.snapshot(("n1",))
        assert "files" in copied.detail
        for i, key in enumerate(keys[6:]):
            assert await put(cluster, THREE[i % 3], key, "all") == Done.__name__

        restored = await cluster.restore_files(("n1",))
        assert restored.bit, restored
        assert cluster.states() == {"n1": "down", "n2": "up", "n3": "up"}
        assert (await cluster.start(THREE)).bit
        assert await held(cluster, "n1", keys) == keys

        cut = await cluster.truncate(("n1",), "*.log", 40)
        assert cut.bit
        assert "cut off: n1 40 of " in cut.detail
        await cluster.start(THREE)
        await cluster.snapshot(THREE)
        for i, key in enumerate(keys):
            assert await put(cluster, THREE[i % 3], key, "all") == Done.__name__
        back = await cluster.roll_back(("n1",), "*", 1.0, 7)
        assert back.bit, back
        await cluster.start(THREE)
        flipped = await cluster.flip(("n1",), "records/*", 60, 7)
        assert flipped.bit
        assert "turned over: n1 60 of " in flipped.detail
        await cluster.start(THREE)
        assert not (await cluster.flip(("n2",), "no-such-file", 60, 7)).bit
        await cluster.start(THREE)
        assert await held(cluster, "n2", keys) == keys
        assert cluster.unexpected_deaths() == []

    play(three, scene, tmp_path, "files")


def test_a_damaged_node_that_does_not_start_begins_anew(three: Lab, tmp_path: Path) -> None:
    """The store sets damaged records aside only so often; then somebody has to look after it."""

    async def scene(cluster: HostCluster) -> None:
        data = home_of(three, "n1") / "nodes/n1/data"
        for number in range(3):
            (data / f"quarantine-2020-01-01-{number}").mkdir()
        assert (await cluster.flip(("n1",), "CURRENT", 30, 7)).bit
        started = await cluster.start(THREE)
        assert "n1 began anew, with nothing" in started.detail
        assert "holds 3 quarantines already" in started.detail
        assert cluster.states()["n1"] == "up"
        assert cluster.unexpected_deaths() == []

    play(three, scene, tmp_path, "files")


def test_without_a_disk_of_its_own_a_node_keeps_its_power(three: Lab, tmp_path: Path) -> None:
    async def scene(cluster: HostCluster) -> None:
        assert not images(three)
        for fault in (cluster.fill, cluster.power_off):
            with pytest.raises(ClusterError, match=r"n1.*: its data have no disk of their own"):
                await fault(("n1",))

    play(three, scene, tmp_path)


def test_with_a_lab_that_is_killed_all_disks_go(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    made = lab.up("doomed", 3, runtime)
    cluster = HostCluster(Given(made.hosts), THREE, 0, BundledStore(3), silence_s=2, faults=("power",))
    mounts = Path("/proc/self/mountinfo").read_text()

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            await cluster.setup(tmp_path / "run")
            there = images(made)
            assert len(there & mounted()) == 3
            await cluster.slow(THREE)
            told = state.read(runtime / "labs/doomed")
            assert told is not None
            os.kill(told.keeper.pid, signal.SIGKILL)
            while there & mounted():  # noqa: ASYNC110
                await trio.sleep(0.01)

    try:
        trio.run(main)
        assert Path("/proc/self/mountinfo").read_text() == mounts
    finally:
        lab.down("doomed", runtime)
