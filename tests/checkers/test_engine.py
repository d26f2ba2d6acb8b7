"""The parts of the engine against each other, the naive oracle and the independent verifier."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op, pair
from checkers.linear import segments
from checkers.linear.ahead import Ahead
from checkers.linear.minimize import cut
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.search import Answer, Search
from checkers.linear.segments import Segments
from checkers.linear.sweep import Sweep
from checkers.linear.verify import verify
from checkers.linear.witness import linearization
from checkers.models import FailedCas, Kv, Model, Register
from tests.checkers.test_search import CASES, IDS, seen_by
from tests.support.histories import can_be_linearized, histories, history

EXAMPLES = 150
WRITES = ([("read", None), ("write", 1), ("write", 2), ("write", 2)], [None, 1, 2])
APPENDS = (
    [("get", None), ("put", "a"), ("append", "a"), ("append", "b"), ("append", "c"), ("delete", None)],
    [None, "", "a", "b", "ab", "ba", "abc", "acb"],
)
ALL = [*CASES, (Register(), "ignore", WRITES), (Kv(), "observe", APPENDS)]
ALL_IDS = [*IDS, "register-many-writes", "kv-appends"]


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both searches take turns from the first step on, and each is given up early."""
    for name, value in {"SPAN": 6, "FRONT": 5, "CHUNK_STEPS": 2, "ALONE_STEPS": -1000}.items():
        monkeypatch.setattr(segments, name, value)


@pytest.mark.parametrize(("model", "failed_cas", "alphabet"), ALL, ids=ALL_IDS)
def test_every_linearization_found_is_one(model: Model, failed_cas: FailedCas, alphabet: Any) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(histories(*alphabet, size=8))
    def check(events: list[Op]) -> None:
        calls = seen_by(model, failed_cas, events)
        search = Search(Problem(calls, model))
        if search.run(100_000) is Answer.LINEARIZABLE:
            assert verify(linearization(search.problem, search.path), calls, model) is None

    check()


@pytest.mark.parametrize(("model", "failed_cas", "alphabet"), ALL, ids=ALL_IDS)
def test_the_sweep_and_the_competition_agree_with_every_order(
    model: Model, failed_cas: FailedCas, alphabet: Any, small_slices: None
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(histories(*alphabet, size=7))
    def check(events: list[Op]) -> None:
        calls = seen_by(model, failed_cas, events)
        expected = can_be_linearized(calls, model)
        required = sorted((call for call in calls if call.end is not None), key=lambda call: call.end or 0)
        explained = [can_be_linearized(cut(calls, last, model), model) for last in required]
        sweep = Sweep(Problem(calls, model))
        assert (sweep.run(100_000) is Answer.LINEARIZABLE) == expected
        assert sweep.deepest == [*explained, False].index(False)
        both = Segments(Problem(calls, model))
        assert (both.run(100_000) is Answer.LINEARIZABLE) == expected
        if not expected:
            assert both.blocked(calls) == sweep.deepest

    check()


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(histories(*APPENDS, size=8))
def test_looking_ahead_gives_up_only_what_is_hopeless(events: list[Op]) -> None:
    calls = calls_of(pair(events), Kv(), "observe")
    problem = Problem(calls, Kv())
    plain, looking = Search(problem), Search(problem, ahead=Ahead(problem))
    assert plain.run(100_000) is looking.run(100_000)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(histories(*WRITES, size=8), st.integers(0, 8))
def test_a_search_may_begin_in_the_ends_of_a_sweep(events: list[Op], until: int) -> None:
    calls = calls_of(pair(events), Register(), "ignore")
    problem = Problem(calls, Register())
    until = min(until, len(problem.required))
    sweep = Sweep(problem, until=until)
    answer = sweep.run(100_000)
    if answer is Answer.LINEARIZABLE:
        answer = Search(problem, sweep.ends).run(100_000)
    assert (answer is Answer.LINEARIZABLE) == can_be_linearized(calls, Register())


# The verifier -------------------------------------------------------------------------------------------


def ordered(text: str, places: str) -> tuple[list[Call], list[Call]]:
    calls = calls_of(pair(history(text)), Register(), "ignore")
    return [calls[int(place)] for place in places], calls


@pytest.mark.parametrize(
    ("events", "places", "wrong"),
    [
        ("0(w1 1(r 0)w1 1)r1", "01", None),
        ("0(w1 1(r 0)w1 1)rn", "10", None),
        ("0(w1 1(r 0)w1 1)r1", "10", "is illegal there"),
        ("0(w1 0)w1 1(w2 1)w2", "10", "ended before a call that stands before it began"),
        ("0(w1 0)w1 1(w2 1)w2", "0", "write of event 2 is missing"),
        ("0(w1 0)w1 1(w2 1)w2", "001", "comes twice"),
        ("0(w1 0)w1 1(w2 1?w2", "0", None),
    ],
)
def test_the_verifier(events: str, places: str, wrong: str | None) -> None:
    order, calls = ordered(events.replace(")rn", ")r"), places)
    found = verify(order, calls, Register())
    assert found is None if wrong is None else found is not None and wrong in found


def test_the_verifier_knows_the_history() -> None:
    order, calls = ordered("0(w1 0)w1 1(w2 1)w2", "01")
    found = verify([order[0]._replace(value=7), order[1]], calls, Register())
    assert found is not None
    assert "is not a call of this history" in found
