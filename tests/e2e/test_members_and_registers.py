"""Registers at `linearizable` while members come and go, nodes die and the network parts, on a network that
also loses and doubles messages; judged as a run of the harness is."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkers.verdict import Status
from harness.cluster.pace import PACE
from harness.cluster.sim import SimOptions
from harness.plan import Plan, node_names
from harness.sim.network import NetworkOptions
from tests.support.judged import judged

LOSSY = SimOptions(core=PACE, spares=1, network=NetworkOptions(loss_fraction=0.01, duplicate_fraction=0.05))


@pytest.mark.parametrize("seed", range(5))
def test_registers_stay_linearizable_while_ownership_moves_under_every_fault(
    seed: int, tmp_path: Path
) -> None:
    plan = Plan(
        nodes=node_names(4),
        faults=("kill", "membership", "partition"),
        fault_interval_s=1.0,
        time_limit_s=20,
        rate=150,
        seed=seed,
    )
    verdict = judged(plan, tmp_path, options=LOSSY)
    assert verdict.status is Status.VALID, verdict.summary  # so each of the faults has bitten, too
