"""What the faults left possible, as the history's own nemesis operations tell it.

CAP is about availability too: a level that should have answered and did not is reported. An operation should
have been served if, from its invocation to its completion, no fault began, ended or had just done so, nor
the harness stood still, its coordinator ran and clients could reach it, and enough of the key's replicas ran
and could talk with the coordinator both ways. All others are not judged; a kind of fault that is not known
here excuses whatever happens while it lasts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, NamedTuple

from checkers.history import NEMESIS, Op
from harness.client import Codec
from harness.stillness import Span
from store.core.data.levels import parse_level
from store.core.messages import Get, KeyBody
from store.core.ownership.layout import Placement

SETTLING_NS = 1_000_000_000
"""How long the cluster may take to find itself again after a fault began or ended."""

STRETCH_NS = 10_000_000_000
"""A calm is cut into stretches of this length, so that a node which falls silent in the midst of a long one
is not excused by how well it served before."""

HARMLESS = frozenset(
    {"clock-bump", "clock-reset", "strobe", "strobe-end", "drift", "drift-end", "rot", "rot-survey"}
)
"""They keep nobody from answering, but rot: of each key one copy may be no answer from then on."""

SPOILING = frozenset({"files-flip", "files-truncate", "files-roll-back", "files-restore"})
"""The nodes that they name may end at any time from then on, when they find the damage."""

ENDING = frozenset({"kill", "stop", "power-off"}) | SPOILING
"""The nodes that they name run no longer."""

STARTING = {
    "start": frozenset({"kill", "start"}),
    "restart-start": frozenset({"stop", "restart-rolling", "restart-storm", "restart-start"}),
    "power-on": frozenset({"power-off", "power-on"}),
    "files-start": SPOILING | {"files-start", "files-snapshot"},
}
"""The nodes that they name run again; and which operations, had they failed, are over then."""

PASSING = frozenset({"restart-rolling", "restart-storm", "files-snapshot"})
"""Over when they are completed."""

UNDONE = {
    "packets-end": frozenset({"packets"}),
    "stress-end": frozenset({"stress-cpu", "stress-memory"}),
    "disk-mend": frozenset({"disk-full", "disk-slow"}),
    "members-restore": frozenset({"member-leave", "member-join", "member-replace", "member-wipe"}),
}
"""Which of the kinds whose effect is not known here are over after an operation without an error."""


class Sky(NamedTuple):
    """Who cannot answer (`away`, `paused`), who does not hear whom (`deaf`: (hearer, unheard)), which
    operations had an effect that is not known here (of a kind that is not, or they ended in an error), and
    who may end at any time (`spoiled`). Clients cannot reach those that are `cut_off`, which do their part
    for others nevertheless."""

    away: frozenset[str] = frozenset()
    paused: frozenset[str] = frozenset()
    deaf: frozenset[tuple[str, str]] = frozenset()
    unknown: frozenset[str] = frozenset()
    spoiled: frozenset[str] = frozenset()
    cut_off: frozenset[str] = frozenset()

    def after(self, op: Op) -> Sky:
        value: dict[str, Any] = op.value if isinstance(op.value, dict) else {}
        nodes = frozenset(value.get("nodes", ()))
        if op.f in SPOILING:
            return self._replace(spoiled=self.spoiled | nodes)._after(op, value, nodes)
        return self._after(op, value, nodes)

    def _after(self, op: Op, value: dict[str, Any], nodes: frozenset[str]) -> Sky:
        if op.error is not None:
            return self._replace(unknown=self.unknown | {op.f})
        if op.f in ENDING:
            return self._replace(away=self.away | nodes, paused=self.paused - nodes)
        if op.f in STARTING:
            return self._replace(away=self.away - nodes, unknown=self.unknown - STARTING[op.f])
        if op.f in PASSING:
            return self
        match op.f:
            case "pause":
                return self._replace(paused=self.paused | nodes - self.away)
            case "resume":
                return self._replace(paused=self.paused - nodes, unknown=self.unknown - {"pause", "resume"})
            case "partition":
                grudge = value.get("grudge", {})
                return self._replace(deaf=frozenset((a, b) for a in grudge for b in grudge[a]))
            case "heal-partition":
                return self._replace(deaf=frozenset(), unknown=self.unknown - {"partition", "heal-partition"})
            case "cut-clients":
                return self._replace(cut_off=nodes)
            case "heal-clients":
                ours = {"cut-clients", "heal-clients"}
                return self._replace(cut_off=frozenset(), unknown=self.unknown - ours)
        if op.f in UNDONE:
            return self._replace(unknown=self.unknown - UNDONE[op.f] - {op.f})
        return self._replace(unknown=self.unknown | {op.f})

    @property
    def gone(self) -> frozenset[str]:
        """Who is not to be counted on."""
        return self.away | self.paused | self.spoiled

    def reachable(self, node: str, replicas: Iterable[str]) -> int:
        """How many of `replicas` the coordinator `node` can ask and hear."""
        gone = self.gone
        return sum(
            replica not in gone and (replica, node) not in self.deaf and (node, replica) not in self.deaf
            for replica in replicas
        )


class Weather:
    """The skies over a whole history: `skies[i]` from `since[i]` (ns) on, None while something changes."""

    def __init__(self, history: Iterable[Op]) -> None:
        self.since = [0]
        self.skies: list[Sky | None] = [Sky()]
        sky = Sky()
        under_way = False
        for op in history:
            if op.process != NEMESIS or op.f in HARMLESS:
                continue
            under_way = not under_way
            if under_way:
                self._turn(op.time, None)
            else:
                sky = sky.after(op)
                self._turn(op.time + SETTLING_NS, sky)

    def _turn(self, at: int, sky: Sky | None) -> None:
        while self.since and self.since[-1] >= at:
            self.since.pop()
            self.skies.pop()
        self.since.append(at)
        self.skies.append(sky)

    def during(self, start: int, end: int) -> tuple[int, Sky] | None:
        """The sky that held all the time from `start` to `end` and since when, or None."""
        first, last = bisect_right(self.since, start) - 1, bisect_right(self.since, end) - 1
        sky = self.skies[first] if first == last >= 0 else None
        return None if sky is None else (self.since[first], sky)


def should_serve(
    history: Iterable[Op],
    nodes: Sequence[str],
    concurrency: int,
    place: Placement,
    codec: Codec,
    stood_still: Sequence[Span] = (),
) -> Callable[[Op, Op | None], tuple[str, ...]]:
    """A judge of (invocation, completion): if the store should have served it, by which coordinator, and that
    one in which stretch of calm. `nodes` are in the order in which workers were dealt to them; `stood_still`:
    when the harness did, one after the other, and with it maybe the nodes."""
    events = list(history)
    weather = Weather(events)
    began = [round(span[0] * 1e9) for span in stood_still]
    settled = [round(span[1] * 1e9) + SETTLING_NS for span in stood_still]
    rotten_from = min([op.time for op in events if op.process == NEMESIS and op.f == "rot"], default=inf)

    def judge(invoke: Op, completion: Op | None) -> tuple[str, ...]:
        if completion is None or not isinstance(invoke.process, int):
            return ()
        before = bisect_left(began, completion.time)
        if before and invoke.time < settled[before - 1]:
            return ()
        held = weather.during(invoke.time, completion.time)
        if held is None or held[1].unknown:
            return ()
        since, sky = held
        node = nodes[invoke.process % concurrency % len(nodes)]
        if node in sky.gone | sky.cut_off:
            return ()
        body = codec.encode(invoke)
        if isinstance(body, KeyBody):
            (replicas,) = place.replicas(body.key)
            level = parse_level(body.level, len(replicas))
            needed = level.reads if isinstance(body, Get) else level.writes
            if isinstance(body, Get) and not codec.changes_nothing(invoke):
                needed = max(level.reads, level.writes)  # it looks before it changes
            if sky.reachable(node, replicas) - (completion.time >= rotten_from) < needed:
                return ()
        elif sky.spoiled:
            return ()
        stretch = since + (invoke.time - since) // STRETCH_NS * STRETCH_NS
        return node, f"{node} from {stretch / 1e9:.1f} s"

    return judge
