"""Incoming connections: who has a turn when, and what is too much."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from store.core.machine import ClientGone, FromClient, FromPeer, Input
from store.core.messages import (
    Failed,
    Found,
    FoundMany,
    HelloClient,
    HelloPeer,
    Nack,
    Put,
    Request,
    Response,
    Status,
)
from store.net.handshake import PLAIN
from store.net.server import PEER_CONNECTIONS_MAX, TURN_FRAMES, Server
from store.net.wire import FrameDecoder, decode_response, frame


class Others:
    """The nodes that are known, and where those that came say that they are."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.addresses: dict[str, str] = {}

    def knows(self, peer: str) -> bool:
        return peer in self.known

    def greeted(self, peer: str, text: str) -> None:
        self.addresses[peer] = text


class Door:
    """A server whose inputs are kept in `fed`; `feed` may be replaced."""

    def __init__(self, *known: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.others = Others(*known)
        self.fed: list[Input] = []
        self.feed: Callable[[Sequence[Input]], None] = self.fed.extend
        self.server = Server(
            self.listener,
            "demo",
            "n1",
            PLAIN,
            lambda: (1, "layout"),
            self.others,
            lambda events: self.feed(events),
        )

    async def visited(self, *said: bytes) -> trio.SocketStream:
        stream = await trio.open_tcp_stream(*self.listener.getsockname())
        await stream.send_all(b"".join(said))
        return stream

    def asked(self) -> list[FromClient]:
        return [event for event in self.fed if isinstance(event, FromClient)]


def at_door(test: Callable[[Door], Awaitable[None]], *known: str) -> None:
    async def main() -> None:
        door = Door(*known)
        with door.listener, trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(door.server.run)
                await test(door)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


async def answers(stream: trio.SocketStream, count: int) -> list[Response]:
    decoder = FrameDecoder()
    found: list[Response] = []
    while len(found) < count:
        data = await stream.receive_some()
        assert data, "the connection was closed"
        decoder.feed(bytes(data))
        found += [decode_response(payload) for payload in decoder]
    return found


async def ended(stream: trio.SocketStream) -> None:
    try:
        assert await stream.receive_some() == b""
    except trio.BrokenResourceError:
        pass


CLIENT = frame(HelloClient("demo"))


def peer(name: str, address: str = "127.0.0.1:9") -> bytes:
    return frame(HelloPeer("demo", name, 1, "layout", address))


def ask(number: int, timeout_ms: int = 1000) -> bytes:
    return frame(Request(number, timeout_ms, Status()))


def test_connections_with_much_to_ask_take_turns() -> None:
    asked = 4 * TURN_FRAMES
    turns: list[int] = []

    def feed(events: Sequence[Input]) -> None:
        clients = [event.client for event in events if isinstance(event, FromClient)]
        assert len(clients) <= TURN_FRAMES
        turns.extend(clients)

    async def main(listener: socket.socket) -> None:
        server = Server(listener, "demo", "n1", PLAIN, lambda: (1, "layout"), Others(), feed)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.run)
                while len(turns) < 2 * asked:
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
        for client in clients:
            requests = (frame(Request(number, 1000, Status())) for number in range(asked))
            client.sendall(frame(HelloClient("demo")) + b"".join(requests))
        listener.setblocking(False)
        trio.run(main, listener)
        for client in clients:
            client.close()
    assert set(turns[: 3 * TURN_FRAMES]) == {1, 2}


def test_a_request_that_waited_longer_than_it_was_to_take_is_not_begun() -> None:
    async def test(door: Door) -> None:
        def slowly(events: Sequence[Input]) -> None:
            door.fed.extend(events)
            time.sleep(0.6)

        door.feed = slowly
        brief = [ask(number, 500) for number in range(2 * TURN_FRAMES)]
        patient = [ask(100, 10_000)]
        began = time.monotonic()
        stream = await door.visited(CLIENT, *brief, *patient)
        refused = await answers(stream, TURN_FRAMES)
        waited_ms = (time.monotonic() - began) * 1000
        await until(lambda: len(door.asked()) == TURN_FRAMES + 1)
        for answer in refused:
            assert isinstance(answer, Failed)
            assert answer.code == "overloaded"
            assert "ms to be begun, and was to take 500" in answer.text
        last = door.asked()[-1].request
        assert last.id == 100
        assert 10_000 - waited_ms - 1 <= last.timeout_ms <= 10_000 - 600, "what it waited is gone"

    at_door(test)


def test_a_number_that_is_in_use_ends_the_connection_and_one_that_was_answered_does_not() -> None:
    async def test(door: Door) -> None:
        stream = await door.visited(CLIENT, ask(1))
        await until(door.asked)
        client = door.asked()[0].client
        for _ in range(2):
            channel = door.server.answer(client, Found(1, None))
            assert channel is not None
            channel.flush()
            await stream.send_all(ask(1))
            await answers(stream, 1)
        await until(lambda: len(door.asked()) == 3)
        await stream.send_all(ask(1))
        await ended(stream)
        await until(lambda: ClientGone(client) in door.fed)

    at_door(test)


def test_the_end_of_a_clients_connection_is_told_once_however_it_ends() -> None:
    async def test(door: Door) -> None:
        for ends in ("closed", "garbage", "reset"):
            stream = await door.visited(CLIENT, ask(1))
            await until(door.asked)
            if ends == "garbage":
                await stream.send_all(b"garbage")
            elif ends == "reset":
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *bytes(7)]))
            if ends != "garbage":
                await stream.aclose()
            client = door.asked()[0].client
            await until(lambda: isinstance(door.fed[-1], ClientGone))
            assert [event for event in door.fed if isinstance(event, ClientGone)] == [ClientGone(client)]
            assert door.server.answer(client, Found(1, None)) is None
            await trio.aclose_forcefully(stream)
            door.fed.clear()

    at_door(test)


def test_an_answer_that_has_no_form_is_a_failure() -> None:
    async def test(door: Door) -> None:
        stream = await door.visited(CLIENT, ask(1), ask(2))
        await until(lambda: len(door.asked()) == 2)
        client = door.asked()[0].client
        value = Found(0, bytes(1 << 20))
        channel = door.server.answer(client, FoundMany(1, (value,) * 5))
        assert channel is not None
        channel.flush()
        (failed,) = await answers(stream, 1)
        assert isinstance(failed, Failed)
        assert (failed.id, failed.code) == (1, "bad-request")
        assert "above the limit" in failed.text

    at_door(test)


def test_unfinished_requests_of_all_clients_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.net.server.ALL_HALF_BYTES_MAX", 1 << 20)
    half = frame(Request(1, 1000, Put("k", bytes(1 << 20), "one")))[: 700 << 10]

    async def test(door: Door) -> None:
        first = await door.visited(CLIENT, half)
        await until(lambda: [c.decoder.buffered_bytes for c in door.server._clients.values()] == [len(half)])
        with suppress(trio.BrokenResourceError):  # it may be turned away while it is still sending
            await ended(await door.visited(CLIENT, half))
        await until(lambda: len(door.server._clients) == 1)
        await first.send_all(frame(Request(1, 1000, Put("k", bytes(1 << 20), "one")))[700 << 10 :])
        await until(door.asked)

    at_door(test)


def test_values_are_withheld_from_the_slow_when_too_much_is_untaken_by_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.net.server.ALL_UNTAKEN_BYTES_MAX", 30 << 20)
    value = bytes(1 << 20)

    async def test(door: Door) -> None:
        streams = [await door.visited(CLIENT, *[ask(number) for number in range(40)]) for _ in range(2)]
        await until(lambda: len(door.asked()) == 80)
        for event in door.asked():
            channel = door.server.answer(event.client, Found(event.request.id, value))
            assert channel is not None
            channel.flush()
        untaken = sum([client.channel.unsent_bytes for client in door.server._clients.values()])
        assert 20 << 20 < untaken < 33 << 20
        for client in door.server._clients.values():
            if not client.channel.draining:
                client.channel.flush()
        for stream in streams:
            await trio.aclose_forcefully(stream)

    at_door(test)


def test_a_node_that_connects_again_and_again_has_few_connections_the_newest() -> None:
    async def test(door: Door) -> None:
        streams = [await door.visited(peer("n2"), frame(Nack(0)))]
        for number in range(1, PEER_CONNECTIONS_MAX + 2):
            await until(lambda number=number: len(door.fed) == number)
            streams.append(await door.visited(peer("n2"), frame(Nack(number))))
        await ended(streams[0])
        await ended(streams[1])
        await streams[2].send_all(frame(Nack(99)))
        await until(lambda: FromPeer("n2", Nack(99)) in door.fed)
        assert door.others.addresses == {"n2": "127.0.0.1:9"}

    at_door(test, "n2")


def test_nodes_that_nobody_has_heard_of_are_let_in_but_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.net.server.STRANGERS_MAX", 3)

    async def test(door: Door) -> None:
        streams = [await door.visited(peer(f"m{number}"), frame(Nack(number))) for number in range(3)]
        await until(lambda: len(door.fed) == 3)
        await ended(await door.visited(peer("m9"), frame(Nack(9))))
        streams.append(await door.visited(peer("n2"), frame(Nack(2))))
        await until(lambda: FromPeer("n2", Nack(2)) in door.fed)
        await streams[0].aclose()
        await until(lambda: len(door.server._peers) == 3)
        streams.append(await door.visited(peer("m9"), frame(Nack(9))))
        await until(lambda: FromPeer("m9", Nack(9)) in door.fed)

    at_door(test, "n2")
