"""The host's own clock, where its kernel is its own: stepped, strobed, made to drift (adjtimex(2)).

Nothing is done on a kernel that is shared with anybody: the harness has to say that it is not, and we look
ourselves, too. What the clock would show without us is known at every moment: before the first change the
undo log gets its reading, that of CLOCK_MONOTONIC_RAW, which nothing bends, and the rate between the two.
Daemons that would set the clock right are stopped meanwhile, and started again by the undo log.

A clock that drifts takes CLOCK_MONOTONIC with it: they have one rate in the kernel. Steps do not.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Dict, List, Optional

from harness.hand import tool
from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.kernel import Kernel, Rate
from harness.hand.proc import boot_id

KIND = "clock"
KEEPERS = "time-services"
KEEPING_UNITS = (
    *("chrony", "chronyd", "systemd-timesyncd", "ntp", "ntpd", "ntpsec", "openntpd"),
    *("vboxadd-service", "virtualbox-guest-utils"),
)
KEEPING_PROGRAMS = ("chronyd", "ntpd", "openntpd", "systemd-timesyn", "VBoxService")
"""As /proc/PID/comm names them, which has 15 letters."""
DRIFT_PROBE_S = 0.2
RIGHT_NS = 50_000
"""A clock that is off by less is left as it is; two clocks are not read at the same instant more exactly."""

kernel = Kernel()
_stepping = threading.Lock()


class Strobe(threading.Thread):
    """Steps the clock forth and back until it is stopped, and then it is back. It only sleeps for spans of
    time, as a wait for an instant may be one on the wall clock in older Pythons."""

    NAP_S = 0.05

    def __init__(self, delta_ns: int, period_ns: int) -> None:
        super().__init__(name="strobe", daemon=True)
        self.jumps = 0
        self._delta_ns = delta_ns
        self._period_ns = period_ns
        self._ends = False

    def run(self) -> None:
        due = kernel.read().raw
        while not self._ends or self.jumps % 2:
            with _stepping:
                kernel.step(self._delta_ns if self.jumps % 2 == 0 else -self._delta_ns)
            self.jumps += 1
            due += self._period_ns
            while not self._ends and (left_ns := due - kernel.read().raw) > 0:
                kernel.sleep(min(self.NAP_S, left_ns / 1e9))

    def stop(self) -> None:
        self._ends = True
        self.join()


_strobe: Optional[Strobe] = None
"""The one that this process has going."""


def bump(context: Context, args: Value) -> Value:
    """Step by `offset_ms`. `moved_ns`: what it moved by, against the monotonic clock."""
    offset_ns = whole(args, "offset_ms") * 1_000_000
    said = _begin(context, args)
    return {**said, "moved_ns": _moved_by(offset_ns), "strobes": _strobe is not None}


def drift(context: Context, args: Value) -> Value:
    """Gain `rate_ppm` microseconds more a second than before the first fault. `gained_ns` in `in_ns`: what it
    then did gain on CLOCK_MONOTONIC_RAW, beside what it does anyway; `rate_ppm`: what the kernel says."""
    usual = _usual(_base(context))
    wanted = usual.changed(whole(args, "rate_ppm"))
    said = _begin(context, args)
    kernel.run_at(wanted)
    before = kernel.read()
    kernel.sleep(DRIFT_PROBE_S)
    after = kernel.read()
    passed = after.raw - before.raw
    return {
        **said,
        "in_ns": passed,
        "gained_ns": after.monotonic - before.monotonic - passed - round(passed * usual.ppm() / 1e6),
        "rate_ppm": _drift_ppm(_base(context)),
    }


def strobe(context: Context, args: Value) -> Value:
    """Step by `delta_ms`, and `period_ms` later back, and so on, from now on; `moved_ns` as for `bump`, of
    the first step."""
    global _strobe
    delta_ns, period_ns = whole(args, "delta_ms") * 1_000_000, whole(args, "period_ms") * 1_000_000
    if period_ns <= 0:
        raise Refused(f"the period of a strobe must be 1 ms or more, not {period_ns // 1_000_000}")
    said = _begin(context, args)
    _still()
    moved_ns = _moved_by(delta_ns)
    _moved_by(-delta_ns)
    _strobe = Strobe(delta_ns, period_ns)
    _strobe.start()
    return {**said, "moved_ns": moved_ns}


def reset(context: Context, args: Value) -> Value:
    """Make the clock show what it would have shown. `was_ns`: how far off it was, `left_ns`: how far it still
    is; `was_ppm` of a drift, `jumps` of a strobe."""
    _demand_own_kernel(args)
    jumps = _strobe.jumps if _strobe is not None else 0
    was_ns = left_ns = 0
    was_ppm = _drift_ppm(_base(context))
    for entry in context.undo.open():
        if entry.kind == KIND:
            _still()
            was_ns, left_ns = _restore(entry.args)
            context.undo.done(entry.n)
    return {"was_ns": was_ns, "left_ns": left_ns, "was_ppm": was_ppm, "jumps": jumps}


def look(context: Context, args: Value) -> Value:
    """How far ahead the clock is of what it would show, in ns, and how it drifts. Changes nothing."""
    base = _base(context)
    ahead_ns = _off(base) if base is not None else 0
    return {"ahead_ns": ahead_ns, "rate_ppm": _drift_ppm(base), "keepers": _keepers()}


def check(context: Context, args: Value) -> Value:
    """Try everything for a second and set it right; what was measured, in ns: for a look at a new host."""
    own = {"shared": args.get("shared"), "harness_boot": args.get("harness_boot", "")}
    bumped = bump(context, {**own, "offset_ms": 5000})
    drifted = drift(context, {**own, "rate_ppm": 50_000})
    strobe(context, {**own, "delta_ms": 200, "period_ms": 10})
    kernel.sleep(0.3)
    return {"bump": bumped, "drift": drifted, "reset": reset(context, own)}


def undo(args: Value) -> str:
    if args["boot"] != boot_id():
        return "the clock is what it was when the host was started again"
    _still()
    was_ns, left_ns = _restore(args)
    return f"the clock was off by {was_ns / 1e6:+.3f} ms and is now by {left_ns / 1e6:+.3f} ms"


def undo_keepers(args: Value) -> str:
    tool.run(["systemctl", "start", *args["units"]], limit_s=15.0)
    return f"started again: {', '.join(args['units'])}"


# ------------------------------------------------------------------------------------------------------------


def _begin(context: Context, args: Value) -> Value:
    """What comes before any change: who minds is stopped, and what the clock would show is written down."""
    _demand_own_kernel(args)
    if _base(context) is None:
        _stop_keepers(context)
        now, rate = kernel.read(), kernel.rate()
        base = {"boot": boot_id(), "real_ns": now.real, "raw_ns": now.raw}
        context.undo.add(KIND, {**base, "tick": rate.tick, "frequency": rate.frequency})
    return {"keepers": _keepers()}


def _demand_own_kernel(args: Value) -> None:
    if args.get("shared") is not False:
        raise Refused("the kernel here is shared with others, so its clock is not touched")
    if args.get("harness_boot") == boot_id():
        raise Refused("the harness runs on the same kernel, so its clock is not touched")
    if kernel.whose():
        raise Refused(kernel.whose())


def _base(context: Context) -> Optional[Value]:
    """What the clock was before the first change, if it was changed."""
    return next((entry.args for entry in context.undo.open() if entry.kind == KIND), None)


def _usual(base: Optional[Value]) -> Rate:
    """The rate without us."""
    return kernel.rate() if base is None else Rate(base["tick"], base["frequency"])


def _drift_ppm(base: Optional[Value]) -> float:
    return kernel.rate().ppm() - _usual(base).ppm()


def _off(base: Value) -> int:
    now = kernel.read()
    passed = now.raw - int(base["raw_ns"])
    gained = round(passed * _usual(base).ppm() / 1e6)
    return now.real - int(base["real_ns"]) - passed - gained


def _restore(base: Value) -> "tuple[int, int]":
    """How far off it was, and is."""
    if kernel.rate() != _usual(base):
        kernel.run_at(_usual(base))
    was_ns = _off(base)
    if abs(was_ns) > RIGHT_NS:
        kernel.step(-was_ns)
    return was_ns, _off(base)


def _moved_by(ns: int) -> int:
    """What the clock moved by when it was told to step so, against the monotonic one, which steps never."""
    with _stepping:
        before = kernel.read()
        kernel.step(ns)
        after = kernel.read()
    return (after.real - after.monotonic) - (before.real - before.monotonic)


def _still() -> None:
    global _strobe
    if _strobe is not None:
        _strobe.stop()
        _strobe = None


def _stop_keepers(context: Context) -> None:
    try:
        listed = tool.attempt(["systemctl", "is-active", *KEEPING_UNITS])[1].split()
    except Refused:
        return  # no systemd: `_keepers` tells of those that run
    units = [unit for unit, state in zip(KEEPING_UNITS, listed) if state == "active"]  # noqa: B905
    if units:
        context.undo.add(KEEPERS, {"units": units})
        tool.run(["systemctl", "stop", *units], limit_s=15.0)


def _keepers() -> List[str]:
    """Programs that run and would set the clock right."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                program = Path(f"/proc/{name}/comm").read_text().strip()
            except OSError:
                continue
            if program in KEEPING_PROGRAMS:
                found.append(program)
    return sorted(found)


def whole(args: Value, name: str) -> int:
    value = args[name]
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**12:
        raise Refused(f"{name} must be a whole number of at most 10^12, not {value!r}")
    return int(value)


OPERATIONS: Dict[str, Operation] = {
    "clock-bump": bump,
    "clock-drift": drift,
    "clock-strobe": strobe,
    "clock-reset": reset,
    "clock-look": look,
    "clock-check": check,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo, KEEPERS: undo_keepers}
