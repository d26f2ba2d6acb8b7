"""Whole nodes that demand proof: what is served, and to whom."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from store.client import NotSent, connect
from store.core.messages import HelloPeer
from store.net import certs
from store.net.channel import Outbox, dial
from store.net.security import PLAIN, Security, secret, tls
from tests.support.runtimes import Nodes

NAMES = ("n1", "n2", "n3")


def by_certificate(directory: Path, name: str) -> Security:
    return tls(directory / f"{name}.pem", directory / f"{name}.key", directory / "ca.pem")


def secured(kind: str, directory: Path) -> tuple[dict[str, Security], Security]:
    """For the nodes, and for a client."""
    if kind == "tls":
        certs.init(directory, NAMES, ["app"])
        return {name: by_certificate(directory, name) for name in NAMES}, by_certificate(directory, "app")
    path = directory / "secret"
    path.write_text("a secret of the lab\n")
    path.chmod(0o600)
    return {name: secret(path, name) for name in NAMES}, secret(path)


@pytest.mark.parametrize("kind", ["secret", "tls"])
def test_nodes_and_clients_that_prove_who_they_are_are_served_and_strangers_are_not(
    kind: str, tmp_path: Path
) -> None:
    nodes_security, clients = secured(kind, tmp_path)

    async def main() -> None:
        nodes = Nodes(3, nodes_security)
        async with nodes.running():
            host, port = nodes.addresses["n1"]
            async with connect(host, port, "demo", security=clients) as client:
                for level in ("all", "linearizable"):
                    await client.put("k", bytes(100_000), level)
                    assert await client.get("k", level) == bytes(100_000)
                assert (await client.status())["links_up"] == ["n2", "n3"]
            with pytest.raises(NotSent, match="this node demands"):
                async with connect(host, port, "demo", security=PLAIN) as stranger:
                    await stranger.get("k", "one")

    trio.run(main)


def test_a_client_that_says_that_it_is_a_node_changes_nothing(tmp_path: Path) -> None:
    nodes_security, clients = secured("tls", tmp_path)

    async def main() -> None:
        nodes = Nodes(3, nodes_security)
        async with nodes.running():
            hello = HelloPeer("demo", "n2", 1, nodes.layout, "127.0.0.1:1")
            channel = await clients.peer_channel(await dial(*nodes.addresses["n1"]), Outbox(), hello, "n1")
            assert await channel.receive() == b""
            channel.close()

    trio.run(main)
