from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import HistoryError, Op, Operation, pair
from checkers.set_full import SetFull
from checkers.sets import SetAtEnd
from checkers.verdict import Status
from tests.support.containers import at_last, events, recorded, small


def correct(seed: int, size: int = 60) -> list[Op]:
    """Adds and reads of one set, and a last read of it."""
    state: set[int] = set()

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        return ("add", number) if rng.random() < 0.5 else ("read", None)

    def answer(state: set[int], f: str, value: Any) -> Any:
        if f == "add":
            state.add(value)
            return value
        return sorted(state)

    history = recorded(Random(seed), state, ask, answer, size)
    return at_last(history, Op(f="read"), sorted(state))


def reads(history: list[Op]) -> list[int]:
    return [at for at, op in enumerate(history) if op.f == "read" and op.type == "ok"]


def with_answer(history: list[Op], at: int, value: Any) -> list[Op]:
    return [*history[:at], replace(history[at], value=value), *history[at + 1 :]]


def acknowledged(history: list[Op], before: int) -> list[int]:
    return [op.value for op in history[:before] if op.f == "add" and op.type == "ok"]


@pytest.mark.parametrize("seed", range(50))
def test_a_correct_set_is_acquitted(seed: int) -> None:
    history = correct(seed)
    assert SetAtEnd().check(history).status is Status.VALID
    for demand in ("eventual", "acknowledged", "linearizable"):
        assert SetFull(demand).check(history).status is Status.VALID  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_an_acknowledged_element_that_is_gone_at_the_end_is_lost(seed: int) -> None:
    history = correct(seed)
    gone = Random(seed).choice(acknowledged(history, len(history)))
    last = [element for element in history[-1].value if element != gone]
    broken = with_answer(history, len(history) - 1, last)
    at_end, full = SetAtEnd().check(broken), SetFull("eventual").check(broken)
    assert (at_end.status, at_end.details["lost"]) == (Status.INVALID, 1)
    assert (full.status, full.details["lost"]) == (Status.INVALID, 1)
    assert any(op["f"] == "add" and op["value"] == gone for op in full.details["operations"])


def test_a_loss_that_is_allowed_is_told() -> None:
    history = events("0add:7 0add:7= 1read 1read=[7] 1read 1read=[]")
    for checker in (SetAtEnd(keeps_acknowledged=False), SetFull("nothing")):
        verdict = checker.check(history)
        assert (verdict.status, verdict.details["lost"]) == (Status.VALID, 1)
        assert "7), which is allowed here" in verdict.summary


def test_an_element_that_nobody_added_or_whose_add_failed_is_unexpected() -> None:
    for history in (
        events("0read 0read=[7]"),
        events("0add:7 0add:7! 0read 0read=[7]"),
        events("0read 0read=[7] 1add:7 1add:7= 2read 2read=[7]"),
    ):
        verdict = SetFull("eventual").check(history)
        assert (verdict.status, verdict.details["unexpected"]) == (Status.INVALID, 1)
    assert SetAtEnd().check(events("0add:7 0add:7! 0read 0read=[7]")).details["unexpected"] == 1


def test_an_element_that_a_read_shows_twice_is_duplicated() -> None:
    verdict = SetFull("eventual").check(events("0add:7 0add:7= 0read 0read=[7,7]"))
    assert (verdict.status, verdict.details["duplicated"]) == (Status.INVALID, 1)


STALE = "0add:7 0add:7= 1read 1read=[] 2read 2read=[7]"
SEEN_ONLY = "0add:7 1read 1read=[7] 2read 2read=[] 0add:7= 2read 2read=[7]"


@pytest.mark.parametrize(
    ("text", "demand", "status"),
    [
        (STALE, "eventual", Status.VALID),
        (STALE, "acknowledged", Status.INVALID),
        (STALE, "linearizable", Status.INVALID),
        (SEEN_ONLY, "acknowledged", Status.VALID),
        (SEEN_ONLY, "linearizable", Status.INVALID),
    ],
)
def test_how_fresh_reads_must_be(text: str, demand: Any, status: Status) -> None:
    verdict = SetFull(demand).check(events(text))
    assert verdict.status is status
    assert verdict.details["stale"] == 1


def test_how_long_an_element_took_to_stay() -> None:
    verdict = SetFull("eventual").check(events(STALE + " 0add:8 0add:8= 0read 0read=[7,8]"))
    assert verdict.details["stable_ms"]["p0"] == 0.0
    assert verdict.details["stable_ms"]["p100"] == 1.0, "known at 1 ms, missing from a read begun at 2 ms"
    assert verdict.details["worst_stale"][0]["element"] == 7


def test_the_stalest_is_told_first() -> None:
    two = "0add:6 0add:6= 2add:7 1read 1read=[] 2add:7= 3read 3read=[] 1read 1read=[6,7]"
    worst = SetFull("eventual").check(events(two)).details["worst_stale"]
    assert [(each["element"], each["stale_ms"]) for each in worst] == [(6, 5.0), (7, 1.0)]


def test_how_long_a_lost_element_had_been_there() -> None:
    verdict = SetFull("eventual").check(
        events("0add:7 0add:7= 1read 1read=[7] 1read 1read=[7] 1read 1read=[] 1read 1read=[]")
    )
    assert verdict.details["lost_ms"]["p100"] == 3.0, "known at 1 ms, last shown by a read begun at 4 ms"
    told = [op["start"] for op in verdict.details["operations"]]
    assert told == [0, 4, 8], "the add, the last read that shows it, and the last one that lacks it"


def test_what_was_only_seen_may_vanish_unless_reads_are_to_be_linearizable() -> None:
    history = events("0add:7 1read 1read=[7] 0add:7? 2read 2read=[]")
    verdict = SetFull("eventual").check(history)
    assert (verdict.status, verdict.details["lost"]) == (Status.VALID, 1)
    assert SetFull("linearizable").check(history).status is Status.INVALID


def test_nothing_is_said_of_what_nobody_read() -> None:
    assert SetFull().check(events("0add:7 0add:7=")).status is Status.VACUOUS
    late = events("0add:6 0add:6= 1read 0add:7 0add:7= 1read=[6]")
    assert SetFull().check(late).status is Status.UNKNOWN
    assert SetAtEnd().check(late).status is Status.UNKNOWN
    assert SetAtEnd().check([]).status is Status.VACUOUS


def test_an_indeterminate_element_may_be_there_or_not() -> None:
    there, gone = events("0add:7 0add:7? 1read 1read=[7]"), events("0add:7 0add:7? 1read 1read=[]")
    assert SetAtEnd().check(there).details["recovered"] == 1
    assert SetFull().check(there).details["recovered"] == 1
    for history in (there, gone):
        sure = events("3add:8 3add:8=")
        shown = [replace(op, value=[*op.value, 8]) if op.value in ([7], []) else op for op in history]
        for checker in (SetAtEnd(), SetFull()):
            assert checker.check([*sure, *shown]).status is Status.VALID


def test_a_set_with_nothing_acknowledged_need_not_be_read() -> None:
    other = [replace(op, key="other", process=9) for op in events("0add:8 0add:8?")]
    read = events("0add:7 0add:7= 0read 0read=[7]")
    assert SetAtEnd().check([*read, *other]).status is Status.VALID


def test_where_nothing_was_acknowledged_nothing_can_have_been_lost() -> None:
    for text in ("0add:7 0add:7! 1read 1read=[]", "0add:7 0add:7? 1read 1read=[]", "1read 1read="):
        for checker in (SetAtEnd(), SetFull()):
            assert checker.check(events(text)).status is Status.VACUOUS


def test_what_was_shown_too_early_is_no_excuse_for_a_read_that_ended_later() -> None:
    early = "1read 2read 2read=[7] 0add:7 0add:7= 1read=[7] 3read 3read=[7]"
    assert SetFull("nothing").check(events(early)).details["unexpected"] == 1


def test_each_key_is_a_set_of_its_own() -> None:
    one = events("0add:7 0add:7= 0read 0read=[7]")
    other = [replace(op, key="other", process=9) for op in events("0add:8 0add:8= 0read 0read=[]")]
    verdict = SetFull().check([*one, *other])
    assert (verdict.details["stable"], verdict.details["lost"]) == (1, 1)


@pytest.mark.parametrize("text", ["0add:7 0add:7= 0add:7 0add:7=", "0read 0read=7"])
def test_what_is_no_history_of_a_set_is_refused(text: str) -> None:
    for checker in (SetAtEnd(), SetFull()):
        with pytest.raises(HistoryError, match="event"):
            checker.check(events(text))


def test_a_demand_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'soon'"):
        SetFull("soon")  # type: ignore[arg-type]


# Against the definitions, read by read -------------------------------------------------------------------

ASKS = st.sampled_from([("add", "unique"), ("read", None)])


def answers(f: str) -> Any:
    return st.lists(st.integers(1, 7), max_size=4) if f == "read" else None


def naive(history: list[Op], demand: str) -> dict[str, Any]:
    operations = pair(history)
    adds = {op.invoke.value: op for op in operations if op.invoke.f == "add" and op.outcome != "fail"}
    looks = [op for op in operations if op.invoke.f == "read" and op.outcome == "ok"]
    odd = any(
        len(set(look.value or ())) < len(look.value or ())
        or any(e not in adds or adds[e].start > (look.end or 0) for e in look.value or ())
        for look in looks
    )
    found: dict[str, Any] = {"stable": 0, "lost": 0, "stale": 0, "invalid": odd, "never_read": 0}
    for element, add in adds.items():
        acked = add.end if add.outcome == "ok" else None
        shows = [look for look in looks if element in (look.value or ())]
        lacks = [look for look in looks if element not in (look.value or ())]
        ends = [end for end in (acked, *[look.end for look in shows]) if end is not None]
        fresh = _after(lacks, min(ends, default=None))
        broken = fresh if demand == "linearizable" else _after(lacks, acked)
        last_shown = max([look.start for look in shows], default=-1)
        last_lacked = max([look.start for look in lacks], default=-1)
        stable = last_shown > last_lacked
        found["stable"] += stable
        found["lost"] += bool(fresh) and not stable
        found["never_read"] += not stable and not fresh
        found["stale"] += bool(fresh) and stable
        if broken and (not stable or demand != "eventual"):
            found["invalid"] = True
    return found


def _after(lacks: list[Operation], position: int | None) -> list[Operation]:
    return [look for look in lacks if position is not None and look.start > position]


@settings(max_examples=200, deadline=None)
@given(small(ASKS, answers), st.sampled_from(["eventual", "acknowledged", "linearizable"]))
def test_against_the_definitions(history: list[Op], demand: Any) -> None:
    verdict = SetFull(demand).check(history)
    right = naive(history, demand)
    assert (verdict.status is Status.INVALID) == right.pop("invalid")
    assert {name: verdict.details[name] for name in right} == right


@settings(max_examples=150, deadline=None)
@given(small(ASKS, answers))
def test_linearizable_reads_of_each_element_have_a_moment_at_which_it_came(history: list[Op]) -> None:
    """An element is there from one moment on: after its add began, before it was acknowledged."""
    operations = pair(history)
    looks = [op for op in operations if op.invoke.f == "read" and op.outcome == "ok"]
    adds = {op.invoke.value: op for op in operations if op.invoke.f == "add" and op.outcome != "fail"}
    seen = {element for look in looks for element in look.value or ()}
    possible = seen <= set(adds) and all(len(set(look.value)) == len(look.value) for look in looks)
    for element, add in adds.items():
        last = add.end if add.outcome == "ok" else len(history) + 1
        moments = [at + 0.5 for at in range(add.start, last or 0)]
        possible = possible and any(
            all((look.end or 0) > at if element in look.value else look.start < at for look in looks)
            for at in moments
        )
    assert (SetFull("linearizable").check(history).status is not Status.INVALID) == possible
