from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from checkers.convergence import Convergence
from checkers.history import Op
from checkers.last_reads import LastReads
from checkers.linear import Linearizable
from checkers.staleness import Staleness
from checkers.verdict import Status
from harness.cluster.pace import PACE
from harness.cluster.sim import SimOptions
from harness.context import Context
from harness.generator import Generator, Pending
from harness.plan import Plan
from store.core.messages import Delete, Done, Found, FoundCopies, Get, Inspect, Put
from store.core.options import QUIET
from tests.support.judged import judged
from workloads.final import PATIENCE_S, PAUSE_NS, Look
from workloads.kv import KEYS, Kv

CTX = Context(0, (0,), (0,), {0: 0})


def kv(level: str = "quorum", clocks_are_right: bool = True) -> Kv:
    return Kv(level, 3, clocks_are_right, 60)


def test_it_reads_writes_and_deletes_a_few_keys_and_every_value_is_new() -> None:
    generator: Generator | None = kv().generator(1)
    ops: list[Op] = []
    for _ in range(2000):
        assert generator is not None
        answer = generator.op(CTX)
        assert isinstance(answer, tuple)
        ops.append(answer[0])
        generator = answer[1]
    kinds = Counter("delete" if op.f == "write" and op.value is None else op.f for op in ops)
    assert kinds["read"] > kinds["write"] > 5 * kinds["delete"] > 0
    assert {op.key for op in ops} == {f"k{number}" for number in range(KEYS)}
    written = [op.value for op in ops if op.value is not None]
    assert len(set(written)) == len(written)


def test_what_it_asks_and_what_the_answers_mean() -> None:
    work = kv("one")
    assert work.encode(Op(f="read", key="k")) == Get("k", "one")
    assert work.encode(Op(f="write", key="k", value=7)) == Put("k", b"7", "one")
    assert work.encode(Op(f="write", key="k", value=None)) == Delete("k", "one")
    assert work.encode(Op(f="copies", key="k")) == Inspect("k")
    assert work.decode(Op(f="read", key="k"), Found(1, b"7")).value == 7
    assert work.decode(Op(f="write", key="k", value=7), Done(1)).type == "ok"
    copies = FoundCopies(1, {"n2": Found(0, None), "n1": Found(0, b"7")})
    assert work.decode(Op(f="copies", key="k"), copies).value == {"n1": 7, "n2": None}
    assert [work.changes_nothing(Op(f=f)) for f in ("read", "copies", "write")] == [True, True, False]


def test_at_level_linearizable_it_is_judged_by_order_and_at_all_others_by_convergence() -> None:
    names = [[type(checker) for checker in kv(level).checkers()] for level in ("linearizable", "one")]
    assert names == [[Linearizable, LastReads], [Convergence, Staleness, LastReads]]
    assert kv("one").stream() is None


def rounds(differ: int) -> tuple[int, int]:
    """How many looks it takes, and until when, if the copies of one key differ in so many rounds."""
    generator: Generator | None = Look(tuple([f"k{number}" for number in range(KEYS)]))
    now, asked = 0, 0
    while generator is not None:
        answer = generator.op(CTX._replace(time=now))
        if isinstance(answer, Pending):
            assert answer.until is not None
            now, generator = answer.until, answer.generator or generator
            continue
        if answer is None:
            break
        op, generator = answer
        asked += 1
        assert generator is not None
        value = {"n1": 1, "n2": 2 if op.key == "k3" and asked <= differ * KEYS else 1}
        generator = generator.update(CTX._replace(time=now), replace(op, type="ok", value=value))
    return asked, now


@pytest.mark.parametrize("differ", [0, 1, 5])
def test_it_looks_until_all_copies_are_equal(differ: int) -> None:
    asked, now = rounds(differ)
    assert asked == (differ + 1) * KEYS
    assert now == differ * PAUSE_NS


def test_its_patience_ends() -> None:
    _, now = rounds(10_000)
    assert now == PATIENCE_S * 1_000_000_000


PLAN = Plan(workload="kv", level="quorum", faults=("partition",), time_limit_s=30, seed=3)


def test_it_acquits_the_store_and_convicts_one_that_never_repairs(tmp_path: Path) -> None:
    assert judged(PLAN, tmp_path / "sound", options=SimOptions(core=PACE)).status is Status.VALID
    alone = replace(QUIET, hints_max=0)
    never = judged(replace(PLAN, seed=5), tmp_path / "never", options=SimOptions(core=alone))
    assert never.status is Status.INVALID
    assert "still differ" in never.summary


def test_it_tells_of_what_level_one_loses_and_does_not_convict_it(tmp_path: Path) -> None:
    plan = replace(PLAN, level="one")
    verdict = judged(plan, tmp_path, options=SimOptions(core=PACE))
    assert verdict.status is Status.VALID
