"""Carts: hand-made histories, and random ones against oracles that compare every pair, or try every order."""

from __future__ import annotations

from itertools import chain, combinations, permutations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.carts import CartChecker, carts
from checkers.formats import encode_line, read_history
from checkers.history import HistoryError, Op, Operation, Type, pair
from checkers.verdict import Status, Verdict

S = 1_000_000_000
Event = tuple[int, Type, str, Any]


def history(*parts: list[Event]) -> list[Op]:
    """Events (process, type, f, value) of one cart, a second apart."""
    events = [event for part in parts for event in part]
    return [
        Op(index=at, time=at * S, process=process, type=type, f=f, key="cart", value=value)
        for at, (process, type, f, value) in enumerate(events)
    ]


def add(process: int, item: int, outcome: Type = "ok") -> list[Event]:
    return [(process, "invoke", "add", {"item": item}), (process, outcome, "add", {"item": item})]


def remove(process: int, item: int, outcome: Type = "ok") -> list[Event]:
    return [(process, "invoke", "remove", {"item": item}), (process, outcome, "remove", {"item": item})]


def read(process: int, *items: int, values: int = 1) -> list[Event]:
    found = {"items": list(items), "values": values}
    return [(process, "invoke", "read", None), (process, "ok", "read", found)]


def copies(**held: list[int]) -> list[Event]:
    return [(9, "invoke", "copies", None), (9, "ok", "copies", held)]


def judged(*parts: list[Event], fresh: bool = False) -> Verdict:
    return CartChecker(fresh).check(history(*parts))


def test_a_cart_that_shows_all_that_was_added_is_valid() -> None:
    verdict = judged(add(0, 1), read(1, 1), add(1, 2), read(0, 1, 2), copies(a=[1, 2], b=[1, 2]), fresh=True)
    assert (verdict.status, verdict.summary) == (Status.VALID, "all 2 acknowledged adds are there")


def test_a_read_that_lacks_what_was_acknowledged_before_it_is_stale_by_items_and_by_seconds() -> None:
    parts = [add(0, 1), add(0, 2), read(1), copies(a=[1, 2])]
    verdict = judged(*parts)
    assert verdict.status is Status.VALID
    assert "1 of 1 reads were stale, which this level allows" in verdict.summary
    assert (verdict.details["missing_max"], verdict.details["late_max_s"]) == (2, 3.0)
    assert judged(*parts, fresh=True).status is Status.INVALID


def test_a_read_that_began_before_the_acknowledgement_is_not_stale() -> None:
    begun, answered = read(1)
    started, acknowledged = add(0, 1)
    verdict = judged([started, begun, acknowledged, answered], copies(a=[1]), fresh=True)
    assert verdict.details["stale_reads"] == 0


def test_what_no_copy_has_in_the_end_is_lost_and_reads_that_lack_only_that_are_not_stale() -> None:
    verdict = judged(add(0, 1), add(1, 2), read(2, 2), copies(a=[2], b=[2]))
    assert verdict.status is Status.INVALID
    assert "1 acknowledged adds are lost (1)" in verdict.summary
    counts = verdict.details
    assert (counts["lost"], counts["stale_reads"], counts["bereft_reads"]) == (1, 0, 1)


def test_an_add_that_was_not_acknowledged_may_be_there_or_not() -> None:
    for shown in ([1], [1, 2]):
        assert judged(add(0, 1), add(1, 2, "info"), read(0, 1), copies(a=shown)).status is Status.VALID


@pytest.mark.parametrize("first", [add(0, 2, "fail"), []])
def test_an_item_whose_add_had_failed_or_not_begun_is_a_phantom(first: list[Event]) -> None:
    verdict = judged(add(0, 1), first, read(1, 1, 2), copies(a=[1]))
    assert verdict.status is Status.INVALID
    assert "show what nobody can have added" in verdict.summary


def test_what_only_a_copy_shows_or_though_nothing_was_acknowledged_is_a_phantom_too() -> None:
    for parts in (
        [add(0, 1), read(1, 1), copies(a=[1, 2])],
        [add(0, 1, "fail"), read(1, 1)],
        [add(0, 1), read(1, 1, 2), add(0, 2), copies(a=[1, 2])],
    ):
        verdict = judged(*parts)
        assert (verdict.status, verdict.details["phantoms"]) == (Status.INVALID, 1)


def test_sessions_miss_what_they_added_or_had_seen_and_others_do_not() -> None:
    found = carts(history(add(0, 1), read(0), read(1, 1), read(1), read(2), copies(a=[1])))
    assert [(look.own, look.seen) for look in found.looks] == [((1,), ()), ((), ()), ((), (1,)), ((), ())]


def test_copies_that_differ_in_the_last_look_are_a_violation() -> None:
    verdict = judged(add(0, 1), read(0, 1), copies(a=[1], b=[1]), copies(a=[1], b=[]))
    assert (verdict.status, verdict.summary) == (Status.INVALID, "the copies of 1 carts still differ")


def test_a_last_read_tells_what_is_kept_where_copies_are_not_shown() -> None:
    assert judged(add(0, 1), read(1, 1)).status is Status.VALID
    assert judged(add(0, 1), read(1)).details["lost"] == 1


def test_a_look_at_all_copies_says_more_than_a_read_after_it() -> None:
    assert judged(add(0, 1), copies(a=[1]), read(1)).details["lost"] == 0


def test_of_two_removals_the_first_counts() -> None:
    found = carts(history(add(0, 1), remove(1, 1), remove(2, 1), read(0), copies(a=[1])))
    assert [removal.start for removal in found.removed] == [2]


def test_nothing_is_said_of_carts_that_nobody_looked_at_in_the_end() -> None:
    verdict = judged(add(0, 1), read(0, 1), add(0, 2))
    assert (verdict.status, verdict.details["lost"]) == (Status.UNKNOWN, None)


def test_a_run_in_which_nothing_was_added_says_nothing() -> None:
    assert judged(read(0)).status is Status.VACUOUS
    assert judged(add(0, 1, "fail")).status is Status.VACUOUS


def test_several_values_are_counted() -> None:
    assert judged(add(0, 1), read(0, 1, values=2), copies(a=[1])).details["sibling_reads"] == 1


def test_a_malformed_history_is_refused() -> None:
    with pytest.raises(HistoryError):
        CartChecker(False).check(history(add(0, 1)[1:]))


def test_removed_items_that_stay_away_are_no_losses() -> None:
    verdict = judged(add(0, 1), add(0, 2), remove(1, 1), read(1, 2), copies(a=[2], b=[2]), fresh=True)
    assert verdict.status is Status.VALID
    assert "0 of 1 removed items came back" in verdict.summary
    assert (verdict.details["lost"], verdict.details["removed"], verdict.details["returned"]) == (0, 1, 0)


def test_a_loss_is_a_loss_beside_removals_too() -> None:
    verdict = judged(add(0, 1), add(0, 2), remove(1, 1), read(1), copies(a=[]))
    assert "1 acknowledged adds are lost (2)" in verdict.summary


@pytest.mark.parametrize("shown", [add(0, 1), [*add(0, 1, "info"), *read(1, 1)]])
def test_what_was_there_and_was_removed_and_is_there_in_the_end_has_come_back(shown: list[Event]) -> None:
    events = history(add(4, 2), shown, remove(1, 1), read(1, 2), copies(a=[1, 2]))
    told = CartChecker(False).check(events)
    assert told.status is Status.VALID
    assert "1 of 1 removed items came back, which this level allows" in told.summary
    convicted = CartChecker(False, keeps_removed=True).check(events)
    assert convicted.status is Status.INVALID
    assert "1 of 1 removed items came back (1)" in convicted.summary
    assert convicted.details["returned"] == 1


def test_a_last_read_tells_what_came_back_only_if_it_began_after_the_removal() -> None:
    for parts, status in (
        ([add(0, 1), remove(1, 1), read(0, 1)], Status.INVALID),
        ([add(0, 1), read(0, 1), remove(1, 1)], Status.UNKNOWN),
    ):
        assert CartChecker(False, keeps_removed=True).check(history(*parts)).status is status


@pytest.mark.parametrize("outcome", ["info", "fail"])
@pytest.mark.parametrize("held", [[1], []])
def test_a_removal_that_was_not_acknowledged_may_have_happened_or_not(outcome: Type, held: list[int]) -> None:
    events = history(add(0, 1), remove(1, 1, outcome), read(2, *held), copies(a=held))
    assert CartChecker(True, keeps_removed=True).check(events).status is Status.VALID


def test_a_removal_may_come_before_the_add_that_it_overlaps() -> None:
    begun, acknowledged = add(0, 1)
    events = history([begun, *remove(1, 1), acknowledged], read(2, 1), copies(a=[1]))
    assert CartChecker(True, keeps_removed=True).check(events).status is Status.VALID


def test_items_that_anybody_asked_to_remove_are_in_no_figure_of_reads() -> None:
    parts = [add(0, 1), add(0, 2), read(0, 1, 2), read(0), remove(1, 1, "fail"), read(0), copies(a=[1, 2])]
    looks = carts(history(*parts)).looks
    assert [(look.missing, look.own, look.seen) for look in looks[1:]] == [((2,), (2,), (2,))] * 2


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    """Adds and reads of three processes that overlap at will, answered with any subset; all is kept."""
    outstanding: dict[int, Event] = {}
    events: list[Event] = []
    items: list[int] = []
    for step in range(draw(st.integers(2, 24))):
        process = draw(st.integers(0, 2))
        begun = outstanding.pop(process, None)
        if begun is not None:
            if begun[2] == "read":
                shown = draw(st.lists(st.sampled_from(items), unique=True)) if items else []
                events.append((process, "ok", "read", {"items": shown}))
            else:
                events.append((process, "ok", *begun[2:]))
            continue
        if draw(st.booleans()):
            items.append(step)
            begun = (process, "invoke", "add", {"item": step})
        else:
            begun = (process, "invoke", "read", None)
        outstanding[process] = begun
        events.append(begun)
    events += [(process, "ok", *begun[2:]) for process, begun in outstanding.items() if begun[2] == "add"]
    return history(events, copies(a=items))


@settings(deadline=None, max_examples=200)
@given(histories())
def test_stale_reads_are_those_of_which_an_oracle_says_so(events: list[Op]) -> None:
    found = carts(events)
    operations = pair(events)
    for look in found.looks:
        expected = [
            add.invoke.value["item"]
            for add in operations
            if add.invoke.f == "add" and add.end is not None and add.end < look.read.start
            if add.invoke.value["item"] not in look.read.value["items"]
        ]
        assert sorted(look.missing) == sorted(expected)
        seen = {
            item
            for other in operations
            if other.invoke.f == "read" and other.outcome == "ok" and other.start < look.read.start
            if other.invoke.process == look.read.invoke.process
            for item in other.value["items"]
        }
        assert set(look.seen) == seen - set(look.read.value["items"])


class Span(NamedTuple):
    """When something took effect, if it did: after `start` and before `end`."""

    f: str
    start: int
    end: float
    optional: bool


@st.composite
def changes(draw: st.DrawFn) -> list[Op]:
    """Reads, adds, and up to four removals, of up to three items, each by a process of its own, that overlap
    at will and end at will; what is held at last is any subset."""
    events: list[Event] = []
    items: list[int] = []
    outstanding: list[Event] = []
    begun: Event
    for step in range(draw(st.integers(2, 16))):
        if draw(st.booleans()) and outstanding:
            process, _, f, value = outstanding.pop(draw(st.integers(0, len(outstanding) - 1)))
            outcomes: dict[str, list[Type]] = {"add": ["ok", "info"], "remove": ["ok", "info", "fail"]}
            outcome = draw(st.sampled_from(outcomes.get(f, ["ok"])))
            if f == "read":
                value = {"items": draw(st.lists(st.sampled_from(items), unique=True)) if items else []}
            events.append((process, outcome, f, value))
            continue
        f = draw(st.sampled_from(["add", "remove", "read"] if items else ["add"]))
        if f == "add" and len(items) < 3:
            items.append(step)
            begun = (step, "invoke", "add", {"item": step})
        elif f == "remove" and sum(event[1:3] == ("invoke", "remove") for event in events) < 4:
            begun = (step, "invoke", "remove", {"item": draw(st.sampled_from(items))})
        else:
            begun = (step, "invoke", "read", None)
        events.append(begun)
        outstanding.append(begun)
    held = draw(st.lists(st.sampled_from(items), unique=True)) if items else []
    return history(events, [(99, "invoke", "copies", None), (99, "ok", "copies", {"a": held})])


@settings(deadline=None, max_examples=400)
@given(changes())
def test_losses_and_what_came_back_are_those_that_no_order_of_the_changes_explains(events: list[Op]) -> None:
    found = carts(events)
    operations = pair(events)
    held = events[-1].value["a"]
    lost, returned = set(), set()
    for add in [each for each in operations if each.invoke.f == "add"]:
        item = add.invoke.value["item"]
        spans = [
            _span(each, operations) for each in operations if (each.invoke.value or {}).get("item") == item
        ]
        explained = (item in held) in _ends(spans)
        if not explained and item in held:
            returned.add(item)
        if not explained and item not in held and add.outcome == "ok":
            lost.add(item)
    assert {add.invoke.value["item"] for add in found.lost or ()} == lost
    assert {removal.invoke.value["item"] for removal in found.returned} == returned


def _span(change: Operation, operations: list[Operation]) -> Span:
    """An add that a read has shown took effect before the read ended."""
    ends = [change.end] if change.outcome == "ok" else []
    if change.invoke.f == "add":
        reads = [each for each in operations if each.invoke.f == "read" and each.outcome == "ok"]
        ends += [each.end for each in reads if change.invoke.value["item"] in each.value["items"]]
    bounds = [end for end in ends if end is not None]
    return Span(change.invoke.f, change.start, min(bounds, default=float("inf")), not bounds)


def _ends(spans: list[Span]) -> set[bool]:
    """Whether the item may be there at last: by every order of every choice of its changes."""
    certain = [span for span in spans if not span.optional]
    optional = [span for span in spans if span.optional]
    choices = chain.from_iterable(combinations(optional, n) for n in range(len(optional) + 1))
    return {
        bool(order) and order[-1].f == "add"
        for choice in choices
        for order in permutations([*certain, *choice])
        if not any(late.end < early.start for early, late in combinations(order, 2))
    }


EDN = """{:process 0 :type :invoke :f :add :key "c" :value 8}
{:process 0 :type :ok :f :add :key "c" :value 8}
{:process 0 :type :invoke :f :add :key "c" :value 16}
{:process 0 :type :ok :f :add :key "c" :value 16}
{:process 1 :type :invoke :f :remove :key "c" :value 16}
{:process 1 :type :ok :f :remove :key "c" :value 16}
{:process 1 :type :invoke :f :read :key "c" :value nil}
{:process 1 :type :ok :f :read :key "c" :value #{}}
{:process 1 :type :invoke :f :copies :key "c" :value nil}
{:process 1 :type :ok :f :copies :key "c" :value {"n1" [16 8 16] "n2" [8 16]}}
"""


def test_items_alone_and_lists_of_items_are_carts_too(tmp_path: Path) -> None:
    (tmp_path / "edn").write_text(EDN)
    (tmp_path / "jsonl").write_text(
        "".join(encode_line(op).decode() for op in read_history(tmp_path / "edn"))
    )
    for name in ("edn", "jsonl"):
        verdict = CartChecker().check(read_history(tmp_path / name))
        found = verdict.details
        assert verdict.status is Status.VALID
        assert (found["stale_reads"], found["removed"], found["returned"], found["lost"]) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([(1, "invoke", "add", {"sku": 1})], "event 2: an item is a number or a string, not"),
        ([(1, "invoke", "remove", None)], "event 2: an item is a number or a string, not nil"),
        ([(1, "invoke", "add", {"item": [1]})], "event 2: an item is a number or a string, not [1]"),
        ([(1, "invoke", "add", True)], "event 2: an item is a number or a string, not True"),
        (
            [(1, "invoke", "read", None), (1, "ok", "read", 7)],
            "event 2: a cart is told as a list",
        ),
        (
            [(1, "invoke", "read", None), (1, "ok", "read", {"items": [1], "values": "two"})],
            "event 2: values is how many siblings a read was told, not 'two'",
        ),
        (
            [(1, "invoke", "copies", None), (1, "ok", "copies", [1])],
            "event 2: copies are told as {node",
        ),
        (add(1, 1), "event 2: item 1 is added for a second time"),
        ([(1, "invoke", "add", "milk")], "items are all numbers or all strings, not both, as 1 and 'milk'"),
    ],
)
def test_what_is_no_cart_is_refused_in_a_sentence(wrong: list[Event], sentence: str) -> None:
    with pytest.raises(HistoryError) as refused:
        CartChecker().check(history(add(0, 1), wrong))
    assert str(refused.value).startswith(sentence)


def test_a_cart_of_which_there_is_nothing_is_an_empty_one() -> None:
    reads = [[(1, "invoke", "read", None), (1, "ok", "read", nothing)] for nothing in (None, {"items": None})]
    assert CartChecker().check(history(add(0, 1), *reads)).details["bereft_reads"] == 2
