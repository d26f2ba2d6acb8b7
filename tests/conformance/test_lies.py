"""A cluster that says of a fault, or of a healing, that it bit, and does nothing, is found out by what nodes
and clients see. Without this, scenarios could rest on evidence alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.base import Evidence
from tests.conformance.faults import FAULTS
from tests.conformance.playing import claimed, play_simulated, sim
from tests.conformance.scenarios import SCENARIOS
from tests.support.stage import Scenario

ABLE = claimed((*SCENARIOS, *FAULTS), sim(0))
METHODS = {
    "Kill": ("kill", "start"),
    "Stop": ("stop",),
    "Pause": ("pause", "resume"),
    "Partition": ("cut", "heal"),
    "ClientPartition": ("cut_clients", "heal_clients"),
    "Packets": ("shape", "unshape"),
    "Distances": ("set_apart", "bring_together"),
    "Clock": ("bump", "reset"),
    "Strobe": ("strobe",),
    "Drift": ("drift",),
    "Disk": ("fill", "slow", "mend_disks"),
    "Rot": ("rot",),
    "Power": ("power_off",),
    "Membership": ("join", "leave", "replace", "wipe", "restore"),
}


class Liar:
    """A method that does nothing. It says at first that it bit, and then that there was nothing to do."""

    def __init__(self) -> None:
        self._calls = 0

    async def __call__(self, *_: object) -> Evidence:
        self._calls += 1
        return Evidence(self._calls == 1, "nothing was lost")


def told_with_a_lie(method: str, scenario: Scenario, directory: Path) -> str:
    """What comes back otherwise when that method does nothing, once the cluster is set up."""
    cluster = sim(1)
    set_up = cluster.setup

    async def setup(run_dir: Path) -> None:
        await set_up(run_dir)
        setattr(cluster, method, Liar())

    cluster.setup = setup  # type: ignore[method-assign]
    try:
        play_simulated(cluster, [scenario], directory)
    except AssertionError as error:
        return str(error)
    return ""


def by_evidence(told: str) -> bool:
    return "bite" in told or "but: error" in told


@pytest.mark.parametrize(
    ("method", "capability"),
    [(method, capability) for capability, methods in METHODS.items() for method in methods],
)
def test_a_fault_that_does_nothing_is_found_out(method: str, capability: str, tmp_path: Path) -> None:
    concerned = [scenario for scenario in ABLE if capability in scenario.requires]
    told = (told_with_a_lie(method, scenario, tmp_path) for scenario in concerned)
    assert any(each and not by_evidence(each) for each in told)
