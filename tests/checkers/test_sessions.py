"""Session guarantees of registers: planted anomalies, correct stores, versions, and what is not known."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

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
        Sessions().check(versioned(*[(p, k, f, v, None) for p, k, f, v, _ in events])).status is Status.VALID
    )
    mixed = [*events[:3], (0, "ok", "write", 2, "b")]
    with pytest.raises(HistoryError, match="versions of key x"):
        Sessions().check(versioned(*mixed))


def test_a_read_of_a_value_that_several_may_have_written_is_not_guessed_at() -> None:
    deleted = "0(w1 0)w1 0(w 0)w 0(w2 0)w2 0(r 0)r"
    assert judged(deleted).status is Status.UNKNOWN
    assert "may have seen one of several writes" in judged(deleted).summary
    assert judged("0(w1 0)w1 0(w 0)w 0(r 0)r").status is Status.VALID


@pytest.mark.parametrize("value", ["7", "9"])
def test_a_value_out_of_thin_air_breaks_whatever_is_asked(value: str) -> None:
    verdict = judged(f"1(w9 1xw9 0(w1 0)w1 0(r 0)r{value}")
    assert verdict.status is Status.INVALID
    assert verdict.details["anomaly"] == "thin-air read"
    assert ("nobody wrote 7" if value == "7" else "only write of 9 had failed") in verdict.summary


def test_what_nobody_knows_to_have_happened_obliges_nobody_until_it_is_seen() -> None:
    assert judged("0(w1 0?w1 0(r 0)r").status is Status.VALID
    assert judged("0(w1 0?w1 0(r 0)r1 0(r 0)r").status is Status.INVALID


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
