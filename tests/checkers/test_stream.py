from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import HistoryError, Op, pair
from checkers.linear import Linearizable, stream
from checkers.linear.problem import calls_of
from checkers.linear.stream import Stream
from checkers.models import CasRegister, FailedCas, Kv, Model, Register
from checkers.verdict import Status
from tests.checkers.test_search import CASES, IDS
from tests.support.histories import can_be_linearized, histories, history
from tests.support.registers import Store, recorded


def fed(events: list[Op], model: Model, failed_cas: FailedCas = "ignore") -> tuple[Stream, int | None]:
    """And the position of the event at which it was found to be wrong."""
    checker = Stream(model, failed_cas=failed_cas)
    for position, op in enumerate(events):
        if checker.feed(op) is not None:
            return checker, position
    return checker, None


def first_impossible(events: list[Op], model: Model, failed_cas: FailedCas) -> int | None:
    for position, op in enumerate(events):
        if op.type != "invoke":
            calls = calls_of(pair(events[: position + 1]), model, failed_cas)
            if not can_be_linearized(calls, model):
                return position
    return None


@pytest.mark.parametrize(
    ("model", "failed_cas", "alphabet"),
    [case for case in CASES if case[0].keyed],
    ids=[name for name, case in zip(IDS, CASES, strict=True) if case[0].keyed],
)
def test_a_wrong_history_is_reported_at_the_first_event_that_makes_it_so(
    model: Model, failed_cas: FailedCas, alphabet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @settings(max_examples=200, deadline=None)
    @given(histories(*alphabet, size=8), st.integers(0, 3))
    def check(events: list[Op], window: int) -> None:
        monkeypatch.setattr(stream, "WINDOW", window)
        checker, position = fed(events, model, failed_cas)
        assert position == first_impossible(events, model, failed_cas)
        if position is None:
            assert checker.finish().status is Linearizable(model, failed_cas=failed_cas).check(events).status

    check()


@pytest.mark.parametrize("keys", [1, 20])
def test_a_correct_store_is_acquitted_in_a_bounded_window(keys: int) -> None:
    events = recorded(Store(Random(1)), 4_000, 10, keys, crashes=0.0)
    checker = Stream(CasRegister())
    most = 0
    for op in events:
        assert checker.feed(op) is None
        most = max(most, checker.remembered)
    assert checker.finish().status is Status.VALID
    assert most < 40 + keys * (stream.WINDOW + 40)


@pytest.mark.parametrize("seed", range(3))
def test_a_broken_store_is_convicted_at_the_completion_that_the_whole_history_is_convicted_for(
    seed: int,
) -> None:
    events = recorded(Store(Random(seed), "stale reads"), 1_000, 10, 1, crashes=0.0)
    _, position = fed(events, CasRegister())
    verdict = Linearizable(CasRegister()).check(events)
    assert position is not None
    assert position == verdict.details["blocked_at"]


def test_the_verdict_names_the_completion_and_stays() -> None:
    checker, position = fed(history("0(w1 0)w1 1(r 1)r2"), Register())
    assert position == 3
    verdict = checker.finish()
    assert verdict.status is Status.INVALID
    assert verdict.details["blocked_at"] == 3
    assert verdict.summary == "process 1 read 2 (0.002 s to 0.003 s), which no order explains"
    assert checker.feed(Op(process=5, f="read")) is verdict


def test_a_write_that_fails_after_it_was_read_is_the_event_that_makes_it_wrong() -> None:
    assert fed(history("0(w1 1(r 1)r1 0xw1"), Register())[1] == 3


def test_what_cannot_be_decided_in_its_budget_is_unknown() -> None:
    checker = Stream(Register(), steps=1)
    for op in history("0(w1 1(w2 2(w3 3(r 3)r3 3(r 3)r2 0)w1 1)w2 2)w3"):
        checker.feed(op)
    verdict = checker.finish()
    assert verdict.status is Status.UNKNOWN
    assert verdict.details["undecided"] == [{"key": None, "reason": "more than 1 steps for one completion"}]


def test_appends_are_looked_ahead_for() -> None:
    events = []
    for p in range(9):
        events.append(Op(process=p, f="append", value=chr(97 + p)))
    events.append(Op(process=20, f="get"))
    events += [Op(process=p, type="ok", f="append", value=chr(97 + p)) for p in range(9)]
    events.append(Op(process=20, type="ok", f="get", value="ihgfedcba"))
    checker, position = fed(events, Kv())
    assert position is None
    assert checker.finish().status is Status.VALID


def test_a_faulty_event_is_named() -> None:
    checker = Stream(Register())
    with pytest.raises(HistoryError, match="event 0: process 1 completes read as ok"):
        checker.feed(Op(process=1, type="ok", f="read"))
