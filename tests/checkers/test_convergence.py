"""The convergence checker: hand-made histories, and random ones against an oracle that tries all orders."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.convergence import Convergence
from checkers.history import HistoryError, Op, Type
from checkers.verdict import Status, Verdict

S = 1_000_000_000


def history(*events: tuple[int, Type, str, Any]) -> list[Op]:
    """Events (process, type, f, value) of the key k, a second apart."""
    return [
        Op(index=at, time=at * S, process=process, type=type, f=f, key="k", value=value)
        for at, (process, type, f, value) in enumerate(events)
    ]


def write(process: int, value: Any, outcome: Type = "ok") -> list[tuple[int, Type, str, Any]]:
    return [(process, "invoke", "write", value), (process, outcome, "write", value)]


def copies(held: dict[str, Any]) -> list[tuple[int, Type, str, Any]]:
    return [(99, "invoke", "copies", None), (99, "ok", "copies", held)]


def judged(*parts: list[tuple[int, Type, str, Any]], keeps: bool = True) -> Verdict:
    return Convergence(keeps).check(history(*[event for part in parts for event in part]))


def test_equal_copies_of_the_last_write_are_valid_and_it_is_said_since_when() -> None:
    verdict = judged(write(0, 1), write(1, 2), copies({"a": 2, "b": 1}), copies({"a": 2, "b": 2}))
    assert verdict.status is Status.VALID
    assert verdict.details["converged_s"] == 7
    assert verdict.details["rounds"] == [[5.0, ["k"]], [7.0, []]]


def test_copies_that_still_differ_are_a_violation() -> None:
    verdict = judged(write(0, 1), copies({"a": 1, "b": None}))
    assert verdict.status is Status.INVALID
    assert "still differ" in verdict.summary
    assert verdict.details["converged_s"] is None


@pytest.mark.parametrize("held", [1, None])
def test_an_acknowledged_write_that_is_lost_to_something_older_is_one_too(held: int | None) -> None:
    verdict = judged(write(0, None), write(0, 1), write(1, 2), copies({"a": held, "b": held}))
    assert verdict.status is Status.INVALID
    assert "lost to older ones" in verdict.summary
    assert {lost["value"] for lost in verdict.details["lost"]} == ({2} if held == 1 else {1, 2})


def test_where_that_is_not_promised_it_is_only_told() -> None:
    verdict = judged(write(0, 1), write(1, 2), copies({"a": 1, "b": 1}), keeps=False)
    assert verdict.status is Status.VALID
    assert "1 acknowledged changes are lost" in verdict.summary


def test_a_deleted_value_that_comes_back_is_a_lost_delete() -> None:
    verdict = judged(write(0, 1), write(1, None), copies({"a": 1, "b": 1}))
    assert verdict.status is Status.INVALID
    assert [lost["value"] for lost in verdict.details["lost"]] == [None]
    assert "1 of them deletions: what was deleted is back" in verdict.summary


@pytest.mark.parametrize("outcome", ["info", "fail"])
def test_what_may_have_happened_later_excuses_and_what_did_not_happen_is_a_phantom(outcome: Type) -> None:
    verdict = judged(write(0, 1, outcome), write(1, 2), copies({"a": 1, "b": 1}))
    assert verdict.status is (Status.VALID if outcome == "info" else Status.INVALID)
    assert bool(verdict.details["phantoms"]) == (outcome == "fail")


def test_nothing_seen_is_vacuous_and_a_key_not_seen_is_unknown() -> None:
    assert judged(write(0, 1)).status is Status.VACUOUS
    events = history(*write(0, 1), *copies({"a": 1}))
    other = [
        Op(index=4, time=4 * S, process=0, f="write", key="other", value=5),
        Op(index=5, time=5 * S, process=0, type="ok", f="write", key="other", value=5),
    ]
    assert Convergence(True).check([*events, *other]).status is Status.UNKNOWN


def test_a_look_says_nothing_of_what_was_changed_while_or_after_one_looked() -> None:
    for parts in (
        [write(0, 1), copies({"a": 1, "b": 1}), write(0, 2)],
        [write(0, 1), copies({"a": 1, "b": None}), write(0, 2)],
        [write(0, 1)[:1], copies({"a": 1, "b": None}), write(0, 1)[1:]],
    ):
        verdict = judged(*parts)
        assert (verdict.status, verdict.details["converged_s"]) == (Status.UNKNOWN, None)
        assert "k could not all be seen at the end" in verdict.summary


def test_what_was_only_written_after_one_had_looked_is_a_phantom() -> None:
    verdict = judged(write(0, 1), copies({"a": 2, "b": 2}), write(1, 2, "info"))
    assert (verdict.status, verdict.details["phantoms"]) == (Status.INVALID, [{"key": "k", "value": 2}])


def test_copies_that_differed_when_later_looks_failed_may_have_become_equal() -> None:
    failed: list[tuple[int, Type, str, Any]] = [(98, "invoke", "copies", None), (98, "fail", "copies", None)]
    assert judged(write(0, 1), copies({"a": 1, "b": None}), failed).status is Status.UNKNOWN
    assert judged(write(0, 1), copies({"a": 1, "b": 1}), failed).status is Status.VALID


def test_where_nothing_was_acknowledged_nothing_had_to_be_there() -> None:
    for parts in ([copies({"a": None})], [write(0, 1, "info"), copies({"a": 1})]):
        assert judged(*parts).status is Status.VACUOUS
    assert judged(write(0, 1, "info"), copies({"a": 1, "b": None})).status is Status.INVALID


def test_a_key_whose_only_writes_failed_need_not_be_seen() -> None:
    refused = [replace(op, key="other", process=7) for op in history(*write(0, 5, "fail"))]
    events = [*history(*write(0, 1), *copies({"a": 1})), *refused]
    assert Convergence(True).check(events).status is Status.VALID


def test_a_history_of_one_object_needs_no_key_and_no_times() -> None:
    events = history(*write(0, 1), *copies({"a": 1, "b": 1}))
    verdict = Convergence(True).check([replace(op, key=None, time=-1) for op in events])
    assert (verdict.status, verdict.summary) == (Status.VALID, "all copies of 1 keys are equal")
    events = history(*write(0, 1), *copies({"a": 1, "b": 2}))
    verdict = Convergence(True).check([replace(op, key=None) for op in events])
    assert verdict.summary.startswith("the copies of the only key still differ")


def test_deletions_puts_and_cas_are_changes_too() -> None:
    def change(f: str, value: Any) -> list[tuple[int, Type, str, Any]]:
        return [(0, "invoke", f, value), (0, "ok", f, value)]

    put, cas, delete = change("put", 1), change("cas", [1, 2]), change("delete", None)
    for parts, held in (([put], 1), ([put, cas], 2), ([put, cas, delete], None)):
        assert judged(*parts, copies({"a": held})).status is Status.VALID
        assert judged(*parts, change("put", 3), copies({"a": held})).status is Status.INVALID


@pytest.mark.parametrize("held", [None, [1], {}])
def test_a_look_that_tells_of_no_copies_is_refused(held: Any) -> None:
    with pytest.raises(HistoryError, match=r"event 3: a look at copies is answered with \{node: value\}"):
        judged(write(0, 1), copies(held))
    with pytest.raises(HistoryError, match=r"event 0: .* \[expected, new\]"):
        judged([(0, "invoke", "cas", 1), (0, "ok", "cas", 1)])


def test_a_round_ends_when_its_last_look_does() -> None:
    first, second = copies({"a": 1}), copies({"a": 1})
    other = [(98, kind, f, value) for _, kind, f, value in second]
    events = history(*write(0, 1), first[0], other[0], other[1], first[1])
    events[3], events[4] = replace(events[3], key="m"), replace(events[4], key="m")
    assert Convergence(True).check(events).details["rounds"] == [[5.0, []]]


@st.composite
def some_writes(draw: st.DrawFn) -> list[Op]:
    """Overlapping writes by three processes, each with a value of its own or a delete."""
    events: list[tuple[int, Type, str, Any]] = []
    open_: dict[int, Any] = {}
    for number in range(draw(st.integers(0, 9))):
        process = draw(st.integers(0, 2))
        if process in open_:
            outcome: Type = draw(st.sampled_from(["ok", "ok", "fail"]))
            events.append((process, outcome, "write", open_.pop(process)))
        else:
            open_[process] = draw(st.sampled_from([number, number, None]))
            events.append((process, "invoke", "write", open_[process]))
    events += [(process, "info", "write", value) for process, value in open_.items()]
    held = draw(st.sampled_from([None, *range(9)]))
    return history(*events, *copies({"a": held, "b": held}))


def all_orders_say(events: list[Op]) -> bool:
    """Whether some order of what happened, which keeps the real-time order, ends with what is held."""
    writes: list[tuple[int, float, Any, bool]] = []
    for at, op in enumerate(events):
        if op.f == "write" and op.type == "invoke":
            end = next(i for i in range(at + 1, len(events)) if events[i].process == op.process)
            if events[end].type != "fail":
                certain = events[end].type == "ok"
                writes.append((at, end if certain else float("inf"), op.value, certain))
    held = events[-1].value["a"]
    optional = [write for write in writes if not write[3]]
    for mask in range(1 << len(optional)):
        out = {optional[i][0] for i in range(len(optional)) if mask >> i & 1}
        happened = [write for write in writes if write[0] not in out]
        for order in permutations(happened):
            in_order = all(
                not order[later][1] < order[earlier][0]
                for earlier in range(len(order))
                for later in range(earlier, len(order))
            )
            if in_order and (order[-1][2] if order else None) == held:
                return True
    return False


@settings(max_examples=300)
@given(some_writes())
def test_it_agrees_with_trying_all_orders(events: list[Op]) -> None:
    status = Convergence(True).check(events).status
    assert (status is not Status.INVALID) == all_orders_say(events)
    if status is not Status.INVALID:
        acknowledged = any(op.f == "write" and op.type == "ok" for op in events)
        assert status is (Status.VALID if acknowledged else Status.VACUOUS)
