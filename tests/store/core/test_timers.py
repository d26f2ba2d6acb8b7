from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from store.core.machine import Effect, SetTimer
from store.core.timers import DEAD_MAX, Timers


class Driver:
    """Brings what was set, at its time. `fired`: (time, which) in order."""

    def __init__(self) -> None:
        self.now = 0
        self.fired: list[tuple[int, str]] = []
        self.set: list[int] = []
        self.set_in_all = 0
        self.timers = Timers(self._emit)

    def _emit(self, effect: Effect) -> None:
        assert isinstance(effect, SetTimer)
        heapq.heappush(self.set, effect.at)
        self.set_in_all += 1

    def after(self, nanos: int, which: str) -> int:
        return self.timers.at(self.now + nanos, lambda: self.fired.append((self.now, which)))

    def pass_time(self, nanos: int) -> None:
        until = self.now + nanos
        while self.set and self.set[0] <= until:
            self.now = max(self.now, heapq.heappop(self.set))
            self.timers.fired(self.now)
        self.now = until


def test_timers_fire_once_each_at_its_time() -> None:
    driver = Driver()
    for nanos, which in ((30, "c"), (10, "a"), (20, "b"), (10, "a2")):
        driver.after(nanos, which)
    driver.pass_time(100)
    assert driver.fired == [(10, "a"), (10, "a2"), (20, "b"), (30, "c")]
    assert not driver.timers


def test_a_cancelled_timer_is_not_set_at_the_driver_when_its_turn_would_come() -> None:
    driver = Driver()
    driver.after(10, "a")
    for nanos in range(11, 500):
        driver.timers.cancel(driver.after(nanos, "never"))
    driver.after(1_000, "b")
    driver.pass_time(2_000)
    assert driver.fired == [(10, "a"), (1_000, "b")]
    assert driver.set_in_all == 2


def test_one_of_two_at_the_same_time_may_cancel_the_other() -> None:
    driver = Driver()
    second: list[int] = []
    driver.timers.at(10, lambda: driver.timers.cancel(second[0]))
    second.append(driver.after(10, "second"))
    driver.pass_time(50)
    assert driver.fired == []


def test_a_timer_that_a_timer_sets_for_now_fires_after_it() -> None:
    driver = Driver()
    driver.timers.at(10, lambda: driver.after(0, "again") and None)
    driver.after(10, "beside")
    driver.pass_time(50)
    assert driver.fired == [(10, "beside"), (10, "again")]


def test_timers_that_were_cancelled_do_not_pile_up() -> None:
    driver = Driver()
    for _ in range(10 * DEAD_MAX):
        driver.timers.cancel(driver.after(1_000, "never"))
        assert len(driver.timers._due) <= DEAD_MAX + 1
    driver.after(2_000, "a")
    driver.pass_time(5_000)
    assert driver.fired == [(2_000, "a")]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.booleans()), max_size=60))
def test_as_if_each_had_been_set_by_itself(steps: list[tuple[int, int, bool]]) -> None:
    """Steps: a timer after so long; then so much time passes; then the newest is cancelled, or not."""
    driver = Driver()
    expected: dict[int, int] = {}
    for nanos, passes, cancels in steps:
        token = driver.after(nanos, str(len(expected) + 1))
        expected[len(expected) + 1] = driver.now + nanos
        driver.pass_time(passes)
        if cancels:
            driver.timers.cancel(token)
            if expected[len(expected)] > driver.now:
                expected[len(expected)] = -1
    driver.pass_time(100)
    assert sorted(driver.fired) == sorted((at, str(which)) for which, at in expected.items() if at >= 0)
