"""Power failure: what was synced stays, what was not may go; nothing acknowledged may be among the latter."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from rocksdict import Rdict

from store.core.messages import Cell
from store.persistence.storage import RECORDS, RocksStorage
from tests.support import mounts


class SyncedOnly:
    """The engine, with a note of how much of each log is synced: all that is there when a sync begins."""

    def __init__(self, engine: Rdict, directory: Path) -> None:
        self._engine = engine
        self._directory = directory / RECORDS
        self.synced: dict[str, int] = {}

    def write(self, batch: object) -> None:
        self._engine.write(batch)  # type: ignore[arg-type]

    def flush_wal(self, sync: bool) -> None:
        sizes = {log.name: log.stat().st_size for log in self._directory.glob("*.log")}
        self._engine.flush_wal(sync=sync)
        if sync:
            self.synced |= sizes

    def power_failure(self, to: Path) -> None:
        """Copy the directory as it would be found."""
        shutil.copytree(self._directory, to / RECORDS)
        for log in (to / RECORDS).glob("*.log"):
            os.truncate(log, self.synced.get(log.name, 0))

    def close(self) -> None:
        self._engine.close()


def cell(number: int) -> Cell:
    return Cell((number, 0, "n1"), b"x" * 500)


def lost_by_power_failures(directory: Path) -> list[str]:
    """Acknowledged records that are not there after power failures at several moments."""
    storage = RocksStorage(directory / "running", "demo", "n1")
    engine = SyncedOnly(storage._db, directory / "running")
    storage._db = engine  # type: ignore[assignment]
    lost = []
    for number in range(40):
        storage.commit([(f"v/{number}", cell(number))])
        if number % 10 == 9:
            after = directory / f"failed-{number}"
            engine.power_failure(after)
            found = RocksStorage(after, "demo", "n1")
            lost += [f"v/{i}" for i in range(number + 1) if found.get(f"v/{i}") != cell(i)]
            found.close()
    storage.close()
    return lost


def test_nothing_acknowledged_is_in_the_part_of_the_log_that_is_not_synced(tmp_path: Path) -> None:
    assert lost_by_power_failures(tmp_path) == []


def test_without_the_sync_this_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush_wal = SyncedOnly.flush_wal
    monkeypatch.setattr(SyncedOnly, "flush_wal", lambda self, sync: flush_wal(self, False))
    assert len(lost_by_power_failures(tmp_path)) > 10


POWER_FAILURE = """
import fcntl, os, struct, subprocess, sys
from pathlib import Path
from store.core.messages import Cell
from store.persistence.storage import RocksStorage

disk, image = Path(sys.argv[1]), sys.argv[2]
GO_DOWN, WITHOUT_FLUSHING = 0x8004587D, struct.pack("I", 2)  # ext4's ioctl for it

def cell(number):
    return Cell((number, 0, "n1"), b"x" * 3000)

def mount():
    subprocess.run(["mount", "-o", "loop,commit=300", image, disk], check=True)

total, at_risk = 0, 0
for boot in range(1, 5):
    mount()
    unsynced = disk / "unsynced"
    if boot > 1 and not (unsynced.exists() and unsynced.read_bytes() == b"y" * 9000):
        at_risk += 1
    storage = RocksStorage(disk / "below" / "data", "demo", "n1")
    assert storage.next_boot() == boot
    for number in range(total):
        assert storage.get(f"v/{number}") == cell(number), f"boot {boot}: {number} of {total} is lost"
    for number in range(total, total + boot * 100):
        storage.commit([(f"v/{number}", cell(number))])
    total += boot * 100
    unsynced.unlink(missing_ok=True)
    unsynced.write_bytes(b"y" * 9000)
    handle = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(handle, GO_DOWN, WITHOUT_FLUSHING)
    os.close(handle)
    storage.close()
    del storage
    subprocess.run(["umount", disk], check=True)
print(f"{at_risk} of 3 power failures lost what was not synced; acknowledged and kept: {total}")
"""


@pytest.mark.real
def test_power_failures_of_a_real_file_system_lose_what_is_not_synced_and_nothing_else(
    tmp_path: Path,
) -> None:
    if reason := mounts.why_not("mkfs.ext4", "losetup"):
        pytest.skip(reason)
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    make = 'truncate -s 96M "$2" && mkfs.ext4 -q -F "$2"'
    ended = mounts.run(make, POWER_FAILURE, str(disk), str(image))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "3 of 3 power failures lost what was not synced; acknowledged and kept: 1000\n"
