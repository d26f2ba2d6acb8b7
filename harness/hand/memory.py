"""How much memory there is to be had, by the kernel and by the control groups that we are in."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")
LEFT_FRACTION = 0.15
LEFT_BYTES_MIN = 256 << 20


class Memory(NamedTuple):
    """In bytes; of the tightest limit that holds for us."""

    total: int
    available: int

    @property
    def spare(self) -> int:
        """What can be taken, and everything else still has `LEFT_FRACTION` of all, and `LEFT_BYTES_MIN`."""
        return max(0, self.available - max(LEFT_BYTES_MIN, int(self.total * LEFT_FRACTION)))


def memory(proc: Path = PROC, groups: Path = GROUPS) -> Memory:
    said = _figures(proc / "meminfo")
    found = Memory(said["MemTotal"] << 10, said["MemAvailable"] << 10)
    for directory, version in _groups(proc, groups):
        names = _FILES[version]
        limit, used = _number(directory / names["limit"]), _number(directory / names["used"])
        if limit is not None and used is not None and limit < found.total:
            cached = _figures(directory / "memory.stat").get(names["cached"], 0)
            found = Memory(limit, max(0, min(found.available, limit - used + cached)))
    return found


_FILES = {
    1: {
        "limit": "memory.limit_in_bytes",
        "used": "memory.usage_in_bytes",
        "cached": "total_inactive_file",
    },
    2: {"limit": "memory.max", "used": "memory.current", "cached": "inactive_file"},
}


def _groups(proc: Path, groups: Path) -> "Iterator[tuple[Path, int]]":
    """Where the limits of this process' groups and of those above them are, and in which version's words."""
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, version = groups, 2
        elif "memory" in controllers.split(","):
            root, version = groups / "memory", 1
        else:
            continue
        own = Path(path.lstrip("/"))
        for part in (own, *own.parents):
            yield root / part, version


def _figures(path: Path) -> Dict[str, int]:
    """Lines of a name and a number; none where there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _number(path: Path) -> Optional[int]:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
