"""Sets that only grow, read at any time: what became of each element.

The terms are those of Jepsen's `set-full`. An element is *known* from the moment at which its add was
acknowledged, or a read that showed it ended, whichever came first. Of the reads that began after that, in the
order of their invocation: it is *stable* if the last one shows it (from the last one that lacks it on),
*lost* if the last one lacks it, and *never read* if there is none, and nobody saw it. A stable element that
was missing from a read after it was known is *stale*.

Order is by events; times are for latencies only. Left out on purpose: in which order elements appeared,
which takes whole reads; `Linearizable(Set())` judges that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

from checkers.accesses import told
from checkers.history import Op, Operation
from checkers.models import Value
from checkers.sets import SHOWN, OneSet, elements_of, read_told, sets_of, some, twice
from checkers.stats import quantile
from checkers.verdict import Status, Verdict

Demand = Literal["nothing", "eventual", "acknowledged", "linearizable"]
"""What reads must show: at no time all that was acknowledged, if only nothing else; the last ones, all that
was acknowledged; each, all that was acknowledged before it began; or also all that others had seen before."""
QUANTILES: Final = {"p0": 0.0, "p50": 0.5, "p95": 0.95, "p99": 0.99, "p100": 1.0}


class Fate(NamedTuple):
    """What became of an element. `known` and `acknowledged` are positions in the history (None: never);
    `known_ns` a time. `present` and `absent` are the last reads, by invocation, that show it and lack it."""

    key: str | None
    element: Value
    add: Operation
    known: int | None
    known_ns: int
    present: Operation | None
    absent: Operation | None

    @property
    def acknowledged(self) -> int | None:
        return self.add.end if self.add.outcome == "ok" else None

    @property
    def stable(self) -> bool:
        return self.present is not None and (self.absent is None or self.absent.start < self.present.start)

    @property
    def lost(self) -> bool:
        return not self.stable and self.missing_since(self.known)

    @property
    def stale(self) -> bool:
        return self.stable and self.missing_since(self.known)

    def missing_since(self, position: int | None) -> bool:
        """Whether it is missing from a read that began after that position."""
        return position is not None and self.absent is not None and self.absent.start > position

    @property
    def stale_ms(self) -> float:
        """How long it was known when the last read began that lacks it."""
        return 0.0 if self.absent is None else max(0, self.absent.invoke.time - self.known_ns) / 1e6

    @property
    def lasted_ms(self) -> float:
        """How long it was known when the last read began that shows it."""
        return 0.0 if self.present is None else max(0, self.present.invoke.time - self.known_ns) / 1e6


class SetFull:
    """A `Checker`; operations as in `checkers/sets.py`. Invalid: an acknowledged element is lost, a read
    shows an element twice or one that nobody can have added, or reads are less fresh than `demand`ed (at
    `linearizable`, an element that was only seen must not be lost either; at `nothing`, any may). Unknown: no
    read began after some acknowledged add had ended. Vacuous: nobody added and read, or of no element it was
    known that it is there before a read began.

    `details`, numbers: `attempted`, `acknowledged`, `reads`, `stable`, `lost`, `never_read`, `stale`,
    `recovered` (stable, though never acknowledged), `duplicated`, `unexpected`, `unread` (acknowledged after
    all reads had begun); `stable_ms` (from known to stable) and `lost_ms` (from known to the last read that
    shows it) with quantiles, `worst_stale`, and the `operations` of the counterexample.
    """

    name = "set-full"

    def __init__(self, demand: Demand = "linearizable") -> None:
        if demand not in get_args(Demand):
            raise ValueError(f"demand is one of {', '.join(get_args(Demand))}, not {demand!r}")
        self._demand = demand

    def check(self, history: list[Op]) -> Verdict:
        fates: list[Fate] = []
        duplicated: list[tuple[Value, Operation]] = []
        unexpected: list[tuple[Value, Operation]] = []
        unread = attempted = reads = 0
        for key, one in sets_of(history).items():
            attempted += len(one.adds) + len(one.refused)
            reads += len(one.reads)
            fates += _fates(key, one, duplicated, unexpected)
            last = one.reads[-1].start if one.reads else -1
            unread += sum(add.outcome == "ok" and (add.end or 0) > last for add in one.adds.values())
        counts = {
            "attempted": attempted,
            "acknowledged": sum(fate.acknowledged is not None for fate in fates),
            "reads": reads,
            "stable": sum(fate.stable for fate in fates),
            "lost": sum(fate.lost for fate in fates),
            "never_read": sum(not fate.stable and not fate.lost for fate in fates),
            "stale": sum(fate.stale for fate in fates),
            "recovered": sum(fate.stable and fate.acknowledged is None for fate in fates),
            "duplicated": len({element for element, _ in duplicated}),
            "unexpected": len({element for element, _ in unexpected}),
            "unread": unread,
        }
        worst = sorted([fate for fate in fates if fate.stale], key=lambda fate: -fate.stale_ms)[:SHOWN]
        details: dict[str, Any] = {
            **counts,
            "stable_ms": _quantiles([fate.stale_ms for fate in fates if fate.stable]),
            "lost_ms": _quantiles([fate.lasted_ms for fate in fates if fate.lost]),
            "worst_stale": [_shown(fate) for fate in worst],
        }
        odd = {"duplicated": duplicated, "unexpected": unexpected}
        return self._verdict(counts, fates, odd, details)

    def _verdict(
        self,
        counts: dict[str, int],
        fates: Sequence[Fate],
        odd: dict[str, list[tuple[Value, Operation]]],
        details: dict[str, Any],
    ) -> Verdict:
        lost = [fate for fate in fates if self._badly_lost(fate)]
        behind = [fate for fate in fates if self._too_stale(fate)]
        wrong = [f"{len(lost):,} elements are lost ({some([fate.element for fate in lost])})"] * bool(lost)
        for what, words in (("duplicated", "shown twice"), ("unexpected", "shown that nobody had added")):
            values = list(dict.fromkeys(element for element, _ in odd[what]))
            wrong += [f"{counts[what]:,} elements are {words} ({some(values)})"] * bool(values)
        if behind:
            worst = max(behind, key=lambda fate: fate.stale_ms)
            wrong.append(
                f"{len(behind):,} elements were missing from reads after they were known, "
                f"{some([worst.element])} for {worst.stale_ms:.0f} ms"
            )
        if wrong:
            operations: list[dict[str, Any]] = []
            for fate in [*lost[:SHOWN], *behind[:SHOWN]]:
                operations += _accusing(fate)
            for pairs in odd.values():
                operations += [read_told(read) | {"element": element} for element, read in pairs[:SHOWN]]
            unique = {each["start"]: each for each in operations}
            details["operations"] = [each for _, each in sorted(unique.items())]
            return Verdict(self.name, Status.INVALID, "; ".join(wrong), details)
        if not counts["attempted"] or not counts["reads"]:
            return Verdict(self.name, Status.VACUOUS, "nobody both added elements and read them", details)
        if counts["unread"]:
            text = (
                f"{counts['unread']:,} elements were acknowledged after the last read of their set had begun"
            )
            return Verdict(self.name, Status.UNKNOWN, text, details)
        if not counts["stable"] and not counts["lost"]:
            text = "no element was acknowledged or seen that reads had to show"
            return Verdict(self.name, Status.VACUOUS, text, details)
        text = f"all {counts['acknowledged']:,} acknowledged elements are there"
        gone = [fate.element for fate in fates if fate.lost and fate.acknowledged is not None]
        if gone:
            text = f"{len(gone):,} acknowledged elements are lost ({some(gone)}), which is allowed here"
        if counts["recovered"]:
            text += f", and {counts['recovered']:,} that were never acknowledged"
        if counts["stale"]:
            text += f"; {counts['stale']:,} were missing from reads at first, which is allowed here"
        return Verdict(self.name, Status.VALID, text, details)

    def _badly_lost(self, fate: Fate) -> bool:
        if not fate.lost or self._demand == "nothing":
            return False
        return self._demand == "linearizable" or fate.missing_since(fate.acknowledged)

    def _too_stale(self, fate: Fate) -> bool:
        if not fate.stable or self._demand in ("nothing", "eventual"):
            return False
        return fate.missing_since(fate.known if self._demand == "linearizable" else fate.acknowledged)


def _fates(
    key: str | None,
    one: OneSet,
    duplicated: list[tuple[Value, Operation]],
    unexpected: list[tuple[Value, Operation]],
) -> list[Fate]:
    """Only what changes from one read to the next is looked at element by element."""
    seen = _first_seen(one.reads)
    unexpected += [(element, read) for element, read in seen.items() if one.unexpected(element, read)]
    current: set[Value] = set()
    present: dict[Value, Operation] = {}
    absent: dict[Value, Operation] = {}
    before: Operation | None = None
    for read in one.reads:
        shown = elements_of(read)
        assert read.completion is not None
        if read.completion.value is not None and len(read.completion.value) != len(shown):
            duplicated += [(element, read) for element in twice(read)]
        if before is not None:
            absent.update(dict.fromkeys(shown - current, before))
            present.update(dict.fromkeys(current - shown, before))
        current, before = shown, read
    fates = []
    for element, add in one.adds.items():
        if before is not None:
            (present if element in current else absent)[element] = before
        known, known_ns = _earliest(add if add.outcome == "ok" else None, seen.get(element))
        fates.append(Fate(key, element, add, known, known_ns, present.get(element), absent.get(element)))
    return fates


def _first_seen(reads: Sequence[Operation]) -> dict[Value, Operation]:
    """By element, the read that ended first of those which show it."""
    found: dict[Value, Operation] = {}
    for read in sorted(reads, key=lambda read: read.end or 0):
        found.update(dict.fromkeys(elements_of(read).difference(found), read))
    return found


def _earliest(*operations: Operation | None) -> tuple[int | None, int]:
    """When the first of them ended: position and time."""
    ended = [(op.end, op.completion.time) for op in operations if op and op.completion and op.end is not None]
    return min(ended, default=(None, 0))


def _accusing(fate: Fate) -> list[dict[str, Any]]:
    """The add, the last read that shows the element, and the one that should have."""
    reads = [read for read in (fate.present, fate.absent) if read is not None]
    return [
        told(fate.add),
        *[read_told(read) | {"shows": read is fate.present, "element": fate.element} for read in reads],
    ]


def _shown(fate: Fate) -> dict[str, Any]:
    return {
        "key": fate.key,
        "element": fate.element,
        "stale_ms": round(fate.stale_ms, 3),
        "missing_from": None if fate.absent is None else read_told(fate.absent),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {name: round(quantile(ordered, part), 3) for name, part in QUANTILES.items()} if ordered else {}
