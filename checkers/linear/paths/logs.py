"""Polynomial path for the append-log: O(n + what was read) where values are unique.

The longest read says in which order its values were appended, and how long each read is says between which of
them it comes (as in Elle: Kingsbury and Alvaro, VLDB 2020). The argument is in docs/protocols/collections.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from checkers.linear.paths.base import Decision
from checkers.linear.paths.floating import with_floating
from checkers.linear.problem import Call
from checkers.models import Model, Value
from checkers.models.logs import SHOWED, SHOWED_FIRST


def append_log(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides every history in which no value is appended twice."""
    appends: dict[Value, Call] = {}
    reads = sorted((call for call in calls if call.f != "append" and call.end is not None), key=_start)
    for call in calls:
        if call.f == "append" and appends.setdefault(call.value, call) is not call:
            return None
    longest = max(reads, key=_length, default=None)
    log = () if longest is None else longest.value or ()
    for read in reads:
        seen = read.value or ()
        if seen != log[: len(seen)]:
            assert longest is not None
            at = next(at for at, value in enumerate(seen) if value != log[at])
            return _convicted([read, longest], [seen[at], log[at]], appends)
    wrong = _never_once(log, appends)
    if longest is not None and wrong:
        return _convicted([longest], wrong, appends)
    order = _forced(log, appends, [read for read in reads if read.f == "read"])
    floors: dict[Value, int] = {}
    now, now_of = -1, None
    for call in order:
        if call.end is not None and call.end < now:
            assert now_of is not None
            return _out_of_order(call, now_of, longest, appends)
        if call.start > now:
            now, now_of = call.start, call
        if call.f == "append":
            floors[call.value] = now
    floating = []
    for read in reads:
        if read.f == "read-prefix":
            floor = floors[read.value[-1]] if read.value else -1
            if read.end is not None and read.end < floor:
                until = order.index(appends[read.value[-1]])
                later = next(call for call in order[: until + 1] if call.start > read.end)
                return _out_of_order(read, later, longest, appends)
            floating.append((max(read.start, floor), [read]))
    return Decision(with_floating(order, floating))


def _forced(log: Sequence[Value], appends: dict[Value, Call], reads: list[Call]) -> list[Call]:
    """The only order there can be, but for what is indistinguishable."""
    by_length: dict[int, list[Call]] = {}
    for read in reads:
        by_length.setdefault(_length(read), []).append(read)
    order = by_length.get(0, [])
    for number, value in enumerate(log):
        order = order if number else list(order)
        order.append(appends[value])
        order += by_length.get(number + 1, ())
    shown = set(log)
    rest = [call for call in appends.values() if call.end is not None and call.value not in shown]
    return order + sorted(rest, key=_start)


def _never_once(log: Sequence[Value], appends: dict[Value, Call]) -> list[Value]:
    """The first value that is there twice, or that nobody appended."""
    seen: set[Value] = set()
    for value in log:
        if value in seen or value not in appends:
            return [value]
        seen.add(value)
    return []


def _out_of_order(early: Call, late: Call, longest: Call | None, appends: dict[Value, Call]) -> Decision:
    """`early` ended before `late` began, which has to come before it."""
    reads = [call for call in (early, late) if call.f != "append"]
    values = [call.value for call in (early, late) if call.f == "append"]
    if not values:
        values = [early.value[-1]]
    if not reads and longest is not None:
        reads = [longest]
    return _convicted(reads, values, appends)


def _convicted(reads: Iterable[Call], values: Sequence[Value], appends: dict[Value, Call]) -> Decision:
    """These reads, as far as they speak of these values, and the appends of those."""
    values = list(dict.fromkeys(values))
    core = [appends[value] for value in values if value in appends]
    return Decision(None, core=(*core, *(_said(read, values) for read in reads)))


def _said(read: Call, values: Sequence[Value]) -> Call:
    shown = tuple(each for each in read.value or () if each in values)
    rest = tuple(value for value in values if value not in shown)
    return read._replace(f=SHOWED if read.f == "read" else SHOWED_FIRST, value=(shown, rest))


def _length(read: Call) -> int:
    return len(read.value or ())


def _start(call: Call) -> int:
    return call.start
