from __future__ import annotations

import pytest

from harness import catalog
from harness.plan import Plan, PlanError, default_faults, default_replication, node_names


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("cluster", catalog.CLUSTERS)
def test_the_defaults_of_every_cluster_can_be_assembled(cluster: str, count: int) -> None:
    faults = default_faults(cluster, count)
    plan = Plan(
        cluster=cluster,
        nodes_file="hosts" if cluster == "ssh" else "",
        nodes=node_names(count),
        replication=default_replication(count),
        faults=faults,
    )
    pieces = catalog.assemble(plan)
    assert pieces.cluster.name == cluster
    assert {fault.name for fault in pieces.requested} == set(faults)


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (Plan(workload="bank"), "--workload is 'bank'; allowed: register"),
        (Plan(cluster="ssh"), "--cluster ssh needs --nodes-file FILE"),
        (Plan(nodes_file="hosts"), "--nodes-file hosts is only for --cluster ssh, and this is sim"),
        (Plan(lab="lab"), "--lab lab is only for --cluster netns, and this is sim"),
        (Plan(cluster="moon"), "--cluster is 'moon'; allowed: sim, local"),
        (Plan(faults=("meteor",)), "--faults: .*meteor"),
        (Plan(cluster="local", faults=("clock",)), "cluster local cannot make clock; it can make partition"),
        (Plan(nodes=("a",), replication=2), "--replication"),
        (Plan(workload="kv", level="one", stop_on_violation=True), "--stop-on-violation: kv at level one"),
    ],
)
def test_what_cannot_be_put_together_is_said_by_name(plan: Plan, named: str) -> None:
    with pytest.raises(PlanError, match=named):
        catalog.assemble(plan)
