"""Nodes in this process, at real sockets, that answer as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import trio

from store.core.messages import Body, Done, Failed, Found, Layout, Locate, Located, Request, Response
from store.core.ownership.layout import first_layout
from store.net.address import Address
from store.net.wire import FrameDecoder, decode_request, frame

SILENCE: Final = "silence"
HANG_UP: Final = "hang up"

Answer = Response | str
"""A response, `SILENCE`, or `HANG_UP`."""


class FakeNode:
    """Listens at `address` while `serve` runs. `answer` is called for each request but Locate, which is
    answered by `located`; `asked` are the bodies of the others; `connections` were made, and `open` are."""

    def __init__(self, name: str, answer: Callable[[Request], Answer]) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[Body] = []
        self.connections = 0
        self.open = 0
        self.layout: Layout | None = None
        self.addresses: dict[str, str] = {}
        self._listener = socket.socket()
        self.address = Address("127.0.0.1", 0)
        self._scope = trio.CancelScope()

    def bind(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.setblocking(False)
        self.address = Address(*self._listener.getsockname()[:2])

    async def serve(self) -> None:
        with self._scope:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
            await trio.serve_listeners(self._converse, [listener])

    def stop(self) -> None:
        """Nobody is let in any more."""
        self._scope.cancel()

    async def _converse(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._answer_all(stream)
        finally:
            self.open -= 1

    async def _answer_all(self, stream: trio.SocketStream) -> None:
        decoder = FrameDecoder()
        greeted = False
        async for data in stream:
            decoder.feed(bytes(data))
            for payload in decoder:
                if not greeted:
                    greeted = True
                    continue
                request = decode_request(payload)
                response = self._response(request)
                if response == HANG_UP:
                    await stream.aclose()
                    return
                if not isinstance(response, str):
                    await stream.send_all(frame(response))

    def _response(self, request: Request) -> Answer:
        if isinstance(request.body, Locate):
            if self.layout is None:
                return Failed(request.id, "unavailable", "no layout")
            return Located(request.id, self.layout, self.addresses)
        self.asked.append(request.body)
        return self.answer(request)


def served(request: Request) -> Response:
    """Reads find "v"; everything else is done."""
    return Found(request.id, b"v") if type(request.body).__name__ == "Get" else Done(request.id)


def refusing(code: str) -> Callable[[Request], Response]:
    return lambda request: Failed(request.id, code, "as it is")


def know_each_other(nodes: Iterable[FakeNode], replication: int = 3, epoch: int = 1) -> Layout:
    """Tell all of them one layout, which is also given back, and where they are."""
    everyone = list(nodes)
    first = first_layout([node.name for node in everyone], replication)
    layout = Layout(epoch, first.owners, replication, first.vnodes, first.council)
    for node in everyone:
        node.layout = layout
        node.addresses = {other.name: str(other.address) for other in everyone}
    return layout


@contextmanager
def in_a_thread(*nodes: FakeNode) -> Iterator[None]:
    """The nodes serve beside the test, which may itself start trio."""
    bound = threading.Event()
    scope = trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        with scope:
            for node in nodes:
                node.bind()
            tokens.append(trio.lowlevel.current_trio_token())
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(node.serve)
                bound.set()

    thread = threading.Thread(target=trio.run, args=[main], daemon=True)
    thread.start()
    assert bound.wait(10)
    try:
        yield
    finally:
        tokens[0].run_sync_soon(scope.cancel)
        thread.join(10)
