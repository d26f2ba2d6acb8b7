"""What every operation of the hand is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict

from harness.hand.undo import UndoLog

Value = Dict[str, Any]
"""A JSON object: the arguments of an operation, and its result."""


class Refused(Exception):
    """What was asked cannot be done here: one sentence, without the host's name."""


@dataclass
class Context:
    """`home` is the directory on the host that is ours (`/srv/stormcellar`). `state` is what modules remember
    while this process lives, by module. `no_mounts`: why nothing may be mounted here, empty if it may."""

    home: Path
    undo: UndoLog
    state: Dict[str, Any] = field(default_factory=dict)
    no_mounts: str = ""

    def demand_own_mounts(self) -> None:
        """To be called before something is mounted; raises `Refused` where others would see it, too."""
        if self.no_mounts:
            raise Refused(self.no_mounts)


Operation = Callable[[Context, Value], Value]
"""Raises `Refused`; whatever else it raises is told to the harness as an error, too, and the hand goes on.
Whatever it changes on the host it first writes into `context.undo`."""

Undoer = Callable[[Value], str]
"""Undoes one entry, given its arguments alone: in another process, perhaps after a reboot, perhaps for the
second time, perhaps although it was never done. What it did, in words; raises `Refused`."""
