"""Undo what the log says is open, as far as that is possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple

from harness.hand.context import Refused, Undoer
from harness.hand.limit import TooLong, limited
from harness.hand.undo import UNREADABLE, UndoLog

LOG = "undo.jsonl"
UNDO_LIMIT_S = 20.0
"""For one entry. Undoing takes milliseconds; a program that hangs shall not keep the rest from it."""
ARGS_CHARS_MAX = 200
LINE_CHARS_MAX = 40


class Healing(NamedTuple):
    """What was undone, and what could not be, each in words. The latter stays in the log."""

    undone: List[str]
    failed: List[str]

    def tell(self) -> Dict[str, Any]:
        return {"undone": self.undone, "failed": self.failed}


def heal_home(home: Path, undoers: Mapping[str, Undoer], set_aside: bool = False) -> Healing:
    """What the disk says is open: it knows better than a process that was interrupted."""
    return heal(UndoLog(home / LOG), undoers, set_aside)


def heal(log: UndoLog, undoers: Mapping[str, Undoer], set_aside: bool = False) -> Healing:
    """The newest first. With `set_aside`, a log that holds nothing any more but lines that make no sense is
    put out of the way; they are told as what could not be undone all the same."""
    healing = Healing([], [])
    lines: Dict[int, str] = {}
    for entry in reversed(log.open()):
        if entry.kind == UNREADABLE:
            lines[-entry.n] = entry.args["line"]
            continue
        try:
            if entry.kind not in undoers:
                raise Refused("this version does not know how to undo that")
            with limited(UNDO_LIMIT_S):
                healing.undone.append(undoers[entry.kind](entry.args))
            log.done(entry.n)
        except (Exception, TooLong) as error:
            healing.failed.append(f"{entry.kind} {str(entry.args)[:ARGS_CHARS_MAX]}: {reason(error)}")
    if lines:
        then = "see what may be left on the host, then harness heal --set-aside lets it be used again"
        if set_aside and not healing.failed:
            then = f"set aside in {log.set_aside()}, so the host can be used again"
        for number, line in lines.items():
            shown = repr(line if len(line) <= LINE_CHARS_MAX else line[:LINE_CHARS_MAX] + "...")
            what = f"line {number} of {log.path} makes no sense ({shown})"
            healing.failed.append(f"{what}, so nobody knows what it was to undo: {then}")
    return healing


def reason(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return words if isinstance(error, (Refused, TooLong)) else f"{type(error).__name__}: {words}"
