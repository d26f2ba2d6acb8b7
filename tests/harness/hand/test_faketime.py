"""The wall clocks of single processes: real ones, under the library, beside the machine's, which stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.hand import faketime
from harness.hand.context import Context, Refused
from harness.hand.faketime import Line
from harness.hand.undo import UndoLog

MS = 1_000_000
needs_cc = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None,
    reason="needs Linux and a C compiler (apt-get install gcc libc6-dev)",
)

TELL = """
import sys, time
for line in sys.stdin:
    print(time.time_ns(), flush=True)
"""

READ = """
import ctypes, json, time
from datetime import datetime

class Pair(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("rest", ctypes.c_long)]

def seen(call, *args):
    pair = Pair()
    call(*args(pair))
    return pair.seconds

libc = ctypes.CDLL(None)
at = ctypes.byref
pair = Pair()
shown = {}
for name in ("CLOCK_REALTIME", "CLOCK_TAI"):
    shown[name] = time.clock_gettime(getattr(time, name))
libc.clock_gettime(5, at(pair)); shown["CLOCK_REALTIME_COARSE"] = pair.seconds
libc.gettimeofday(at(pair), None); shown["gettimeofday"] = pair.seconds
libc.timespec_get(at(pair), 1); shown["timespec_get"] = pair.seconds
libc.time.restype = ctypes.c_long
shown["time"] = libc.time(None)
shown["datetime"] = datetime.now().timestamp()
print(json.dumps(shown))
"""

WAIT = """
import ctypes, json, os, select, threading, time

class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("rest", ctypes.c_long)]

class Timer(ctypes.Structure):
    _fields_ = [("interval", Time), ("first", Time)]

libc = ctypes.CDLL(None, use_errno=True)
at = ctypes.byref
REAL, MONOTONIC = 0, 1

def soon(clock):
    ns = time.clock_gettime_ns(clock) + 100_000_000
    return Time(ns // 10**9, ns % 10**9)

def timer(clock):
    file = libc.timerfd_create(clock, 0)
    assert libc.timerfd_settime(file, 1, at(Timer(Time(0, 0), soon(clock))), None) == 0
    os.read(file, 8)

def condition(clock):
    attributes, there, mutex = (ctypes.create_string_buffer(64) for _ in range(3))
    libc.pthread_condattr_init(attributes)
    libc.pthread_condattr_setclock(attributes, clock)
    libc.pthread_cond_init(there, attributes)
    libc.pthread_mutex_lock(mutex)
    assert libc.pthread_cond_timedwait(there, mutex, at(soon(clock))) == 110

def semaphore(clock):
    there = ctypes.create_string_buffer(64)
    libc.sem_init(there, 0, 0)
    libc.sem_timedwait(there, at(soon(clock)))

def mutex(clock):
    there = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(there)
    assert libc.pthread_mutex_timedlock(there, at(soon(clock))) == 110

def nanosleep(clock):
    assert libc.clock_nanosleep(clock, 1, at(soon(clock)), None) == 0

waits = {
    "sleep": lambda: time.sleep(0.1),
    "event": lambda: threading.Event().wait(0.1),
    "epoll": lambda: select.epoll().poll(0.1),
    "select": lambda: select.select([], [], [], 0.1),
    "semaphore": lambda: semaphore(REAL),
    "mutex": lambda: mutex(REAL),
}
for call in (timer, condition, nanosleep):
    waits[call.__name__ + " real"] = lambda call=call: call(REAL)
    waits[call.__name__ + " monotonic"] = lambda call=call: call(MONOTONIC)
took = {}
for name, wait in waits.items():
    began = time.monotonic()
    wait()
    took[name] = time.monotonic() - began
print(json.dumps(took))
"""


class Clock:
    """A node's clock, and a process that shows it."""

    def __init__(self, home: Path, node: str = "n1") -> None:
        self.home = home
        self.node = {"node": node}
        self.env: dict[str, str] = self.do("prepare")["env"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", TELL],
            env={**os.environ, **self.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ahead_ms()

    def do(self, operation: str, **args: object) -> dict[str, Any]:
        """Each time as if by another hand, which knows what is on the disk."""
        context = Context(self.home, UndoLog(self.home / "undo.jsonl"))
        return dict(getattr(faketime, operation)(context, {**self.node, **args}))

    def ahead_ms(self) -> float:
        """How far ahead of the machine's clock it is; within a few milliseconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        took = 2 * MS
        deadline = time.monotonic() + 10
        while took >= 2 * MS:
            assert time.monotonic() < deadline
            before = time.time_ns()
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            wall = int(self.process.stdout.readline())
            took = time.time_ns() - before
        return (wall - before - took / 2) / MS

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    wall_on_monotonic = time.time_ns() - time.monotonic_ns()
    made = Clock(tmp_path)
    yield made
    made.end()
    assert abs(time.time_ns() - time.monotonic_ns() - wall_on_monotonic) < 50 * MS, (
        "the machine's clock moved"
    )


@needs_cc
@pytest.mark.real
def test_a_process_sees_a_jump_at_once_and_its_neighbour_does_not(clock: Clock, tmp_path: Path) -> None:
    other = Clock(tmp_path, "n2")
    told = clock.do("bump", offset_ms=-250_000)
    assert (told["before_ns"], told["after_ns"], told["seen_by"]) == (0, -250_000 * MS, 1)
    assert clock.ahead_ms() == pytest.approx(-250_000, abs=3)
    assert other.ahead_ms() == pytest.approx(0, abs=3)
    clock.do("bump", offset_ms=1000)
    assert clock.ahead_ms() == pytest.approx(-249_000, abs=3)
    clock.do("reset")
    assert clock.ahead_ms() == pytest.approx(0, abs=3)
    other.end()
    assert other.do("look")["seen_by"] == 0


@needs_cc
@pytest.mark.real
def test_a_process_drifts_from_now_on_and_keeps_what_it_gained(clock: Clock) -> None:
    clock.do("bump", offset_ms=5000)
    asked = time.monotonic()
    clock.do("drift", rate_ppm=200_000)
    begun = time.monotonic()
    gained = 0.0
    while gained < 51:
        since_begun = time.monotonic() - begun
        gained = clock.ahead_ms() - 5000
        assert 200 * since_begun - 3 < gained < 200 * (time.monotonic() - asked) + 3
    clock.do("drift", rate_ppm=0)
    kept = clock.ahead_ms()
    assert kept >= 5050
    before = time.monotonic()
    while time.monotonic() < before + 0.1:
        assert clock.ahead_ms() == pytest.approx(kept, abs=4)


@needs_cc
@pytest.mark.real
def test_a_strobe_shows_both_sides(clock: Clock) -> None:
    clock.do("strobe", delta_ms=60_000, period_ms=8)
    seen: set[int] = set()
    wait_until(lambda: bool(seen.add(round(clock.ahead_ms() / 60_000))) or seen == {0, 1})  # type: ignore[func-returns-value]
    told = clock.do("reset")
    assert told["jumps"] >= 2
    assert {round(clock.ahead_ms() / 60_000) for _ in range(30)} == {0}


@needs_cc
@pytest.mark.real
def test_a_process_that_is_started_again_finds_its_clock_as_it_was(clock: Clock) -> None:
    clock.do("bump", offset_ms=70_000)
    clock.end()
    assert clock.do("look")["seen_by"] == 0
    again = Clock(clock.home)
    assert again.ahead_ms() == pytest.approx(70_000, abs=3)
    again.end()


@needs_cc
@pytest.mark.real
def test_every_reading_of_the_wall_clock_is_shifted(clock: Clock) -> None:
    clock.do("bump", offset_ms=7_200_000)
    shown = run(READ, clock.env)
    off = {name: seconds - time.time() for name, seconds in shown.items()}
    assert off == {name: pytest.approx(7200, abs=60) for name in shown}  # CLOCK_TAI is seconds away


@needs_cc
@pytest.mark.real
@pytest.mark.parametrize("offset_ms", [100_000, -100_000])
def test_waiting_takes_as_long_as_ever_on_either_clock(clock: Clock, offset_ms: int) -> None:
    clock.do("bump", offset_ms=offset_ms)
    took = run(WAIT, clock.env)
    assert len(took) == 12
    assert {name: s for name, s in took.items() if not 0.099 < s < 20} == {}


@needs_cc
@pytest.mark.real
def test_the_undo_log_sets_right_what_a_killed_hand_left(clock: Clock) -> None:
    words = [sys.executable, "-m", "harness.hand.main"]
    args = json.dumps({**clock.node, "delta_ms": 30_000, "period_ms": 3_600_000})
    hand = subprocess.Popen(
        [*words, "serve", str(clock.home), "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert hand.stdin is not None
    assert hand.stdout is not None
    hello = json.loads(hand.stdout.readline())["hello"]
    hand.stdin.write(f'{{"n": 1, "operation": "wall-strobe", "args": {args}}}\n')
    hand.stdin.flush()
    assert json.loads(hand.stdout.readline())["result"]["after_ns"] == 30_000 * MS
    assert clock.ahead_ms() == pytest.approx(30_000, abs=3)
    hand.kill()  # the one that guards
    os.kill(hello["pid"], signal.SIGKILL)  # the one that works
    hand.communicate()
    assert clock.ahead_ms() == pytest.approx(30_000, abs=3)
    healed = subprocess.run([*words, "heal", str(clock.home)], capture_output=True, check=True, timeout=20)
    assert json.loads(healed.stdout)["undone"] == [
        "n1's wall clock is right again, after +30000.000 ms",
    ]
    assert clock.ahead_ms() == pytest.approx(0, abs=3)


@needs_cc
def test_a_host_without_a_compiler_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faketime.tool, "PATH", str(tmp_path))
    with pytest.raises(Refused, match="cc is missing: apt-get install gcc libc6-dev"):
        faketime.prepare(Context(tmp_path, UndoLog(tmp_path / "undo.jsonl")), {"node": "n1"})


@pytest.mark.parametrize("node", ["", "../n1", ".n1", "a/b", 7])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, node: object) -> None:
    with pytest.raises(Refused, match="cannot be the name of a node"):
        faketime.look(Context(tmp_path, UndoLog(tmp_path / "undo.jsonl")), {"node": node})


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "clocks" / "n1"
    path.parent.mkdir()
    path.write_bytes(bytes(faketime.PAGE_BYTES))
    return path


def test_what_cannot_be_is_refused_before_anything_is_changed(tmp_path: Path, page: Path) -> None:
    context = Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))
    for operation, args in [
        (faketime.strobe, {"delta_ms": 5, "period_ms": 0}),
        (faketime.drift, {"rate_ppm": -1_000_000}),
        (faketime.drift, {"rate_ppm": "fast"}),
        (faketime.bump, {"offset_ms": 0.5}),
    ]:
        with pytest.raises(Refused):
            operation(context, {"node": "n1", **args})
    assert page.read_bytes() == bytes(faketime.PAGE_BYTES)
    assert context.undo.open() == []


def test_a_page_keeps_the_old_line_until_the_new_one_is_whole(page: Path) -> None:
    faketime._write(page, Line(offset_ns=1))
    before = page.read_bytes()
    faketime._write(page, Line(offset_ns=2, rate_ppm=-3))
    after = page.read_bytes()
    assert before[64 + 40 : 64 + 80] == struct.pack("=5q", 1, 0, 0, 0, 0) == after[64 + 40 : 64 + 80]
    assert (before[0], after[0]) == (1, 2)
    for offset_ns in range(200):
        faketime._write(page, Line(offset_ns=offset_ns))
        assert faketime._read(page).offset_ns == offset_ns
    assert page.stat().st_size == faketime.PAGE_BYTES


def test_a_writer_that_dies_in_the_middle_has_written_nothing(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(Exception):
        pass

    def half(file: int, data: bytes, at: int) -> None:
        pwrite(file, data[: len(data) // 2 or 1], at)
        raise Died

    faketime._write(page, Line(offset_ns=1))
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(Died):
        faketime._write(page, Line(offset_ns=-1, rate_ppm=5, since_ns=7))
    assert faketime._read(page) == Line(offset_ns=1)


# The arithmetic ---------------------------------------------------------------------------------------------

instants = st.integers(0, 10**18)
lines = st.builds(
    Line,
    st.integers(-(10**15), 10**15),
    st.integers(-999_999, 10**6),
    instants,
    st.integers(-(10**12), 10**12),
    st.integers(0, 10**10),
)


@given(lines, instants, st.integers(-(10**12), 10**12))
def test_a_bump_is_a_bump_at_every_moment(line: Line, now: int, offset_ns: int) -> None:
    assert line.bumped(offset_ns).at(now) == line.at(now) + offset_ns


@given(lines, instants, st.integers(-999_999, 10**6), st.integers(0, 10**12))
def test_a_drift_begins_and_ends_without_a_jump(line: Line, now: int, rate_ppm: int, later: int) -> None:
    steady = line._replace(delta_ns=0)
    drifting = steady.drifting(rate_ppm, now)
    assert drifting.at(now) == steady.at(now)
    assert drifting.at(now + later) == steady.at(now) + later * rate_ppm // 1_000_000
    assert drifting.drifting(0, now + later).at(now + later + 10**12) == drifting.at(now + later)


@given(lines, instants, st.integers(-(10**12), 10**12), st.integers(1, 10**10), st.integers(0, 99))
def test_a_strobe_is_forth_in_every_other_period(
    line: Line, now: int, delta_ns: int, period_ns: int, periods: int
) -> None:
    steady = line._replace(delta_ns=0)
    strobing = steady.strobing(delta_ns, period_ns, now)
    at = now + periods * period_ns
    assert strobing.at(at) - steady.at(at) in {delta_ns * (periods % 2 == 0) + error for error in (-1, 0, 1)}


def run(script: str, env: dict[str, str]) -> dict[str, float]:
    words = [sys.executable, "-c", script]
    told = subprocess.run(words, env={**os.environ, **env}, capture_output=True, check=True, timeout=30)
    return dict(json.loads(told.stdout))


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
