"""`harness doctor`: what is missing, and what mends it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import catalog, plan
from harness.cluster.hosts.ground import OwnLab
from harness.commands import terminal
from harness.doctor.examine import Row, examine
from harness.doctor.here import examine_here
from harness.doctor.report import as_json, render
from harness.lab import lab
from harness.plan import PlanError
from harness.remote.connection import Connection
from harness.remote.host import Host
from harness.remote.hosts import read_hosts
from store import interrupt


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check everything that a run needs, on this machine and on the hosts, and say what mends what is "
        "missing. The exit code is 0 if nothing is missing, and 255 otherwise."
    )
    parser.set_defaults(command=doctor)
    add = parser.add_argument
    add("--cluster", default="sim", choices=catalog.CLUSTERS, help="where it is to run (%(default)s)")
    add("--faults", metavar="LIST", help="the faults of that run (what it has by itself), or none")
    add("--nodes", metavar="N|NAMES", help="which hosts of the file or the lab (all)")
    add("--nodes-file", metavar="FILE", help="the hosts of cluster ssh")
    add("--lab", metavar="NAME", help="a lab that is up, for cluster netns (one made for this)")
    add("--json", action="store_true", help="print what was found as one JSON object, and nothing else")


def doctor(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Raises `PlanError`, `HostsFileError`, `LabError` or `ClusterError`."""
    _check(args)
    rows = examine_here(args.cluster)
    with _hosts(args, rows) as hosts:
        faults = _faults(args, len(hosts))
        rows += interrupt.run(_examine, hosts, faults)
    if args.json:
        terminal.print_json(as_json(rows))
    else:
        render(terminal.Terminal(), rows)
    return terminal.EXIT_FAILED if any(found.state == "missing" for found in rows) else 0


def _check(args: argparse.Namespace) -> None:
    """Of a fault only the name: its choice may be of hosts or roles that nobody knows here. Raises
    `PlanError`."""
    asked = plan.Plan(cluster=args.cluster, nodes_file=args.nodes_file or "", lab=args.lab or "")
    plan.check_ground(asked.cluster, asked.nodes_file, asked.lab)
    names = [fault.partition(":")[0] for fault in plan.parse_faults(args.faults or "none")]
    catalog.faults_for(names, asked.nodes, catalog.CLUSTERS[asked.cluster].make(asked))


def _faults(args: argparse.Namespace, count: int) -> tuple[str, ...]:
    if args.faults is None:
        return plan.default_faults(args.cluster, max(2, count))
    return plan.parse_faults(args.faults)


@contextmanager
def _hosts(args: argparse.Namespace, own: Sequence[Row]) -> Iterator[tuple[Host, ...]]:
    if args.cluster == "ssh":
        yield chosen(read_hosts(Path(args.nodes_file)), args.nodes)
    elif args.lab:
        yield chosen(lab.find(args.lab).hosts, args.nodes)
    elif args.cluster == "netns" and all(found.state != "missing" for found in own):
        ground = OwnLab()  # one host of it is like the other, and like those of a run
        try:
            yield ground.hosts(("n1",), 0)
        finally:
            ground.leave()
    else:
        yield ()


def chosen(hosts: tuple[Host, ...], nodes: str | None) -> tuple[Host, ...]:
    """Those that `--nodes` asks for: the first so many, or by name. Raises `PlanError`."""
    if nodes is None:
        return hosts
    by_name = {host.name: host for host in hosts}
    if nodes.isdigit():
        if not 1 <= int(nodes) <= len(hosts):
            raise PlanError(f"--nodes is {nodes}; allowed: 1 to {len(hosts)}, so many hosts are there")
        return hosts[: int(nodes)]
    names = plan.parse_nodes(nodes)
    for name in names:
        if name not in by_name:
            raise PlanError(f"--nodes: there is no host {name!r}; the hosts are {', '.join(by_name)}")
    return tuple([by_name[name] for name in names])


async def _examine(hosts: Sequence[Host], faults: Sequence[str]) -> list[Row]:
    connections = {host.name: Connection(host) for host in hosts}
    try:
        return await examine(connections, faults, deep=True)
    finally:
        for connection in connections.values():
            await connection.aclose()
