"""Sequences, rounds and limits."""

import pytest

from checkers.history import NEMESIS, Op
from harness.generator import GeneratorError, Pending
from harness.generators import (
    clients,
    cycle,
    flip_flop,
    limit,
    nemesis,
    on_threads,
    once,
    phases,
    repeat,
    sequence,
    sleep,
    synchronize,
    then,
    until_ok,
)
from harness.generators.leaf import as_generator
from tests.support.simulate import S, context, endless, imperfect, names, perfect, quick, simulate

A, B, C = Op(f="a"), Op(f="b"), Op(f="c")


def test_an_operation_is_emitted_once_with_process_and_time() -> None:
    assert as_generator(A).op(context(time=7)) == (Op(time=7, process=0, f="a"), None)


def test_an_operation_waits_for_a_free_thread() -> None:
    assert as_generator(A).op(context(1, busy=(0, NEMESIS))) == Pending()


def test_clients_are_served_before_the_nemesis_and_the_longest_waiting_first() -> None:
    assert [op.process for op in perfect(limit(5, repeat(A)), concurrency=2)] == [0, 1, NEMESIS, 0, 1]


def test_an_operation_with_a_time_is_due_then() -> None:
    ops = perfect(sequence(Op(f="a", time=50), Op(f="b", time=20)))
    assert [(op.f, op.time) for op in ops] == [("a", 50), ("b", 50)]


def test_an_operation_for_a_process_waits_until_that_one_is_free() -> None:
    ops = perfect(clients(sequence(Op(f="a", process=1), Op(f="b", process=1))))
    assert [(op.process, op.time) for op in ops] == [(1, 0), (1, 10)]


def test_an_operation_for_a_process_outside_the_scope_is_refused() -> None:
    with pytest.raises(GeneratorError, match=r"'a' is for process 9, .* its threads are 0, 1"):
        quick(clients(Op(f="a", process=9)))


def test_a_sequence_gives_each_in_turn_and_does_not_wait_for_completions() -> None:
    ops = perfect(clients(sequence(A, sequence(), B, C)))
    assert [(op.f, op.time) for op in ops] == [("a", 0), ("b", 0), ("c", 10)]


def test_the_empty_sequence_is_exhausted() -> None:
    assert quick(sequence()) == []


def test_limit_is_exact() -> None:
    assert [len(quick(limit(n, endless("a")))) for n in (0, 1, 7)] == [0, 1, 7]
    assert names(quick(once(endless("a")))) == "a"


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, not -1"):
        limit(-1, A)


def test_repeat_gives_the_first_operation_over_and_over() -> None:
    assert names(quick(repeat(sequence(A, B), 3))) == "aaa"
    assert names(quick(repeat(A), ops_max=5)) == "aaaaa"
    assert quick(repeat(A, 0)) == []


def test_cycle_gives_the_whole_over_and_over() -> None:
    assert names(quick(cycle(sequence(A, B), 2))) == "abab"
    assert names(quick(cycle(limit(2, sequence(A, B, C))), ops_max=5)) == "ababa"
    assert quick(cycle(A, 0)) == []


def test_cycling_nothing_ends() -> None:
    assert quick(cycle(sequence())) == []


def test_a_cycle_begins_its_sleeps_anew() -> None:
    ops = quick(nemesis(cycle(sequence(sleep(1), A, sleep(2), B), 2)))
    assert [(op.f, op.time // S) for op in ops] == [("a", 1), ("b", 3), ("a", 4), ("b", 6)]


def test_flip_flop_alternates_until_one_is_exhausted() -> None:
    assert names(quick(flip_flop(repeat(A), limit(2, repeat(B))))) == "ababa"


def test_phases_wait_until_all_is_completed() -> None:
    ops = perfect(clients(phases(limit(3, repeat(A)), sequence(B, B), C)), concurrency=2)
    assert [(op.f, op.time) for op in ops] == [("a", 0), ("a", 0), ("a", 10), ("b", 20), ("b", 20), ("c", 30)]


def test_then_reads_in_the_order_in_which_things_happen() -> None:
    assert [(op.f, op.time) for op in perfect(clients(then(A, B)))] == [("a", 0), ("b", 10)]


def test_synchronize_looks_at_its_own_scope_only() -> None:
    history = simulate(
        sequence(Op(f="a", process=NEMESIS), clients(synchronize(B))),
        lambda op: (100 if op.process == NEMESIS else 1, "ok"),
    )
    assert [(op.f, op.time) for op in history if op.type == "invoke"] == [("b", 0)]


def test_once_synchronized_it_goes_on_with_busy_threads() -> None:
    ops = perfect(clients(phases(A, sequence(B, B))))
    assert [op.time for op in ops] == [0, 10, 10]


def test_until_ok_ends_with_its_first_ok() -> None:
    history = imperfect(on_threads(lambda thread: thread == 0, until_ok(repeat(A))))
    assert [op.type for op in history if op.type != "invoke"] == ["fail", "info", "ok"]


def test_until_ok_ignores_the_success_of_others() -> None:
    others = simulate(
        clients(sequence(B, until_ok(repeat(A)))),
        lambda op: (5, "ok") if op.f == "b" else (10, "fail" if op.time < 30 else "ok"),
    )
    failed = [op for op in others if op.f == "a" and op.type == "fail"]
    assert len(failed) >= 3


def test_what_a_sequence_has_left_behind_hears_no_more_but_its_successor_does() -> None:
    history = simulate(clients(sequence(limit(2, repeat(B)), until_ok(repeat(A)))), lambda op: (10, "ok"))
    assert names([op for op in history if op.type == "invoke"]).startswith("bba")
    assert history[-1].type == "ok"
