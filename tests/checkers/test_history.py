from __future__ import annotations

import pytest

from checkers.history import NEMESIS, HistoryError, Op, pair, seconds
from tests.support.histories import history


def test_operations_come_in_the_order_of_their_invocation_with_the_positions_of_their_events() -> None:
    found = pair(history("0(w1 1(r 1)r1 2(w2 0?w1"))
    assert [(each.invoke.process, each.outcome, each.start, each.end) for each in found] == [
        (0, "info", 0, 4),
        (1, "ok", 1, 2),
        (2, "info", 3, None),
    ]


@pytest.mark.parametrize(
    ("invoked", "kind", "answered", "value"),
    [(None, "ok", 3, 3), (3, "ok", 4, 4), (3, "ok", None, 3), (3, "info", None, 3), (3, "fail", 4, 3)],
)
def test_the_value_of_an_ok_completion_wins_if_it_has_one(
    invoked: object, kind: str, answered: object, value: object
) -> None:
    events = [Op(process=0, f="read", value=invoked), Op(process=0, type=kind, f="read", value=answered)]  # type: ignore[arg-type]
    assert pair(events)[0].value == value


def test_the_nemesis_need_not_pair() -> None:
    events = [
        Op(process=NEMESIS, type="info", f="kill"),
        Op(process=NEMESIS, f="heal"),
        Op(process=NEMESIS, f="kill"),
    ]
    assert pair(events) == []


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ("0)w1", "event 0: process 0 completes write as ok, but has not invoked it"),
        ("0(w1 0(r", "event 1: process 0 invokes read while its write is outstanding"),
        ("0(w1 0?w1 0)w1", "event 2: process 0 completes its write twice, as info and then as ok"),
        ("0(w1 0)r1", "event 1: process 0 invoked write but completes read"),
    ],
)
def test_what_cannot_be_a_history_is_refused_by_name(events: str, sentence: str) -> None:
    with pytest.raises(HistoryError, match=f"^{sentence}$"):
        pair(history(events))


@pytest.mark.parametrize(("op", "what"), [(Op(process=1), "needs an f"), (Op(f="read"), "needs a process")])
def test_an_operation_has_a_process_and_an_f(op: Op, what: str) -> None:
    with pytest.raises(HistoryError, match=what):
        pair([op])


def test_a_completion_is_about_the_key_that_was_asked_for() -> None:
    with pytest.raises(HistoryError, match="invoked read of key a but completes read of key b"):
        pair([Op(process=0, f="read", key="a"), Op(process=0, type="ok", f="read", key="b")])


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "told"),
    [
        (1_000_000_000, 2_500_400_000, "1.000 s to 2.500 s"),
        (2_204_702_000, 2_204_854_000, "2.204702 s to 2.204854 s"),
        (5, 5, "0.000000 s to 0.000000 s"),
    ],
)
def test_times_are_told_as_exactly_as_it_takes(start_ns: int, end_ns: int, told: str) -> None:
    assert seconds(start_ns, end_ns) == told
