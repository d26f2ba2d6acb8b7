"""Figures of histories made by hand: two sides of one client each, n1 the larger one."""

from __future__ import annotations

from typing import Any

import pytest

from checkers.history import NEMESIS, Op, Type, pair
from harness.demo.cap_measure import Measured, Schedule, measure
from harness.demo.cap_order import out_of_order
from harness.demo.cap_prose import sentences
from harness.demo.served import served

Event = tuple[int | str, Type, str, Any]
MAJORITY, MINORITY, WATCH_MAJORITY, WATCH_MINORITY, COPIES = 0, 1, 2, 3, 4
SCHEDULE = Schedule(("n1", "n2"), ("n2",), lambda process: ("n1", "n2")[process % 2])


def history(*parts: list[Event]) -> list[Op]:
    """An event a second."""
    events = [event for part in parts for event in part]
    return [
        Op(index=at, time=at * 1_000_000_000, process=process, type=type, f=f, key="cart", value=value)
        for at, (process, type, f, value) in enumerate(events)
    ]


def measured(*parts: list[Event]) -> Measured:
    return measure("a setting", history(*parts), SCHEDULE)


def add(process: int, item: int, *seen: int, outcome: Type = "ok") -> list[Event]:
    value = {"item": item, "after": {"items": list(seen)}}
    return [(process, "invoke", "add", value), (process, outcome, "add", value)]


def read(process: int, *items: int, values: int = 1) -> list[Event]:
    return [
        (process, "invoke", "read", None),
        (process, "ok", "read", {"items": list(items), "values": values}),
    ]


def refused(process: int) -> list[Event]:
    return [(process, "invoke", "read", None), (process, "fail", "read", None)]


def copies(*held: list[int]) -> list[Event]:
    shown = {f"n{number}": items for number, items in enumerate(held, 1)}
    return [(COPIES, "invoke", "copies", None), (COPIES, "ok", "copies", shown)]


def says(process: int, since: int | None) -> list[Event]:
    return [
        (process, "invoke", "status", None),
        (process, "ok", "status", {"partitioned_since": since}),
    ]


def nemesis(f: str, bit: bool = True) -> list[Event]:
    return [(NEMESIS, "info", f, None), (NEMESIS, "info", f, {"bit": bit, "detail": ""})]


CUT, HEALED = nemesis("partition"), nemesis("heal-partition")


def test_each_side_and_phase_has_its_own_figures() -> None:
    found = measured(
        read(MAJORITY), CUT, add(MAJORITY, 1), refused(MINORITY), refused(MINORITY), HEALED, read(MINORITY, 1)
    )
    assert {
        phase: [(sides[side].asked, sides[side].served) for side in ("majority", "minority")]
        for phase, sides in found.served.items()
    } == {"before": [(1, 1), (0, 0)], "during": [(1, 1), (2, 0)], "after": [(0, 0), (1, 1)]}
    assert found.served["during"]["majority"].p99_ms == 1000
    assert found.served["during"]["minority"].p50_ms is None
    assert (found.cut_at_s, found.healed_at_s, found.bit) == (3, 11, True)


def test_what_straddles_the_cut_or_the_healing_is_in_no_phase() -> None:
    early, late = read(MAJORITY), read(MINORITY)
    found = measured(early[:1], CUT, early[1:], late[:1], HEALED, late[1:], refused(MAJORITY)[:1])
    assert [side.asked for sides in found.served.values() for side in sides.values()] == [0] * 6


def test_reads_of_the_last_look_are_nobodys_but_tell_what_is_lost() -> None:
    found = measured(CUT, add(MAJORITY, 1), read(MAJORITY, 1), HEALED, HEALED, read(MINORITY))
    assert (found.counts["reads"], found.counts["stale_reads"], found.counts["lost"]) == (1, 0, 1)
    assert found.served["after"]["minority"].asked == 0
    assert (found.end_s, found.strongest) == (8, "convergent")


def test_a_side_is_stale_and_loses_by_itself() -> None:
    found = measured(
        CUT,
        add(MAJORITY, 1),
        add(MINORITY, 2),
        read(MINORITY, 2, values=2),
        HEALED,
        read(MAJORITY, 1),
        copies([2], [2]),
    )
    larger, smaller = (found.counts_by_side[side] for side in ("majority", "minority"))
    assert (larger["acknowledged"], larger["lost"], larger["stale_reads"]) == (1, 1, 1)
    assert (smaller["acknowledged"], smaller["lost"], smaller["bereft_reads"]) == (1, 0, 1)
    assert (smaller["sibling_reads"], larger["sibling_reads"]) == (1, 0)
    for name in ("acknowledged", "lost", "reads", "stale_reads", "bereft_reads"):
        assert larger[name] + smaller[name] == found.counts[name]
    assert (found.strongest, found.anomaly) == ("convergent", "lost update")
    assert [(mark.node, mark.what) for mark in found.marks if mark.what != "served"] == [
        ("n2", "bereft"),
        ("n1", "stale"),
    ]


def test_a_side_has_noticed_when_the_last_of_its_nodes_says_so() -> None:
    three = Schedule(("n1", "n2", "n3"), ("n3",), lambda process: ("n1", "n2", "n3")[process])
    events = [says(0, None), CUT, says(0, None), says(0, 1), says(2, 1), says(1, 1), HEALED, says(0, None)]
    found = measure("a setting", history(*events), three)
    assert (found.cut_at_s, found.detect_s) == (3, {"majority": 8, "minority": 6})
    assert found.sees["n1"] == [(7, 15)]


def test_who_says_so_only_after_the_healing_has_not_noticed() -> None:
    found = measured(read(MINORITY), CUT, says(2, 1), HEALED, says(3, 1), says(3, None))
    assert found.detect_s == {"majority": 2, "minority": None}
    assert "Not all nodes of the minority side noticed" in " ".join(sentences(found))


def test_copies_have_converged_when_they_agree_for_good_on_what_was_acknowledged_before_the_healing() -> None:
    found = measured(
        CUT,
        add(MAJORITY, 1),
        HEALED,
        copies([1], [1]),
        copies([1], []),
        add(MINORITY, 2, 1),
        copies([1], [1, 2]),
        copies([1, 2], [1, 2]),
    )
    assert found.healed_at_s == 5
    assert found.converge_s == 8, "the last disagreement was before; what is newer does not count"


def test_copies_that_differ_in_the_end_have_not_converged() -> None:
    found = measured(CUT, add(MAJORITY, 1), HEALED, copies([1], [1]), copies([1], []))
    assert (found.converge_s, found.strongest) == (None, "none")
    newer = measured(
        CUT, add(MAJORITY, 1), HEALED, copies([1], [1]), add(MAJORITY, 2, 1), copies([1, 2], [1])
    )
    assert (newer.converge_s, newer.strongest) == (None, "none")
    assert "Copies differed to the end." in sentences(found)


@pytest.mark.parametrize(
    ("shown", "strongest", "anomaly"),
    [
        (read(MAJORITY, 1), "linearizable", ""),
        (read(MINORITY), "sessions", "stale read"),
        (read(MAJORITY), "eventual", "own write not read"),
        ([*read(MINORITY, 1), *read(MINORITY)], "eventual", "non-monotonic read"),
        ([*add(MAJORITY, 2, 1), *read(MINORITY, 2)], "eventual", "cart out of order"),
        (read(MINORITY, 7), "convergent", "phantom read"),
    ],
)
def test_the_strongest_level_that_held_and_the_gravest_anomaly(
    shown: list[Event], strongest: str, anomaly: str
) -> None:
    held = [1, 2] if any(f == "add" for _, _, f, _ in shown) else [1]
    found = measured(CUT, add(MAJORITY, 1), shown, HEALED, copies(held, held))
    assert (found.strongest, found.anomaly) == (strongest, anomaly)


def test_nobody_is_told_that_all_of_nothing_was_served_or_fresh() -> None:
    told = " ".join(sentences(measured(CUT, refused(MINORITY), HEALED)))
    assert "the majority side was served nothing, for it asked nothing" in told
    assert "No read was answered." in told


def test_an_item_without_what_its_client_had_seen_or_added_before_it_is_out_of_order() -> None:
    seen = history(add(0, 1), add(1, 2, 1), read(3, 2), read(3, 1, 2), read(3, 1))
    assert out_of_order(seen) == {4}
    added = history(add(0, 1), add(0, 2), read(3, 2), read(3, 1))
    assert out_of_order(added) == {4}
    of_others = history(add(0, 1), add(1, 2), read(3, 2))
    assert out_of_order(of_others) == frozenset()


def test_an_add_that_was_not_acknowledged_need_not_be_there_with_a_later_one() -> None:
    assert out_of_order(history(add(0, 1, outcome="info"), add(0, 2), read(3, 2))) == frozenset()


def test_latencies_are_of_what_was_served() -> None:
    found = served(pair(history(read(0), refused(0), read(1)[:1])))
    assert (found.asked, found.served, found.p50_ms) == (3, 1, 1000)
    assert found.fraction == pytest.approx(1 / 3)
    assert served([]).fraction == 0
