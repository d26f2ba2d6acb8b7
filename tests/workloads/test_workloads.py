"""The workloads set, set-full, counter, queue, monotonic, sessions and unique-ids."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness import catalog
from harness.cluster.pace import PACE
from harness.cluster.sim import SimOptions
from harness.context import Context
from harness.generator import PENDING, Generator
from harness.plan import Plan
from store.core.messages import (
    Body,
    Cas,
    ChangeElements,
    Done,
    Failed,
    Found,
    FoundCopies,
    FoundCount,
    FoundElements,
    Get,
    Increment,
    Inspect,
    Put,
    Response,
)
from tests.support.judged import judged
from workloads.base import Workload
from workloads.counter import CounterWork
from workloads.monotonic import MonotonicWork
from workloads.queue import Drain, QueueWork
from workloads.sessions import SessionsWork
from workloads.set import SetWork
from workloads.set_full import SetFullWork, demand_of
from workloads.unique_ids import UniqueIdsWork

CTX = Context(0, (0,), (0,), {0: 0})
LIN = "linearizable"
NAMES = ("set", "set-full", "counter", "queue", "monotonic", "sessions", "unique-ids")


def made(name: str, level: str) -> Workload:
    return catalog.WORKLOADS[name].make(Plan(workload=name, level=level))


def asked(work: Workload, count: int) -> list[Op]:
    generator: Generator | None = work.generator(1)
    ops: list[Op] = []
    for _ in range(count):
        assert generator is not None
        answer = generator.op(CTX)
        assert isinstance(answer, tuple)
        assert answer == generator.op(CTX), "asking twice changes nothing"
        assert generator.op(CTX._replace(free=())) is PENDING
        ops.append(answer[0])
        generator = answer[1]
    return ops


@pytest.mark.parametrize("level", [LIN, "quorum", "one,sloppy"])
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_asked_is_a_request(name: str, level: str) -> None:
    work = made(name, level)
    for op in asked(work, 200):
        body = work.encode(op)
        assert isinstance(body, Get | Put | Increment | ChangeElements)
        assert body.level == level
        assert body.key == op.key
    with pytest.raises(ValueError, match=f"{name} has .*'sing'"):
        work.encode(Op(f="sing", key="k"))


@pytest.mark.parametrize("name", NAMES)
def test_what_it_adds_or_writes_is_new_each_time(name: str) -> None:
    kinds = Counter(op.f for op in asked(made(name, LIN), 600))
    assert min(kinds.values()) > 100
    values = [op.value for op in asked(made(name, LIN), 600) if op.value is not None]
    if name != "counter":
        assert len(set(values)) == len(values)


def steps(work: Workload, op: Op, *responses: Response) -> tuple[list[Body], Op]:
    """What is asked for one operation, and how it ends."""
    bodies = []
    for response in responses:
        bodies.append(work.encode(op))
        op = work.decode(op, response)
    return bodies, op


ADD = Op(f="add", key="k", value=7)
INCREMENT = Op(f="increment", key="k")
GENERATE = Op(f="generate", key="k")
ENQUEUE, DEQUEUE = Op(f="enqueue", key="k", value=7), Op(f="dequeue", key="k")
READ = Op(f="read", key="k")


@pytest.mark.parametrize(
    ("work", "op", "held", "after", "value"),
    [
        (SetWork("cas", LIN), ADD, None, b"7", 7),
        (SetWork("cas", LIN), ADD, b"3,5", b"3,5,7", 7),
        (SetFullWork("cas", LIN, "linearizable"), ADD, b"3", b"3,7", 7),
        (CounterWork(LIN, True), ADD, None, b"7", 7),
        (CounterWork(LIN, True), replace(ADD, value=-2), b"1", b"-1", -2),
        (MonotonicWork(LIN), INCREMENT, None, b"1", 1),
        (MonotonicWork(LIN), INCREMENT, b"9", b"10", 10),
        (UniqueIdsWork(LIN), GENERATE, b"9", b"10", "k-10"),
        (QueueWork(LIN, 60), ENQUEUE, None, b"7", 7),
        (QueueWork(LIN, 60), ENQUEUE, b"3,5", b"3,5,7", 7),
        (QueueWork(LIN, 60), DEQUEUE, b"3,5", b"5", 3),
        (QueueWork(LIN, 60), DEQUEUE, b"3", b"", 3),
    ],
)
def test_it_looks_and_then_changes_what_it_saw(
    work: Workload, op: Op, held: bytes | None, after: bytes, value: Any
) -> None:
    bodies, done = steps(work, op, Found(1, held), Done(2))
    assert bodies == [Get("k", LIN), Cas("k", held, after, LIN)]
    assert (done.type, done.f, done.value) == ("ok", op.f, value)
    assert not work.changes_nothing(op)


@pytest.mark.parametrize(
    ("work", "op", "after"),
    [
        (SetWork("put", "quorum"), ADD, b"3,7"),
        (QueueWork("quorum", 60), ENQUEUE, b"3,7"),
        (UniqueIdsWork("quorum"), GENERATE, b"4"),
    ],
)
def test_where_there_is_no_cas_the_change_is_blind(work: Workload, op: Op, after: bytes) -> None:
    bodies, done = steps(work, op, Found(1, b"3"), Done(2))
    assert bodies == [Get("k", "quorum"), Put("k", after, "quorum")]
    assert done.type == "ok"


@pytest.mark.parametrize("held", [None, b""])
def test_a_dequeue_that_finds_nothing_is_done(held: bytes | None) -> None:
    bodies, done = steps(QueueWork(LIN, 60), DEQUEUE, Found(1, held))
    assert (len(bodies), done.type, done.value) == (1, "ok", None)


def test_convergent_types_are_changed_in_one_request() -> None:
    sets, counters = SetWork("set", "one"), CounterWork("one", False)
    assert steps(sets, ADD, Done(1)) == (
        [ChangeElements("k", (b"7",), (), "one")],
        replace(ADD, type="ok"),
    )
    assert steps(counters, ADD, Done(1)) == ([Increment("k", 7, "one")], replace(ADD, type="ok"))
    bodies, done = steps(MonotonicWork("one"), INCREMENT, Done(1))
    assert bodies == [Increment("k", 1, "one")]
    assert (done.type, done.f, done.value) == ("ok", "increment", None)


@pytest.mark.parametrize(
    ("work", "response", "value"),
    [
        (SetWork("set", "one"), FoundElements(1, (b"10", b"9", b"x")), [9, 10, "x"]),
        (SetWork("cas", LIN), Found(1, b"9,10"), [9, 10]),
        (SetWork("cas", LIN), Found(1, None), []),
        (CounterWork("one", False), FoundCount(1, -3), -3),
        (CounterWork(LIN, True), Found(1, b"-3"), -3),
        (CounterWork(LIN, True), Found(1, None), 0),
        (MonotonicWork("one"), FoundCount(1, 3), 3),
        (SessionsWork("one"), Found(1, b"3"), 3),
    ],
)
def test_what_a_read_shows(work: Workload, response: Response, value: Any) -> None:
    done = work.decode(READ, response)
    assert (done.type, done.f, done.value) == ("ok", "read", value)
    assert work.changes_nothing(READ)


def test_what_copies_show() -> None:
    look = Op(f="copies", key="k")
    odd = Failed(0, "too-large", "")
    for work, response, shown in (
        (SetWork("set", "one"), FoundElements(0, (b"3",)), [3]),
        (CounterWork("one", False), FoundCount(0, 3), 3),
        (SessionsWork("one"), Found(0, b"3"), 3),
    ):
        assert isinstance(work, SetWork | CounterWork | SessionsWork)
        assert work.encode(look) == Inspect("k")
        done = work.decode(look, FoundCopies(1, {"n2": odd, "n1": response}))
        assert done.value == {"n1": shown, "n2": repr(odd)}


def test_how_fresh_reads_of_a_set_must_be() -> None:
    levels = (LIN, "quorum", "r=1,w=3", "one", "quorum,sloppy", "r=1,w=1")
    demands = ["linearizable", "acknowledged", "acknowledged", "eventual", "eventual", "eventual"]
    assert [demand_of(level, 3) for level in levels] == demands


@pytest.mark.parametrize(
    ("level", "fault", "keeps"),
    [
        ("one", "rot", False),
        ("one", "kill", True),
        ("quorum", "rot", True),
        ("quorum,sloppy", "membership", False),
    ],
)
def test_what_one_copy_alone_has_may_be_lost_with_it(level: str, fault: str, keeps: bool) -> None:
    history = [Op(process=0, f="add", value=7), Op(process=0, type="ok", f="add", value=7)]
    lost = [Op(process=1, f="read"), Op(process=1, type="ok", f="read", value=[])]
    for name in ("set", "set-full"):
        work = catalog.WORKLOADS[name].make(Plan(workload=name, level=level, faults=(fault,)))
        assert (work.checkers()[0].check([*history, *lost]).status is Status.INVALID) == keeps
    lost[1] = replace(lost[1], value=0)
    work = catalog.WORKLOADS["counter"].make(Plan(workload="counter", level=level, faults=(fault,)))
    assert (work.checkers()[0].check([*history, *lost]).status is Status.INVALID) == keeps


def test_a_queue_is_drained_until_it_is_empty() -> None:
    drain: Generator = Drain("q")
    for value in (5, 6, None):
        answer = drain.op(CTX)
        assert isinstance(answer, tuple)
        op, left = answer
        assert left is not None
        assert left.op(CTX) is PENDING, "one at a time"
        drain = left.update(CTX, op).update(CTX, replace(op, type="ok", value=value))
    assert drain.op(CTX) is None


def test_draining_ends_where_nothing_is_answered() -> None:
    drain: Generator | None = Drain("q")
    asked_for = 0
    while drain is not None and (answer := drain.op(CTX)) is not None:
        assert isinstance(answer, tuple)
        op, left = answer
        assert left is not None
        drain = left.update(CTX, replace(op, type="fail"))
        asked_for += 1
    assert asked_for == 60


# Whole runs ------------------------------------------------------------------------------------------------

STORM = Plan(faults=("partition", "kill", "pause", "clock"), time_limit_s=6, fault_interval_s=1.5, rate=150)
SIM = SimOptions(core=PACE)


def verdict_on(plan: Plan, run_dir: Path, work: Workload | None = None) -> dict[str, Verdict]:
    whole = judged(plan, run_dir, options=SIM, workload=work)
    return {part.checker: part for part in whole.parts}


@pytest.mark.parametrize(
    ("name", "level"),
    [
        *[(name, LIN) for name in NAMES],
        ("set", "one"),
        ("set-full", "quorum"),
        ("counter", "quorum"),
        ("counter", "one,sloppy"),
    ],
)
def test_where_it_must_hold_it_holds(name: str, level: str, tmp_path: Path) -> None:
    parts = verdict_on(replace(STORM, workload=name, level=level, seed=3), tmp_path)
    faults = parts.pop("faults")
    assert faults.status in (Status.VALID, Status.VACUOUS)
    assert {part.status for part in parts.values()} == {Status.VALID}, parts
    assert name in parts


@pytest.mark.parametrize(
    ("name", "level"),
    [("queue", "quorum"), ("unique-ids", "quorum"), ("monotonic", "one"), ("sessions", "one")],
)
def test_where_it_cannot_hold_it_is_convicted(name: str, level: str, tmp_path: Path) -> None:
    parts = verdict_on(replace(STORM, workload=name, level=level, time_limit_s=12, seed=1), tmp_path)
    assert parts[name].status is Status.INVALID, parts


@pytest.mark.parametrize(
    "work",
    [SetWork("put", "one"), SetFullWork("set", "one", "acknowledged"), CounterWork("one", every_read=True)],
)
def test_more_than_a_level_promises_is_convicted(work: Workload, tmp_path: Path) -> None:
    """The canaries of the workloads that hold a level to what it promises."""
    parts = verdict_on(replace(STORM, level="one", time_limit_s=12, seed=1), tmp_path, work)
    assert parts[work.name].status is Status.INVALID, parts
