"""Sequential consistency: known litmus tests, correct stores, the budget."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import pytest

from checkers.accesses import Accesses
from checkers.causal.order import OrderOf
from checkers.history import Op
from checkers.sequential import Sequential
from checkers.sequential.search import Answer
from checkers.verdict import Status
from tests.support.histories import history
from tests.support.replicas import recorded


def litmus(*sessions: str) -> list[Op]:
    """Each session a string such as "wx1 ry0" (0: the initial value; a dot: nothing), all at once, in one
    round after the other."""
    words = [session.split() for session in sessions]
    events: list[Op] = []
    for turn in range(max(map(len, words))):
        asked = [
            (process, each[turn])
            for process, each in enumerate(words)
            if turn < len(each) and each[turn] != "."
        ]
        for kind in ("invoke", "ok"):
            for process, word in asked:
                value = int(word[2:]) or None
                f = "read" if word[0] == "r" else "write"
                told = None if f == "read" and kind == "invoke" else value
                events.append(Op(len(events), len(events), process, kind, f, word[1], told))  # type: ignore[arg-type]
    return events


@pytest.mark.parametrize(
    ("sessions", "status"),
    [
        (["wx1 ry0", "wy1 rx0"], Status.INVALID),  # store buffering (Dekker)
        (["wx1 wy1", ". . ry1 rx0"], Status.INVALID),  # message passing
        (["wx1", "wy1", "rx1 ry0", "ry1 rx0"], Status.INVALID),  # independent reads of independent writes
        (["wx1 wx2", ". . rx2 rx1"], Status.INVALID),
        (["wx1 wy1", ". . ry1 rx1"], Status.VALID),
        (["wx1 rx1", "rx0 rx0 rx1"], Status.VALID),  # stale, yet in order
        (["wx1 ry1", "wy1 rx1"], Status.VALID),
    ],
)
def test_litmus(sessions: list[str], status: Status) -> None:
    verdict = Sequential().check(litmus(*sessions))
    assert verdict.status is status
    if status is Status.INVALID:
        assert 2 <= len(verdict.details["operations"]) <= 6


def test_what_only_a_search_refutes_is_shown_as_a_smallest_part() -> None:
    noise = ["wz7 rz7 wz8", "rz7 wa3 ra3"]
    verdict = Sequential().check(litmus("wx1 ry0", "wy1 rx0", *noise))
    assert verdict.status is Status.INVALID
    assert verdict.details["decided_by"] == "search"
    assert verdict.details["minimal"]
    assert {op["key"] for op in verdict.details["operations"]} == {"x", "y"}
    assert len(verdict.details["operations"]) == 4


@pytest.mark.parametrize("seed", range(5))
def test_copies_that_follow_one_log_are_acquitted_though_they_are_stale(seed: int) -> None:
    events = recorded(Random(seed), "sequential", 2_000, 8, 10, 0.02)
    verdict = Sequential().check(events)
    assert verdict.status is Status.VALID
    assert verdict.details["decided_by"] == "search"


@pytest.mark.parametrize("seed", range(5))
def test_copies_that_agree_on_no_log_are_convicted(seed: int) -> None:
    assert Sequential().check(recorded(Random(seed), "causal", 200, 6, 10)).status is Status.INVALID


def test_beyond_the_budget_nothing_is_claimed() -> None:
    events = recorded(Random(7), "causal", 60, 8, 12)
    whole = Sequential().check(events)
    assert whole.status is Status.INVALID
    assert whole.details["decided_by"] == "search"
    verdict = Sequential(steps=1).check(events)
    assert verdict.status is Status.UNKNOWN
    assert "the budget of" in verdict.summary
    with pytest.raises(ValueError, match="above 0"):
        Sequential(steps=0)


def test_nobody_read_is_vacuous() -> None:
    assert Sequential().check(litmus("wx1 wy1", "wy2")).status is Status.VACUOUS


MANY: Final = " ".join(
    [f"{each}(w {each})w" for each in range(2, 10)] + [f"{each}(r {each})r" for each in range(2, 10)]
)
"""Eight deletes, and eight reads any of which may have seen any of these: too many ways to try."""


def test_what_is_wrong_in_one_of_many_ways_to_read_it_is_not_convicted() -> None:
    assert Sequential().check(history(MANY)).status is Status.VALID
    verdict = Sequential().check(history(f"{MANY} 0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r"))
    assert verdict.status is Status.UNKNOWN
    assert "may have seen one of several writes" in verdict.summary


class Tiring(Sequential):
    """Its budget is used up after the first way to read a history."""

    calls: int = 0

    def _try(self, reading: Accesses, spent: int, order_of: OrderOf) -> Any:
        self.calls += 1
        if self.calls == 1:
            self.certain: Any = super()._try(reading, spent, order_of)
            return self.certain
        return (
            super()._try(reading, spent, order_of)
            if self.calls == 2
            else self.certain._replace(answer=Answer.UNDECIDED)
        )


def test_a_way_to_read_it_that_was_not_decided_leaves_it_undecided() -> None:
    """The null was read from nobody or from the delete; both are wrong."""
    events = history("0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r")
    assert Sequential().check(events).status is Status.INVALID
    assert Tiring().check(events).status is Status.UNKNOWN
