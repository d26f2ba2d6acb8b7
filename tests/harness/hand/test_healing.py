"""Everything is undone, newest first, as far as that is possible."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.hand import healing
from harness.hand.context import Refused, Value
from harness.hand.healing import heal, heal_home
from harness.hand.undo import UndoLog


def log_of(home: Path, *kinds: str) -> UndoLog:
    log = UndoLog(home / healing.LOG)
    for number, kind in enumerate(kinds):
        log.add(kind, {"number": number})
    return log


def say(args: Value) -> str:
    return f"undone {args['number']}"


def refuse(args: Value) -> str:
    raise Refused("it is stuck")


def test_the_newest_first_and_nothing_is_left(tmp_path: Path) -> None:
    log_of(tmp_path, "a", "b", "a")
    assert heal_home(tmp_path, {"a": say, "b": say}) == (["undone 2", "undone 1", "undone 0"], [])
    assert heal_home(tmp_path, {"a": say, "b": say}) == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_undone_stays_and_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    def broken(args: Value) -> str:
        raise KeyError("sprocket")

    log_of(tmp_path, "a", "stuck", "broken", "unknown", "a")
    undone, failed = heal_home(tmp_path, {"a": say, "stuck": refuse, "broken": broken})
    assert undone == ["undone 4", "undone 0"]
    assert failed == [
        "unknown {'number': 3}: this version does not know how to undo that",
        "broken {'number': 2}: KeyError: 'sprocket'",
        "stuck {'number': 1}: it is stuck",
    ]
    assert heal_home(tmp_path, {"stuck": say, "broken": say, "unknown": say}).undone == [
        "undone 3",
        "undone 2",
        "undone 1",
    ]


def test_a_line_that_makes_no_sense_is_named_with_what_to_do_and_set_aside_only_when_that_is_asked_for(
    tmp_path: Path,
) -> None:
    log_of(tmp_path, "a", "stuck")
    path = tmp_path / healing.LOG
    with path.open("ab") as file:
        file.write(b"\xff\0" + b"7" * 100 + b"\n")
    whole = path.read_bytes()
    line = (
        f"line 3 of {path} makes no sense ('\\\\xff\\x00{'7' * 35}...'), so nobody knows what it was to undo"
    )
    asking = f"{line}: see what may be left on the host, then harness heal --set-aside lets it be used again"
    stuck = "stuck {'number': 1}: it is stuck"
    assert heal_home(tmp_path, {"a": say, "stuck": refuse}) == (["undone 0"], [stuck, asking])
    assert heal_home(tmp_path, {"stuck": refuse}, set_aside=True) == ([], [stuck, asking])
    assert heal_home(tmp_path, {"stuck": say}) == (["undone 1"], [asking])
    aside = tmp_path / "undo.jsonl.unreadable"
    aside.write_text("of the time before")
    told = f"{line}: set aside in {aside}, so the host can be used again"
    log = UndoLog(path)
    assert heal(log, {}, set_aside=True) == ([], [told])
    assert log.open() == []
    assert aside.read_bytes().startswith(whole)
    assert not path.exists()
    assert heal_home(tmp_path, {}, set_aside=True) == ([], [])
    assert log_of(tmp_path, "a").open() == UndoLog(path).open() != []


def test_what_hangs_is_given_up_and_keeps_nothing_else_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(args: Value) -> str:
        time.sleep(60)
        return ""

    monkeypatch.setattr(healing, "UNDO_LIMIT_S", 0.05)
    undone, failed = heal(log_of(tmp_path, "a", "hangs"), {"a": say, "hangs": hang})
    assert (undone, failed) == (["undone 0"], ["hangs {'number': 1}: no end after 0.05 s"])
