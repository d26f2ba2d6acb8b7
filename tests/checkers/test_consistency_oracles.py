"""The checkers of weak consistency against trying everything, on small random histories."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import assume, given, settings

from checkers.causal import Causal
from checkers.history import Op
from checkers.ladder import RUNGS, Ladder
from checkers.readings import READINGS_MAX, accesses
from checkers.registers import linearizable
from checkers.sequential import Sequential
from checkers.sessions import Sessions
from checkers.sessions.check import NAMES
from checkers.sessions.order import GUARANTEES, Rule, obligations
from checkers.staleness import Staleness
from checkers.verdict import Status
from tests.support.consistency import is_causal, is_sequential, renamings, sessions_hold, small, smallest_k

EXAMPLES = 200


@settings(max_examples=EXAMPLES, deadline=None)
@given(small())
def test_sequential(history: list[Op]) -> None:
    said = Sequential().check(history).status
    assert said is right(is_sequential(history), bool(accesses(history).reads))


@settings(max_examples=EXAMPLES, deadline=None)
@given(small(size=5))
def test_causal(history: list[Op]) -> None:
    parts = {part.checker: part.status for part in Causal().check(history).parts}
    if not parts:
        assert accesses(history).phantoms
        parts = dict.fromkeys(("cc", "ccv", "cm"), Status.INVALID)
    for kind, status in parts.items():
        assert status is right(is_causal(history, kind), bool(accesses(history).reads)), kind


@settings(max_examples=EXAMPLES, deadline=None)
@given(small())
def test_session_guarantees(history: list[Op]) -> None:
    verdict = Sessions().check(history)
    obliged = obligations(accesses(history))
    assert verdict.status is right(sessions_hold(history, GUARANTEES), bool(obliged.total()))
    parts = {part.checker: part.status for part in verdict.parts}
    for rule in GUARANTEES:
        if parts:
            writes = sessions_hold(history, [Rule.MONOTONIC_WRITES])
            rules = [rule, Rule.MONOTONIC_WRITES] if writes else [rule]
            assert parts[NAMES[rule]] is right(sessions_hold(history, rules), bool(obliged[rule])), rule


@settings(max_examples=EXAMPLES, deadline=None)
@given(small(size=5, deletes=True))
def test_where_reads_may_have_seen_one_of_several_writes_all_ways_are_tried(history: list[Op]) -> None:
    ways = list(renamings(history))
    assume(len(ways) <= READINGS_MAX)
    judged = {
        "sequential": (Sequential(), any(map(is_sequential, ways))),
        "causal": (Causal(), any(is_causal(way, "ccv") for way in ways)),
        "sessions": (Sessions(), any(sessions_hold(way, GUARANTEES) for way in ways)),
    }
    for name, (checker, holds) in judged.items():
        said = checker.check(history).status
        assert said is (Status.VALID if holds else Status.INVALID) or (holds and said is Status.VACUOUS), name


@settings(max_examples=EXAMPLES, deadline=None)
@given(small(size=5, keys="x", cas=False, deletes=True))
def test_staleness_of_what_is_read_in_the_best_way(history: list[Op]) -> None:
    assume(not accesses(history).phantoms)
    verdict = Staleness().check(history)
    best = min((k for way in renamings(history) if (k := smallest_k(way)) is not None), default=None)
    low, high = verdict.details["k"]
    assert best is not None
    assert low <= best <= high
    assert best > 2 or low == high


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
    assume(accesses(history).reads)
    verdict = Ladder(seconds=None).check(history)
    rungs = {
        "linearizable": linearizable(history, None),
        "sequential": is_sequential(history),
        "causal": is_causal(history, "ccv"),
        "sessions": sessions_hold(history, GUARANTEES),
    }
    held = [rung for rung in RUNGS if rungs.get(rung)]
    strongest, first = verdict.details["strongest"], verdict.details["first"]
    assert strongest == (held[0] if held else None)
    assert [rung for rung in rungs if not rungs[rung]] == list(verdict.details["broken"])
    if first is not None:
        broken = _judge(verdict.details["next_up"])
        assert first["exact"]
        assert broken(history[: first["event"] + 1]) is Status.INVALID
        assert broken(history[: first["event"]]) is not Status.INVALID


def _judge(rung: str) -> Callable[[list[Op]], Status]:
    return lambda events: next(
        part.status for part in Ladder(seconds=None).check(events).parts if part.checker == rung
    )


def right(holds: bool, asked: bool) -> Status:
    """`asked`: somebody was told something that could have broken it."""
    return Status.INVALID if not holds else Status.VALID if asked else Status.VACUOUS
