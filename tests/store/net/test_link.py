"""Outgoing links: what is lost while nobody is there, what is said about it, and the first frame."""

from __future__ import annotations

import logging
import random

import pytest
import trio
import trio.testing

from store.config import Address
from store.core.messages import HelloPeer
from store.net.handshake import PLAIN
from store.net.link import Dialer, Link
from store.net.wire import FrameDecoder, decode_opening
from tests.support.nodes import free_ports

HELLO = HelloPeer("demo", "n1", 1, "layout", "127.0.0.1:7000")


def link_to(port: int) -> Link:
    return Link("n2", Address("127.0.0.1", port), Dialer(PLAIN, lambda: HELLO), random.Random(1))


def test_messages_for_a_peer_that_is_not_there_are_dropped_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (port,) = free_ports(1)

    async def main() -> None:
        link = link_to(port)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                for attempt in range(3):
                    link.outbox.push(b"lost")
                    while link.outbox.dropped <= attempt:
                        await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()

    caplog.set_level(logging.INFO)
    trio.run(main)
    assert [record.getMessage() for record in caplog.records] == [
        f'link-down peer=n2 at=127.0.0.1:{port} reason="Connection refused"'
    ]


def test_a_burst_of_messages_is_kept() -> None:
    outbox = link_to(1).outbox
    for _ in range(10_000):
        outbox.push(b"a short one")
    for _ in range(60):
        outbox.push(bytes(1 << 20))
    assert outbox.dropped == 0


def test_every_connection_begins_with_a_hello_and_a_broken_one_is_made_anew() -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        link = link_to(listener.socket.getsockname()[1])
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                for _ in range(3):
                    async with await listener.accept() as stream:
                        assert decode_opening(await _first_frame(stream)) == HELLO
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_peer_that_speaks_on_our_link_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        link = link_to(listener.socket.getsockname()[1])
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                async with await listener.accept() as stream:
                    await stream.send_all(b"!")
                    await _first_frame(stream)
                    assert await stream.receive_some() == b""
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert "it sent something on a link that is ours alone" in caplog.text


async def _first_frame(stream: trio.SocketStream) -> bytes:
    decoder = FrameDecoder()
    while True:
        decoder.feed(bytes(await stream.receive_some()))
        for payload in decoder:
            return payload
