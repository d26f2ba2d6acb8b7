"""Draws are functions of a seed and a position: the same everywhere, and uniform enough."""

import subprocess
import sys
from collections import Counter

import pytest

from harness.draw import choice, fork, mix64, shuffled, uniform_int


def test_the_numbers_are_those_of_splitmix64() -> None:
    # The reference implementation's first outputs for the seed 1234567.
    assert [mix64(1234567, i) for i in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_a_large_or_negative_seed_is_a_seed() -> None:
    assert 0 <= mix64(-5, 0) < 2**64
    assert mix64(2**64 + 7, 3) == mix64(7, 3)


def test_every_number_below_n_is_drawn_about_as_often() -> None:
    counts = Counter(uniform_int(42, 10, i) for i in range(10_000))
    assert set(counts) == set(range(10))
    assert max(abs(count - 1000) for count in counts.values()) < 150


def test_below_one_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        uniform_int(1, 0)


def test_a_choice_is_one_of_the_options_and_all_come_up() -> None:
    assert {choice(mix64(1, i), "abc") for i in range(100)} == set("abc")


def test_a_shuffle_is_a_permutation_and_every_item_gets_everywhere() -> None:
    orders = [tuple(shuffled(mix64(9, i), "abcd")) for i in range(5000)]
    assert {tuple(sorted(order)) for order in orders} == {tuple("abcd")}
    counts = Counter(orders)
    assert len(counts) == 24
    assert min(counts.values()) > 140


def test_forks_differ_by_name_and_by_seed() -> None:
    assert len({fork(seed, name) for seed in range(50) for name in ("a", "b", "ab")}) == 150


def test_forks_do_not_depend_on_the_hash_seed() -> None:
    code = "from harness.draw import fork; print(fork(7, 'faults'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {b"%d\n" % fork(7, "faults")}
