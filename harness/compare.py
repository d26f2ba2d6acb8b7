"""Two recorded runs side by side: what was planned, what came of it, and from where on they differ.

Everything is read from the runs' directories, and nothing is judged again: a run without results (it was
killed, and not analyzed since) has no verdict here. Latencies are those of the operations that were ok. Which
figures differ by more than noise is for `compare_noise` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from checkers.formats import read_history
from checkers.history import Op
from harness import compare_noise as noise
from harness.ledger import Entry
from harness.plan import Plan
from harness.report import perf
from harness.report.artifacts import RunDir

QUANTILES: Final = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
BESIDE: Final = ("argv", "versions")
"""What a plan says of how it came about, on which nothing depends."""
FIGURES: Final[dict[str, noise.Figure]] = {
    "ok/s": noise.rate("ok"),
    "fail/s": noise.rate("fail"),
    "info/s": noise.rate("info"),
    "ok p50, ms": noise.latency(QUANTILES["p50_ms"]),
    "ok p99, ms": noise.latency(QUANTILES["p99_ms"]),
}
T = TypeVar("T")


class Figures(Struct, frozen=True):
    """Of all operations with one `f`. `rate`: those that were ok, per second; `latencies_ms` by quantile."""

    total: int
    ok: int
    fail: int
    info: int
    rate: float
    latencies_ms: dict[str, float | None]


class Faults(Struct, frozen=True):
    injected: int
    bit: int
    healed: int


class Side(Struct, frozen=True):
    """One of the two. `status` and `summary` are None if it was not judged; `checkers`: status by name;
    `operations` by `f`, and `all` together if there are several; `faults` by name."""

    run: str
    plan: Plan
    duration_s: float
    events: int
    status: str | None = None
    summary: str | None = None
    checkers: dict[str, str] = {}
    operations: dict[str, Figures] = {}
    faults: dict[str, Faults] = {}


class Difference(Struct, frozen=True):
    """A field of the plans, and what either has there."""

    field: str
    a: Any
    b: Any


class Parting(Struct, frozen=True):
    """Where the histories part: the first event that is not the same, None where one has ended."""

    event: int
    a: Op | None
    b: Op | None


class Change(Struct, frozen=True):
    """A figure of both; None: it has none. `beyond_noise`: they differ by more than either run varies in
    itself."""

    a: float | None
    b: float | None
    beyond_noise: bool


class Comparison(Struct, frozen=True):
    """`changes` by `f` (or `all`) and figure. `parting` is None if the histories are the same, event by
    event."""

    a: Side
    b: Side
    changes: dict[str, dict[str, Change]]
    plans: tuple[Difference, ...]
    parting: Parting | None


class _Part(Struct, frozen=True):
    checker: str
    status: str


class _Verdict(Struct, frozen=True):
    parts: tuple[_Part, ...] = ()


class _Results(Struct, frozen=True):
    status: str
    summary: str
    verdict: _Verdict = _Verdict()
    faults: tuple[Entry, ...] = ()


class Headline(Struct, frozen=True):
    """What a list of runs says of one. `interrupted_s`: when it was stopped early, if it was."""

    status: str
    summary: str
    interrupted_s: float | None = None


def compare(a: RunDir, b: RunDir) -> Comparison:
    """Raises `PlanError` and `HistoryError` for what cannot be read."""
    (one, first), (other, second) = _side(a), _side(b)
    found = changes((one, first), (other, second))
    return Comparison(one, other, found, tuple(differences(one.plan, other.plan)), parting(first, second))


def changes(a: tuple[Side, list[Op]], b: tuple[Side, list[Op]]) -> dict[str, dict[str, Change]]:
    """Of two runs and their histories."""
    batches = [noise.batches(history, side.duration_s) for side, history in (a, b)]
    found: dict[str, dict[str, Change]] = {}
    for f in dict.fromkeys([*a[0].operations, *b[0].operations]):
        values = [_values(side.operations.get(f), side.duration_s) for side, _ in (a, b)]
        one, other = (each.get(f, ()) for each in batches)
        found[f] = {
            name: Change(values[0][name], values[1][name], noise.is_beyond(one, other, figure))
            for name, figure in FIGURES.items()
        }
    return found


def _values(found: Figures | None, span_s: float) -> dict[str, float | None]:
    if found is None:
        return dict.fromkeys(FIGURES)
    counts = {"ok/s": found.ok, "fail/s": found.fail, "info/s": found.info}
    rates = {name: count / span_s if span_s > 0 else None for name, count in counts.items()}
    return {**rates, "ok p50, ms": found.latencies_ms["p50_ms"], "ok p99, ms": found.latencies_ms["p99_ms"]}


def differences(a: Plan, b: Plan) -> list[Difference]:
    """The fields that determine the run and are not the same."""
    return [
        Difference(field, getattr(a, field), getattr(b, field))
        for field in a.__struct_fields__
        if field not in BESIDE and getattr(a, field) != getattr(b, field)
    ]


def parting(a: Sequence[Op], b: Sequence[Op]) -> Parting | None:
    for place, (one, other) in enumerate(zip_longest(a, b)):
        if one != other:
            return Parting(place, one, other)
    return None


def as_json(found: Comparison) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(found, enc_hook=str)
    return made


def read_headline(run: RunDir) -> Headline | None:
    """None if it was not judged, or if its results cannot be read."""
    return _read(run.results, Headline)


def _side(run: RunDir) -> tuple[Side, list[Op]]:
    plan = run.read_plan()
    history = read_history(run.history, allow_torn_tail=True)
    span_s = perf.duration_s(history)
    kinds = perf.kinds(history)
    together = [perf.together(kinds, noise.ALL), *kinds] if len(kinds) > 1 else kinds
    operations = {kind.f: _figures(kind, span_s) for kind in together}
    side = Side(str(run.path), plan, span_s, len(history), operations=operations)
    results = _read(run.results, _Results)
    if results is None:
        return side, history
    return (
        msgspec.structs.replace(
            side,
            status=results.status,
            summary=results.summary,
            checkers={part.checker: part.status for part in results.verdict.parts},
            faults=_faults(results.faults),
        ),
        history,
    )


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def _figures(kind: perf.Kind, span_s: float) -> Figures:
    return Figures(
        kind.total,
        kind.ok,
        kind.fail,
        kind.info,
        kind.ok / span_s if span_s > 0 else 0.0,
        {name: kind.latency_ms(fraction) for name, fraction in QUANTILES.items()},
    )


def _faults(entries: Sequence[Entry]) -> dict[str, Faults]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.fault, []).append(entry)
    return {
        fault: Faults(
            len(own),
            sum(entry.observed is True for entry in own),
            sum(entry.healed_s is not None for entry in own),
        )
        for fault, own in found.items()
    }
