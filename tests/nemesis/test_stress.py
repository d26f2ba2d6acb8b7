from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from nemesis.stress import FRACTIONS, StressFault
from nemesis.targets import ByRoles, Target, draw_injection

FIVE = ("n1", "n2", "n3", "n4", "n5")
seeds = st.integers(min_value=0, max_value=2**64 - 1)


def drawn(choice: str | None, count: int = 60) -> list[Op]:
    fault = StressFault(FIVE, choice)
    return [fault._inject(seed) for seed in range(count)]


def test_both_kinds_all_targets_and_all_fractions_come_up() -> None:
    ops = drawn(None, 200)
    assert {op.f for op in ops} == StressFault.begins
    assert {len(op.value["nodes"]) for op in ops} == {1, 2, 3, 5}
    assert {op.value["fraction"] for op in ops if op.f == "stress-memory"} == set(FRACTIONS)
    assert not any("fraction" in op.value for op in ops if op.f == "stress-cpu")


@pytest.mark.parametrize(
    ("choice", "f", "sizes"),
    [
        ("cpu", "stress-cpu", {1, 2, 3, 5}),
        ("memory", "stress-memory", {1, 2, 3, 5}),
        ("cpu@all", "stress-cpu", {5}),
        ("memory@n1+n3", "stress-memory", {2}),
    ],
)
def test_a_kind_and_a_target_can_be_asked_for(choice: str, f: str, sizes: set[int]) -> None:
    ops = drawn(choice)
    assert {op.f for op in ops} == {f}
    assert {len(op.value["nodes"]) for op in ops} == sizes


@given(seeds)
def test_a_role_can_be_asked_for(seed: int) -> None:
    fault = StressFault(FIVE, "memory@steward")
    assert isinstance(fault, ByRoles)
    op = draw_injection(fault, "stress-memory", ("steward",), FIVE, seed)
    assert op.value == {"role": "steward", "seed": seed}
    struck = fault.aim("stress-memory", Target("steward", ["n2"]), seed)
    assert struck.value == {"target": "steward", "nodes": ["n2"], "fraction": struck.value["fraction"]}
    assert fault.aim("stress-cpu", Target("steward", ["n2"]), seed).value == {
        "target": "steward",
        "nodes": ["n2"],
    }


@pytest.mark.parametrize("choice", ["", "disk", "cpu+memory", "all"])
def test_another_kind_is_refused(choice: str) -> None:
    with pytest.raises(
        ValueError, match=f"^stress:{choice.replace('+', '.')}: must be cpu, memory, and after"
    ):
        StressFault(FIVE, choice)


def test_another_target_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^stress:cpu@n9: must be one, minority, majority, all, or nodes"):
        StressFault(FIVE, "cpu@n9")
