"""`harness demo pacelc`: its claims hold, can fail, and its figures are those of distances."""

from __future__ import annotations

import pytest

from harness.demo import pacelc
from harness.demo.base import Conditions, Shown
from harness.demo.regions import REGIONS, Figures, measure, round_trip_ms


@pytest.fixture(scope="module")
def shown() -> Shown:
    return pacelc.run(Conditions(3))


def rows_of(shown: Shown) -> list[Figures]:
    return [Figures(**row) for row in shown.figures["rows"]]


def test_every_claim_holds(shown: Shown) -> None:
    assert [claim for claim in shown.claims if not claim.holds] == []


def test_the_same_seed_gives_the_same_figures(shown: Shown) -> None:
    again = measure("two and one", "quorum", 3)
    assert again == pacelc.of(rows_of(shown), "two and one", "quorum")


def test_a_client_far_from_all_replicas_pays_its_way_at_every_level(shown: Shown) -> None:
    for row in rows_of(shown):
        if row.placement == "all in eu":
            assert row.read_p50 >= round_trip_ms(row.region, "eu")


def test_distances_are_the_same_both_ways() -> None:
    assert all(round_trip_ms(a, b) == round_trip_ms(b, a) for a in REGIONS for b in REGIONS)
    assert [pacelc.nearest_ms(region) for region in REGIONS] == [90, 90, 200]
    assert [pacelc.farthest_ms(region) for region in REGIONS] == [260, 200, 260]


@pytest.mark.parametrize(
    ("level", "change"),
    [
        ("one", {"read_p50": 95.0}),
        ("one", {"stale": 0}),
        ("quorum", {"read_p50": 3.0}),
        ("all", {"write_p50": 95.0}),
        ("linearizable", {"stale": 1}),
        ("quorum", {"refused": 1}),
    ],
)
def test_figures_that_say_otherwise_break_a_claim(shown: Shown, level: str, change: dict[str, float]) -> None:
    told = [
        row._replace(**change) if (row.placement, row.level) == (pacelc.SPREAD, level) else row  # type: ignore[arg-type]
        for row in rows_of(shown)
    ]
    assert not all(claim.holds for claim in pacelc.claims(told))
