"""`harness demo quorum`: R, W and N under one storm, and where R + W > N stops helping.

Gifford 1979: if every R replicas and every W replicas have one in common, a read meets each write that was
acknowledged before it. This shows that it does, what it costs, and what it is no answer to: stand-ins that
are no replicas, writes that failed and are there nevertheless, and clocks that say which write is the last.

The storms of all rows are drawn from one seed: partitions and kills, and where clocks are bent that in
addition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from checkers.history import Op
from checkers.last_reads import LastReads
from checkers.verdict import Checker
from harness import catalog
from harness.catalog import Pieces
from harness.demo.base import Conditions, Demo, Shown, record
from harness.demo.quorum_claims import claims
from harness.demo.quorum_measure import Row, measure
from harness.demo.quorum_tables import prose, tables
from harness.draw import mix64
from harness.generator import Generator
from harness.generators import numbered
from harness.plan import Plan, versions
from workloads.final import Look
from workloads.kv import Kv

NODES: Final = 7
CLIENTS: Final = 14
KEYS: Final = 8
"""Few, so that clients meet."""
RATE: Final = 120.0
STORM_S: Final = 15.0
FAULT_INTERVAL_S: Final = 4.0
OP_TIMEOUT_S: Final = 0.5
FAULTS: Final = ("partition:halves", "kill")
BENT: Final = (*FAULTS, "clock")


class Setting(NamedTuple):
    n: int
    r: int
    w: int
    sloppy: bool = False
    bent: bool = False

    @property
    def level(self) -> str:
        return f"r={self.r},w={self.w}" + (",sloppy" if self.sloppy else "")

    @property
    def name(self) -> str:
        return f"n={self.n},{self.level}" + (",clocks" if self.bent else "")

    @property
    def part(self) -> str:
        return self.name.replace(",", "-").replace("=", "")


PLAIN: Final = {
    3: ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (3, 1)),
    5: ((1, 1), (2, 2), (1, 5), (3, 3), (5, 1)),
}
SETTINGS: Final = tuple(
    [
        setting
        for n, pairs in PLAIN.items()
        for setting in (
            *(Setting(n, r, w) for r, w in pairs),
            Setting(n, n // 2 + 1, n // 2 + 1, sloppy=True),
            Setting(n, n // 2 + 1, n // 2 + 1, bent=True),
        )
    ]
)

TEXT: Final = f"""\
Reads and writes {KEYS} keys while nodes are cut off and killed, once for each of {len(SETTINGS)} choices of
R, W and N, and shows what was stale, lost and refused, with what latency: where R + W > N helps,
and where it does not. Simulated: the same figures for the same seed.

examples:
  harness demo quorum
  harness demo quorum --assert --seed 1"""


class Writes(Kv):
    """As `kv`, but none deletes, and every write has a value of its own: a read tells whose it saw."""

    def generator(self, seed: int) -> Generator:
        def make(i: int) -> Op:
            draw = mix64(seed, i)
            if draw >> 63:
                return Op(f="write", key=f"k{draw % KEYS}", value=i + 1)
            return Op(f="read", key=f"k{draw % KEYS}")

        return numbered(make)

    def final(self) -> Generator:
        """No reads: figures are of those in the storm."""
        return Look(tuple([f"k{number}" for number in range(KEYS)]))

    def checkers(self) -> list[Checker]:
        return [checker for checker in super().checkers() if checker.name != LastReads.name]


def run(conditions: Conditions) -> Shown:
    """Raises `DemoError`."""
    rows = list(_rows(conditions))
    title = (
        f"{NODES} nodes, {KEYS} keys; halves cut and nodes killed for {STORM_S:g} s, in 'clocks' "
        f"bent clocks, too; seed {conditions.seed}"
    )
    figures = {"rows": [row.as_json() for row in rows]}
    return Shown([title, "", *tables(rows), *prose(rows)], figures, claims(rows))


def _rows(conditions: Conditions) -> Iterator[Row]:
    for number, setting in enumerate(SETTINGS):
        conditions.tell(f"{number + 1} of {len(SETTINGS)}: {setting.name} ...")
        plan = Plan(
            workload=Kv.name,
            level=setting.level,
            cluster=conditions.cluster,
            nodes=conditions.nodes(NODES),
            replication=setting.n,
            faults=BENT if setting.bent else FAULTS,
            time_limit_s=STORM_S,
            concurrency=CLIENTS,
            rate=RATE,
            op_timeout_s=OP_TIMEOUT_S,
            fault_interval_s=FAULT_INTERVAL_S,
            seed=conditions.seed,
            demo=f"quorum/{setting.part}",
            argv=conditions.argv,
            versions=versions(),
        )
        pieces = assemble(plan, setting.part)
        history = record(plan, pieces)
        yield measure(
            setting.n, setting.r, setting.w, setting.sloppy, setting.bent, history, pieces.requested
        )


def assemble(plan: Plan, part: str) -> Pieces:
    setting = {setting.part: setting for setting in SETTINGS}[part]
    work = Writes(plan.level, plan.replication, not setting.bent, plan.analysis_limit_s)
    cluster = catalog.CLUSTERS[plan.cluster].make(plan)
    nemesis, requested = catalog.faults_for(plan.faults, plan.nodes, cluster)
    return Pieces(work, nemesis, requested, cluster)


DEMO: Final = Demo(
    "quorum", "R, W and N swept: where R + W > N helps, and where it does not", TEXT, ("sim",), run, assemble
)
