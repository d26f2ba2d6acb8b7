from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from checkers.verdict import Status
from harness.context import Context
from harness.generator import PENDING
from store.core.messages import Cas, Done, Found, Get, Put
from workloads.register import KEYS_IN_USE, OPS_PER_KEY, Register

CTX = Context(0, (0,), (0,), {0: 0})


def some(level: str, count: int, seed: int = 1) -> list[Op]:
    """The first operations, each completed at once by a store that always says yes."""
    generator = Register(level, 60).generator(seed)
    ops = []
    for _ in range(count):
        answer = generator.op(CTX)
        assert isinstance(answer, tuple)
        op, rest = answer
        assert rest is not None
        ops.append(op)
        generator = rest.update(CTX, op).update(
            CTX, Op(type="ok", process=0, f=op.f, key=op.key, value=op.value)
        )
    return ops


def test_it_reads_writes_and_compares_and_only_linearizable_has_cas() -> None:
    assert set(Counter(op.f for op in some("linearizable", 100))) == {"read", "write", "cas"}
    assert set(Counter(op.f for op in some("quorum", 100))) == {"read", "write"}


def test_a_few_keys_are_in_use_at_a_time_and_each_is_retired() -> None:
    ops = some("linearizable", 3 * KEYS_IN_USE * OPS_PER_KEY)
    per_key = Counter(op.key for op in ops)
    assert len(per_key) == 3 * KEYS_IN_USE
    assert max(per_key.values()) < 2 * OPS_PER_KEY
    for start in range(0, len(ops), KEYS_IN_USE * OPS_PER_KEY):
        assert len({op.key for op in ops[start : start + KEYS_IN_USE * OPS_PER_KEY]}) == KEYS_IN_USE


def test_no_value_is_written_twice() -> None:
    written = [
        op.value[1] if op.f == "cas" else op.value for op in some("linearizable", 2000) if op.f != "read"
    ]
    assert len(set(written)) == len(written)


def test_a_cas_expects_what_its_key_was_last_seen_to_hold() -> None:
    latest: dict[str | None, int] = {}
    for op in some("linearizable", 1000):
        if op.f == "cas":
            assert op.value[0] == latest.get(op.key)
        if op.f != "read":
            latest[op.key] = op.value[1] if op.f == "cas" else op.value


@given(st.integers(0, 2**63 - 1), st.integers(0, 30))
def test_asking_twice_gives_the_same_answer(seed: int, count: int) -> None:
    generator = Register("linearizable", 60).generator(seed)
    for _ in range(count):
        answer = generator.op(CTX)
        assert answer == generator.op(CTX)
        assert isinstance(answer, tuple)
        assert answer[1] is not None
        generator = answer[1]
    assert generator.op(CTX._replace(free=())) is PENDING


@pytest.mark.parametrize(
    ("op", "body"),
    [
        (Op(f="read", key="k"), Get("k", "linearizable")),
        (Op(f="write", key="k", value=7), Put("k", b"7", "linearizable")),
        (Op(f="cas", key="k", value=[7, 8]), Cas("k", b"7", b"8", "linearizable")),
        (Op(f="cas", key="k", value=[None, 8]), Cas("k", None, b"8", "linearizable")),
    ],
)
def test_operations_as_requests(op: Op, body: object) -> None:
    assert Register("linearizable", 60).encode(op) == body


def test_responses_as_completions() -> None:
    register = Register("linearizable", 60)
    assert register.decode(Op(f="read", key="k"), Found(1, b"12")).value == 12
    assert register.decode(Op(f="read", key="k"), Found(1, None)).value is None
    assert register.decode(Op(f="write", key="k", value=3), Done(1)).type == "ok"
    assert register.changes_nothing(Op(f="read"))
    assert not register.changes_nothing(Op(f="cas", value=[1, 2]))


@pytest.mark.parametrize("data", [b"", b"012", b"+1", b"1_2", b" 1", b"\xff\x00", b"garbage", b"1" * 9999])
def test_a_value_that_nobody_can_have_written_is_read_as_it_is_and_convicted(data: bytes) -> None:
    register = Register("linearizable", 60)
    read = register.decode(Op(process=0, f="read", key="k"), Found(1, data))
    assert (read.type, isinstance(read.value, str)) == ("ok", True)
    (checker,) = register.checkers()
    assert checker.check([Op(process=0, f="read", key="k"), read]).status is Status.INVALID
    assert register.generator(1).update(CTX, read) == register.generator(1), "no cas expects it"


def test_its_checker_convicts_a_stale_read_on_one_key_among_many() -> None:
    history = []
    for index, key in enumerate(f"r{i}" for i in range(20)):
        for f, value in [("write", index), ("read", index)]:
            for kind in ("invoke", "ok"):
                history.append(Op(process=0, type=kind, f=f, key=key, value=value))  # type: ignore[arg-type]
    (checker,) = Register("linearizable", 60).checkers()
    assert checker.check(history).status is Status.VALID
    history += [Op(process=0, type=kind, f="read", key="r7", value=None) for kind in ("invoke", "ok")]  # type: ignore[arg-type]
    assert checker.check(history).status is Status.INVALID
