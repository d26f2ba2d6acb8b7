"""Polynomial paths for the set.

A set that only grows: its reads are ordered by inclusion, and everything else by what they show; any number
of adds of an element will do. One that also shrinks, of which nobody read the whole: element by element, if
each is added once and removed once. The arguments are in docs/protocols/collections.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from checkers.linear.paths.base import Decision
from checkers.linear.paths.floating import with_floating
from checkers.linear.problem import Call
from checkers.models import Model, Value
from checkers.models.sets import SHOWED

BEYOND: Final = 1 << 62
"""After every event."""


def set_of_elements(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides histories without removals, and those in which no element is added or removed twice and the
    whole is not read."""
    silent = [call for call in calls if call.f == "contains" and call.value[1] is None]
    elements = _by_element(calls)
    reads = [call for call in calls if call.f == "read" and call.end is not None]
    if all(not each.removes for each in elements.values()):
        decision: Decision | None = _Growing(reads, elements).decide()
    else:
        decision = None if reads else _each_by_itself(elements)
    if decision is None or decision.order is None:
        return decision
    saying_nothing = [(call.start, [call]) for call in silent if call.end is not None]
    return Decision(with_floating(decision.order, saying_nothing))


class _Element:
    """The calls that are about one element alone."""

    __slots__ = ("adds", "found", "missed", "removes")

    def __init__(self) -> None:
        self.adds: list[Call] = []
        self.removes: list[Call] = []
        self.found: list[Call] = []
        self.missed: list[Call] = []

    def all(self) -> list[Call]:
        return [*self.adds, *self.removes, *self.found, *self.missed]


def _by_element(calls: Iterable[Call]) -> dict[Value, _Element]:
    elements: dict[Value, _Element] = {}
    for call in calls:
        asked = call.f == "contains"
        if call.f == "read" or (asked and (call.end is None or call.value[1] is None)):
            continue
        name = call.value[0] if asked else call.value
        element = elements.get(name)
        if element is None:
            element = elements[name] = _Element()
        if asked:
            (element.found if call.value[1] else element.missed).append(call)
        else:
            (element.adds if call.f == "add" else element.removes).append(call)
    return elements


# A set that only grows ----------------------------------------------------------------------------


class _Late(Exception):
    """These contradict each other: one ended before another began that must come before it."""


class _Floor(NamedTuple):
    """Nothing that is still to come can be before `at`, because of `call`."""

    at: int
    call: Call | None

    def under(self, call: Call) -> _Floor:
        """Nor before `call`."""
        return _Floor(call.start, call) if call.start > self.at else self


class _Growing:
    """Each call gets the earliest position that what must come before it allows, group by group: the reads
    that show the same set, and before them the elements that they are the first to show."""

    def __init__(self, reads: list[Call], elements: dict[Value, _Element]) -> None:
        self._all_reads = sorted(reads, key=_size)
        self._elements = elements
        self._steps: list[tuple[float, int, Call]] = []
        self._group = 0
        self._floor = _Floor(-1, None)  # for the elements of this group
        self._rise = _Floor(-1, None)  # for its reads
        self._last_read: Call | None = None

    def decide(self) -> Decision:
        try:
            seen = self._shown()
            for name, element in self._elements.items():
                if name not in seen:
                    self._element(element, None)
        except _Late as late:
            return self._convicted(late.args)
        self._steps.sort(key=_when)
        return Decision([call for *_, call in self._steps])

    def _shown(self) -> frozenset[Value]:
        """What the reads show."""
        seen: frozenset[Value] = frozenset()
        group: list[Call] = []
        for read in self._all_reads:
            now = frozenset(read.value or ())
            if now != seen:
                self._reads(group)
                if not seen <= now:
                    raise _Late(group[-1], read)
                fresh = now - seen
                if not all(map(self._added, fresh)):
                    raise _Late(read)
                for name in sorted(fresh, key=self._begun):
                    self._element(self._elements[name], read)
                group = []
                seen = now
            group.append(read)
        self._reads(group)
        return seen

    def _added(self, name: Value) -> bool:
        """Somebody may have."""
        return name in self._elements and bool(self._elements[name].adds)

    def _begun(self, name: Value) -> int:
        return min(call.start for call in self._elements[name].adds)

    def _element(self, element: _Element, read: Call | None) -> None:
        """An element that `read` is the first to show; None: that none does."""
        floor = self._floor
        for call in element.missed:
            self._place(call, _Floor(-1, None), 0)
            floor = floor.under(call)
        needed = read is not None or bool(element.found)
        adds = [call for call in element.adds if needed or call.end is not None]
        if needed and not adds:
            raise _Late(element.found[0])
        there = floor
        if adds:
            first = min(adds, key=_start)
            there = floor.under(first)
            for call in adds:
                if call is first or call.end is not None:
                    self._place(call, floor, 1)
        for call in element.found:
            self._place(call, there, 2)
        if there.at > self._rise.at:
            self._rise = there

    def _reads(self, group: list[Call]) -> None:
        """Reads of the same set; what comes later comes after all of them."""
        floor = self._floor if self._floor.at > self._rise.at else self._rise
        for call in group:
            self._place(call, floor, 3)
            self._floor = self._floor.under(call)
            self._last_read = call
        if floor.at > self._floor.at:
            self._floor = floor
        self._group += 1

    def _place(self, call: Call, floor: _Floor, rank: int) -> None:
        if call.end is not None and call.end < floor.at:
            raise _Late(call, floor.call)
        self._steps.append((max(call.start, floor.at), 4 * self._group + rank, call))

    def _convicted(self, contradiction: Sequence[Call]) -> Decision:
        """With what forces one before the other: the last reads, and all adds of the elements in question. Of
        reads only what they say of those."""
        names = dict.fromkeys(call.value[0] if call.f == "contains" else call.value
                              for call in contradiction if call.f != "read")  # fmt: skip
        reads = [call for call in contradiction if call.f == "read"]
        if len(reads) == 2:
            names = dict.fromkeys(_differing(*reads) + _differing(*reversed(reads)))
        elif reads and not names:
            names = {next(each for each in reads[0].value if not self._added(each)): None}
        if len(names) > 1 and not reads and self._last_read is not None:
            reads = [self._last_read]
        core = {id(call): call for call in contradiction if call.f != "read"}
        for name in names:
            if name in self._elements:
                core |= {id(call): call for call in self._elements[name].adds}
        return Decision(None, core=(*core.values(), *(_said(read, names) for read in reads)))


def _differing(read: Call, other: Call) -> list[Value]:
    """The first element that `read` shows and `other` does not, if there is one."""
    shown = frozenset(other.value or ())
    return [each for each in read.value or () if each not in shown][:1]


def _said(read: Call, names: Iterable[Value]) -> Call:
    """What it says of these elements alone."""
    shown = frozenset(read.value or ())
    present = tuple(name for name in names if name in shown)
    absent = tuple(name for name in names if name not in shown)
    return read._replace(f=SHOWED, value=(present, absent))


# One element of a set that also shrinks -----------------------------------------------------------

Steps = list[tuple[float, int, Call]]


def _each_by_itself(elements: dict[Value, _Element]) -> Decision | None:
    steps: Steps = []
    if any(len(each.adds) > 1 or len(each.removes) > 1 for each in elements.values()):
        return None
    for element in elements.values():
        found = _alone(element)
        if found is None:
            return Decision(None, core=tuple(element.all()))
        steps += found
    steps.sort(key=_when)
    return Decision([call for *_, call in steps])


def _alone(element: _Element) -> Steps | None:
    """An element that is added at most once and removed at most once."""
    add = element.adds[0] if element.adds else None
    remove = element.removes[0] if element.removes else None
    for one in _used(add):
        for other in _used(remove):
            found = _before(element, other, one)
            if found is None and one is not None and other is not None:
                found = _after(element, one, other)
            if found is not None:
                return found
    return None


def _used(call: Call | None) -> list[Call | None]:
    if call is None:
        return [None]
    return [call] if call.end is not None else [None, call]


def _before(element: _Element, remove: Call | None, add: Call | None) -> Steps | None:
    """Removed, if at all, before it is added, if at all."""
    steps: Steps = [(call.start, 0, call) for call in element.missed]
    if remove is not None:
        steps.append((remove.start, 0, remove))
    if add is None:
        return None if element.found else steps
    at = max([add.start, *(call.start for *_, call in steps)])
    if at > min([_end(add), *map(_end, element.found)]):
        return None
    return [*steps, (at, 1, add), *((max(at, call.start), 2, call) for call in element.found)]


def _after(element: _Element, add: Call, remove: Call) -> Steps | None:
    """Added, and then removed."""
    latest = min([_end(add), *map(_end, element.found)])
    earliest = max([remove.start, *(call.start for call in element.found)])
    if latest < add.start or earliest > _end(remove) or add.start > _end(remove):
        return None
    into: float = latest - 0.5
    out: float = earliest
    if earliest < latest:
        into = out = max(add.start, earliest)
    steps: Steps = [(into, 1, add), (out, 3, remove)]
    steps += [(max(into, call.start), 2, call) for call in element.found]
    for call in element.missed:
        if call.start < into:
            steps.append((call.start, 0, call))
        elif _end(call) > out:
            steps.append((max(out, call.start), 4, call))
        else:
            return None
    return steps


def _end(call: Call) -> int:
    return BEYOND if call.end is None else call.end


def _start(call: Call) -> int:
    return call.start


def _size(call: Call) -> int:
    return len(frozenset(call.value or ()))


def _when(step: tuple[float, int, Call]) -> tuple[float, int]:
    return step[:2]
