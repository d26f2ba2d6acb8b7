"""What is not durable yet, laid over what is: against a dictionary that knows no difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.journal import Journal, bytes_of
from store.core.machine import Effect, Persist
from store.core.messages import (
    Acceptor,
    Cell,
    Elements,
    Fields,
    Hint,
    Note,
    Record,
    Register,
    Siblings,
    Stored,
)
from tests.support.soup import Kept

KEYS = ["a", "a/", "a/b", "a/é", "a/\U0001f300", "b", "b/a", "b/b"]
keys = st.sampled_from(KEYS)
steps = st.lists(
    st.tuples(st.just("put"), keys)
    | st.tuples(st.just("remove"), keys)
    | st.tuples(st.sampled_from(["commit", "tell"]), st.integers(1, 4)),
    max_size=30,
)


class Bench:
    """A journal and its disk, which commits by and by and tells of it later still."""

    def __init__(self) -> None:
        self.disk = Kept()
        self.model: dict[str, Record] = {}
        self.issued: list[Persist] = []
        self.sent: list[tuple[str, object]] = []
        self.committed = self.told = 0
        self.journal = Journal(self.disk, self._emit, lambda peer, message: self.sent.append((peer, message)))

    def _emit(self, effect: Effect) -> None:
        assert isinstance(effect, Persist)
        self.issued.append(effect)

    def put(self, key: str, record: Record | None) -> None:
        self.journal.put(key, record)
        if record is None:
            self.model.pop(key, None)
        else:
            self.model[key] = record

    def commit(self, count: int) -> None:
        for persist in self.issued[self.committed :][:count]:
            self.disk.keep(persist)
            self.committed += 1

    def tell(self, count: int) -> None:
        self.told = min(self.told + count, self.committed)
        if self.told:
            self.journal.persisted(self.issued[self.told - 1].token)

    def take(self, what: str, argument: str | int) -> None:
        if isinstance(argument, str):
            self.put(argument, Note(len(self.issued)) if what == "put" else None)
        elif what == "commit":
            self.commit(argument)
        else:
            self.tell(argument)


@given(
    steps, st.sampled_from(["", "a", "a/", "b", "c"]), st.sampled_from(["", "a/é", *KEYS]), st.integers(1, 9)
)
def test_a_scan_shows_what_is_newest_durable_or_not(
    taken: list[tuple[str, str | int]], prefix: str, after: str, limit: int
) -> None:
    bench = Bench()
    for step in taken:
        bench.take(*step)
        there = sorted(key for key in bench.model if key.startswith(prefix) and key > after)
        assert bench.journal.scan(prefix, after, limit) == there[:limit]


@given(steps)
def test_page_after_page_a_scan_shows_every_key_once(taken: list[tuple[str, str | int]]) -> None:
    bench = Bench()
    for step in taken:
        bench.take(*step)
    for limit in (1, 2, 3):
        found: list[str] = []
        while page := bench.journal.scan("", found[-1] if found else "", limit):
            found += page
        assert found == sorted(bench.model)


@given(steps)
def test_a_record_is_read_as_it_is_newest_and_nothing_is_kept_of_what_is_durable(
    taken: list[tuple[str, str | int]],
) -> None:
    bench = Bench()
    for step in taken:
        bench.take(*step)
        assert {key: bench.journal.get(key) for key in KEYS} == {key: bench.model.get(key) for key in KEYS}
        assert bench.journal.backlog == len(bench.issued) - bench.told
    bench.commit(len(bench.issued))
    bench.tell(len(bench.issued))
    assert bench.journal.backlog == 0
    assert not bench.journal._pending
    assert bench.disk == bench.model


@given(steps, keys)
def test_nothing_is_said_of_a_record_before_it_is_durable(
    taken: list[tuple[str, str | int]], key: str
) -> None:
    bench = Bench()
    waiting: dict[int, int] = {}
    for rid, step in enumerate(taken):
        bench.take(*step)
        own = [at for at, persist in enumerate(bench.issued, start=1) if persist.key == key]
        waiting[rid] = own[-1] if own else 0
        bench.journal.when_durable(key, "n2", Stored(rid))
        said = [message.rid for _, message in bench.sent if isinstance(message, Stored)]
        assert all(waiting[rid] <= bench.told for rid in said)
    bench.commit(len(bench.issued))
    bench.tell(len(bench.issued))
    assert sorted(message.rid for _, message in bench.sent if isinstance(message, Stored)) == list(waiting)


BIG = b"x" * 10_000
LWW = Cell((1, 0, "n1"), BIG)


@pytest.mark.parametrize(
    "record",
    [
        LWW,
        Acceptor((1, "n1"), (1, "n1"), Register(BIG, 1, ())),
        Siblings((1, 0, "n1"), (("n1", 2, (BIG[:5_000], BIG[5_000:])),)),
        Elements((("n1", 1),), ((BIG, (("n1", 1),)),)),
        Fields((("f", (1, 0, "n1"), BIG),)),
        Hint("n2", LWW, 0),
    ],
)
def test_whatever_clients_write_counts_towards_what_may_wait_for_the_disk(record: Record) -> None:
    assert 10_000 <= bytes_of(record) < 10_100
