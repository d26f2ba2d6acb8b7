"""Counters, siblings, sets and maps in the simulator, while nodes are killed, frozen, cut off, come and go:
what was acknowledged is there in the end, once, what certainly failed is not, and all copies are equal."""

from __future__ import annotations

import pytest

from tests.support.sim_storm import SimStorm


@pytest.mark.parametrize("seed", [3, 6, 7])
def test_nothing_acknowledged_is_lost_or_doubled_while_nodes_are_killed_frozen_and_cut_off(seed: int) -> None:
    storm = SimStorm(seed, membership=False)
    assert not storm.wrong()
    assert {change.ended for change in storm.changes} == {"ok", "fail", "info"}
    assert (storm.faults["cut"] and storm.faults["kill"]) or storm.faults["pause"]


@pytest.mark.parametrize("seed", [0, 2, 24, 27])
def test_nor_while_nodes_join_leave_are_replaced_and_lose_their_disks(seed: int) -> None:
    storm = SimStorm(seed, membership=True)
    assert not storm.wrong()
    assert sum([storm.faults[kind] for kind in ("join", "leave", "replace", "wipe")]) >= 2
