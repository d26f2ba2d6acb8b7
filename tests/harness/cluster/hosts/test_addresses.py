from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.base import ClusterError
from harness.cluster.hosts.addresses import Interface, choices, interfaces

HOSTS = ("n1", "n2", "n3")


def of(**found: str) -> dict[str, tuple[Interface, ...]]:
    return {host: tuple(map(ip_interface, words.split())) for host, words in found.items()}


def chosen(found: Mapping[str, Sequence[Interface]], **reached_at: str) -> list[list[str]]:
    return [list(choice.values()) for choice in choices(found, reached_at)]


def test_one_network_is_the_one() -> None:
    found = of(n1="10.77.0.1/24", n2="10.77.0.2/24")
    assert chosen(found, n1="10.77.0.1", n2="10.77.0.2") == [["10.77.0.1", "10.77.0.2"]]


def test_vagrants_private_network_is_preferred_to_that_of_its_management() -> None:
    found = of(n1="192.168.121.31/24 10.77.0.11/24", n2="192.168.121.7/24 10.77.0.12/24")
    assert chosen(found, n1="192.168.121.31", n2="192.168.121.7") == [
        ["10.77.0.11", "10.77.0.12"],
        ["192.168.121.31", "192.168.121.7"],
    ]


def test_forwarded_ports_and_a_network_where_all_have_the_same_address_are_no_way() -> None:
    """VirtualBox: each machine is 10.0.2.15 to itself, and reached by a port of the harness' machine."""
    found = of(n1="10.0.2.15/24 10.77.0.11/24", n2="10.0.2.15/24 10.77.0.12/24")
    assert chosen(found, n1="127.0.0.1", n2="127.0.0.1") == [["10.77.0.11", "10.77.0.12"]]


def test_a_bridge_that_every_host_has_for_itself_is_no_way() -> None:
    found = of(n1="10.1.0.1/16 172.17.0.1/16", n2="10.1.0.2/16 172.17.0.1/16")
    assert chosen(found, n1="10.1.0.1", n2="10.1.0.2") == [["10.1.0.1", "10.1.0.2"]]


def test_hosts_in_several_networks_are_taken_as_they_are_reached() -> None:
    found = of(n1="10.1.0.4/32", n2="10.2.0.4/24")
    assert chosen(found, n1="10.1.0.4", n2="10.2.0.4") == [["10.1.0.4", "10.2.0.4"]]


def test_of_several_addresses_in_one_network_that_of_ssh_is_taken() -> None:
    found = of(n1="10.1.0.1/24 10.1.0.9/24", n2="10.1.0.2/24")
    assert chosen(found, n1="10.1.0.9", n2="10.1.0.2") == [["10.1.0.9", "10.1.0.2"]]


def test_ipv4_before_ipv6() -> None:
    found = of(n1="2001:db8::1/64 10.1.0.1/24", n2="2001:db8::2/64 10.1.0.2/24")
    assert chosen(found, n1="n1.example", n2="n2.example") == [
        ["10.1.0.1", "10.1.0.2"],
        ["2001:db8::1", "2001:db8::2"],
    ]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (of(n1="10.1.0.1/24", n2="10.2.0.1/24"), "n1 has 10.1.0.1/24; n2 has 10.2.0.1/24"),
        (of(n1="10.0.2.15/24", n2="10.0.2.15/24"), "n1 has 10.0.2.15/24; n2 has 10.0.2.15/24"),
        (of(n1="10.1.0.1/24", n2=""), "n1 has 10.1.0.1/24; n2 has none"),
    ],
)
def test_hosts_that_cannot_find_each_other_are_told_with_what_they_have(
    found: dict[str, tuple[Interface, ...]], told: str
) -> None:
    with pytest.raises(ClusterError, match=re.escape(told)):
        choices(found, {"n1": "127.0.0.1", "n2": "127.0.0.1"})


addresses = st.builds(
    lambda net, host: ip_interface(f"10.{net}.0.{host}/24"),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=1, max_value=4),
)
found_by_host = st.fixed_dictionaries(dict.fromkeys(HOSTS, st.lists(addresses, max_size=4)))
reached = st.fixed_dictionaries(
    dict.fromkeys(HOSTS, st.one_of(addresses.map(lambda one: str(one.ip)), st.just("127.0.0.1")))
)


@given(found_by_host, reached)
def test_every_choice_gives_each_host_an_address_of_its_own_and_none_is_missed(
    found: dict[str, list[Interface]], reached_at: dict[str, str]
) -> None:
    def own(host: str) -> set[str]:
        return {str(one.ip) for one in found[host]}

    def networks(choice: Mapping[str, str]) -> set[str]:
        return {address.rpartition(".")[0] for address in choice.values()}

    try:
        ways = choices(found, reached_at)
    except ClusterError:
        ways = []
    for way in ways:
        assert set(way) == set(HOSTS)
        assert all(way[host] in own(host) for host in HOSTS)
        assert len(set(way.values())) == len(HOSTS)
        assert len(networks(way)) == 1 or way == reached_at
    assert len({tuple(way.values()) for way in ways}) == len(ways)
    by_ssh = [any(address == reached_at[host] for host, address in way.items()) for way in ways]
    assert by_ssh == sorted(by_ssh), "networks where SSH does not run come first"
    for n in range(4):
        there = [sorted(address for address in own(host) if address.startswith(f"10.{n}.")) for host in HOSTS]
        if all(there) and len({one[0] for one in there}) == len(HOSTS):
            unreached = not any(reached_at[host].startswith(f"10.{n}.") for host in HOSTS)
            assert not unreached or {f"10.{n}.0"} in map(networks, ways)


def test_only_what_others_can_reach_is_read_from_what_ip_tells() -> None:
    told = json.loads(
        """[
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
        {"ifname": "eth0", "flags": ["BROADCAST", "UP"], "addr_info": [
            {"family": "inet", "local": "10.1.0.4", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}]},
        {"ifname": "eth1", "flags": ["BROADCAST"], "addr_info": [
            {"family": "inet", "local": "10.2.0.4", "prefixlen": 24, "scope": "global"}]},
        {}, {"flags": ["UP"], "addr_info": [{}]}
        ]"""
    )
    assert interfaces(told) == (ip_interface("10.1.0.4/24"),)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("ip") is None, reason="ip is not installed (apt-get install iproute2)")
def test_what_the_real_ip_tells_is_understood() -> None:
    told = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
    assert any(link["ifname"] == "lo" for link in told)
    assert not any(one.is_loopback for one in interfaces(told))
