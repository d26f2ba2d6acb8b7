"""Choosing between generators."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from harness.generators import any_of, clients, delay, limit, mix, nemesis, repeat, reserve, sequence, sleep
from tests.support.simulate import S, endless, names, perfect, quick, simulate

A, B, C = Op(f="a"), Op(f="b"), Op(f="c")


def test_any_of_gives_what_is_due_first() -> None:
    late = sequence(Op(f="b", time=20), Op(f="b", time=40))
    early = sequence(Op(f="a", time=10), Op(f="a", time=30))
    assert names(quick(any_of(late, early))) == "abab"


def test_those_that_are_due_together_take_turns() -> None:
    assert names(quick(any_of(repeat(A), repeat(B), repeat(C)), ops_max=7)) == "abcabca"


def test_any_of_ends_when_all_have_ended() -> None:
    assert names(quick(any_of(limit(1, repeat(A)), limit(3, repeat(B))))) == "abbb"
    assert quick(any_of()) == []


def test_a_busy_thread_keeps_nobody_else_waiting() -> None:
    history = simulate(any_of(nemesis(A), clients(limit(2, delay(1, B)))), lambda op: (90 * S, "ok"))
    assert next(op.time for op in history if op.f == "b") == 0


@given(st.integers(0, 2**64))
def test_a_mix_gives_every_generator_its_share(seed: int) -> None:
    counts = Counter(names(quick(mix(repeat(A), repeat(B), repeat(C), seed=seed), ops_max=900)))
    assert min(counts.values()) > 220
    assert max(counts.values()) < 380


def test_an_exhausted_generator_leaves_the_mix() -> None:
    assert sorted(names(quick(mix(limit(2, repeat(A)), limit(5, repeat(B)), seed=5)))) == list("aabbbbb")
    assert quick(mix(seed=1)) == []


def test_a_pending_generator_does_not_starve_the_others_of_a_mix() -> None:
    # In Jepsen the mix would stand still as soon as it drew the one that waits.
    waiting = nemesis(sequence(Op(f="a"), Op(f="a")))
    history = simulate(
        mix(
            waiting, limit(50, repeat(Op(f="b", process=0))), limit(50, repeat(Op(f="c", process=1))), seed=3
        ),
        lambda op: (10**6 if op.f == "a" else 1, "ok"),
    )
    assert sum(op.f in "bc" and op.type == "invoke" and op.time < 200 for op in history) == 100


def test_the_draws_of_a_mix_are_independent_when_one_is_pending() -> None:
    asleep = sequence(sleep(10**6), A)
    counts = Counter(names(quick(mix(asleep, repeat(B), repeat(C), repeat(A), seed=8), ops_max=3000)))
    assert counts["a"] == pytest.approx(1000, abs=120)
    assert counts["b"] == pytest.approx(1000, abs=120)


def test_a_sleep_in_a_mix_ends_on_time() -> None:
    ops = quick(mix(sequence(sleep(2), B), limit(40, delay(0.1, repeat(A))), seed=1))
    assert 2 * S <= next(op.time for op in ops if op.f == "b") < 3 * S


def test_the_same_seed_gives_the_same_mix_and_another_does_not() -> None:
    def word(seed: int) -> str:
        return names(quick(mix(repeat(A), repeat(B), seed=seed), ops_max=64))

    assert word(1) == word(1)
    assert word(1) != word(2)


def test_reserved_threads_take_turns_by_waiting_time() -> None:
    ops = perfect(clients(limit(100, reserve((3, endless("a")), default=endless("b")))), concurrency=4)
    assert Counter(op.f for op in ops) == {"a": 75, "b": 25}
