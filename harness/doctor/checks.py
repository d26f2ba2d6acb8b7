"""What is needed for what, and how the answers are read. Pure.

A check is a value: whose machine it is about, which clusters and faults need it, which probes it reads, and
what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from harness.cluster.hosts.parcel import HOME
from harness.doctor.probe import Offset, Probe
from harness.hand.healing import LOG
from harness.hand.tool import PACKAGES

SPACE_MIB_MIN: Final = 512
MEMORY_MIB_MIN: Final = 256
OFFSET_S_MAX: Final = 1.0
"""More than that is no jitter, and makes the logs of a run hard to read."""
PYTHON_MIN: Final = (3, 8)

Kernel = Literal["any", "own", "shared"]


class Finding(NamedTuple):
    """`remedy` is the command that mends it, or what to do, if it is not `ok`."""

    ok: bool
    detail: str
    remedy: str = ""


class Facts(NamedTuple):
    """Of one host. `suffix`: what compiled modules of our own Python are called; `sha256`: the digest of our
    hand."""

    probes: Mapping[str, Probe]
    offset: Offset | None = None
    suffix: str = ""
    sha256: str = ""


class Check(NamedTuple):
    """`faults`: names, or `NAME:CHOICE` where only that choice needs it; None if every run does. `kernel`:
    only hosts that share theirs with others, or only hosts that do not. `deep`: left out before a run, which
    finds it out itself, at once and with a clear word."""

    name: str
    probes: tuple[str, ...]
    read: Callable[[Facts], Finding]
    faults: frozenset[str] | None = None
    kernel: Kernel = "any"
    deep: bool = False

    def needed(self, faults: Iterable[str], shared: bool) -> bool:
        """By a run with these faults, `NAME` or `NAME:CHOICE[=AMOUNT][@TARGET]`."""
        if self.kernel != "any" and (self.kernel == "shared") != shared:
            return False
        return self.faults is None or any(_concerns(own, fault) for own in self.faults for fault in faults)


def _python(facts: Facts) -> Finding:
    said = facts.probes["python"].output
    if not facts.probes["python"].ok:
        return Finding(False, "python3 is missing", "apt-get install python3")
    version = said.removeprefix("Python ")
    numbers = tuple([int(part) for part in version.split(".")[:2] if part.isdigit()])
    wanted = ".".join(map(str, PYTHON_MIN))
    if numbers < PYTHON_MIN:
        return Finding(False, f"python3 is {version}, and {wanted} is needed", "apt-get install python3")
    return Finding(True, version)


def _modules(facts: Facts) -> Finding:
    probe = facts.probes["modules"]
    if not probe.ok:
        said = _last(probe.output)
        return Finding(False, f"python3 lacks modules of its own ({said})", "apt-get install python3")
    return Finding(True, "all that the hand imports")


def _store(facts: Facts) -> Finding:
    there = facts.probes["interpreter"].output.split()
    suffix = facts.probes["modules"].output
    if suffix == facts.suffix:
        return Finding(True, "its python3 is like ours, so the store can be sent")
    if there:
        return Finding(True, f"{there[0]} is there")
    return Finding(
        False,
        f"its python3 is another one than ours, {facts.suffix}, so the store cannot be sent",
        "run the harness with such a Python, or install stormcellar in /opt/stormcellar there",
    )


def _hand(facts: Facts) -> Finding:
    probe = facts.probes["hand"]
    if not probe.ok:
        return Finding(True, "not there yet: a run sends it")
    same = probe.output.split()[0] == facts.sha256
    return Finding(True, "the same as ours" if same else "another version: a run replaces it")


def _program(program: str) -> Callable[[Facts], Finding]:
    def read(facts: Facts) -> Finding:
        probe = facts.probes[program]
        return Finding(True, probe.output) if probe.ok else _missing(program)

    return read


def _iptables(facts: Facts) -> Finding:
    probe = facts.probes["iptables"]
    if probe.ok:
        return Finding(True, "the table filter can be read")
    if "iptables-restore" not in probe.output or _not_found(probe):
        return _missing("iptables")
    return Finding(
        False,
        f"iptables does not work there: {_last(probe.output)}",
        "modprobe -a ip_tables iptable_filter, or update-alternatives --config iptables",
    )


def _tried(name: str, worked: str, broken: str, remedy: str, program: str = "") -> Callable[[Facts], Finding]:
    """What the probe of that name tried out, which takes `program`."""

    def read(facts: Facts) -> Finding:
        probe = facts.probes[name]
        if probe.ok:
            return Finding(True, f"{worked} was tried out")
        if program and f"/{program}" not in probe.output:
            return _missing(program)
        return Finding(False, f"{broken}: {_last(probe.output)}", remedy)

    return read


def _strace(facts: Facts) -> Finding:
    probe = facts.probes["strace"]
    if probe.ok:
        return Finding(True, "delaying a call was tried out")
    if _not_found(probe):
        return _missing("strace")
    return Finding(
        False,
        f"processes cannot be traced: {_last(probe.output)}",
        "give the container CAP_SYS_PTRACE, or boot it with kernel.yama.ptrace_scope below 3",
    )


def _loop(facts: Facts) -> Finding:
    probe = facts.probes["loop"]
    if not probe.ok and "/mkfs.ext4" not in probe.output:
        return _missing("mkfs.ext4")
    if not probe.ok and "/mount" not in probe.output:
        return _missing("mount")
    if not probe.ok:
        return Finding(False, f"there are no loop devices: {_last(probe.output)}", "modprobe loop")
    if not facts.probes["ext4"].ok:
        return Finding(False, "the kernel has no ext4", "modprobe ext4")
    return Finding(True, f"{_last(probe.output)} is free")


def _compiler(facts: Facts) -> Finding:
    probe = facts.probes["compiler"]
    return Finding(True, probe.output) if probe.ok else _missing("cc")


def _headers(facts: Facts) -> Finding:
    if facts.probes["headers"].ok:
        return Finding(True, "a program compiles")
    return Finding(False, "cc does not find the headers of libc", "apt-get install libc6-dev")


def _space(facts: Facts) -> Finding:
    words = _last(facts.probes["space"].output).split()
    free_mib = int(words[3]) // 1024 if len(words) > 3 and words[3].isdigit() else 0
    if free_mib < SPACE_MIB_MIN:
        remedy = f"free {SPACE_MIB_MIN} MiB below /srv"
        return Finding(False, f"{free_mib} MiB are free in /srv", remedy)
    return Finding(True, f"{free_mib:,} MiB free in /srv")


def _memory(facts: Facts) -> Finding:
    said = facts.probes["memory"].output
    free_mib = int(said) // 1024 if said.isdigit() else 0
    if free_mib < MEMORY_MIB_MIN:
        remedy = f"give it more, or end something: {MEMORY_MIB_MIN} MiB are needed"
        return Finding(False, f"{free_mib} MiB of memory are available", remedy)
    return Finding(True, f"{free_mib:,} MiB available")


def _clock(facts: Facts) -> Finding:
    if facts.offset is None:
        return Finding(True, "not measured: its date shows no nanoseconds")
    seconds, uncertainty_s = facts.offset
    off = f"{seconds * 1000:+,.0f} ms against ours, within {uncertainty_s * 1000:,.0f} ms"
    if abs(seconds) - uncertainty_s > OFFSET_S_MAX:
        return Finding(False, f"its clock is {off}", "harness heal, if a run left it so, or date -s there")
    return Finding(True, off)


def _time_daemons(facts: Facts) -> Finding:
    words = facts.probes["time-daemons"].output.split()
    daemons = sorted({word for word in words if not word.startswith("/")})
    if not daemons:
        return Finding(True, "nobody sets the clock")
    if any(word.startswith("/") for word in words):
        return Finding(True, f"{', '.join(daemons)}: a fault stops it meanwhile")
    said = f"{daemons[0]} sets the clock, and there is no systemctl by which a fault could stop it"
    return Finding(False, said, f"end {daemons[0]} there")


def _lock(facts: Facts) -> Finding:
    """A hand holds the lock if the kernel says so, or if the process lives of which its file says so."""
    about, boot, inode, *rest = [*facts.probes["lock"].output.splitlines(), "", "", ""]
    words = [line.split() for line in rest]
    locked = any(
        line[1] == "FLOCK" and line[5].rpartition(":")[2] == inode for line in words if len(line) == 8
    )
    holder = _json(about).get("holder")
    if not locked and not (holder and holder[2] == boot and any(_lives(line, holder[1]) for line in rest)):
        return Finding(True, "no run is there")
    return Finding(
        False,
        f"it is in use by another run (process {holder[0] if holder else 'that just began'} there)",
        "wait for its end, or end that run: its hosts heal themselves",
    )


def _lives(line: str, start: int) -> bool:
    """Whether a line of /proc/PID/stat is of a process that began then, and has not ended."""
    after_name = line.rpartition(")")[2].split()
    return len(after_name) > 19 and after_name[0] not in "ZX" and after_name[19] == str(start)


def _leftovers(facts: Facts) -> Finding:
    entries: dict[str, str] = {}
    lines = facts.probes["leftovers"].output.splitlines() if facts.probes["leftovers"].ok else []
    for number, line in enumerate(lines[:-1], 1):  # the last was cut off, so never begun, or is our own
        said = _json(line)
        if "done" in said:
            entries.pop(str(said["done"]), None)
        elif "n" in said:
            entries[str(said["n"])] = str(said.get("kind"))
        else:
            remedy = "see what may be left there, then harness heal --set-aside"
            return Finding(False, f"line {number} of {HOME}/{LOG} makes no sense", remedy)
    if not entries:
        return Finding(True, "nothing of an earlier run")
    kinds = ", ".join(sorted(set(entries.values())))
    count = f"{len(entries)} entries" if len(entries) > 1 else "an entry"
    return Finding(True, f"{count} of an earlier run ({kinds}): harness heal undoes it, or the next run")


CUT: Final = frozenset({"partition", "clients", "packets:loss"})
RESHAPED: Final = frozenset({"packets:delay", "packets:duplicate", "packets:reorder", "packets:corrupt"})
BENT: Final = frozenset({"clock", "strobe", "drift"})
SPOILT: Final = frozenset({"disk", "power"})
NEVER: Final[frozenset[str]] = frozenset()

_statistic = _tried("statistic", "losing packets", "packets cannot be lost", "modprobe xt_statistic")
_htb = _tried("htb", "limiting a rate", "the kernel has no HTB", "modprobe sch_htb", "tc")
_netem = _tried(
    "netem",
    "delaying packets",
    "the kernel has no netem",
    "modprobe sch_netem, or ask for packets:loss or packets:rate, which need none",
    "tc",
)
_mounts = _tried(
    "mounts",
    "a mount namespace",
    "no mounts of its own",
    "give the container CAP_SYS_ADMIN, or use a virtual machine",
)

HOST_CHECKS: Final = (
    Check("python3", ("python",), _python),
    Check("python3 modules", ("modules",), _modules, deep=True),
    Check("ip", ("ip",), _program("ip")),
    Check("memory", ("memory",), _memory),
    Check("disk space", ("space",), _space),
    Check("clock offset", (), _clock),
    Check("other run", ("lock",), _lock),
    Check("leftovers", ("leftovers",), _leftovers, faults=NEVER, deep=True),
    Check("store", ("interpreter", "modules"), _store, deep=True),
    Check("hand", ("hand",), _hand, faults=NEVER, deep=True),
    Check("iptables", ("iptables",), _iptables, CUT),
    Check("iptables statistic", ("statistic",), _statistic, frozenset({"packets:loss"})),
    Check("htb", ("htb",), _htb, RESHAPED | {"packets:rate"}),
    Check("netem", ("netem",), _netem, RESHAPED),
    Check("C compiler", ("compiler",), _compiler, BENT, "shared"),
    Check("C headers", ("headers",), _headers, BENT, "shared", deep=True),
    Check("time daemons", ("time-daemons",), _time_daemons, BENT, "own"),
    Check("mounts", ("mounts",), _mounts, SPOILT),
    Check("loop device", ("loop", "ext4"), _loop, SPOILT),
    Check("strace", ("strace",), _strace, frozenset({"disk:slow"})),
)


def _concerns(needs: str, asked: str) -> bool:
    """Whether `asked`, a fault as users ask for it, may be what needs something."""
    name, _, kind = needs.partition(":")
    asked_name, _, choice = asked.partition(":")
    asked_kind = choice.partition("@")[0].partition("=")[0]
    return name == asked_name and (not kind or not asked_kind or kind == asked_kind)


def _missing(program: str) -> Finding:
    return Finding(False, f"{program} is missing", f"apt-get install {PACKAGES.get(program, program)}")


def _not_found(probe: Probe) -> bool:
    return probe.exit == 127 or "not found" in probe.output


def _last(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it said nothing")


def _json(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
