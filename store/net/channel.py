"""A connected socket under trio: coalesced writes that are tried at once, and reads when there is something.

trio's own streams need a task switch for each send; here a whole batch of frames goes to the kernel from
ordinary code, and a task waits only when the kernel takes no more.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from contextlib import suppress
from typing import Final

import trio
from trio.lowlevel import notify_closing, wait_readable, wait_writable

RECEIVE_BYTES: Final = 256 << 10
TAKE_BYTES: Final = 1 << 20
"""What a channel takes from its outbox at a time, if there is so much; the rest can still be dropped."""
KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Where the system can: so many seconds of silence, and then probes, until a connection is given up whose
other side is cut off. With the usual two hours, every partition would leave dead connections behind."""


class Outbox:
    """Frames waiting to be sent. Beyond `bytes_max` the oldest are dropped, and counted."""

    def __init__(self, bytes_max: int = sys.maxsize) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes_max = bytes_max
        self.bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: bytes) -> None:
        self._frames.append(frame)
        self.bytes += len(frame)
        while self.bytes > self._bytes_max:
            self.bytes -= len(self._frames.popleft())
            self.dropped += 1

    def take(self) -> bytes:
        """The oldest, up to about `TAKE_BYTES`."""
        frames = self._frames
        if self.bytes <= TAKE_BYTES or len(frames) == 1:
            taken = frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            self.bytes = 0
            return taken
        oldest: list[bytes] = []
        size = 0
        while frames and size < TAKE_BYTES:
            oldest.append(frames.popleft())
            size += len(oldest[-1])
        self.bytes -= size
        return b"".join(oldest)

    def drop_all(self) -> None:
        self.dropped += len(self._frames)
        self._frames.clear()
        self.bytes = 0


class Channel:
    """One connection. Whatever goes wrong with it shows as the end of what it receives; `broken` says why.

    `first` is sent ahead of what `outbox` holds. The outbox may outlive the channel; what the channel has
    taken from it and not sent is lost with it.
    """

    def __init__(self, sock: socket.socket, outbox: Outbox, first: bytes = b"") -> None:
        sock.setblocking(False)
        with suppress(OSError):  # macOS refuses if the other side has gone already; reading shows that too
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                if hasattr(socket, option):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._sock = sock
        self._sending = memoryview(first)
        self._draining = trio.Lock()
        self.outbox = outbox
        self.broken: str | None = None

    @property
    def unsent_bytes(self) -> int:
        return len(self._sending) + self.outbox.bytes

    @property
    def draining(self) -> bool:
        return self._draining.locked()

    async def receive(self) -> bytes:
        """What has come, at least a byte; empty at the end of the connection, however it ended."""
        while self.broken is None:
            try:
                await wait_readable(self._sock)
                data = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError) as error:
                self._break(error)
            else:
                if not data:
                    self.broken = "closed by the other side"
                return data
        return b""

    def ended(self) -> bool:
        """True if the other side has ended the connection already. For while nobody is in `receive`."""
        try:
            if not self._sock.recv(1, socket.MSG_PEEK):
                self.broken = "closed by the other side"
        except BlockingIOError:
            pass
        except OSError as error:
            self._break(error)
        return self.broken is not None

    def flush(self) -> bool:
        """Give the kernel what it takes at once; False if something is left: then `drain`."""
        while self._sending or self._refill():
            if self.broken is not None:
                return True
            try:
                sent = self._sock.send(self._sending)
            except BlockingIOError:
                return False
            except OSError as error:
                self._break(error)
                return True
            self._sending = self._sending[sent:]
        return True

    def _refill(self) -> bool:
        """Have something to be sent, if there is anything; for when all before is sent."""
        if not self.outbox or self.broken is not None:
            return False
        self._sending = memoryview(self.outbox.take())
        return True

    async def drain(self) -> None:
        """Return when nothing is left to be sent, or the channel is broken."""
        async with self._draining:
            while not self.flush():
                try:
                    await wait_writable(self._sock)
                except (OSError, trio.ClosedResourceError) as error:
                    self._break(error)

    def close(self) -> None:
        self.broken = self.broken or "closed"
        if self._sock.fileno() != -1:
            notify_closing(self._sock)
            self._sock.close()

    def _break(self, error: Exception) -> None:
        reason = plain_reason(error) if isinstance(error, OSError) else "closed"
        self.broken = self.broken or reason


async def dial(host: str, port: int) -> socket.socket:
    """A connected socket; raises OSError with one plain sentence, whatever number of addresses were tried."""
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        cause = error.__cause__
        if isinstance(cause, BaseExceptionGroup):  # one error for each address; the last says enough
            cause = cause.exceptions[-1]
        raise OSError(plain_reason(cause if isinstance(cause, OSError) else error)) from None
    return socket.socket(fileno=stream.socket.detach())


def plain_reason(error: OSError) -> str:
    """The system's own words, without what the libraries between add to them."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return (error.strerror or str(error)).partition(" (while attempting ")[0]
