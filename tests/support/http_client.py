"""Just enough of an HTTP client for tests: bytes out, a parsed reply back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import h11
import trio


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(port: int, request: bytes, method: str = "GET") -> list[Reply]:
    """Send `request` and no more, and read what comes until the connection ends."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        received = b""

        async def send() -> None:
            try:
                await stream.send_all(request)
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(send)
        try:
            async for data in stream:
                received += bytes(data)
        except trio.BrokenResourceError:
            pass
    return replies(received, method)


async def ask(
    port: int, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own."""
    sent = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join([f"{name}: {value}\r\n" for name, value in sent.items()])
    (reply,) = await exchange(port, f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body, method)
    return reply


def replies(received: bytes, method: str = "GET") -> list[Reply]:
    """All replies in what was received, which must be nothing else; all to requests of `method`."""
    found: list[Reply] = []
    while received:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(received)
        head = connection.next_event()
        while isinstance(head, h11.InformationalResponse):
            head = connection.next_event()
        assert isinstance(head, h11.Response), head
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        headers = {name.decode(): value.decode() for name, value in head.headers}
        found.append(Reply(head.status_code, headers, body))
        received = connection.trailing_data[0]
    return found
