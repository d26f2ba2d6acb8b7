"""The host's own clock, on a kernel that is made up: no test may touch that of the machine."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.hand import clocks, tool
from harness.hand.context import Context, Refused
from harness.hand.kernel import Kernel, Rate, Reading, Timex
from harness.hand.undo import UndoLog

SECOND = 1_000_000_000
OURS = {"shared": False, "harness_boot": "another"}
DISCIPLINED = Rate(10_000, 13 * 65_536)
"""A clock that a time service has found to be 13 ppm slow."""


class MadeUp(Kernel):
    """Time passes only while somebody sleeps. `steps` is the sum of all steps."""

    def __init__(self) -> None:
        self.raw = 5 * SECOND
        self.gained = 0.0
        self.steps = 0
        self.running_at = DISCIPLINED
        self.why_not = ""
        self._one_at_a_time = threading.Lock()

    def read(self) -> Reading:
        monotonic = self.raw + round(self.gained)
        return Reading(1_700_000_000 * SECOND + monotonic + self.steps, monotonic, self.raw)

    def rate(self) -> Rate:
        return self.running_at

    def run_at(self, rate: Rate) -> None:
        self.running_at = rate

    def step(self, ns: int) -> None:
        self.steps += ns

    def whose(self) -> str:
        return self.why_not

    def sleep(self, seconds: float) -> None:
        with self._one_at_a_time:
            self.raw += round(seconds * SECOND)
            self.gained += seconds * 1000 * self.running_at.ppm()

    def error_ns(self) -> float:
        """How far the wall clock is from what it would be if nobody had touched it."""
        passed = self.raw - 5 * SECOND
        return self.read().real - (1_700_000_005 * SECOND + passed) - passed * DISCIPLINED.ppm() / 1e6


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUp]:
    with made_up(monkeypatch) as kernel:
        yield kernel


class made_up:
    """Puts a kernel in place, and a machine on which no time service runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __enter__(self) -> MadeUp:
        kernel = MadeUp()
        self._monkeypatch.setattr(clocks, "kernel", kernel)
        self._monkeypatch.setattr(tool, "attempt", lambda words: (3, "inactive\n" * len(words[2:]), ""))
        return kernel

    def __exit__(self, *error: object) -> None:
        clocks._still()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))


def kinds(context: Context) -> list[str]:
    return [entry.kind for entry in UndoLog(context.home / "undo.jsonl").open()]


def test_a_bump_moves_the_clock_and_a_reset_takes_it_back(kernel: MadeUp, context: Context) -> None:
    told = clocks.bump(context, {**OURS, "offset_ms": -90_000})
    assert told["moved_ns"] == -90 * SECOND
    kernel.sleep(20)
    assert round(kernel.error_ns()) == -90 * SECOND
    assert kinds(context) == ["clock"]
    told = clocks.reset(context, OURS)
    assert told["was_ns"] == -90 * SECOND
    assert told["left_ns"] == 0 == told["jumps"]
    assert abs(kernel.error_ns()) < 2
    assert kinds(context) == []


def test_a_drift_is_measured_and_what_was_gained_is_taken_back(kernel: MadeUp, context: Context) -> None:
    told = clocks.drift(context, {**OURS, "rate_ppm": -81_920})
    assert told["rate_ppm"] == -81_920
    assert told["gained_ns"] / told["in_ns"] == pytest.approx(-0.08192)
    kernel.sleep(10)
    assert kernel.error_ns() / SECOND == pytest.approx(-0.8192 * 1.02)
    told = clocks.reset(context, OURS)
    assert (told["was_ppm"], kernel.rate()) == (-81_920, DISCIPLINED)
    assert abs(kernel.error_ns()) < 2
    kernel.sleep(1000)
    assert abs(kernel.error_ns()) < 2


@given(st.integers(-100_000, 100_000))
def test_a_rate_is_what_was_asked_for_and_one_that_the_kernel_takes(ppm: int) -> None:
    rate = Rate(10_000, 0).changed(ppm)
    assert rate.ppm() == ppm
    assert 9_000 <= rate.tick <= 11_000
    assert abs(rate.frequency) <= 500 * 65_536


@pytest.mark.parametrize("ppm", [100_051, -327_680])
def test_a_rate_that_no_kernel_takes_is_refused_and_nothing_is_changed(
    kernel: MadeUp, context: Context, ppm: int
) -> None:
    with pytest.raises(Refused, match=f"100,000 ppm at most to either side, not by {ppm:,}$"):
        clocks.drift(context, {**OURS, "rate_ppm": ppm})
    assert kinds(context) == []
    assert kernel.rate() == DISCIPLINED


faults = st.one_of(
    st.tuples(st.just("bump"), st.integers(-300_000, 300_000)),
    st.tuples(st.just("drift"), st.integers(-90_000, 90_000)),
    st.tuples(st.just("sleep"), st.integers(0, 60)),
)


@settings(max_examples=40)
@given(st.lists(faults, max_size=12))
def test_after_any_faults_a_reset_leaves_the_clock_as_if_nothing_had_been(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, int]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    context = Context(home, UndoLog(home / "undo.jsonl"))
    with pytest.MonkeyPatch.context() as monkeypatch, made_up(monkeypatch) as kernel:
        for what, how_much in done:
            if what == "bump":
                clocks.bump(context, {**OURS, "offset_ms": how_much})
            elif what == "drift":
                clocks.drift(context, {**OURS, "rate_ppm": how_much})
            else:
                kernel.sleep(how_much)
        clocks.reset(context, OURS)
        assert abs(kernel.error_ns()) < clocks.RIGHT_NS
        assert kernel.rate() == DISCIPLINED


def test_a_strobe_jumps_until_it_is_ended_and_leaves_the_clock_back(kernel: MadeUp, context: Context) -> None:
    told = clocks.strobe(context, {**OURS, "delta_ms": 4000, "period_ms": 7})
    assert told["moved_ns"] == 4 * SECOND
    seen = set()
    wait_until(lambda: bool(seen.add(kernel.steps)) or seen == {0, 4 * SECOND})
    strobe = clocks._strobe
    assert strobe is not None
    wait_until(lambda: strobe.jumps >= 10)
    told = clocks.reset(context, OURS)
    assert told["jumps"] >= 10
    assert not strobe.is_alive()
    assert strobe.jumps % 2 == 0
    assert abs(kernel.error_ns()) < 2
    assert kernel.raw - 5 * SECOND >= (strobe.jumps - 2) * 7_000_000, "it is not faster than was asked"


def test_a_strobe_does_not_undo_the_bumps_of_others(kernel: MadeUp, context: Context) -> None:
    clocks.bump(context, {**OURS, "offset_ms": 100})
    clocks.strobe(context, {**OURS, "delta_ms": -50, "period_ms": 1})
    for _ in range(20):
        told = clocks.bump(context, {**OURS, "offset_ms": 1000})
        assert (told["moved_ns"], told["strobes"]) == (SECOND, True)
    clocks._still()
    assert kernel.steps == 20_100_000_000


def test_a_clock_whose_hand_was_killed_in_mid_strobe_is_set_right_from_the_log(
    kernel: MadeUp, context: Context
) -> None:
    clocks.drift(context, {**OURS, "rate_ppm": 50_000})
    kernel.step(-77 * SECOND)  # the strobe was forth, and there is no thread that would take it back
    kernel.sleep(3)
    (entry,) = UndoLog(context.home / "undo.jsonl").open()
    assert "is now by +0.000 ms" in clocks.undo(entry.args)
    assert abs(kernel.error_ns()) < 2
    steps = kernel.steps
    kernel.sleep(50)
    clocks.undo(entry.args)
    assert kernel.steps == steps, "the second time there is nothing to do"


def test_after_a_reboot_the_clock_is_left_as_it_is(kernel: MadeUp, context: Context) -> None:
    clocks.bump(context, {**OURS, "offset_ms": 5000})
    (entry,) = context.undo.open()
    assert clocks.undo({**entry.args, "boot": "an earlier one"}).endswith("was started again")
    assert kernel.steps == 5 * SECOND


@pytest.mark.parametrize(
    ("args", "why_not", "said"),
    [
        ({"shared": True, "harness_boot": ""}, "", "shared with others"),
        ({"harness_boot": ""}, "", "shared with others"),
        ({"shared": False, "harness_boot": clocks.boot_id()}, "", "the harness runs on the same kernel"),
        ({"shared": False, "harness_boot": ""}, "this is a container", "this is a container"),
    ],
)
def test_a_clock_that_is_not_the_hosts_alone_is_refused(
    kernel: MadeUp, context: Context, args: dict[str, Any], why_not: str, said: str
) -> None:
    kernel.why_not = why_not
    for operation, more in [
        (clocks.bump, {"offset_ms": 1}),
        (clocks.drift, {"rate_ppm": 1}),
        (clocks.strobe, {"delta_ms": 1, "period_ms": 1}),
        (clocks.reset, {}),
        (clocks.check, {}),
    ]:
        with pytest.raises(Refused, match=said):
            operation(context, {**args, **more})
    assert kinds(context) == []
    assert (kernel.steps, kernel.rate()) == (0, DISCIPLINED)


@pytest.mark.parametrize("offset_ms", [True, 1.5, "1", 10**13])
def test_an_offset_that_is_no_whole_number_is_refused(
    kernel: MadeUp, context: Context, offset_ms: object
) -> None:
    with pytest.raises(Refused, match=r"^offset_ms must be a whole number"):
        clocks.bump(context, {**OURS, "offset_ms": offset_ms})
    assert kinds(context) == []


def test_time_services_are_stopped_first_and_started_again_at_last(
    kernel: MadeUp, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    states = ["active" if unit == "systemd-timesyncd" else "inactive" for unit in clocks.KEEPING_UNITS]
    monkeypatch.setattr(tool, "attempt", lambda words: (0, "\n".join(states), ""))
    monkeypatch.setattr(tool, "run", lambda words, limit_s: ran.append(words) or "")
    clocks.bump(context, {**OURS, "offset_ms": 5000})
    clocks.bump(context, {**OURS, "offset_ms": 5000})
    assert ran == [["systemctl", "stop", "systemd-timesyncd"]]
    assert kinds(context) == ["time-services", "clock"]
    clocks.reset(context, OURS)
    assert kinds(context) == ["time-services"], "it would take a while to stop it for each fault"
    (entry,) = context.undo.open()
    assert clocks.UNDOERS[entry.kind](entry.args) == "started again: systemd-timesyncd"
    assert ran[1:] == [["systemctl", "start", "systemd-timesyncd"]]


def test_everything_can_be_tried_at_once(kernel: MadeUp, context: Context) -> None:
    told = clocks.check(context, OURS)
    assert told["bump"]["moved_ns"] == 5 * SECOND
    assert told["drift"]["gained_ns"] == pytest.approx(0.05 * told["drift"]["in_ns"])
    assert told["reset"]["left_ns"] == pytest.approx(0, abs=2)
    assert kinds(context) == []


def test_this_kernel_is_read_as_it_is() -> None:
    """Nothing but reading."""
    kernel = Kernel()
    before = time.time_ns(), time.monotonic_ns()
    reading = kernel.read()
    after = time.time_ns(), time.monotonic_ns()
    assert before[0] <= reading.real <= after[0]
    assert before[1] <= reading.monotonic <= after[1]
    rate = kernel.rate()
    assert 9_000 <= rate.tick <= 11_000
    assert abs(rate.ppm()) <= 100_500
    if sys.maxsize > 2**32:
        assert (ctypes.sizeof(Timex), Timex.tick.offset, Timex.seconds.offset) == (208, 88, 72)


@pytest.mark.parametrize(
    ("ns", "seconds", "microseconds"),
    [(1_500_000_000, 1, 500_000), (-1_500_000_000, -2, 500_000), (-1, 0, 0), (-1600, -1, 999_998), (0, 0, 0)],
)
def test_a_step_is_told_to_the_kernel_as_adjtimex_wants_it(
    monkeypatch: pytest.MonkeyPatch, ns: int, seconds: int, microseconds: int
) -> None:
    told: list[Timex] = []
    monkeypatch.setattr(Kernel, "_adjust", lambda self, timex: told.append(timex) or timex)
    Kernel().step(ns)
    Kernel().run_at(Rate(10_500, -3))
    assert [told[0].modes, told[0].seconds, told[0].microseconds] == [0x100, seconds, microseconds]
    assert [told[1].modes, told[1].tick, told[1].freq] == [0x4002, 10_500, -3]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0001)
