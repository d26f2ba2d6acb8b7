"""What is known of a run while it goes, from its events."""

from __future__ import annotations

from typing import Any

from checkers.history import NEMESIS, Op
from harness.ledger import Requested
from harness.plan import Plan
from harness.report.live_state import LiveState

S = 1_000_000_000
FAULTS = (
    Requested("partition", frozenset({"partition"}), frozenset({"heal-partition"})),
    Requested("clients", frozenset({"cut-clients"}), frozenset({"heal-clients"})),
)


def state() -> LiveState:
    return LiveState(Plan(time_limit_s=40), FAULTS)


def nemesis(seen: LiveState, f: str, at_s: float, value: Any = None, error: str | None = None) -> None:
    at = round(at_s * S)
    seen.on_op(Op(time=at, process=NEMESIS, type="info", f=f))
    seen.on_op(Op(time=at, process=NEMESIS, type="info", f=f, value=value, error=error))


def served(seen: LiveState, at_s: float, took_ms: int = 1) -> None:
    at = round(at_s * S)
    seen.on_op(Op(time=at - took_ms * S // 1000, process=1, f="read"))
    seen.on_op(Op(time=at, process=1, type="ok", f="read"))


def test_who_is_cut_from_whom_is_known_until_it_is_healed() -> None:
    seen = state()
    nemesis(seen, "partition", 1, {"bit": True, "grudge": {"n1": ["n2"]}})
    assert seen.deaf == {"n1": ["n2"]}
    nemesis(seen, "heal-partition", 2, error="n1 does not answer")
    assert seen.deaf == {"n1": ["n2"]}
    assert set(seen.active) == {"partition"}
    nemesis(seen, "heal-partition", 3)
    assert (seen.deaf, seen.active) == ({}, {})


def test_which_nodes_clients_cannot_reach_is_known_until_it_is_healed() -> None:
    seen = state()
    nemesis(seen, "cut-clients", 1, {"bit": True, "nodes": ["n4"]})
    assert seen.cut_off == ["n4"]
    nemesis(seen, "heal-clients", 3)
    assert seen.cut_off == ()


def test_a_partition_that_could_not_be_made_cuts_nobody_off() -> None:
    seen = state()
    nemesis(seen, "partition", 1, {"grudge": {"n1": ["n2"]}}, error="no")
    assert seen.deaf == {}


def test_a_fault_is_in_every_bucket_from_its_beginning_to_its_end() -> None:
    seen = state()
    served(seen, 0.5)
    nemesis(seen, "partition", 1.5, {"bit": True, "grudge": {}})
    served(seen, 4.5)
    nemesis(seen, "heal-partition", 5.5)
    served(seen, 8.5)
    assert [bucket.faults for bucket in seen.buckets] == [0, 1, 1, 1, 1, 1, 0, 0]


def test_each_bucket_has_what_was_ok_in_it_and_the_slowest_of_a_hundred() -> None:
    seen = state()
    for number in range(100):
        served(seen, 0.2 + number / 200, took_ms=100 - number)
    served(seen, 1.5, took_ms=7)
    served(seen, 3.5)
    assert [(bucket.ok, bucket.p99_ms) for bucket in seen.buckets] == [(100, 99.0), (1, 7.0), (0, None)]
    assert seen.p99_ms == 7.0
    assert seen.completed == 102
