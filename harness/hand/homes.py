"""The directories of nodes on their host, and where that host is to be found."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Dict

from harness.hand import tool
from harness.hand.context import Context, Operation, Refused, Undoer, Value

KIND = "home"
NODES = "nodes"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")


def addresses(context: Context, args: Value) -> Value:
    """What `ip -j address` says: `interfaces`, a list of objects."""
    return {"interfaces": json.loads(tool.run(["ip", "-j", "address"]))}


def home(context: Context, args: Value) -> Value:
    """Make the directory of `node`, empty; its `path`."""
    path = _home(context.home, args["node"])
    context.undo.add(KIND, {"home": str(context.home), "node": args["node"]})
    _remove(path)
    path.mkdir(mode=0o755, parents=True)
    return {"path": str(path)}


def wipe(context: Context, args: Value) -> Value:
    """Remove all that is in `directory`, which is in the directory of `node`, but not itself: a disk may be
    mounted there. `removed` is how many entries it had; one that is not there has none."""
    home = _home(context.home, args["node"])
    directory = Path(args["directory"])
    if home not in directory.parents or os.path.realpath(directory) != str(directory):
        raise Refused(f"{directory} is not below {home}, or behind a link: it is not emptied")
    removed = 0
    if directory.exists():
        for entry in os.scandir(directory):
            removed += 1
            _remove(Path(entry.path))
    return {"removed": removed}


def undo(args: Value) -> str:
    path = _home(Path(args["home"]), args["node"])
    if not os.path.lexists(path):
        return f"{path} is not there"
    _remove(path)
    return f"{path} was removed"


def _home(home: Path, node: str) -> Path:
    if not _NAME.match(node):
        raise Refused(f"{node!r} is no name for a node: letters, digits, and -_. inside")
    return Path(os.path.realpath(home)) / NODES / node


def _remove(path: Path) -> None:
    """Whatever it is; what a link points to stays."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif os.path.lexists(path):
            path.unlink()
    except OSError as error:
        raise Refused(f"{error.filename or path} cannot be removed: {error.strerror}") from None


OPERATIONS: Dict[str, Operation] = {"addresses": addresses, "home": home, "wipe": wipe}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
