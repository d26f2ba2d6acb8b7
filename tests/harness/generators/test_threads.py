"""Who carries out what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.generator import GeneratorError
from harness.generators import (
    any_of,
    clients,
    each_thread,
    limit,
    nemesis,
    on_threads,
    phases,
    process_limit,
    repeat,
    reserve,
    sequence,
    sleep,
    until_ok,
)
from tests.support.simulate import S, endless, imperfect, invocations, perfect, quick, simulate

A, B = Op(f="a"), Op(f="b")


def test_clients_and_nemesis_have_their_own_threads() -> None:
    ops = perfect(any_of(clients(limit(20, repeat(A))), nemesis(limit(5, repeat(B)))), concurrency=3)
    assert {op.process for op in ops if op.f == "a"} == {0, 1, 2}
    assert [op.process for op in ops if op.f == "b"] == [NEMESIS] * 5


def test_on_threads_hears_only_of_its_threads() -> None:
    # Thread 1 succeeds all the time; only thread 0's success may end it.
    history = simulate(
        any_of(
            on_threads(lambda thread: thread == 0, until_ok(repeat(A))),
            on_threads(lambda thread: thread == 1, limit(20, repeat(A))),
        ),
        lambda op: (10, "ok" if op.process == 1 else "fail" if op.time < 100 else "ok"),
    )
    assert sum(op.process == 0 and op.type == "fail" for op in history) == 10


def test_a_scope_that_no_thread_is_in_is_refused() -> None:
    with pytest.raises(GeneratorError, match="nemesis has no thread in its scope; there are 0, 1"):
        quick(clients(nemesis(A)))
    with pytest.raises(GeneratorError, match="on_threads has no thread"):
        quick(on_threads(lambda thread: thread == 5, A))


def test_each_thread_has_a_copy_of_its_own() -> None:
    ops = perfect(clients(each_thread(sequence(A, B))), concurrency=3)
    assert sorted((op.process, op.f) for op in ops) == [(p, f) for p in range(3) for f in "ab"]


def test_each_thread_outlives_its_processes() -> None:
    history = simulate(clients(each_thread(limit(3, endless("a")))), lambda op: (10, "info"), 2)
    assert sorted((op.process, op.value) for op in invocations(history)) == [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
    ]


def test_each_thread_sleeps_alone_and_all_at_once() -> None:
    ops = quick(phases(clients(each_thread(sequence(sleep(1), A))), Op(f="b")), concurrency=5)
    assert [op.time for op in ops] == [S] * 6


def test_each_thread_judges_its_own_success() -> None:
    history = simulate(
        clients(each_thread(until_ok(repeat(A)))),
        lambda op: (10, "ok" if op.time >= 100 * (1 + op.process) else "fail"),  # type: ignore[operator]
        3,
    )
    assert [op.process for op in history if op.type == "ok"] == [0, 1, 2]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 3))
def test_reserve_gives_each_its_own_threads(shares: list[int], others: int) -> None:
    reserved = sum(shares)
    sources = [(count, endless(str(key))) for key, count in enumerate(shares)]
    rest = endless("rest") if others else sequence()
    ops = perfect(clients(reserve(*sources, default=rest)), reserved + others, ops_max=100)
    owners = [str(key) for key, count in enumerate(shares) for _ in range(count)] + ["rest"] * others
    assert {(op.process, op.f) for op in ops} == set(enumerate(owners))


def test_the_default_of_reserve_has_the_nemesis_too() -> None:
    ops = quick(reserve((2, A), default=limit(3, repeat(B))), concurrency=2)
    assert [op.process for op in ops if op.f == "b"] == [NEMESIS] * 3


def test_reserve_goes_on_when_one_of_its_generators_has_ended() -> None:
    ops = perfect(clients(reserve((1, A), default=limit(5, repeat(B)))), concurrency=2)
    assert [(op.process, op.f) for op in ops] == [(0, "a")] + [(1, "b")] * 5


def test_reserve_hears_of_crashed_processes_of_its_threads() -> None:
    history = imperfect(clients(reserve((1, until_ok(repeat(A))), default=limit(9, repeat(B)))), 2)
    mine = [op for op in history if op.f == "a" and op.type != "invoke"]
    assert [(op.process, op.type) for op in mine] == [(0, "fail"), (0, "info"), (2, "ok")]


def test_reserving_more_threads_than_there_are_is_refused() -> None:
    with pytest.raises(GeneratorError, match="reserve wants 7 threads; there are 0, 1, 2"):
        quick(clients(reserve((3, A), (4, B), default=A)), concurrency=3)


@pytest.mark.parametrize("shares", [(), ((0, A),)])
def test_a_reserve_of_nothing_is_refused(shares: tuple[tuple[int, Op], ...]) -> None:
    with pytest.raises(ValueError, match="at least"):
        reserve(*shares, default=B)


def test_process_limit_ends_when_too_many_processes_have_been() -> None:
    # Two threads crash together: after 0, 1 and 2, 3 there would be 4 and 5, which is one too many.
    history = simulate(clients(process_limit(5, repeat(A))), lambda op: (10, "info"), 2)
    assert {op.process for op in history} == {0, 1, 2, 3}
