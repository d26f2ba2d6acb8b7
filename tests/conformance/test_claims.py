"""Which cluster claims to be able to do what, and that each claim is put to the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.base import Cluster
from harness.cluster.hosts.ground import HostsFile, OwnLab
from tests.conformance import playing
from tests.conformance.faults import FAULTS
from tests.conformance.scenarios import SCENARIOS
from tests.support.fault_words import CAPABILITIES, NETEM, claims
from tests.support.stage import Scenario

EVERYWHERE = {"Kill", "Stop", "Pause", "Partition", "Distances", "Membership", "Roles"}
CLUSTERS: list[Cluster] = [
    playing.sim(0),
    playing.local(),
    playing.on_hosts(OwnLab()),
    playing.on_hosts(HostsFile(Path("hosts"))),
]


def test_each_cluster_claims_what_it_is_able_to_do() -> None:
    every = set(CAPABILITIES)
    assert {cluster.name: claims(cluster) for cluster in CLUSTERS} == {
        "sim": every - {"Files", "Stress"},
        "local": EVERYWHERE | {"Stress"},
        "netns": every - {"Rot"},
        "ssh": every - {"Rot"},
    }


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.name)
def test_each_claim_is_put_to_the_test(cluster: Cluster) -> None:
    played = playing.claimed((*SCENARIOS, *FAULTS), cluster)
    assert frozenset().union(*(scenario.requires for scenario in played)) - {NETEM} == claims(cluster)
    fewer = playing.one_for_each(played)
    assert frozenset().union(*(scenario.requires for scenario in fewer)) - {NETEM} == claims(cluster)
    assert len(fewer) <= len(CAPABILITIES)


def test_what_a_scenario_is_about_follows_from_its_words() -> None:
    def about(*lines: str) -> set[str]:
        return set(Scenario("some", lines).requires)

    assert about("n1 put k 1 all -> done", "boots n1 -> noted") == set()
    assert about("n1 put k 1 all -> lost & kill n1 once busy -> bit") == {"Kill"}
    assert about("shape n1 loss=0.1 -> bit", "unshape -> bit") == {"Packets"}
    assert about("shape n1 loss=0.1 delay_ms=5 -> bit") == {"Packets", NETEM}
    assert about("roles owner -> n1", "cut n1 / n2 -> bit") == {"Roles", "Partition"}
