"""The composition root: names to constructors. Beside the demos it alone imports workloads and nemesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from harness.cluster.base import Cluster
from harness.cluster.local import LocalCluster
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from harness.ledger import Requested
from harness.plan import Plan, PlanError
from harness.run import Faults
from nemesis.base import Fault, SharesHealing
from nemesis.compose import AMOUNTS, FAULTS, Nemesis, parse_faults
from nemesis.membership import MembershipFault
from nemesis.targets import ByRoles, check_roles
from store.core.data.levels import parse_level
from workloads.base import Workload
from workloads.cart import CARTS, Cart, cart_names, way_of
from workloads.counter import CounterWork
from workloads.kv import Kv
from workloads.monotonic import MonotonicWork
from workloads.queue import QueueWork
from workloads.register import Register
from workloads.sessions import SessionsWork
from workloads.set import SetWork, set_way_of
from workloads.set_full import SetFullWork, demand_of
from workloads.unique_ids import UniqueIdsWork

T = TypeVar("T")

__all__ = ["AMOUNTS", "CLUSTERS", "FAULTS", "WORKLOADS", "Pieces", "assemble"]


class WorkloadKind(NamedTuple):
    summary: str
    make: Callable[[Plan], Workload]


class ClusterKind(NamedTuple):
    summary: str
    make: Callable[[Plan], Cluster]


WORKLOADS: dict[str, WorkloadKind] = {
    Register.name: WorkloadKind(Register.summary, lambda plan: Register(plan.level, plan.analysis_limit_s)),
    Kv.name: WorkloadKind(Kv.summary, lambda plan: _kv(plan)),
    SetWork.name: WorkloadKind(SetWork.summary, lambda plan: _set(plan)),
    SetFullWork.name: WorkloadKind(SetFullWork.summary, lambda plan: _set_full(plan)),
    CounterWork.name: WorkloadKind(CounterWork.summary, lambda plan: _counter(plan)),
    QueueWork.name: WorkloadKind(
        QueueWork.summary, lambda plan: QueueWork(plan.level, plan.analysis_limit_s)
    ),
    Cart.name: WorkloadKind(Cart.summary, lambda plan: _cart(plan)),
    SessionsWork.name: WorkloadKind(SessionsWork.summary, lambda plan: SessionsWork(plan.level)),
    MonotonicWork.name: WorkloadKind(MonotonicWork.summary, lambda plan: MonotonicWork(plan.level)),
    UniqueIdsWork.name: WorkloadKind(UniqueIdsWork.summary, lambda plan: UniqueIdsWork(plan.level)),
}

CLUSTERS: dict[str, ClusterKind] = {
    "sim": ClusterKind(
        "nodes, network, disks and clocks simulated in virtual time; one seed, one history",
        lambda plan: _sim(plan),
    ),
    "local": ClusterKind(
        "real node processes on loopback with data on disk, a proxy on every link; needs no root",
        lambda plan: LocalCluster(plan.nodes, plan.replication, spares(plan.faults)),
    ),
    "netns": ClusterKind(
        "hosts in network namespaces of this machine, reached by SSH (Linux, root)",
        lambda plan: _on_hosts(plan),
    ),
    "ssh": ClusterKind(
        "any hosts that are reached by SSH, named in a file: virtual machines, the Vagrant lab",
        lambda plan: _on_hosts(plan),
    ),
}


class Pieces(NamedTuple):
    """What a plan names, made."""

    workload: Workload
    nemesis: Faults
    requested: tuple[Requested, ...]
    cluster: Cluster


def assemble(plan: Plan) -> Pieces:
    """Raises `PlanError` for a name that there is not, or a fault that the cluster cannot make."""
    workload, _ = asked_for(plan)
    cluster = _named(CLUSTERS, "--cluster", plan.cluster).make(plan)
    nemesis, requested = faults_for(plan.faults, plan.nodes, cluster)
    if plan.stop_on_violation and workload.stream() is None:
        raise PlanError(
            f"--stop-on-violation: {plan.workload} at level {plan.level} is judged by its whole history; "
            "register and queue, and kv at level linearizable, can be stopped"
        )
    return Pieces(workload, nemesis, requested, cluster)


def asked_for(plan: Plan) -> tuple[Workload, tuple[Requested, ...]]:
    """What judging needs of it, wherever that is done: a system on hosts need not be here. Raises as
    `assemble`."""
    plan.validate()
    try:
        nemesis = Nemesis(parse_faults(plan.faults, plan.nodes))
    except ValueError as error:
        raise PlanError(f"--faults: {error}") from None
    return _named(WORKLOADS, "--workload", plan.workload).make(plan), _requested(nemesis)


def faults_for(
    specs: Sequence[str], nodes: Sequence[str], cluster: Cluster
) -> tuple[Nemesis, tuple[Requested, ...]]:
    """Raises `PlanError` for a fault that there is not, or that the cluster cannot make."""
    try:
        nemesis = Nemesis(parse_faults(specs, nodes))
        for fault in nemesis.faults:
            if not fault.supported(cluster):
                able = ", ".join(f.name for f in parse_faults(FAULTS, nodes) if f.supported(cluster))
                raise ValueError(f"cluster {cluster.name} cannot make {fault.name}; it can make {able}")
            if isinstance(fault, ByRoles):
                check_roles(fault.name, fault.roles, cluster)
    except ValueError as error:
        raise PlanError(f"--faults: {error}") from None
    return nemesis, _requested(nemesis)


def _requested(nemesis: Nemesis) -> tuple[Requested, ...]:
    def one(fault: Fault) -> Requested:
        undone_by = fault.undone_by if isinstance(fault, SharesHealing) else frozenset()
        return Requested(fault.name, fault.begins, fault.ends, undone_by)

    return tuple(one(fault) for fault in nemesis.faults)


def _sim(plan: Plan) -> SimCluster:
    options = SimOptions(core=PACE, spares=spares(plan.faults))
    return SimCluster(plan.nodes, plan.replication, plan.seed, options)


def _on_hosts(plan: Plan) -> Cluster:
    from harness.on_hosts import on_hosts  # brings SSH with it, which takes a while to import

    return on_hosts(plan, spares(plan.faults))


def spares(faults: Sequence[str]) -> int:
    """How many nodes more than it begins with a run with these faults needs."""
    return sum(fault.partition(":")[0] == MembershipFault.name for fault in faults)


def _kv(plan: Plan) -> Kv:
    bent = any(fault.partition(":")[0] in ("clock", "strobe", "drift") for fault in plan.faults)
    keeps = _keeps_acknowledged(plan)
    return Kv(plan.level, plan.replication, not bent, plan.analysis_limit_s, keeps)


def _set(plan: Plan) -> SetWork:
    return SetWork(set_way_of(plan.level), plan.level, _keeps_acknowledged(plan))


def _set_full(plan: Plan) -> SetFullWork:
    demand = demand_of(plan.level, plan.replication)
    return SetFullWork(set_way_of(plan.level), plan.level, demand if _keeps_acknowledged(plan) else "nothing")


def _counter(plan: Plan) -> CounterWork:
    fresh = demand_of(plan.level, plan.replication) != "eventual"
    return CounterWork(plan.level, fresh, _keeps_acknowledged(plan))


def _keeps_acknowledged(plan: Plan) -> bool:
    """Where no two replicas need have it, what is acknowledged may be lost with one copy."""
    losses = {fault.partition(":")[0] for fault in plan.faults} & {"rot", "files", "membership"}
    level = parse_level(plan.level, plan.replication)
    return not losses or (level.writes > 1 and not level.sloppy)


def _cart(plan: Plan) -> Cart:
    way = way_of(plan.level)
    keys = cart_names(way, CARTS)
    return Cart(
        way, plan.level, plan.replication, keys, removes=True, keeps_acknowledged=_keeps_acknowledged(plan)
    )


def _named(kinds: dict[str, T], flag: str, name: str) -> T:
    if name not in kinds:
        raise PlanError(f"{flag} is {name!r}; allowed: {', '.join(kinds)}")
    return kinds[name]
