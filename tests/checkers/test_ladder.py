"""The ladder: the strongest level, what breaks the next one, and what is not claimed."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from checkers import ladder
from checkers.accesses import Accesses
from checkers.causal.order import CausalOrder, causal_order
from checkers.history import Op
from checkers.ladder import RUNGS, Asked, Ladder
from checkers.verdict import Status, Verdict
from tests.support.histories import history
from tests.support.registers import Store
from tests.support.registers import recorded as simulated
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
        assert verdict.details["first"]["event"] == len(history(text)) - 1
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
    """Too many ways to read it: nobody can tell what a read of the deleted key obliged its session to see."""
    several = (
        " ".join(f"{p}(w {p})w" for p in range(2, 10)) + " " + " ".join(f"{p}(r {p})r" for p in range(2, 10))
    )
    verdict = Ladder().check(history(f"{several} 0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r"))
    assert verdict.details["strongest"] is None
    assert verdict.details["rungs"]["sessions"] == "unknown"
    assert verdict.status is Status.UNKNOWN


def test_the_first_operation_that_breaks_the_next_level_is_told_not_just_any() -> None:
    stale = Ladder().check(history("0(w1 0)w1 1(r 1)r 1(r 1)r1 2(r 2)r"))
    assert "linearizable is first broken when process 1 read nil" in stale.summary
    verdict = Ladder().check(history("0(w1 0)w1 1(r 1)r1 1(r 1)r 2(w2 2)w2 2(r 2)r"))
    assert verdict.details["next_up"] == "sessions"
    assert verdict.details["broken"]["sessions"]["anomaly"] == "read-your-writes"
    first = verdict.details["first"]
    assert (first["event"], first["process"], first["exact"]) == (5, 1, True)


@pytest.mark.parametrize("seed", range(6))
def test_the_first_that_is_told_is_the_one_found_by_judging_every_beginning(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "BEGINNING", 6)
    store = Store(Random(seed), "stale reads", rarity=12)
    events = [op for op in simulated(store, 60, 4, 2) if op.f != "cas"]
    verdict = Ladder().check(events)
    rung, first = verdict.details["next_up"], verdict.details["first"]
    assert first["exact"]
    holds = [Ladder().check(events[:end]).details["rungs"][rung] != "invalid" for end in range(len(events))]
    assert first["event"] + 1 == holds.index(False)


def test_a_write_that_turns_out_to_have_failed_breaks_it_by_its_answer() -> None:
    verdict = Ladder().check(history("0(w1 1(r 1)r1 0xw1"))
    assert verdict.details["first"]["event"] == 3
    assert verdict.details["first"]["f"] == "write"


@pytest.mark.parametrize("text", ["0(w1 0)w1", "0(w1", "0(r 0xr", "0(w1 0)w1 1(r 1?r"])
def test_where_nobody_read_anything_no_level_is_claimed(text: str) -> None:
    verdict = Ladder().check(history(text))
    assert verdict.status is Status.VACUOUS
    assert verdict.details["strongest"] is None
    assert "nobody has read anything" in verdict.summary
    assert Ladder("causal").check(history(text)).status is Status.VACUOUS


def test_operations_of_several_vocabularies_and_versions_are_judged_alike() -> None:
    """A cas and a delete in one history, which no model of linearizability has; and values with versions."""
    mixed = [
        ("put", 1, None),
        ("cas", [1, 2], [1, 2]),
        ("delete", 2, 2),
        ("read", None, None),
        ("write", 3, {"value": 3, "version": 7}),
        ("get", None, 3),
    ]
    events = []
    for f, asked, answered in mixed:
        at = len(events)
        events += [Op(at, at, 0, "invoke", f, "k", asked), Op(at + 1, at + 1, 0, "ok", f, "k", answered)]
    assert Ladder().check(looked(events, {"a": 3, "b": 3})).details["rungs"] == dict.fromkeys(RUNGS, "valid")


def test_a_refused_cas_breaks_linearizability_alone() -> None:
    """Refused for a mismatch though the value was the expected one; nothing else is said of failed ones."""
    refused = msgspec.structs.replace(history("0(c12 0xc12")[1], error="mismatch", index=3)
    events = [*history("0(w1 0)w1 0(c12")[:3], refused, *history("0(r 0)r1")]
    verdict = Ladder().check(events)
    assert verdict.details["strongest"] == "sequential"
    assert verdict.parts[1].details["decided_by"] == "linearizable"


class Hesitant(Ladder):
    """It decides nothing of short histories."""

    def _judge(self, rung: str, asked: Asked) -> Verdict:
        return Verdict(rung, Status.UNKNOWN, "") if len(asked.history) < 5 else super()._judge(rung, asked)


def test_where_a_beginning_is_not_decided_the_first_operation_is_not_claimed_to_be_it() -> None:
    stale = history("0(w1 0)w1 1(r 1)r 1(r 1)r1")
    assert Ladder().check(stale).details["first"]["exact"]
    first = Hesitant().check(stale).details["first"]
    assert (first["event"], first["exact"]) == (4, False)


def long_and_stale_at_the_end(deletes: bool) -> list[Op]:
    """Seven sessions write and read in turn, far longer than the first beginning; the last read is stale."""
    turns = " ".join(f"{n % 7}(w{n} {n % 7})w{n} {n % 7}(r {n % 7})r{n}" for n in range(700))
    unclear = "0(w 0)w 1(w 1)w 1(r 1)r " if deletes else ""
    return history(f"{turns} {unclear}2(w999 2)w999 2(r 2)r2")


@pytest.mark.parametrize("deletes", [False, True])
def test_rungs_share_the_causal_order_and_few_long_beginnings_are_judged(
    deletes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[int] = []
    judged: list[int] = []
    judge = Ladder._judge

    def counted_order(reading: Accesses) -> CausalOrder:
        ordered.append(len(reading.all))
        return causal_order(reading)

    def counted(self: Ladder, rung: str, asked: Asked) -> Verdict:
        judged.append(len(asked.history))
        return judge(self, rung, asked)

    events = long_and_stale_at_the_end(deletes)
    monkeypatch.setattr(ladder, "causal_order", counted_order)
    monkeypatch.setattr(Ladder, "_judge", counted)
    verdict = Ladder().check(events)
    assert verdict.details["first"]["event"] == len(events) - 1
    assert len(ordered) == 1 + deletes  # of the reading that is certain, and of the one that is tried
    assert sum(judged[4:]) < 3 * len(events)


def test_where_nobody_tells_how_much_breaks_it_beginnings_are_not_tried_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[int] = []
    judge = Ladder._judge

    def counted(self: Ladder, rung: str, asked: Asked) -> Verdict:
        judged.append(len(asked.history))
        return judge(self, rung, asked)

    monkeypatch.setattr(ladder, "_over", lambda _, events: events - 1)
    monkeypatch.setattr(Ladder, "_judge", counted)
    right = " ".join(f"0(w{n} 0)w{n} 0(r 0)r{n}" for n in range(30))
    wrong = " ".join(f"0(w{n} 0)w{n} 0(r 0)r{n - 1}" for n in range(30, 60))
    verdict = Ladder().check(history(f"{right} {wrong}"))
    assert verdict.details["first"]["event"] == 4 * 30 + 3
    assert len(judged) < 25


@pytest.mark.parametrize(("asked", "status"), [("c23", Status.VALID), ("c13", Status.INVALID)])
def test_that_a_cas_is_refused_is_an_answer_too(asked: str, status: Status) -> None:
    *events, refused = history(f"0(w1 0)w1 0({asked} 0x{asked}")
    verdict = Ladder().check([*events, replace(refused, error="mismatch")])
    assert verdict.status is status
    assert verdict.details["rungs"]["linearizable"] == status.value
