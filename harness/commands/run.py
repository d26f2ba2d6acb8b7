"""`harness run`: a plan carried out, judged and reported."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import catalog, conclude
from harness import plan as plans
from harness.commands.telling import tell
from harness.commands.terminal import CODES, Terminal
from harness.follow import is_followed
from harness.plan import Plan
from harness.report import artifacts, ci
from harness.report.live import CHECKING, Live
from harness.run import execute
from harness.stop import StopWish
from store.core.data import levels

EXAMPLES: Final = """examples:
  harness run                                      five simulated nodes, four faults, 60 s (virtual)
  harness run --seed 7                             the same run every time, byte for byte
  harness run --level one --faults partition       availability bought with consistency: exit 1
  harness run --cluster local --time-limit 30      real processes, real sockets, real disks
  harness run --cluster netns --time-limit 30      hosts in network namespaces, by SSH (root)
  harness run --cluster ssh --nodes-file hosts     any hosts with SSH and sudo, as the Vagrant lab
  harness run --faults partition:one-way,kill:majority --fault-interval 5
  harness run --faults packets:loss=0.3@n1,clock:one=+5000    how much: see harness list
  harness run --nodes 3 --concurrency 30 --rate 1000 --faults none
  harness run --cluster local --junit junit.xml    for continuous integration, too: docs/ci.md

On cluster sim a seed fixes the whole history. On the others it fixes what is asked and which faults
are injected, not how the nodes interleave. ctrl-C heals, stops, and judges what was recorded; a
second one ends everything at once.

"""


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run a workload on a cluster under faults, judge its history, and keep it in runs/."
    parser.epilog = EXAMPLES + CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(command=_run)
    default = Plan()
    add = parser.add_argument
    add(
        "--workload",
        default=default.workload,
        choices=catalog.WORKLOADS,
        metavar="NAME",
        help=f"what is asked: {', '.join(catalog.WORKLOADS)} (%(default)s)",
    )
    add("--level", default=default.level, help=f"{levels.ALLOWED} (%(default)s)")
    add("--cluster", default=default.cluster, choices=catalog.CLUSTERS, help="(%(default)s)")
    add(
        "--nodes",
        metavar="N|NAMES",
        help=f"a number, or names ({len(default.nodes)}; on ssh all hosts of the file)",
    )
    add("--nodes-file", default="", metavar="FILE", help="the hosts of cluster ssh; see docs/hosts.md")
    add("--lab", default="", metavar="NAME", help="a lab that is up, for netns (one made for the run)")
    add(
        "--heal-after",
        type=float,
        default=default.heal_after_s,
        metavar="S",
        help="hosts undo all faults themselves when they have not heard of the harness for so long: "
        "seconds (%(default)g)",
    )
    add(
        "--system",
        default=default.system,
        metavar="MODULE:CLASS",
        help="what runs on the hosts of netns and ssh; see docs/systems.md (the bundled store)",
    )
    add(
        "--replication",
        type=int,
        metavar="N",
        help=f"copies of a key ({default.replication}, or one on each node if they are fewer)",
    )
    add(
        "--faults",
        metavar="LIST",
        help="NAME or NAME:CHOICE with commas between, some with =AMOUNT, or none (partition, kill, pause; "
        "clock, too, but on local)",
    )
    seconds = "seconds (%(default)g)"
    add("--time-limit", type=float, default=default.time_limit_s, metavar="S", help=f"for the run: {seconds}")
    add("--concurrency", type=int, default=default.concurrency, metavar="N", help="clients (%(default)s)")
    add(
        "--rate",
        type=float,
        default=default.rate,
        metavar="R",
        help="operations per second, in all (%(default)g)",
    )
    add(
        "--op-timeout",
        type=float,
        default=default.op_timeout_s,
        metavar="S",
        help=f"for an operation: {seconds}",
    )
    add(
        "--fault-interval",
        type=float,
        default=default.fault_interval_s,
        metavar="S",
        help=f"between injections of one fault, about: {seconds}",
    )
    add(
        "--analysis-limit",
        type=float,
        default=default.analysis_limit_s,
        metavar="S",
        help=f"for judging: {seconds}",
    )
    add("--stop-on-violation", action="store_true", help="end the run at the first violation that is seen")
    add("--seed", type=int, metavar="N", help="of everything that is drawn (drawn itself, and printed)")
    add("--json", action="store_true", help="print the results as one JSON object, and nothing else")
    add("--quiet", action="store_true", help="no live view, only the report")
    ci.add_flags(parser)


def _run(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a plan, judge what was recorded, and report it."""
    plan = plan_of(args, words)
    pieces = catalog.assemble(plan)
    run_dir = artifacts.create(artifacts.ROOT, plan.workload, datetime.now(UTC))
    run_dir.write_plan(plan)
    note = artifacts.point_latest(artifacts.ROOT, run_dir)
    console = Terminal(stderr=args.json)
    follow = run_dir if not plan.stop_on_violation and is_followed(pieces.workload) else None
    live = Live(console, plan, pieces.requested, quiet=args.quiet or args.json, follow=follow)
    with StopWish(console.show_cursor) as stop, live:
        recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, stop)
        live.phase(CHECKING)
        notes = [note] if note else []
        work, requested = pieces.workload, pieces.requested
        summary = conclude.judged(plan, work, requested, recorded, run_dir, notes, live.watched)
    unwritten = conclude.keep(summary, run_dir)
    if unwritten:
        summary = replace(summary, failures=[*summary.failures, unwritten])
    return tell(summary, args)


def plan_of(args: argparse.Namespace, words: Sequence[str]) -> Plan:
    """What the words ask for; its seed is drawn if they name none."""
    nodes = _nodes(args)
    count = len(nodes)
    faults = (
        plans.parse_faults(args.faults)
        if args.faults is not None
        else plans.default_faults(args.cluster, count)
    )
    return Plan(
        workload=args.workload,
        level=args.level,
        cluster=args.cluster,
        nodes_file=args.nodes_file,
        lab=args.lab,
        heal_after_s=args.heal_after,
        system=args.system,
        nodes=nodes,
        replication=plans.default_replication(count) if args.replication is None else args.replication,
        faults=faults,
        time_limit_s=args.time_limit,
        concurrency=args.concurrency,
        rate=args.rate,
        op_timeout_s=args.op_timeout,
        fault_interval_s=args.fault_interval,
        analysis_limit_s=args.analysis_limit,
        stop_on_violation=args.stop_on_violation,
        seed=secrets.randbelow(1 << 32) if args.seed is None else args.seed,
        argv=("harness", *words),
        versions=plans.versions(),
    )


def _nodes(args: argparse.Namespace) -> tuple[str, ...]:
    """As asked for; else on `ssh` the hosts of the file, the last of them a spare if one is needed."""
    if args.nodes is not None:
        return plans.parse_nodes(args.nodes)
    if args.cluster != "ssh" or not args.nodes_file:
        return Plan().nodes
    from harness.remote.hosts import read_hosts  # brings SSH with it, which takes a while to import

    names = tuple([host.name for host in read_hosts(Path(args.nodes_file))])
    return names[: len(names) - catalog.spares(plans.parse_faults(args.faults or "none"))]
