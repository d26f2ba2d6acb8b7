"""Session guarantees of registers: planted anomalies, correct stores, versions, and what is not known."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec
import pytest

from checkers.causal import Causal
from checkers.history import HistoryError, Op
from checkers.sessions import Sessions
from checkers.verdict import Status, Verdict
from tests.support.histories import history
from tests.support.replicas import recorded


def judged(text: str) -> Verdict:
    return Sessions().check(history(text))


def broken(verdict: Verdict) -> list[str]:
    return [part.checker for part in verdict.parts if part.status is Status.INVALID]


@pytest.mark.parametrize(
    ("text", "guarantees"),
    [
        ("0(w1 0)w1 0(r 0)r", ["read-your-writes"]),
        ("0(w1 0)w1 0(w2 0)w2 0(r 0)r1", ["read-your-writes"]),
        ("0(w1 0)w1 1(r 1)r1 1(r 1)r", ["monotonic-reads"]),
        ("0(w1 1(w2 0)w1 1)w2 2(r 2)r1 2(r 2)r2 3(r 3)r2 3(r 3)r1", ["monotonic-reads"]),
        ("0(w1 0)w1 0(w2 0)w2 1(r 1)r2 1(r 1)r1", ["monotonic-reads"]),
        ("0(w1 1(w2 0)w1 1)w2 2(r 2)r1 2(r 2)r2 2(r 2)r1", ["monotonic-reads"]),
        ("0(w1 0)w1 1(r 1)r1 1(w2 1)w2 2(r 2)r2 2(r 2)r1", []),
        ("0(w1 0)w1 0(w2 0)w2 0(c23 0)c23", []),
    ],
)
def test_each_is_told_by_its_name(text: str, guarantees: list[str]) -> None:
    """The last but one needs two guarantees of different sessions: broken, but neither by itself."""
    verdict = judged(text)
    assert broken(verdict) == guarantees
    assert verdict.status is (Status.VALID if text.endswith("c23") else Status.INVALID)
    leaf = next((part for part in verdict.parts if part.status is Status.INVALID), verdict)
    if verdict.status is Status.INVALID:
        assert {"process", "start", "end", "index"} <= leaf.details["operations"][0].keys()
        assert leaf.details["explanation"]
    assert msgspec.json.encode(verdict)


def test_a_contradiction_of_two_names_both() -> None:
    verdict = judged("0(w1 0)w1 1(r 1)r1 1(w2 1)w2 2(r 2)r2 2(r 2)r1")
    assert set(verdict.details["rules"]) == {"monotonic reads", "writes follow reads"}
    assert "process 2 read 1" in verdict.summary


def versioned(*events: tuple[int, str, str, Any, Any]) -> list[Op]:
    """(process, type, f, value, version) of the key x; a version of None is none."""
    return [
        Op(at, at, p, kind, f, "x", value if version is None else {"value": value, "version": version})  # type: ignore[arg-type]
        for at, (p, kind, f, value, version) in enumerate(events)
    ]


def test_versions_that_the_store_tells_order_its_writes() -> None:
    """A session's writes in the other order than their versions; without versions nothing would be known."""
    events = [
        (0, "invoke", "write", 1, None),
        (0, "ok", "write", 1, [2, 0]),
        (0, "invoke", "write", 2, None),
        (0, "ok", "write", 2, [1, 0]),
    ]
    assert broken(Sessions().check(versioned(*events))) == ["monotonic-writes"]
    assert (
        Sessions().check(versioned(*[(p, k, f, v, None) for p, k, f, v, _ in events])).status
        is Status.VACUOUS
    )
    mixed = [*events[:3], (0, "ok", "write", 2, "b")]
    with pytest.raises(HistoryError, match="versions of key x"):
        Sessions().check(versioned(*mixed))


def test_a_read_of_a_value_that_several_may_have_written_is_right_if_any_of_these_makes_it_so() -> None:
    assert judged("0(w1 0)w1 0(w 0)w 0(r 0)r").status is Status.VALID
    deleted = judged("0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r")
    assert deleted.status is Status.INVALID
    assert "process 0 read nil" in deleted.summary
    assert judged("0(w1 0)w1 1(w 1)w 0(w2 0)w2 0(r 0)r").status is Status.VALID


MANY: Final = " ".join(
    [f"{each}(w {each})w" for each in range(2, 10)] + [f"{each}(r {each})r" for each in range(2, 10)]
)
"""Eight deletes, and eight reads any of which may have seen any of these: too many ways to try."""


def test_of_too_many_ways_to_read_a_history_only_the_latest_is_tried() -> None:
    assert judged(MANY).status is Status.VALID
    verdict = judged(f"{MANY} 0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r")
    assert verdict.status is Status.UNKNOWN
    assert "9 reads may have seen one of several writes" in verdict.summary


def test_what_is_linearizable_is_right_however_many_ways_there_are_to_read_it() -> None:
    """The last delete had begun when the last null was read, and took effect later than all else."""
    text = f"{MANY} 1(r 0(w1 0)w1 0(w 1)r 1(r 1)r1 0)w"
    assert judged(text).status is Status.VALID
    assert Causal().check(history(text)).status is Status.VALID


def test_an_indeterminate_cas_may_have_seen_what_was_written_later() -> None:
    assert judged("0(c12 0?c12 1(w1 1)w1 1(r 1)r2").status is Status.VALID
    assert judged("0(c12 0)c12 1(w1 1)w1 1(r 1)r2").details["anomaly"] == "thin-air read"
    late = judged("0(w1 0)w1 0(c2 0?c2 1(w 1)w 1(r 1)r2".replace("c2", "c12"))
    assert late.status is Status.VALID


def test_an_indeterminate_cas_of_what_nobody_wrote_did_not_happen() -> None:
    verdict = judged("0(c78 0?c78 1(c89 1?c89 2(r 2)r9")
    assert "the only write of 9 was a cas of what nobody wrote" in verdict.summary
    assert verdict.details["operations"][0]["process"] == 2
    assert judged("0(c78 0?c78 1(w8 1)w8 2(r 2)r8").status is not Status.INVALID


def test_where_no_operation_was_obliged_nothing_is_claimed() -> None:
    assert judged("0(w1 0)w1 1(r 1)r").status is Status.VACUOUS
    verdict = judged("0(w1 0)w1 1(r 1)r1 1(r 1)r1")
    assert verdict.status is Status.VALID
    assert {part.checker: part.status.value for part in verdict.parts} == {
        "read-your-writes": "vacuous",
        "monotonic-reads": "valid",
        "monotonic-writes": "vacuous",
        "writes-follow-reads": "vacuous",
    }
    assert "nothing was obliged by read-your-writes, monotonic-writes" in verdict.summary
    obliged = "0(w1 0)w1 0(r 0)r1 0(w2 0)w2 0(r 0)r2"
    counts = {part.checker: part.details["obliged"] for part in judged(obliged).parts}
    assert list(counts.values()) == [2, 1, 1, 1]


def test_each_session_is_told_with_its_violating_operations() -> None:
    verdict = judged("0(w1 0)w1 0(r 0)r 0(r 0)r 1(w2 1)w2 1(r 1)r 2(r 2)r2")
    assert verdict.details["violating_sessions"] == 2
    assert verdict.parts[0].details["by_session"] == [
        {"process": 0, "violating": 3, "first": [0, 2, 4]},
        {"process": 1, "violating": 2, "first": [6, 8]},
    ]


def test_a_contradiction_is_told_from_write_to_write() -> None:
    leaf = judged("0(w1 0)w1 0(w2 0)w2 0(r 0)r1").parts[0]
    told = [
        sentence.split(" (")[0] + " after " + sentence.split(" after ")[1].split(" (")[0]
        for sentence in leaf.details["explanation"][1:]
    ]
    assert sorted(told) == [
        "monotonic writes: process 0 wrote 2 after process 0 wrote 1",
        "read your writes: process 0 read 1 after process 0 wrote 2",
    ]


@pytest.mark.parametrize("value", ["7", "9"])
def test_a_value_out_of_thin_air_breaks_whatever_is_asked(value: str) -> None:
    verdict = judged(f"1(w9 1xw9 0(w1 0)w1 0(r 0)r{value}")
    assert verdict.status is Status.INVALID
    assert verdict.details["anomaly"] == "thin-air read"
    assert ("nobody wrote 7" if value == "7" else "only write of 9 had failed") in verdict.summary


def test_what_nobody_knows_to_have_happened_obliges_nobody_until_it_is_seen() -> None:
    assert judged("0(w1 0?w1 0(r 0)r 0(r 0)r").status is Status.VALID
    assert judged("0(w1 0?w1 0(r 0)r1 0(r 0)r").status is Status.INVALID
    assert judged("0(w1 0?w1 0(w2 0)w2 1(r 1)r2 1(r 1)r1").status is Status.VALID
    assert judged("0(w1 0)w1 0(w2 0)w2 1(r 1)r2 1(r 1)r1").status is Status.INVALID


@pytest.mark.parametrize("level", ["linearizable", "sequential", "causal"])
@pytest.mark.parametrize("seed", range(3))
def test_stronger_stores_are_acquitted(level: Any, seed: int) -> None:
    assert Sessions().check(recorded(Random(seed), level, 400, 5, 3, 0.05)).status is Status.VALID


@pytest.mark.parametrize("seed", range(3))
def test_clients_that_change_replicas_are_convicted(seed: int) -> None:
    verdict = Sessions().check(recorded(Random(seed), "roaming", 400, 5, 3, 0.05))
    assert verdict.status is Status.INVALID
    assert 1 <= verdict.details["violating_sessions"] <= verdict.details["sessions"]


def test_other_operations_are_refused_by_name() -> None:
    with pytest.raises(HistoryError, match="'enqueue' is not an operation of a register"):
        Sessions().check(
            [Op(process=0, f="enqueue", value=1), Op(process=0, type="ok", f="enqueue", value=1)]
        )


def test_what_each_guarantee_obliges_is_counted() -> None:
    events = history("0(w9 0)w9 0(w1 0)w1 0(w2 0)w2 0(r 0)r2 0(r 0)r2 0(w3 0)w3 1(r 1)r3 1(w4 1)w4")
    obliged = {part.checker: part.details["obliged"] for part in Sessions().check(events).parts}
    assert obliged == {
        "read-your-writes": 2,
        "monotonic-reads": 1,
        "monotonic-writes": 3,
        "writes-follow-reads": 2,
    }


def test_who_then_reads_what_he_wrote_last_is_no_part_of_it() -> None:
    verdict = Sessions().check(history("0(w1 0)w1 0(r 0)r 0(r 0)r1"))
    assert verdict.details["by_session"] == [{"process": 0, "violating": 2, "first": [0, 2]}]
