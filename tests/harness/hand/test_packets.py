"""What tc is told, and what is read from what it tells, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hand import packets, tool
from harness.hand.context import Context, Refused
from harness.hand.packets import (
    LEAVES,
    Qdisc,
    Share,
    additions,
    devices,
    foreign,
    is_ours,
    netem,
    passed,
    qdiscs,
)
from harness.hand.undo import UndoLog

DEFAULTS = """\
qdisc noqueue 0: dev lo root refcnt 2
qdisc mq 0: dev eth0 root
qdisc fq_codel 0: dev eth0 parent :2 limit 10240p flows 1024 quantum 1514
qdisc fq_codel 0: dev eth0 parent :1 limit 10240p flows 1024 quantum 1514
qdisc pfifo_fast 0: dev eth1 root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1
qdisc clsact ffff: dev eth1 parent ffff:fff1
"""
OURS = """\
qdisc htb 5c0e: dev eth1 root refcnt 2 r2q 10 default 0 direct_packets_stat 0 direct_qlen 1000
qdisc netem 5c0f: dev eth1 parent 5c0e:1 limit 10000 delay 50ms  10ms
qdisc netem 5c10: dev eth1 parent 5c0e:2 limit 10000 delay 20ms
"""


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"delay_ms": 50, "jitter_ms": 10}, "limit 10000 delay 50ms 10ms distribution normal"),
        ({"delay_ms": 12.5}, "limit 10000 delay 12.5ms"),
        ({"delay_ms": 50, "reorder": 0.2}, "limit 10000 delay 50ms reorder 20%"),
        ({"duplicate": 0.05}, "limit 10000 duplicate 5%"),
        ({"corrupt": 0.005}, "limit 10000 corrupt 0.5%"),
        ({"loss": 0.2}, ""),
        ({"rate_kbit": 1000}, ""),
        ({}, ""),
    ],
)
def test_what_netem_is_told(behaviour: dict[str, float], words: str) -> None:
    assert " ".join(netem(behaviour)) == words


def test_only_what_goes_to_the_named_addresses_is_delayed() -> None:
    assert additions("eth1", [Share(["10.77.0.2", "fd00::3"], {"delay_ms": 50})]) == [
        "qdisc add dev eth1 root handle 5c0e: htb",
        "class add dev eth1 parent 5c0e: classid 5c0e:1 htb rate 10gbit quantum 60000",
        "qdisc add dev eth1 parent 5c0e:1 handle 5c0f: netem limit 10000 delay 50ms",
        "filter add dev eth1 parent 5c0e: protocol ip prio 1 u32 match ip dst 10.77.0.2/32 flowid 5c0e:1",
        "filter add dev eth1 parent 5c0e: protocol ipv6 prio 2 u32 match ip6 dst fd00::3/128 flowid 5c0e:1",
    ]


def test_each_peer_may_be_at_a_distance_of_its_own() -> None:
    shares = [Share(["10.77.0.2"], {"delay_ms": 45}), Share(["10.77.0.3"], {"delay_ms": 130})]
    assert additions("eth1", shares) == [
        "qdisc add dev eth1 root handle 5c0e: htb",
        "class add dev eth1 parent 5c0e: classid 5c0e:1 htb rate 10gbit quantum 60000",
        "qdisc add dev eth1 parent 5c0e:1 handle 5c0f: netem limit 10000 delay 45ms",
        "filter add dev eth1 parent 5c0e: protocol ip prio 1 u32 match ip dst 10.77.0.2/32 flowid 5c0e:1",
        "class add dev eth1 parent 5c0e: classid 5c0e:2 htb rate 10gbit quantum 60000",
        "qdisc add dev eth1 parent 5c0e:2 handle 5c10: netem limit 10000 delay 130ms",
        "filter add dev eth1 parent 5c0e: protocol ip prio 1 u32 match ip dst 10.77.0.3/32 flowid 5c0e:2",
    ]


def test_there_are_handles_for_so_many_peers_only() -> None:
    with pytest.raises(Refused, match=r"^at most 241 peers can be at a distance of their own, not 242$"):
        additions("eth1", [Share(["10.77.0.2"], {"delay_ms": 45})] * (len(LEAVES) + 1))


@pytest.mark.parametrize(
    ("kbit", "rate"),
    [(1000, "rate 1000kbit burst 4000 cburst 4000"), (80_000, "rate 80000kbit burst 100000 cburst 100000")],
)
def test_a_rate_takes_no_netem(kbit: int, rate: str) -> None:
    lines = additions("eth1", [Share([], {"rate_kbit": kbit})])
    assert lines[1:] == [f"class add dev eth1 parent 5c0e: classid 5c0e:1 htb {rate} quantum 60000"]


def test_what_the_kernel_put_there_and_what_is_ours_is_nobody_elses() -> None:
    there = qdiscs(DEFAULTS + OURS)
    assert there[1] == Qdisc("mq", "0:", "eth0", True)
    assert foreign(there, "eth0") == foreign(there, "eth1") == []
    assert is_ours(there, "eth1")
    assert not is_ours(there, "eth0")


@pytest.mark.parametrize(
    "line",
    ["qdisc fq 8001: dev eth1 root refcnt 2 limit 10000p", "qdisc fq 8002: dev eth1 parent :1 limit 9p"],
)
def test_what_somebody_put_there_is_foreign_even_below_a_default(line: str) -> None:
    (strange,) = foreign(qdiscs(DEFAULTS + line + "\n"), "eth1")
    assert strange.kind == "fq"


def test_a_route_names_the_device() -> None:
    routes = (
        "10.77.0.2 dev eth1 src 10.77.0.1 uid 0 \n    cache \n"
        "192.0.2.7 via 10.0.0.1 dev eth0 src 10.0.0.9 uid 0 \n    cache \n"
        "fd00::2 from :: dev eth1 proto kernel src fd00::1 metric 256 pref medium\n"
        "local 10.77.0.1 dev lo src 10.77.0.1 uid 0 \n    cache <local> \n"
    )
    assert devices(routes, ["10.77.0.2", "192.0.2.7", "fd00::2"]) == {
        "eth1": ["10.77.0.2", "fd00::2"],
        "eth0": ["192.0.2.7"],
    }
    for address in ("10.77.0.1", "10.77.0.9"):
        with pytest.raises(Refused, match=f"^there is no way from here to {address}$"):
            devices(routes, [address])


def test_what_went_through_our_class_is_read() -> None:
    shown = (
        "class htb 5c0e:1 root leaf 5c0f: prio 0 rate 10Gbit ceil 10Gbit burst 0b cburst 0b \n"
        " Sent 31260 bytes 30 pkt (dropped 4, overlimits 27 requeues 0) \n"
    )
    assert passed(shown) == {"left": 30, "room": 4}
    assert passed(shown + shown.replace("5c0e:1", "5c0e:2")) == {"left": 60, "room": 8}
    assert passed(shown.replace("5c0e", "8001")) == {"left": 0, "room": 0}
    assert passed("") == {"left": 0, "room": 0}


class Host:
    """Stands for the programs of a host; `said` is what tc -batch complains of."""

    def __init__(self, said: str = "", qdiscs_there: str = DEFAULTS) -> None:
        self.said = said
        self.there = qdiscs_there
        self.told: list[str] = []

    def attempt(self, words: list[str], stdin: str = "") -> tuple[int, str, str]:
        if words[0] == "ip":
            return (
                0,
                "".join(f"{line.split()[-1]} dev eth1 src 10.77.0.1\n" for line in stdin.splitlines()),
                "",
            )
        if words[1] == "-batch":
            self.told += stdin.splitlines()
            self.there += OURS.splitlines(keepends=True)[0]
            return (1, "", self.said) if self.said else (0, "", "")
        return 0, "", ""

    def run(self, words: list[str], stdin: str = "") -> str:
        if words == ["tc", "qdisc", "del", "dev", "eth1", "root"]:
            self.told.append(" ".join(words))
            self.there = DEFAULTS
        return self.there


def shaped_on(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Context, str]:
    """What the hand answers to a delay; empty if it does it."""
    monkeypatch.setattr(tool, "attempt", host.attempt)
    monkeypatch.setattr(tool, "run", host.run)
    context = Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))
    try:
        packets.shape(context, {"peers": {"n2": "10.77.0.2"}, "losing": {}, "behaviour": {"delay_ms": 50}})
    except Refused as refused:
        return context, str(refused)
    return context, ""


def test_without_netem_it_is_said_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host("Error: Specified qdisc kind is unknown.\nCommand failed -:3\n")
    context, refused = shaped_on(host, tmp_path, monkeypatch)
    assert refused == "the kernel has no netem: modprobe sch_netem, or run a kernel that comes with it"
    assert host.told[-1] == "tc qdisc del dev eth1 root"
    assert context.undo.open() == []


def test_any_other_refusal_names_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host("Error: Exclusivity flag on, cannot modify.\nCommand failed -:1\n")
    _, refused = shaped_on(host, tmp_path, monkeypatch)
    assert refused.startswith("tc qdisc add dev eth1 root handle 5c0e: htb: Error: Exclusivity flag on")


def test_a_foreign_qdisc_is_refused_by_name_and_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(qdiscs_there="qdisc fq 8001: dev eth1 root refcnt 2 limit 10000p\n")
    context, refused = shaped_on(host, tmp_path, monkeypatch)
    assert refused.startswith("eth1 has a qdisc of somebody else, fq 8001:, which is not replaced: ")
    assert host.told == []
    assert context.undo.open() == []


def test_a_device_is_written_down_and_given_back_by_the_undoer_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host()
    context, refused = shaped_on(host, tmp_path, monkeypatch)
    assert refused == ""
    (entry,) = context.undo.open()
    assert (entry.kind, entry.args) == ("qdisc", {"device": "eth1"})
    assert packets.undo(entry.args) == "eth1: our qdisc removed"
    assert packets.undo(entry.args) == "eth1: no qdisc of ours"
