"""The search against the naive oracle, which tries every order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op, pair
from checkers.linear.minimize import Minimizer, cut, may_go, quiet_positions
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.search import Answer, Search
from checkers.models import CasRegister, FailedCas, Kv, Model, MultiRegister, Mutex, Register
from tests.support.histories import can_be_linearized, histories, history

REGISTER = ([("read", None), ("read", None), ("write", 1), ("write", 2), ("write", 3)], [None, 1, 2, 3])
CAS = (
    [
        ("read", None),
        ("write", 1),
        ("write", 2),
        ("cas", [1, 2]),
        ("cas", [2, 1]),
        ("cas", [1, 1]),
        ("cas", [2, 3]),
    ],
    [None, 1, 2, 3],
)
KV = (
    [("get", None), ("put", "a"), ("append", "a"), ("append", "b"), ("delete", None), ("cas", ["a", "b"])],
    [None, "", "a", "b", "ab", "ba", "aa"],
)
LOCK = ([("acquire", None), ("release", None)], [None])
TXN = (
    [("txn", [[":write", "x", 1]]), ("txn", [[":write", "x", 2], [":write", "y", 1]]), ("txn", None)],
    [
        [[":read", "x", 1]],
        [[":read", "x", 0]],
        [[":read", "x", 2], [":read", "y", 1]],
        [[":read", "y", 0], [":write", "x", 2]],
    ],
)

CASES: list[tuple[Model, FailedCas, Any]] = [
    (Register(), "ignore", REGISTER),
    (CasRegister(), "ignore", CAS),
    (CasRegister(1), "observe", CAS),
    (Kv(), "ignore", KV),
    (Kv(), "observe", KV),
    (Mutex(), "ignore", LOCK),
    (MultiRegister(), "ignore", TXN),
    (MultiRegister({"x": 0, "y": 0}), "ignore", TXN),
]
EXAMPLES = 200
IDS = [f"{model.name}-{failed_cas}-{number}" for number, (model, failed_cas, _) in enumerate(CASES)]


def decided(calls: Sequence[Call], model: Model, slice_steps: int = 3) -> tuple[Answer, Search]:
    search = Search(Problem(calls, model))
    answer = search.run(slice_steps)
    while answer is Answer.UNDECIDED:
        answer = search.run(slice_steps)
    return answer, search


def seen_by(model: Model, failed_cas: FailedCas, events: list[Op]) -> list[Call]:
    operations = [each for each in pair(events) if each.value is not None or model.keyed]
    return calls_of(operations, model, failed_cas)


@pytest.mark.parametrize(("model", "failed_cas", "alphabet"), CASES, ids=IDS)
def test_agrees_with_every_order_and_knows_where_it_becomes_impossible(
    model: Model, failed_cas: FailedCas, alphabet: Any
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(histories(*alphabet))
    def check(events: list[Op]) -> None:
        calls = seen_by(model, failed_cas, events)
        answer, search = decided(calls, model)
        assert (answer is Answer.LINEARIZABLE) == can_be_linearized(calls, model)
        required = sorted((call for call in calls if call.end is not None), key=lambda call: call.end or 0)
        explained = [can_be_linearized(cut(calls, last, model), model) for last in required]
        assert search.deepest == [*explained, False].index(False)

    check()


@pytest.mark.parametrize(("model", "failed_cas", "alphabet"), CASES, ids=IDS)
def test_the_minimal_core_is_impossible_and_no_sound_omission_keeps_it_so(
    model: Model, failed_cas: FailedCas, alphabet: Any
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(histories(*alphabet, size=7))
    def check(events: list[Op]) -> None:
        calls = seen_by(model, failed_cas, events)
        answer, search = decided(calls, model, 1000)
        if answer is Answer.LINEARIZABLE:
            return
        core = Minimizer(model, 10_000, long=3).core(calls, search.problem.required[search.deepest])
        assert core.minimal
        assert not can_be_linearized(core.calls, model, core.initial)
        assert (
            max(core.calls, key=lambda call: call.end or 0).end == search.problem.required[search.deepest].end
        )

    check()


@pytest.mark.parametrize(("model", "failed_cas", "alphabet"), CASES, ids=IDS)
def test_a_linearizable_history_stays_so_under_every_reduction(
    model: Model, failed_cas: FailedCas, alphabet: Any
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(histories(*alphabet), st.data())
    def check(events: list[Op], data: st.DataObject) -> None:
        calls = seen_by(model, failed_cas, events)
        if not calls or not can_be_linearized(calls, model):
            return
        gone = data.draw(st.sampled_from(calls))
        rest = [call for call in calls if call is not gone]
        if may_go(gone, rest, model):
            assert can_be_linearized(rest, model)
        for at in quiet_positions(calls):
            problem = Problem([call for call in calls if call.start < at], model)
            before = Search(problem, until=len(problem.required))
            assert before.run(10_000) is Answer.LINEARIZABLE
            later = [call for call in calls if call.end is None or call.end > at]
            assert any(can_be_linearized(later, model, state) for state in before.reached())

    check()


@pytest.mark.parametrize("steps", [1, 7])
def test_a_search_resumed_in_slices_takes_the_same_steps_as_one_in_one_go(steps: int) -> None:
    calls = seen_by(
        CasRegister(), "ignore", history("0(w1 1(w2 2(r 3(w3 0)w1 1?w2 2)r2 3)w3 4(r 4)r1 4(r 4)r3")
    )
    whole, sliced = decided(calls, CasRegister(), 10_000), decided(calls, CasRegister(), steps)
    assert whole[0] is sliced[0] is Answer.IMPOSSIBLE
    assert whole[1].steps == sliced[1].steps


def test_a_write_of_the_present_value_is_not_taken_before_its_time() -> None:
    """w2 leaves the state 2 as it is, and yet must wait for w3."""
    calls = seen_by(Register(), "ignore", history("0(w2 0)w2 0(w2 1(w3 1)w3 0)w2 2(r 2)r2"))
    assert decided(calls, Register())[0] is Answer.LINEARIZABLE


def test_a_crashed_write_may_take_effect_at_any_later_time() -> None:
    calls = seen_by(Register(), "ignore", history("0(w1 0?w1 1(w2 1)w2 2(r 2)r2 2(r 2)r1 2(r 2)r1"))
    assert decided(calls, Register())[0] is Answer.LINEARIZABLE


def test_a_crashed_write_takes_effect_once() -> None:
    calls = seen_by(Register(), "ignore", history("0(w1 0?w1 2(r 2)r1 1(w2 1)w2 2(r 2)r1"))
    assert decided(calls, Register())[0] is Answer.IMPOSSIBLE


def test_many_crashed_writes_cost_no_more_than_what_is_read_of_them() -> None:
    crashed = [f"{p}(w{p} {p}?w{p}" for p in range(9)]
    calls = seen_by(Register(), "ignore", history(" ".join(crashed) + " 9(r 9)r4 9(r 9)r7 9(r 9)r4"))
    answer, search = decided(calls, Register())
    assert answer is Answer.IMPOSSIBLE
    assert search.steps < 30
