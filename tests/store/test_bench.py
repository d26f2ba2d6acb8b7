"""What a load's figures mean."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from store.bench import Load, Tally, measure, quantile
from store.client.errors import Lost, NotServed


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_a_quantile_is_the_smallest_value_with_enough_at_or_below_it(values: list[int], q: float) -> None:
    ordered = sorted(values)
    naive = next(value for value in ordered if sum(x <= value for x in ordered) >= q * len(ordered))
    assert quantile(ordered, q) == naive


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert Tally().per_second == 0.0


class Store:
    """Every third put fails, in turn in two ways; reads take no time."""

    def __init__(self) -> None:
        self.puts = 0

    async def put(self, key: str, value: bytes, level: str, timeout_s: float) -> None:
        await trio.lowlevel.checkpoint()
        assert (len(value), level) == (7, "one")
        self.puts += 1
        if self.puts % 6 == 3:
            raise Lost("gone")
        if self.puts % 6 == 0:
            raise NotServed("timeout", "late")

    async def get(self, key: str, level: str, timeout_s: float) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return None

    async def delete(self, key: str, level: str, timeout_s: float) -> None:
        raise AssertionError("not in the mix")


def test_what_fails_is_counted_by_kind_and_not_among_the_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.bench.WARM_UP_S", 0.0)
    load = Load(3, 0.05, "one", {"put": 1, "get": 1}, keys=5, value_bytes=7)
    tallies = trio.run(measure, [Store(), Store()], load)
    put = tallies["put"]
    assert set(put.failures) == {"Lost", "timeout"}
    assert math.isclose(
        put.failures.total() / (len(put.latencies_ms) + put.failures.total()), 1 / 3, abs_tol=0.1
    )
    assert put.latencies_ms == sorted(put.latencies_ms)
    assert put.seconds >= 0.05
    assert not tallies["get"].failures
