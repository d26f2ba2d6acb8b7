"""Histories that are long enough for the sweep, the cuts and the short way to a minimal core to matter."""

from __future__ import annotations

import pytest

from benchmarks.histories import Mix, appends, deleted_register, recorded, register, with_stale_read
from checkers.history import Op, pair
from checkers.linear import Linearizable, Stream
from checkers.linear.problem import calls_of
from checkers.linear.verify import verify
from checkers.models import Kv, Model, Register
from checkers.verdict import Status

LENGTH = 6_000


def few_values(seed: int) -> list[Op]:
    return recorded(register(5), LENGTH, 10, 0.001, seed)


@pytest.mark.parametrize(
    ("events", "model"),
    [
        (few_values(1), Register()),
        (recorded(register(None), LENGTH, 10, 0.01), Register()),
        (recorded(deleted_register(), LENGTH, 10, 0.01), Register()),
        (appends(4, 20, 800, 1, False), Kv()),
    ],
    ids=["few values", "unique values", "with deletes", "appends"],
)
def test_a_linearizable_history_has_a_linearization_to_show(events: list[Op], model: Model) -> None:
    verdict = Linearizable(model, witness=True).check(events)
    assert verdict.status is Status.VALID
    calls = calls_of(pair(events), model, "ignore")
    by_start = {call.start: call for call in calls}
    for key, starts in verdict.details["linearization"].items():
        mine = [call for call in calls if call.operation.invoke.key == key]
        assert verify([by_start[start] for start in starts], mine, model) is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stale_read_among_few_values_is_told_by_a_handful_of_operations(seed: int) -> None:
    events = with_stale_read(few_values(seed))
    assert Linearizable(Register()).check(few_values(seed)).status is Status.VALID
    verdict = Linearizable(Register()).check(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["minimal"]
    assert len(verdict.details["operations"]) <= 12
    stream = Stream(Register())
    found = next(position for position, op in enumerate(events) if stream.feed(op) is not None)
    assert found == verdict.details["blocked_at"]


@pytest.mark.parametrize("mix", [register(None), deleted_register()], ids=["unique values", "with deletes"])
def test_a_stale_read_among_unique_values_is_told_by_a_handful_of_operations(mix: Mix) -> None:
    events = with_stale_read(recorded(mix, LENGTH, 10, 0.01))
    verdict = Linearizable(Register()).check(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["minimal"]
    assert len(verdict.details["operations"]) <= 4
    assert verdict.details["blocked_at"] is not None


def test_two_appends_that_changed_places_are_found_in_a_few_steps() -> None:
    events = appends(4, 20, 800, 1, True)
    assert Linearizable(Kv()).check(appends(4, 20, 800, 1, False)).status is Status.VALID
    verdict = Linearizable(Kv()).check(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["steps"] < 5_000
    assert len(verdict.details["operations"]) <= 20
