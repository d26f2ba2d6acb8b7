"""What a node keeps on its disk: records by storage key, a boot counter, and whose directory it is.

Acknowledged means fsynced: `commit` returns when the batch would survive a power failure. The engine is
RocksDB, in the folder `records` of the data directory. Some of its habits decide how it is used here:

- By default its recovery stops at the first damaged byte of the write-ahead log and silently drops all that
  follows. A node that forgets what it promised breaks consensus, so a torn tail (an unfinished last write) is
  cut off, and any other damage refuses to open. What it would mistake for a torn tail, `wal.py` finds.
- `write` holds Python's lock, `flush_wal` releases it. So a batch is first written without syncing (into
  memory and the kernel), and the log is then synced, while the rest of the node runs on.
- After a write that met a full disk it takes no more until it is opened anew; so it is kept from meeting one.
- It checks blocks of its files, and not what it was given to write; so every record has a checksum of ours
  over key and content, which also finds a record that stands where another belongs.
- An iterator that meets a damaged block just ends; and a file with such a block can never be merged again,
  which sooner or later stops all writing. So one damaged block fails only the reads of its keys, and what
  must pass over it (`scan`, a write) says that the directory is damaged.

What is not noticed: a directory put back from an older copy, and a log or manifest that lost synced bytes
from its end, which looks like a torn tail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol
from zlib import crc32

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
)

from store.core.machine import DamagedRecord
from store.core.messages import Record
from store.persistence.wal import damage_in, log_files

RECORDS: Final = "records"
"""The engine's folder in a data directory."""

_RECORD: Final = b"r/"
_OWNER: Final = b"m/owner"
_BOOT: Final = b"m/boot"
_FORMAT: Final = 2
_CHECKSUM_BYTES: Final = 4

FILES_MAX: Final = 256
"""Of its sorted tables, the engine keeps so many files open."""

_BUFFERS: Final = 4
_BUFFER_BYTES: Final = 8 << 20
_TO_OPEN_ANEW_BYTES: Final = _BUFFERS * _BUFFER_BYTES
"""Opening writes what is in the log, and was in no table yet, into tables."""

_IN_USE: Final = ("temporarily unavailable", "lock hold by current process", "used by another process")
"""How RocksDB says so on POSIX, in one process, and on Windows."""
_NO_ROOM: Final = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")
_DAMAGE: Final = ("Corruption", "No such file or directory")
_UNREADABLE: Final = (*_DAMAGE, "Input/output error")

_encode = Encoder().encode
_decode_record: Any = Decoder(Record).decode


class StorageError(Exception):
    """The disk or what is on it is of no use: one sentence that names the directory and the reason."""


class NotOurs(StorageError):
    """Nothing is wrong with the directory, but another process uses it, or it is another node's."""


class NoRoom(StorageError):
    """The disk is full, or as good as. What was committed before can be read."""


class Damaged(StorageError):
    """What is there is not what was written, and part of it is lost."""


class Storage(Protocol):
    """Durable records. `get` and `scan` may be called while another thread is in `commit`; they need not yet
    show it."""

    def get(self, key: str) -> Record | None:
        """Raises `DamagedRecord` if it cannot be told what is under `key`."""
        ...

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        """As `machine.Records.scan`; raises `Damaged` if it cannot be told which keys there are."""
        ...

    def commit(self, batch: Sequence[tuple[str, Record | None]]) -> None:
        """Make all of `batch` durable, later entries over earlier ones, or raise `StorageError`. After
        `NoRoom` the same batch can be tried again, and nothing else; after any other error nothing is known
        of it, and the storage is of no further use."""
        ...

    def next_boot(self) -> int:
        """A number greater than at every earlier call, on any earlier opening; durable. The first is 1."""
        ...

    def close(self) -> None:
        """Let go of the directory; never fails."""
        ...


class Owner(Struct, frozen=True):
    """Whose directory it is; written when it is first used."""

    format: int
    cluster: str
    node: str


class RocksStorage:
    """A directory with a RocksDB in it, made if missing; raises `NotOurs`, `Damaged`, or `StorageError` if it
    cannot be written. `reserve_bytes` of the disk are left free: what is committed then is `NoRoom`."""

    def __init__(self, directory: Path, cluster: str, node: str, reserve_bytes: int = 0) -> None:
        self._directory = directory
        self._reserve = reserve_bytes
        self._full = False
        self._stopped = False
        self._swap = Lock()  # whoever reads, or opens the engine anew
        self._db = self._open()
        try:
            self._claim(Owner(_FORMAT, cluster, node))
        except BaseException:
            self.close()
            raise

    def get(self, key: str) -> Record | None:
        raw = _RECORD + key.encode()
        try:
            content = self._get(raw)
        except Damaged:
            raise DamagedRecord(key) from None
        if content is None:
            return None
        try:
            record: Record = _decode_record(content)
        except DecodeError as error:
            raise self._failure(f"holds no record under {key!r}: {error}") from None
        return record

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        begins, last = _RECORD + prefix.encode(), _RECORD + after.encode()
        found: list[str] = []
        with self._swap:
            raw: Any = None
            for raw in self._db.keys(from_key=max(begins, last)):
                if not raw.startswith(begins):
                    return found
                if raw > last:
                    found.append(raw[len(_RECORD) :].decode())
                    if len(found) >= limit:
                        return found
            # The iterator is through with the whole directory, or it has met damage.
            check = self._db.iter(ReadOptions())
            check.seek(max(begins, last) if raw is None else raw + b"\0")
            try:
                check.status()
            except Exception as error:
                raise self._read_failure(error) from error
        return found

    def commit(self, batch: Sequence[tuple[str, Record | None]]) -> None:
        self._make_sure_of_room()
        writes = WriteBatch(raw_mode=True)
        for key, record in batch:
            raw = _RECORD + key.encode()
            if record is None:
                writes.delete(raw)
            else:
                writes.put(raw, _sealed(raw, _encode(record)))
        self._write(writes)

    def next_boot(self) -> int:
        found = self._get(_BOOT)
        boot = 1 + (int(found) if found else 0)
        self._put(_BOOT, b"%d" % boot)
        return boot

    def close(self) -> None:
        try:
            self._db.close()
        except Exception:  # its last flush failed; whatever was acknowledged is in the log
            pass

    # ---------------------------------------------------------------------------------------------------

    def _open(self) -> Rdict:
        try:
            _make_durably(self._directory)
        except OSError as error:
            raise self._failure(f"cannot be opened: {error.strerror}") from error
        for log in log_files(self._directory / RECORDS):
            if found := damage_in(log):
                raise self._failure(f"is damaged: {found}", Damaged)
        try:
            return Rdict(str(self._directory / RECORDS), _options())
        except Exception as error:
            text = str(error)
            if any(sign in text for sign in _IN_USE):
                raise self._failure("is in use by another process", NotOurs) from error
            if any(sign in text for sign in _NO_ROOM):
                raise self._failure(f"cannot be opened for want of room: {text}", NoRoom) from error
            if any(sign in text for sign in _DAMAGE):
                raise self._failure(f"is damaged: {text}", Damaged) from error
            raise self._failure(f"cannot be opened: {text}") from error

    def _open_anew(self) -> Rdict:
        try:
            return self._open()
        except NoRoom:
            self._db = Rdict(
                str(self._directory / RECORDS), _options(), access_type=AccessType.read_only(False)
            )
            raise

    def _claim(self, owner: Owner) -> None:
        found = self._get(_OWNER)
        if found is None:
            self._put(_OWNER, _encode(owner))
            return
        try:
            was = Decoder(Owner).decode(found)
        except DecodeError as error:
            raise self._failure(f"does not say whose it is: {error}") from None
        if was != owner:
            raise self._failure(
                f"belongs to node {was.node!r} of cluster {was.cluster!r} (format {was.format}), "
                f"not to node {owner.node!r} of cluster {owner.cluster!r} (format {owner.format})",
                NotOurs,
            )

    def _make_sure_of_room(self) -> None:
        """Begins to refuse at the reserve, and ends when there is somewhat more, or it would flicker."""
        needed = self._reserve + self._reserve // 4 if self._full else self._reserve
        if self._stopped:
            needed = max(needed, _TO_OPEN_ANEW_BYTES)
        free = shutil.disk_usage(self._directory).free
        if free < needed:
            self._full = True
            raise self._failure(f"has {free >> 20} MB of room left and needs {needed >> 20}", NoRoom)
        if self._stopped:
            with self._swap:
                self.close()
                self._db = self._open_anew()
            self._stopped = False
        self._full = False

    def _get(self, raw: bytes) -> bytes | None:
        """The content under the engine's key; raises `Damaged`."""
        try:
            with self._swap:
                found: bytes | None = self._db.get(raw)
        except Exception as error:  # rocksdict raises nothing more specific
            raise self._read_failure(error) from error
        if found is None:
            return None
        content = found[_CHECKSUM_BYTES:]
        if crc32(content, crc32(raw)) != int.from_bytes(found[:_CHECKSUM_BYTES], "little"):
            raise self._failure(f"is damaged: what is under {raw!r} was not written there", Damaged)
        return content

    def _put(self, raw: bytes, content: bytes) -> None:
        writes = WriteBatch(raw_mode=True)
        writes.put(raw, _sealed(raw, content))
        self._write(writes)

    def _write(self, writes: WriteBatch) -> None:
        try:
            self._db.write(writes)
            self._db.flush_wal(sync=True)
        except Exception as error:
            text = str(error)
            if any(sign in text for sign in _NO_ROOM):
                self._full = self._stopped = True
                raise self._failure(f"has no room: {text}", NoRoom) from error
            if "Corruption" in text:
                raise self._failure(f"is damaged: {text}", Damaged) from error
            raise self._failure(f"cannot be written: {text}") from error

    def _read_failure(self, error: Exception) -> StorageError:
        if any(sign in str(error) for sign in _UNREADABLE):
            return self._failure(f"is damaged: {error}", Damaged)
        return self._failure(f"cannot be read: {error}")

    def _failure(self, reason: str, kind: type[StorageError] = StorageError) -> StorageError:
        return kind(f"data directory {self._directory}: {reason}")


def _sealed(raw: bytes, content: bytes) -> bytes:
    """`content` behind a checksum over it and the key to which it belongs."""
    return crc32(content, crc32(raw)).to_bytes(_CHECKSUM_BYTES, "little") + content


def _make_durably(directory: Path) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_directory(made.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which files are in it, where the system can."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _options() -> Options:
    """Small, as several nodes run on one machine: about 50 MB each at most."""
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(8 << 20))
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_max_write_buffer_number(_BUFFERS)
    options.set_max_open_files(FILES_MAX)
    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    return options
