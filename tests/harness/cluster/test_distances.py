"""What counts as seen, when nodes are set apart."""

from __future__ import annotations

from harness.cluster.base import Evidence
from harness.cluster.distances import evidence, links


def test_only_what_is_late_is_owed() -> None:
    assert links({"a": {"b": 45.0, "c": 0.0}, "b": {}}) == {("a", "b"): 45.0}


def test_it_bites_if_all_that_is_owed_was_seen() -> None:
    owed = {("a", "b"): 45.0, ("b", "a"): 10.0}
    assert evidence(owed, {("a", "b"): 46.0, ("b", "a"): 10.2}, "ways") == Evidence(
        True, "ways: a->b 46.0 ms (of 45), b->a 10.2 ms (of 10)"
    )
    assert not evidence(owed, {("a", "b"): 46.0, ("b", "a"): 2.0}, "ways").bit


def test_what_did_not_come_was_not_seen_to_be_late() -> None:
    told = evidence({("a", "b"): 45.0}, {("b", "a"): 50.0}, "rounds")
    assert told == Evidence(False, "rounds: a->b nothing came (of 45)")


def test_where_nothing_is_owed_nothing_bites() -> None:
    assert not evidence({}, {("a", "b"): 1.0}, "ways").bit
