"""A full disk: writes are refused before the engine meets it, and also when it does; reads go on; nothing
that was acknowledged is lost; and with room again, the same writes succeed."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from store.core.messages import Cell
from store.persistence.storage import NoRoom, RocksStorage
from tests.support import mounts

MB = 1 << 20
CELL = Cell((1, 0, "n1"), b"value")

ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from random import Random
from store.core.messages import Cell
from store.persistence.storage import NoRoom, RocksStorage

disk, reserve = Path(sys.argv[1]), int(sys.argv[2])
ballast = disk / "ballast"  # and the reserve are more than what an engine may have to write when it is opened
ballast.write_bytes(bytes(48 << 20))
value = Random(1).randbytes(4000)

def batch(number):
    return [(f"v/{number}/{i}", Cell((number, i, "n1"), value)) for i in range(50)]

def fill():
    with ballast.open("ab", buffering=0) as more:
        try:
            while more.write(bytes(1 << 16)):
                pass
        except OSError:
            pass

def check(storage, batches):
    for number in range(batches):
        assert all(storage.get(key) == record for key, record in batch(number)), number

storage = RocksStorage(disk / "data", "demo", "n1", reserve)
acknowledged = 0
try:
    while True:
        storage.commit(batch(acknowledged))
        acknowledged += 1
except NoRoom as error:
    print(error)
assert acknowledged > 10
check(storage, acknowledged)
if not reserve:  # the engine has stopped
    try:
        while True:  # tables that it had just merged may leave room once more
            fill()
            storage.commit(batch(acknowledged))
            acknowledged += 1
    except NoRoom as error:
        print(error)
else:  # it can also be opened
    storage.close()
    storage = RocksStorage(disk / "data", "demo", "n1", reserve)
    storage.next_boot()
check(storage, acknowledged)
ballast.unlink()
for number in range(acknowledged, acknowledged + 20):
    storage.commit(batch(number))
check(storage, acknowledged + 20)
storage.close()
storage = RocksStorage(disk / "data", "demo", "n1", reserve)
check(storage, acknowledged + 20)
storage.close()
print("done")
"""


@pytest.mark.real
@pytest.mark.parametrize(
    ("reserve", "said"),
    [
        (40 * MB, ("MB of room left and needs 40",)),
        (0, ("has no room: IO error: No space left on device", "has 0 MB of room left and needs 32")),
    ],
)
def test_a_small_disk_that_fills_up_and_is_emptied(
    tmp_path: Path, reserve: int, said: tuple[str, ...]
) -> None:
    if reason := mounts.why_not():
        pytest.skip(reason)
    ended = mounts.run('mount -t tmpfs -o size=128m tmpfs "$1"', ON_A_SMALL_DISK, str(tmp_path), str(reserve))
    assert ended.returncode == 0, ended.stderr
    assert [sentence for sentence in said if sentence not in ended.stdout] == []
    assert ended.stdout.endswith("done\n")


Usage = namedtuple("Usage", "free")


def test_writes_are_refused_at_the_reserve_and_until_there_is_somewhat_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [100 * MB]
    monkeypatch.setattr(shutil, "disk_usage", lambda directory: Usage(free[0]))
    storage = RocksStorage(tmp_path, "demo", "n1", reserve_bytes=40 * MB)
    taken = []
    for free[0] in (40 * MB, 40 * MB - 1, 49 * MB, 50 * MB, 40 * MB):
        try:
            storage.commit([(f"v/{free[0]}", CELL)])
            taken.append(True)
        except NoRoom:
            taken.append(False)
    assert taken == [True, False, False, True, True]
    assert storage.get(f"v/{40 * MB - 1}") is None
    storage.close()


class Stopped:
    """The engine after it has met a full disk: it can be read, and takes no more."""

    def __init__(self, engine: object) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def write(self, batch: object) -> None:
        raise Exception("IO error: No space left on device: While appending to file: 000004.log")


def test_an_engine_that_met_a_full_disk_is_read_and_then_opened_anew(tmp_path: Path) -> None:
    storage = RocksStorage(tmp_path, "demo", "n1")
    storage.commit([("v/a", CELL)])
    storage._db = Stopped(storage._db)  # type: ignore[assignment]
    with pytest.raises(NoRoom, match="has no room"):
        storage.commit([("v/b", CELL)])
    assert storage.get("v/a") == CELL
    assert storage.scan("v/", "", 9) == ["v/a"]
    storage.commit([("v/b", CELL)])
    assert storage.scan("v/", "", 9) == ["v/a", "v/b"]
    storage.close()


def test_an_engine_that_cannot_be_opened_anew_for_want_of_room_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = RocksStorage(tmp_path, "demo", "n1")
    storage.commit([("v/a", CELL)])
    storage._db = Stopped(storage._db)  # type: ignore[assignment]

    def no_room() -> object:
        raise NoRoom("no room")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_open", no_room)
        for _ in range(3):
            with pytest.raises(NoRoom):
                storage.commit([("v/b", CELL)])
            assert storage.get("v/a") == CELL
            assert storage.scan("v/", "", 9) == ["v/a"]
    storage.commit([("v/b", CELL)])
    assert storage.scan("v/", "", 9) == ["v/a", "v/b"]
    storage.close()
