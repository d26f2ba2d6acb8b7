"""The life of a cluster on hosts, where no host is needed to see it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from harness.cluster.base import ClusterError
from harness.cluster.hosts.cluster import HostCluster
from harness.cluster.hosts.ground import Ground
from harness.remote.connection import Connection
from harness.remote.host import Host
from harness.systems.base import System


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
