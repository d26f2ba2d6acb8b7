"""Processor and memory in use by others.

What is seen of it: the processor time that was used, the memory that is held, and how much less of a fixed
piece of work gets done here than just before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.memory import memory
from harness.hand.patience import until
from harness.hand.proc import ENDED, TAG, Identity, family, identify, see
from harness.hand.tool import PATH

KIND = "stress"
EFFECT_LIMIT_S = 1.0
"""How long the effect is waited for; what takes longer goes on."""
POLL_S = 0.005
WINDOW_S = 0.025
"""How long work is measured."""
_PIECE = bytes(4096)
_ROOT = str(Path(__file__).resolve().parents[2])
_RUN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from harness.hand.stressor import main; main(sys.argv[2:])"
)


class Stressor:
    """A leader and its children, from their start to their end."""

    def __init__(self, leader: "subprocess.Popen[bytes]", identity: Identity, tag: str, n: int) -> None:
        self.leader = leader
        self.identity = identity
        self.tag = tag
        self.n = n
        self.children: List[int] = []
        self.wanted_bytes = 0
        self.began = time.monotonic()

    def alive(self) -> List[int]:
        """Which children run. The leader reaps none, so while it is there each number is still their own."""
        if self.leader.poll() is not None:
            return []
        return [pid for pid in self.children if see(pid).state not in ENDED]

    def cpu_ms(self) -> List[float]:
        return [_cpu_ms(pid) for pid in self.alive()]

    def held_bytes(self) -> int:
        return sum(_rss_bytes(pid) for pid in self.alive())


def stress_cpu(context: Context, args: Value) -> Value:
    """A busy process for each processor that we may use. `cpu_ms` is what each has used so far; `slowdown`,
    how many times less work got done here with them than just before (None if they were there already)."""
    ours = _of(context)
    before = None
    if "cpu" not in ours:
        before = _work_done()
        ours["cpu"] = _begin(context, "cpu", len(os.sched_getaffinity(0)))
    after = _work_done()
    stressor = ours["cpu"]
    _until(lambda: all(used > 0 for used in stressor.cpu_ms()))
    return {
        "processes": len(stressor.children),
        "cpu_ms": stressor.cpu_ms(),
        "slowdown": None if before is None else before / after,
    }


def stress_memory(context: Context, args: Value) -> Value:
    """Fill and hold `fraction` of the memory that is available, never what `memory.py` wants to be left, and
    `bytes_max` at most if that is given. `held_bytes` may still grow up to `wanted_bytes`."""
    ours = _of(context)
    before = memory()
    if "memory" not in ours:
        wanted = min(
            int(before.available * args["fraction"]), before.spare, args.get("bytes_max", before.spare)
        )
        if wanted <= 0:
            raise Refused(f"only {before.available >> 20} MiB of memory are available, so none can be spared")
        ours["memory"] = _begin(context, "memory", wanted)
        ours["memory"].wanted_bytes = wanted
    stressor = ours["memory"]
    _until(lambda: stressor.held_bytes() >= stressor.wanted_bytes or not stressor.alive())
    return {
        "wanted_bytes": stressor.wanted_bytes,
        "held_bytes": stressor.held_bytes(),
        "available_bytes": [before.available, memory().available],
    }


def stress_end(context: Context, args: Value) -> Value:
    """End all of it. Of each kind that there was: for how long, what it had used and held, how many of its
    processes had ended before, and how many are `left` now."""
    ours = _of(context)
    told: Dict[str, Any] = {}
    for kind, stressor in list(ours.items()):
        told[kind] = {
            "lasted_s": time.monotonic() - stressor.began,
            "cpu_ms": sum(stressor.cpu_ms()),
            "held_bytes": stressor.held_bytes(),
            "wanted_bytes": stressor.wanted_bytes,
            "ended_before": len(stressor.children) - len(stressor.alive()),
            "left": _end(stressor),
        }
        if not told[kind]["left"]:
            context.undo.done(stressor.n)
            del ours[kind]
    return {"ended": told}


def undo(args: Value) -> str:
    identity = Identity(args["pid"], args["start"], args["boot"])
    if not family(identity, args["tag"]):
        return f"{args['what']} stress is not there any more"
    if not _gone(identity, args["tag"]):
        raise Refused(f"the processes of {args['what']} stress do not end, though killed")
    return f"{args['what']} stress was ended"


def _begin(context: Context, what: str, amount: int) -> Stressor:
    tag = secrets.token_hex(8)
    leader = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _RUN, _ROOT, what, str(amount)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": PATH, TAG: tag},
        start_new_session=True,
    )
    assert leader.stdin is not None
    assert leader.stdout is not None
    identity = identify(leader.pid)
    n = context.undo.add(KIND, {"what": what, "tag": tag, **identity._asdict()})
    stressor = Stressor(leader, identity, tag, n)
    leader.stdin.write(b"go\n")
    leader.stdin.flush()
    ready, _, _ = select.select([leader.stdout], [], [], EFFECT_LIMIT_S)
    line = leader.stdout.readline() if ready else b""
    if not line:
        _end(stressor)
        context.undo.done(n)
        raise Refused(f"the processes of {what} stress did not start")
    stressor.children = [int(pid) for pid in line.decode().strip(" []\n").split(",")]
    return stressor


def _end(stressor: Stressor) -> int:
    """How many processes are left."""
    _gone(stressor.identity, stressor.tag)
    stressor.leader.poll()
    for pipe in (stressor.leader.stdin, stressor.leader.stdout):
        if pipe is not None:
            pipe.close()
    return len(family(stressor.identity, stressor.tag))


def _gone(identity: Identity, tag: str) -> bool:
    def killed() -> bool:
        own = family(identity, tag)
        for seen in own:
            try:
                os.kill(seen.pid, 9)
            except ProcessLookupError:
                pass
        return not own

    return _until(killed)


def _of(context: Context) -> Dict[str, Stressor]:
    known: Dict[str, Stressor] = context.state.setdefault(KIND, {})
    return known


def _work_done() -> int:
    """How many pieces of work are done in `WINDOW_S`; one at least."""
    end = time.monotonic() + WINDOW_S
    done = 0
    while not done or time.monotonic() < end:
        hashlib.sha256(_PIECE)
        done += 1
    return done


def _cpu_ms(pid: int) -> float:
    """The processor time that a process has used; 0 for one that is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2) * 1000  # the clock that Linux has for each process
    except OSError:
        return 0.0


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _until(fact: Callable[[], bool]) -> bool:
    return until(fact, EFFECT_LIMIT_S, POLL_S)


OPERATIONS: Dict[str, Operation] = {
    "stress-cpu": stress_cpu,
    "stress-memory": stress_memory,
    "stress-end": stress_end,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
