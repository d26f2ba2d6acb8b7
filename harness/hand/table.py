"""All that the hand can be asked for, and all that it can undo, by name."""

from __future__ import annotations

from typing import Dict

from harness.hand import clocks, daemons, disks, faketime, files, homes, network, packets, power, slow, stress
from harness.hand.context import Operation, Undoer

_MODULES = (daemons, homes, network, packets, clocks, faketime, disks, power, slow, files, stress)

OPERATIONS: Dict[str, Operation] = {
    name: operation for module in _MODULES for name, operation in module.OPERATIONS.items()
}
UNDOERS: Dict[str, Undoer] = {kind: undoer for module in _MODULES for kind, undoer in module.UNDOERS.items()}
