"""Rates, pauses and time limits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.generator import Pending
from harness.generators import (
    any_of,
    clients,
    delay,
    limit,
    mix,
    nemesis,
    phases,
    repeat,
    sequence,
    sleep,
    stagger,
    time_limit,
)
from tests.support.simulate import S, context, endless, invocations, names, perfect, quick, simulate

A, B = Op(f="a"), Op(f="b")


def test_the_first_staggered_operation_comes_at_once_and_waits_are_at_most_twice_the_mean() -> None:
    times = [op.time for op in quick(stagger(1, repeat(A), seed=3))]
    waits = [after - before for before, after in pairwise(times)]
    assert times[0] == 0
    assert 0 <= min(waits) < 0.01 * S
    assert 1.99 * S < max(waits) <= 2 * S


@pytest.mark.parametrize("concurrency", [1, 10])
def test_the_rate_of_stagger_is_over_all_threads(concurrency: int) -> None:
    ops = quick(clients(stagger(0.01, repeat(A), seed=1)), concurrency, ops_max=4000)
    assert ops[-1].time / S == pytest.approx(40, rel=0.05)


def test_late_polls_do_not_lower_the_rate() -> None:
    # 8 ms of work on one thread, every 10 ms on average: the thread is often late, and catches up.
    history = simulate(clients(stagger(0.01, repeat(A), seed=1)), lambda op: (8_000_000, "ok"), 1, 4000)
    assert history[-1].time / S == pytest.approx(40, rel=0.1)


def test_slots_that_were_missed_for_long_are_gone() -> None:
    slow = simulate(
        clients(stagger(0.01, repeat(A), seed=1)),
        lambda op: (S if op.index == 0 else 0, "ok"),
        concurrency=1,
        ops_max=101,
    )
    assert slow[-1].time / S == pytest.approx(2, rel=0.25)


def test_delay_keeps_operations_apart() -> None:
    assert [op.time // S for op in quick(limit(3, delay(2, repeat(A))))] == [0, 2, 4]


def test_delay_counts_from_the_operation_that_really_came() -> None:
    history = simulate(clients(limit(3, delay(2, repeat(A)))), lambda op: (3 * S, "ok"), 1)
    assert [op.time // S for op in invocations(history)] == [0, 3, 6]


def test_a_sleep_holds_back_what_follows_and_counts_from_when_its_turn_came() -> None:
    ops = perfect(clients(phases(A, sequence(sleep(1), B))))
    assert [(op.f, op.time) for op in ops] == [("a", 0), ("b", S + 10)]


def test_a_sleep_begins_when_a_thread_in_scope_is_free() -> None:
    asked = sleep(1).op(context(1, time=5, busy=(0, NEMESIS)))
    assert asked == Pending()


def test_a_busy_neighbour_does_not_restart_a_sleep() -> None:
    ops = quick(any_of(clients(limit(300, delay(0.01, repeat(A)))), nemesis(sequence(sleep(1), B))))
    assert [op.time for op in ops if op.f == "b"] == [S]


def test_time_limit_counts_from_when_its_turn_came() -> None:
    ops = perfect(clients(phases(A, time_limit(1, delay(0.25, repeat(B))))))
    assert [op.time for op in ops if op.f == "b"] == [10 + i * S // 4 for i in range(4)]


def test_a_time_limit_ends_on_time_though_all_threads_are_busy() -> None:
    history = simulate(
        sequence(time_limit(1, clients(repeat(A))), Op(f="b", process=NEMESIS)),
        lambda op: (9 * S, "ok"),
    )
    assert [op.time for op in history if op.f == "b"] == [S, 10 * S]


def test_a_time_limit_of_nothing_gives_nothing() -> None:
    assert quick(time_limit(0, repeat(A))) == []


def test_a_time_limit_runs_though_its_first_operation_is_due_later() -> None:
    inner = time_limit(3, clients(Op(f="b", time=2 * S)))
    ops = quick(any_of(inner, limit(3, delay(1, repeat(A)))))
    assert names(ops) in ("aaba", "aaab")


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="a time in seconds of at least 0"):
        time_limit(bad, A)


@given(st.integers(0, 2**64), st.integers(1, 50), st.integers(1, 5), st.lists(st.integers(0, 90), min_size=1))
def test_no_operation_begins_after_the_time_limit(
    seed: int, limit_ns: int, concurrency: int, latencies: list[int]
) -> None:
    source = clients(
        mix(endless("a"), stagger(5e-9, endless("b"), seed), delay(7e-9, endless("c")), seed=seed)
    )
    history = simulate(
        time_limit(limit_ns / 1e9, source),
        lambda op: (latencies[op.index % len(latencies)], "ok"),
        concurrency,
        ops_max=50,
    )
    begun = invocations(history)
    assert begun[0].time == 0
    assert max(op.time for op in begun) < limit_ns


@given(st.integers(0, 2**64), st.lists(st.integers(0, 20_000_000), max_size=30))
def test_what_is_chosen_does_not_depend_on_how_often_we_ask(seed: int, polls: list[int]) -> None:
    source = any_of(
        clients(
            time_limit(0.1, stagger(0.002, mix(endless("a"), endless("b"), endless("c"), seed=seed), seed))
        ),
        nemesis(time_limit(0.1, sequence(sleep(0.01), A, sleep(0.02), B))),
    )
    extra = sorted(polls)

    def poll(now: int) -> int | None:
        return next((at for at in extra if at > now), None)

    asked_once = simulate(source, lambda op: (3_000_000, "ok"), 3)
    assert simulate(source, lambda op: (3_000_000, "ok"), 3, spurious_poll=poll) == asked_once
