"""Where the other nodes are: they come, move and go while the node runs; what is pinned stays."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from store.config import Address, NodeConfig
from store.core.messages import NODES_MAX, HelloPeer
from store.net import link as links
from store.net.handshake import PLAIN
from store.net.neighbours import KNOCKS_MAX, Neighbours
from store.net.wire import FrameDecoder, decode_opening
from tests.support.nodes import free_ports

OWN = Address("127.0.0.1", 1)


class Place:
    """Where a node might listen; what comes there, by connection."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self.address = Address(*listener.socket.getsockname()[:2])
        self.heard: list[bytearray] = []
        self.open = 0

    async def run(self) -> None:
        await trio.serve_listeners(self._serve, [self.listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        heard = bytearray()
        self.heard.append(heard)
        self.open += 1
        try:
            async for data in stream:
                heard += data
        except trio.BrokenResourceError:
            pass
        finally:
            self.open -= 1

    @property
    def hellos(self) -> list[object]:
        decoders = [FrameDecoder() for _ in self.heard]
        for decoder, heard in zip(decoders, self.heard, strict=True):
            decoder.feed(heard)
        return [decode_opening(payload) for decoder in decoders if (payload := decoder.next()) is not None]


Test = Callable[[Neighbours, list[Place]], Awaitable[None]]


def with_places(count: int, test: Test, **changes: Any) -> None:
    """`changes` may hold numbers of places where the configuration has addresses."""

    async def main() -> None:
        places = [Place((await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]) for _ in range(count)]
        config = NodeConfig(
            name="n1",
            cluster="demo",
            listen=OWN,
            data=Path(),
            nodes=("n1", "n2"),
            replication=1,
            vnodes=1,
            **{
                key: {peer: places[at].address for peer, at in table.items()}
                for key, table in ({"peers": {}} | changes).items()
            },
        )
        neighbours = Neighbours(config, OWN, PLAIN, lambda: (7, "digest"), random.Random(1))
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for place in places:
                    nursery.start_soon(place.run)
                neighbours.start(nursery)
                await test(neighbours, places)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


def test_a_node_that_is_met_is_connected_to_and_told_who_we_are() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        assert not neighbours.knows("n2")
        neighbours.meet("n2", str(places[0].address))
        assert neighbours.knows("n2")
        await until(lambda: neighbours.up == ["n2"])
        await until(lambda: places[0].hellos)
        assert places[0].hellos == [HelloPeer("demo", "n1", 7, "digest", str(OWN))]

    with_places(1, test)


def test_a_node_that_moved_is_found_at_its_new_address_and_one_that_did_not_is_left_alone() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        old, new = places
        await until(lambda: old.open)
        neighbours.meet("n2", str(old.address))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(old.heard) == 1
        neighbours.links["n2"].outbox.push(b"for n2, wherever it is")
        neighbours.meet("n2", str(new.address))
        await until(lambda: new.heard and new.heard[0].endswith(b"for n2, wherever it is"))
        await until(lambda: not old.open)

    with_places(2, test, peers={"n2": 0})


def test_a_node_that_moved_is_not_waited_for_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pause between attempts has become."""
    monkeypatch.setattr(links, "BACKOFF_MAX_S", 60.0)

    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        (port,) = free_ports(1)
        neighbours.meet("n2", str(Address("127.0.0.1", port)))
        neighbours.links["n2"]._failures = 10
        await trio.testing.wait_all_tasks_blocked(0.02)
        neighbours.meet("n2", str(places[0].address))
        with trio.fail_after(30):
            await until(lambda: places[0].open)

    with_places(1, test)


def test_a_node_that_is_gone_for_good_is_forgotten_and_may_come_back() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        await until(lambda: places[0].open)
        neighbours.meet("n2", "")
        assert not neighbours.knows("n2")
        await until(lambda: not places[0].open)
        neighbours.meet("n2", "")
        neighbours.meet("n2", str(places[0].address))
        await until(lambda: places[0].open)

    with_places(1, test, peers={"n2": 0})


def test_a_pinned_address_holds_against_all_news() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        elsewhere, pinned, others = places
        neighbours.meet("n2", str(elsewhere.address))
        neighbours.meet("n3", str(elsewhere.address))
        neighbours.greeted("n2", "10.0.0.1:7")
        for at in ("10.0.0.1:7", str(pinned.address)):
            knock = neighbours.knock(at, b"whoever")
            assert knock is not None
            assert knock.address == pinned.address
        await until(lambda: pinned.open == 3)  # n2, n3, and the knocks
        assert (elsewhere.open, others.open) == (0, 0)

    with_places(3, test, peers={"n2": 2}, pinned={"n2": 1, "n3": 1})


def test_what_is_no_address_and_the_node_itself_are_not_connected_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        neighbours.meet("n1", str(places[0].address))
        neighbours.meet("n2", "nowhere")
        assert neighbours.links == {}
        assert neighbours.knock("nowhere", b"hello") is None
        assert neighbours.knock(str(OWN), b"hello") is None

    with_places(1, test)
    assert [record.getMessage() for record in caplog.records] == ["address-refused peer=n2 address=nowhere"]


def test_no_more_nodes_are_met_than_a_cluster_may_have() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        neighbours._nursery = None  # who would try to reach them all
        for number in range(NODES_MAX + 5):
            neighbours.meet(f"m{number}", "127.0.0.1:9")
        assert len(neighbours.links) == NODES_MAX

    with_places(0, test)


def test_a_knock_is_heard_and_ends_when_nothing_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "KNOCK_IDLE_S", 0.1)

    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        at = str(places[0].address)
        for said in (b"first", b"second"):
            knock = neighbours.knock(at, said)
            assert knock is not None
            if knock.channel is not None:
                knock.channel.flush()
            await until(lambda said=said: places[0].heard and places[0].heard[0].endswith(said))
        assert len(places[0].heard) == 1
        await until(lambda: not places[0].open)
        neighbours.knock(at, b"third")
        await until(lambda: len(places[0].heard) == 2)

    with_places(1, test)


def test_knocks_are_few_and_what_is_too_much_is_counted() -> None:
    async def test(neighbours: Neighbours, places: list[Place]) -> None:
        for number in range(1, KNOCKS_MAX + 3):
            neighbours.knock(f"127.0.0.1:{number}", b"hello")
        assert neighbours.dropped == 1  # one of the addresses is the node's own
        await until(lambda: neighbours.dropped == 1 + KNOCKS_MAX)  # nobody listens there
        assert neighbours._knocks == {}

    with_places(0, test)
