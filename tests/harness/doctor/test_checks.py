"""What outputs mean, as they were recorded on Debian 12, on a kernel without netem, in a container."""

from __future__ import annotations

from typing import Any

import pytest

from harness.doctor.checks import HOST_CHECKS, Check, Facts, Finding
from harness.doctor.probe import SNIPPETS, Offset, Probe
from nemesis.compose import FAULTS

BY_NAME = {check.name: check for check in HOST_CHECKS}


def judge(check: str, **changes: Any) -> Finding:
    """The check's finding for outputs by probe: (exit status, output)."""
    probes = {name.replace("_", "-"): Probe(*said) for name, said in changes.pop("probes", {}).items()}
    return BY_NAME[check].read(Facts(probes, **changes))


LOCKS = "10: OFDLCK ADVISORY  READ -1 00:45:77 203 203\n1: FLOCK  ADVISORY  WRITE 412 fe:00:77 0 EOF"
STAT = "412 (python3) S 1 412 412 0 -1 4194560 3 0 0 0 1 0 0 0 20 0 1 0 9 1 2 18446744073709551615"
UNUSED = Finding(True, "no run is there")
IN_USE = Finding(
    False,
    "it is in use by another run (process 412 there)",
    "wait for its end, or end that run: its hosts heal themselves",
)

RECORDED = [
    ("python3", {"python": (0, "Python 3.8.10")}, Finding(True, "3.8.10")),
    (
        "python3",
        {"python": (0, "Python 3.7.3")},
        Finding(False, "python3 is 3.7.3, and 3.8 is needed", "apt-get install python3"),
    ),
    (
        "python3",
        {"python": (127, "sh: 2: python3: not found")},
        Finding(False, "python3 is missing", "apt-get install python3"),
    ),
    (
        "python3 modules",
        {"modules": (1, "Traceback (most recent call last):\nModuleNotFoundError: No module named 'ctypes'")},
        Finding(
            False,
            "python3 lacks modules of its own (ModuleNotFoundError: No module named 'ctypes')",
            "apt-get install python3",
        ),
    ),
    ("ip", {"ip": (127, "")}, Finding(False, "ip is missing", "apt-get install iproute2")),
    (
        "iptables",
        {"iptables": (0, "/usr/sbin/iptables-save\n/usr/sbin/iptables-restore\n-P INPUT ACCEPT")},
        Finding(True, "the table filter can be read"),
    ),
    (
        "iptables",
        {"iptables": (127, "")},
        Finding(False, "iptables is missing", "apt-get install iptables"),
    ),
    (
        "iptables",
        {
            "iptables": (
                3,
                "/usr/sbin/iptables-save\n/usr/sbin/iptables-restore\n"
                "iptables v1.8.9 (legacy): can't initialize iptables table `filter': Table does not exist\n"
                "Perhaps iptables or your kernel needs to be upgraded.",
            )
        },
        Finding(
            False,
            "iptables does not work there: Perhaps iptables or your kernel needs to be upgraded.",
            "modprobe -a ip_tables iptable_filter, or update-alternatives --config iptables",
        ),
    ),
    (
        "iptables statistic",
        {"statistic": (2, "iptables v1.8.9 (nf_tables): Couldn't load match `statistic'")},
        Finding(
            False,
            "packets cannot be lost: iptables v1.8.9 (nf_tables): Couldn't load match `statistic'",
            "modprobe xt_statistic",
        ),
    ),
    ("netem", {"netem": (0, "/usr/sbin/tc")}, Finding(True, "delaying packets was tried out")),
    ("netem", {"netem": (127, "")}, Finding(False, "tc is missing", "apt-get install iproute2")),
    (
        "netem",
        {"netem": (2, "/usr/sbin/tc\nError: Specified qdisc kind is unknown.")},
        Finding(
            False,
            "the kernel has no netem: Error: Specified qdisc kind is unknown.",
            "modprobe sch_netem, or ask for packets:loss or packets:rate, which need none",
        ),
    ),
    ("htb", {"htb": (127, "")}, Finding(False, "tc is missing", "apt-get install iproute2")),
    (
        "htb",
        {"htb": (2, "/sbin/tc\nError: Specified qdisc kind is unknown.")},
        Finding(False, "the kernel has no HTB: Error: Specified qdisc kind is unknown.", "modprobe sch_htb"),
    ),
    ("strace", {"strace": (127, "sh: 2: strace: not found")}, None),
    (
        "strace",
        {"strace": (1, "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted")},
        Finding(
            False,
            "processes cannot be traced: strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted",
            "give the container CAP_SYS_PTRACE, or boot it with kernel.yama.ptrace_scope below 3",
        ),
    ),
    (
        "loop device",
        {"loop": (0, "/usr/sbin/mkfs.ext4\n/usr/bin/mount\n/dev/loop0"), "ext4": (0, "\text4")},
        Finding(True, "/dev/loop0 is free"),
    ),
    (
        "loop device",
        {
            "loop": (
                1,
                "/usr/sbin/mkfs.ext4\n/usr/bin/mount\n"
                "losetup: cannot find an unused loop device: No such file or directory",
            ),
            "ext4": (0, "\text4"),
        },
        Finding(
            False,
            "there are no loop devices: losetup: cannot find an unused loop device: No such file or "
            "directory",
            "modprobe loop",
        ),
    ),
    (
        "loop device",
        {"loop": (127, ""), "ext4": (0, "\text4")},
        Finding(False, "mkfs.ext4 is missing", "apt-get install e2fsprogs"),
    ),
    (
        "loop device",
        {"loop": (0, "/usr/sbin/mkfs.ext4\n/usr/bin/mount\n/dev/loop0"), "ext4": (1, "modprobe: FATAL")},
        Finding(False, "the kernel has no ext4", "modprobe ext4"),
    ),
    (
        "mounts",
        {"mounts": (1, "unshare: unshare failed: Operation not permitted")},
        Finding(
            False,
            "no mounts of its own: unshare: unshare failed: Operation not permitted",
            "give the container CAP_SYS_ADMIN, or use a virtual machine",
        ),
    ),
    (
        "C compiler",
        {"compiler": (127, "")},
        Finding(False, "cc is missing", "apt-get install gcc libc6-dev"),
    ),
    (
        "C headers",
        {"headers": (1, "<stdin>:1:10: fatal error: pthread.h: No such file or directory")},
        Finding(False, "cc does not find the headers of libc", "apt-get install libc6-dev"),
    ),
    (
        "disk space",
        {
            "space": (
                0,
                "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 10 5 204800 99% /srv",
            )
        },
        Finding(False, "200 MiB are free in /srv", "free 512 MiB below /srv"),
    ),
    (
        "disk space",
        {
            "space": (
                0,
                "df: /srv: No such file or directory\nFilesystem 1024-blocks Used Available Capacity "
                "Mounted on\n/dev/vda 10 5 2048000 9% /",
            )
        },
        Finding(True, "2,000 MiB free in /srv"),
    ),
    (
        "memory",
        {"memory": (0, "102400")},
        Finding(
            False,
            "100 MiB of memory are available",
            "give it more, or end something: 256 MiB are needed",
        ),
    ),
    ("time daemons", {"time_daemons": (1, "")}, Finding(True, "nobody sets the clock")),
    (
        "time daemons",
        {"time_daemons": (0, "/usr/bin/systemctl\nsystemd-timesyn\nchronyd\nchronyd")},
        Finding(True, "chronyd, systemd-timesyn: a fault stops it meanwhile"),
    ),
    (
        "time daemons",
        {"time_daemons": (0, "chronyd\nchronyd")},
        Finding(
            False,
            "chronyd sets the clock, and there is no systemctl by which a fault could stop it",
            "end chronyd there",
        ),
    ),
    ("other run", {"lock": (1, "")}, Finding(True, "no run is there")),
    (
        "other run",
        {"lock": (1, f'{{"ended": "told to"}}\nboot-1\n77\n{LOCKS.replace("77", "76")}')},
        Finding(True, "no run is there"),
    ),
    *(
        ("other run", {"lock": (status, f'{{"holder": [412, {start}, "boot-1"]}}\n{rest}')}, finding)
        for status, start, rest, finding in (
            (1, 9, f"boot-1\n77\n{LOCKS}", IN_USE),
            (0, 9, f"boot-1\n77\n{STAT}", IN_USE),
            (0, 9, f"boot-2\n77\n{STAT}", UNUSED),
            (0, 8, f"boot-1\n77\n{STAT}", UNUSED),
            (0, 9, f"boot-1\n77\n{STAT.replace(') S', ') Z')}", UNUSED),
            (1, 9, "boot-1\n77\ncat: /proc/412/stat: No such file or directory", UNUSED),
        )
    ),
    ("leftovers", {"leftovers": (1, "cat: no such file")}, Finding(True, "nothing of an earlier run")),
    (
        "leftovers",
        {
            "leftovers": (
                0,
                '{"n": 1, "kind": "iptables", "args": {}}\n{"n": 2, "kind": "stress", "args": {}}\n'
                '{"n": 3, "kind": "daemon", "args": {}}\n{"done": 2}\n{"n": 4, "ki.',
            )
        },
        Finding(
            True, "2 entries of an earlier run (daemon, iptables): harness heal undoes it, or the next run"
        ),
    ),
    (
        "leftovers",
        {"leftovers": (0, '{"n": 1, "kind": "iptables", "args": {}}\n\0\0\n{"n": 4, "ki.')},
        Finding(
            False,
            "line 2 of /srv/stormcellar/undo.jsonl makes no sense",
            "see what may be left there, then harness heal --set-aside",
        ),
    ),
    (
        "leftovers",
        {"leftovers": (0, "sprocket\n.")},
        Finding(
            False,
            "line 1 of /srv/stormcellar/undo.jsonl makes no sense",
            "see what may be left there, then harness heal --set-aside",
        ),
    ),
    (
        "leftovers",
        {"leftovers": (0, '{"n": [], "kind": "iptables", "args": {}}\n.')},
        Finding(True, "an entry of an earlier run (iptables): harness heal undoes it, or the next run"),
    ),
]


@pytest.mark.parametrize(
    ("check", "probes", "finding"), RECORDED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_recorded_outputs(check: str, probes: dict[str, Any], finding: Finding | None) -> None:
    wanted = finding or Finding(False, f"{check} is missing", f"apt-get install {check}")
    assert judge(check, probes=probes) == wanted


def test_every_way_to_be_missing_is_recorded() -> None:
    missing = {check for check, _, finding in RECORDED if finding is None or not finding.ok}
    always_ok = {"hand"}
    elsewhere = {"store", "clock offset"}
    assert missing == BY_NAME.keys() - always_ok - elsewhere


@pytest.mark.parametrize(
    ("interpreter", "suffix", "finding"),
    [
        ("", ".cpython-311.so", Finding(True, "its python3 is like ours, so the store can be sent")),
        ("/opt/stormcellar/bin/python", "?", Finding(True, "/opt/stormcellar/bin/python is there")),
        (
            "",
            ".cpython-39.so",
            Finding(
                False,
                "its python3 is another one than ours, .cpython-311.so, so the store cannot be sent",
                "run the harness with such a Python, or install stormcellar in /opt/stormcellar there",
            ),
        ),
    ],
)
def test_the_store_is_there_or_can_be_sent(interpreter: str, suffix: str, finding: Finding) -> None:
    probes = {"interpreter": (0, interpreter), "modules": (0, suffix)}
    assert judge("store", probes=probes, suffix=".cpython-311.so") == finding


@pytest.mark.parametrize(
    ("offset", "ok"),
    [
        (None, True),
        (Offset(0.9, 0.01), True),
        (Offset(1.2, 0.1), False),
        (Offset(-1.2, 0.1), False),
        (Offset(1.2, 0.3), True),
    ],
)
def test_a_clock_that_is_certainly_off_is_told(offset: Offset | None, ok: bool) -> None:
    assert judge("clock offset", offset=offset).ok == ok


def test_an_offset_is_told_with_its_uncertainty() -> None:
    said = judge("clock offset", offset=Offset(-61.5, 0.004))
    assert said.detail == "its clock is -61,500 ms against ours, within 4 ms"


def test_only_probes_and_faults_that_there_are_are_named() -> None:
    for check in HOST_CHECKS:
        assert set(check.probes) <= SNIPPETS.keys()
        assert {fault.partition(":")[0] for fault in check.faults or ()} <= FAULTS.keys()
    read = {probe for check in HOST_CHECKS for probe in check.probes}
    assert SNIPPETS.keys() - read == {"kernel"}


def test_what_is_needed_depends_on_the_faults_and_on_whose_the_kernel_is() -> None:
    def needed(shared: bool, *faults: str) -> set[str]:
        return {check.name for check in HOST_CHECKS if check.needed(faults, shared)}

    always = needed(True)
    assert {"python3", "ip", "other run", "store"} <= always
    assert not {"iptables", "netem", "hand", "leftovers"} & always
    assert needed(False, "kill", "pause", "membership") == always
    assert needed(True, "partition:one-way") == always | {"iptables"}
    assert needed(True, "clock") == needed(True, "drift:one") == always | {"C compiler", "C headers"}
    assert needed(False, "strobe") == always | {"time daemons"}
    assert needed(True, "power") == always | {"mounts", "loop device"}
    assert needed(True, "disk:full@one") == needed(True, "power")
    assert needed(True, "disk") - needed(True, "power") == {"strace"}
    assert needed(True, "packets:loss") == always | {"iptables", "iptables statistic"}
    assert needed(True, "packets:loss=0.3@n1") == needed(True, "packets:loss")
    assert needed(True, "packets:rate") == always | {"htb"}
    assert needed(True, "packets") == always | {"iptables", "iptables statistic", "htb", "netem"}


def test_a_check_that_every_run_needs_is_not_bound_to_faults() -> None:
    check = Check("x", (), lambda facts: Finding(True, ""))
    assert check.needed((), shared=True)
