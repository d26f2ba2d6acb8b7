"""Group commit: one thread syncs what has gathered while it synced what came before.

A commit costs about the same for one record as for hundreds, so under load the batches grow by themselves.
A full disk is waited out: nothing is dropped and nothing acknowledged, and the same batch is tried again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

import trio

from store.core.messages import Record
from store.persistence.storage import NoRoom, Storage, StorageError

Batch = list[tuple[str, Record | None]]

RETRY_S: Final = 0.5
"""How often a full disk is asked again."""

_log = logging.getLogger(__name__)


class Disk:
    """Commits to `storage`, in order. `durable(token)`, `full(whether)` and `failed(error)` are called in the
    trio thread; after `failed` nothing more is committed."""

    def __init__(
        self,
        storage: Storage,
        durable: Callable[[int], None],
        full: Callable[[bool], None],
        failed: Callable[[StorageError], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._storage = storage
        self._durable = durable
        self._full = full
        self._failed = failed
        self._retry_s = retry_s
        self._submitted = 0
        self._closing = threading.Event()
        self._queue: queue.SimpleQueue[tuple[int, Batch] | None] = queue.SimpleQueue()
        self._trio = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()
        self.commits = 0
        self.records = 0

    @property
    def waiting(self) -> int:
        """Records that were submitted and are not durable yet."""
        return self._submitted - self.records

    def submit(self, token: int, batch: Batch) -> None:
        """Commit `batch`, which is the disk's from now on; `token` is the last of its own."""
        self._submitted += len(batch)
        self._queue.put((token, batch))

    def close(self) -> None:
        """Commit what was submitted, unless the disk is full, and end."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                token, batch, more = self._gather(*first)
                try:
                    if not self._commit(batch):
                        return
                except StorageError as error:
                    self._trio.run_sync_soon(self._failed, error)
                    return
                except BaseException as error:  # whatever it is, nothing may be acknowledged after it
                    self._trio.run_sync_soon(
                        self._failed, StorageError(f"the disk's thread ended by {error!r}")
                    )
                    return
                self.commits += 1
                self.records += len(batch)
                self._trio.run_sync_soon(self._durable, token)
                if not more:
                    return
        except trio.RunFinishedError:
            pass  # nobody is left to be told

    def _commit(self, batch: Batch) -> bool:
        """As soon as there is room; false if the disk is closed before."""
        full = False
        while True:
            try:
                self._storage.commit(batch)
            except NoRoom as error:
                if not full:
                    full = True
                    _log.warning("%s; writes wait", error)
                    self._trio.run_sync_soon(self._full, True)
                if self._closing.wait(self._retry_s):
                    return False
            else:
                if full:
                    self._trio.run_sync_soon(self._full, False)
                return True

    def _gather(self, token: int, batch: Batch) -> tuple[int, Batch, bool]:
        """All that waits, with the last token; and whether more may come."""
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return token, batch, True
            if waiting is None:
                return token, batch, False
            token = waiting[0]
            batch += waiting[1]
