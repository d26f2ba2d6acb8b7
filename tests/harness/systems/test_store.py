from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.pace import PACE
from harness.remote.connection import Connection
from harness.remote.host import Host
from harness.systems.base import Site
from harness.systems.store import BundledStore, config
from store.config import load


def sites(*addresses: str, spares: int = 0) -> list[Site]:
    return [
        Site(
            node=f"n{n}",
            host=Connection(Host(f"n{n}", "192.0.2.1")),
            address=address,
            home=f"/srv/stormcellar/nodes/n{n}",
            begins=n <= len(addresses) - spares,
        )
        for n, address in enumerate(addresses, 1)
    ]


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "secret").write_text("s" * 32)
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "addresses", [("10.0.0.1", "10.0.0.2", "10.0.0.3"), ("2001:db8::1", "2001:db8::2", "2001:db8::3")]
)
def test_a_node_that_begins_the_cluster_knows_the_others(tmp_path: Path, addresses: tuple[str, ...]) -> None:
    three = sites(*addresses)
    node = load(written(tmp_path, config(three[1], three, replication=2)))
    assert (node.name, node.nodes, node.replication, node.join) == ("n2", ("n1", "n2", "n3"), 2, False)
    assert node.listen == (addresses[1], 7000)
    assert {peer: address.host for peer, address in node.peers.items()} == {
        "n1": addresses[0],
        "n3": addresses[2],
    }
    assert node.secret_file == tmp_path / "secret"
    assert node.data == tmp_path / "data"
    assert (node.options.probe_nanos, node.options.hint_life_nanos) == (
        PACE.probe_nanos,
        PACE.hint_life_nanos,
    )


def test_a_spare_knows_them_too_and_joins_them(tmp_path: Path) -> None:
    four = sites("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", spares=1)
    spare = load(written(tmp_path, config(four[3], four, replication=3)))
    assert spare.join
    assert set(spare.peers) == {"n1", "n2", "n3"}
    assert set(load(written(tmp_path, config(four[0], four, 3))).peers) == {"n2", "n3"}, "and not the spare"


def test_every_cluster_has_a_secret_of_its_own() -> None:
    assert BundledStore(3)._secret != BundledStore(3)._secret
