"""The controller's end of the hand on a host: requests and answers, a JSON line each, over an SSH channel."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct

from harness.cluster.base import ClusterError
from harness.cluster.hosts.parcel import HOME, PROGRAM, deliver, look, ourselves
from harness.hand.serve import GOODBYE, LINE_BYTES_MAX
from harness.remote.connection import Connection
from harness.remote.errors import ConnectionLost, RemoteError
from harness.remote.talk import Talk

HEARTBEAT_S: Final = 1.0
START_LIMIT_S: Final = 60.0
"""Until its first word; before that it undoes what an earlier one left."""
BROKEN_OFF_LIMIT_S: Final = 1.0
"""For a goodbye to one whose first word was not waited for."""
ANSWER_LIMIT_S: Final = 30.0
GOODBYE_LIMIT_S: Final = 120.0


class Hello(Struct, frozen=True):
    """`boot` names the kernel that runs there. `undone`: what an earlier run had left, in words. `no_mounts`:
    why nothing can be mounted there unseen by others, empty if it can."""

    pid: int
    boot: str
    network: str
    python: str
    no_mounts: str
    undone: list[str]
    failed: list[str]


class _Said(Struct, frozen=True):
    """A line of the hand; which of them are there tells what it is."""

    n: int | None = None
    hello: Hello | None = None
    result: dict[str, Any] | None = None
    refused: str | None = None
    error: str | None = None
    ended: str | None = None
    undone: list[str] = []
    failed: list[str] = []


_DECODER: Final = msgspec.json.Decoder(_Said)


class Hand:
    """Any number of tasks may ask; the hand answers one after the other. It hears a word of us every
    `HEARTBEAT_S`, and undoes everything when it has not for `silence_s`. `hello` is there after `start`."""

    hello: Hello

    def __init__(self, node: str, connection: Connection, silence_s: float) -> None:
        self.node = node
        self._connection = connection
        self._silence_s = silence_s
        self._talk: Talk | None = None
        self._turn = trio.Lock()
        self._asked = 0
        self._lost = "the hand was not started"
        """Why nothing can be asked; empty while it can."""
        self._enough = threading.Event()

    async def start(self) -> None:
        """Raises `ClusterError`; nothing was done then on a host that is in use or not fit."""
        try:
            await self._deliver()
            words = ["python3", PROGRAM, "serve", HOME, f"{self._silence_s:g}"]
            self._talk = talk = await self._connection.talk(words, sudo=True)
        except RemoteError as error:
            raise self._error(_sentence(error)) from None
        try:
            with self._limit(START_LIMIT_S, "to start"):
                said = await self._hear(talk)
            if said.hello is None:
                raise self._error(said.refused or "the hand began with something else than hello")
            if said.hello.failed:
                raise self._error(f"what an earlier run left cannot be undone: {_list(said.hello.failed)}")
        except BaseException:
            with trio.move_on_after(BROKEN_OFF_LIMIT_S, shield=True), suppress(RemoteError):
                await talk.send(msgspec.json.encode({"n": 0, "operation": GOODBYE, "args": {}}))
            await self._leave("the hand did not start")
            raise
        self.hello, self._lost, self._enough = said.hello, "", threading.Event()
        threading.Thread(target=self._beat, args=[talk, self._enough], daemon=True).start()

    async def do(self, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        """The operation's result; raises `ClusterError`, which names the node."""
        return await self._ask(operation, args, ANSWER_LIMIT_S)

    async def aclose(self) -> list[str]:
        """Undo everything, and end the hand; what was undone, in words. Raises `ClusterError` if that is not
        certain for all of it. The second time nothing happens."""
        if self._talk is None:
            return []
        try:
            answer = await self._ask(GOODBYE, {}, GOODBYE_LIMIT_S)
        finally:
            await self._leave("the hand was ended")
        if answer["failed"]:
            raise self._error(f"not everything could be undone: {_list(answer['failed'])}")
        return list(answer["undone"])

    async def _deliver(self) -> None:
        found = await look(self._connection)
        if found.machine == ourselves():
            raise self._error(
                f"host {self._connection.host.name} is the machine that the harness itself runs on: faults "
                "would hit the harness and whatever else runs there; give it another host, or use a lab"
            )
        if not found.machine.boot:
            raise self._error(f"host {self._connection.host.name} runs no Linux")
        await deliver(self._connection, found)

    async def _ask(self, operation: str, args: dict[str, Any], limit_s: float) -> dict[str, Any]:
        async with self._turn:
            if self._talk is None or self._lost:
                raise self._error(self._lost)
            self._asked += 1
            request = msgspec.json.encode({"n": self._asked, "operation": operation, "args": args})
            if len(request) > LINE_BYTES_MAX:
                raise self._error(f"{operation} with {len(request):,} bytes is more than the hand takes")
            with self._limit(limit_s, f"to {operation}"):
                with suppress(RemoteError):  # if it is gone, what it said last tells why
                    await self._talk.send(request)
                said = await self._hear(self._talk)
                while said.n is not None and said.n < self._asked:  # whoever asked that was cancelled
                    said = await self._hear(self._talk)
        if said.result is not None:
            return said.result
        raise self._error(said.refused or f"{operation} broke: {said.error}")

    async def _hear(self, talk: Talk) -> _Said:
        """Raises `ClusterError` when it is the last word, or none is to come."""
        try:
            line = await talk.receive()
        except ConnectionLost as error:
            soon = f"what it has done it undoes by itself within {self._silence_s:g} s"
            raise self._gone(f"{_sentence(error)}; {soon}") from None
        except RemoteError as error:
            raise self._gone(_sentence(error)) from None
        if line is None:
            raise self._gone("it ended without a word")
        try:
            said = _DECODER.decode(line)
        except msgspec.MsgspecError:
            raise self._gone(f"it said what makes no sense: {line[:100]!r}") from None
        if said.ended is not None:
            raise self._gone(f"{said.ended}; {told(said.undone, said.failed)}")
        return said

    def _beat(self, talk: Talk, enough: threading.Event) -> None:
        """In a thread of its own: that much else goes on in the harness is no reason to heal."""
        while not enough.wait(min(HEARTBEAT_S, self._silence_s / 4)):
            try:
                talk.send_now(b"")
            except RemoteError:  # whoever asks next is told
                return

    async def _leave(self, why: str) -> None:
        self._enough.set()
        self._lost = self._lost or why
        talk, self._talk = self._talk, None
        if talk is not None:
            await talk.aclose()

    def _gone(self, why: str) -> ClusterError:
        self._enough.set()
        self._lost = self._lost or f"the hand is gone: {why}"
        return self._error(f"the hand is gone: {why}")

    def _error(self, sentence: str) -> ClusterError:
        return ClusterError(f"{self.node}: {sentence}")

    @contextmanager
    def _limit(self, limit_s: float, what: str) -> Iterator[None]:
        try:
            with trio.fail_after(limit_s):
                yield
        except trio.TooSlowError:
            raise self._error(f"the hand took more than {limit_s:g} s {what}") from None


def sharing_a_kernel(hands: Mapping[str, Hand]) -> frozenset[str]:
    """The nodes whose kernel, and so whose clock, is that of another node, too, or of the harness."""
    boots = Counter(hand.hello.boot for hand in hands.values())
    if (here := ourselves()) is not None:
        boots[here.boot] += 1
    return frozenset(node for node, hand in hands.items() if boots[hand.hello.boot] > 1)


def told(undone: Sequence[str], failed: Sequence[str]) -> str:
    """What a healing did, as part of a sentence."""
    parts = [f"undone: {_list(undone)}"] if undone else []
    parts += [f"not undone: {_list(failed)}"] if failed else []
    return "; ".join(parts) or "nothing was left"


def _list(words: Sequence[str]) -> str:
    return "; ".join(words)


def _sentence(error: RemoteError) -> str:
    """Without the host's name, for nodes have names of their own."""
    return str(error).removeprefix(f"{error.host}: ")
