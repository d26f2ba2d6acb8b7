"""Changing, leaving out, reacting."""

import pytest
from msgspec.structs import replace

from checkers.history import Op
from harness.context import Context
from harness.generator import Generator, GeneratorError
from harness.generators import (
    clients,
    f_map,
    filter_ops,
    limit,
    map_ops,
    numbered,
    on_update,
    repeat,
    sequence,
    sleep,
)
from harness.generators.transform import OnUpdate
from tests.support.simulate import S, endless, names, perfect, quick

A, B = Op(f="a"), Op(f="b")


def test_numbered_gives_each_number_once_and_ends_with_none() -> None:
    ops = quick(numbered(lambda i: Op(f="a", value=i * i) if i < 4 else None))
    assert [op.value for op in ops] == [0, 1, 4, 9]


def test_map_changes_every_operation() -> None:
    ops = quick(limit(2, map_ops(lambda op: replace(op, key="k"), endless("a"))))
    assert [(op.key, op.value) for op in ops] == [("k", 0), ("k", 1)]


def test_f_map_renames_what_it_knows() -> None:
    assert names(quick(f_map({"a": "x"}, sequence(A, B)))) == "xb"


def test_filter_leaves_out() -> None:
    ops = quick(limit(3, filter_ops(lambda op: op.value % 2 == 1, endless("a"))))
    assert [op.value for op in ops] == [1, 3, 5]


def test_a_filter_waits_like_its_source() -> None:
    ops = quick(filter_ops(lambda op: op.f == "b", sequence(A, sleep(1), B)))
    assert [(op.f, op.time) for op in ops] == [("b", S)]


def test_a_filter_that_refuses_everything_is_found_out() -> None:
    with pytest.raises(GeneratorError, match="10000 operations in a row, the last of them 'a'"):
        quick(filter_ops(lambda op: False, repeat(A)))


def test_on_update_may_turn_into_something_else() -> None:
    def seen(this: OnUpdate, ctx: Context, event: Op) -> Generator:
        return limit(2, repeat(B)) if event.type == "ok" else this

    assert names(perfect(clients(on_update(seen, repeat(A))))) == "aabb"
