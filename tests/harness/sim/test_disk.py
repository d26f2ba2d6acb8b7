from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.disk import Disk, DiskOptions
from harness.sim.world import US, World
from store.core.machine import Persist
from store.core.messages import Cell


class Owner:
    """A process that persists, commits when it can, and notes what it is told is durable."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.disk = Disk(self.world, "n1", DiskOptions(commit_min_us=500, commit_max_us=500))
        self.issued: list[Persist] = []
        self.durable = 0

    def persist(self, key: str) -> None:
        token = len(self.issued) + 1
        effect = Persist(token, key, Cell((token, 0, "n1"), b""))
        self.issued.append(effect)
        self.disk.persist(effect)

    def commit(self) -> None:
        self.disk.commit(self.committed)

    def committed(self, token: int) -> None:
        self.durable = token
        self.commit()

    def contents(self) -> dict[str, Any]:
        keys = {effect.key for effect in self.issued}
        return {key: record for key in keys if (record := self.disk.get(key)) is not None}


def test_a_record_shows_once_its_commit_is_done():
    owner = Owner()
    owner.persist("x")
    owner.commit()
    owner.world.run_until(499 * US)
    assert owner.disk.get("x") is None
    owner.world.run_until(500 * US)
    assert owner.disk.get("x") == owner.issued[0].record
    assert owner.durable == 1


def test_what_comes_during_a_commit_goes_into_the_next_together():
    owner = Owner()
    owner.persist("a")
    owner.commit()
    for key in "bcd":
        owner.persist(key)
        owner.commit()
    owner.world.run_until(500 * US)
    assert owner.durable == 1
    owner.world.run_until(1000 * US)
    assert owner.durable == 4


def test_nothing_becomes_durable_without_a_commit():
    owner = Owner()
    owner.persist("a")
    owner.world.run_until(10_000 * US)
    assert owner.contents() == {}


def test_a_commit_that_a_crash_cut_short_never_reports():
    owner = Owner()
    owner.persist("a")
    owner.commit()
    owner.disk.crash()
    owner.persist("b")
    owner.commit()
    owner.world.run_until(10_000 * US)
    assert owner.durable == 2


def test_a_torn_batch_keeps_each_possible_prefix_now_and_then():
    kept = []
    for seed in range(60):
        owner = Owner(seed)
        for key in "abc":
            owner.persist(key)
        owner.commit()
        lost = owner.disk.crash()
        assert lost == 3 - len(owner.contents())
        kept.append("".join(sorted(owner.contents())))
    assert sorted(set(kept)) == ["", "a", "ab", "abc"]


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["x", "y", "z"]).map(lambda key: ("persist", key)),
        st.just(("commit", "")),
        st.integers(0, 700).map(lambda micros: ("pass", micros)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 3))
def test_a_crash_at_any_moment_leaves_a_prefix_that_holds_all_that_was_reported_durable(steps, seed):
    owner = Owner(seed)
    for what, argument in steps:
        if what == "persist":
            owner.persist(argument)
        elif what == "commit":
            owner.commit()
        else:
            owner.world.run_until(owner.world.now + argument * US)
    before = owner.contents()
    assert before == replay(owner.issued[: owner.durable])
    lost = owner.disk.crash()
    survived = len(owner.issued) - lost
    assert owner.durable <= survived
    assert owner.contents() == replay(owner.issued[:survived])


def replay(effects: list[Persist]) -> dict[str, Any]:
    """The naive disk: every record written over the last."""
    return {effect.key: effect.record for effect in effects}


@pytest.mark.parametrize(("least", "most"), [(-1, 5), (6, 5)])
def test_commit_times_that_make_no_range_are_refused(least, most):
    with pytest.raises(ValueError, match="commit_min_us"):
        DiskOptions(least, most)
