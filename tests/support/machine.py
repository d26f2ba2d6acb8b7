"""What of this machine may be seen to change: its own network, mounts and processes."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

NETWORK = (
    ("ip", "netns", "list"),
    ("ip", "-o", "link"),
    ("ip", "-o", "addr"),
    ("ip", "route", "show", "table", "all"),
    ("ip", "rule"),
    ("iptables-save",),
    ("ip6tables-save",),
)


def network_and_mounts() -> dict[str, list[str]]:
    """Without the counters, times and comments that change by themselves."""
    seen = {" ".join(argv): _said(argv) for argv in NETWORK if argv[0] == "ip" or _exists(argv[0])}
    seen["mounts"] = Path("/proc/self/mountinfo").read_text().splitlines()
    seen["/run"] = sorted(entry.name for entry in Path("/run").iterdir() if entry.name != "stormcellar")
    return seen


def living() -> dict[int, int]:
    """Every process that is no zombie, and its parent."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[int(stat.parent.name)] = int(parent)
    return found


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = living()
    found = {pid} & parents.keys()
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _said(argv: tuple[str, ...]) -> list[str]:
    output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [line for line in output.splitlines() if not line.startswith("#")]


def _exists(program: str) -> bool:
    return any((Path(folder) / program).exists() for folder in ("/usr/sbin", "/sbin", "/usr/bin"))
