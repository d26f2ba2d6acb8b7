"""A hand that knows a few harmless operations, for tests of what every hand does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.cluster.hosts import parcel
from harness.lab import state
from harness.lab.lab import Lab
from tests.support.machine import family

TABLE: Final = '''
import os, subprocess, time
from pathlib import Path

from harness.hand import origin, tool
from harness.hand.context import Refused
from harness.hand.proc import identify, see


def mark(context, args):
    """A file, for as long as it is not undone."""
    context.undo.add("mark", args)
    Path(args["path"]).write_text("begun")
    time.sleep(args.get("after_s", 0))
    Path(args["path"]).write_text("marked")
    return {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0)}


def unmark(args):
    path = Path(args["path"])
    if path.exists() and path.read_text() == "stubborn":
        raise Refused(f"{path} is stubborn")
    path.unlink() if path.exists() else None
    return f"{path} was removed"


def daemon(context, args):
    child = subprocess.Popen(["sleep", args["seconds"]])
    pid, start, _ = identify(child.pid)
    context.undo.add("daemon", {"pid": pid, "start": start})
    return {"pid": pid}


def undaemon(args):
    try:
        if see(args["pid"]).start == args["start"]:
            os.kill(args["pid"], 9)
    except ProcessLookupError:
        pass
    return "the daemon was ended"


def cover(context, args):
    context.demand_own_mounts()
    tool.run(["mount", "-t", "tmpfs", "tmpfs", args["path"]])
    Path(args["path"], "inside").touch()
    return {"seen": os.listdir(args["path"])}


def hang(context, args):
    context.undo.add("hang", args)
    return {}


def forever(args):
    time.sleep(600)
    return ""


def sleep(context, args):
    time.sleep(args["s"])
    return {}


def broken(context, args):
    raise KeyError("sprocket")


def controller(context, args):
    return {"address": origin.origin().address}


def refuse(context, args):
    raise Refused("not today")


OPERATIONS = {
    "mark": mark, "daemon": daemon, "cover": cover, "sleep": sleep, "broken": broken, "refuse": refuse,
    "hang": hang, "list": lambda context, args: ["no", "object"], "echo": lambda context, args: args,
    "controller": controller, "nan": lambda context, args: {"value": float("nan")},
}
UNDOERS = {"mark": unmark, "daemon": undaemon, "hang": forever}
'''


def harmless(**changed: bytes) -> parcel.Parcel:
    """To be sent to hosts instead of the real one; with other modules of these names, if wanted."""
    modules = {f"harness/hand/{name}.py": content for name, content in changed.items()}
    return parcel.pack({**parcel.modules(), "harness/hand/table.py": TABLE.encode(), **modules})


def srv(made: Lab, number: int = 0) -> Path:
    """A host's `/srv`, from outside."""
    return made.layout.host_directory(made.layout.hosts[number]) / "srv"


def processes(made: Lab, words: bytes) -> set[int]:
    """Those in the lab whose command line begins so, as processes of this machine."""
    there = state.read(made.layout.directory)
    assert there is not None
    found = set()
    for pid in family(there.keeper.pid):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(words):
                found.add(pid)
    return found


def hands(made: Lab) -> set[int]:
    """Every process of a hand."""
    return processes(made, b"python3\0/srv/stormcellar/hand.pyz")


def cut_sessions(made: Lab) -> int:
    """Kill what serves the SSH connections that there are, and not what waits for new ones; how many."""
    serving = [
        pid
        for pid in processes(made, b"sshd: ")
        if b"[listener]" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    for pid in serving:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(serving)


def kill_at_once(pids: Iterable[int]) -> None:
    """None of them notices the death of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
