"""Causal consistency: the bad patterns by name, correct stores, and what is not judged."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from checkers.causal import Causal
from checkers.causal.memory import ACCESSES_MAX
from checkers.clocks import Clocks
from checkers.verdict import Status, Verdict
from tests.support.histories import history
from tests.support.replicas import recorded

DISAGREE = "0(w1 1(w2 0)w1 1)w2 2(r 2)r1 2(r 2)r2 3(r 3)r2 3(r 3)r1"


def statuses(verdict: Verdict) -> dict[str, str]:
    return {part.checker: part.status.value for part in verdict.parts}


@pytest.mark.parametrize(
    ("text", "anomaly"),
    [
        ("0(w1 0)w1 0(r 0)r", "WriteCOInitRead"),
        ("0(w1 0)w1 0(w2 0)w2 1(r 1)r2 1(r 1)r1", "WriteCORead"),
        ("0(c21 1(c12 0)c21 1)c12", "CyclicCO"),
        ("0(r 0)r1 1(w1 1)w1", "thin-air read"),
        (DISAGREE, "CyclicCF"),
    ],
)
def test_a_bad_pattern_is_named_and_its_circle_shown(text: str, anomaly: str) -> None:
    verdict = Causal().check(history(text))
    assert verdict.status is Status.INVALID
    assert verdict.details["anomaly"] == anomaly
    shown = [part for part in (verdict, *verdict.parts) if part.details.get("operations")]
    assert len(shown) == 1
    assert len(shown[0].details["explanation"]) >= 1
    assert len(shown[0].details["operations"]) <= 4


def test_sessions_may_disagree_about_concurrent_writes_unless_they_converge() -> None:
    assert statuses(Causal().check(history(DISAGREE))) == {"cc": "valid", "ccv": "invalid", "cm": "valid"}
    assert Causal("cc").check(history(DISAGREE)).status is Status.VALID


def test_a_session_that_needs_two_orders_breaks_causal_memory_only() -> None:
    """The example (b) of the paper's figure 2 in spirit: each read has an order, the session has none."""
    text = "0(w1 1(w2 0)w1 1(r 1)r1 1(r 1)r2 1)w2"
    assert Causal("cm").check(history("0(w1 1(w2 0)w1 1)w2 1(r 1)r1 1(r 1)r2")).status is Status.INVALID
    with pytest.raises(Exception, match="outstanding"):
        Causal().check(history(text))


@pytest.mark.parametrize("level", ["linearizable", "sequential", "causal"])
@pytest.mark.parametrize("seed", range(3))
def test_stronger_stores_are_acquitted(level: Any, seed: int) -> None:
    verdict = Causal().check(recorded(Random(seed), level, 400, 5, 3, 0.05))
    assert verdict.status is Status.VALID
    if level != "causal":
        assert statuses(verdict) == {"cc": "valid", "ccv": "valid", "cm": "valid"}


@pytest.mark.parametrize("seed", range(3))
def test_clients_that_change_replicas_are_convicted(seed: int) -> None:
    assert Causal("cc").check(recorded(Random(seed), "roaming", 400, 5, 3, 0.05)).status is Status.INVALID


def test_causal_memory_of_a_long_history_is_not_claimed() -> None:
    events = recorded(Random(1), "linearizable", ACCESSES_MAX + 100)
    verdict = Causal("cm").check(events)
    assert verdict.status is Status.UNKNOWN
    assert "not judged" in verdict.summary
    assert Causal("ccv").check(events).status is Status.VALID


def test_clocks_of_many_chains_join_entry_by_entry() -> None:
    rng = Random(3)
    clocks = Clocks(40, 1000)
    for _ in range(200):
        one = [rng.choice([0, 1, 999, 1000, rng.randrange(1001)]) for _ in range(40)]
        other = [rng.choice([0, 1, 999, 1000, rng.randrange(1001)]) for _ in range(40)]
        packed = []
        for entries in (one, other):
            clock = 0
            for chain, count in enumerate(entries):
                clock = clocks.with_event(clock, chain, count)
            packed.append(clock)
        joined = clocks.join(*packed)
        assert [clocks.at(joined, chain) for chain in range(40)] == [
            max(pair) for pair in zip(one, other, strict=True)
        ]
        ahead = {
            chain: max(pair) for chain, pair in enumerate(zip(one, other, strict=True)) if pair[0] > pair[1]
        }
        assert dict(clocks.ahead(joined, packed[1])) == ahead


def test_nobody_read_is_vacuous() -> None:
    verdict = Causal().check(history("0(w1 0)w1 1(w2 1)w2 1(r 1xr"))
    assert verdict.status is Status.VACUOUS
    assert set(statuses(verdict).values()) == {"vacuous"}


def test_what_a_process_does_after_an_indeterminate_cas_need_not_fit_into_one_order_with_it() -> None:
    """Histories of others may go on in the same process: the cas may come after all else."""
    verdict = Causal("cm").check(history("0(w1 0)w1 0(c12 0?c12 0(w3 0)w3 0(r 0)r2"))
    assert statuses(verdict) == {"cc": "valid", "ccv": "valid", "cm": "valid"}
    known = Causal("cm").check(history("0(w1 0)w1 0(c12 0)c12 0(w3 0)w3 0(r 0)r2"))
    assert known.status is Status.INVALID


def test_an_indeterminate_write_is_not_known_to_whoever_saw_the_next_one_of_its_process() -> None:
    events = [
        msgspec.structs.replace(op, key="y" if op.value == 1 or place > 5 else "x")
        for place, op in enumerate(history("0(w1 0?w1 0(w2 0)w2 1(r 1)r2 1(r 1)r 2(r 2)r1"))
    ]
    assert Causal().check(events).status is Status.VALID
    answered = [msgspec.structs.replace(events[1], type="ok")]
    verdict = Causal().check([events[0], *answered, *events[2:]])
    assert verdict.details["anomaly"] == "WriteCOInitRead"
