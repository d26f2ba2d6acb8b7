"""Where hosts come from, and that what is not there is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.base import ClusterError
from harness.cluster.hosts.ground import HostsFile
from harness.cluster.members import spare_names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("".join(f"root@10.0.0.{i} name={name}\n" for i, name in enumerate(("a", "b", "c"), 1)))
    return path


def test_nodes_are_those_that_are_named_and_the_rest_are_spares_in_their_order(file: Path) -> None:
    assert [host.name for host in HostsFile(file).hosts(("c", "a"), 1)] == ["c", "a", "b"]
    assert [host.name for host in HostsFile(file).hosts(("b",), 1)] == ["b", "a"]
    assert [host.name for host in HostsFile(file).hosts(("b",), 0)] == ["b"]


def test_a_host_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ClusterError, match=r"hosts has no host d: it has a, b, c$"):
        HostsFile(file).hosts(("a", "d"), 0)


def test_a_spare_that_is_wanting_is_said_to_be(file: Path) -> None:
    with pytest.raises(ClusterError, match=r"a membership fault needs a host that is no node at first, and "):
        HostsFile(file).hosts(("a", "b", "c"), 1)


def test_spares_have_names_that_no_node_has() -> None:
    assert spare_names(("n1", "n2"), 2) == ("s1", "s2")
    assert spare_names(("s1", "n2", "s3"), 3) == ("s2", "s4", "s5")
    assert spare_names(("n1",), 0) == ()
