"""A host is taken from a hand that is still there, or was a moment ago."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from harness.hand import door, place
from harness.hand.ending import heal_after
from harness.hand.healing import LOG
from harness.hand.patience import LOOKS
from harness.hand.proc import identify
from harness.hand.undo import UndoLog

STILL_S = 1000.0
"""How long the machine stands still at each look: longer than anything is waited for."""
UNDOERS = {"mark": lambda args: "the mark was removed"}


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """On such a machine, whose hand is this process."""
    sent: list[int] = []
    clock = [0.0]
    monkeypatch.setattr(place, "mounts_of_our_own", lambda: "")
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + STILL_S))
    return sent


def held(home: Path, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """By a hand that is gone when it was looked for so many times; it has healed nothing."""
    holder = place.Lock(home)
    assert holder.take()
    holder.write({"holder": identify(os.getpid()), "token": "ours"})
    UndoLog(home / LOG).add("mark", {})
    take, taken = place.Lock.take, []

    def look(lock: place.Lock) -> bool:
        taken.append(lock)
        if len(taken) == looks:
            os.close(holder._file)
        return take(lock)

    monkeypatch.setattr(place.Lock, "take", look)


def test_a_hand_that_ends_while_the_machine_stands_still_is_neither_killed_nor_given_up(
    signals: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(tmp_path, monkeypatch, looks=LOOKS)
    healed = {"ended": os.getpid(), "undone": ["the mark was removed"], "failed": []}
    assert heal_after(tmp_path, UNDOERS) == healed
    assert set(signals) == {signal.SIGTERM}


def test_a_hand_that_does_not_end_is_killed_and_then_given_up(
    signals: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(tmp_path, monkeypatch, looks=1000)
    failed = [f"the hand of another run (process {os.getpid()}) does not end"]
    assert heal_after(tmp_path, UNDOERS) == {"ended": None, "undone": [], "failed": failed}
    assert signals == [signal.SIGTERM] * (LOOKS + 1) + [signal.SIGKILL] * (LOOKS + 1)


def test_who_comes_back_to_a_hand_that_ends_while_the_machine_stands_still_hears_of_it(
    signals: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(tmp_path, monkeypatch, looks=LOOKS)
    why = "its processes were killed, or the host restarted"
    ended = {"ended": why, "undone": ["the mark was removed"], "failed": []}
    assert door._how_it_ended(tmp_path, "ours", UNDOERS) == ended
