"""Channels and their outboxes: bounds, partial sends, and how a connection's end shows."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from store.net.channel import Channel, Outbox


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(20, 60))
def test_an_outbox_keeps_the_newest_frames_within_its_bound(frames: list[bytes], bytes_max: int) -> None:
    outbox = Outbox(bytes_max)
    for frame in frames:
        outbox.push(frame)
    kept = frames[outbox.dropped :]
    assert len(outbox) == len(kept)
    assert outbox.bytes == sum(map(len, kept)) <= bytes_max
    if outbox.dropped:
        assert sum(map(len, frames[outbox.dropped - 1 :])) > bytes_max
    assert outbox.take() == b"".join(kept)
    assert (len(outbox), outbox.bytes) == (0, 0)


def pair(first: bytes = b"") -> tuple[Channel, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return Channel(ours, Outbox(), first), theirs


def test_what_the_kernel_does_not_take_follows_in_order() -> None:
    sent = b"hello" + b"".join(b"%07d" % number for number in range(1_000_000))

    async def main() -> bytes:
        channel, theirs = pair(first=b"hello")
        received = bytearray()

        async def read_all() -> None:
            reader = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
            async for data in reader:
                received.extend(data)

        async with trio.open_nursery() as nursery:
            for number in range(1_000_000):
                channel.outbox.push(b"%07d" % number)
            assert not channel.flush()
            assert 0 < channel.unsent_bytes < len(sent)
            nursery.start_soon(read_all)
            await channel.drain()
            assert channel.unsent_bytes == 0
            channel.close()
        return bytes(received)

    assert trio.run(main) == sent


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="needs TCP_KEEPIDLE")
def test_a_connection_whose_other_side_vanished_is_given_up_within_half_a_minute() -> None:
    channel, theirs = pair()
    idle, interval, count = (
        channel._sock.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert idle + interval * count <= 30
    channel._sock.close()
    theirs.close()


def test_the_end_of_a_connection_shows_in_what_is_received() -> None:
    async def main() -> None:
        channel, theirs = pair()
        theirs.sendall(b"last words")
        theirs.close()
        assert not channel.ended()
        assert await channel.receive() == b"last words"
        assert channel.ended()
        assert await channel.receive() == b""
        assert channel.broken == "closed by the other side"
        channel.close()

    trio.run(main)


def test_a_socket_that_takes_no_options_is_used_as_it_is() -> None:
    ours, theirs = socket.socketpair()

    async def main() -> None:
        channel = Channel(ours, Outbox(), first=b"hello")
        assert channel.flush()
        assert theirs.recv(10) == b"hello"
        channel.close()

    trio.run(main)
    theirs.close()


def test_closing_wakes_whoever_reads_or_drains() -> None:
    async def main() -> None:
        channel, theirs = pair()
        channel.outbox.push(bytes(64 << 20))

        async def read() -> None:
            assert await channel.receive() == b""

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(channel.drain)
            await trio.testing.wait_all_tasks_blocked()
            channel.close()
        theirs.close()

    trio.run(main)
