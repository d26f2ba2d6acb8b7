"""What is asked of a machine, and what comes back: text, and whether it went well.

Of a host everything is asked by one `sh` script, made of constants, for Python may be what is missing there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from harness.cluster.hosts.parcel import HOME, PROGRAM
from harness.hand.clocks import KEEPING_PROGRAMS
from harness.hand.healing import LOG
from harness.hand.place import LOCK
from harness.hand.tool import PATH
from harness.remote.connection import Connection

LIMIT_S: Final = 60.0
"""An emulated machine takes a second for what others do in ten milliseconds."""
_RECORD, _UNIT = "\x1e", "\x1f"
_HAND_IMPORTS: Final = "ctypes, dataclasses, fcntl, hashlib, ipaddress, json, mmap, pkgutil, select"

SNIPPETS: Final[Mapping[str, str]] = {
    "kernel": "read -r boot </proc/sys/kernel/random/boot_id && echo $boot && readlink /proc/self/ns/net",
    "python": "python3 -V",
    "modules": f"python3 -I -c 'import _imp, {_HAND_IMPORTS}; print(_imp.extension_suffixes()[0])'",
    "interpreter": 'for file in /opt/stormcellar/bin/python "$1"; do [ ! -x "$file" ] || echo "$file"; done',
    "ip": "command -v ip",
    "iptables": "command -v iptables-save && command -v iptables-restore && iptables -w 5 -S INPUT",
    "statistic": "unshare -n iptables -w 5 -A INPUT -m statistic --mode random --probability 0.5 -j DROP",
    "htb": "command -v tc && unshare -n tc qdisc add dev lo root htb",
    "netem": "command -v tc && unshare -n tc qdisc add dev lo root netem delay 1ms",
    "strace": "strace -qq -e trace=fsync -e inject=fsync:delay_enter=1 true",
    "loop": "command -v mkfs.ext4 && command -v mount && losetup -f",
    "ext4": "grep -w ext4 /proc/filesystems || modprobe -n ext4",
    "mounts": "unshare -m true",
    "compiler": "command -v cc",
    "headers": "echo '#include <pthread.h>' | cc -fsyntax-only -x c -",
    "space": "df -Pk /srv || df -Pk /",
    "memory": "while read -r name kib _; do [ $name != MemAvailable: ] || echo $kib; done </proc/meminfo",
    "time-daemons": "command -v systemctl; cat /proc/[0-9]*/comm 2>/dev/null "
    f"| grep -xE '{'|'.join(KEEPING_PROGRAMS)}'",
    "lock": f"cd {HOME} && [ -f {LOCK} ] && cat {LOCK} && echo && cat /proc/sys/kernel/random/boot_id && "
    f"stat -c %i {LOCK} && cat /proc/locks && cat /proc/$(tr -dc '0-9,' <{LOCK} | cut -d, -f1)/stat",
    "leftovers": f"cat {HOME}/{LOG} && echo .",  # so what the last line is can be told
    "hand": f"sha256sum {PROGRAM}",
}
"""By name, what a shell does; each says by its exit status whether it went well."""


class Probe(NamedTuple):
    """`output` is both streams, without the newlines at the end."""

    exit: int
    output: str

    @property
    def ok(self) -> bool:
        return self.exit == 0


class Offset(NamedTuple):
    """How far the host's clock is ahead of ours: the truth is within `uncertainty_s` of it."""

    seconds: float
    uncertainty_s: float


class Answers(NamedTuple):
    """What a host answered. `offset`: None if its clock could not be read."""

    probes: Mapping[str, Probe]
    offset: Offset | None


async def ask(host: Connection, names: Collection[str]) -> Answers:
    """Raises a `RemoteError`; `NoRoot` if the host does not let us be root."""
    await host.connect()
    sent = time.time()
    completed = await host.run(
        ["sh", "-c", script(names), "sh", sys.executable], sudo=True, timeout_s=LIMIT_S
    )
    return answers(completed.text, sent, time.time())


def script(names: Collection[str]) -> str:
    lines = [f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL", "date +%s%N"]
    for name in names:
        lines += [
            f"printf '\\036%s\\037' {name}",
            f"{{ {SNIPPETS[name]}; }} </dev/null 2>&1",
            "printf '\\037%s' $?",
        ]
    return "\n".join([*lines, "printf '\\036'; date +%s%N"])


def answers(said: str, sent: float, received: float) -> Answers:
    """What a script said that was sent and had answered at these times, by our clock."""
    first, *records, last = said.split(_RECORD)
    probes = {}
    for record in records:
        name, output, status = record.split(_UNIT)
        probes[name] = Probe(int(status), output.rstrip("\n"))
    return Answers(probes, offset(first.strip(), last.strip(), sent, received))


def offset(first: str, last: str, sent: float, received: float) -> Offset | None:
    """Given what the host's clock showed, in ns, some time after `sent` and some time before `received`."""
    if not (first.isdigit() and last.isdigit()):  # a `date` without nanoseconds
        return None
    most, least = int(first) / 1e9 - sent, int(last) / 1e9 - received
    return Offset((most + least) / 2, abs(most - least) / 2)
