"""What is known of a run while it goes, from its events alone: counts, rates, latency, faults, who is cut
off.

Counting an event costs a few dictionary updates, so that the simulator is not slowed down. Left out on
purpose: keys and values, and whatever the report at the end says better.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from checkers.history import NEMESIS, Op
from checkers.stats import quantile
from harness.ledger import TOLD, Requested
from harness.plan import Plan

COLUMNS: Final = 40
"""Into so many buckets a run's time limit is divided; what comes after it fills more of them."""


class Bucket(NamedTuple):
    """What was completed in one of the buckets. `p99_ms`: of what was `ok`; None if nothing was. `faults`:
    how many there were at once, at most."""

    ok: int
    p99_ms: float | None
    faults: int


class Active(NamedTuple):
    """A fault that is there. `value`: what was chosen. `bit`: whether it was seen to bite; None: not
    known."""

    name: str
    value: Any
    since_s: float
    bit: bool | None = None


class LiveState:
    """`faults` say which nemesis operations begin and end which fault."""

    def __init__(self, plan: Plan, faults: Sequence[Requested] = ()) -> None:
        self.counts: dict[str, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self.served = [0] * plan.concurrency
        """What was `ok`, by the client's thread."""
        self.bucket_s = plan.time_limit_s / COLUMNS
        self.buckets: list[Bucket] = []
        self.active: dict[str, Active] = {}
        self.deaf: Mapping[str, Sequence[str]] = {}
        """For each node, those whose messages do not reach it."""
        self.cut_off: Sequence[str] = ()
        """Nodes that clients cannot reach."""
        self.injecting = False
        """A nemesis operation is under way."""
        self._concurrency = plan.concurrency
        self._begins = {f: fault.name for fault in faults for f in fault.begins}
        self._ends: defaultdict[str, list[str]] = defaultdict(list)
        for fault in faults:
            for f in fault.ends | fault.undone_by:
                self._ends[f].append(fault.name)
        self._bucket_ns = max(1, round(self.bucket_s * 1e9))
        self._bucket_ends = self._bucket_ns
        self._asked: dict[int | str, int] = {}
        self._took_ns: list[int] = []
        self._most = 0
        self._pending = ""

    def on_op(self, op: Op) -> None:
        """Count one event of the history."""
        if op.time >= self._bucket_ends:
            self._turn(op.time)
        process = op.process
        if isinstance(process, str):
            if process == NEMESIS:
                self._on_fault(op)
            return
        kind = op.type
        self.counts[kind] += 1
        if kind == "invoke":
            self._asked[process] = op.time
            return
        began = self._asked.pop(process, op.time)
        if kind == "ok":
            self._took_ns.append(op.time - began)
            self.served[process % self._concurrency] += 1

    @property
    def completed(self) -> int:
        return self.counts["ok"] + self.counts["fail"] + self.counts["info"]

    @property
    def p99_ms(self) -> float | None:
        """Of the last bucket in which anything was `ok`."""
        return next((bucket.p99_ms for bucket in reversed(self.buckets) if bucket.ok), None)

    def _turn(self, now: int) -> None:
        """Close the buckets that ended before `now`; those of a long silence are empty."""
        while now >= self._bucket_ends:
            took = sorted(self._took_ns)
            p99_ms = quantile([ns / 1e6 for ns in took], 0.99) if took else None
            self.buckets.append(Bucket(len(took), p99_ms, self._most))
            self._took_ns = []
            self._most = len(self.active)
            self._bucket_ends += self._bucket_ns

    def _on_fault(self, op: Op) -> None:
        """The nemesis does one thing at a time, and both its events are `info`: they are told apart by
        turns."""
        if self.injecting and op.f == self._pending:
            self.injecting = False
            self._completed(op)
            return
        self.injecting, self._pending = True, op.f
        if op.f in self._begins:
            name = self._begins[op.f]
            self.active[name] = Active(name, op.value, op.time / 1e9)
            self._most = max(self._most, len(self.active))

    def _completed(self, op: Op) -> None:
        value: dict[str, Any] = op.value if isinstance(op.value, dict) else {}
        if op.f in self._ends and op.error is None:
            for name in self._ends[op.f]:
                self.active.pop(name, None)
        elif op.f in self._begins:
            name = self._begins[op.f]
            chosen = {part: what for part, what in value.items() if part not in TOLD}
            self.active[name] = self.active[name]._replace(value=chosen or op.value, bit=value.get("bit"))
        if op.error is not None:
            return
        match op.f:
            case "partition":
                self.deaf = value.get("grudge", {})
            case "heal-partition":
                self.deaf = {}
            case "cut-clients":
                self.cut_off = value.get("nodes", ())
            case "heal-clients":
                self.cut_off = ()
