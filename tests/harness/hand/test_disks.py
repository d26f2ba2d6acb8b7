"""Disks of nodes' own, real ones: made, filled, slowed down, without power, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.hosts import parcel
from harness.hand import disks, slow, tool
from harness.hand.context import Refused
from harness.hand.disks import Disk
from harness.hand.proc import STOPPED
from tests.support.mounts import why_not
from tests.support.speaker import Speaker, children, hand_in, until

WHY_NOT = why_not("mkfs.ext4", "losetup", "strace") or (
    "" if os.geteuid() == 0 else "needs root itself, to see what is left"
)
pytestmark = [pytest.mark.real, pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)]
MIB = 1 << 20
SYNCER = """
import os, sys, time
kept, lost = (open(f"{sys.argv[1]}/{name}", "ab", 0) for name in ("kept", "lost"))
while True:
    kept.write(b"k" * 100)
    os.fdatasync(kept.fileno())
    lost.write(b"l" * 100)
    print(os.fstat(kept.fileno()).st_size, flush=True)
    time.sleep(0.003)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hand") / "hand.pyz"
    path.write_bytes(parcel.pack(parcel.modules()).content)
    return path


class Node:
    """A node `n1` of a hand, whose only daemon syncs one file and does not sync another."""

    def __init__(self, hand: Speaker, home: Path) -> None:
        self.hand = hand
        self.home = home
        self.data = home / "nodes/n1/data"
        self.log = home / "log"

    def ask(self, operation: str, **args: object) -> Any:
        answer = self.hand.ask(operation, node="n1", **args)
        assert "result" in answer, answer
        return answer["result"]

    def refused(self, operation: str, **args: object) -> str:
        return str(self.hand.ask(operation, node="n1", **args)["refused"])

    def attach(self) -> Any:
        return self.ask("disk-attach", data=str(self.data), size_bytes=64 * MIB)

    def start(self) -> int:
        argv = [sys.executable, "-c", SYNCER, str(self.data)]
        daemon = {"name": "syncer", "argv": argv, "env": {}, "log": str(self.log)}
        answer = self.ask("start", directory="/", daemons=[daemon])
        self.log.write_bytes(b"")
        until(lambda: self.synced() > 1000)
        return int(answer["daemons"]["syncer"]["pid"])

    def synced(self) -> int:
        said = self.log.read_text().splitlines()
        return int(said[-1]) if said else 0

    def seen(self, path: Path) -> Path:
        """As the hand sees it, whose mounts are its own."""
        (worker, *_) = children(self.hand.process.pid)
        return Path(f"/proc/{worker}/root{path}")

    def sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self.seen(self.data).iterdir()}


def loops(home: Path) -> list[str]:
    """The loop devices that have an image of ours."""
    said = subprocess.run(
        ["losetup", "-n", "-l", "-O", "BACK-FILE"], capture_output=True, text=True, check=True
    )
    return [line for line in said.stdout.splitlines() if str(home) in line]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    before = Path("/proc/self/mountinfo").read_text()
    yield tmp_path
    until(lambda: loops(tmp_path) == [])
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.fixture
def node(home: Path, program: Path) -> Iterator[Node]:
    with hand_in(home, program) as hand:
        assert hand.hear()["hello"]["failed"] == []
        made = Node(hand, home)
        made.data.mkdir(parents=True)
        (made.data / "old").write_text("was there before")
        os.chmod(made.data, 0o750)
        os.chown(made.data / "old", 1234, 1234)
        yield made
        assert hand.ask("goodbye")["result"]["failed"] == []
        assert not (home / "disks/n1.img").exists()


def test_what_was_in_the_directory_is_on_the_disk_and_nothing_else(node: Node) -> None:
    assert node.attach() == {"mounted": True}
    assert node.attach() == {"mounted": False}
    assert os.listdir(node.seen(node.data)) == ["old"]
    assert (node.seen(node.data) / "old").read_text() == "was there before"
    assert (node.seen(node.data) / "old").stat().st_uid == 1234
    assert node.seen(node.data).stat().st_mode & 0o777 == 0o750
    assert len(loops(node.home)) == 1
    assert os.stat(node.seen(node.data)).st_dev != os.stat(node.data).st_dev  # we do not see the mount


def test_a_full_disk_takes_nothing_until_it_is_mended_and_the_hosts_own_is_not_filled(node: Node) -> None:
    node.attach()
    answer = node.ask("disk-fill")
    assert answer["free_bytes"][0] > 40 * MIB
    assert answer["free_bytes"][1] < 4096
    assert answer["refused"] == "ENOSPC"
    with pytest.raises(OSError, match="No space left"):
        (node.seen(node.data) / "new").write_bytes(b"x" * 5000)
    (image,) = (node.home / "disks").glob("*.img")
    assert image.stat().st_blocks * 512 < 40 * MIB
    assert node.ask("disk-fill")["refused"] == "ENOSPC"
    mended = node.ask("disk-mend")
    assert (mended["was_full"], mended["refused"]) == (True, "")
    (node.seen(node.data) / "new").write_bytes(b"x" * 5000)
    assert node.ask("disk-mend") == {"took_ms": [], "traced": []}


def test_a_power_failure_loses_what_was_not_synced_and_nothing_else(node: Node) -> None:
    node.attach()
    node.start()
    answer = node.ask("power-off")
    acknowledged = node.synced()
    assert (answer["kept"], answer["lost"], answer["struck"]) == (True, True, ["syncer"])
    assert answer["status"] == {"syncer": -signal.SIGKILL}
    sizes = node.sizes()
    assert acknowledged <= sizes["kept"]
    assert sizes["lost"] < acknowledged
    assert answer["shorter"]["lost"] > 900
    assert (node.seen(node.data) / "old").read_text() == "was there before"
    node.attach()
    node.start()
    assert node.sizes()["kept"] > sizes["kept"]


def test_power_fails_on_a_full_disk_and_where_nothing_runs(node: Node) -> None:
    node.attach()
    node.ask("disk-fill")
    (node.seen(node.data) / "old").rename(node.seen(node.data) / "renamed")
    answer = node.ask("power-off")
    assert (answer["kept"], answer["lost"], answer["struck"]) == (True, True, [])
    assert node.sizes().keys() == {"old"}, "what changed in directories was not synced, either"
    assert node.ask("disk-mend")["was_full"]


def test_a_power_failure_that_comes_to_nothing_leaves_nobody_frozen(node: Node) -> None:
    node.attach()
    pid = node.start()
    (node.seen(node.home / "disks/n1") / "canary").unlink()
    assert "canary" in node.hand.ask("power-off", node="n1")["error"]
    assert state_of(pid) not in STOPPED
    begun = node.synced()
    until(lambda: node.synced() > begun + 300)


def test_a_slow_disk_makes_each_sync_of_a_daemon_slow_until_it_is_mended(node: Node) -> None:
    node.attach()
    pid = node.start()
    answer = node.ask("disk-slow", delay_ms=300, beside=str(node.data))
    assert answer["traced"] == [pid]
    assert answer["before_ms"] < 300
    assert node.ask("disk-slow", delay_ms=300, beside=str(node.data))["traced"] == []
    begun = node.synced()
    until(lambda: node.synced() > begun + 300)
    took_ms = node.ask("disk-mend")["took_ms"]
    assert len(took_ms) >= 3
    assert min(took_ms) >= 300
    assert tracer_of(pid) == 0
    begun = node.synced()
    until(lambda: node.synced() > begun + 3000)
    assert list(node.home.glob("syncs.*")) == []


def test_a_frozen_daemon_is_slowed_down_and_let_go_and_stays_frozen(node: Node) -> None:
    pid = node.start()
    node.ask("pause")
    assert node.ask("disk-slow", delay_ms=60, beside=str(node.data))["traced"] == [pid]
    assert node.ask("disk-mend")["traced"] == [pid]
    assert state_of(pid) == "T"
    node.ask("resume")
    begun = node.synced()
    until(lambda: node.synced() > begun + 300)


def test_the_death_of_a_tracer_harms_nobody(node: Node) -> None:
    pid = node.start()
    node.ask("disk-slow", delay_ms=60, beside=str(node.data))
    os.kill(tracer_of(pid), signal.SIGKILL)
    until(lambda: tracer_of(pid) == 0)
    begun = node.synced()
    until(lambda: node.synced() > begun + 3000)
    assert node.ask("disk-mend")["traced"] == []


def test_a_tracer_ends_with_its_daemon(node: Node) -> None:
    pid = node.start()
    node.ask("disk-slow", delay_ms=60, beside=str(node.data))
    tracer = tracer_of(pid)
    node.ask("kill")
    until(lambda: state_of(tracer) in ("", "Z"))


def test_what_needs_a_disk_of_its_own_says_so(node: Node) -> None:
    for operation in ("disk-fill", "power-off"):
        assert node.refused(operation) == "its data have no disk of their own"
    assert node.ask("disk-mend") == {"took_ms": [], "traced": []}


def test_a_host_without_room_is_told_before_anything_is_made(node: Node) -> None:
    said = node.refused("disk-attach", data=str(node.data), size_bytes=1 << 50)
    assert "MiB free: a disk for a node's data needs 1073741888" in said
    assert loops(node.home) == []


@pytest.mark.parametrize("slowly", [False, True])
def test_after_a_kill_of_the_hand_nothing_is_mounted_and_the_next_one_removes_the_image(
    home: Path, program: Path, slowly: bool
) -> None:
    with hand_in(home, program) as hand:
        hand.hear()
        node = Node(hand, home)
        node.data.mkdir(parents=True)
        node.attach()
        pid = node.start()
        node.ask("disk-fill")
        if slowly:
            node.ask("disk-slow", delay_ms=20, beside=str(node.data))
        (home / "disks/n1.new").touch()  # as if it had been killed while mkfs ran
    with hand_in(home, program) as hand:
        undone = hand.hear()["hello"]
        assert undone["failed"] == []
        assert f"{home}/disks/n1.img was removed" in undone["undone"]
        assert state_of(pid) in ("", "Z")
        assert loops(home) == []
        assert list(home.glob("syncs.*")) == []
        assert list(home.glob("disks/*")) == []
        assert list((home / "disks").iterdir()) == []


def test_a_disk_that_others_still_see_is_left_and_told(node: Node) -> None:
    node.attach()
    (loop,) = subprocess.run(
        ["losetup", "-f", "--show", str(node.home / "disks/n1.img")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    try:
        answer = node.hand.ask("goodbye")["result"]
        assert len(answer["failed"]) == 1
        assert "n1.img is still mounted, by /dev/loop" in answer["failed"][0]
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
    healed = subprocess.run(
        [sys.executable, str(parcel_of(node)), "heal", str(node.home)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(healed.stdout)["failed"] == []
    node.hand.ask = lambda operation, **args: {"result": {"failed": []}}  # type: ignore[method-assign]


def parcel_of(node: Node) -> str:
    assert isinstance(node.hand.process.args, list)
    return str(node.hand.process.args[node.hand.process.args.index("serve") - 1])


def test_no_free_loop_device_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "mount: /x: failed to setup loop device for /x.img."
    monkeypatch.setattr(tool, "attempt", lambda words: (32, "", said))
    monkeypatch.setattr(disks, "_let_go", lambda image: None)
    with pytest.raises(Refused, match="no loop device is free: modprobe loop, or free one"):
        disks.mount(Disk(tmp_path / "x.img", tmp_path / "x", tmp_path / "data"))


def test_an_strace_that_does_not_attach_is_told(node: Node) -> None:
    pid = node.start()
    other = subprocess.Popen(["strace", "-qqq", "-o", "/dev/null", "-p", str(pid)])
    try:
        until(lambda: tracer_of(pid) == other.pid)
        answer = node.ask("disk-slow", delay_ms=60, beside=str(node.data))
        assert answer["traced"] == []  # whoever is traced already is left alone
    finally:
        other.terminate()
        other.wait()


def tracer_of(pid: int) -> int:
    return slow._tracer(pid) or 0


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
