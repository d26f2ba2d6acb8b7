"""ok, fail or info: the whole table."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from checkers.history import Op
from checkers.stats import GARBLED
from harness.client import Garbled, outcome_of, perform
from harness.cluster.base import Lost, NotSent
from store.core.messages import DEFINITE, Body, Cas, Done, Failed, Found, Get, Response
from workloads.queue import QueueWork
from workloads.register import Register

READ = Op(process=3, f="read", key="k")
WRITE = Op(process=3, f="write", key="k", value=5)


class Scripted:
    """A session that answers, or raises, what it was given."""

    def __init__(self, answer: Response | Exception) -> None:
        self._answer = answer

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        pass


def completion(op: Op, answer: Response | Exception) -> Op:
    coroutine = perform(Register("linearizable", 60), Scripted(answer), op, 1.0)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    done: Op = end.value.value
    assert (done.process, done.f, done.key) == (op.process, op.f, op.key)
    return done


def test_an_answer_is_ok() -> None:
    assert completion(READ, Found(1, b"5")).type == "ok"
    assert completion(WRITE, Done(1)).type == "ok"


def test_what_never_left_certainly_did_not_happen() -> None:
    assert completion(WRITE, NotSent("refused")).type == "fail"
    assert completion(WRITE, NotSent("refused")).error == "refused"


def test_what_was_lost_may_have_happened_unless_it_changes_nothing() -> None:
    assert completion(WRITE, Lost("reset")).type == "info"
    assert completion(READ, Lost("reset")).type == "fail"


@pytest.mark.parametrize("code", DEFINITE)
def test_a_refusal_is_as_definite_as_its_code(code: str) -> None:
    done = completion(WRITE, Failed(1, code, "because"))
    assert done.type == ("fail" if DEFINITE[code] else "info")
    assert done.error == code
    assert completion(READ, Failed(1, code, "because")).type == "fail"


def test_a_code_that_is_not_known_is_not_definite() -> None:
    assert completion(WRITE, Failed(1, "meteor", "")).type == "info"


def test_the_rule() -> None:
    assert [outcome_of(d, c) for d in (True, False) for c in (True, False)] == [
        "fail",
        "fail",
        "fail",
        "info",
    ]


class Script:
    """A session that answers with each in turn, and remembers what it was asked."""

    def __init__(self, *answers: Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[Body] = []

    async def request(self, body: Body, timeout_s: float) -> Response:
        self.asked.append(body)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


DEQUEUE = Op(process=3, f="dequeue", key="q")


def of_two_steps(*answers: Response | Exception) -> tuple[Op, list[Body]]:
    session = Script(*answers)
    coroutine = perform(QueueWork("linearizable", 60), session, DEQUEUE, 1.0)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    done: Op = end.value.value
    return done, session.asked


def test_an_operation_of_two_requests_looks_and_then_changes() -> None:
    done, asked = of_two_steps(Found(1, b"7,8"), Done(2))
    assert asked == [Get("q", "linearizable"), Cas("q", b"7,8", b"8", "linearizable")]
    assert (done.type, done.value) == ("ok", 7)


@pytest.mark.parametrize("answer", [Lost("reset"), NotSent("refused"), Failed(1, "timeout", "")])
def test_one_that_only_got_to_look_certainly_changed_nothing(answer: Response | Exception) -> None:
    done, _ = of_two_steps(answer)
    assert (done.type, done.value) == ("fail", None)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Lost("reset"), "info"),
        (NotSent("refused"), "fail"),
        (Failed(1, "timeout", ""), "info"),
        (Failed(1, "mismatch", ""), "fail"),
    ],
)
def test_its_change_is_as_definite_as_any_other(answer: Response | Exception, outcome: str) -> None:
    done, _ = of_two_steps(Found(1, b"7"), answer)
    assert (done.type, done.value) == (outcome, None), "and nothing of the steps in between is recorded"


@pytest.mark.parametrize("held", [b"7,x", b"\xff", b"7,,8", b"9" * 30])
def test_what_nobody_can_have_written_is_told_as_garbled(held: bytes) -> None:
    done, asked = of_two_steps(Found(1, held))
    assert (done.type, done.value) == ("fail", None)
    assert str(done.error).startswith(GARBLED)
    assert asked == [Get("q", "linearizable")]


class ReadsGarbage(Register):
    def decode(self, op: Op, response: Response) -> Op:
        raise Garbled("nonsense")


@pytest.mark.parametrize(("op", "outcome"), [(READ, "fail"), (WRITE, "info")])
def test_a_change_whose_answer_is_garbled_may_have_happened(op: Op, outcome: str) -> None:
    coroutine = perform(ReadsGarbage("linearizable", 60), Script(Done(1)), op, 1.0)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    done = end.value.value
    assert (done.type, done.error) == (outcome, "garbled: nonsense")


class WritesTwice(Register):
    """Every write is made twice, and looked at in between."""

    def encode(self, op: Op) -> Body:
        return Get("k", "linearizable") if op.value == "look" else super().encode(replace(op, value=5))

    def decode(self, op: Op, response: Response) -> Op:
        following = {5: "look", "look": 6}.get(op.value)
        return super().decode(op, response) if following is None else replace(op, value=following)


def test_after_a_change_nothing_is_definite_any_more() -> None:
    scripts: list[list[Response | Exception]] = [
        [Done(1), Lost("reset")],
        [Done(1), Found(1, b"5"), NotSent("refused")],
    ]
    for answers in scripts:
        coroutine = perform(WritesTwice("linearizable", 60), Script(*answers), WRITE, 1.0)
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert end.value.value.type == "info"
