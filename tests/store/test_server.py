"""Incoming connections: who has a turn when."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from store.core.machine import FromClient, Input
from store.core.messages import HelloClient, Request, Status
from store.server import TURN_FRAMES, Server
from store.wire import frame


def test_connections_with_much_to_ask_take_turns() -> None:
    asked = 4 * TURN_FRAMES
    turns: list[int] = []

    def feed(events: Sequence[Input]) -> None:
        clients = [event.client for event in events if isinstance(event, FromClient)]
        assert len(clients) <= TURN_FRAMES
        turns.extend(clients)

    async def main(listener: socket.socket) -> None:
        server = Server(listener, "demo", "ring", (), feed)
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
