import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.clock import EPOCH_NS, WallClock
from harness.sim.world import MS, SECOND


def test_it_shows_true_time_until_it_is_bumped():
    clock = WallClock()
    assert clock.read(5 * SECOND) == EPOCH_NS + 5 * SECOND
    assert clock.offset_ms(5 * SECOND) == 0


def test_bumps_add_up_and_a_reset_undoes_them():
    clock = WallClock()
    clock.bump(250)
    clock.bump(-1000)
    assert clock.offset_ms(SECOND) == -750
    assert clock.read(SECOND) == EPOCH_NS + SECOND - 750 * MS
    clock.reset()
    assert clock.offset_ms(SECOND) == 0


def test_a_clock_cannot_show_a_time_before_1970():
    clock = WallClock()
    clock.bump(-100 * 365 * 86_400_000)
    assert clock.read(0) == 0
    assert clock.offset_ms(0) == -EPOCH_NS / MS


def test_a_clock_that_drifts_gains_or_loses_and_keeps_what_it_has_gained():
    clock = WallClock()
    clock.drift(1000, 5 * SECOND)
    assert clock.offset_ms(5 * SECOND) == 0
    assert clock.offset_ms(15 * SECOND) == 10
    clock.drift(-2000, 15 * SECOND)
    assert clock.offset_ms(20 * SECOND) == 0
    clock.drift(0, 25 * SECOND)
    assert clock.offset_ms(99 * SECOND) == -10
    clock.bump(3)
    assert clock.offset_ms(99 * SECOND) == -7


def test_a_reset_ends_the_drift():
    clock = WallClock()
    clock.drift(1000, 0)
    clock.reset()
    assert clock.offset_ms(50 * SECOND) == 0


def test_a_strobe_jumps_forth_and_back_beside_whatever_else_the_clock_does():
    clock = WallClock()
    clock.bump(100)
    clock.strobe(-7000, 250, 2 * SECOND)
    at = [2 * SECOND + quarters * 250 * MS + rest for quarters in range(4) for rest in (0, 250 * MS - 1)]
    assert [clock.offset_ms(now) for now in at] == [-6900, -6900, 100, 100] * 2
    assert [clock.jumps(now) for now in at] == [1, 1, 2, 2, 3, 3, 4, 4]
    clock.drift(1000, 3 * SECOND)
    clock.bump(50)
    assert clock.offset_ms(13 * SECOND) == 100 + 50 + 10 - 7000
    clock.reset()
    assert clock.is_right(13 * SECOND)
    assert clock.jumps(13 * SECOND) == 0


@given(st.integers(1, 1000), st.integers(-(2**18), 2**18), st.lists(st.integers(0, 10**12), max_size=9))
def test_a_strobe_shows_what_a_clock_does_that_is_bumped_at_every_period(period_ms, delta_ms, waits):
    clock, bumped = WallClock(), WallClock()
    clock.strobe(delta_ms, period_ms, 0)
    for now in sorted(waits):
        bumped.reset()
        bumped.bump(delta_ms if now // MS // period_ms % 2 == 0 else 0)
        assert clock.read(now) == bumped.read(now)


def test_a_clock_that_drifts_is_not_right_even_before_it_has_gained_anything():
    clock = WallClock()
    assert clock.is_right(SECOND)
    clock.drift(1, SECOND)
    assert not clock.is_right(SECOND)


@pytest.mark.parametrize("period_ms", [0, -1])
def test_a_strobe_needs_a_period(period_ms):
    with pytest.raises(ValueError, match=f"1 ms or more, not {period_ms}"):
        WallClock().strobe(5, period_ms, 0)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-999_999, 1_000_000)), max_size=9))
def test_a_clock_that_only_drifts_never_goes_back(steps):
    clock, now = WallClock(), 0
    for duration, ppm in steps:
        before = clock.read(now)
        clock.drift(ppm, now)
        assert clock.read(now) >= before
        now += duration
        assert clock.read(now) >= before


@pytest.mark.parametrize("ppm", [-1_000_000, 1_000_001])
def test_no_clock_stands_still_or_runs_more_than_twice_as_fast(ppm):
    with pytest.raises(ValueError, match=f"not by {ppm}"):
        WallClock().drift(ppm, 0)
