"""The wall clocks of single processes, on hosts whose kernel is not theirs alone: the machine's clock is left
as it is.

A node's processes are started with a small library (`wallclock.c`, built here by the host's C compiler) that
adds to every reading of the wall clock what a page of shared memory says at that moment. A page holds one
line: an offset, a rate and a strobe, from an instant of CLOCK_MONOTONIC on; so a jump is one write, and drift
and strobe need nobody to keep them going, however the hand ends. A node that is started again finds its page.

Why not libfaketime: version 0.9.10 shifts the monotonic clock with the other one, or, asked not to
(FAKETIME_DONT_FAKE_MONOTONIC), makes waits on it fail or end at once (clock_nanosleep, timerfd_settime,
pthread_cond_timedwait: so Python's sleep and all of a JVM's), and its rates count from a process' start.
"""

from __future__ import annotations

import hashlib
import os
import pkgutil
import struct
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

from harness.hand import tool
from harness.hand.clocks import whole
from harness.hand.context import Context, Operation, Refused, Undoer, Value

KIND = "wall-clock"
VARIABLE = "STORMCELLAR_CLOCK"
_LINE = struct.Struct("=5q")
_LINES = 64
_HEADER_BYTES = 64
PAGE_BYTES = _HEADER_BYTES + _LINES * _LINE.size


class Line(NamedTuple):
    """How far ahead a wall clock is: `offset_ns`, and what it gains at `rate_ppm` since `since_ns`; and in
    every other period since then, the first one included, `delta_ns` more (no strobe: `period_ns` is 0)."""

    offset_ns: int = 0
    rate_ppm: int = 0
    since_ns: int = 0
    delta_ns: int = 0
    period_ns: int = 0

    def at(self, now_ns: int) -> int:
        """As `ahead` of wallclock.c."""
        forth = self.period_ns > 0 and (now_ns - self.since_ns) // self.period_ns % 2 == 0
        return self._base(now_ns) + (self.delta_ns if forth else 0)

    def bumped(self, offset_ns: int) -> Line:
        return self._replace(offset_ns=self.offset_ns + offset_ns)

    def drifting(self, rate_ppm: int, now_ns: int) -> Line:
        return self._replace(offset_ns=self._base(now_ns), rate_ppm=rate_ppm, since_ns=now_ns)

    def strobing(self, delta_ns: int, period_ns: int, now_ns: int) -> Line:
        return Line(self._base(now_ns), self.rate_ppm, now_ns, delta_ns, period_ns)

    def _base(self, now_ns: int) -> int:
        return self.offset_ns + (now_ns - self.since_ns) * self.rate_ppm // 1_000_000


def prepare(context: Context, args: Value) -> Value:
    """Build the library and make the page of `node`, unless they are there; `env` is what its processes are
    to be started with."""
    page = _page_of(context, args)
    page.parent.mkdir(mode=0o755, exist_ok=True)
    library = _library(page.parent)
    if not page.exists():
        _appear(page, bytes(PAGE_BYTES))
    return {"env": {"LD_PRELOAD": str(library), VARIABLE: str(page)}}


def bump(context: Context, args: Value) -> Value:
    """Let the wall clock of `node` jump by `offset_ms`."""
    offset_ns = whole(args, "offset_ms") * 1_000_000
    return _change(context, args, lambda line, now: line.bumped(offset_ns))


def drift(context: Context, args: Value) -> Value:
    """From now on it gains `rate_ppm` microseconds a second."""
    rate_ppm = whole(args, "rate_ppm")
    if not -1_000_000 < rate_ppm <= 1_000_000:
        raise Refused(f"a wall clock can drift by -999,999 to 1,000,000 ppm, not by {rate_ppm:,}")
    return _change(context, args, lambda line, now: line.drifting(rate_ppm, now))


def strobe(context: Context, args: Value) -> Value:
    """From now on it jumps by `delta_ms`, and `period_ms` later back, and so on."""
    delta_ns, period_ns = whole(args, "delta_ms") * 1_000_000, whole(args, "period_ms") * 1_000_000
    if period_ns <= 0:
        raise Refused(f"the period of a strobe must be 1 ms or more, not {period_ns // 1_000_000}")
    return _change(context, args, lambda line, now: line.strobing(delta_ns, period_ns, now))


def reset(context: Context, args: Value) -> Value:
    """Right again. `was_ppm`: how it drifted; `jumps`: how often the strobe has jumped, if there was one."""
    page = _page_of(context, args)
    line, now = _read(page), _now()
    _write(page, Line())
    for entry in context.undo.open():
        if entry.kind == KIND and entry.args == {"page": str(page)}:
            context.undo.done(entry.n)
    jumps = (now - line.since_ns) // line.period_ns + 1 if line.period_ns else 0
    return {**_tell(page, now, line.at(now)), "was_ppm": line.rate_ppm, "jumps": jumps}


def look(context: Context, args: Value) -> Value:
    """How the wall clock of `node` is now."""
    page = _page_of(context, args)
    now = _now()
    return _tell(page, now, _read(page).at(now))


def undo(args: Value) -> str:
    page = Path(args["page"])
    if not page.exists():
        return f"{page.name}'s wall clock is gone"
    before = _read(page).at(_now())
    _write(page, Line())
    return f"{page.name}'s wall clock is right again, after {before / 1e6:+.3f} ms"


def _change(context: Context, args: Value, change: Callable[[Line, int], Line]) -> Value:
    page = _page_of(context, args)
    context.undo.add(KIND, {"page": str(page)})
    line, now = _read(page), _now()
    _write(page, change(line, now))
    return _tell(page, now, line.at(now))


def _tell(page: Path, now: int, before_ns: int) -> Value:
    """How far ahead it was and is at the same instant (ns), and how many processes see that."""
    line = _read(page)
    return {
        "before_ns": before_ns,
        "after_ns": line.at(now),
        "rate_ppm": line.rate_ppm,
        "strobes": line.period_ns > 0,
        "seen_by": len(_mapped_by(page)),
    }


def _mapped_by(page: Path) -> List[int]:
    """The processes that have this page in their memory."""
    wanted = f" {page}"
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                maps = Path(f"/proc/{name}/maps").read_text(errors="replace")
            except OSError:
                continue
            if any(line.endswith(wanted) for line in maps.splitlines()):
                found.append(int(name))
    return found


# The page ---------------------------------------------------------------------------------------------------


def _page_of(context: Context, args: Value) -> Path:
    node = args["node"]
    if not isinstance(node, str) or not node or "/" in node or node.startswith("."):
        raise Refused(f"{node!r} cannot be the name of a node")
    return context.home / "clocks" / node


def _read(page: Path) -> Line:
    content = page.read_bytes()
    if len(content) != PAGE_BYTES:
        raise Refused(f"{page} holds {len(content)} bytes and not a clock's {PAGE_BYTES}")
    return Line(*_LINE.unpack_from(content, _HEADER_BYTES + content[0] % _LINES * _LINE.size))


def _write(page: Path, line: Line) -> None:
    """A reader sees the whole line that was, or this one: first it is written, then it becomes the current
    one, which is a single byte."""
    file = os.open(page, os.O_RDWR | os.O_CLOEXEC)
    try:
        following = (os.pread(file, 1, 0)[0] + 1) % _LINES
        os.pwrite(file, _LINE.pack(*line), _HEADER_BYTES + following * _LINE.size)
        os.pwrite(file, bytes([following]), 0)
    finally:
        os.close(file)


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


# The library ------------------------------------------------------------------------------------------------


def _library(directory: Path) -> Path:
    source = pkgutil.get_data("harness.hand", "wallclock.c") or b""
    library = directory / f"wallclock-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if not library.exists():
        built = directory / f".{library.name}.{os.getpid()}"
        words = ["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-o", str(built), "-", "-ldl", "-lpthread"]
        tool.run(words, stdin=source.decode())
        os.replace(built, library)
    return library


def _appear(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    fresh = path.parent / f".{path.name}.{os.getpid()}"
    fresh.write_bytes(content)
    os.replace(fresh, path)


OPERATIONS: Dict[str, Operation] = {
    "wall-prepare": prepare,
    "wall-bump": bump,
    "wall-drift": drift,
    "wall-strobe": strobe,
    "wall-reset": reset,
    "wall-look": look,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
