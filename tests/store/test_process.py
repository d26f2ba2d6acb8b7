"""A node's process and a damaged data directory: it says so, and rebuilds if others have copies."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from rocksdict import Options, Rdict

from store.client import Client, NotServed, StoreError, connect
from store.persistence.damage import condemn, condemned
from store.persistence.storage import RECORDS
from store.process import EXIT_DISK
from tests.support.nodes import RealNode, free_ports, kv

pytestmark = pytest.mark.real


class Cluster:
    """Configurations of nodes n1, n2, ...; data below `directory`."""

    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        ports = free_ports(count)
        peers = "".join(f'n{number} = "127.0.0.1:{port}"\n' for number, port in enumerate(ports, 1))
        self.nodes = []
        for number, port in enumerate(ports, 1):
            config = directory / f"n{number}.toml"
            config.write_text(
                f'name = "n{number}"\ncluster = "demo"\nlisten = "127.0.0.1:{port}"\ndata = "n{number}"\n'
                f"[peers]\n{peers}"
            )
            self.nodes.append(RealNode(config))

    @contextmanager
    def running(self, *names: str) -> Iterator[list[RealNode]]:
        """All, or those with the given names."""
        nodes = [node for node in self.nodes if not names or node.config.stem in names]
        try:
            for node in nodes:
                node.start()
            yield nodes
        finally:
            for node in self.nodes:
                if node.process is not None and node.process.poll() is None:
                    node.end(signal.SIGKILL)

    def data(self, node: str = "n1") -> Path:
        return self.directory / node

    def contents(self) -> dict[str, bytes]:
        """All but the engine's diary."""
        files = [file for file in self.data().rglob("*") if file.is_file()]
        return {file.name: file.read_bytes() for file in files if not file.name.startswith("LOG")}

    def records(self, node: str = "n1") -> Path:
        return self.data(node) / RECORDS


def ask(node: RealNode, what: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connect(str(node.ready["host"]), int(node.ready["port"]), "demo") as client:
            await what(client)

    trio.run(main)


def started_to_fail(node: RealNode) -> tuple[int, str]:
    """The exit status, and what it said."""
    ended = kv("node", "--config", str(node.config))
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_a_single_node_refuses_damaged_records_and_says_what_to_do(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1)
    with cluster.running() as (node,):
        node.end(signal.SIGTERM)
    (cluster.records() / "CURRENT").write_bytes(b"")
    before = cluster.contents()
    status, said = started_to_fail(node)
    assert status == EXIT_DISK
    (line,) = said.splitlines()
    assert f"data directory {cluster.data()}: is damaged: Corruption" in line
    assert "no other node has a copy, so nothing is rebuilt: put a backup in its place, or move" in line
    assert cluster.contents() == before


def test_a_node_that_lost_its_records_is_let_in_again_and_has_them_back(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 3)
    keys = [f"k{number}" for number in range(20)]

    async def write(client: Client) -> None:
        for key in keys:
            await client.put(key, key.encode(), "all")
            await client.put("linear " + key, key.encode(), "linearizable")

    async def is_back(client: Client) -> None:
        """Out at epoch 3, and in at epoch 5."""
        with trio.fail_after(30):
            while True:
                status = await client.status()
                if status["serves"] and status["epoch"] == 5:
                    return
                await trio.sleep(0.1)

    async def read(client: Client) -> None:
        for key in keys:
            assert await client.get(key, "quorum") == key.encode()
            assert await client.get("linear " + key, "linearizable") == key.encode()

    with cluster.running() as (node, other, last):
        ask(other, write)
        node.end(signal.SIGKILL)
        (cluster.records() / "CURRENT").write_bytes(b"")
        node.start()
        said = node.log.read_text()
        assert "is damaged: Corruption" in said
        assert "this node begins anew and rebuilds from its peers" in said
        (aside,) = cluster.data().glob("quarantine-*")
        assert (aside / "CURRENT").read_bytes() == b""
        ask(node, is_back)
        last.end(signal.SIGKILL)  # from now on the node itself is needed for every majority
        ask(node, read)


def damage_birth(cluster: Cluster) -> None:
    raw = Rdict(str(cluster.records()), Options(raw_mode=True))
    raw[b"r/m/birth"] = b"something else"
    raw.close()


def test_damage_that_a_node_cannot_do_without_ends_it_and_the_next_start_rebuilds(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 3)
    with cluster.running("n1") as (node,):
        node.end(signal.SIGKILL)
        damage_birth(cluster)
        status, said = started_to_fail(node)
        assert status == EXIT_DISK
        assert "is damaged: the record under 'm/birth' is damaged; the node ends" in said
        assert "started again, it sets its records aside and rebuilds from its peers" in said
        assert "Traceback" not in said
        assert not list(cluster.data().glob("quarantine-*"))
        node.start()
        assert len(list(cluster.data().glob("quarantine-*"))) == 1


def test_a_disk_that_keeps_damaging_is_left_to_a_person(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 3)
    for number in range(3):
        (cluster.data() / f"quarantine-2026-11-2{number}-1").mkdir(parents=True)
    cluster.records().mkdir()
    condemn(cluster.data(), "the records are damaged")
    status, said = started_to_fail(cluster.nodes[0])
    assert status == EXIT_DISK
    assert "holds 3 quarantines already, the oldest quarantine-2026-11-20-1" in said
    assert "see to the disk, then move them away" in said
    assert condemned(cluster.data()) is not None


def test_a_node_whose_disk_is_full_refuses_writes_and_goes_on_reading(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1)
    (node,) = cluster.nodes
    config = node.config.read_text()

    async def before(client: Client) -> None:
        await client.put("k", b"before", "one")

    async def while_full(client: Client) -> None:
        with pytest.raises(StoreError):  # this one meets the full disk
            await client.put("x", b"first", "one", timeout_s=0.5)
        while not (await client.status())["disk_full"]:  # noqa: ASYNC110
            await trio.sleep(0.02)
        with pytest.raises(NotServed) as refused:
            await client.put("l", b"second", "one")
        assert refused.value.definite
        assert await client.get("k", "one") == b"before"

    async def afterwards(client: Client) -> None:
        await client.put("l", b"third", "one")
        assert await client.get("l", "one") == b"third"
        assert await client.get("k", "one") == b"before"

    with cluster.running():
        ask(node, before)
        for text, step in (("reserve_mb = 1048576\n" + config, while_full), (config, afterwards)):
            node.end(signal.SIGTERM)
            node.config.write_text(text)
            node.start()
            ask(node, step)
    assert "MB of room left and needs 1048576; writes wait" in node.log.read_text()
