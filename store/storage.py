"""What a node keeps on its disk: records by storage key, a boot counter, and whose directory it is.

Acknowledged means fsynced: `commit` returns when the batch would survive a power failure. The engine is
RocksDB. Two of its habits decide how it is used here:

- By default its recovery stops at the first damaged byte of the write-ahead log and silently drops all that
  follows. A node that forgets what it promised breaks consensus, so a torn tail (an unfinished last write) is
  cut off, and any other damage refuses to open.
- `write` holds Python's lock, `flush_wal` releases it. So a batch is first written without syncing (into
  memory and the kernel), and the log is then synced, while the rest of the node runs on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, Encoder
from rocksdict import BlockBasedOptions, Cache, DBRecoveryMode, Options, Rdict, WriteBatch

from store.core.messages import Record

_RECORD: Final = b"r/"
_OWNER: Final = b"m/owner"
_BOOT: Final = b"m/boot"
_FORMAT: Final = 1

FILES_MAX: Final = 256
"""Of its sorted tables, the engine keeps so many files open."""

_IN_USE: Final = ("temporarily unavailable", "lock hold by current process", "used by another process")
"""How RocksDB says so on POSIX, in one process, and on Windows."""

_encode = Encoder().encode
_decode_record: Any = Decoder(Record).decode


class StorageError(Exception):
    """The disk or what is on it is of no use: one sentence that names the directory and the reason."""


class NotOurs(StorageError):
    """Nothing is wrong with the directory, but another process uses it, or it is another node's."""


class Storage(Protocol):
    """Durable records. `get` may be called while another thread is in `commit`; it need not yet show it."""

    def get(self, key: str) -> Record | None: ...

    def commit(self, batch: Sequence[tuple[str, Record]]) -> None:
        """Make all of `batch` durable, later entries over earlier ones, or raise `StorageError`; after an
        error nothing is known of the batch, and the storage is of no further use."""
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
    """A directory with a RocksDB in it, made if missing; raises `NotOurs`, or `StorageError` if it is damaged
    or cannot be written."""

    def __init__(self, directory: Path, cluster: str, node: str) -> None:
        self._directory = directory
        self._db = self._open()
        try:
            self._claim(Owner(_FORMAT, cluster, node))
        except BaseException:
            self.close()
            raise

    def get(self, key: str) -> Record | None:
        found = self._get(_RECORD + key.encode())
        if found is None:
            return None
        try:
            record: Record = _decode_record(found)
        except DecodeError as error:
            raise self._failure(f"holds no record under {key!r}: {error}") from None
        return record

    def commit(self, batch: Sequence[tuple[str, Record]]) -> None:
        writes = WriteBatch(raw_mode=True)
        for key, record in batch:
            writes.put(_RECORD + key.encode(), _encode(record))
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

    def _open(self) -> Rdict:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self._directory), _options())
        except Exception as error:
            if any(sign in str(error) for sign in _IN_USE):
                raise self._failure("is in use by another process", NotOurs) from error
            raise self._failure(_reason(error)) from error

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

    def _get(self, key: bytes) -> bytes | None:
        try:
            found: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict raises nothing more specific
            raise self._failure(f"cannot be read: {error}") from error
        return found

    def _put(self, key: bytes, value: bytes) -> None:
        writes = WriteBatch(raw_mode=True)
        writes.put(key, value)
        self._write(writes)

    def _write(self, writes: WriteBatch) -> None:
        try:
            self._db.write(writes)
            self._db.flush_wal(sync=True)
        except Exception as error:
            raise self._failure(f"cannot be written: {error}") from error

    def _failure(self, reason: str, kind: type[StorageError] = StorageError) -> StorageError:
        return kind(f"data directory {self._directory}: {reason}")


def _reason(error: Exception) -> str:
    text = str(error)
    if "Corruption" in text:
        return f"is damaged: {text}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened: {error.strerror}"
    return f"cannot be opened: {text}"


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
    options.set_write_buffer_size(8 << 20)
    options.set_max_write_buffer_number(4)
    options.set_max_open_files(FILES_MAX)
    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    return options
