"""What happens to packets between nodes: tc's netem where they leave, below classes of HTB of our own.

An HTB without a default lets all that no filter picks pass at once, so only packets to the addresses that are
named suffer. Its classes alone limit a rate; everything else is netem's. But packets are lost where they
arrive, by iptables: that takes no netem, and it counts.

On a device there may only be what the kernel itself put there (its handles are 0); it does so again when ours
goes. Anything else is somebody's, and is not replaced.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Sequence

from harness.hand import iptables, tool
from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.iptables import Chain, family
from harness.hand.origin import spare_controller

LOSS = (Chain(iptables.PREFIX + "LOSS", "INPUT"),)

KIND = "qdisc"
"""The kind of our entries in the undo log: {"device": its name}."""
ROOT = "5c0e:"
LEAVES = range(0x5C0F, 0x5D00)
"""The handles of what is below the classes 1, 2, and so on."""
FULL_RATE = "10gbit"
QUEUE_PACKETS = 10_000
BURST_BYTES_MIN = 4_000
"""More than a packet, and little enough for the rate to show at once."""

_QDISC = re.compile(r"qdisc (\S+) ([0-9a-f]+:) dev (\S+) (.*)")
_DEVICE = re.compile(r" dev (\S+)")
_SENT = re.compile(r"Sent (\d+) bytes (\d+) pkts? \(dropped (\d+),")
_UNKNOWN = ("kind is unknown", "No such file or directory")
_BESIDE = ("ingress", "clsact")
"""They stand beside a root, not in its place."""


class Qdisc(NamedTuple):
    kind: str
    handle: str
    device: str
    root: bool


def qdiscs(shown: str) -> List[Qdisc]:
    """Given what `tc qdisc show` says."""
    found = (_QDISC.match(line) for line in shown.splitlines())
    return [
        Qdisc(match.group(1), match.group(2), match.group(3), match.group(4).startswith("root"))
        for match in found
        if match
    ]


def is_ours(there: Sequence[Qdisc], device: str) -> bool:
    return any(qdisc.device == device and qdisc.root and qdisc.handle == ROOT for qdisc in there)


def foreign(there: Sequence[Qdisc], device: str) -> List[Qdisc]:
    """What somebody else put on the device, or into the place of what the kernel put there."""
    return [
        qdisc
        for qdisc in there
        if qdisc.device == device
        and qdisc.kind not in _BESIDE
        and qdisc.handle not in ("0:", ROOT)
        and int(qdisc.handle[:-1], 16) not in LEAVES
    ]


def devices(routes: str, addresses: Sequence[str]) -> Dict[str, List[str]]:
    """The addresses that are reached over each device, given what `ip route get` says of
    all of them; raises `Refused`."""
    lines = [line for line in routes.splitlines() if line.strip() and not line[0].isspace()]
    found: Dict[str, List[str]] = {}
    for address in addresses:
        line = next((line for line in lines if line.split()[0] == address), "")
        match = _DEVICE.search(line)
        if match is None:
            raise Refused(f"there is no way from here to {address}")
        found.setdefault(match.group(1), []).append(address)
    return found


def netem(behaviour: Value) -> List[str]:
    """The words after `netem`; none if the behaviour needs no netem. Jitter is a normal distribution."""
    words = []
    if behaviour.get("delay_ms"):
        words += ["delay", f"{behaviour['delay_ms']:g}ms"]
        if behaviour.get("jitter_ms"):
            words += [f"{behaviour['jitter_ms']:g}ms", "distribution", "normal"]
    for name in ("reorder", "duplicate", "corrupt"):
        if behaviour.get(name):
            words += [name, f"{100 * behaviour[name]:g}%"]
    return ["limit", str(QUEUE_PACKETS), *words] if words else []


class Share(NamedTuple):
    """How what is sent to some addresses behaves."""

    addresses: Sequence[str]
    behaviour: Value


def additions(device: str, shares: Sequence[Share]) -> List[str]:
    """The lines for `tc -batch` that make it so on a device that has nothing of ours. Raises `Refused` for
    more shares than there are handles."""
    if len(shares) > len(LEAVES):
        raise Refused(f"at most {len(LEAVES)} peers can be at a distance of their own, not {len(shares)}")
    lines = [f"qdisc add dev {device} root handle {ROOT} htb"]
    for number, (addresses, behaviour) in enumerate(shares, 1):
        name = f"{ROOT}{number:x}"
        lines.append(
            f"class add dev {device} parent {ROOT} classid {name} htb {_rate(behaviour)} quantum 60000"
        )
        words = netem(behaviour)
        if words:
            leaf = f"{LEAVES[number - 1]:x}:"
            lines.append(f"qdisc add dev {device} parent {name} handle {leaf} netem {' '.join(words)}")
        lines += [_filter(device, address, name) for address in addresses]
    return lines


def burst_bytes(rate_kbit: int) -> int:
    """How much passes at once before the rate is felt: what it lets through in 10 ms, or a few packets."""
    return max(BURST_BYTES_MIN, int(rate_kbit) * 1000 // 8 // 100)


def _rate(behaviour: Value) -> str:
    if not behaviour.get("rate_kbit"):
        return f"rate {FULL_RATE}"
    burst = burst_bytes(behaviour["rate_kbit"])
    return f"rate {int(behaviour['rate_kbit'])}kbit burst {burst} cburst {burst}"


def _filter(device: str, address: str, name: str) -> str:
    ip, bits = ("ip", 32) if family(address) == 4 else ("ip6", 128)
    kind = "protocol ip prio 1" if ip == "ip" else "protocol ipv6 prio 2"
    return f"filter add dev {device} parent {ROOT} {kind} u32 match {ip} dst {address}/{bits} flowid {name}"


def passed(shown: str) -> Value:
    """How many packets `left` through our classes and for how many there was no `room`, given what
    `tc -s class show` says."""
    _, *ours = shown.split(f"class htb {ROOT}")
    found = [match for match in map(_SENT.search, ours) if match]
    return {
        "left": sum(int(match.group(2)) for match in found),
        "room": sum(int(match.group(3)) for match in found),
    }


def shape(context: Context, args: Value) -> Value:
    """From now on what is sent to `peers` (addresses by name) behaves like `behaviour`, its `loss` aside, and
    of what comes from `losing` the fraction `loss` is dropped. Without them nothing is done to packets.
    Answers like `treated`, of what was there before."""
    before = unshape(context, {})
    behaviour, losing = args["behaviour"], args["losing"]
    spare_controller(losing)
    if args["peers"]:
        _leaving(context, [Share(list(args["peers"].values()), behaviour)])
    share = f"{behaviour.get('loss', 0):.6f}"
    rules: Dict[int, Dict[Chain, List[str]]] = {}
    for address in losing.values():
        dropping = f"-s {address} -m statistic --mode random --probability {share} -j DROP"
        version = family(address)
        here = rules.setdefault(version, {LOSS[0]: [*iptables.NEIGHBOURS[version]]})
        here[LOSS[0]] += [f"-s {address}", dropping]
    iptables.lay(context, rules, LOSS)
    return before


def set_apart(context: Context, args: Value) -> Value:
    """From now on what is sent to each of `peers` ({"address", "late_ms"} by name) is so late. Answers like
    `treated`, of what was there before."""
    before = unshape(context, {})
    shares = [Share([peer["address"]], {"delay_ms": peer["late_ms"]}) for peer in args["peers"].values()]
    if shares:
        _leaving(context, shares)
    return before


def treated(context: Context, args: Value) -> Value:
    """How many packets `left` through our queues so far and how many of them found no `room`; how many `came`
    from those that lose some, and how many of those were `lost`."""
    devices = [entry.args["device"] for entry in context.undo.open() if entry.kind == KIND]
    return _told(devices, iptables.counts(context, LOSS))


def unshape(context: Context, args: Value) -> Value:
    """Let everything pass as usual; `treated`, for the last time."""
    ours = [entry for entry in context.undo.open() if entry.kind == KIND]
    found = iptables.lay(context, {}, LOSS)
    told = _told([entry.args["device"] for entry in ours], found)
    for entry in ours:
        undo(entry.args)
        context.undo.done(entry.n)
    return told


def undo(args: Value) -> str:
    device = args["device"]
    if not is_ours(qdiscs(tool.run(["tc", "qdisc", "show"])), device):
        return f"{device}: no qdisc of ours"
    tool.run(["tc", "qdisc", "del", "dev", device, "root"])
    return f"{device}: our qdisc removed"


OPERATIONS: Dict[str, Operation] = {
    "shape": shape,
    "set-apart": set_apart,
    "treated": treated,
    "unshape": unshape,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo}


def _leaving(context: Context, shares: Sequence[Share]) -> None:
    addresses = [address for share in shares for address in share.addresses]
    asked = "".join(f"route get {address}\n" for address in addresses)
    _, told, _ = tool.attempt(["ip", "-force", "-batch", "-"], stdin=asked)
    reached = devices(told, addresses)
    there = qdiscs(tool.run(["tc", "qdisc", "show"]))
    for device in reached:
        strange = foreign(there, device)
        if strange:
            raise Refused(
                f"{device} has a qdisc of somebody else, {strange[0].kind} {strange[0].handle}, which is not "
                f"replaced: tc qdisc del dev {device} root removes it"
            )
    for device in reached:
        context.undo.add(KIND, {"device": device})
        try:
            _add(additions(device, _among(shares, reached[device])))
        except Refused:
            unshape(context, {})
            raise


def _among(shares: Sequence[Share], reached: Sequence[str]) -> List[Share]:
    """What of the shares is sent over the device by which these are reached."""
    found = [
        Share([each for each in share.addresses if each in reached], share.behaviour) for share in shares
    ]
    return [share for share in found if share.addresses]


def _told(devices: Sequence[str], found: Sequence[iptables.Counted]) -> Value:
    told = {"left": 0, "room": 0}
    for device in devices:
        _, shown, _ = tool.attempt(["tc", "-s", "class", "show", "dev", device])
        for name, count in passed(shown).items():
            told[name] += count
    told["came"] = sum(rule.packets for rule in found if rule.address and not rule.drops)
    told["lost"] = sum(rule.packets for rule in found if rule.drops)
    return told


def _add(lines: Sequence[str]) -> None:
    code, _, said = tool.attempt(["tc", "-batch", "-"], stdin="".join(f"{line}\n" for line in lines))
    if code == 0:
        return
    failed = re.search(r"-:(\d+)", said)
    line = lines[int(failed.group(1)) - 1] if failed else lines[0]
    words = line.split()
    kind = next((word for word in ("netem", "htb", "u32") if word in words), "")
    if kind and any(unknown in said for unknown in _UNKNOWN):
        module = "cls_u32" if kind == "u32" else f"sch_{kind}"
        raise Refused(f"the kernel has no {kind}: modprobe {module}, or run a kernel that comes with it")
    raise Refused(f"tc {line}: {' '.join(said.split())}")
