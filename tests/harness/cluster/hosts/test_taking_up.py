"""The controller's end of a conversation that is broken off and taken up again, with a hand made up here."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from harness.cluster.base import ClusterError
from harness.cluster.hosts import hand as module
from harness.cluster.hosts.hand import Hand
from harness.cluster.hosts.parcel import Found, Machine
from harness.remote.connection import Connection
from harness.remote.errors import ConnectionLost, Unreachable
from harness.remote.host import Host

SILENCE_S = 10.0
HELLO = {
    "pid": 7,
    "token": "secret",
    "boot": "b",
    "network": "n",
    "python": "3",
    "no_mounts": "",
    "undone": [],
    "failed": [],
}


class There:
    """A host with a hand that keeps to what harness/hand/serve.py promises. `fates` says what becomes of each
    line that passes: "fine", or its channel breaks "before" or "after" it."""

    def __init__(self, fates: Sequence[str] = ()) -> None:
        self.host = Host("n1", "192.0.2.1")
        self.fates = deque(fates)
        self.done: list[str] = []
        self.heard: list[str] = []
        self.answered: dict[str, Any] = {"n": 0}
        self.talk_now: Talking | None = None
        self.latest: Talking | None = None
        self.unreachable = False
        self.ended: dict[str, Any] | None = None
        self.tries = 0
        self.late: dict[str, Any] | None = None

    async def talk(self, words: Sequence[str], sudo: bool) -> Talking:
        assert sudo
        await trio.lowlevel.checkpoint()
        self.tries += 1
        if self.unreachable:
            raise Unreachable("n1", "it does not answer")
        talking = self.latest = Talking(self)
        if words[2] == "serve":
            self.talk_now = talking
            talking.put.send_nowait(json.dumps({"hello": HELLO}).encode())
        return talking

    def hear(self, talking: Talking, line: bytes) -> None:
        if self.talk_now is not talking:
            assert line == b"secret"
            if self.ended is None:
                self.talk_now = talking
            talking.say(self.ended or {"taken_up": True})
            return
        asked = json.loads(line)
        self.heard.append(asked["operation"])
        if asked["operation"] == "goodbye":
            healed = {"undone": ["all"], "failed": []}
            self.ended = {"n": asked["n"], "ended": "the harness said goodbye", **healed}
            talking.say({"n": asked["n"], "result": healed})
        elif asked["operation"] == "mute":
            self.late = {"n": asked["n"], "result": {"said": "too late"}}
        else:
            if self.late is not None:
                talking.say(self.late)
            if asked["n"] > self.answered["n"]:
                self.done.append(asked["operation"])
                self.answered = {"n": asked["n"], "result": {"said": asked["operation"]}}
            talking.say(self.answered)


class Talking:
    def __init__(self, there: There) -> None:
        self.there = there
        self.broken = False
        self.beaten = threading.Event()
        self.put, self.get = trio.open_memory_channel[bytes | None](100)

    def passes(self, act: Callable[[], None]) -> None:
        if self.broken:
            raise ConnectionLost("n1", "the connection broke")
        fate = self.there.fates.popleft() if self.there.fates else "fine"
        if fate != "before":
            act()
        if fate != "fine":
            self.cut()

    def cut(self) -> None:
        self.broken = True
        self.put.send_nowait(None)

    # What the hand does with it, and then what `Talk` does -------------------------------------------

    def say(self, value: dict[str, Any]) -> None:
        if not self.broken:
            self.passes(lambda: self.put.send_nowait(json.dumps(value).encode()))

    async def send(self, line: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.passes(lambda: self.there.hear(self, line))

    def send_now(self, line: bytes) -> None:
        assert line == b""
        self.beaten.set()

    async def receive(self) -> bytes | None:
        line = await self.get.receive()
        if line is None:
            raise ConnectionLost("n1", "the connection ended")
        return line

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self.broken = True


@pytest.fixture(autouse=True, scope="module")
def nothing_to_deliver() -> Any:
    async def look(connection: object) -> Found:
        return Found(Machine("another", "network"), True, "")

    async def deliver(connection: object, found: Found) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "look", look)
        patch.setattr(module, "deliver", deliver)
        yield


def play(there: There, scene: Callable[[Hand], Awaitable[None]], silence_s: float = SILENCE_S) -> None:
    async def main() -> None:
        with trio.fail_after(600):
            hand = Hand("n1", cast(Connection, there), silence_s)
            await hand.start()
            try:
                await scene(hand)
            finally:
                await hand._leave("the scene is over")

    trio.run(main, clock=MockClock(autojump_threshold=0))


@settings(max_examples=80, deadline=None)
@given(fates=st.lists(st.sampled_from(["fine", "before", "after"]), max_size=20))
@example(["fine"] * 11 + ["before"])  # the answer to the goodbye is lost
def test_wherever_it_is_broken_off_each_operation_is_carried_out_once_and_answered_once(
    fates: list[str],
) -> None:
    there = There(fates)
    wanted = [f"step {i}" for i in range(5)]

    async def scene(hand: Hand) -> None:
        for operation in wanted:
            assert await hand.do(operation, {}) == {"said": operation}
        assert await hand.aclose() == ["all"]
        assert await hand.aclose() == []
        with pytest.raises(ClusterError, match=r"^n1: the hand was ended$"):
            await hand.do("echo", {})

    play(there, scene, silence_s=100.0)
    assert there.done == wanted


def test_what_was_given_up_is_not_asked_again() -> None:
    there = There()

    async def scene(hand: Hand) -> None:
        with trio.move_on_after(1):
            await hand.do("mute", {})
        assert there.talk_now is not None
        there.talk_now.cut()
        await trio.sleep(1)
        assert await hand.do("echo", {}) == {"said": "echo"}
        assert there.heard == ["mute", "echo"]
        assert hand.outages_s == [0.0]
        with pytest.raises(ClusterError, match=r"^n1: the hand took more than 40 s to mute$"):
            await hand.do("mute", {})

    play(there, scene)


@pytest.mark.parametrize("line", [b"?", b'{"refused": "\xff"}', b'{"result": ' + b'{"a": ' * 9999])
def test_what_makes_no_sense_ends_the_conversation_and_not_the_harness(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    there = There()

    async def scene(hand: Hand) -> None:
        assert there.talk_now is not None
        there.talk_now.put.send_nowait(line)
        with pytest.raises(ClusterError, match=r"^n1: the hand is gone: it said what makes no sense: b'"):
            await hand.do("mute", {})
        there.talk_now.beaten.clear()
        assert not there.talk_now.beaten.wait(0.05)  # for the hand shall heal

    play(there, scene)


def test_while_nobody_asks_it_is_taken_up_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    there = There()

    async def scene(hand: Hand) -> None:
        assert there.talk_now is not None
        assert there.talk_now.beaten.wait(5)
        there.unreachable = True
        there.talk_now.cut()
        await trio.sleep(0.9 * SILENCE_S - 2)
        there.unreachable = False
        await trio.sleep(2)
        assert not there.talk_now.broken
        assert there.talk_now.beaten.wait(5)
        (outage_s,) = hand.outages_s
        assert 7 <= outage_s <= 9

    play(there, scene)


def test_a_host_that_is_not_reached_is_tried_for_as_long_as_the_hand_waits() -> None:
    there = There()

    async def scene(hand: Hand) -> None:
        assert there.talk_now is not None
        there.unreachable = True
        there.talk_now.cut()
        began = trio.current_time()
        for _ in range(2):
            with pytest.raises(ClusterError) as gone:
                await hand.do("echo", {})
            assert str(gone.value) == (
                "n1: the hand is gone: the connection ended; for 10 s no way led back to it "
                "(it does not answer), so it undoes by itself what it did"
            )
        assert trio.current_time() - began == pytest.approx(SILENCE_S)
        assert 5 <= there.tries <= 12
        with pytest.raises(ClusterError, match=r"^n1: the hand is gone"):
            await hand.aclose()
        assert hand.outages_s == []

    play(there, scene)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"ended": "it was killed", "undone": ["a"], "failed": ["b"]},
            "it was killed; undone: a; not undone: b",
        ),
        ({"refused": "the hand of another run is there"}, "the hand of another run is there"),
    ],
)
def test_a_hand_that_is_no_more_is_not_waited_for(said: dict[str, Any], told: str) -> None:
    there = There()

    async def scene(hand: Hand) -> None:
        assert there.talk_now is not None
        there.ended = said
        there.talk_now.cut()
        began = trio.current_time()
        with pytest.raises(ClusterError) as gone:
            await hand.do("echo", {})
        assert str(gone.value) == f"n1: the hand is gone: {told}"
        assert trio.current_time() == began
        await wait_all_tasks_blocked()
        assert there.latest is not None
        assert there.latest.broken  # so nothing is left of it on the host
        assert hand.outages_s == []

    play(there, scene)
