"""Where nodes find each other: the network that all hosts have in common. Pure.

The address by which a host is reached by SSH may be of no use to other hosts (a forwarded port, a network for
management where each virtual machine is alone with its maker), so hosts are asked what addresses they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface
from typing import Any

from harness.cluster.base import ClusterError

Interface = IPv4Interface | IPv6Interface
"""An address of a host, with the network that it is in."""
Network = IPv4Network | IPv6Network
Choice = dict[str, str]
"""An address for each host."""


def interfaces(told: Sequence[Mapping[str, Any]]) -> tuple[Interface, ...]:
    """What `ip -j address` tells of a host, without what only that host itself can reach."""
    return tuple(
        ip_interface(f"{address['local']}/{address['prefixlen']}")
        for link in told
        if "UP" in link.get("flags", ())
        for address in link.get("addr_info", ())
        if address.get("scope") == "global" and "local" in address
    )


def choices(found: Mapping[str, Sequence[Interface]], reached_at: Mapping[str, str]) -> list[Choice]:
    """Addresses by which all these hosts may find each other, the best choice first. `reached_at` is how each
    is reached by SSH.

    In a network of which all are part, each has an address of its own. One by which no host is reached is
    preferred, so that faults keep away from SSH, and IPv4. The last choice is the addresses used for SSH, if
    each is of that host: they may be of several networks that are connected. Raises `ClusterError`, which
    says what was found."""
    networks = {interface.network for own in found.values() for interface in own}
    in_order = sorted(
        networks, key=lambda network: (_is_for_ssh(network, found, reached_at), network.version, str(network))
    )
    candidates = [_in(network, found, reached_at) for network in in_order]
    candidates.append(dict(reached_at) if _are_own(found, reached_at) else {})
    usable = [one for one in candidates if one and len(set(one.values())) == len(found)]
    if not usable:
        told = "; ".join(f"{host} has {', '.join(map(str, own)) or 'none'}" for host, own in found.items())
        raise ClusterError(
            f"the hosts have no network in common in which each has an address of its own: {told}; give "
            "them one, or name hosts that share one"
        )
    return [one for n, one in enumerate(usable) if one not in usable[:n]]


def _in(network: Network, found: Mapping[str, Sequence[Interface]], reached_at: Mapping[str, str]) -> Choice:
    """Each host's address in that network; nothing if one has none."""
    choice = {}
    for host, own in found.items():
        there = sorted(str(interface.ip) for interface in own if interface.network == network)
        if not there:
            return {}
        choice[host] = reached_at[host] if reached_at[host] in there else there[0]
    return choice


def _is_for_ssh(
    network: Network, found: Mapping[str, Sequence[Interface]], reached_at: Mapping[str, str]
) -> bool:
    return any(
        interface.network == network and str(interface.ip) == reached_at[host]
        for host, own in found.items()
        for interface in own
    )


def _are_own(found: Mapping[str, Sequence[Interface]], reached_at: Mapping[str, str]) -> bool:
    return all(reached_at[host] in {str(interface.ip) for interface in own} for host, own in found.items())
