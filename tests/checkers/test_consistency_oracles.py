"""The checkers of weak consistency against trying everything, on small random histories."""

from __future__ import annotations

from hypothesis import assume, given, settings

from checkers.accesses import accesses
from checkers.causal import Causal
from checkers.history import Op
from checkers.ladder import RUNGS, Ladder
from checkers.sequential import Sequential
from checkers.sequential.check import linearizable
from checkers.sessions import Sessions
from checkers.sessions.check import NAMES
from checkers.sessions.order import GUARANTEES, Rule
from checkers.staleness import Staleness
from checkers.verdict import Status
from tests.support.consistency import is_causal, is_sequential, sessions_hold, small, smallest_k

EXAMPLES = 300


@settings(max_examples=EXAMPLES, deadline=None)
@given(small())
def test_sequential(history: list[Op]) -> None:
    said = Sequential().check(history).status
    assert said is (Status.VALID if is_sequential(history) else Status.INVALID)


@settings(max_examples=EXAMPLES, deadline=None)
@given(small(size=5))
def test_causal(history: list[Op]) -> None:
    parts = {part.checker: part.status for part in Causal().check(history).parts}
    if not parts:
        assert accesses(history).phantoms
        parts = dict.fromkeys(("cc", "ccv", "cm"), Status.INVALID)
    for kind, status in parts.items():
        assert status is (Status.VALID if is_causal(history, kind) else Status.INVALID), kind


@settings(max_examples=EXAMPLES, deadline=None)
@given(small())
def test_session_guarantees(history: list[Op]) -> None:
    verdict = Sessions().check(history)
    assert verdict.status is (Status.VALID if sessions_hold(history, GUARANTEES) else Status.INVALID)
    parts = {part.checker: part.status for part in verdict.parts}
    for rule in GUARANTEES:
        if parts:
            writes = sessions_hold(history, [Rule.MONOTONIC_WRITES])
            rules = [rule, Rule.MONOTONIC_WRITES] if writes else [rule]
            holds = sessions_hold(history, rules)
            assert parts[NAMES[rule]] is (Status.VALID if holds else Status.INVALID), rule


@settings(max_examples=EXAMPLES, deadline=None)
@given(small(keys="x", cas=False))
def test_staleness(history: list[Op]) -> None:
    assume(not accesses(history).phantoms)
    verdict = Staleness().check(history)
    if verdict.status is Status.VACUOUS:
        return
    low, high = verdict.details["k"]
    right = smallest_k(history)
    assert right is not None
    assert low <= right <= high
    if right <= 2:
        assert low == high
    least, most = verdict.details["t_s"]
    assert least == most
    places = round(least * 1e6)
    assert places == 0 or smallest_k(history, places - 1) != 1
    assert smallest_k(history, places) == 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(small())
def test_the_ladder_claims_what_each_rung_says(history: list[Op]) -> None:
    verdict = Ladder(seconds=None).check(history)
    right = {
        "linearizable": linearizable(history, None),
        "sequential": is_sequential(history),
        "causal": is_causal(history, "ccv"),
        "sessions": sessions_hold(history, GUARANTEES),
    }
    held = [rung for rung in RUNGS if right.get(rung)]
    assert verdict.details["strongest"] == (held[0] if held else None)
    assert [rung for rung in right if not right[rung]] == list(verdict.details["broken"])
