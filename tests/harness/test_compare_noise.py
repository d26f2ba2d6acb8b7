"""Whether a difference between two runs is told from noise: neither made up nor overlooked."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

from checkers.history import Op
from harness import compare_noise as noise

S = 1_000_000_000
SPAN_S = 60.0
FIGURES = {
    "ok": noise.rate("ok"),
    "info": noise.rate("info"),
    "p50": noise.latency(0.5),
    "p99": noise.latency(0.99),
}


def some_run(seed: int, per_s: float = 20.0, slower: float = 1.0, info: float = 0.01) -> list[Op]:
    """Reads that come at random, each from a process of its own, in a weather that changes every five
    seconds: then they come at half the rate, and are five times as slow."""
    rng = random.Random(seed)
    bad = {at for at in range(12) if rng.random() < 0.3}
    events = []
    at_s, process = 0.0, 0
    while at_s < SPAN_S:
        is_bad = int(at_s // 5) in bad
        at_s += rng.expovariate(per_s / (2 if is_bad else 1))
        took_s = rng.lognormvariate(-6, 1) * (5 if is_bad else 1) * slower
        kind: Any = "info" if rng.random() < info else "ok"
        events.append(Op(time=round(at_s * S), process=process, f="read"))
        events.append(Op(time=round((at_s + took_s) * S), process=process, type=kind, f="read"))
        process += 1
    return sorted(events, key=lambda op: op.time)


def beyond(a: list[Op], b: list[Op]) -> set[str]:
    return apart(*(noise.batches(events, SPAN_S)["read"] for events in (a, b)))


def apart(a: list[noise.Batch], b: list[noise.Batch]) -> set[str]:
    return {name for name, figure in FIGURES.items() if noise.is_beyond(a, b, figure)}


def test_runs_that_differ_by_their_seed_only_are_hardly_ever_told_apart() -> None:
    runs = [noise.batches(some_run(seed), SPAN_S)["read"] for seed in range(24)]
    told = sum(len(apart(a, b)) for a, b in combinations(runs, 2))
    assert told <= 0.01 * 276 * len(FIGURES)


@pytest.mark.parametrize("seed", range(5))
def test_a_difference_that_everybody_would_see_is_told(seed: int) -> None:
    usual = some_run(seed)
    assert "ok" in beyond(usual, some_run(seed + 100, per_s=60.0))
    assert {"p50", "p99"} <= beyond(usual, some_run(seed + 100, slower=8.0))
    assert "info" in beyond(usual, some_run(seed + 100, info=0.4))


def test_a_handful_of_events_against_none_says_nothing() -> None:
    """No batch of the second has any, so they do not vary at all."""
    for few in (1, 3, 9):
        events = some_run(1, info=0.0)
        lost = [place for place, op in enumerate(events) if op.type == "ok"][::97][:few]
        some = [
            Op(time=op.time, process=op.process, type="info", f="read") if place in lost else op
            for place, op in enumerate(events)
        ]
        assert beyond(some, events) == set()


def test_a_run_on_itself_and_one_of_a_single_operation_differ_in_nothing() -> None:
    events = some_run(3)
    assert beyond(events, events) == set()
    assert beyond(events, events[:2]) <= {"ok", "info"}
    assert not {"p50", "p99"} & beyond(events, events[:2])


def test_without_times_there_is_nothing_to_compare() -> None:
    assert noise.batches([Op(process=1, f="read"), Op(process=1, type="ok", f="read")], 0.0) == {}


def test_each_operation_counts_in_the_tenth_in_which_it_was_completed() -> None:
    events = [Op(time=0, process=1, f="read"), Op(time=59 * S, process=1, type="ok", f="read")]
    events += [Op(time=2 * S, process=2, f="cas"), Op(time=7 * S, process=2, type="fail", f="cas")]
    found = noise.batches(events, SPAN_S)
    assert [batch.counts["ok"] for batch in found["read"]] == [0] * 9 + [1]
    assert [batch.counts["fail"] for batch in found["cas"]] == [0, 1] + [0] * 8
    assert found["all"][9].latencies_ms == [59_000.0]
    assert found["all"][1].length_s == 6.0
