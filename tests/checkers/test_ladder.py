"""The ladder: the strongest level, what breaks the next one, and what is not claimed."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from checkers.history import Op
from checkers.ladder import RUNGS, Ladder
from checkers.verdict import Status
from tests.support.histories import history
from tests.support.replicas import recorded


@pytest.mark.parametrize(
    ("text", "strongest", "anomaly"),
    [
        ("0(w1 0)w1 1(r 1)r1", "linearizable", None),
        ("0(w1 0)w1 1(r 1)r", "sequential", "not linearizable"),
        ("0(w1 1(w2 0)w1 1)w2 1(r 1)r1 1(r 1)r2", None, "read-your-writes or monotonic-reads"),
        ("0(w1 0)w1 0(r 0)r", None, "read-your-writes"),
        ("0(w1 0)w1 0(r 0)r7", None, "thin-air read"),
    ],
)
def test_the_strongest_level_and_what_breaks_the_next_one(
    text: str, strongest: str | None, anomaly: str | None
) -> None:
    verdict = Ladder().check(history(text))
    assert verdict.details["strongest"] == strongest
    assert verdict.status is (Status.VALID if strongest else Status.INVALID)
    if anomaly is not None:
        up = verdict.details["next_up"]
        told = verdict.details["broken"][up]
        assert told["anomaly"] == anomaly
        assert told["operations"]
        assert isinstance(told["by"], int)
        assert anomaly in verdict.summary
    assert msgspec.json.encode(verdict)


@pytest.mark.parametrize(
    ("level", "weakest"),
    [("linearizable", "linearizable"), ("sequential", "sequential"), ("causal", "causal")],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_store_is_at_least_as_strong_as_it_is(level: Any, weakest: str, seed: int) -> None:
    verdict = Ladder().check(recorded(Random(seed), level, 300, 5, 4, 0.03))
    assert RUNGS.index(verdict.details["strongest"]) <= RUNGS.index(weakest)
    if level != "linearizable":
        assert verdict.details["strongest"] != "linearizable"


def looked(events: list[Op], held: dict[str, Any]) -> list[Op]:
    at = len(events)
    return [
        *events,
        Op(at, at * 1_000_000, 99, "invoke", "copies", "k"),
        Op(at + 1, (at + 1) * 1_000_000, 99, "ok", "copies", "k", held),
    ]


def of_k(text: str) -> list[Op]:
    return [msgspec.structs.replace(op, key="k") for op in history(text)]


def test_eventual_is_judged_from_copies_and_never_implied() -> None:
    stale = "0(w1 0)w1 0(r 0)r"
    assert Ladder().check(of_k(stale)).details["rungs"]["eventual"] == "vacuous"
    equal = Ladder().check(looked(of_k(stale), {"a": 1, "b": 1}))
    assert (equal.status, equal.details["strongest"]) == (Status.VALID, "eventual")
    assert equal.details["next_up"] == "sessions"
    different = Ladder().check(looked(of_k("0(w1 0)w1 0(r 0)r1"), {"a": 1, "b": None}))
    assert different.details["strongest"] == "linearizable"
    assert different.details["rungs"]["eventual"] == "invalid"


def test_copies_may_hold_what_a_cas_left() -> None:
    events = looked(of_k("0(w1 0)w1 0(c12 0)c12"), {"a": 2, "b": 2})
    assert Ladder().check(events).details["rungs"]["eventual"] == "valid"


def test_what_was_promised_is_judged() -> None:
    stale = history("0(w1 0)w1 1(r 1)r")
    assert Ladder("sequential").check(stale).status is Status.VALID
    assert Ladder("linearizable").check(stale).status is Status.INVALID
    with pytest.raises(ValueError, match="at_least is one of linearizable, sequential"):
        Ladder("strict")


def test_an_undecided_rung_is_not_claimed() -> None:
    """A read that may have seen either of two deletes: nobody can tell what it obliged its session to see."""
    verdict = Ladder().check(history("0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r"))
    assert verdict.details["strongest"] is None
    assert verdict.details["rungs"]["sessions"] == "unknown"
    assert verdict.status is Status.UNKNOWN
