"""A slow disk: whatever a daemon waits for its disk with takes longer, by strace's fault injection.

It attaches to daemons that run, needs nothing of the kernel or the disk, and reports how long each call took,
as the daemon met it. When it ends, however it ends, the kernel lets the daemons go; when they end, it ends.
Measured on three nodes of the bundled store: a tracer that delays nothing costs a tenth of the throughput.

Left out on purpose: calls that hand data to the page cache (`write`), which a slow disk does not slow down
either. Out of reach: files opened with O_DIRECT or O_SYNC, and io_uring.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List

from harness.hand import daemons, disks, tool
from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.patience import until
from harness.hand.proc import TAG, Identity, boot_id, family

KIND = "tracer"
CALLS = "?fsync,?fdatasync,?sync_file_range,?sync_file_range2,?msync,?syncfs,?sync"
ATTACH_LIMIT_S = 3.0
END_LIMIT_S = 0.3
"""How long a tracer may take to let go by itself, before it is killed."""
POLL_S = 0.002
_TOOK_S = re.compile(r"<(\d+\.\d+)>$")


def slow(context: Context, args: Value) -> Value:
    """From now on each sync of the daemons of `node` takes `delay_ms` longer. `traced`: the processes of
    which the kernel says that the tracer has them. Whoever is traced already is left alone. `before_ms`: how
    long our own sync takes, beside the directory `beside`."""
    node, tracers = args["node"], context.state.setdefault(KIND, {})
    before_ms = _sync_ms(context, node, Path(args["beside"]))
    traced: List[int] = []
    for last in (False, False, True):  # a process that is just ending, or beginning another one, refuses
        free = [pid for pid in daemons.processes(context, node) if _tracer(pid) == 0]
        if not free:
            break
        tracer = Tracer(context, node, free, args["delay_ms"])
        try:
            traced = tracer.attached()
        except Refused:
            context.undo.done(tracer.n)
            if last:
                raise
            continue
        tracers.setdefault(node, []).append(tracer)
        break
    return {"traced": traced, "before_ms": before_ms}


def mend(context: Context, args: Value) -> Value:
    """There is room on the disk of `node`, and it is not slow: what `empty` and `quicken` answer."""
    return {**disks.empty(context, args), **quicken(context, args)}


def quicken(context: Context, args: Value) -> Value:
    """The disk of `node` is as fast as before. `took_ms`: how long each sync took meanwhile; `traced`: who
    was traced until now."""
    took_ms: List[float] = []
    traced: List[int] = []
    for tracer in context.state.setdefault(KIND, {}).pop(args["node"], []):
        traced += [pid for pid in tracer.pids if _tracer(pid) == tracer.child.pid]
        took_ms += tracer.end()
        context.undo.done(tracer.n)
    return {"took_ms": took_ms, "traced": traced}


class Tracer:
    """One strace, attached to some processes and to what they start."""

    def __init__(self, context: Context, node: str, pids: List[int], delay_ms: float) -> None:
        self.pids = pids
        self._tag = secrets.token_hex(8)
        self._calls = context.home / f"syncs.{self._tag}"
        words = [tool.find("strace"), "-f", "-qqq", "-T", "-o", str(self._calls), "-e", "signal=none"]
        words += ["-e", f"trace={CALLS}", "-e", f"inject={CALLS}:delay_enter={round(delay_ms * 1000)}"]
        words += [word for pid in pids for word in ("-p", str(pid))]
        self.n = context.undo.add(KIND, {"node": node, "tag": self._tag, "calls": str(self._calls)})
        self.child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": tool.PATH, TAG: self._tag},
            start_new_session=True,
        )

    def attached(self) -> List[int]:
        """Wait until it has all that still live; which those are. Raises `Refused`."""
        alive: List[int] = []

        def has_all() -> bool:
            alive[:] = [pid for pid in self.pids if _tracer(pid) is not None]
            return all(_tracer(pid) == self.child.pid for pid in alive)

        until(lambda: has_all() or self.child.poll() is not None, ATTACH_LIMIT_S, POLL_S)
        if not has_all():
            self.end()
            assert self.child.stderr is not None
            said = self.child.stderr.read().decode(errors="replace")
            raise Refused(f"strace does not attach: {' '.join(said.split()) or 'it said nothing'}")
        return alive

    def end(self) -> List[float]:
        """How long each sync took, in milliseconds."""
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        took_ms = []
        if self._calls.exists():
            found = map(_TOOK_S.search, self._calls.read_text(errors="replace").splitlines())
            took_ms = [round(float(took[1]) * 1000, 1) for took in found if took]
            self._calls.unlink()
        return took_ms


def undo(args: Value) -> str:
    """SIGKILL is safe: the kernel lets go of what a dead tracer had."""
    left = family(Identity(0, 0, boot_id()), args["tag"])
    for seen in left:
        try:
            os.kill(seen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    calls = Path(args["calls"])
    if calls.exists():
        calls.unlink()
    return f"the tracer of {args['node']} {'was ended' if left else 'does not run'}"


def _sync_ms(context: Context, node: str, beside: Path) -> float:
    """On the disk on which the node's data are; -1 if it takes none."""
    own = context.state.get(disks.KIND, {}).get(node)
    probe = (own.mount if own is not None else beside.parent) / "probe"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(b"x")
            began = time.monotonic()
            os.fdatasync(file.fileno())
            return round((time.monotonic() - began) * 1000, 1)
    except OSError:
        return -1.0
    finally:
        if probe.exists():
            probe.unlink()


def _tracer(pid: int) -> "int | None":
    """Who traces all threads of a process: 0 if not all are traced by the same; None when it is gone."""
    found = set()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
            found.add(int(status.partition("TracerPid:")[2].split()[0]))
    except (OSError, IndexError):
        return None
    return found.pop() if len(found) == 1 else 0


OPERATIONS: Dict[str, Operation] = {"disk-slow": slow, "disk-mend": mend}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
