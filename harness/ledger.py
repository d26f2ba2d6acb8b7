"""The fault ledger: what was done to the cluster, and whether it really took hold.

It is a view of the history's nemesis operations and nothing else, so a recorded history gives the same
ledger again. Each injection is intended (its invocation), applied (its completion), observed (a probe or
counter showed that it bit) and healed. A run whose faults did not bite has shown nothing: it is vacuous.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import NEMESIS, Op
from checkers.verdict import Status, Verdict, worst
from harness.cluster.base import Evidence

TOLD: Final = frozenset(Evidence.__struct_fields__)
"""Of a completion's value, what is evidence; the rest is what was chosen."""


class Requested(NamedTuple):
    """A fault that was asked for: its name, and the `f`s of its operations that inject and that heal; and of
    other faults' that undo it as well, whose evidence is theirs."""

    name: str
    begins: frozenset[str]
    ends: frozenset[str]
    undone_by: frozenset[str] = frozenset()


class Entry(Struct, frozen=True):
    """One injected fault. Times are seconds since the start of the run; None: it did not come to that.

    `observed` is None while nothing is known: it was not applied, or gave no evidence. `evidence` is in
    words, first what was seen when the fault was applied, then what was seen when it was healed. `error`
    says why it could not be applied, or not be healed.
    """

    fault: str
    f: str
    value: Any
    intended_s: float
    applied_s: float | None = None
    observed: bool | None = None
    evidence: str = ""
    healed_s: float | None = None
    error: str | None = None

    @property
    def left_alone(self) -> bool:
        """Nothing was done, so it was over at once."""
        return self.applied_s is not None and self.healed_s == self.applied_s


def ledger(history: Iterable[Op], requested: Sequence[Requested]) -> list[Entry]:
    """Every injection of the requested faults, in the order in which they were intended.

    A fault's healing heals all of its injections that are open; evidence given then that the fault had held
    counts as well. An injection that ended in an error may be there all the same, so it is healed too.
    """
    begins = {f: fault.name for fault in requested for f in fault.begins}
    own = {(fault.name, f) for fault in requested for f in fault.ends}
    others = {(fault.name, f) for fault in requested for f in fault.undone_by}
    entries: list[Entry] = []
    for invoked, completed in _operations(history):
        if invoked.f in begins:
            entries.append(_injected(begins[invoked.f], invoked, completed))
        elif completed is not None:
            for number, entry in enumerate(entries):
                if entry.healed_s is not None:
                    continue
                if (entry.fault, invoked.f) in own:
                    entries[number] = _healed(entry, completed)
                elif (entry.fault, invoked.f) in others and completed.error is None:
                    entries[number] = replace(entry, healed_s=_seconds(completed))
    return entries


def judge(entries: Sequence[Entry], requested: Sequence[Requested]) -> Verdict:
    """Vacuous when a requested fault was never injected or never bit; otherwise valid."""
    parts = tuple(
        _judge_one(fault.name, [e for e in entries if e.fault == fault.name]) for fault in requested
    )
    summary = "; ".join(part.summary for part in parts) or "no faults were asked for"
    return Verdict("faults", worst(part.status for part in parts), summary, parts=parts)


def _operations(history: Iterable[Op]) -> list[tuple[Op, Op | None]]:
    """Invocations of the nemesis with their completions. Both are `info`; it does one thing at a time."""
    pairs: list[tuple[Op, Op | None]] = []
    waiting = False
    for op in history:
        if op.process != NEMESIS:
            continue
        if waiting and op.type != "invoke" and op.f == pairs[-1][0].f:
            pairs[-1] = (pairs[-1][0], op)
            waiting = False
        else:
            pairs.append((op, None))
            waiting = True
    return pairs


def _injected(fault: str, invoked: Op, completed: Op | None) -> Entry:
    entry = Entry(fault, invoked.f, invoked.value, _seconds(invoked))
    if completed is None:
        return replace(entry, error="the run ended before it was applied")
    if completed.error is not None:
        return replace(entry, error=str(completed.error))
    bit, detail = _evidence(completed)
    chosen = _chosen(completed, invoked.value)
    over_s = None if _begun(completed) else _seconds(completed)
    return replace(
        entry, value=chosen, applied_s=_seconds(completed), observed=bit, evidence=detail, healed_s=over_s
    )


def _healed(entry: Entry, completed: Op) -> Entry:
    if completed.error is not None:
        return replace(entry, error=f"not healed: {completed.error}")
    bit, detail = _evidence(completed)
    return replace(
        entry,
        healed_s=_seconds(completed),
        observed=bit if entry.observed is None else entry.observed or bool(bit),
        evidence="; ".join(part for part in (entry.evidence, detail) if part),
        error=None if entry.applied_s is not None else entry.error,
    )


def _evidence(completed: Op) -> tuple[bool | None, str]:
    value = completed.value
    if not isinstance(value, dict) or "bit" not in value:
        return None, ""
    return bool(value["bit"]), str(value.get("detail", ""))


def _begun(completed: Op) -> bool:
    return not isinstance(completed.value, dict) or completed.value.get("begun") is not False


def _chosen(completed: Op, before: Any) -> Any:
    """What was struck: the nodes with a role are known only when it is done."""
    if not isinstance(completed.value, dict):
        return before
    return {name: part for name, part in completed.value.items() if name not in TOLD} or before


def _seconds(op: Op) -> float:
    return op.time / 1e9


def _judge_one(name: str, entries: list[Entry]) -> Verdict:
    bit = sum(entry.observed is True for entry in entries)
    failed = [entry for entry in entries if entry.applied_s is None]
    unhealed = sum(entry.applied_s is not None and entry.healed_s is None for entry in entries)
    if not entries:
        summary = f"{name} was never injected"
    else:
        summary = f"{name} bit {bit} of {len(entries)} times"
        if failed:
            summary += f", {len(failed)} failed (the last: {failed[-1].error})"
        if unhealed:
            summary += f", {unhealed} left unhealed"
    counts = {"injected": len(entries), "bit": bit, "failed": len(failed), "unhealed": unhealed}
    return Verdict(name, Status.VALID if bit else Status.VACUOUS, summary, counts)
