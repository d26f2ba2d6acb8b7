"""A history as columns, packed: one text without any character that means something in HTML.

Each operation is a number in each of the columns; texts are numbers of a table that has each text once. Times
are differences to the operation before, so that they pack well: 100,000 operations are one to two megabytes.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from checkers.history import Op, Operation, pair
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.plan import Plan
from harness.report import perf
from harness.report.ledger_table import describe
from harness.sightings import Sighting

TEXT_CHARS_MAX: Final = 400
"""Longer values and errors are cut in the page; the whole is in the history."""
OPERATIONS_MAX: Final = 500_000
"""So many are drawn, the first; a page of more would not open in a reasonable time."""
OUTCOMES: Final = perf.OUTCOMES
NONE: Final = -1
"""In a column of texts: there is none. In `took`: it never completed."""


class Texts:
    """Each different text once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int:
        return NONE if text is None else self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def packed(value: Any) -> str:
    """JSON, deflated, in base64."""
    return b64encode(zlib.compress(msgspec.json.encode(value, enc_hook=str), 6)).decode()


def data(
    plan: Plan,
    history: Sequence[Op],
    verdict: Verdict,
    entries: Sequence[Entry],
    sightings: Sequence[Sighting],
) -> dict[str, Any]:
    """What the script needs, values of JSON. Times are nanoseconds in `ops`, seconds elsewhere."""
    operations = [operation for operation in pair(history) if operation.invoke.time >= 0]
    operations.sort(key=lambda operation: operation.invoke.time)
    span_s = max([perf.duration_s(history), *(seen.time_s for seen in sightings), 0.0])
    return {
        "span_s": span_s,
        "nodes": list(plan.nodes),
        "concurrency": plan.concurrency,
        "outcomes": list(OUTCOMES),
        "of": len(operations),
        "ops": columns(operations[:OPERATIONS_MAX], accused(verdict)),
        "faults": [_fault(entry) for entry in entries],
        "sightings": msgspec.to_builtins(list(sightings)),
    }


def columns(operations: Sequence[Operation], marked: frozenset[int] = frozenset()) -> dict[str, Any]:
    """By invocation. `marked`: positions of invocations that a counterexample names."""
    processes, fs, keys, values, errors = (Texts() for _ in range(5))
    rows: list[tuple[int, ...]] = []
    before = 0
    for operation in operations:
        invoke, done = operation.invoke, operation.completion
        rows.append(
            (
                invoke.time - before,
                NONE if done is None or done.time < 0 else max(0, done.time - invoke.time),
                processes.number(printable(str(invoke.process))),
                fs.number(shown(invoke.f)),
                OUTCOMES.index(operation.outcome),
                keys.number(None if invoke.key is None else shown(invoke.key)),
                values.number(_text(invoke.value)),
                values.number(None if done is None or done.type != "ok" else _text(done.value)),
                errors.number(_text(operation.error)),
                operation.start,
            )
        )
        before = invoke.time
    names = ("start", "took", "process", "f", "outcome", "key", "asked", "answered", "error", "event")
    made: dict[str, Any] = {
        name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=False)
    }
    return {name: made.get(name, []) for name in names} | {
        "marked": [number for number, operation in enumerate(operations) if operation.start in marked],
        "processes": processes.all(),
        "fs": fs.all(),
        "keys": keys.all(),
        "values": values.all(),
        "errors": errors.all(),
    }


def accused(verdict: Verdict) -> frozenset[int]:
    """The positions of the invocations that the counterexamples name."""
    return frozenset(
        told["start"]
        for leaf in leaves(verdict)
        if leaf.status is Status.INVALID and isinstance(leaf.details.get("operations"), (list, tuple))
        for told in leaf.details["operations"]
        if isinstance(told, dict) and isinstance(told.get("start"), int)
    )


def leaves(verdict: Verdict) -> Iterator[Verdict]:
    """A verdict, its parts, and theirs."""
    yield verdict
    for part in verdict.parts:
        yield from leaves(part)


def nodes_of(value: Any) -> list[str]:
    """The nodes that a fault's value names: as targets, with an offset, or as deaf to others."""
    found: list[str] = []
    if isinstance(value, dict):
        for chosen in value.values():
            if isinstance(chosen, (dict, list, tuple)):
                found += [str(node) for node in chosen]
    return found


def shown(text: str) -> str:
    """Printable, and not too long."""
    if len(text) > TEXT_CHARS_MAX:
        text = f"{text[:TEXT_CHARS_MAX]}… ({len(text):,} characters)"
    return printable(text)


def printable(text: str) -> str:
    """What cannot be printed (controls, directions, lone surrogates) as Python writes it."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return shown(value)
    try:
        return shown(msgspec.json.encode(value, enc_hook=str).decode())
    except (TypeError, ValueError):
        return shown(repr(value))


def _fault(entry: Entry) -> dict[str, Any]:
    return {
        "fault": shown(entry.fault),
        "f": shown(entry.f),
        "what": shown(describe(entry.value)),
        "nodes": [shown(node) for node in nodes_of(entry.value)],
        "from_s": entry.intended_s if entry.applied_s is None else entry.applied_s,
        "to_s": entry.healed_s,
        "applied": entry.applied_s is not None,
        "observed": entry.observed,
        "evidence": shown("; ".join(part for part in (entry.error, entry.evidence) if part)),
    }


def clock_moves(sightings: Iterable[Sighting]) -> dict[str, list[tuple[float, float]]]:
    """For each node whose clock was seen, (seconds, how far ahead in ms) in order."""
    moves: dict[str, list[tuple[float, float]]] = {}
    for seen in sightings:
        if seen.clock_ms is not None:
            moves.setdefault(seen.node, []).append((seen.time_s, seen.clock_ms))
    return moves
