"""The kernel's clocks: read, stepped, made to run faster or slower (adjtimex(2)). Nothing is decided here."""

from __future__ import annotations

import ctypes
import os
import time
from typing import NamedTuple

from harness.hand.context import Refused

TICK_NOMINAL_US = 10_000
"""Linux' user-visible tick: a hundredth of a second; one more microsecond in each makes 100 ppm."""
TICK_SPAN_US = 1_000
FREQUENCY_SPAN_PPM = 500
_PPM = 1 << 16
"""What the kernel counts a part in a million as."""
_ADJ_FREQUENCY, _ADJ_SETOFFSET, _ADJ_TICK = 0x0002, 0x0100, 0x4000
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"


class Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("unused", ctypes.c_long * 8),
        ("more", ctypes.c_int * 12),
    ]


class Rate(NamedTuple):
    """How fast the wall clock and CLOCK_MONOTONIC run: microseconds a tick, and 2^-16 ppm more."""

    tick: int
    frequency: int

    def ppm(self) -> float:
        """Against CLOCK_MONOTONIC_RAW."""
        return (self.tick - TICK_NOMINAL_US) * 100 + self.frequency / _PPM

    def changed(self, ppm: int) -> Rate:
        """The rate that gains so much a second more; raises `Refused` when the kernel has none."""
        ticks = round(ppm / 100)
        rate = Rate(self.tick + ticks, self.frequency + (ppm - 100 * ticks) * _PPM)
        if abs(rate.tick - TICK_NOMINAL_US) > TICK_SPAN_US or abs(rate.frequency) > FREQUENCY_SPAN_PPM * _PPM:
            raise Refused(f"a kernel's clock can drift by 100,000 ppm at most to either side, not by {ppm:,}")
        return rate


class Reading(NamedTuple):
    """The clocks at the same instant, in ns."""

    real: int
    monotonic: int
    raw: int


class Kernel:
    """What `clocks.py` needs of the machine; a test puts something else in its place."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def read(self) -> Reading:
        """The best of several attempts; within microseconds."""
        best = None
        for _ in range(5):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            real = time.clock_gettime_ns(time.CLOCK_REALTIME)
            monotonic = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            took = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - before
            if best is None or took < best[0]:
                best = took, Reading(real, monotonic, before + took // 2)
        assert best is not None
        return best[1]

    def rate(self) -> Rate:
        timex = self._adjust(Timex(modes=0))
        return Rate(timex.tick, timex.freq)

    def run_at(self, rate: Rate) -> None:
        self._adjust(Timex(modes=_ADJ_TICK | _ADJ_FREQUENCY, tick=rate.tick, freq=rate.frequency))

    def step(self, ns: int) -> None:
        """Set the wall clock that much ahead of what it shows, to the microsecond. (Nanoseconds would switch
        the kernel to them, for time services, too.)"""
        seconds, rest = divmod(round(ns / 1000), 1_000_000)
        self._adjust(Timex(modes=_ADJ_SETOFFSET, seconds=seconds, microseconds=rest))

    def whose(self) -> str:
        """Why this process' kernel may not be its host's own; empty if it seems to be."""
        if os.readlink("/proc/self/ns/pid") != _INITIAL_PID_NAMESPACE:
            return "this is a container: its kernel, and so its clock, is another system's, too"
        return ""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _adjust(self, timex: Timex) -> Timex:
        if self._libc.adjtimex(ctypes.byref(timex)) < 0:
            raise Refused(f"the kernel does not let us change its clock: {os.strerror(ctypes.get_errno())}")
        return timex
