"""From the history of reads and unique writes at one choice of R, W and N to figures.

One operation is before another if it ended before that began; of two that overlap, neither is:

- a read is *stale* if what it saw was written and over before a write began that was acknowledged before the
  read began;
- an acknowledged write is *lost* if what its key holds in the end was written and over before it began;
- a read *takes back* a write that nobody had acknowledged if an earlier read had seen that, and this one sees
  what was over before that began. Lamport 1986 calls registers regular that do so, and atomic that do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from checkers.convergence import Convergence
from checkers.history import Op, Operation, pair
from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status
from harness.demo.served import Served, served
from harness.ledger import Requested, ledger

LINEARIZABLE_LIMIT_S: Final = 10.0
NEVER: Final = 1 << 62


class Row(Struct, frozen=True):
    """`acknowledged` writes, of these `lost`; answered reads that were `stale`, and that `took_back` a write.
    `surfaced`: writes that had not been acknowledged (and never were) and were read. `equal`: the copies were
    in the end. `linearizable`: None: not decided. `bitten`: by fault, how many injections were seen to
    bite."""

    n: int
    r: int
    w: int
    sloppy: bool
    bent: bool
    reads: Served
    writes: Served
    acknowledged: int
    lost: int
    stale: int
    took_back: int
    surfaced: int
    equal: bool
    linearizable: bool | None
    bitten: dict[str, int]

    @property
    def overlaps(self) -> bool:
        return self.r + self.w > self.n

    @property
    def strict(self) -> bool:
        """Quorums overlap, are of replicas alone, and clocks are right."""
        return self.overlaps and not self.sloppy and not self.bent

    @property
    def name(self) -> str:
        extra = ", sloppy" if self.sloppy else ", clocks" if self.bent else ""
        return f"R={self.r} W={self.w}{extra}"

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def measure(
    n: int, r: int, w: int, sloppy: bool, bent: bool, history: list[Op], requested: Sequence[Requested]
) -> Row:
    """`requested` are the faults of the storm."""
    operations = [each for each in pair(history) if each.invoke.f in ("read", "write")]
    reads = [each for each in operations if each.invoke.f == "read"]
    writes = [each for each in operations if each.invoke.f == "write"]
    seen = [each for each in reads if each.outcome == "ok"]
    by_key = _by_key(writes)
    origin = {(each.invoke.key, each.invoke.value): each for each in writes}
    ending = Convergence(False).check([op for op in history if op.f in ("write", "copies")])
    linear = Linearizable(CasRegister(), seconds=LINEARIZABLE_LIMIT_S).check(
        [op for op in history if op.f in ("read", "write")]
    )
    told = {(read.invoke.key, _value(read)) for read in seen}
    return Row(
        n,
        r,
        w,
        sloppy,
        bent,
        served(reads),
        served(writes),
        sum(write.outcome == "ok" for write in writes),
        len(ending.details.get("lost", ())),
        sum(_stale(read, origin, by_key) for read in seen),
        _taken_back(seen, origin),
        sum(write.outcome == "info" and what in told for what, write in origin.items()),
        ending.details.get("converged_s") is not None,
        {Status.VALID: True, Status.INVALID: False}.get(linear.status),
        _bitten(history, requested),
    )


def _bitten(history: Sequence[Op], requested: Sequence[Requested]) -> dict[str, int]:
    observed = [entry.fault for entry in ledger(history, requested) if entry.observed]
    return {fault.name: observed.count(fault.name) for fault in requested}


def _by_key(writes: Iterable[Operation]) -> dict[str | None, list[Operation]]:
    """Acknowledged ones."""
    found: dict[str | None, list[Operation]] = defaultdict(list)
    for write in writes:
        if write.outcome == "ok":
            found[write.invoke.key].append(write)
    return found


def _stale(
    read: Operation,
    origin: dict[tuple[str | None, Any], Operation],
    by_key: dict[str | None, list[Operation]],
) -> bool:
    over = _over(origin.get((read.invoke.key, _value(read))))
    return any(over < write.start and _end(write) < read.start for write in by_key[read.invoke.key])


def _taken_back(seen: Iterable[Operation], origin: dict[tuple[str | None, Any], Operation]) -> int:
    """How many reads took something back."""
    count = 0
    earlier: dict[str | None, list[Operation]] = defaultdict(list)
    for read in seen:
        key = read.invoke.key
        over = _over(origin.get((key, _value(read))))
        count += any(_takes_back(read, over, before, origin) for before in earlier[key])
        earlier[key].append(read)
    return count


def _takes_back(
    read: Operation, over: int, before: Operation, origin: dict[tuple[str | None, Any], Operation]
) -> bool:
    write = origin.get((read.invoke.key, _value(before)))
    if write is None or _end(before) > read.start:
        return False
    acknowledged = write.outcome == "ok" and _end(write) < read.start
    return not acknowledged and over < write.start


def _over(write: Operation | None) -> int:
    """From when on what a write left is old: when it ended. Before all others if there was none; never, if
    nobody knows when it took effect."""
    if write is None:
        return -1
    return _end(write) if write.outcome == "ok" else NEVER


def _end(operation: Operation) -> int:
    return NEVER if operation.end is None else operation.end


def _value(read: Operation) -> Any:
    return None if read.completion is None else read.completion.value
