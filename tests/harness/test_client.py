"""ok, fail or info: the whole table."""

from __future__ import annotations

import pytest

from checkers.history import Op
from harness.client import outcome_of, perform
from harness.cluster.base import Lost, NotSent
from store.core.messages import DEFINITE, Body, Done, Failed, Found, Response
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
