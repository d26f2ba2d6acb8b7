"""Rules of iptables in chains of our own, put in place and removed in one step, and nobody else's touched.

A chain of ours is reached by one rule, which stands first in INPUT or OUTPUT and bears our comment. All that
changes on a host is one `iptables-restore --noflush`, which does everything or nothing; what is there already
is read by `iptables-save`, as deleting a rule that is not there would be an error.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Dict, Iterable, List, Mapping, NamedTuple, Sequence

from harness.hand import tool
from harness.hand.context import Context, Refused, Value

PREFIX = "STORMCELLAR-"
COMMENT = "stormcellar"
KIND = "iptables"
"""The kind of our entries in the undo log: {"family": 4 or 6, "chains": names}."""

_COUNTED = re.compile(r"\[(\d+):\d+\] -A (\S+)(.*)")
_ADDRESS = re.compile(r"-[sd] (\S+)/\d+")
_TOOL = {4: "iptables", 6: "ip6tables"}
_WAIT = ("--wait", "5")


class Chain(NamedTuple):
    """`hook`: the chain of the table `filter` from which it is reached."""

    name: str
    hook: str


Rules = Mapping[Chain, Sequence[str]]
"""The rules of each chain, without `-A CHAIN`. A chain without rules is not there at all."""


NEIGHBOURS = {4: (), 6: tuple(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in (135, 136))}
"""Rules for what every cut lets pass: by these a host finds the other's hardware address, without which it
could not send anything, either. With IPv4, ARP does that, which iptables does not see."""


class Counted(NamedTuple):
    """A rule as it stands: `address` is the one that it names, if any."""

    address: str
    drops: bool
    packets: int


def family(address: str) -> int:
    """4 or 6; raises `Refused`."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        raise Refused(f"{address!r} is not an IP address") from None


def batch(saved: str, rules: Rules) -> str:
    """The input of `iptables-restore --noflush` that makes it so, given what `iptables-save` says; empty when
    there is nothing to do."""
    lines = [line.partition("] ")[2] or line for line in saved.splitlines()]
    declared, commands = [], []
    for chain, wanted in rules.items():
        hook = f"{chain.hook} -m comment --comment {COMMENT} -j {chain.name}"
        commands += [f"-D {hook}"] * lines.count(f"-A {hook}")
        if wanted:
            declared.append(f":{chain.name} - [0:0]")
            commands += [f"-A {chain.name} {rule}" for rule in wanted]
            commands.append(f"-I {hook.replace(' ', ' 1 ', 1)}")
        elif any(line.startswith(f":{chain.name} ") for line in lines):
            commands += [f"-F {chain.name}", f"-X {chain.name}"]
    return "\n".join(["*filter", *declared, *commands, "COMMIT", ""]) if commands else ""


def counted(saved: str, name: str) -> List[Counted]:
    """The rules of a chain with their packets so far, in order, given what `iptables-save -c` says."""
    found = []
    for line in saved.splitlines():
        matched = _COUNTED.match(line)
        if matched and matched.group(2) == name:
            address = _ADDRESS.search(matched.group(3))
            drops = matched.group(3).endswith("-j DROP")
            found.append(Counted(address.group(1) if address else "", drops, int(matched.group(1))))
    return found


def lay(context: Context, rules: Mapping[int, Rules], chains: Sequence[Chain]) -> List[Counted]:
    """Let `chains` hold the rules for each family, and nothing else; how often those counted that they held
    before. They are removed when they hold none."""
    counts = []
    for version in (4, 6):
        wanted = {chain: rules.get(version, {}).get(chain, ()) for chain in chains}
        entry = {"family": version, "chains": [list(chain) for chain in chains]}
        if any(wanted.values()):
            context.undo.add(KIND, entry)
            counts += _put(version, wanted)
        else:
            for there in context.undo.open():
                if (there.kind, there.args) == (KIND, entry):
                    counts += _put(version, wanted)
                    context.undo.done(there.n)
    return counts


def counts(context: Context, chains: Sequence[Chain]) -> List[Counted]:
    """How often the rules counted that `lay` has put into `chains`."""
    named = [list(chain) for chain in chains]
    open_now = [entry.args for entry in context.undo.open() if entry.kind == KIND]
    versions = [args["family"] for args in open_now if args["chains"] == named]
    return [found for version in versions for found in _counted(_saved(version), chains)]


def by_address(found: Iterable[Counted]) -> Dict[str, int]:
    """The packets that were dropped, by the address that the rule names."""
    dropped: Dict[str, int] = {}
    for rule in found:
        if rule.drops:
            dropped[rule.address] = dropped.get(rule.address, 0) + rule.packets
    return dropped


def undo(args: Value) -> str:
    chains = [Chain(*chain) for chain in args["chains"]]
    names = " and ".join(chain.name for chain in chains)
    before = _put(args["family"], dict.fromkeys(chains, ()))
    if not before:
        return f"{names}: not there any more"
    return f"{names}: removed, with {len(before)} rules"


def _put(version: int, rules: Rules) -> List[Counted]:
    saved = _saved(version)
    change = batch(saved, rules)
    if change:
        tool.run([f"{_TOOL[version]}-restore", "--noflush", *_WAIT], stdin=change)
    return _counted(saved, rules)


def _saved(version: int) -> str:
    return tool.run([f"{_TOOL[version]}-save", "-c", "-t", "filter"])


def _counted(saved: str, chains: Iterable[Chain]) -> List[Counted]:
    return [rule for chain in chains for rule in counted(saved, chain.name)]
