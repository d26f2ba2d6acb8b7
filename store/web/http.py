"""A node's HTTP endpoint: HTTP/1.1 by h11 on trio, with a limit on everything that a client can make grow.

What is served is in store/web/routes.py. Not here on purpose: HTTP/2, compression, files, and any rewriting
of what a client sent; whatever is not understood is refused and the connection closed.
"""

from __future__ import annotations

import hmac
import logging
import socket
import ssl
from http import HTTPStatus
from typing import Final

import h11
import trio

from store.core.messages import VALUE_BYTES_MAX
from store.net.address import is_loopback
from store.web.routes import HttpReply, HttpRequest, Refusal, Routes

CONNECTIONS_MAX: Final = 256
HEAD_BYTES_MAX: Final = 16 << 10
BODY_BYTES_MAX: Final = VALUE_BYTES_MAX
IDLE_S: Final = 60.0
"""A connection on which nothing is asked for so long is closed."""
READ_S: Final = 30.0
"""A request must have come whole within this time, and its reply have been taken."""
RECEIVE_BYTES: Final = 64 << 10

_log = logging.getLogger(__name__)


class HttpServer:
    """Serves `routes` on `listener`, for ever.

    With a `token`, whoever asks must give it back ("Authorization: Bearer TOKEN"), but for /healthz; with
    `tls`, the context decides who may connect. With neither, on loopback, a Host that is not loopback is
    turned away, so that no web page reaches it under a name of its own.
    """

    def __init__(
        self,
        listener: socket.socket,
        routes: Routes,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._routes = routes
        self._token = token
        self._tls = tls
        self._for_us_alone = tls is None and is_loopback(listener.getsockname()[0])
        self._connections = 0

    async def run(self) -> None:
        self._listener.setblocking(False)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        await trio.serve_listeners(self._accepted, [listener])

    async def _accepted(self, stream: trio.SocketStream) -> None:
        if self._connections >= CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        try:
            if self._tls is None:
                await self._serve(stream)
            else:
                await self._serve(trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            _log.debug("an HTTP connection broke: %s", error)
        finally:
            self._connections -= 1
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        """One request after the other."""
        talk = _Conversation(stream)
        while True:
            try:
                request = await talk.received()
                if request is None:
                    return
                reply = self._refused(request) or await self._routes.reply(request)
            except Refusal as refusal:
                reply = refusal.reply
            except h11.RemoteProtocolError as error:
                reply = Refusal(error.error_status_hint, f"this is not HTTP: {error}").reply
            if not await talk.answered(reply):
                return

    def _refused(self, request: HttpRequest) -> HttpReply | None:
        """Why this client is not served at all."""
        if self._token is not None:
            given = request.headers.get("authorization", "").encode()
            if request.path != b"/healthz" and not hmac.compare_digest(
                given, b"Bearer " + self._token.encode()
            ):
                text = "this needs the header 'Authorization: Bearer TOKEN'"
                return Refusal(401, text, (("WWW-Authenticate", "Bearer"),)).reply
        elif self._for_us_alone and not is_local(request.headers.get("host", "localhost")):
            return Refusal(421, "this node is asked by a loopback address, such as 127.0.0.1").reply
        return None


def is_local(host: str) -> bool:
    """Whether a Host header (with or without a port) names this machine's loopback."""
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    return is_loopback(name.removeprefix("[").removesuffix("]").lower())


class _Conversation:
    """What h11 makes of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._method = b""

    async def received(self) -> HttpRequest | None:
        """The next request, whole; None if none comes. Raises `Refusal`, or what h11 does."""
        self._method = b""
        head: object = None
        with trio.move_on_after(IDLE_S):
            head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method
        with trio.move_on_after(READ_S) as reading:
            body = await self._body(head)
        if reading.cancelled_caught:
            raise Refusal(408, f"the request did not come whole within {READ_S:g} s")
        path, _, query = head.target.partition(b"?")
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        return HttpRequest(head.method.decode("ascii"), path, query, headers, body)

    async def answered(self, reply: HttpReply) -> bool:
        """Send it; whether there may be another request."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return False
        with trio.move_on_after(READ_S) as taking:
            await self._stream.send_all(self._encoded(reply))
        states = {self._h11.our_state, self._h11.their_state}
        if taking.cancelled_caught or states != {h11.DONE}:
            return False
        self._h11.start_next_cycle()
        return True

    async def _body(self, head: h11.Request) -> bytes:
        length = dict(head.headers).get(b"content-length", b"0")
        if len(length) > 12 or int(length) > BODY_BYTES_MAX:
            raise Refusal(413, f"a body has at most {BODY_BYTES_MAX} bytes")
        if self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await self._stream.send_all(self._h11.send(go_on) or b"")
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise Refusal(413, f"a body has at most {BODY_BYTES_MAX} bytes")
        return bytes(body)

    async def _next_event(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(bytes(await self._stream.receive_some(RECEIVE_BYTES)))
        return event

    def _encoded(self, reply: HttpReply) -> bytes:
        headers = [*reply.headers]
        if reply.status != 204:
            headers += [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        if self._h11.their_state is not h11.DONE:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(reply.status).phrase.encode()
        events: list[h11.Event] = [h11.Response(status_code=reply.status, headers=headers, reason=reason)]
        if self._method != b"HEAD" and reply.body:
            events.append(h11.Data(data=reply.body))
        events.append(h11.EndOfMessage())
        return b"".join([self._h11.send(event) or b"" for event in events])
