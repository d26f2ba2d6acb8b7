"""The machine that the harness runs on: looked at directly, judged by pure readers."""

from __future__ import annotations

import importlib
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

from harness.doctor.checks import Finding
from harness.doctor.examine import Row, row
from harness.hand.tool import PATH
from harness.systems.install import requirements

HERE: Final = "here"
PYTHON_MIN: Final = (3, 11)
SPACE_MIB_MIN: Final = 512
MEMORY_MIB_MIN: Final = 512
FILES_MIN: Final = 1024
LOCK: Final = Path(__file__).parents[2] / "requirements.lock"
_UNSHARE: Final = "unshare --mount --net --pid --uts --ipc --fork --kill-child true"
_LIMIT_S: Final = 10.0
_EVERYWHERE: Final = frozenset({"sim", "local", "netns", "ssh"})
_NOWHERE: Final[frozenset[str]] = frozenset()


class OwnCheck(NamedTuple):
    """`look` has no arguments, and `read` no effects."""

    name: str
    clusters: frozenset[str]
    look: Callable[[], Any]
    read: Callable[[Any], Finding]


def examine_here(cluster: str) -> list[Row]:
    """For runs on this cluster."""
    return [
        row(HERE, check.name, check.read(check.look()), cluster in check.clusters) for check in OWN_CHECKS
    ]


def _python(version: tuple[int, ...]) -> Finding:
    words = ".".join(map(str, version))
    if version < PYTHON_MIN:
        wanted = ".".join(map(str, PYTHON_MIN))
        return Finding(False, f"Python is {words}, and {wanted} is needed", f"apt-get install python{wanted}")
    return Finding(True, words)


def _look_at_packages() -> Mapping[str, tuple[str, str]]:
    """Of each distribution that we need: the version that is locked and the one that is there, either empty,
    or why it cannot be imported."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.M)) if LOCK.exists() else {}
    found = {}
    for name in requirements(metadata.requires("stormcellar") or ()):
        try:
            importlib.import_module(name.replace("-", "_"))
            found[name] = (locked.get(name, ""), metadata.version(name))
        except ImportError as error:
            found[name] = (locked.get(name, ""), f"not to be imported: {error}")
    return found


def _packages(found: Mapping[str, tuple[str, str]]) -> Finding:
    wrong = [f"{name} is {there}" for name, (_, there) in found.items() if not there[:1].isdigit()]
    wrong += [
        f"{name} is {there}, locked is {locked}"
        for name, (locked, there) in found.items()
        if there[:1].isdigit() and locked not in ("", there)
    ]
    if wrong:
        remedy = f"{sys.executable} -m pip install --require-hashes -r requirements.lock"
        return Finding(False, "; ".join(wrong), remedy)
    return Finding(True, ", ".join(f"{name} {there}" for name, (_, there) in found.items()))


def _space(free_bytes: int) -> Finding:
    words = f"{free_bytes >> 20:,} MiB free here"
    return Finding(free_bytes >> 20 >= SPACE_MIB_MIN, words, f"free {SPACE_MIB_MIN} MiB, or run elsewhere")


def _look_at_memory() -> str:
    path = Path("/proc/meminfo")
    return path.read_text() if path.exists() else ""


def _memory(said: str) -> Finding:
    match = re.search(r"^MemAvailable:\s*(\d+) kB", said, re.M)
    if match is None:
        return Finding(True, "this system does not tell")
    free_mib = int(match[1]) // 1024
    return Finding(free_mib >= MEMORY_MIB_MIN, f"{free_mib:,} MiB available", "end something that uses it")


def _files(limit: int) -> Finding:
    unlimited = limit == resource.RLIM_INFINITY
    words = "any number may be open" if unlimited else f"{limit:,} may be open"
    return Finding(unlimited or limit >= FILES_MIN, words, f"ulimit -n {4 * FILES_MIN}")


def _root(who: tuple[str, int]) -> Finding:
    system, uid = who
    if system != "linux":
        return Finding(False, f"this is {system}, and namespaces need Linux", "use a Linux machine or VM")
    return Finding(uid == 0, "root on Linux" if uid == 0 else "not root", "sudo harness ...")


def _program(program: str, package: str, cluster: str) -> OwnCheck:
    def read(path: str | None) -> Finding:
        return Finding(path is not None, path or f"{program} is missing", f"apt-get install {package}")

    clusters = frozenset({cluster}) if cluster else _NOWHERE
    return OwnCheck(program, clusters, lambda: shutil.which(program, path=PATH), read)


def _look_at_namespaces() -> tuple[int, str]:
    try:
        tried = subprocess.run(
            _UNSHARE.split(),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            env={"PATH": PATH},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return tried.returncode, tried.stderr


def _namespaces(tried: tuple[int, str]) -> Finding:
    status, said = tried
    if status == 0:
        return Finding(True, "all kinds were tried out")
    why = " ".join(said.split()) or f"exit status {status}"
    remedy = "be root; in a container, docker run --privileged"
    return Finding(False, f"namespaces cannot be made: {why}", remedy)


def _terminal(is_one: bool) -> Finding:
    return Finding(is_one, "a terminal" if is_one else "no terminal, so there is no live view")


_NETNS: Final = frozenset({"netns"})
OWN_CHECKS: Final = (
    OwnCheck("python", _EVERYWHERE, lambda: sys.version_info[:3], _python),
    OwnCheck("packages", _EVERYWHERE, _look_at_packages, _packages),
    OwnCheck("disk space", _EVERYWHERE, lambda: shutil.disk_usage(".").free, _space),
    OwnCheck("memory", _EVERYWHERE, _look_at_memory, _memory),
    OwnCheck("open files", _EVERYWHERE, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0], _files),
    OwnCheck("root", _NETNS, lambda: (sys.platform, os.geteuid()), _root),
    OwnCheck("namespaces", _NETNS, _look_at_namespaces, _namespaces),
    _program("ip", "iproute2", "netns"),
    _program("mount", "mount", "netns"),
    _program("nsenter", "util-linux", "netns"),
    _program("sshd", "openssh-server", "netns"),
    _program("ssh", "openssh-client", ""),
    OwnCheck("terminal", _NOWHERE, lambda: sys.stdout.isatty(), _terminal),
)
