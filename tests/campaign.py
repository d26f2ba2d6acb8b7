"""Many simulated runs, each drawn from its own seed (swarm testing: Groce et al., ISSTA 2012): the number of
nodes, the level, the faults and how often they come differ from run to run, because a run with everything in
it hides what a run without something shows.

Level `linearizable` must never be found wrong; every other level must converge after the healing, and where
quorums overlap and clocks are right it must keep what it acknowledged. Every tenth run is a canary: registers
at level `one` judged as if they were linearizable, which must be found wrong.

    python -m tests.campaign --seeds 1000 [--first 0] [--jobs 2]

Prints a line for each surprise with the command that replays it; exit 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from checkers.verdict import Status
from harness import catalog
from harness.draw import choice, mix64, shuffled, uniform_int
from harness.judge import judge
from harness.plan import Plan, node_names, replay_command
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.stop import StopWish

FAULTS = ("partition", "kill", "pause", "clock", "strobe", "drift", "disk:full", "disk:slow")
LOSSES = ("rot", "membership")
"""Of these at most one: each leaves one good copy of everything, both together might not."""
LEVELS = ("one", "quorum", "all", "r=1,w=3", "r=3,w=1", "one,sloppy", "quorum,sloppy")
CANARY_EVERY = 10
REPORT_EVERY = 50


class Result(NamedTuple):
    what: str
    status: Status
    operations: int
    surprise: str | None


def drawn(seed: int) -> Plan:
    """The plan that belongs to `seed`."""
    if seed % CANARY_EVERY == CANARY_EVERY - 1:
        return Plan(level="one", faults=("partition",), seed=seed, analysis_limit_s=120)
    faults = shuffled(mix64(seed, 2), FAULTS)[: 1 + uniform_int(mix64(seed, 1), len(FAULTS))]
    faults = [fault for at, fault in enumerate(faults) if not _repeated(fault, faults[:at])]
    loss = choice(mix64(seed, 6), (*LOSSES, *LOSSES, None))
    if loss is not None:
        faults = [*[fault for fault in faults if not _repeated(fault, [loss])], loss]
    linearizable = uniform_int(mix64(seed, 7), 2) == 0
    return Plan(
        workload="register" if linearizable else "kv",
        level="linearizable" if linearizable else choice(mix64(seed, 8), LEVELS),
        nodes=node_names(choice(mix64(seed, 0), (3, 4, 5, 7))),
        faults=tuple(sorted(faults)),
        fault_interval_s=choice(mix64(seed, 3), (0.5, 2.0, 5.0, 10.0)),
        rate=choice(mix64(seed, 4), (50.0, 200.0, 500.0)),
        concurrency=choice(mix64(seed, 5), (3, 10, 20)),
        time_limit_s=30,
        analysis_limit_s=120,
        seed=seed,
    )


def _repeated(fault: str, others: Sequence[str]) -> bool:
    return any(fault.partition(":")[0] == other.partition(":")[0] for other in others)


def run(seed: int) -> Result:
    plan = drawn(seed)
    pieces = catalog.assemble(plan)
    with tempfile.TemporaryDirectory() as root:
        live = Live(Console(file=StringIO()), plan, quiet=True)
        recorded = execute(
            plan, pieces.workload, pieces.nemesis, pieces.cluster, RunDir(Path(root)), live, StopWish()
        )
    verdict = judge(
        plan, pieces.workload.checkers(), pieces.workload, pieces.requested, recorded.history
    ).verdict
    canary = plan.workload == "register" and plan.level == "one"
    wanted = (Status.INVALID,) if canary else (Status.VALID, Status.VACUOUS)
    surprise = None
    if recorded.failures or verdict.status not in wanted:
        why = "; ".join(recorded.failures) or verdict.summary
        surprise = f"{verdict.status.value}: {why}\n  {replay_command(plan)}"
    return Result(f"{plan.workload} at {plan.level}", verdict.status, len(recorded.history) // 2, surprise)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    operations = 0
    surprises = []
    with ProcessPoolExecutor(args.jobs) as pool:
        results = pool.map(run, range(args.first, args.first + args.seeds))
        for number, result in enumerate(results, 1):
            if number % REPORT_EVERY == 0:
                print(
                    f"{number} of {args.seeds} runs; {len(surprises)} surprises", file=sys.stderr, flush=True
                )
            counts[result.what, result.status.value] += 1
            operations += result.operations
            if result.surprise:
                surprises.append(result.surprise)
                print(result.surprise, flush=True)
    for (what, status), count in sorted(counts.items()):
        print(f"{what:<26} {status:<8} {count}")
    print(f"{operations:,} operations; {len(surprises)} surprises")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
