"""The controller's end of the hand on a host: requests and answers, a JSON line each, over an SSH channel.

A channel that is lost is no reason to end anything: the conversation is taken up again with the same hand
over another one, for as long as it waits (harness/hand/door.py), and what was not answered is asked again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct

from harness.cluster.base import ClusterError
from harness.cluster.hosts.parcel import HOME, PROGRAM, deliver, look, ourselves
from harness.hand.serve import GOODBYE, LINE_BYTES_MAX
from harness.remote.connection import Connection
from harness.remote.errors import ConnectionLost, OutputTooLong, RemoteError
from harness.remote.talk import Talk

HEARTBEAT_S: Final = 1.0
START_LIMIT_S: Final = 60.0
"""Until its first word; before that it undoes what an earlier one left."""
BROKEN_OFF_LIMIT_S: Final = 1.0
"""For a goodbye to one whose first word was not waited for."""
ANSWER_LIMIT_S: Final = 30.0
GOODBYE_LIMIT_S: Final = 120.0
PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 2.0
"""Between two tries to take a conversation up again."""


class Hello(Struct, frozen=True):
    """`boot` names the kernel that runs there. `undone`: what an earlier run had left, in words. `no_mounts`:
    why nothing can be mounted there unseen by others, empty if it can. By `token` the hand knows us again."""

    pid: int
    token: str
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
    taken_up: bool = False
    undone: list[str] = []
    failed: list[str] = []


_DECODER: Final = msgspec.json.Decoder(_Said)


class _Nonsense(RemoteError):
    """What it said is no line of a hand."""


@dataclass(slots=True)
class _Asked:
    """`over`: there is an answer, or none will come."""

    n: int
    request: bytes
    last: bool
    answer: _Said | None = None
    over: trio.Event = field(default_factory=trio.Event)


class Hand:
    """Any number of tasks may ask; the hand answers one after the other. It hears a word of us every
    `HEARTBEAT_S`, and undoes everything when it has not for `silence_s`. `hello` is there after `start`;
    `outages_s`: how long each took that was over in time."""

    hello: Hello
    outages_s: list[float]

    def __init__(self, node: str, connection: Connection, silence_s: float) -> None:
        self.node = node
        self.outages_s = []
        self._connection = connection
        self._silence_s = silence_s
        self._talk: Talk | None = None
        self._turn = trio.Lock()
        self._count = 0
        self._asked: _Asked | None = None
        self._lost = "the hand was not started"
        """Why nothing can be asked; empty while it can."""
        self._enough = threading.Event()
        self._listening = trio.CancelScope()
        self._unheard = trio.Event()
        self._unheard.set()

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
                self.hello = await self._greeted(talk)
        except BaseException:
            with trio.move_on_after(BROKEN_OFF_LIMIT_S, shield=True), suppress(RemoteError):
                await talk.send(msgspec.json.encode({"n": 0, "operation": GOODBYE, "args": {}}))
            await self._leave("the hand did not start")
            raise
        self._lost, self._enough = "", threading.Event()
        self._listening, self._unheard = trio.CancelScope(), trio.Event()
        # A system task, because it lives from one call to another.
        trio.lowlevel.spawn_system_task(self._listen)
        threading.Thread(target=self._beat, args=[self._enough], daemon=True).start()

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

    async def _greeted(self, talk: Talk) -> Hello:
        try:
            said = await self._receive(talk)
        except RemoteError as error:
            raise self._error(f"the hand is gone: {_sentence(error)}") from None
        if said.hello is None:
            raise self._error(said.refused or said.ended or "the hand began with something else than hello")
        if said.hello.failed:
            raise self._error(f"what an earlier run left cannot be undone: {_list(said.hello.failed)}")
        return said.hello

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
            self._count += 1
            request = msgspec.json.encode({"n": self._count, "operation": operation, "args": args})
            if len(request) > LINE_BYTES_MAX:
                raise self._error(f"{operation} with {len(request):,} bytes is more than the hand takes")
            asked = self._asked = _Asked(self._count, request, operation == GOODBYE)
            try:
                with self._limit(limit_s + self._silence_s, f"to {operation}"):
                    with suppress(RemoteError):  # it is asked again when the conversation is taken up again
                        await self._talk.send(request)
                    await asked.over.wait()
            finally:
                self._asked = None
        said = asked.answer
        if said is None:
            raise self._error(self._lost)
        if said.result is not None:
            return said.result
        raise self._error(said.refused or f"{operation} broke: {said.error}")

    async def _receive(self, talk: Talk) -> _Said:
        """What it says next. Raises `RemoteError`, also when it ended well."""
        line = await talk.receive()
        host = self._connection.host.name
        if line is None:
            raise ConnectionLost(host, "it ended without a word")
        try:
            return _DECODER.decode(line)
        except (ValueError, RecursionError):  # msgspec's own errors, and what it lets through
            raise _Nonsense(host, f"it said what makes no sense: {line[:100]!r}") from None

    # The task that listens -------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            with self._listening:
                while not self._lost:
                    assert self._talk is not None
                    try:
                        self._hear(await self._receive(self._talk))
                    except (OutputTooLong, _Nonsense) as error:
                        self._gone(_sentence(error))
                    except RemoteError as error:
                        await self._take_up_again(_sentence(error))
        finally:
            self._unheard.set()

    def _hear(self, said: _Said) -> None:
        asked = self._asked
        if said.ended is not None:
            if asked is not None and asked.last and said.n == asked.n:  # it was heard, and its answer was not
                self._answer(asked, _Said(result={"undone": said.undone, "failed": said.failed}))
            self._gone(f"{said.ended}; {told(said.undone, said.failed)}")
        elif asked is not None and said.n in (None, asked.n):  # else whoever asked that was cancelled
            self._answer(asked, said)

    def _answer(self, asked: _Asked, said: _Said) -> None:
        asked.answer = said
        asked.over.set()
        if asked.last:
            self._lost = "the hand was ended"

    async def _take_up_again(self, why: str) -> None:
        """Within the time that the hand waits, counted from when we noticed."""
        began, pause_s, tried = trio.current_time(), PAUSE_MIN_S, "no answer"
        with trio.move_on_after(self._silence_s):
            while True:
                try:
                    await self._attach()
                except RemoteError as error:
                    tried = _sentence(error)
                else:
                    if not self._lost:
                        self.outages_s.append(trio.current_time() - began)
                    return
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
        tried = f"for {self._silence_s:g} s no way led back to it ({tried})"
        self._gone(f"{why}; {tried}, so it undoes by itself what it did")

    async def _attach(self) -> None:
        """Speak with the hand over another channel, or hear how it ended. Raises `RemoteError`."""
        talk = await self._connection.talk(["python3", PROGRAM, "attach", HOME], sudo=True)
        try:
            await talk.send(self.hello.token.encode())
            said = await self._receive(talk)
            if said.taken_up:
                self._talk = talk
            elif said.refused is not None:
                self._gone(said.refused)
            else:
                self._hear(said)
        finally:
            if self._talk is not talk:
                await talk.aclose()
        if said.taken_up and self._asked is not None:
            await talk.send(self._asked.request)

    def _beat(self, enough: threading.Event) -> None:
        """In a thread of its own: that much else goes on in the harness is no reason to heal."""
        while not enough.wait(min(HEARTBEAT_S, self._silence_s / 4)):
            talk = self._talk
            with suppress(RemoteError):  # then it is lost, which is noticed where it is listened to
                if talk is not None:
                    talk.send_now(b"")

    async def _leave(self, why: str) -> None:
        self._enough.set()
        self._lost = self._lost or why
        with trio.CancelScope(shield=True):
            self._listening.cancel()
            await self._unheard.wait()
        talk, self._talk = self._talk, None
        if talk is not None:
            await talk.aclose()

    def _gone(self, why: str) -> None:
        """For good; whoever waits for an answer is told."""
        self._enough.set()
        self._lost = self._lost or f"the hand is gone: {why}"
        if self._asked is not None:
            self._asked.over.set()

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
