"""Clients and nodes in three regions that are far from each other: what a level costs, and buys.

In each region some clients read and write the same few keys, through the nearest node. Nothing is wrong
meanwhile: there is no partition and no fault, so all that is seen is the price of the distance.

The distances between nodes are real, or simulated, as the cluster is. Those of clients to a node of another
region are not: such a client asks as seldom as if it were far away, and its way there and back is added to
what was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from operator import eq
from statistics import median
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from checkers.convergence import Convergence
from checkers.history import NEMESIS, Op, Operation, pair
from checkers.last_reads import LastReads
from checkers.linear import Stream
from checkers.stats import quantile
from checkers.verdict import Checker
from harness import catalog
from harness.catalog import Pieces
from harness.cluster.base import Cluster, ClusterError, Distances
from harness.context import Context
from harness.demo.base import Conditions, DemoError, record
from harness.draw import fork, mix64
from harness.generator import PENDING, Answer, Generator, Pending
from harness.generators import any_of, on_threads, once
from harness.ledger import Requested
from harness.plan import Plan, versions
from nemesis.base import nemesis_op
from workloads.kv import Kv

REGIONS: Final = ("eu", "us", "ap")
ROUND_TRIPS_MS: Final = {("eu", "us"): 90, ("us", "ap"): 200, ("eu", "ap"): 260}
"""About what is measured between data centres in Frankfurt, Virginia and Sydney."""
PLACEMENTS: Final[Mapping[str, Sequence[str]]] = {
    "one in each": ("eu", "us", "ap"),
    "two and one": ("eu", "eu", "us"),
    "all in eu": ("eu", "eu", "eu"),
}
"""Where the replicas of every key are."""
REPLICAS: Final = 3
LEVELS: Final = ("one", "quorum", "all", "linearizable")
CLIENTS: Final = 3
"""In each region."""
ROUNDS: Final = 15
"""Of each client: a write and three reads."""
READS: Final = 3
KEYS: Final = len(REGIONS) * CLIENTS
"""One for each client to write."""
MS: Final = 1_000_000
APART_NS: Final = 4_000 * MS
"""When clients begin: until then nodes are set apart."""
THINK_NS: Final = 20 * MS
PATIENCE_S: Final = 5.0
LIMIT_S: Final = 300.0
ALL_RATE: Final = 10_000.0
"""It does not bind: clients think."""
SET_APART: Final = "set-apart"
BRING_TOGETHER: Final = "bring-together"
DISTANCE: Final = Requested("distance", frozenset({SET_APART}), frozenset({BRING_TOGETHER}))
"""A run in which it was not there shows nothing."""


class Figures(NamedTuple):
    """Of one region's clients. Latencies are ms; `stale` counts reads that began after a newer value than
    theirs had been acknowledged, `oldest_ms` is how long before, at most. `refused`: all else than an
    answer."""

    placement: str
    level: str
    region: str
    read_p50: float
    read_p99: float
    write_p50: float
    write_p99: float
    reads: int
    stale: int
    oldest_ms: float
    refused: int


def round_trip_ms(one: str, other: str) -> int:
    return 0 if one == other else ROUND_TRIPS_MS.get((one, other)) or ROUND_TRIPS_MS[other, one]


def measure(placement: str, level: str, conditions: Conditions) -> list[Figures]:
    """A line for each region. Raises `DemoError`."""
    seats = seats_of(PLACEMENTS[placement])
    plan = Plan(
        workload=Kv.name,
        level=level,
        cluster=conditions.cluster,
        nodes_file=conditions.nodes_file,
        lab=conditions.lab,
        nodes=conditions.nodes(REPLICAS),
        replication=REPLICAS,
        faults=(),
        time_limit_s=LIMIT_S,
        concurrency=max(seats) + 1,
        rate=ALL_RATE,
        op_timeout_s=PATIENCE_S,
        seed=conditions.seed,
        demo=f"pacelc/{part_of(placement, level)}",
        argv=conditions.argv,
        versions=versions(),
    )
    pieces = assemble(plan, part_of(placement, level))
    history = record(plan, pieces)
    if pieces.requested:
        _check_apart(history)
    return figures(placement, level, history, seats, plan.concurrency)


def part_of(placement: str, level: str) -> str:
    return f"{placement}-{level}".replace(" ", "-")


def assemble(plan: Plan, part: str) -> Pieces:
    """What the plan of that part names, made. KeyError if there is no such part."""
    regions = {part_of(*each): PLACEMENTS[each[0]] for each in product(PLACEMENTS, LEVELS)}[part]
    homes = dict(zip(plan.nodes, regions, strict=True))
    cluster = catalog.CLUSTERS[plan.cluster].make(plan)
    workload = _Asking(plan, seats_of(regions))
    if len(set(regions)) > 1:
        return Pieces(workload, _Apart(homes), (DISTANCE,), cluster)
    return Pieces(workload, *catalog.faults_for((), plan.nodes, cluster), cluster)


class Seat(NamedTuple):
    """A client's: its number, its region, and how far from its node that is."""

    client: int
    region: str
    way_ns: int


def seats_of(homes: Sequence[str]) -> dict[int, Seat]:
    """By thread: in each region so many, each at the nearest node that has the fewest clients yet. Thread i
    is on node i modulo their number."""
    taken = [0] * len(homes)
    seats: dict[int, Seat] = {}
    for region in REGIONS:
        for _ in range(CLIENTS):
            node = min(range(len(homes)), key=lambda i: (round_trip_ms(region, homes[i]), taken[i]))
            thread = node + taken[node] * len(homes)
            seats[thread] = Seat(len(seats), region, round_trip_ms(region, homes[node]) * MS // 2)
            taken[node] += 1
    return seats


class _Client(Struct, frozen=True):
    """Writes its own key, its versions counted, and reads everybody's."""

    seat: Seat
    seed: int
    due_ns: int = APART_NS
    done: int = 0

    def op(self, ctx: Context) -> Answer:
        if self.done == ROUNDS * (1 + READS):
            return None
        if not ctx.free:
            return PENDING
        if ctx.time < self.due_ns:
            return Pending(self.due_ns)
        round_, step = divmod(self.done, 1 + READS)
        op = Op(f="read", key=f"k{mix64(self.seed, self.done) % KEYS}")
        if step == 0:
            op = Op(f="write", key=f"k{self.seat.client}", value=round_ + 1)
        op = replace(op, time=ctx.time, process=ctx.processes[ctx.free[0]])
        return op, replace(self, done=self.done + 1)

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.type == "invoke":
            return self
        thought_ns = mix64(self.seed, -self.done) % (2 * THINK_NS)
        return replace(self, due_ns=ctx.time + 2 * self.seat.way_ns + thought_ns)


class _Asking(Kv):
    """What the clients in `seats` do, and nobody after them: what is in the end is not judged."""

    def __init__(self, plan: Plan, seats: Mapping[int, Seat]) -> None:
        super().__init__(plan.level, plan.replication, True, plan.analysis_limit_s)
        self._seats = seats

    def generator(self, seed: int) -> Generator:
        return any_of(
            *(
                on_threads(partial(eq, thread), _Client(seat, fork(seed, str(seat.client))))
                for thread, seat in self._seats.items()
            )
        )

    def final(self) -> None:
        return None

    def checkers(self) -> list[Checker]:
        last = (Convergence.name, LastReads.name)
        return [checker for checker in super().checkers() if checker.name not in last]

    def stream(self) -> Stream | None:
        return None


class _Apart:
    """Implements `Faults`: nodes are as far from each other as their regions are."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._late_ms = {
            node: {
                other: round_trip_ms(home, away) / 2
                for other, away in homes.items()
                if round_trip_ms(home, away)
            }
            for node, home in homes.items()
        }

    def generator(self, interval_s: float, seed: int) -> Generator:
        return once(nemesis_op(SET_APART, self._late_ms))

    def healing(self) -> Generator:
        return once(nemesis_op(BRING_TOGETHER))

    async def invoke(self, op: Op, cluster: Cluster) -> Op:
        if not isinstance(cluster, Distances):
            return replace(op, error=f"the cluster {cluster.name} cannot set nodes apart")
        try:
            if op.f == BRING_TOGETHER:
                evidence = await cluster.bring_together()
            else:
                evidence = await cluster.set_apart(self._late_ms)
        except ClusterError as error:
            return replace(op, error=str(error))
        return replace(op, value={"bit": evidence.bit, "detail": evidence.detail})


def _check_apart(history: Iterable[Op]) -> None:
    """Raises `DemoError` unless nodes were seen to be where they should be before the first client began."""
    said = [op for op in history if op.process == NEMESIS and op.f == SET_APART]
    for op in said:
        if op.error is not None:
            raise DemoError(f"nodes cannot be set apart: {op.error}")
    if len(said) < 2 or said[1].time > APART_NS:
        raise DemoError(f"nodes were not set apart within {APART_NS / 1e9:g} s")
    if not said[1].value["bit"]:
        raise DemoError(f"nodes are not as far from each other as they should be: {said[1].value['detail']}")


class _Asked(NamedTuple):
    """One operation as its client saw it. `value`: the version that was written, or read."""

    region: str
    kind: str
    key: str
    value: int
    began: int
    ended: int


def figures(
    placement: str, level: str, history: list[Op], seats: Mapping[int, Seat], concurrency: int
) -> list[Figures]:
    operations = [each for each in pair(history) if isinstance(each.invoke.process, int)]
    served: dict[str, list[_Asked]] = {region: [] for region in REGIONS}
    refused = dict.fromkeys(REGIONS, 0)
    for operation in operations:
        seat = seats[int(operation.invoke.process) % concurrency]
        if operation.outcome == "ok":
            served[seat.region].append(_seen_from(seat, operation))
        else:
            refused[seat.region] += 1
    acknowledged: dict[str, list[_Asked]] = defaultdict(list)
    for asked in (asked for all_asked in served.values() for asked in all_asked):
        if asked.kind == "write":
            acknowledged[asked.key].append(asked)
    return [
        _told(placement, level, region, served[region], refused[region], acknowledged) for region in REGIONS
    ]


def _seen_from(seat: Seat, operation: Operation) -> _Asked:
    invoke, completion = operation.invoke, operation.completion
    assert invoke.key is not None
    assert completion is not None
    return _Asked(
        seat.region,
        invoke.f,
        invoke.key,
        completion.value or 0,
        invoke.time - seat.way_ns,
        completion.time + seat.way_ns,
    )


def _told(
    placement: str,
    level: str,
    region: str,
    served: Sequence[_Asked],
    refused: int,
    acknowledged: Mapping[str, Sequence[_Asked]],
) -> Figures:
    reads = [asked for asked in served if asked.kind == "read"]
    stale_ms = [late for read in reads if (late := _late_ms(read, acknowledged[read.key])) > 0]
    read_ms, write_ms = (
        sorted((asked.ended - asked.began) / MS for asked in served if asked.kind == kind)
        for kind in ("read", "write")
    )
    if not read_ms or not write_ms:
        raise DemoError(f"no client in {region} was answered at {level}, replicas {placement}")
    return Figures(
        placement,
        level,
        region,
        median(read_ms),
        quantile(read_ms, 0.99),
        median(write_ms),
        quantile(write_ms, 0.99),
        len(reads),
        len(stale_ms),
        max(stale_ms, default=0.0),
        refused,
    )


def _late_ms(read: _Asked, acknowledged: Iterable[_Asked]) -> float:
    """How long before the read began the first newer version was acknowledged; 0 if none was."""
    newer = [write.ended for write in acknowledged if write.value > read.value]
    return max(0.0, (read.began - min(newer, default=read.began)) / MS)
