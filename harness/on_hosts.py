"""The cluster on hosts that a plan asks for, with its system on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness.cluster.hosts.cluster import HostCluster
from harness.cluster.hosts.ground import Ground, HostsFile, OwnLab, StandingLab
from harness.cluster.session import CONNECT_LIMIT_S
from harness.doctor.preflight import preflight
from harness.plan import STORE, Plan, PlanError
from harness.systems.base import System
from harness.systems.named import load
from harness.systems.store import BundledStore


def on_hosts(plan: Plan, spares: int) -> HostCluster:
    """For clusters `netns` and `ssh`; no host is looked at yet. Raises `PlanError`."""
    return HostCluster(
        _ground(plan),
        plan.nodes,
        spares,
        _system(plan),
        silence_s=plan.heal_after_s,
        faults=plan.faults,
        preflight=partial(preflight, plan.faults),
    )


def _system(plan: Plan) -> System:
    if plan.system == STORE:
        return BundledStore(plan.replication, max(CONNECT_LIMIT_S, plan.op_timeout_s))
    try:
        return load(plan.system)
    except ValueError as error:
        raise PlanError(f"--system: {error}") from None


def _ground(plan: Plan) -> Ground:
    if plan.cluster == "ssh":
        return HostsFile(Path(plan.nodes_file))
    return StandingLab(plan.lab) if plan.lab else OwnLab()
