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
