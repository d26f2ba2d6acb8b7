"""What a procedure may wait for, each wish by itself, on a bench whose time and peers are the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from store.core.messages import (
    Answer,
    Cell,
    Done,
    Failed,
    Fetch,
    Fetched,
    PeerMessage,
    Prepare,
    Promise,
    Refused,
    Response,
    Stale,
    Store,
    Stored,
    Unable,
)
from store.core.port import Port
from store.core.procedure import All, Ask, Group, Linger, Procedure, Respond, Rest, Tell, Turn
from store.core.tasks import AGAIN_NANOS, PATIENCE_NANOS, Tasks

SECOND = 1_000_000_000


class Bench:
    """As much of a `Port` as tasks need. `told`: what procedures noted in passing."""

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[tuple[str, PeerMessage]] = []
        self.replies: list[tuple[int, Response]] = []
        self.results: list[Any] = []
        self.told: list[str] = []
        self.timers: dict[int, tuple[int, Callable[[], None]]] = {}
        self._last_timer = 0
        self.tasks = Tasks(
            cast("Port", self), lambda client, response: self.replies.append((client, response))
        )

    def send(self, peer: str, message: PeerMessage) -> None:
        self.sent.append((peer, message))

    def after(self, nanos: int, act: Callable[[], None]) -> int:
        self._last_timer += 1
        self.timers[self._last_timer] = (self.now + nanos, act)
        return self._last_timer

    def cancel(self, token: int) -> None:
        self.timers.pop(token, None)

    def run(self, procedure: Procedure[Any], nanos: int = SECOND) -> None:
        self.tasks.run(procedure, self.now + nanos, self.results.append)

    def begin(self, client: int, procedure: Procedure[Response], nanos: int = SECOND) -> None:
        self.tasks.begin(client, procedure, self.now + nanos)

    def answer(self, answer: Answer, *peers: str) -> None:
        for peer in peers:
            self.tasks.answered(peer, answer)

    def wait(self, nanos: int) -> None:
        """Let time pass, and fire what is due in it, in order."""
        until = self.now + nanos
        while self.timers:
            token = min(self.timers, key=lambda token: (self.timers[token][0], token))
            if self.timers[token][0] > until:
                break
            at, act = self.timers.pop(token)
            self.now = max(self.now, at)
            act()
        self.now = until

    def at_rest(self) -> bool:
        """Whether nothing is left of all that was run, once the last time to ask again has passed."""
        self.wait(AGAIN_NANOS)
        tasks = self.tasks
        return not (tasks.open or tasks._asking or tasks._turns or tasks._clients or self.timers)


def ask(*groups: Group, rid: int = 1) -> Ask:
    return Ask(groups, Fetch(rid, 1, "k"))


def asking(*groups: Group, rid: int = 1) -> Procedure[Any]:
    return (yield ask(*groups, rid=rid))


def fetched(*peers: str, rid: int = 1) -> list[tuple[str, Answer]]:
    return [(peer, Fetched(rid, None)) for peer in peers]


# Ask --------------------------------------------------------------------------------------------------


def test_one_that_declines_shortens_the_patience_with_the_others() -> None:
    bench = Bench()

    def patient() -> Procedure[Any]:
        question = Fetch(1, 1, "k")
        return (yield Ask((Group(("a", "b", "c"), 2),), question, patience_nanos=SECOND // 2))

    bench.run(patient())
    bench.answer(Stale(1, 2), "a")
    bench.wait(PATIENCE_NANOS)
    assert bench.results == [[("a", Stale(1, 2))]]
    bench.run(patient())
    bench.wait(SECOND // 2)
    assert bench.results[1:] == [[]]
    assert bench.at_rest()


def test_two_groups_must_both_have_enough() -> None:
    bench = Bench()
    bench.run(asking(Group(("a", "b", "c"), 2), Group(("c", "d", "e"), 2)))
    assert bench.sent == [(peer, Fetch(1, 1, "k")) for peer in "abcde"]
    bench.answer(Fetched(1, None), "a", "b", "b")
    assert bench.results == []
    bench.answer(Fetched(1, None), "c")  # the second answer of neither group alone
    assert bench.results == []
    bench.answer(Fetched(1, None), "d")
    assert bench.results == [fetched("a", "b", "c", "d")]
    assert bench.at_rest()


@pytest.mark.parametrize("declined", [Refused(1, (9, "x")), Stale(1, 2), Unable(1, "disk-full")])
@pytest.mark.parametrize("other", [(), (Group(("d",), 1),)])
def test_it_gives_up_as_soon_as_one_group_cannot_have_enough(
    declined: Answer, other: tuple[Group, ...]
) -> None:
    bench = Bench()
    bench.run(asking(Group(("a", "b", "c"), 2), *other))
    bench.answer(declined, "a")
    bench.wait(PATIENCE_NANOS - 1)
    assert bench.results == []
    bench.answer(declined, "b")
    assert bench.results == [[("a", declined), ("b", declined)]]
    assert bench.at_rest()


def test_after_a_decline_the_others_have_a_little_while() -> None:
    bench = Bench()
    bench.run(asking(Group(("a", "b", "c"), 2)))
    bench.answer(Stale(1, 2), "a")
    bench.wait(PATIENCE_NANOS - 1)
    bench.answer(Fetched(1, None), "b")
    assert bench.results == []
    bench.wait(1)
    assert bench.results == [[("a", Stale(1, 2)), *fetched("b")]]


def test_what_does_not_answer_the_question_is_no_answer() -> None:
    bench = Bench()
    bench.run(asking(Group(("a", "b"), 2)))
    bench.answer(Stored(1), "a")
    bench.answer(Fetched(2, None), "a")
    bench.answer(Fetched(1, None), "z", "a")
    bench.wait(SECOND // 2)
    assert bench.results == []
    bench.answer(Fetched(1, None), "b")
    assert bench.results == [fetched("a", "b")]


def test_at_the_deadline_there_is_what_has_come_and_no_more_waiting() -> None:
    def procedure() -> Procedure[Any]:
        first = yield ask(Group(("a", "b"), 2), rid=1)
        yield Rest(5)
        yield Turn("t")
        second = yield ask(Group(("a", "b"), 2), rid=2)
        late = yield Linger(5)
        return first, second, late

    bench = Bench()
    bench.run(procedure())
    bench.answer(Fetched(1, None), "b")
    bench.wait(SECOND - 1)
    assert bench.results == []
    bench.wait(1)
    assert bench.results == [(fetched("b"), [], [])]
    assert bench.at_rest()


def test_some_may_be_asked_something_else() -> None:
    def procedure() -> Procedure[Any]:
        cell = Cell((1, 0, "n1"), b"v")
        hint = Store(1, 1, "k", cell, "b")
        return (yield Ask((Group(("a", "c"), 2),), Store(1, 1, "k", cell), {"c": hint}))

    bench = Bench()
    bench.run(procedure())
    assert [(peer, getattr(message, "target", None)) for peer, message in bench.sent] == [
        ("a", ""),
        ("c", "b"),
    ]
    bench.answer(Stored(1), "a", "c")
    assert bench.results == [[("a", Stored(1)), ("c", Stored(1))]]


def test_a_lost_question_is_asked_again_of_those_who_are_silent() -> None:
    bench = Bench()
    bench.run(asking(Group(("a", "b", "c"), 3)))
    bench.sent.clear()
    bench.answer(Fetched(1, None), "b")
    bench.wait(AGAIN_NANOS - 1)
    assert bench.sent == []
    for _ in range(2):
        bench.wait(AGAIN_NANOS)
        assert bench.sent == [("a", Fetch(1, 1, "k")), ("c", Fetch(1, 1, "k"))]
        bench.sent.clear()
    bench.answer(Fetched(1, None), "a", "c")
    assert bench.results == [fetched("b", "a", "c")]
    assert bench.at_rest()
    assert bench.sent == []


def test_a_prepare_is_not_asked_again() -> None:
    def procedure() -> Procedure[Any]:
        return (yield Ask((Group(("a", "b"), 2),), Prepare(2, 1, "k", (1, "n1"))))

    bench = Bench()
    bench.run(asking(Group(("a",), 1), rid=1))  # so there is something that is asked again
    bench.run(procedure())
    bench.sent.clear()
    bench.wait(SECOND - 1)
    assert {message for _, message in bench.sent} == {Fetch(1, 1, "k")}
    bench.answer(Promise(2, (0, "-"), None), "a", "b")
    assert len(bench.results) == 1


# After the answer -------------------------------------------------------------------------------------


def test_lingering_gives_the_answers_that_came_since() -> None:
    def procedure() -> Procedure[Any]:
        first = yield ask(Group(("a", "b", "c", "d"), 1))
        yield Rest(10)
        yield Tell(("e",), Stored(9))
        second = yield Linger(100)
        third = yield Linger(100)
        return first, second, third, (yield Linger(100))

    bench = Bench()
    bench.run(procedure())
    bench.answer(Fetched(1, None), "b")
    bench.answer(Fetched(1, None), "c")  # while it rests
    bench.wait(10)
    bench.answer(Fetched(1, None), "a")
    bench.wait(99)
    assert bench.results == []
    bench.wait(1)
    bench.answer(Unable(1, "overloaded"), "d")  # the last: there is nothing more to wait for
    assert bench.results == [(fetched("b"), fetched("c", "a"), [("d", Unable(1, "overloaded"))], [])]
    assert bench.at_rest()


def test_a_response_is_given_at_once_and_the_procedure_goes_on() -> None:
    def procedure() -> Procedure[Response]:
        yield Respond(Done(7))
        bench.told.append("on")
        yield Rest(10)
        bench.told.append("end")
        return Failed(7, "timeout", "nobody hears this")

    bench = Bench()
    bench.begin(1, procedure())
    assert (bench.replies, bench.told) == ([(1, Done(7))], ["on"])
    bench.tasks.client_gone(1)  # it has what it wanted
    bench.wait(10)
    assert (bench.replies, bench.told) == ([(1, Done(7))], ["on", "end"])
    assert bench.at_rest()


# Turns ------------------------------------------------------------------------------------------------


def taking_turns(bench: Bench, who: str, name: str = "t", nanos: int = 10) -> Procedure[Response]:
    try:
        yield Turn(name)
        bench.told.append(f"{who} begins")
        yield Rest(nanos)
        bench.told.append(f"{who} ends")
    finally:
        bench.told.append(f"{who} leaves")
    return Done(1)


def test_turns_are_taken_first_come_first_served() -> None:
    bench = Bench()
    for who in "abc":
        bench.run(taking_turns(bench, who))
    bench.run(taking_turns(bench, "z", name="another"))
    assert bench.told == ["a begins", "z begins"]
    bench.wait(100)
    for who in "abc":
        told = [line for line in bench.told if line.startswith(who)]
        assert told == [f"{who} begins", f"{who} ends", f"{who} leaves"]
    turns = [line for line in bench.told if line[0] in "abc" and "leaves" not in line]
    assert turns == [f"{who} {what}" for who in "abc" for what in ("begins", "ends")]
    assert bench.at_rest()


def test_a_turn_is_passed_on_when_the_client_of_its_holder_goes() -> None:
    bench = Bench()
    for client, who in enumerate("abcd"):
        bench.begin(client, taking_turns(bench, who))
    bench.tasks.client_gone(2)
    bench.tasks.client_gone(0)
    bench.tasks.client_gone(1)  # which had got it, and not begun yet
    bench.wait(0)
    assert bench.told == ["a begins", "c leaves", "a leaves", "b leaves", "d begins"]
    bench.wait(10)
    assert bench.replies == [(3, Done(1))]
    assert bench.at_rest()


def test_who_waits_for_a_turn_to_its_deadline_goes_without_it_and_is_passed_over() -> None:
    bench = Bench()
    bench.run(taking_turns(bench, "a", nanos=100))
    bench.run(taking_turns(bench, "b"), nanos=50)
    bench.run(taking_turns(bench, "c"))
    bench.wait(50)
    assert bench.told == ["a begins", "b begins", "b ends", "b leaves"]
    bench.wait(50)
    assert bench.told[4:] == ["a ends", "a leaves", "c begins"]
    bench.wait(10)
    assert bench.at_rest()


# Side by side -----------------------------------------------------------------------------------------


def resting(nanos: int, result: str) -> Procedure[str]:
    yield Rest(nanos)
    return result


def at_once(result: str) -> Procedure[str]:
    yield from ()
    return result


def test_results_keep_the_order_of_the_procedures_and_not_that_of_their_ends() -> None:
    def procedure() -> Procedure[Any]:
        inner: All = All((resting(5, "d"), at_once("e")))

        def nested() -> Procedure[Any]:
            return (yield inner)

        first = yield All((resting(30, "a"), at_once("b"), resting(20, "c"), nested()))
        second = yield All((at_once("f"), at_once("g")))
        return first, second, (yield All(()))

    bench = Bench()
    bench.run(procedure())
    bench.wait(29)
    assert bench.results == []
    bench.wait(1)
    assert bench.results == [(["a", "b", "c", ["d", "e"]], ["f", "g"], [])]
    assert bench.at_rest()


def test_those_side_by_side_ask_for_themselves_and_share_the_deadline() -> None:
    def procedure() -> Procedure[Any]:
        return (yield All((asking(Group(("a",), 1), rid=1), asking(Group(("a",), 1), rid=2))))

    bench = Bench()
    bench.run(procedure(), nanos=100)
    bench.answer(Fetched(2, None), "a")
    bench.wait(99)
    assert bench.results == []
    bench.wait(1)
    assert bench.results == [[[], fetched("a", rid=2)]]
    assert bench.at_rest()


def test_a_client_that_goes_in_the_middle_ends_all_of_them() -> None:
    def procedure() -> Procedure[Response]:
        try:
            yield All((taking_turns(bench, "a"), taking_turns(bench, "b"), asking(Group(("x",), 1))))
        finally:
            bench.told.append("the whole leaves")
        return Done(1)

    bench = Bench()
    bench.begin(1, procedure())
    bench.begin(2, taking_turns(bench, "c"))
    bench.tasks.client_gone(1)
    assert bench.told == ["a begins", "a leaves", "b leaves", "the whole leaves"]
    bench.answer(Fetched(1, None), "x")
    bench.wait(20)
    assert bench.replies == [(2, Done(1))]
    assert bench.at_rest()


# Clients ----------------------------------------------------------------------------------------------


def test_a_client_that_goes_ends_its_procedures_and_no_others() -> None:
    def procedure(rid: int) -> Procedure[Response]:
        try:
            yield ask(Group(("a",), 1), rid=rid)
        finally:
            bench.told.append(f"{rid} leaves")
        return Done(rid)

    bench = Bench()
    for rid, client in enumerate((1, 2, 1), start=1):
        bench.begin(client, procedure(rid))
    bench.tasks.client_gone(1)
    bench.tasks.client_gone(3)
    assert bench.told == ["1 leaves", "3 leaves"]
    assert bench.tasks.open == 1
    for rid in (1, 2, 3):
        bench.answer(Fetched(rid, None), "a")
    assert bench.replies == [(2, Done(2))]
    assert bench.at_rest()


def test_a_client_may_use_a_number_twice() -> None:
    bench = Bench()
    bench.begin(1, taking_turns(bench, "a"))
    bench.begin(1, taking_turns(bench, "b", name="another"))
    bench.wait(10)
    assert bench.replies == [(1, Done(1)), (1, Done(1))]
    assert bench.at_rest()
