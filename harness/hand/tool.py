"""Run a program of the host, with a time limit; never through a shell."""

from __future__ import annotations

import shutil
import subprocess
from typing import Sequence

from harness.hand.context import Refused

LIMIT_S = 10.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = {
    "cc": "gcc libc6-dev",
    "iptables": "iptables",
    "iptables-save": "iptables",
    "iptables-restore": "iptables",
    "ip6tables-save": "iptables",
    "ip6tables-restore": "iptables",
    "tc": "iproute2",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "strace": "strace",
}
"""The Debian package of each program that some operation needs."""


def find(program: str) -> str:
    """Where it is; raises `Refused`, which says how to get it."""
    found = shutil.which(program, path=PATH)
    if found is None:
        raise Refused(f"{program} is missing: apt-get install {PACKAGES.get(program, program)}")
    return found


def run(words: Sequence[str], stdin: str = "", limit_s: float = LIMIT_S) -> str:
    """Its standard output; raises `Refused` when it fails, is missing or takes too long."""
    code, output, said = attempt(words, stdin, limit_s)
    if code != 0:
        reason = " ".join(said.split()) or f"exit status {code}"
        raise Refused(f"{' '.join(words)}: {reason}")
    return output


def attempt(words: Sequence[str], stdin: str = "", limit_s: float = LIMIT_S) -> "tuple[int, str, str]":
    """Exit status, standard output and standard error; raises `Refused` when it is missing or too slow."""
    argv = [find(words[0]), *words[1:]]
    try:
        ended = subprocess.run(
            argv,
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "LC_ALL": "C"},
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"{' '.join(words)}: no end after {limit_s:g} s") from None
    return ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
