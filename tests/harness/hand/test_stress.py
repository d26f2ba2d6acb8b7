"""Stress as it is on this machine: processes that use it up, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.hand import stress
from harness.hand.context import Context, Refused
from harness.hand.memory import Memory
from harness.hand.proc import see, see_all
from harness.hand.undo import UndoLog

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]
PATIENCE_S = 20
LITTLE = 16 << 20


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    made = Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))
    try:
        yield made
    finally:
        stress.stress_end(made, {})


def children(context: Context, kind: str) -> list[int]:
    known: dict[str, stress.Stressor] = context.state[stress.KIND]
    return known[kind].children


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_processor_is_in_use_until_it_ends(context: Context) -> None:
    said = stress.stress_cpu(context, {})
    busy = children(context, "cpu")
    assert said["processes"] == len(busy) == len(os.sched_getaffinity(0))
    assert all(ms > 0 for ms in said["cpu_ms"])
    assert said["slowdown"] > 0
    again = stress.stress_cpu(context, {})
    assert children(context, "cpu") == busy
    assert again["slowdown"] is None
    until(lambda: sum(stress.stress_cpu(context, {})["cpu_ms"]) > sum(said["cpu_ms"]))
    ended = stress.stress_end(context, {})["ended"]["cpu"]
    assert (ended["left"], ended["ended_before"]) == (0, 0)
    assert ended["cpu_ms"] > sum(said["cpu_ms"])
    until(lambda: not set(busy) & see_all().keys())  # what is left of one has no memory any more
    assert context.undo.open() == []
    assert stress.stress_end(context, {}) == {"ended": {}}


def test_busy_processes_belong_to_no_session_together(context: Context) -> None:
    """A kernel may deal out its processors by sessions, and one for all would get little."""
    stress.stress_cpu(context, {})
    assert [see(pid).session for pid in children(context, "cpu")] == children(context, "cpu")


def test_memory_is_really_held_and_given_back(context: Context) -> None:
    said = stress.stress_memory(context, {"fraction": 0.5, "bytes_max": LITTLE})
    assert said["wanted_bytes"] == LITTLE
    assert LITTLE <= said["held_bytes"] < LITTLE + (32 << 20)
    (hog,) = children(context, "memory")
    assert Path(f"/proc/{hog}/oom_score_adj").read_text() == "1000\n"
    ended = stress.stress_end(context, {})["ended"]["memory"]
    assert ended["held_bytes"] >= LITTLE
    until(lambda: hog not in see_all())


def test_no_more_is_taken_than_the_fraction_and_than_can_be_spared(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress, "memory", lambda: Memory(1 << 30, (256 << 20) + 5000))
    said = stress.stress_memory(context, {"fraction": 0.9, "bytes_max": LITTLE})
    assert said["wanted_bytes"] == 5000
    stress.stress_end(context, {})
    monkeypatch.setattr(stress, "memory", lambda: Memory(1 << 30, 200 << 20))
    with pytest.raises(Refused, match=r"^only 200 MiB of memory are available, so none can be spared$"):
        stress.stress_memory(context, {"fraction": 0.9})
    assert context.undo.open() == []


def test_a_process_that_was_killed_meanwhile_is_told(context: Context) -> None:
    stress.stress_memory(context, {"fraction": 0.5, "bytes_max": LITTLE})
    (hog,) = children(context, "memory")
    os.kill(hog, signal.SIGKILL)
    until(lambda: hog not in see_all())
    ended = stress.stress_end(context, {})["ended"]["memory"]
    assert (ended["ended_before"], ended["left"], ended["held_bytes"]) == (1, 0, 0)


def test_the_undo_log_alone_is_enough_to_end_it(context: Context, tmp_path: Path) -> None:
    stress.stress_cpu(context, {})
    busy = children(context, "cpu")
    (entry,) = UndoLog(tmp_path / "undo.jsonl").open()
    assert stress.undo(entry.args) == "cpu stress was ended"
    until(lambda: not set(busy) & see_all().keys())
    assert stress.undo(entry.args) == "cpu stress is not there any more"
    stranger: dict[str, Any] = {**entry.args, "pid": os.getpid(), "start": 0}
    assert stress.undo(stranger) == "cpu stress is not there any more"


HAND = """
import sys, time
from pathlib import Path
from harness.hand import stress
from harness.hand.context import Context
from harness.hand.undo import UndoLog
context = Context(Path(sys.argv[1]), UndoLog(Path(sys.argv[1], "undo.jsonl")))
stress.stress_cpu(context, {})
print(*context.state[stress.KIND]["cpu"].children, flush=True)
time.sleep(600)
"""


def test_it_ends_with_the_hand_however_that_ends(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", HAND, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as hand:
        assert hand.stdout is not None
        busy = {int(pid) for pid in hand.stdout.readline().split()}
        assert busy <= see_all().keys()
        hand.kill()
    until(lambda: not busy & see_all().keys())


def test_a_leader_that_is_killed_takes_the_others_with_it(context: Context) -> None:
    stress.stress_cpu(context, {})
    busy = set(children(context, "cpu"))
    known: dict[str, stress.Stressor] = context.state[stress.KIND]
    known["cpu"].leader.kill()
    until(lambda: not busy & see_all().keys())
    assert stress.stress_end(context, {})["ended"]["cpu"]["left"] == 0
