"""Group commit with a disk that the test controls: what waits, what is told, and what is tried again."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

from store.core.messages import Cell, Record
from store.persistence.disk import Batch, Disk
from store.persistence.storage import NoRoom, StorageError


class Storage:
    """Commits while `gate` is open; refuses while there is no `room`; fails once `broken`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.refused: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.room = True
        self.tried_often = threading.Event()
        self.broken: BaseException | None = None

    def commit(self, batch: Sequence[tuple[str, Record | None]]) -> None:
        self.gate.wait()
        keys = [key for key, _ in batch]
        if self.broken is not None:
            raise self.broken
        if not self.room:
            self.refused.append(keys)
            if len(self.refused) >= 3:
                self.tried_often.set()
            raise NoRoom("data directory x: has 3 MB of room left and needs 64")
        self.batches.append(keys)

    def get(self, key: str) -> Record | None:
        return None

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        return []

    def next_boot(self) -> int:
        return 1

    def close(self) -> None:
        pass


class Told:
    """What the disk says, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.storage = Storage()
        self.said: list[object] = []
        self._news = trio.Event()
        self.disk = Disk(self.storage, self._hear, self._hear, self._hear, retry_s=0.001)

    def _hear(self, what: object) -> None:
        self.said.append(what)
        self._news.set()
        self._news = trio.Event()

    async def until(self, count: int) -> list[object]:
        with trio.fail_after(5):
            while len(self.said) < count:
                await self._news.wait()
        return self.said

    def submit(self, token: int, *keys: str) -> None:
        self.disk.submit(token, batch(*keys))


def batch(*keys: str) -> Batch:
    return [(key, Cell((1, 0, "n1"), b"")) for key in keys]


def run(test: Callable[[Told], Awaitable[None]]) -> Told:
    async def main() -> Told:
        told = Told()
        try:
            await test(told)
        finally:
            told.storage.gate.set()
            told.disk.close()
        return told

    return trio.run(main)


def test_what_gathers_is_committed_together_in_order_and_counted_until_it_is_durable() -> None:
    async def test(told: Told) -> None:
        told.storage.gate.clear()
        told.submit(1, "a")
        for token, key in enumerate("bcd", 2):
            told.submit(token, key, key * 2)
        assert told.disk.waiting == 7
        told.storage.gate.set()
        while told.said[-1:] != [4]:
            await told.until(len(told.said) + 1)
        assert told.disk.waiting == 0
        assert told.disk.records == 7
        committed = [key for keys in told.storage.batches for key in keys]
        assert committed == ["a", "b", "bb", "c", "cc", "d", "dd"]
        assert len(told.storage.batches) <= 2

    run(test)


def test_a_full_disk_is_said_once_and_nothing_is_dropped_nor_acknowledged_until_there_is_room() -> None:
    async def test(told: Told) -> None:
        told.storage.room = False
        told.submit(1, "a")
        assert await told.until(1) == [True]
        told.submit(2, "b")
        await trio.to_thread.run_sync(told.storage.tried_often.wait)
        assert told.said == [True]
        assert told.disk.waiting == 2
        told.storage.room = True
        assert await told.until(4) == [True, False, 1, 2]
        assert told.storage.refused == [["a"]] * len(told.storage.refused)
        assert told.storage.batches == [["a"], ["b"]]

    run(test)


def test_a_disk_that_is_full_to_the_end_can_be_closed() -> None:
    async def test(told: Told) -> None:
        told.storage.room = False
        told.submit(1, "a")
        await told.until(1)

    told = run(test)
    assert told.said == [True]
    assert told.storage.batches == []


@pytest.mark.parametrize("error", [StorageError("broken"), ZeroDivisionError()])
def test_after_an_error_nothing_more_is_committed(error: Exception) -> None:
    async def test(told: Told) -> None:
        told.submit(1, "a")
        await told.until(1)
        told.storage.broken = error
        told.submit(2, "b")
        (durable, failure) = await told.until(2)
        assert durable == 1
        assert isinstance(failure, StorageError)
        told.storage.broken = None
        told.submit(3, "c")

    told = run(test)
    assert told.storage.batches == [["a"]]


def test_an_error_while_the_disk_is_full_is_an_error() -> None:
    async def test(told: Told) -> None:
        told.storage.room = False
        told.submit(1, "a")
        await told.until(1)
        told.storage.broken = StorageError("broken")
        assert (await told.until(2))[1] is told.storage.broken

    run(test)
