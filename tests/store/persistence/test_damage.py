"""Damaged files: noticed on reading, never passed over, and set aside instead of being deleted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from store.core.machine import DamagedRecord
from store.core.messages import Cell
from store.persistence.damage import QUARANTINES_MAX, condemn, condemned, quarantine
from store.persistence.storage import RECORDS, Damaged, NotOurs, RocksStorage, StorageError

TODAY = date(2026, 11, 22)
KEYS = [f"v/{number:04}" for number in range(600)]


def opened(directory: Path) -> RocksStorage:
    return RocksStorage(directory, "demo", "n1")


def cell(key: str) -> Cell:
    return Cell((1, 0, "n1"), random.Random(key).randbytes(100))


def filled(directory: Path) -> Path:
    """The directory of a node that has ended; its records are in a table."""
    storage = opened(directory)
    storage.commit([(key, cell(key)) for key in KEYS])
    storage.close()
    opened(directory).close()  # what is in the log becomes a table when it is opened
    return directory


def tables(directory: Path) -> list[Path]:
    return sorted((directory / RECORDS).glob("*.sst"))


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def damaged_block(directory: Path) -> Path:
    (table,) = tables(filled(directory))
    flip(table, table.stat().st_size // 2)
    return directory


def unreadable(storage: RocksStorage) -> list[str]:
    found = []
    for key in KEYS:
        try:
            assert storage.get(key) == cell(key)
        except DamagedRecord as damage:
            found.append(damage.key)
    return found


def test_a_flipped_bit_in_a_table_fails_the_reads_of_its_block_and_no_others(tmp_path: Path) -> None:
    storage = opened(damaged_block(tmp_path))
    lost = unreadable(storage)
    assert 1 <= len(lost) <= 60
    assert lost == KEYS[KEYS.index(lost[0]) :][: len(lost)]
    with pytest.raises(DamagedRecord):  # it cannot be told that there is none
        storage.get(lost[0] + "x")
    storage.close()


def test_what_is_written_again_over_a_damaged_block_can_be_read(tmp_path: Path) -> None:
    storage = opened(damaged_block(tmp_path))
    storage.commit([(key, cell(key)) for key in unreadable(storage)])
    assert unreadable(storage) == []
    storage.close()


def test_a_scan_does_not_pass_over_a_damaged_block(tmp_path: Path) -> None:
    storage = opened(damaged_block(tmp_path))
    lost = unreadable(storage)
    sound = KEYS[: KEYS.index(lost[0])]
    assert storage.scan("v/", "", len(sound)) == sound
    with pytest.raises(Damaged, match=f"{tmp_path}: is damaged: Corruption"):
        storage.scan("v/", "", len(sound) + 1)
    with pytest.raises(Damaged):
        storage.scan("v/", lost[0], 1)
    beyond = KEYS[KEYS.index(lost[-1]) + 1 :]
    assert storage.scan("v/", beyond[0], 2) == beyond[1:3]
    storage.close()


def test_writing_ends_with_damage_once_the_engine_cannot_merge_its_tables(tmp_path: Path) -> None:
    storage = opened(damaged_block(tmp_path))

    def write_much() -> None:
        for _ in range(50):
            storage.commit([(key, Cell((2, 0, "n1"), b"x" * 6000)) for key in KEYS])

    with pytest.raises(Damaged, match="Corruption"):
        write_much()
    storage.close()


def rewrite(directory: Path, change: Callable[[Rdict], None]) -> RocksStorage:
    """Open the directory after `change` to it behind the storage's back."""
    raw = Rdict(str(directory / RECORDS), Options(raw_mode=True))
    change(raw)
    raw.close()
    return opened(directory)


def test_a_record_that_belongs_under_another_key_is_damaged(tmp_path: Path) -> None:
    def misdirect(raw: Rdict) -> None:
        raw[b"r/v/0001"] = raw[b"r/v/0002"]

    storage = rewrite(filled(tmp_path), misdirect)
    assert unreadable(storage) == ["v/0001"]
    storage.close()


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 40])
def test_what_has_no_right_checksum_is_damaged(tmp_path: Path, content: bytes) -> None:
    def overwrite(raw: Rdict) -> None:
        raw[b"r/v/0001"] = content

    storage = rewrite(filled(tmp_path), overwrite)
    assert unreadable(storage) == ["v/0001"]
    assert storage.scan("v/", "", 2) == ["v/0000", "v/0001"]
    storage.close()


@pytest.mark.parametrize("key", [b"m/boot", b"m/owner"])
def test_damaged_notes_about_the_directory_itself_are_damage(tmp_path: Path, key: bytes) -> None:
    def overwrite(raw: Rdict) -> None:
        raw[key] = b"12345"

    filled(tmp_path)
    with pytest.raises(Damaged, match=f"{tmp_path}: is damaged: what is under"):
        rewrite(tmp_path, overwrite).next_boot()


def manifest(directory: Path) -> Path:
    (found,) = (directory / RECORDS).glob("MANIFEST-*")
    return found


BREAKS: dict[str, Callable[[Path], object]] = {
    "a table is missing": lambda d: tables(d)[0].unlink(),
    "a table is cut": lambda d: os.truncate(tables(d)[0], 1000),
    "a table is empty": lambda d: tables(d)[0].write_bytes(b""),
    "a table's footer is damaged": lambda d: flip(tables(d)[0], -3),
    "CURRENT is missing": lambda d: (d / RECORDS / "CURRENT").unlink(),
    "CURRENT is damaged": lambda d: (d / RECORDS / "CURRENT").write_bytes(b"MANIFEST-77\n"),
    "the manifest is missing": lambda d: manifest(d).unlink(),
    "the manifest is damaged": lambda d: flip(manifest(d), 100),
}


@pytest.mark.parametrize("what", BREAKS)
def test_damaged_files_refuse_to_open(tmp_path: Path, what: str) -> None:
    filled(tmp_path)
    BREAKS[what](tmp_path)
    with pytest.raises(Damaged, match=f"{tmp_path}: is damaged: "):
        opened(tmp_path)


def test_what_is_only_in_use_or_cannot_be_made_is_not_damaged(tmp_path: Path) -> None:
    storage = opened(tmp_path / "data")
    with pytest.raises(NotOurs):
        opened(tmp_path / "data")
    storage.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        opened(tmp_path / "file")
    assert type(caught.value) is StorageError


# Quarantine ------------------------------------------------------------------------------------------


def test_condemned_records_are_set_aside_whole_and_the_directory_begins_empty(tmp_path: Path) -> None:
    filled(tmp_path)
    assert condemned(tmp_path) is None
    condemn(tmp_path, "the reason")
    assert condemned(tmp_path) == "the reason"
    aside = quarantine(tmp_path, TODAY)
    assert aside == tmp_path / "quarantine-2026-11-22-1"
    assert condemned(tmp_path) is None
    storage = opened(tmp_path)
    assert storage.scan("", "", 1) == []
    assert storage.next_boot() == 1
    storage.close()
    raw = Rdict(str(aside), Options(raw_mode=True))
    assert len(list(raw.keys(from_key=b"r/"))) == len(KEYS)
    raw.close()


def test_quarantines_are_never_deleted_and_no_more_than_a_few_are_made(tmp_path: Path) -> None:
    for _ in range(QUARANTINES_MAX):
        opened(tmp_path).close()
        quarantine(tmp_path, TODAY)
    opened(tmp_path).close()
    with pytest.raises(StorageError, match=r"holds 3 quarantines already.* move them away"):
        quarantine(tmp_path, TODAY)
    assert (tmp_path / RECORDS).exists()
    (tmp_path / "quarantine-2026-11-22-2").rename(tmp_path / "elsewhere")
    assert quarantine(tmp_path, TODAY).name == "quarantine-2026-11-22-2"


def test_a_condemnation_on_a_disk_that_takes_nothing_is_let_be(tmp_path: Path) -> None:
    condemn(tmp_path / "missing", "reason")
    assert condemned(tmp_path / "missing") is None


HOLDER = """
import sys
from pathlib import Path
from store.persistence.storage import RocksStorage

storage = RocksStorage(Path(sys.argv[1]), "demo", "n1")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.real
@pytest.mark.skipif(os.name != "posix", reason="elsewhere the system itself refuses to move open files")
def test_records_that_another_process_uses_are_not_set_aside(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(NotOurs, match=f"{tmp_path}: is in use by another process"):
            quarantine(tmp_path, TODAY)
        holder.kill()
    quarantine(tmp_path, TODAY)
