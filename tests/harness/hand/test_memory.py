from __future__ import annotations

from pathlib import Path

import pytest

from harness.hand.memory import Memory, memory

GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def machine(root: Path, groups: str, **files: str) -> Memory:
    """Of 8 GiB, 6 are available."""
    said = "MemTotal: 8388608 kB\nMemFree:  1000 kB\nMemAvailable:    6291456 kB\nHugePages_Total: 0\n"
    write(root, {"proc/meminfo": said, "proc/self/cgroup": groups})
    write(root / "groups", files)
    return memory(root / "proc", root / "groups")


def test_without_a_limit_it_is_what_the_kernel_says(tmp_path: Path) -> None:
    files = {"a/b/memory.max": "max", "a/b/memory.current": str(GIB)}
    assert machine(tmp_path, "0::/a/b\n", **files) == (8 * GIB, 6 * GIB)


def test_the_tightest_limit_of_all_groups_above_counts_and_cache_can_be_had(tmp_path: Path) -> None:
    files = {
        "a/memory.max": str(2 * GIB),
        "a/memory.current": str(GIB),
        "a/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
        "a/b/memory.max": str(3 * GIB),
        "a/b/memory.current": "0",
    }
    assert machine(tmp_path, "0::/a/b\n", **files) == (2 * GIB, 3 * GIB // 2)


def test_groups_of_the_first_version_are_read_in_their_own_words(tmp_path: Path) -> None:
    files = {
        "memory/x/memory.limit_in_bytes": str(GIB),
        "memory/x/memory.usage_in_bytes": str(GIB),
        "memory/x/memory.stat": "inactive_file 7\ntotal_inactive_file 4096\n",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": "0",
    }
    groups = "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n"
    assert machine(tmp_path, groups, **files) == (GIB, 4096)


@pytest.mark.parametrize(
    ("total", "available", "spare"),
    [
        (8 * GIB, 6 * GIB, 6 * GIB - int(8 * GIB * 0.15)),
        (GIB, GIB, GIB - (256 << 20)),
        (GIB, 200 << 20, 0),
    ],
)
def test_some_is_always_left(total: int, available: int, spare: int) -> None:
    assert Memory(total, available).spare == spare


def test_this_machine_has_some() -> None:
    found = memory()
    assert 0 < found.available <= found.total
