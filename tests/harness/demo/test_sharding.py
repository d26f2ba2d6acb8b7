"""`harness demo sharding`: what it measures, against counting by hand; and that its claims can fail."""

from __future__ import annotations

import pytest

from harness.demo import sharding
from harness.demo.base import Conditions, Shown
from harness.demo.hot_key import STRATEGIES, Load, _Experiment, loads
from harness.demo.scan_cost import Cost
from harness.demo.sharding import Balance, Moved, balance, claims, moved
from harness.sim.world import MS
from store.core.ownership.ring import Ring, position

FAIR = (
    [Moved(3, 0.75, 0.25), Moved(5, 0.83, 0.17)],
    [Balance(vnodes, typical, typical) for vnodes, typical in ((1, 3.0), (16, 1.5), (64, 1.2), (256, 1.1))],
    [Cost(3, 60, 3, 244, 13.0, 4.0, 1.7), Cost(12, 60, 12, 355, 15.0, 5.6, 2.1)],
    [
        Load("first", 100, 1.0, 0.6, 0.8, 0.3, 0, 0.0),
        Load("replicas", 100, 1.0, 0.3, 0.8, 0.3, 3, 2.0),
        Load("cached", 100, 0.4, 0.1, 0.2, 0.0, 40, 20.0),
    ],
)


@pytest.fixture(scope="module")
def shown() -> Shown:
    return sharding.run(Conditions(7))


def test_every_claim_holds(shown: Shown) -> None:
    assert [claim for claim in shown.claims if not claim.holds] == []


def test_the_same_seed_gives_the_same_figures(shown: Shown) -> None:
    hot = loads(7)
    assert [load._asdict() for load in hot] == shown.figures["hot_key"]
    assert [load.strategy for load in hot] == list(STRATEGIES)


def test_what_moves_is_what_has_another_first_owner() -> None:
    found = moved(3)
    names = ["n1", "n2", "n3", "n4"]
    keys = [f"key{number}" for number in range(sharding.KEYS)]
    to_new = sum(Ring(names).preference(key, 1) == ("n4",) for key in keys)
    assert found.ring == to_new / len(keys), "what moves goes to the new node, and nowhere else"
    assert found.modulo == sum(position(key) % 3 != position(key) % 4 for key in keys) / len(keys)


def test_balance_of_arcs_is_that_of_many_keys() -> None:
    names = [f"c0-{i}" for i in range(sharding.BALANCED_NODES)]
    ring = Ring(names, 4)
    counts = dict.fromkeys(names, 0)
    for number in range(50_000):
        counts[ring.preference(f"k{number}", 1)[0]] += 1
    counted = max(counts.values()) * len(names) / 50_000
    assert sharding._busiest(names, 4) == pytest.approx(counted, rel=0.05)
    assert balance(4).typical <= balance(4).worst


def test_every_replica_of_a_hot_key_looks_it_up_whoever_is_asked(shown: Shown) -> None:
    first, replicas, cached = (Load(**load) for load in shown.figures["hot_key"])
    assert min(first.looks_up, replicas.looks_up) > 0.75, "half of all reads, and its part of the others"
    assert first.busiest > 0.5 > replicas.busiest, "who answers is another matter"
    assert cached.looks_up == pytest.approx(replicas.looks_up * cached.from_store, rel=0.4)


def test_a_read_is_stale_only_if_something_newer_was_acknowledged_before_it_began() -> None:
    experiment = _Experiment("first", 1)
    experiment._acknowledged = [0, 10 * MS, 20 * MS]
    for version, began_ms in ((1, 15), (2, 30), (0, 10)):
        experiment._judge(version, began_ms * MS)
    assert experiment._stale_ms == []
    experiment._judge(0, 25 * MS)
    assert experiment._stale_ms == [15.0], "since the next one was there"


def test_a_scan_is_counted_in_the_messages_that_a_read_is(shown: Shown) -> None:
    for cost in [Cost(**scan) for scan in shown.figures["scans"]]:
        others = cost.nodes - 1
        assert cost.scan_messages - 2 * others == pytest.approx(cost.get_messages * cost.keys, rel=0.05)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        (0, [Moved(3, 0.75, 0.5)]),
        (0, [Moved(3, 0.4, 0.25), Moved(5, 0.4, 0.1)]),
        (1, [Balance(1, 1.1, 2.0), Balance(64, 1.2, 2.0)]),
        (1, [Balance(1, 3.0, 4.0), Balance(64, 1.6, 2.0)]),
        (2, [FAIR[2][0], FAIR[2][1]._replace(scan_nodes=9)]),
        (2, [FAIR[2][0], FAIR[2][1]._replace(scan_messages=192)]),
        (2, [FAIR[2][0], FAIR[2][1]._replace(scan_messages=720)]),
        (2, [FAIR[2][0], FAIR[2][1]._replace(scan_ms=130.0)]),
        (2, [FAIR[2][0], FAIR[2][1]._replace(get_messages=6.1)]),
        (3, [FAIR[3][0], FAIR[3][1]._replace(busiest=0.7), FAIR[3][2]]),
        (3, [FAIR[3][0], FAIR[3][1]._replace(looks_up=0.5), FAIR[3][2]]),
        (3, [FAIR[3][0], FAIR[3][1], FAIR[3][2]._replace(busiest=0.3)]),
        (3, [FAIR[3][0], FAIR[3][1], FAIR[3][2]._replace(looks_up=0.8)]),
        (3, [FAIR[3][0], FAIR[3][1], FAIR[3][2]._replace(stale=3)]),
        (3, [FAIR[3][0], FAIR[3][1], FAIR[3][2]._replace(oldest_ms=2.0)]),
    ],
)
def test_figures_that_say_otherwise_break_a_claim(part: int, wrong: list[object]) -> None:
    assert all(claim.holds for claim in claims(*FAIR))
    if part == 0:
        wrong = [*wrong, *FAIR[0][len(wrong) :]]
    told = [*FAIR[:part], wrong, *FAIR[part + 1 :]]
    assert not all(claim.holds for claim in claims(*told))  # type: ignore[arg-type]
