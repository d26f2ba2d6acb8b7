"""Which operations should have been served, from the nemesis' own operations."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.weather import SETTLING_NS, should_serve
from store.core.ownership.layout import Placement, first_layout
from workloads.queue import QueueWork
from workloads.register import Register

S = 1_000_000_000
NODES = ("n1", "n2", "n3", "n4", "n5")
PLACE = Placement(first_layout(NODES, 3))
LONG_AFTER = 10 * S + SETTLING_NS


def fault(f: str, at_s: float, value: Any = None, error: str | None = None) -> list[Op]:
    """The nemesis' operation: its invocation, and half a second later its completion."""
    began = Op(time=int(at_s * S), process=NEMESIS, type="info", f=f, value=value)
    return [
        began,
        Op(time=began.time + S // 2, process=NEMESIS, type="info", f=f, value=value, error=error),
    ]


def served(
    history: list[Op], node: str, at: int, f: str = "read", level: str = "quorum", key: str = "r0"
) -> bool:
    """Should `node` have served an operation that took a millisecond?"""
    judge = should_serve(history, NODES, 5, PLACE, Register(level, 60))
    value = {"read": None, "write": 1}[f]
    invoke = Op(time=at, process=NODES.index(node), f=f, key=key, value=value)
    completion = Op(time=at + S // 1000, process=invoke.process, type="ok", f=f, key=key)
    return bool(judge(invoke, completion))


(REPLICAS,) = PLACE.replicas("r0")
OTHERS = tuple(node for node in NODES if node not in REPLICAS)


def test_with_no_faults_everything_should_be_served() -> None:
    assert all(served([], node, 0) for node in NODES)


def test_nothing_is_owed_while_the_harness_stood_still_nor_until_things_have_settled() -> None:
    judge = should_serve([], NODES, 5, PLACE, Register("one", 60), [(3.0, 5.0)])

    def owed(from_s: float, until_s: float) -> bool:
        invoke = Op(time=int(from_s * S), process=0, f="read", key="r0")
        return bool(judge(invoke, Op(time=int(until_s * S), process=0, type="ok", f="read", key="r0")))

    settled_s = 5 + SETTLING_NS / S
    assert owed(2, 2.9)
    assert not owed(2.9, 3.1)
    assert not owed(3.5, 4)
    assert not owed(2, 9)
    assert not owed(settled_s - 0.1, settled_s)
    assert owed(settled_s, settled_s + 1)


@given(st.lists(st.integers(0, 40), unique=True), st.booleans(), st.integers(0, 40), st.integers(0, 40))
def test_none_of_many_times_that_it_stood_still_is_overlooked(
    edges: list[int], touching: bool, from_s: int, for_s: int
) -> None:
    spans = [*pairwise(map(float, sorted(edges)))][:: 1 if touching else 2]
    judge = should_serve([], NODES, 5, PLACE, Register("one", 60), spans)
    invoke = Op(time=from_s * S, process=0, f="read", key="r0")
    ok = Op(time=(from_s + for_s) * S, process=0, type="ok", f="read", key="r0")
    apart = [from_s >= ended + SETTLING_NS / S or from_s + for_s <= began for began, ended in spans]
    assert bool(judge(invoke, ok)) == all(apart)


def test_an_operation_that_never_completed_is_not_judged() -> None:
    judge = should_serve([], NODES, 5, PLACE, Register("one", 60))
    assert not judge(Op(process=0, f="read", key="r0"), None)


def test_nothing_is_owed_while_a_fault_begins_or_ends_nor_until_things_have_settled() -> None:
    history = fault("clock-bump", 1) + fault("pause", 10, {"nodes": [OTHERS[0]]})
    assert served(history, REPLICAS[0], 1 * S)
    assert not served(history, REPLICAS[0], 10 * S + S // 4)
    assert not served(history, REPLICAS[0], 10 * S + S // 2 + SETTLING_NS - S // 100)
    assert served(history, REPLICAS[0], LONG_AFTER + S // 2)
    assert not served(history, REPLICAS[0], 10 * S - 1)


@pytest.mark.parametrize(("begin", "end"), [("kill", "start"), ("pause", "resume")])
def test_a_node_that_is_away_owes_nothing_and_counts_for_nobody(begin: str, end: str) -> None:
    history = fault(begin, 10, {"nodes": list(REPLICAS[:2])})
    assert not served(history, REPLICAS[0], LONG_AFTER + S)
    assert not served(history, OTHERS[0], LONG_AFTER + S)
    assert served(history, OTHERS[0], LONG_AFTER + S, level="one")
    history += fault(end, 20, {"nodes": list(NODES)})
    assert served(history, OTHERS[0], LONG_AFTER + 11 * S)


def test_a_node_that_was_down_when_it_should_have_been_paused_is_up_when_it_starts() -> None:
    struck = {"nodes": [REPLICAS[0]]}
    history = fault("kill", 1, struck) + fault("pause", 2, struck) + fault("start", 10, struck)
    assert served(history, REPLICAS[0], LONG_AFTER + S)


def test_across_a_cut_only_what_the_coordinators_side_can_serve_is_owed() -> None:
    alone = REPLICAS[0]
    rest = [node for node in NODES if node != alone]
    grudge = {alone: rest} | {node: [alone] for node in rest}
    history = fault("partition", 10, {"shape": "one", "grudge": grudge})
    at = LONG_AFTER + S
    assert served(history, alone, at, level="one")
    assert not served(history, alone, at, level="quorum")
    assert not served(history, alone, at, level="linearizable")
    assert served(history, OTHERS[0], at, level="linearizable")
    assert not served(history, OTHERS[0], at, level="all")
    assert served(history, alone, at, level="r=1,w=3")
    assert not served(history, alone, at, f="write", level="r=1,w=3")


def test_a_one_way_cut_is_enough_to_lose_a_replica() -> None:
    deaf = {REPLICAS[0]: list(REPLICAS[1:])}
    history = fault("partition", 10, {"shape": "one-way", "grudge": deaf})
    assert not served(history, REPLICAS[0], LONG_AFTER + S)
    assert served(history, REPLICAS[1], LONG_AFTER + S)
    assert served(history + fault("heal-partition", 20), REPLICAS[0], LONG_AFTER + 11 * S)


@pytest.mark.parametrize(
    "unclear", [fault("meteor", 10), fault("kill", 10, {"nodes": ["n1"]}, error="no ssh")]
)
def test_what_is_not_understood_or_went_wrong_excuses_everything(unclear: list[Op]) -> None:
    assert not served(unclear, "n3", LONG_AFTER + 50 * S, level="one")


def test_what_is_owed_is_grouped_by_coordinator_and_by_stretches_without_change() -> None:
    judge = should_serve(fault("pause", 10, {"nodes": ["n5"]}), NODES, 5, PLACE, Register("one", 60))

    def group(process: int, at: int) -> tuple[str, ...]:
        return judge(*(Op(time=at, process=process, f="read", key="r0", type=t) for t in ("invoke", "ok")))  # type: ignore[arg-type]

    assert group(0, 0) == ("n1", "n1 from 0.0 s")
    assert group(6, 3 * S) == ("n2", "n2 from 0.0 s")
    assert group(0, LONG_AFTER + S) == ("n1", "n1 from 11.5 s")
    assert group(0, LONG_AFTER + 11 * S) == ("n1", "n1 from 21.5 s")
    assert group(4, LONG_AFTER + S) == ()


def test_a_start_that_failed_is_forgiven_once_one_succeeds() -> None:
    history = fault("kill", 5, {"nodes": ["n1"]}) + fault("start", 10, {"nodes": ["n1"]}, error="port in use")
    assert not served(history, "n1", LONG_AFTER + S)
    history += fault("start", 20, {"nodes": list(NODES)})
    assert served(history, "n1", LONG_AFTER + 11 * S)


def test_a_node_that_clients_cannot_reach_owes_them_nothing_and_does_its_part_for_others() -> None:
    struck = {"nodes": list(REPLICAS[:2])}
    history = fault("cut-clients", 10, struck)
    at = LONG_AFTER + S
    assert not served(history, REPLICAS[0], at, level="one")
    assert served(history, REPLICAS[2], at, level="all")
    assert served(history, OTHERS[0], at, level="linearizable")
    moved = history + fault("cut-clients", 20, {"nodes": [OTHERS[0]]})
    assert served(moved, REPLICAS[0], at + 10 * S)
    assert not served(moved, OTHERS[0], at + 10 * S)
    assert served(history + fault("heal-clients", 20), REPLICAS[0], at + 10 * S, level="one")


def test_a_cut_of_clients_that_went_wrong_excuses_everything_until_it_is_healed() -> None:
    history = fault("cut-clients", 10, {"nodes": ["n1"]}, error="no iptables")
    assert not served(history, "n3", LONG_AFTER + S, level="one")
    assert served(history + fault("heal-clients", 20), "n3", LONG_AFTER + 11 * S, level="one")


@pytest.mark.parametrize(
    ("f", "end"),
    [("packets", "packets-end"), ("disk-full", "disk-mend"), ("member-wipe", "members-restore")],
)
def test_what_cannot_be_told_from_the_operations_excuses_until_it_is_undone(f: str, end: str) -> None:
    history = fault(f, 10, {"nodes": ["n1"]})
    assert not served(history, "n3", LONG_AFTER + S, level="one")
    assert not served(history + fault(end, 20, error="no"), "n3", LONG_AFTER + 11 * S, level="one")
    assert served(history + fault(end, 20), "n3", LONG_AFTER + 11 * S, level="one")


@pytest.mark.parametrize("f", ["clock-bump", "strobe", "drift", "rot"])
def test_clocks_and_single_rotten_copies_keep_nobody_from_answering(f: str) -> None:
    assert served(fault(f, 10), "n3", LONG_AFTER, level="one")


def test_where_copies_rot_what_needs_every_copy_that_is_left_is_not_owed() -> None:
    history = fault("rot", 10, {"nodes": ["n1"]})
    at = LONG_AFTER + S
    assert served(history, OTHERS[0], 9 * S, level="all")
    assert served(history, OTHERS[0], at, level="quorum")
    assert not served(history, OTHERS[0], at, level="all")
    assert not served(history, OTHERS[0], at, f="write", level="r=1,w=3")
    away = fault("kill", 5, {"nodes": [REPLICAS[0]]})
    assert served(away, OTHERS[0], at, level="quorum")
    assert not served(away + history, OTHERS[0], at, level="quorum")


def test_a_node_whose_files_were_damaged_owes_nothing_any_more_though_it_was_started() -> None:
    struck = REPLICAS[0]
    history = fault("files-flip", 10, {"nodes": [struck]}) + fault("files-start", 20, {"nodes": list(NODES)})
    at = LONG_AFTER + 11 * S
    assert not served(history, struck, at, level="one")
    assert served(history, REPLICAS[1], at, level="quorum")
    assert not served(history, REPLICAS[1], at, level="all")
    assert served(history, OTHERS[0], at, level="linearizable")


def test_a_snapshot_of_files_harms_nobody_and_a_power_failure_is_over_when_they_are_started() -> None:
    assert served(fault("files-snapshot", 10, {"nodes": ["n3"]}), "n3", LONG_AFTER + S, level="one")
    failed = fault("files-snapshot", 10, {"nodes": ["n3"]}, error="no room") + fault("files-start", 20)
    assert served(failed, "n3", LONG_AFTER + 11 * S, level="one")
    history = fault("power-off", 10, {"nodes": ["n3"]})
    assert not served(history, "n3", LONG_AFTER + S, level="one")
    assert served(history + fault("power-on", 20, {"nodes": list(NODES)}), "n3", LONG_AFTER + 11 * S)


@pytest.mark.parametrize("kind", ["stress-cpu", "stress-memory"])
def test_what_is_slow_under_stress_is_excused_until_it_is_over(kind: str) -> None:
    history = fault(kind, 1, {"nodes": ["n1"]}) + fault("stress-end", 10)
    assert not served(history, REPLICAS[0], 5 * S)
    assert served(history, REPLICAS[0], LONG_AFTER + S // 2)


@pytest.mark.parametrize(("level", "owed"), [("r=1,w=3", False), ("r=3,w=1", False), ("one", True)])
def test_what_looks_and_then_changes_needs_replicas_for_both(level: str, owed: bool) -> None:
    history = fault("kill", 10, {"nodes": [REPLICAS[0]]})
    judge = should_serve(history, NODES, 5, PLACE, QueueWork(level, 60))
    invoke = Op(time=LONG_AFTER + S, process=NODES.index(OTHERS[0]), f="dequeue", key="r0")
    assert bool(judge(invoke, Op(time=invoke.time + 1, process=invoke.process, type="ok"))) == owed
