"""The processes of nodes: started, signalled, looked at.

A daemon is begun as a `sh` that waits for a line of ours and then becomes the daemon. In between, the undo
log learns which process it is; should we die before the line, it ends by itself. So there is no moment at
which a daemon runs that nobody knows of. Whatever is done to a daemon is done to all that came from it
(`proc.family`), and what is answered is what /proc shows afterwards.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.patience import until
from harness.hand.proc import STOPPED, TAG, Identity, Seen, family, identify, see
from harness.hand.tool import PATH, find

KIND = "daemon"
EFFECT_LIMIT_S = 1.0
"""How long a signal may take to show its effect, within one operation."""
KILL_LIMIT_S = 8.0
"""What waits for a disk ends only when that is over."""
ANEW_LOOKS = 20
"""A child that was frozen between vfork and exec keeps its parent from being so: then all go on for a moment,
and are frozen anew."""
LISTEN_LIMIT_S = 0.2
POLL_S = 0.002
TAIL_BYTES = 2000
TAIL_LINES = 3


@dataclass
class Running:
    """A daemon that we started, until we ended it. `n` is its entry in the undo log; what `log` holds before
    `log_start` (bytes) others wrote."""

    child: "subprocess.Popen[bytes]"
    identity: Identity
    tag: str
    n: int
    log: Path
    log_start: int

    def family(self) -> List[Seen]:
        self.child.poll()  # it is a zombie otherwise
        return family(self.identity, self.tag)

    def look(self) -> Value:
        """`state` is "running", "stopped" or "ended", as that of its first process, for this is asked often;
        `status` as `subprocess` tells it."""
        status = self.child.poll()
        if status is not None:
            return {"state": "ended", "status": status, "said": self._said()}
        stopped = see(self.child.pid).state in STOPPED
        return {"state": "stopped" if stopped else "running", "status": None, "pid": self.child.pid}

    def _said(self) -> str:
        """The end of what its log got from it."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self.log_start, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"its log {self.log} cannot be read: {error.strerror}"
        lines = [line.strip() for line in lines if line.strip()]
        return " / ".join(lines[-TAIL_LINES:]) or "it said nothing"


def start(context: Context, args: Value) -> Value:
    """`node`, `directory`, and `daemons`: `name`, `argv`, `env` and `log` of each. Those that run already are
    left alone. Answers as `look` does for the node, with the names of those that were `started`."""
    ours = _of(context, args["node"])
    started = []
    for daemon in args["daemons"]:
        there = ours.get(daemon["name"])
        if there is not None and there.child.poll() is None:
            continue
        if there is not None:
            _end(there.family)  # what outlived it
            context.undo.done(there.n)
        ours[daemon["name"]] = _begin(context, args["node"], args["directory"], daemon)
        started.append(daemon["name"])
    return {"started": started, "daemons": _look(ours)}


def kill(context: Context, args: Value) -> Value:
    """End all processes of `node` with SIGKILL. Those that were `struck` are `ended` when none of their
    processes is left; `status` says how each ended. `gone`: those that had ended before, as `look` tells."""
    ours = _of(context, args["node"])
    gone = _gone(ours)
    struck = {name: daemon for name, daemon in ours.items() if daemon.child.poll() is None}
    _end(lambda: [seen for daemon in ours.values() for seen in daemon.family()])
    ended = [name for name, daemon in ours.items() if not daemon.family()]
    for name in ended:
        context.undo.done(ours[name].n)
    status = {name: struck[name].child.poll() for name in struck}
    for name in ended:
        del ours[name]
    ended = [name for name in struck if name in ended]
    return {"struck": list(struck), "ended": ended, "status": status, "gone": gone}


def stop(context: Context, args: Value) -> Value:
    """Ask the processes of `node` to end with SIGTERM, in the order opposite to that of their start, and
    wait a moment; what runs still is told. A frozen one goes on, as it could not end otherwise. `gone` as in
    `kill`."""
    ours = _of(context, args["node"])
    gone = _gone(ours)
    struck = [name for name, daemon in ours.items() if daemon.child.poll() is None]
    for name in reversed(struck):
        members = ours[name].family()
        _signal(members, signal.SIGTERM)
        _signal(members, signal.SIGCONT)
    _until(lambda: all(ours[name].child.poll() is not None for name in struck))
    return {"struck": struck, "daemons": _look(ours), "gone": gone}


def pause(context: Context, args: Value) -> Value:
    """Freeze all processes of `node` with SIGSTOP. `frozen` are those that /proc shows to be, `going` those
    that it does not."""
    frozen, going = _switch(context, args["node"], signal.SIGSTOP)
    return {"frozen": frozen, "going": going}


def resume(context: Context, args: Value) -> Value:
    """Let all go on. Then `going` and `frozen` as in `pause`, of those of which something was frozen."""
    going, frozen = _switch(context, args["node"], signal.SIGCONT)
    return {"going": going, "frozen": frozen}


def look(context: Context, args: Value) -> Value:
    """Every daemon of every node by node and name; and whether somebody listens at `listens` (address, port),
    if that is given."""
    known: Dict[str, Dict[str, Running]] = context.state.setdefault(KIND, {})
    answer: Value = {"nodes": {node: _look(ours) for node, ours in known.items()}}
    if "listens" in args:
        address, port = args["listens"]
        answer["listens"] = _listens(address, port)
    return answer


def undo(args: Value) -> str:
    identity = Identity(args["pid"], args["start"], args["boot"])
    name = f"{args['name']} of {args['node']}"

    def left() -> List[Seen]:
        return family(identity, args["tag"])

    if not left():
        return f"{name} does not run"
    if not _end(left):
        raise Refused(f"{name} (process {identity.pid}) does not end, though killed")
    return f"{name} was killed"


def _begin(context: Context, node: str, directory: str, daemon: Value) -> Running:
    tag = secrets.token_hex(8)
    env = {"PATH": PATH, **daemon["env"], TAG: tag}
    words = [find("env"), "-i", *(f"{name}={value}" for name, value in env.items()), *daemon["argv"]]
    path = Path(daemon["log"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        start_of_log = log.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            [find("sh"), "-c", 'read -r _ && exec "$@" </dev/null', "sh", *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=directory,
            env={"PATH": PATH, "LC_ALL": "C"},
            start_new_session=True,
        )
    assert child.stdin is not None
    try:
        identity = identify(child.pid)
        about = {"node": node, "name": daemon["name"], "tag": tag, **identity._asdict()}
        n = context.undo.add(KIND, about)
        child.stdin.write(b"go\n")
        return Running(child, identity, tag, n, path, start_of_log)
    finally:
        child.stdin.close()


def processes(context: Context, node: str) -> List[int]:
    """All that run of a node now."""
    return [seen.pid for daemon in _of(context, node).values() for seen in daemon.family()]


def _of(context: Context, node: str) -> Dict[str, Running]:
    known: Dict[str, Dict[str, Running]] = context.state.setdefault(KIND, {})
    return known.setdefault(node, {})


def _look(ours: Dict[str, Running]) -> Dict[str, Any]:
    return {name: daemon.look() for name, daemon in ours.items()}


def _gone(ours: Dict[str, Running]) -> Dict[str, Any]:
    return {name: seen for name, seen in _look(ours).items() if seen["state"] == "ended"}


def _switch(context: Context, node: str, number: int) -> Tuple[List[str], List[str]]:
    """Signal the daemons that run; those that then are in the wanted state, and the others, but not those
    that shall go on and of which nothing was frozen. Those are signalled, too: what waits for its child, or
    for a disk, is not shown to be frozen yet."""
    stops = number == signal.SIGSTOP
    done: List[str] = []
    others: List[str] = []
    for name, daemon in _of(context, node).items():
        if daemon.child.poll() is not None:
            continue
        looks = count(1)

        def switched(daemon: Running = daemon, looks: Iterator[int] = looks) -> bool:
            own = daemon.family()
            is_switched = bool(own) and all((seen.state in STOPPED) == stops for seen in own)
            anew = stops and not is_switched and next(looks) % ANEW_LOOKS == 0
            _signal(own, signal.SIGCONT if anew else number)  # again, for what was forked meanwhile
            return is_switched

        counts = stops or any(seen.state in STOPPED for seen in daemon.family())
        has_switched = _until(switched)
        if counts:
            (done if has_switched else others).append(name)
    return done, others


def _end(left: Callable[[], List[Seen]]) -> bool:
    """Kill until nothing is left."""

    def done() -> bool:
        own = left()
        _signal(own, signal.SIGKILL)
        return not own

    return until(done, KILL_LIMIT_S, POLL_S)


def _signal(processes: Iterable[Seen], number: int) -> None:
    for seen in processes:
        try:
            os.kill(seen.pid, number)
        except ProcessLookupError:
            pass


def _until(fact: Callable[[], bool]) -> bool:
    return until(fact, EFFECT_LIMIT_S, POLL_S)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), LISTEN_LIMIT_S).close()
    except OSError:
        return False
    return True


OPERATIONS: Dict[str, Operation] = {
    "start": start,
    "kill": kill,
    "stop": stop,
    "pause": pause,
    "resume": resume,
    "look": look,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
