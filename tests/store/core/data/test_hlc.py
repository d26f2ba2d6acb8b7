"""Stamps rise: from step to step, over what others sent, and over restarts with the wall clock anywhere."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from store.core.data.hlc import AHEAD_US, CLOCK, HybridClock
from store.core.journal import Journal
from store.core.machine import Effect, Persist
from store.core.messages import Note, Record, Stamp


class Disk(dict[str, Record]):
    """Durable records, what is on its way to them, and a journal over both."""

    def __init__(self) -> None:
        super().__init__()
        self.unsynced: list[Persist] = []
        self.journal = self.boot()

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        return []

    def boot(self) -> Journal:
        self.unsynced.clear()
        self.journal = Journal(self, self._emit, lambda peer, message: None)
        return self.journal

    def _emit(self, effect: Effect) -> None:
        assert isinstance(effect, Persist)
        self.unsynced.append(effect)

    def sync(self) -> None:
        while self.unsynced:
            persist = self.unsynced.pop(0)
            assert persist.record is not None
            self[persist.key] = persist.record
            self.journal.persisted(persist.token)


moves = st.one_of(
    st.tuples(st.just("stamp"), st.integers(0, 40 * AHEAD_US)),
    st.tuples(st.just("hear"), st.integers(0, 60 * AHEAD_US)),
    st.tuples(st.just("sync"), st.just(0)),
    st.tuples(st.just("crash"), st.just(0)),
)


@given(st.lists(moves, max_size=60))
def test_stamps_that_may_leave_rise_whatever_the_wall_clock_and_the_crashes(
    steps: list[tuple[str, int]],
) -> None:
    disk = Disk()
    clock = HybridClock("n1", disk.journal)
    left: list[Stamp] = []
    for what, value in steps:
        if what == "hear":
            clock.observe((value, 3, "n2"))
        elif what == "sync":
            disk.sync()
        elif what == "crash":
            clock = HybridClock("n1", disk.boot())
        else:
            if not clock.ready(value):
                disk.sync()
            if clock.ready(value):  # not so while a restarted clock waits
                left.append(clock.stamp(value))
    assert all(earlier < later for earlier, later in pairwise(left))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), max_size=30))
def test_stamps_are_above_all_that_were_given_or_observed(steps: list[tuple[bool, int]]) -> None:
    clock = HybridClock("n1", Disk().journal)
    highest: tuple[int, int] = (-1, 0)
    for hears, micros in steps:
        if hears:
            clock.observe((micros, 2, "n2"))
            highest = max(highest, (micros, 2))
        else:
            stamp = clock.stamp(micros)
            assert stamp[:2] > highest
            assert stamp[0] >= micros
            highest = stamp[:2]


def test_the_bound_is_written_once_in_a_while_and_not_for_every_stamp() -> None:
    disk = Disk()
    clock = HybridClock("n1", disk.journal)
    written = 0
    for wall in range(0, 60 * 1_000_000, 1_000):
        assert clock.ready(wall) or wall == 0
        clock.stamp(wall)
        written += len(disk.unsynced)
        disk.sync()
    assert written <= 60 * 1_000_000 // (AHEAD_US // 2) + 1


@given(st.lists(st.tuples(st.integers(1, 3 * AHEAD_US), st.booleans()), max_size=30))
def test_while_the_wall_clock_is_right_no_stamp_is_ahead_of_it_not_even_after_a_crash(
    steps: list[tuple[int, bool]],
) -> None:
    disk = Disk()
    clock = HybridClock("n1", disk.journal)
    wall = 10**15
    for later, crash in steps:
        wall += later
        if crash:
            clock = HybridClock("n1", disk.boot())
        ready = clock.ready(wall)
        disk.sync()
        if ready or clock.ready(wall):
            assert clock.stamp(wall)[0] == wall
        else:
            assert later <= AHEAD_US


def test_after_a_restart_with_the_clock_set_back_it_goes_on_from_the_bound() -> None:
    disk = Disk()
    disk[CLOCK] = Note(9_000_000)
    clock = HybridClock("n1", disk.boot())
    assert clock.stamp(5) > (9_000_000, 0, "n1")
