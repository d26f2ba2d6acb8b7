"""`harness demo cap`: one partition, one workload, one seed, and six ways to keep a cart.

Gilbert and Lynch 2002 say what cannot be had; this shows what is had instead. Two of five nodes are cut off
from the other three, each side with clients of its own, and then let back. Carts have three copies, and are
chosen so that the larger side has two of them: which side of a partition is the majority is otherwise another
question for each key. Nothing else goes wrong, and no two clients change one cart at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from checkers.history import Op
from checkers.last_reads import LastReads
from checkers.verdict import Checker
from harness import catalog
from harness.catalog import Pieces
from harness.cluster.base import Cluster
from harness.demo.base import Conditions, Demo, DemoError, Shown, record
from harness.demo.cap_claims import claims
from harness.demo.cap_measure import Measured, Schedule, measure
from harness.demo.cap_picture import Picture
from harness.demo.cap_prose import prose
from harness.demo.cap_tables import tables
from harness.demo.watch import Watched
from harness.draw import fork, shuffled
from harness.generator import Generator
from harness.generators import phases, sequence, sleep, until_ok
from harness.plan import Plan, versions
from nemesis.base import nemesis_op
from nemesis.compose import Nemesis
from nemesis.grudge import complete, to_json
from nemesis.partition import PartitionFault
from store.core.ownership.layout import Placement, first_layout
from workloads.cart import Cart, Way, cart_names
from workloads.final import Look, tries

NODES: Final = 5
COPIES: Final = 3
CARTS: Final = 12
CANDIDATES: Final = 400
CLIENTS: Final = 5
"""One on each node."""
RATE: Final = 60.0
ALL_RATE: Final = 10_000.0
"""With all that is asked only to watch; it does not bind."""
OP_TIMEOUT_S: Final = 0.5
CALM_S: Final = 4.0
CUT_S: Final = 8.0
HEALED_S: Final = 4.0


class Setting(NamedTuple):
    name: str
    way: Way
    level: str

    @property
    def part(self) -> str:
        return self.name.replace(", ", "-").replace(",", "-").partition(" ")[0]


SETTINGS: Final = (
    Setting("linearizable", "cas", "linearizable"),
    Setting("quorum", "put", "quorum"),
    Setting("quorum,sloppy", "put", "quorum,sloppy"),
    Setting("one, lww", "put", "one"),
    Setting("one, siblings", "siblings", "one"),
    Setting("one, set (CRDT)", "set", "one"),
)

TEXT: Final = """\
Cuts two of five nodes off for a while, once for each of six ways to keep a shopping cart, and shows
what each side was served, what that cost in freshness, and what was lost when the sides met again.

examples:
  harness demo cap                     simulated: seconds, and the same figures for the same seed
  harness demo cap --assert --seed 1   as a test
  harness demo cap --cluster local     real processes, a proxy on every link: two minutes"""


class Cut:
    """Implements `Faults`: one partition, at a time of its own, whatever the interval."""

    def __init__(self, nodes: tuple[str, ...], minority: tuple[str, ...]) -> None:
        self._nemesis = Nemesis((PartitionFault(nodes),))
        rest = tuple([node for node in nodes if node not in minority])
        value = {"shape": "halves", "grudge": to_json(complete((minority, rest)))}
        self._cut = nemesis_op("partition", value)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return sequence(sleep(CALM_S), self._cut, sleep(CUT_S), nemesis_op("heal-partition"))

    def healing(self) -> Generator:
        return self._nemesis.healing()

    async def invoke(self, op: Op, cluster: Cluster) -> Op:
        return await self._nemesis.invoke(op, cluster)


def run(conditions: Conditions) -> Shown:
    """Raises `DemoError`."""
    nodes = conditions.nodes(NODES)
    found = list(_measured(conditions, nodes))
    first = found[0]
    title = (
        f"{', '.join(first.minority)} are cut off from {', '.join(first.majority)} for {first.cut_s:.1f} s; "
        f"{CARTS} carts with {COPIES} copies each, two of them on the larger side; "
        f"cluster {conditions.cluster}, seed {conditions.seed}; runs below runs/demo-cap"
    )
    parts = [title, "", *tables(found), *prose(found), Picture(found)]
    figures = {
        "cluster": conditions.cluster,
        "majority": first.majority,
        "minority": first.minority,
        "settings": [one.as_json() for one in found],
    }
    return Shown(parts, figures, claims(found))


def _measured(conditions: Conditions, nodes: tuple[str, ...]) -> Iterator[Measured]:
    for number, setting in enumerate(SETTINGS):
        conditions.tell(f"{number + 1} of {len(SETTINGS)}: {setting.name} ...")
        plan = Plan(
            workload=Cart.name,
            level=setting.level,
            cluster=conditions.cluster,
            nodes_file=conditions.nodes_file,
            lab=conditions.lab,
            nodes=nodes,
            replication=COPIES,
            faults=(PartitionFault.name,),
            time_limit_s=CALM_S + CUT_S + HEALED_S,
            concurrency=CLIENTS + NODES + 1,
            rate=ALL_RATE,
            op_timeout_s=OP_TIMEOUT_S,
            fault_interval_s=CALM_S + CUT_S + HEALED_S,
            seed=conditions.seed,
            demo=f"cap/{setting.part}",
            argv=conditions.argv,
            versions=versions(),
        )
        work = _watched(plan, setting)
        history = record(plan, _pieces(plan, work))
        yield measure(setting.name, history, Schedule(nodes, _minority(plan), work.node_of))


def assemble(plan: Plan, part: str) -> Pieces:
    setting = {setting.part: setting for setting in SETTINGS}[part]
    return _pieces(plan, _watched(plan, setting))


def _watched(plan: Plan, setting: Setting) -> Watched:
    keys = carts_of(setting.way, plan.nodes, _minority(plan))
    cart = _Carts(setting.way, plan.level, plan.replication, keys)
    copied = () if setting.way == "cas" else keys  # registers show no copies
    return Watched(cart, copied, plan, RATE, CALM_S + CUT_S)


def _pieces(plan: Plan, work: Watched) -> Pieces:
    cluster = catalog.CLUSTERS[plan.cluster].make(plan)
    _, requested = catalog.faults_for(plan.faults, plan.nodes, cluster)
    return Pieces(work, Cut(plan.nodes, _minority(plan)), requested, cluster)


def _minority(plan: Plan) -> tuple[str, ...]:
    return tuple(sorted(shuffled(fork(plan.seed, "sides"), plan.nodes)[: NODES // 2]))


class _Carts(Cart):
    """Seen once at the end, and not by every client, so last reads are not judged: the figures are of what
    clients asked until then."""

    def final(self) -> Generator:
        if self._way != "cas":
            return Look(self._keys)
        return phases(*[until_ok(tries(Op(f="read", key=key))) for key in self._keys])

    def checkers(self) -> list[Checker]:
        return [checker for checker in super().checkers() if checker.name != LastReads.name]


def carts_of(way: Way, nodes: tuple[str, ...], minority: tuple[str, ...]) -> tuple[str, ...]:
    """Carts with one copy on the smaller side and the others on the larger one."""
    place = Placement(first_layout(nodes, COPIES))
    fitting = [
        key
        for key in cart_names(way, CANDIDATES)
        if sum(replica in minority for replica in place.replicas(key)[0]) == 1
    ]
    if len(fitting) < CARTS:
        raise DemoError(f"of {CANDIDATES} carts only {len(fitting)} have one copy on {', '.join(minority)}")
    return tuple(fitting[:CARTS])


DEMO: Final = Demo(
    "cap",
    "a partition, and what six settings of the store make of it",
    TEXT,
    tuple(catalog.CLUSTERS),
    run,
    assemble,
)
