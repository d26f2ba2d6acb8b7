"""The engine's log files (its write-ahead log and its manifest), looked at before the engine reads them.

The engine cuts off a torn last write. But a damaged byte can look like that to it, or worse (measured with
RocksDB 9.8): an entry of the last block whose length is damaged is taken for a torn one, and all that was
acknowledged from there on is dropped without a word; and at some damaged kinds of entry it reads for ever.
Any other damage it finds by itself.

The format, by RocksDB's wiki, "Write Ahead Log File Format": blocks of 32 KB, and in them entries that do not
cross their ends: checksum (masked CRC-32C of kind and content), length, kind, content.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import Final

BLOCK_BYTES: Final = 32 << 10
_HEADER: Final = Struct("<IHB")
_PADDING: Final = 0
_KIND_MAX: Final = 4
"""Whole, first, middle and last part; what is above belongs to options that are not used here."""


def damage_in(file: Path) -> str | None:
    """What the engine would not find, if there is anything."""
    size = file.stat().st_size
    with file.open("rb") as log:
        for offset in range(0, size, BLOCK_BYTES):
            found = _damage(log.read(BLOCK_BYTES), is_last=offset + BLOCK_BYTES >= size)
            if found is not None:
                return f"{found}, in {file.name} from byte {offset}"
    return None


def _damage(block: bytes, is_last: bool) -> str | None:
    at = 0
    while at + _HEADER.size <= len(block):
        _, length, kind = _HEADER.unpack_from(block, at)
        if kind > _KIND_MAX:
            return f"an entry of the unknown kind {kind}"
        end = at + _HEADER.size + length
        if kind == _PADDING or (end > len(block) and not is_last):
            return None
        if end > len(block):
            return "an entry with a wrong length" if _was_whole(block, at) else None
        at = end
    return None


def _was_whole(block: bytes, at: int) -> bool:
    """Whether the entry that goes on beyond the end of the last block was shorter once, or others follow."""
    checksum, _, _ = _HEADER.unpack_from(block, at)
    crc = _crc32c(0, block[at + 6 : at + 7])
    if _masked(crc) == checksum:
        return True
    for place in range(at + _HEADER.size, len(block)):
        crc = _crc32c(crc, block[place : place + 1])
        if _masked(crc) == checksum:
            return True
    return any(_is_entry(block, start) for start in range(at + 1, len(block) - _HEADER.size))


def _is_entry(block: bytes, at: int) -> bool:
    """Whether entries follow one another from here exactly to the end, and the first is sound."""
    start = at
    while start + _HEADER.size <= len(block):
        _, length, kind = _HEADER.unpack_from(block, start)
        if not 1 <= kind <= _KIND_MAX:
            return False
        start += _HEADER.size + length
    checksum, length, _ = _HEADER.unpack_from(block, at)
    return start == len(block) and _masked(_crc32c(0, block[at + 6 : at + 7 + length])) == checksum


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(crc: int, content: bytes) -> int:
    """`crc` of what came before, continued. Bytes by the thousands only: hence not a package."""
    crc ^= 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_remainder, range(256)))


def log_files(directory: Path) -> list[Path]:
    """The engine's logs in `directory`, and the manifest that is in use."""
    logs = sorted(directory.glob("*.log"))
    try:
        manifest = directory / (directory / "CURRENT").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # the engine says what is wrong
        return logs
    return [*logs, manifest] if manifest.is_file() else logs
