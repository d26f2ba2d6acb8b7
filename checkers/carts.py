"""Shopping carts: what was lost, what came back, what was seen too late, and which sessions were broken.

Clients `add` items, each added once, `remove` some, and `read` carts; at the end `copies` tell what every
replica holds. Of an item that nobody asked to remove, all that can go wrong is that it is lacking:

- a read is *stale* if it lacks an item whose add was acknowledged before the read began (Terry 2013 calls the
  opposite strong consistency); by how many items, and for how long the oldest of them had been there. If all
  that it lacks is lost in the end, it is counted by itself: there is nothing that it could have waited for;
- *read your writes* and *monotonic reads* (Terry et al. 1994) are broken by a read that lacks an item which
  its process had added, with an acknowledgement, or had seen in that cart before;
- an acknowledged add is *lost* if, at the end, nobody has it.

Of all items:

- one has *come back* if it was certainly there (its add acknowledged, or a read that showed it ended) when a
  removal of it began that was acknowledged, and somebody has it at the end: the anomaly of carts that are
  merged by union (DeCandia et al. 2007, Dynamo, section 4.4). No item is added again, so a linearizable store
  has no excuse; others may have (an addition that the removal's replicas had not seen yet);
- an item is a *phantom* if it is seen although its add had certainly failed, or had not begun.

Left out on purpose: the order of changes, which a set does not tell. An item that anybody asked to remove, at
any time and with any outcome, is in no figure of stale reads and broken sessions and is never lost; whether
reads still show it after its removal is not judged; a removal that was not acknowledged is held to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from checkers.cart_words import CHANGES, cart_operations
from checkers.convergence import COPIES, equal
from checkers.history import Op, Operation
from checkers.sets import some
from checkers.verdict import Status, Verdict

NEVER: Final = 1 << 62
Place = tuple[str, Any]
"""A cart and an item of it."""


class Look(NamedTuple):
    """One read that was answered, and what of it is wrong: what it lacks that others have or will have
    (`missing`), and what is `gone` for good. `late_s`: how long ago the oldest of the missing had been
    acknowledged when the read began; `own` and `seen` are what of all these its process had added, or seen
    before; `values` is how many siblings it was told."""

    read: Operation
    missing: tuple[Any, ...]
    late_s: float
    gone: tuple[Any, ...]
    own: tuple[Any, ...]
    seen: tuple[Any, ...]
    values: int


class Carts(NamedTuple):
    """What a history tells of its carts. `lost` is None if nobody looked at all copies of some cart that had
    items, `divergent` the carts whose copies differ in the last look at them. `removed` are acknowledged
    removals of what was certainly there, one for each item; `returned` those of them whose item came back."""

    acknowledged: int
    looks: list[Look]
    lost: list[Operation] | None
    phantoms: list[tuple[Operation, Any]]
    divergent: list[str]
    removed: list[Operation]
    returned: list[Operation]

    @property
    def stale(self) -> list[Look]:
        return [look for look in self.looks if look.missing]


def carts(history: Sequence[Op]) -> Carts:
    """Operations and HistoryErrors: `cart_operations`. A read may also tell `values`, how many siblings."""
    operations = cart_operations(history)
    adds = [operation for operation in operations if operation.invoke.f == "add"]
    acknowledged = [add for add in adds if add.outcome == "ok"]
    reads = [each for each in operations if each.invoke.f == "read" and each.outcome == "ok"]
    removals = [operation for operation in operations if operation.invoke.f == "remove"]
    asked = frozenset([_place(removal) for removal in removals])
    to_keep = [add for add in acknowledged if _place(add) not in asked]
    removed = _removed(acknowledged, reads, removals)
    final, divergent = _final(operations)
    held = frozenset([(key, item) for key, items in final.items() for item in items])
    lost: list[Operation] | None = [add for add in to_keep if _place(add) not in held]
    if any(_key(change) not in final for change in (*acknowledged, *removed)):
        lost = None
    gone = frozenset([_place(add) for add in lost or ()])
    looks = list(_looks(to_keep, reads, gone, asked))
    returned = [removal for removal in removed if _place(removal) in held]
    phantoms = _phantoms(adds, operations)
    return Carts(len(acknowledged), looks, lost, phantoms, divergent, removed, returned)


class CartChecker:
    """A `Checker`. `fresh`: the store promises that a read sees what was acknowledged before it began.
    `keeps_removed`: and that what was removed stays away; else what came back is told, and not convicted.

    `details`: `acknowledged` adds, `reads`, `stale_reads`, of these `missing_max` items and `late_max_s`,
    `bereft_reads` (that lack nothing but what is lost), `read_your_writes` and `monotonic_reads` (reads that
    broke them), `sibling_reads` (that were told several values), `lost` adds (None: not known), `phantoms`,
    `removed` items, and `returned`: those of them that came back.
    """

    name = "carts"

    def __init__(
        self, fresh: bool = False, keeps_removed: bool = False, keeps_acknowledged: bool = True
    ) -> None:
        self._fresh = fresh
        self._keeps_removed = keeps_removed
        self._keeps_acknowledged = keeps_acknowledged

    def check(self, history: list[Op]) -> Verdict:
        found = carts(history)
        counts = {"removed": len(found.removed), "returned": len(found.returned)}
        details = figures(found) | counts
        wrong = []
        if found.phantoms:
            wrong.append(f"{len(found.phantoms):,} looks show what nobody can have added")
        lost = f"{len(found.lost or ()):,} acknowledged adds are lost ({_some(found.lost or ())})"
        if found.lost and self._keeps_acknowledged:
            wrong.append(lost)
        returned = f"{len(found.returned):,} of {len(found.removed):,} removed items came back"
        if found.returned and self._keeps_removed:
            wrong.append(f"{returned} ({_some(found.returned)})")
        if found.divergent:
            wrong.append(f"the copies of {len(found.divergent)} carts still differ")
        stale = f"{len(found.stale):,} of {len(found.looks):,} reads were stale"
        if found.stale and self._fresh:
            wrong.append(stale)
        if wrong:
            return Verdict(self.name, Status.INVALID, "; ".join(wrong), details)
        if not found.looks or not found.acknowledged:
            return Verdict(self.name, Status.VACUOUS, "nobody added to a cart and looked at one", details)
        if found.lost is None:
            return Verdict(self.name, Status.UNKNOWN, "the copies of some carts were never seen", details)
        kept = f"all {found.acknowledged:,} acknowledged adds are there"
        if found.lost:
            kept = f"{lost}, which is allowed here; {returned}"
        elif found.removed:
            kept = f"all acknowledged adds ({found.acknowledged:,}) are there that nobody asked to remove"
            kept += f"; {returned}" + (", which this level allows" if found.returned else "")
        allowed = f"; {stale}, which this level allows" if found.stale else ""
        return Verdict(self.name, Status.VALID, kept + allowed, details)


def figures(found: Carts) -> dict[str, Any]:
    """As `CartChecker` gives them, but for those of removals."""
    return {
        "acknowledged": found.acknowledged,
        "reads": len(found.looks),
        "stale_reads": len(found.stale),
        "missing_max": max((len(look.missing) for look in found.looks), default=0),
        "late_max_s": round(max((look.late_s for look in found.looks), default=0.0), 3),
        "bereft_reads": sum(bool(look.gone) and not look.missing for look in found.looks),
        "read_your_writes": sum(bool(look.own) for look in found.looks),
        "monotonic_reads": sum(bool(look.seen) for look in found.looks),
        "sibling_reads": sum(look.values > 1 for look in found.looks),
        "lost": None if found.lost is None else len(found.lost),
        "phantoms": len(found.phantoms),
    }


def _looks(
    to_keep: Iterable[Operation], reads: Iterable[Operation], lost: frozenset[Place], asked: frozenset[Place]
) -> Iterable[Look]:
    """By invocation. What a process has seen is what its earlier reads told it, but for what anybody asked to
    remove."""
    done: dict[str, dict[Any, Operation]] = defaultdict(dict)
    acknowledged: dict[str, set[Any]] = defaultdict(set)
    doubtful: dict[str, set[Any]] = defaultdict(set)
    for key, item in asked:
        doubtful[key].add(item)
    known: dict[tuple[int | str, str], set[Any]] = defaultdict(set)
    pending = sorted(to_keep, key=_end)
    at = 0
    for read in reads:
        key, process = _key(read), read.invoke.process
        while at < len(pending) and _end(pending[at]) < read.start:
            done[_key(pending[at])][_item(pending[at])] = pending[at]
            acknowledged[_key(pending[at])].add(_item(pending[at]))
            at += 1
        items = frozenset(read.value["items"])
        lacking = sorted([done[key][item] for item in acknowledged[key] - items], key=_end)
        missing = [add for add in lacking if (key, _item(add)) not in lost]
        gone = tuple([_item(add) for add in lacking if (key, _item(add)) in lost])
        own = tuple([_item(add) for add in lacking if add.invoke.process == process])
        seen = tuple(sorted(known[process, key] - items))
        known[process, key] |= items - known[process, key] - doubtful[key]
        late_s = 0.0
        if missing and missing[0].completion is not None:
            late_s = (read.invoke.time - missing[0].completion.time) / 1e9
        items_missing = tuple([_item(add) for add in missing])
        yield Look(read, items_missing, late_s, gone, own, seen, read.value.get("values", 1))


def _removed(
    acknowledged: Iterable[Operation], reads: Iterable[Operation], removals: Sequence[Operation]
) -> list[Operation]:
    """The first acknowledged removal of each item that began when the item was certainly there."""
    there = {_place(add): _end(add) for add in acknowledged}
    shown: dict[str, set[Any]] = defaultdict(set)
    touched = {_key(removal) for removal in removals}
    for read in sorted([each for each in reads if _key(each) in touched], key=_end):
        key = _key(read)
        fresh = _seen_by(read) - shown[key]
        for item in fresh:
            there[key, item] = min(there.get((key, item), NEVER), _end(read))
        shown[key] |= fresh
    found: dict[Place, Operation] = {}
    for removal in removals:
        if removal.outcome == "ok" and there.get(_place(removal), NEVER) < removal.start:
            found.setdefault(_place(removal), removal)
    return list(found.values())


def _phantoms(adds: Iterable[Operation], looks: Iterable[Operation]) -> list[tuple[Operation, Any]]:
    """In reads and in looks at copies."""
    begun = {(_key(add), _item(add)): add.start for add in adds if add.outcome != "fail"}
    real: dict[str, set[Any]] = defaultdict(set)
    found = []
    for look in sorted([each for each in looks if each.outcome == "ok"], key=_end):
        key, end = _key(look), _end(look)
        for item in _seen_by(look) - real[key]:
            if begun.get((key, item), end) < end:
                real[key].add(item)
            else:
                found.append((look, item))
    return found


def _final(operations: Sequence[Operation]) -> tuple[dict[str, frozenset[Any]], list[str]]:
    """What each cart holds at the end, on any of its copies, and the carts whose copies differ: by the last
    look at all copies of it, or else by the last read of it that began after all changes had ended."""
    last = max((each.end or 0 for each in operations if each.invoke.f in CHANGES), default=-1)
    final: dict[str, frozenset[Any]] = {}
    divergent: dict[str, bool] = {}
    for operation in operations:
        if operation.outcome != "ok" or operation.start < last:
            continue
        if operation.invoke.f == COPIES:
            final[_key(operation)] = _seen_by(operation)
            divergent[_key(operation)] = not equal(operation.value)
        elif operation.invoke.f == "read" and _key(operation) not in divergent:
            final[_key(operation)] = frozenset(operation.value["items"])
    return final, sorted([key for key, differs in divergent.items() if differs])


def _seen_by(look: Operation) -> frozenset[Any]:
    """The items that an answered read shows, or any copy in an answered look; a change shows none."""
    if look.invoke.f == "read":
        return frozenset(look.value["items"])
    if look.invoke.f != COPIES:
        return frozenset()
    return frozenset().union(*[copy for copy in look.value.values() if isinstance(copy, list)])


def _key(operation: Operation) -> str:
    return operation.invoke.key or ""


def _item(change: Operation) -> Any:
    return change.invoke.value["item"]


def _place(change: Operation) -> Place:
    return _key(change), _item(change)


def _some(changes: Sequence[Operation]) -> str:
    return some([_item(change) for change in changes])


def _end(operation: Operation) -> int:
    """The position of its completion; after all others if it never came."""
    return NEVER if operation.end is None else operation.end
