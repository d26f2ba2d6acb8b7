"""The composition root: names to constructors. With harness/cli.py it alone imports workloads and nemesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from harness.cluster.base import Cluster
from harness.cluster.local import LocalCluster
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from harness.ledger import Requested
from harness.plan import Plan, PlanError
from nemesis.compose import FAULTS, Nemesis, parse_faults
from nemesis.membership import MembershipFault
from workloads.base import Workload
from workloads.kv import Kv
from workloads.register import Register

T = TypeVar("T")

__all__ = ["CLUSTERS", "FAULTS", "WORKLOADS", "Pieces", "assemble"]


class WorkloadKind(NamedTuple):
    summary: str
    make: Callable[[Plan], Workload]


class ClusterKind(NamedTuple):
    summary: str
    make: Callable[[Plan], Cluster]


WORKLOADS: dict[str, WorkloadKind] = {
    Register.name: WorkloadKind(Register.summary, lambda plan: Register(plan.level, plan.analysis_limit_s)),
    Kv.name: WorkloadKind(Kv.summary, lambda plan: _kv(plan)),
}

CLUSTERS: dict[str, ClusterKind] = {
    "sim": ClusterKind(
        "nodes, network, disks and clocks simulated in virtual time; one seed, one history",
        lambda plan: _sim(plan),
    ),
    "local": ClusterKind(
        "real node processes on loopback with data on disk, a proxy on every link; needs no root",
        lambda plan: LocalCluster(plan.nodes, plan.replication, _spares(plan)),
    ),
}


class Pieces(NamedTuple):
    """What a plan names, made."""

    workload: Workload
    nemesis: Nemesis
    requested: tuple[Requested, ...]
    cluster: Cluster


def assemble(plan: Plan) -> Pieces:
    """Raises `PlanError` for a name that there is not, or a fault that the cluster cannot make."""
    plan.validate()
    workload = _named(WORKLOADS, "--workload", plan.workload).make(plan)
    cluster = _named(CLUSTERS, "--cluster", plan.cluster).make(plan)
    try:
        nemesis = Nemesis(parse_faults(plan.faults, plan.nodes))
    except ValueError as error:
        raise PlanError(f"--faults: {error}") from None
    if plan.stop_on_violation and workload.stream() is None:
        raise PlanError(
            f"--stop-on-violation: {plan.workload} at level {plan.level} is judged by its whole history; "
            "register, or level linearizable, can be stopped"
        )
    for fault in nemesis.faults:
        if not fault.supported(cluster):
            able = ", ".join(f.name for f in parse_faults(FAULTS, plan.nodes) if f.supported(cluster))
            raise PlanError(f"--faults: cluster {plan.cluster} cannot make {fault.name}; it can make {able}")
    requested = tuple(Requested(fault.name, fault.begins, fault.ends) for fault in nemesis.faults)
    return Pieces(workload, nemesis, requested, cluster)


def _sim(plan: Plan) -> SimCluster:
    options = SimOptions(core=PACE, spares=_spares(plan))
    return SimCluster(plan.nodes, plan.replication, plan.seed, options)


def _spares(plan: Plan) -> int:
    return sum(fault.partition(":")[0] == MembershipFault.name for fault in plan.faults)


def _kv(plan: Plan) -> Kv:
    bent = any(fault.partition(":")[0] in ("clock", "drift") for fault in plan.faults)
    return Kv(plan.level, plan.replication, not bent, plan.analysis_limit_s)


def _named(kinds: dict[str, T], flag: str, name: str) -> T:
    if name not in kinds:
        raise PlanError(f"{flag} is {name!r}; allowed: {', '.join(kinds)}")
    return kinds[name]
