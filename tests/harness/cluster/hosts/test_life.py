"""The life of a cluster on hosts, where no host is needed to see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from harness.cluster.base import ClusterError
from harness.cluster.hosts import life
from harness.cluster.hosts.cluster import HostCluster
from harness.cluster.hosts.ground import Ground
from harness.remote.connection import Connection
from harness.remote.host import Host
from harness.systems.base import Site, System


def test_a_system_that_never_ends_its_teardown_keeps_nothing_else_from_it() -> None:
    gone: list[str] = []

    class Hangs:
        name = "hangs"

        async def teardown(self, site: str) -> None:
            if site == "n1":
                await trio.sleep_forever()
            gone.append(site)

    async def close(node: str) -> None:
        gone.append(f"connection of {node}")

    async def main() -> None:
        ground = SimpleNamespace(name="hosts", leave=lambda: gone.append("the ground"))
        nodes = ("n1", "n2")
        cluster: Any = HostCluster(cast(Ground, ground), nodes, 0, cast(System, Hangs()), silence_s=10)
        cluster.sites = {node: node for node in nodes}
        cluster._connections = {node: SimpleNamespace(aclose=lambda node=node: close(node)) for node in nodes}
        await cluster.teardown()

    with pytest.raises(ClusterError, match=r"^n1: hangs took more than 60 s for its teardown$"):
        trio.run(main, clock=MockClock(autojump_threshold=0.01))
    assert gone == ["n2", "connection of n2", "connection of n1", "the ground"]


def test_a_system_that_never_ends_its_setup_is_named_and_its_hosts_are_left_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []

    class Hangs:
        name = "hangs"

        async def setup(self, site: Site, sites: Sequence[Site]) -> None:
            if site.node == "n2":
                await trio.sleep_forever()

        def logs(self, site: Site) -> tuple[str, ...]:
            return ()

        async def teardown(self, site: Site) -> None:
            gone.append(f"the system of {site.node}")

    class Bare(HostCluster):
        async def _make_sites(self) -> None:
            self.sites = {node: cast(Site, SimpleNamespace(node=node)) for node in self._hosts}

        async def prepare(self) -> None:
            pass

    class ToHost:
        def __init__(self, host: Host, silence_s: float) -> None:
            self.host = host

        async def connect(self) -> None:
            pass

        async def aclose(self) -> None:
            gone.append(f"the connection of {self.host.name}")

    class Hand:
        hello = SimpleNamespace(boot="theirs")

        def __init__(self, node: str, connection: ToHost, silence_s: float) -> None:
            self.node = node

        async def start(self) -> None:
            pass

        async def do(self, operation: str, args: dict[str, Any]) -> dict[str, Any]:
            return {}

        async def aclose(self) -> None:
            gone.append(f"the hand of {self.node}")

    monkeypatch.setattr(life, "Connection", ToHost)
    monkeypatch.setattr(life, "Hand", Hand)

    async def main() -> None:
        hosts = [Host("n1", "192.0.2.1"), Host("n2", "192.0.2.2")]
        leave = partial(gone.append, "the ground")
        ground = SimpleNamespace(name="hosts", hosts=lambda nodes, spares: hosts, leave=leave)
        cluster = Bare(cast(Ground, ground), ("n1", "n2"), 0, cast(System, Hangs()), silence_s=10)
        with (
            trio.fail_after(3600),
            pytest.raises(ClusterError, match=r"^n2: hangs took more than 600 s for its setup$"),
        ):
            await cluster.setup(tmp_path)
        await cluster.teardown()

    trio.run(main, clock=MockClock(autojump_threshold=0.01))
    each = [f"the {what} of {node}" for node in ("n1", "n2") for what in ("hand", "system", "connection")]
    assert sorted(gone[:-1]) == sorted(each)
    assert gone[-1] == "the ground"


def test_a_connection_is_known_to_be_lost_while_the_hand_still_waits(tmp_path: Path) -> None:
    async def look(connections: Mapping[str, Connection]) -> None:
        assert [connection._silence_s for connection in connections.values()] == [5, 5]
        raise ClusterError("seen enough")

    async def main() -> None:
        hosts = [Host("n1", "192.0.2.1"), Host("n2", "192.0.2.2")]
        ground = SimpleNamespace(name="hosts", hosts=lambda nodes, spares: hosts, leave=lambda: None)
        system = cast(System, SimpleNamespace(name="none"))
        cluster = HostCluster(cast(Ground, ground), ("n1", "n2"), 0, system, silence_s=10, preflight=look)
        with pytest.raises(ClusterError, match=r"^seen enough$"):
            await cluster.setup(tmp_path)
        await cluster.teardown()

    trio.run(main)
