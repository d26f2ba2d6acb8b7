"""The last phases, and what the faults of a plan leave of a level's promises."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from checkers.history import Op, Type
from checkers.last_reads import by_writes
from checkers.verdict import Status
from harness import catalog
from harness.generators import clients
from harness.plan import Plan
from tests.support.simulate import simulate
from workloads.final import PATIENCE_S, TRIES, last_reads, look_and_read, read_everywhere
from workloads.queue import QUEUES
from workloads.unique_ids import SERIES

KEYS = ("a", "b", "c")
MS = 1_000_000


def test_every_client_reads_every_key() -> None:
    history = simulate(clients(read_everywhere(KEYS)), lambda op: (MS, "ok"), concurrency=4)
    asked = Counter((op.process, op.key) for op in history if op.type == "invoke")
    assert asked == {(process, key): 1 for process in range(4) for key in KEYS}
    assert {op.f for op in history} == {"read"}


def test_a_client_that_is_refused_asks_again_and_gives_up_in_the_end() -> None:
    def fate(op: Op) -> tuple[int, Type]:
        return MS, "fail" if (op.process, op.key) == (2, "b") else "ok"

    history = simulate(clients(read_everywhere(KEYS)), fate, concurrency=3)
    asked = Counter((op.process, op.key) for op in history if op.type == "invoke")
    assert asked[2, "b"] == TRIES
    assert asked[2, "c"] == 1, "and goes on with the next key"


def test_patience_ends_however_many_keys_there_are() -> None:
    keys = tuple([f"k{number}" for number in range(50)])
    history = simulate(clients(read_everywhere(keys)), lambda op: (1000 * MS, "fail"), concurrency=2)
    assert history[-1].time <= (PATIENCE_S + 1) * 1000 * MS


def test_nobody_reads_before_the_copies_were_seen_equal_or_patience_has_ended() -> None:
    def fate(op: Op) -> tuple[int, Type]:
        return MS, "fail" if op.f == "copies" else "ok"

    history = simulate(clients(look_and_read(KEYS)), fate, concurrency=2)
    kinds = [op.f for op in history if op.type == "invoke"]
    assert kinds == ["copies"] * kinds.count("copies") + ["read"] * 6
    first = next(op for op in history if op.f == "read")
    assert PATIENCE_S * 1000 * MS <= first.time <= (PATIENCE_S + 1) * 1000 * MS


@pytest.mark.parametrize("workload", ["queue", "unique-ids"])
def test_all_queues_and_series_are_asked_at_the_end(workload: str) -> None:
    work = catalog.WORKLOADS[workload].make(Plan(workload=workload, level="linearizable"))
    final = work.final()
    assert final is not None
    history = simulate(clients(final), lambda op: (MS, "ok"), concurrency=3, ops_max=200)
    assert {op.key for op in history} == set(QUEUES if workload == "queue" else SERIES)
    refused = work.final()
    assert refused is not None
    history = simulate(clients(refused), lambda op: (1000 * MS, "fail"), concurrency=3, ops_max=5000)
    assert history[-1].time <= (PATIENCE_S + 1) * 1000 * MS


def test_at_sloppy_levels_what_is_read_is_not_compared() -> None:
    write = [Op(process=0, type=kind, f="write", key="k", value=1) for kind in ("invoke", "ok")]
    reads = [
        each
        for value in (1, None)
        for each in (
            Op(process=1, f="read", key="k"),
            Op(process=1, type="ok", f="read", key="k", value=value),
        )
    ]
    told = {
        level: last_reads(level, by_writes).check([*write, *reads]).status for level in ("one", "one,sloppy")
    }
    assert told == {"one": Status.INVALID, "one,sloppy": Status.VALID}


def op(process: int, f: str, value: object, told: object = None) -> list[Op]:
    asked = Op(process=process, f=f, key="k", value=value)
    return [asked, replace(asked, type="ok", value=told)]


@pytest.mark.parametrize(
    ("level", "fault", "held"),
    [
        ("quorum", "partition", True),
        ("quorum", "rot", True),
        ("quorum", "clock", False),
        ("quorum", "strobe", False),
        ("quorum", "drift", False),
        ("r=3,w=1", "partition", True),
        ("r=3,w=1", "rot", False),
        ("quorum,sloppy", "partition", False),
        ("one", "partition", False),
    ],
)
def test_kv_is_held_to_acknowledged_writes_where_quorums_overlap_clocks_are_right_and_copies_are_safe(
    level: str, fault: str, held: bool
) -> None:
    checkers = catalog.WORKLOADS["kv"].make(Plan(workload="kv", level=level, faults=(fault,))).checkers()
    by_name = {checker.name: checker for checker in checkers}
    two = [*op(0, "write", 1), *op(0, "write", 2)]
    stale = by_name["staleness"].check([*two, *op(1, "read", None, 1)])
    lost = by_name["convergence"].check([*two, *op(1, "copies", None, {"n1": 1, "n2": 1})])
    assert {stale.status, lost.status} == {Status.INVALID if held else Status.VALID}


@pytest.mark.parametrize(
    ("level", "fault", "keeps"),
    [("one", "rot", False), ("one", "partition", True), ("quorum", "membership", True)],
)
def test_carts_may_lose_what_one_copy_alone_had_when_copies_are_destroyed(
    level: str, fault: str, keeps: bool
) -> None:
    work = catalog.WORKLOADS["cart"].make(Plan(workload="cart", level=level, faults=(fault,)))
    history = [*op(0, "add", {"item": 7}), *op(1, "read", None, {"items": []})]
    history += op(0, "copies", None, {"n1": [], "n2": []})
    verdict = work.checkers()[0].check(history)
    assert verdict.status is (Status.INVALID if keeps else Status.VALID)
    assert "1 acknowledged adds are lost (7)" in verdict.summary
    assert ("which is allowed here" in verdict.summary) != keeps


@pytest.mark.parametrize(("fault", "held"), [("partition", True), ("rot", False)])
def test_carts_may_be_stale_where_the_only_copy_may_be_destroyed(fault: str, held: bool) -> None:
    work = catalog.WORKLOADS["cart"].make(Plan(workload="cart", level="r=3,w=1", faults=(fault,)))
    history = [*op(0, "add", {"item": 7}), *op(1, "read", None, {"items": []})]
    history += op(0, "copies", None, {"n1": [7], "n2": [7]})
    assert work.checkers()[0].check(history).status is (Status.INVALID if held else Status.VALID)
