"""From one setting's history to figures.

A phase has the operations that began and ended in it: what straddles the cut or the healing is in none. When
the nodes noticed is when each of them first said so, asked ten times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from checkers.carts import Carts, carts, figures
from checkers.convergence import COPIES
from checkers.history import NEMESIS, Op, Operation, pair
from checkers.linear import Linearizable
from checkers.models import Set
from checkers.verdict import Status
from harness.demo.cap_order import out_of_order
from harness.demo.served import Served, served
from harness.demo.watch import STATUS

SIDES: Final = ("majority", "minority")
SESSIONS: Final = ("read_your_writes", "monotonic_reads", "out_of_order")
CLIENTS_ASK: Final = ("read", "add")
LINEARIZABLE_LIMIT_S: Final = 20.0


class Schedule(Struct, frozen=True):
    """`node_of` gives the node that a client's process talks to."""

    nodes: tuple[str, ...]
    minority: tuple[str, ...]
    node_of: Callable[[int], str]


class Mark(Struct, frozen=True):
    """For the picture: what became of one operation of a client on `node`, from when to when."""

    node: str
    start_s: float
    end_s: float
    what: str
    """served, refused, stale, or bereft: it lacks nothing but what is lost for good."""


class Measured(Struct, frozen=True):
    """`served` by phase and side. `counts` are those of `checkers.carts`, and reads that were `out_of_order`;
    `counts_by_side` those of what each side's clients were told. `detect_s` by side: when the last of its
    nodes said that it was partitioned, after the cut; None: not all did before the healing. `sees` by node:
    from when to when (seconds) it said so. `converge_s`: when the copies of all carts were equal in what had
    been acknowledged before the healing, after it; None: never, or they show no copies. `rungs` are the
    levels that were judged, from the strongest: do they hold (None: not decided)."""

    setting: str
    majority: tuple[str, ...]
    minority: tuple[str, ...]
    bit: bool
    cut_at_s: float
    healed_at_s: float
    end_s: float
    served: dict[str, dict[str, Served]]
    counts: dict[str, Any]
    counts_by_side: dict[str, dict[str, Any]]
    detect_s: dict[str, float | None]
    converge_s: float | None
    rungs: dict[str, bool | None]
    anomaly: str
    sees: dict[str, list[tuple[float, float]]]
    marks: list[Mark]

    @property
    def cut_s(self) -> float:
        return self.healed_at_s - self.cut_at_s

    @property
    def strongest(self) -> str:
        """Of those that were decided."""
        return next((rung for rung, holds in self.rungs.items() if holds), "none")

    @property
    def undecided(self) -> list[str]:
        return [rung for rung, holds in self.rungs.items() if holds is None]

    def as_json(self) -> dict[str, Any]:
        """All but what is only for the picture."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        pictured = ("marks", "sees")
        return {name: value for name, value in told.items() if name not in pictured} | {
            "strongest": self.strongest
        }


def measure(setting: str, history: list[Op], schedule: Schedule) -> Measured:
    cut, healed = _turns(history)
    last_ns = _last_s(history) * 1e9
    found = carts(history)
    found = found._replace(looks=[look for look in found.looks if look.read.invoke.time < last_ns])
    operations = [each for each in pair(history) if each.invoke.f in CLIENTS_ASK]
    storm = [each for each in operations if each.invoke.time < last_ns]
    strays = out_of_order(history)
    by_side = {side: _counts(_on_side(found, side, history, schedule), strays) for side in SIDES}
    counts = _counts(found, strays)
    rungs = _rungs(history, found, counts)
    sides = {"majority": _others(schedule), "minority": schedule.minority}
    sees = _sees(history, schedule)
    cut_s = cut[1].time / 1e9
    return Measured(
        setting,
        sides["majority"],
        schedule.minority,
        bool((cut[1].value or {}).get("bit")),
        cut_s,
        healed[1].time / 1e9,
        _last_s(history),
        _served(storm, cut, healed, schedule),
        counts,
        by_side,
        {side: _detect_s(sees, nodes, cut_s, healed[0].time / 1e9) for side, nodes in sides.items()},
        _converge_s(history, found, healed),
        rungs,
        _anomaly(counts, rungs),
        sees,
        _marks(storm, found, schedule),
    )


def _counts(found: Carts, strays: frozenset[int]) -> dict[str, Any]:
    return figures(found) | {"out_of_order": sum(look.read.start in strays for look in found.looks)}


def _on_side(found: Carts, side: str, history: Sequence[Op], schedule: Schedule) -> Carts:
    """What the clients of one side added, and were shown."""

    def here(operation: Operation) -> bool:
        return (_node(operation, schedule) in schedule.minority) == (side == "minority")

    adds = [each for each in pair(history) if each.invoke.f == "add" and each.outcome == "ok"]
    return found._replace(
        acknowledged=sum(map(here, adds)),
        looks=[look for look in found.looks if here(look.read)],
        lost=None if found.lost is None else [add for add in found.lost if here(add)],
        phantoms=[(read, item) for read, item in found.phantoms if here(read)],
    )


def _others(schedule: Schedule) -> tuple[str, ...]:
    return tuple([node for node in schedule.nodes if node not in schedule.minority])


def _turns(history: Iterable[Op]) -> tuple[tuple[Op, Op], tuple[Op, Op]]:
    """The cut and the first healing, each as its invocation and completion."""
    found = {
        f: [op for op in history if op.process == NEMESIS and op.f == f]
        for f in ("partition", "heal-partition")
    }
    cut, healed = (found[f][:2] for f in ("partition", "heal-partition"))
    return (cut[0], cut[1]), (healed[0], healed[1])


def _last_s(history: Sequence[Op]) -> float:
    """When the last look began: the second healing."""
    heals = [op.time for op in history if op.process == NEMESIS and op.f == "heal-partition"]
    return heals[2] / 1e9 if len(heals) > 2 else history[-1].time / 1e9


# Availability ---------------------------------------------------------------------------------------------


def _served(
    operations: Sequence[Operation], cut: tuple[Op, Op], healed: tuple[Op, Op], schedule: Schedule
) -> dict[str, dict[str, Served]]:
    bounds = {
        "before": (-1, cut[0].time),
        "during": (cut[1].time, healed[0].time),
        "after": (healed[1].time, (1 << 62) - 1),
    }
    return {
        phase: {
            side: served(
                [
                    each
                    for each in operations
                    if from_ns < each.invoke.time
                    and _ended_ns(each) <= to_ns
                    and (_node(each, schedule) in schedule.minority) == (side == "minority")
                ]
            )
            for side in SIDES
        }
        for phase, (from_ns, to_ns) in bounds.items()
    }


def _ended_ns(operation: Operation) -> int:
    return 1 << 62 if operation.completion is None else operation.completion.time


def _node(operation: Operation, schedule: Schedule) -> str:
    return schedule.node_of(int(operation.invoke.process))


def _marks(operations: Iterable[Operation], found: Carts, schedule: Schedule) -> list[Mark]:
    marred = {
        look.read.start: "stale" if look.missing else "bereft"
        for look in found.looks
        if look.missing or look.gone
    }
    return [
        Mark(
            _node(each, schedule),
            each.invoke.time / 1e9,
            each.completion.time / 1e9,
            "refused" if each.outcome != "ok" else marred.get(each.start, "served"),
        )
        for each in operations
        if each.completion is not None
    ]


# What the nodes say ---------------------------------------------------------------------------------------


def _sees(history: Sequence[Op], schedule: Schedule) -> dict[str, list[tuple[float, float]]]:
    spans: dict[str, list[tuple[float, float]]] = {node: [] for node in schedule.nodes}
    since: dict[str, float] = {}
    for op in history:
        if op.f != STATUS or op.type != "ok":
            continue
        node, at = schedule.node_of(int(op.process)), op.time / 1e9
        if op.value["partitioned_since"] is not None:
            since.setdefault(node, at)
        elif node in since:
            spans[node].append((since.pop(node), at))
    for node, at in since.items():
        spans[node].append((at, history[-1].time / 1e9))
    return spans


def _detect_s(
    sees: dict[str, list[tuple[float, float]]], nodes: Iterable[str], cut_s: float, healed_s: float
) -> float | None:
    firsts = [
        min([start for start, end in sees[node] if end > cut_s and start < healed_s], default=None)
        for node in nodes
    ]
    known = [first - cut_s for first in firsts if first is not None]
    return round(max(0.0, *known), 3) if len(known) == len(firsts) and known else None


# Convergence ----------------------------------------------------------------------------------------------


def _converge_s(history: Sequence[Op], found: Carts, healed: tuple[Op, Op]) -> float | None:
    acknowledged: dict[str, set[Any]] = {}
    for add in pair(history):
        if add.invoke.f == "add" and add.outcome == "ok" and _ended_ns(add) <= healed[0].time:
            acknowledged.setdefault(add.invoke.key or "", set()).add(add.invoke.value["item"])
    since: dict[str, float | None] = dict.fromkeys(acknowledged)
    for op in history:
        if op.f != COPIES or op.type != "ok" or op.time < healed[1].time or op.key not in since:
            continue
        counted = [acknowledged[op.key].intersection(held) for held in op.value.values()]
        if any(held != counted[0] for held in counted):
            since[op.key] = None
        elif since[op.key] is None:
            since[op.key] = op.time / 1e9
    times = [at for at in since.values() if at is not None]
    if not times or len(times) < len(since) or found.divergent:
        return None
    return round(max(times) - healed[1].time / 1e9, 3)


# What held ------------------------------------------------------------------------------------------------


def _rungs(history: Sequence[Op], found: Carts, counts: dict[str, Any]) -> dict[str, bool | None]:
    as_set = [each for op in history if (each := _of_a_set(op)) is not None]
    verdict = Linearizable(Set(), seconds=LINEARIZABLE_LIMIT_S).check(as_set)
    linearizable = {Status.VALID: True, Status.INVALID: False}.get(verdict.status)
    kept = None if found.lost is None else not found.lost and not found.divergent and not found.phantoms
    orderly = not any(counts[guarantee] for guarantee in SESSIONS)
    return {
        "linearizable": False if kept is False else linearizable,
        "sessions": None if kept is None else kept and orderly,
        "eventual": kept,
        "convergent": not found.divergent,
    }


def _of_a_set(op: Op) -> Op | None:
    """As `checkers.models.Set` has it, a set for each cart."""
    if op.f == "add":
        return msgspec.structs.replace(op, value=op.value["item"])
    if op.f == "read":
        items = op.value["items"] if op.type == "ok" else None
        return msgspec.structs.replace(op, value=items)
    return None


def _anomaly(counts: dict[str, Any], rungs: dict[str, bool | None]) -> str:
    """The gravest that was seen; empty: none."""
    named = {
        "phantoms": "phantom read",
        "lost": "lost update",
        "read_your_writes": "own write not read",
        "monotonic_reads": "non-monotonic read",
        "out_of_order": "cart out of order",
        "stale_reads": "stale read",
    }
    other = "not linearizable" if rungs["linearizable"] is False else ""
    return next((name for count, name in named.items() if counts[count]), other)
