"""The driver around the real core: real sockets, a disk that the test controls, all in one process."""

from __future__ import annotations

import re

import pytest
import trio
import trio.testing

from store.client import Client, Lost, NotSent, connect
from store.core.data import hlc
from store.core.messages import Done, Failed, Fetch, Get, HelloClient, HelloPeer, Put, Record, Request
from store.net.server import OUTSTANDING_MAX
from store.net.wire import FrameDecoder, decode_response, frame
from store.persistence.storage import StorageError
from tests.support.runtimes import Nodes, ended, with_nodes

LEVELS = ("one", "quorum", "all", "linearizable", "r=1,w=1")


@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_level_is_served_through_every_node(count: int) -> None:
    async def test(nodes: Nodes) -> None:
        for name in nodes.addresses:
            async with connect(*nodes.addresses[name], "demo") as client:
                for level in LEVELS:
                    value = f"{name} {level}".encode()
                    await client.put(f"key {level}", value, level)
                    if level in ("one", "r=1,w=1"):  # whoever answers first may not have it yet
                        assert await client.get(f"key {level}", "all") == value
                        await client.put(f"key {level}", value, "all")
                    assert await client.get(f"key {level}", level) == value
                await client.delete("key all", "all")
                assert await client.get("key all", "all") is None

    with_nodes(count, test)


def test_a_status_has_what_only_the_driver_knows() -> None:
    async def test(nodes: Nodes) -> None:
        client = await nodes.open("n1")
        await client.put("k", b"v", "all")
        status = await client.status()
        assert status["node"] == "n1"
        assert status["links_up"] == ["n2", "n3"]
        assert status["disk_records"] >= status["disk_commits"] >= 1
        assert status["messages_dropped"] == 0
        await client.close()

    with_nodes(3, test)


def test_nothing_is_acknowledged_before_it_is_durable_and_what_gathers_is_committed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hlc, "AHEAD_US", 3_600_000_000)  # so that no put waits for the clock's bound

    async def test(nodes: Nodes) -> None:
        disk = nodes.disks["n1"]
        client = await nodes.open("n1")
        await client.put("first", b"v", "one")
        disk.gate.clear()
        done: list[int] = []

        async def put(number: int) -> None:
            await client.put(str(number), b"v", "one")
            done.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, 0)
            await trio.testing.wait_all_tasks_blocked(0.02)
            for number in range(1, 50):
                nursery.start_soon(put, number)
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert (done, disk.commits) == ([], [1])
            disk.gate.set()
        assert len(done) == 50
        assert disk.commits == [1, 1, 49]
        await client.close()

    with_nodes(1, test)


def test_a_failing_disk_ends_the_node_with_nothing_acknowledged() -> None:
    async def main() -> None:
        nodes = Nodes(1)
        disk, runtime = nodes.disks["n1"], nodes.runtimes["n1"]
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runtime.run)
                client = await nodes.open("n1")
                await client.put("k", b"first", "one")
                disk.broken = True
                with pytest.raises(Lost):
                    await client.put("k", b"second", "one")
        assert "cannot be written" in str(runtime.disk_error)
        assert disk.commits == [1]

    trio.run(main)


def test_a_disk_that_cannot_be_read_ends_the_node_too() -> None:
    async def main() -> None:
        nodes = Nodes(1)
        disk, runtime = nodes.disks["n1"], nodes.runtimes["n1"]

        def get(key: str) -> Record | None:
            raise StorageError("data directory memory: cannot be read: Corruption")

        disk.get = get  # type: ignore[method-assign]
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runtime.run)
                client = await nodes.open("n1")
                with pytest.raises(Lost):
                    await client.get("k", "one")
        assert "cannot be read" in str(runtime.disk_error)

    trio.run(main)


def test_too_few_replicas_in_time_is_an_answer_when_the_time_is_up() -> None:
    async def main() -> None:
        nodes = Nodes(3)
        async with nodes.running("n1"):
            client = await nodes.raw("n1")
            began = trio.current_time()
            await client.send_all(frame(HelloClient("demo")) + frame(Request(1, 100, Get("k", "quorum"))))
            decoder = FrameDecoder()
            decoder.feed(bytes(await client.receive_some()))
            (payload,) = decoder
            assert isinstance(decode_response(payload), Failed)
            assert trio.current_time() - began >= 0.1

    trio.run(main)


def test_a_node_that_comes_back_is_linked_again() -> None:
    async def main() -> None:
        nodes = Nodes(3)

        async def put_at_all(client: Client) -> bool:
            try:
                return isinstance(await client.request(Put("k", b"v", "all"), 0.3), Done)
            except Lost:
                return False

        async with nodes.running("n1"):
            client = await nodes.open("n1")
            assert not await put_at_all(client)
            async with trio.open_nursery() as nursery:
                for late in ("n2", "n3"):
                    nursery.start_soon(nodes.runtimes[late].run)
                while not await put_at_all(client):
                    pass
                nursery.cancel_scope.cancel()
            await client.close()

    trio.run(main)


def hello(cluster: str, node: str, digest: str = "another") -> bytes:
    """A peer's, of the first epoch."""
    return frame(HelloPeer(cluster, node, 1, digest, ""))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "above the limit"),
        (b"\0\0\0\x05hello", "not a hello"),
        (frame(HelloClient("demo")) + b"\0\0\0\x05hello", "not a request"),
        (hello("other", "n2"), "node 'n2' is of cluster 'other', not 'demo'"),
        (hello("demo", "n1"), "another node says that it is 'n1', which is this one"),
        (hello("demo", "n/2"), "a node's name: 'n/2' is no name"),
        (hello("demo", "n9"), "node 'n9' places keys differently"),
        (hello("demo", "n2"), r"node 'n2' places keys differently \(layout 'another', here"),
    ],
)
def test_what_is_not_of_the_protocol_closes_that_connection_only(
    sent: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(nodes: Nodes) -> None:
        client = await nodes.open("n1")
        await client.put("k", b"v", "all")
        stranger = await nodes.raw("n1")
        await stranger.send_all(sent)
        assert await ended(stranger)
        await client.put("k", b"w", "all")
        await client.close()

    with_nodes(3, test)
    said = [record.getMessage() for record in caplog.records]
    assert any(re.match(f"connection-refused reason=.*{why}", message) for message in said), said


def test_a_peer_is_answered_on_its_own_listener_and_never_on_its_link() -> None:
    async def main() -> None:
        nodes = Nodes(3)
        async with nodes.running("n1"):
            link = await nodes.raw("n1")
            await link.send_all(hello("demo", "n2", nodes.layout) + frame(Fetch(7, 1, "k")))
            nodes.listeners["n2"].setblocking(True)
            answering, _ = await trio.to_thread.run_sync(nodes.listeners["n2"].accept)
            with trio.move_on_after(0.05) as quiet:
                await link.receive_some()
            assert quiet.cancelled_caught
            answering.close()
            await link.aclose()

    trio.run(main)


def test_a_client_of_another_cluster_is_told_so() -> None:
    async def test(nodes: Nodes) -> None:
        stranger = await Client.open(*nodes.addresses["n1"], "other")
        with pytest.raises(NotSent, match="this node is of cluster 'demo', not 'other'"):
            await stranger.request(Get("k", "one"))

    with_nodes(1, test)


def test_more_requests_than_a_connection_may_have_are_refused_and_the_others_served() -> None:
    async def test(nodes: Nodes) -> None:
        nodes.disks["n1"].gate.clear()
        client = await nodes.open("n1")
        counts = {"done": 0, "overloaded": 0}

        async def put(number: int) -> None:
            response = await client.request(Put(str(number), b"v", "one"), 10)
            counts[response.code if isinstance(response, Failed) else "done"] += 1

        async with trio.open_nursery() as nursery:
            for number in range(OUTSTANDING_MAX + 10):
                nursery.start_soon(put, number)
            while counts["overloaded"] < 10:
                await trio.testing.wait_all_tasks_blocked()
            nodes.disks["n1"].gate.set()
        assert counts == {"done": OUTSTANDING_MAX, "overloaded": 10}
        await client.close()

    with_nodes(1, test)


def test_a_client_that_does_not_read_its_answers_holds_up_nobody_else() -> None:
    async def test(nodes: Nodes) -> None:
        client = await nodes.open("n1")
        await client.put("big", bytes(1 << 20), "one")
        greedy = await Client.open(*nodes.addresses["n1"], "demo")
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(greedy.request, Get("big", "one"), 20)
            for number in range(20):
                await client.put(str(number), b"v", "one")
        await greedy.close()
        await client.close()

    with_nodes(1, test)


def test_values_are_withheld_from_a_client_that_leaves_too_much_untaken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.net.server.UNTAKEN_BYTES_MAX", 1 << 20)
    count = 12

    async def test(nodes: Nodes) -> None:
        async with connect(*nodes.addresses["n1"], "demo") as client:
            await client.put("big", bytes(1 << 19), "all")
            deaf = await nodes.raw("n1")
            asked = [frame(Request(number, 60_000, Get("big", "quorum"))) for number in range(count)]
            await deaf.send_all(frame(HelloClient("demo")) + b"".join(asked))
            while (await client.status())["requests_served"] <= count:
                pass
        decoder, codes = FrameDecoder(), []
        while len(codes) < count:
            decoder.feed(bytes(await deaf.receive_some()))
            codes += [getattr(decode_response(payload), "code", "found") for payload in decoder]
        assert set(codes) == {"found", "overloaded"}
        await deaf.aclose()

    with_nodes(3, test)


def test_many_of_the_largest_values_at_once_are_all_served() -> None:
    async def test(nodes: Nodes) -> None:
        async with connect(*nodes.addresses["n1"], "demo") as client:

            async def put_and_get(key: str) -> None:
                await client.put(key, bytes(1 << 20), "quorum")
                assert await client.get(key, "quorum") == bytes(1 << 20)

            async with trio.open_nursery() as nursery:
                for number in range(24):
                    nursery.start_soon(put_and_get, str(number))
            assert (await client.status())["messages_dropped"] == 0

    with_nodes(3, test)


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.net.server.HELLO_TIMEOUT_S", 0.05)

    async def test(nodes: Nodes) -> None:
        silent = await nodes.raw("n1")
        assert await ended(silent)

    with_nodes(1, test)


def test_far_more_connections_than_allowed_are_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.net.server.CONNECTIONS_MAX", 2)
    monkeypatch.setattr("store.net.server.REFUSALS_MAX", 1)

    async def test(nodes: Nodes) -> None:
        client = await nodes.open("n1")
        await client.put("k", b"v", "one")
        silent = [await nodes.raw("n1") for _ in range(3)]
        assert await ended(silent.pop())
        await client.put("k", b"w", "one")
        for stream in silent:
            await stream.aclose()
        await client.close()

    with_nodes(1, test)


def test_more_connections_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.net.server.CONNECTIONS_MAX", 2)

    async def test(nodes: Nodes) -> None:
        clients = []
        for _ in range(2):
            clients.append(await nodes.open("n1"))
            await clients[-1].put("k", b"v", "one")
        clients.append(await nodes.open("n1"))
        with pytest.raises(NotSent, match="this node has 2 connections"):
            await clients[-1].put("k", b"v", "one")
        for client in clients:
            await client.close()

    with_nodes(1, test)


def test_a_peer_that_takes_nothing_slows_nobody_and_what_waits_for_it_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.net.link.BYTES_MAX", 4 << 20)

    async def main() -> None:
        nodes = Nodes(3)
        async with nodes.running("n1", "n2"), connect(*nodes.addresses["n1"], "demo") as client:
            async with trio.open_nursery() as life:
                life.start_soon(nodes.runtimes["n3"].run)
                await client.put("k", b"v", "all")
                life.cancel_scope.cancel()
            # From now on connections to n3 are made, by its kernel, and never read from.
            for number in range(30):
                await client.put(f"k{number}", bytes(1 << 20), "quorum")
            link = nodes.runtimes["n1"]._neighbours.links["n3"]
            assert link.outbox.bytes <= 4 << 20
            if link.channel is not None:
                assert link.channel.unsent_bytes < 6 << 20
            assert (await client.status())["messages_dropped"] > 10
            for number in range(30):
                assert await client.get(f"k{number}", "quorum") == bytes(1 << 20)

    trio.run(main)


def test_a_node_tells_by_http_what_it_tells_a_client() -> None:
    async def main() -> None:
        nodes = Nodes(1, http=True)
        async with nodes.running():
            async with connect(*nodes.addresses["n1"], "demo") as client:
                await client.put("k", b"v", "one")
            stream = await trio.open_tcp_stream(*nodes.http["n1"])
            await stream.send_all(
                b"GET /kv/k?level=one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            reply = b"".join([bytes(piece) async for piece in stream])
            assert reply.startswith(b"HTTP/1.1 200 ")
            assert reply.endswith(b"\r\n\r\nv")
            assert nodes.runtimes["n1"]._inquiries == {}

    trio.run(main)
