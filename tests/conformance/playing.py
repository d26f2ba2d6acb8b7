"""The clusters of every kind, and scenarios played on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
import trio

from harness.cluster import members
from harness.cluster.base import Cluster
from harness.cluster.hosts import disks, processes
from harness.cluster.hosts.cluster import HostCluster
from harness.cluster.hosts.ground import Ground
from harness.cluster.local import LocalCluster
from harness.cluster.members import Changeable, Members
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from harness.systems.store import BundledStore
from nemesis.compose import FAULTS as FAULT_KINDS
from store.core.options import Options
from tests.support.fault_words import NETEM, claims
from tests.support.stage import NODES, Scenario, Stage
from tests.support.stage_time import RealTime, VirtualTime

REPLICATION: Final = 3
SILENCE_S: Final = 20.0
REAL_LIMIT_S: Final = 300
ACT_LIMIT_S: Final = 30.0
"""On a machine that has much else to do: what is tested is that something happens, not how fast."""


def sim(seed: int, core: Options = PACE) -> SimCluster:
    return SimCluster(NODES, REPLICATION, seed, SimOptions(core=core, spares=1))


def local() -> LocalCluster:
    return LocalCluster(NODES, REPLICATION, spares=1)


def on_hosts(ground: Ground) -> HostCluster:
    """Prepared for every fault."""
    return HostCluster(
        ground, NODES, 1, BundledStore(REPLICATION), silence_s=SILENCE_S, faults=tuple(FAULT_KINDS)
    )


def one_for_each(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Those that are about a capability that none before is about."""
    chosen: list[Scenario] = []
    covered: frozenset[str] = frozenset()
    for scenario in scenarios:
        if not scenario.requires <= covered:
            covered |= scenario.requires
            chosen.append(scenario)
    return chosen


def claimed(
    scenarios: Sequence[Scenario], cluster: Cluster, lacking: frozenset[str] = frozenset()
) -> list[Scenario]:
    """Those for which it is able to do what they are about; `lacking`: what its methods do not show to be."""
    able = (claims(cluster) | {NETEM}) - lacking
    return [scenario for scenario in scenarios if scenario.requires <= able]


def play_simulated(cluster: SimCluster, scenarios: Sequence[Scenario], directory: Path) -> None:
    """Raises AssertionError at the first act that comes back otherwise."""

    async def main() -> None:
        await cluster.setup(directory)
        stage = Stage(cluster, VirtualTime(cluster.world))
        for scenario in scenarios:
            await stage.play(scenario)

    cluster.world.complete(main())


def play_real(cluster: Cluster, scenarios: Sequence[Scenario], directory: Path) -> list[str]:
    """One cluster for all of them, as to start one takes longer than most of them; which acts came back
    otherwise."""
    failures: list[str] = []

    async def main() -> None:
        try:
            with trio.fail_after(REAL_LIMIT_S):
                await cluster.setup(directory)
                stage = Stage(cluster, RealTime())
                for scenario in scenarios:
                    try:
                        await stage.play(scenario)
                    except AssertionError as error:
                        failures.append(str(error))
                        await stage.tidy()
                failures.extend(cluster.unexpected_deaths())
        finally:
            await cluster.teardown()

    with pytest.MonkeyPatch.context() as patience:
        for module in (processes, disks):
            patience.setattr(module, "SERVE_LIMIT_S", ACT_LIMIT_S)
        patience.setattr(members, "CHANGE_LIMIT_S", ACT_LIMIT_S)
        for change in (Members.join, Members.leave, Members.restore, Changeable.restore):
            patience.setattr(change, "__defaults__", (ACT_LIMIT_S,))
        trio.run(main)
    return failures
