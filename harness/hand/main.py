"""The ways to start the hand: `serve` for a run, `attach` to come back to it, `heal` after it, `do` for one
operation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import List, Sequence

from harness.hand import healing
from harness.hand.context import Context, Refused, Value
from harness.hand.door import attach
from harness.hand.ending import heal_after
from harness.hand.healing import LOG
from harness.hand.serve import serve
from harness.hand.table import OPERATIONS, UNDOERS
from harness.hand.undo import UndoLog


def main(words: Sequence[str]) -> int:
    mode, home = words[0], Path(words[1])
    if mode == "heal":
        print(json.dumps(heal_after(home, UNDOERS, "set-aside" in words[2:])))
        return 0
    if mode == "attach":
        return attach(home, UNDOERS)
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    if mode == "serve":
        return serve(home, float(words[2]), OPERATIONS, UNDOERS)
    try:
        print(json.dumps(do(Context(home, UndoLog(home / LOG)), words[2], json.loads(words[3]))))
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def do(context: Context, name: str, args: Value) -> Value:
    if name not in OPERATIONS:
        raise Refused(f"the hand knows no operation {name!r}")
    return OPERATIONS[name](context, args)


def heal(context: Context) -> List[str]:
    """Undo all that is open, the newest first; what was done, in words. Raises `Refused` when something could
    not be undone."""
    undone, failed = healing.heal(context.undo, UNDOERS)
    if failed:
        raise Refused("; ".join(failed))
    return undone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
