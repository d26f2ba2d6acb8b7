"""One flipped bit in the engine's logs never loses anything without a word, and never hangs the start."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.messages import Cell
from store.persistence.storage import RECORDS, Damaged, RocksStorage
from store.persistence.wal import BLOCK_BYTES, damage_in, log_files

HEADER_BYTES = 7
KEYS = [f"v/{number}" for number in range(6)]


def log_of(directory: Path) -> Path:
    (found,) = (directory / RECORDS).glob("*.log")
    return found


def manifest_of(directory: Path) -> Path:
    (found,) = (directory / RECORDS).glob("MANIFEST-*")
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a node leaves that was killed after a few commits of its second run."""
    directory = tmp_path_factory.mktemp("wal")
    for key in KEYS[:2]:
        storage = RocksStorage(directory / "running", "demo", "n1")
        storage.commit([(key, Cell((1, 0, "n1"), b"value"))])
        storage.close()
    storage = RocksStorage(directory / "running", "demo", "n1")
    for key in KEYS[2:]:
        storage.commit([(key, Cell((1, 0, "n1"), b"value"))])
    shutil.copytree(directory / "running", directory / "killed")
    storage.close()
    return directory / "killed"


def starts(content: bytes) -> list[int]:
    """Where entries begin."""
    found, at = [], 0
    while at + HEADER_BYTES <= len(content):
        found.append(at)
        at += HEADER_BYTES + int.from_bytes(content[at + 4 : at + 6], "little")
    return found


def flips(content: bytes) -> list[tuple[int, int]]:
    """Places and bits: all of the headers of the first, a middle and the last entry, and some of the rest."""
    entries = starts(content)
    chosen = (entries[0], entries[len(entries) // 2], entries[-1])
    headers = [(at + byte, bit) for at in chosen for byte in range(4, HEADER_BYTES) for bit in range(8)]
    return headers + [(place, place % 8) for place in range(0, len(content), 17)]


@pytest.mark.parametrize("file_of", [log_of, manifest_of])
def test_a_flipped_bit_is_damage_or_changes_nothing(
    tmp_path: Path, killed: Path, file_of: Callable[[Path], Path]
) -> None:
    content = file_of(killed).read_bytes()
    refused = 0
    for place, bit in flips(content):
        shutil.copytree(killed, tmp_path / "d")
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        file_of(tmp_path / "d").write_bytes(flipped)
        try:
            storage = RocksStorage(tmp_path / "d", "demo", "n1")
        except Damaged:
            refused += 1
        else:
            assert [key for key in KEYS if storage.get(key) is None] == [], (place, bit)
            storage.close()
        shutil.rmtree(tmp_path / "d")
    assert refused > 70


def test_every_log_cut_anywhere_is_only_torn(tmp_path: Path, killed: Path) -> None:
    content = log_of(killed).read_bytes()
    log = tmp_path / "log"
    for size in range(len(content) + 1):
        log.write_bytes(content[:size])
        assert damage_in(log) is None, size


@given(st.integers(0, 9), st.integers(0, 60_000))
def test_an_entry_is_not_whole_because_zeros_follow(
    tmp_path_factory: pytest.TempPathFactory, entries: int, zeros: int
) -> None:
    log = tmp_path_factory.getbasetemp() / "zeros"
    log.write_bytes(b"".join(entry(b"x" * 100) for _ in range(entries)) + bytes(zeros))
    assert damage_in(log) is None


def entry(content: bytes, kind: int = 1) -> bytes:
    crc = crc32c(bytes([kind]) + content)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked.to_bytes(4, "little") + len(content).to_bytes(2, "little") + bytes([kind]) + content


def crc32c(content: bytes) -> int:
    """Bit by bit, by the definition (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_checksum_of_these_tests_is_the_standard_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def with_length(content: bytes, length: int) -> bytes:
    return content[:4] + length.to_bytes(2, "little") + content[6:]


def test_a_wrong_length_shows_by_the_checksum_or_by_what_follows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    long = with_length(entry(b"abc"), 9000)
    log.write_bytes(entry(b"x") + long)
    assert damage_in(log) == "an entry with a wrong length, in log from byte 0"
    spoilt = long[:8] + b"?" + long[9:]
    log.write_bytes(entry(b"x") + spoilt)
    assert damage_in(log) is None  # two bytes are wrong: as good as torn
    log.write_bytes(entry(b"x") + spoilt + entry(b"y") * 3)
    assert damage_in(log) == "an entry with a wrong length, in log from byte 0"


def test_only_the_last_block_can_be_torn(tmp_path: Path) -> None:
    first = entry(b"x" * (BLOCK_BYTES - HEADER_BYTES))
    log = tmp_path / "log"
    for second, found in (
        (entry(b"y"), None),
        (entry(b"y")[:-1], None),
        (entry(b"y", kind=7), f"an entry of the unknown kind 7, in log from byte {BLOCK_BYTES}"),
    ):
        log.write_bytes(first + second)
        assert damage_in(log) == found


def test_the_logs_are_those_that_the_engine_would_read(killed: Path, tmp_path: Path) -> None:
    assert log_files(killed / RECORDS) == [log_of(killed), manifest_of(killed)]
    assert log_files(tmp_path) == []
