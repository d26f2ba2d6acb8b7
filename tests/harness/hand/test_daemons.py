from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.hand import daemons, proc
from harness.hand.context import Context
from harness.hand.undo import UndoLog

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
PATIENCE_S = 20
NODE = "n1"


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    made = Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))
    yield made
    for entry in made.undo.open():
        daemons.undo(entry.args)


def start(context: Context, script: str, name: str = "d", env: dict[str, str] | None = None) -> int:
    """Run a script in `sh` as a daemon; its process."""
    return start_argv(context, ["sh", "-c", script], name, env)


def start_argv(context: Context, argv: list[str], name: str = "d", env: dict[str, str] | None = None) -> int:
    daemon = {"name": name, "argv": argv, "env": env or {}, "log": str(context.home / "log" / name)}
    args = {"node": NODE, "directory": str(context.home), "daemons": [daemon]}
    daemons.start(context, args)
    child = context.state[daemons.KIND][NODE][name].child
    assert isinstance(child, subprocess.Popen)
    return child.pid


def look(context: Context, name: str = "d") -> Any:
    return daemons.look(context, {})["nodes"][NODE][name]


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lives(pid: int) -> bool:
    return pid in proc.see_all()


def said(context: Context, name: str = "d") -> str:
    return (context.home / "log" / name).read_text()


def test_a_daemon_gets_its_words_environment_and_directory_and_nothing_to_read(context: Context) -> None:
    script = 'echo "$1|$A|$PWD"; cat; echo over; exec sleep 1000'
    pid = start_argv(context, ["sh", "-c", script, "sh", "it's $HOME"], env={"A": "b c\n'"})
    until(lambda: "over" in said(context))
    assert said(context) == f"it's $HOME|b c\n'|{context.home}\nover\n"
    assert look(context) == {"state": "running", "status": None, "pid": pid}
    assert os.getsid(pid) == pid

    def names() -> set[bytes]:
        """None while it becomes `sleep`."""
        return {line.partition(b"=")[0] for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}

    until(lambda: names() >= {b"PATH", b"A", proc.TAG.encode()})
    assert not names() & {b"HOME", b"VIRTUAL_ENV"}, "nothing of our own environment"


def test_a_start_of_what_runs_changes_nothing_and_of_what_ended_begins_anew(context: Context) -> None:
    first = start(context, "exec sleep 1000")
    assert start(context, "exec sleep 1000") == first
    assert len(context.undo.open()) == 1
    os.kill(first, signal.SIGKILL)
    until(lambda: look(context)["state"] == "ended")
    assert start(context, "exec sleep 1000") != first
    assert len(context.undo.open()) == 1


def test_all_that_came_from_a_daemon_is_killed_with_it(context: Context) -> None:
    """Children in its session, in one of their own, and one whose parents are gone."""
    start(context, "sleep 1001 & setsid sleep 1002 & (setsid sh -c 'sleep 1003 & exit' &) ; exec sleep 1000")
    wanted = {b"sleep\x00%d\x00" % n for n in (1000, 1001, 1002, 1003)}

    def ours() -> dict[bytes, int]:
        found = {}
        for pid in proc.see_all():
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if line in wanted and f"{proc.TAG}=".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    found[line] = pid
        return found

    until(lambda: ours().keys() == wanted)
    pids = list(ours().values())
    answer = daemons.kill(context, {"node": NODE})
    assert answer == {"struck": ["d"], "ended": ["d"], "status": {"d": -signal.SIGKILL}, "gone": {}}
    until(lambda: not any(map(lives, pids)))  # what is left of one has no memory any more
    assert context.undo.open() == []
    assert daemons.look(context, {})["nodes"][NODE] == {}


def test_several_daemons_are_told_apart_and_ended_together(context: Context) -> None:
    start(context, "exec sleep 1000", "a")
    start(context, "exit 3", "b")
    until(lambda: look(context, "b")["state"] == "ended")
    assert look(context, "a")["state"] == "running"
    answer = daemons.kill(context, {"node": NODE})
    assert answer["struck"] == ["a"]
    assert answer["gone"] == {"b": {"state": "ended", "status": 3, "said": "it said nothing"}}
    assert daemons.kill(context, {"node": NODE}) == {"struck": [], "ended": [], "status": {}, "gone": {}}


def test_the_end_of_a_daemon_is_told_with_its_last_words_and_no_earlier_ones(context: Context) -> None:
    start(context, "echo the first; exit 1")
    until(lambda: look(context)["state"] == "ended")
    start(context, "echo one; echo; echo two; echo three; echo four >&2; exit 74")
    until(lambda: look(context)["state"] == "ended")
    assert look(context) == {"state": "ended", "status": 74, "said": "two / three / four"}
    start_argv(context, ["/no/such/program"])
    until(lambda: look(context)["state"] == "ended")
    assert look(context)["status"] == 127
    assert "No such file" in look(context)["said"]


def test_a_frozen_daemon_is_frozen_with_its_children_and_goes_on_with_them(context: Context) -> None:
    start(context, "sleep 1001 & exec sleep 1000")
    family = context.state[daemons.KIND][NODE]["d"].family
    until(lambda: len(family()) == 2)
    assert daemons.pause(context, {"node": NODE}) == {"frozen": ["d"], "going": []}
    assert [seen.state for seen in family()] == ["T", "T"]
    assert look(context)["state"] == "stopped"
    assert daemons.pause(context, {"node": NODE}) == {"frozen": ["d"], "going": []}
    assert daemons.resume(context, {"node": NODE}) == {"going": ["d"], "frozen": []}
    assert look(context)["state"] == "running"
    assert daemons.resume(context, {"node": NODE}) == {"going": [], "frozen": []}


def test_a_child_that_was_frozen_before_it_became_a_program_does_not_keep_its_parent_from_being_so(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent waits for it (D) until all go on; by then the child is the program."""
    start(context, "exec sleep 1000")
    daemon = context.state[daemons.KIND][NODE]["d"]
    states = {"parent": "D", "child": "R"}

    def signalled(processes: list[Any], number: int) -> None:
        if number == signal.SIGCONT:
            states.update(parent="S", child="S")
        else:
            states.update(child="T", parent="D" if states["parent"] == "D" else "T")

    def family() -> list[Any]:
        return [proc.see(daemon.child.pid)._replace(state=state) for state in states.values()]

    monkeypatch.setattr(daemon, "family", family)
    with monkeypatch.context() as patched:
        patched.setattr(daemons, "_signal", signalled)
        assert daemons.pause(context, {"node": NODE}) == {"frozen": ["d"], "going": []}
    assert states == {"parent": "T", "child": "T"}
    monkeypatch.undo()


def test_a_child_that_is_frozen_by_itself_goes_on_too(context: Context) -> None:
    """As where a daemon waits for one that it has just forked, and is not shown to be frozen itself."""
    start(context, "sleep 1001 & exec sleep 1000")
    daemon = context.state[daemons.KIND][NODE]["d"]
    until(lambda: len(daemon.family()) == 2)
    (child,) = [seen.pid for seen in daemon.family() if seen.pid != daemon.child.pid]
    os.kill(child, signal.SIGSTOP)
    until(lambda: "T" in [seen.state for seen in daemon.family()])
    assert daemons.resume(context, {"node": NODE}) == {"going": ["d"], "frozen": []}
    assert "T" not in [seen.state for seen in daemon.family()]


def test_one_that_is_asked_to_end_may_do_what_it_has_to(context: Context) -> None:
    start(context, "trap 'echo bye; exit 5' TERM; echo set; while :; do sleep 0.01; done")
    until(lambda: "set" in said(context))
    assert daemons.pause(context, {"node": NODE})["frozen"] == ["d"]
    answer = daemons.stop(context, {"node": NODE})
    assert answer["struck"] == ["d"]
    ended = answer["daemons"]["d"]
    assert (ended["state"], ended["status"]) == ("ended", 5)
    assert ended["said"].endswith(" / bye")
    assert daemons.kill(context, {"node": NODE})["struck"] == []
    assert context.undo.open() == []


def test_one_that_does_not_want_to_end_is_told(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "EFFECT_LIMIT_S", 0.1)
    start(context, "trap '' TERM; echo set; while :; do sleep 0.01; done")
    until(lambda: "set" in said(context))
    assert daemons.stop(context, {"node": NODE})["daemons"]["d"]["state"] == "running"
    monkeypatch.undo()
    assert daemons.kill(context, {"node": NODE})["ended"] == ["d"]


def test_nothing_runs_that_is_not_written_down_before(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(kind: str, args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(context.undo, "add", full)
    children = set(proc.see_all())
    with pytest.raises(OSError, match="No space left"):
        start(context, "echo began; exec sleep 1000")
    until(lambda: not {pid for pid in set(proc.see_all()) - children if _is_child(pid)})
    assert said(context) == ""


def _is_child(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return proc.see(pid).parent == os.getpid()
    return False


def test_it_is_undone_by_another_process_from_what_was_written_down(context: Context) -> None:
    pid = start(context, "setsid sleep 1001 & exec sleep 1000")
    ((_, kind, args),) = UndoLog(context.home / "undo.jsonl").open()
    assert kind == daemons.KIND
    code = "import json, sys; from harness.hand import daemons; print(daemons.undo(json.loads(sys.argv[1])))"
    words = [sys.executable, "-c", code, json.dumps(args)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert done.stdout == "d of n1 was killed\n"
    assert not lives(pid)
    assert daemons.undo(args) == "d of n1 does not run"


@pytest.mark.parametrize("other", [{"start": 1}, {"boot": "another"}])
def test_a_process_that_only_has_the_number_is_left_alone(context: Context, other: dict[str, Any]) -> None:
    pid = start(context, "exec sleep 1000")
    (entry,) = context.undo.open()
    foreign = {**entry.args, "tag": "0" * 16, **other}
    assert daemons.undo(foreign) == "d of n1 does not run"
    assert lives(pid)


def test_whether_somebody_listens_is_seen_from_the_host_itself(context: Context) -> None:
    code = (
        "import socket, time; listening = socket.create_server(('127.0.0.1', 0)); "
        "print(listening.getsockname()[1], flush=True); time.sleep(1000)"
    )
    assert not daemons.look(context, {"listens": ["127.0.0.1", 1]})["listens"]
    start_argv(context, [sys.executable, "-c", code])
    until(lambda: said(context).endswith("\n"))
    assert daemons.look(context, {"listens": ["127.0.0.1", int(said(context))]})["listens"]
