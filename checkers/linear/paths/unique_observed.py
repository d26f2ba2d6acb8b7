"""Where pure calls that are legal in several states go; the argument is in docs/protocols/unique-values.md,
"Observations". An order that is found is right; that none is found says nothing."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final

from checkers.linear.paths.unique_layout import AMBIGUOUS, NEVER, NOWHERE, Layout
from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Model, State

_LOOKED_AT: Final = 50
"""How many clusters an observation is offered to."""


def with_observations(order: list[Call], layout: Layout, model: Model) -> tuple[list[Call], list[int]]:
    """`order`, legal and in real time, with the layout's observations put in, each as early as it can; and
    the indices of those that fit nowhere. If there are any, none was put in."""
    states, turns = _states(order, model)
    first_end_from = list(accumulate((_end(call) for call in reversed(order)), min))
    first_end_from.reverse()
    last_start_to = list(accumulate((call.start for call in order), max))
    observed = [(layout.calls[index], index) for index in layout.observations]
    by_end = sorted((_end(call), rank) for rank, (call, _) in enumerate(observed))
    gaps: list[int] = []
    misfits = []
    floor = ended = 0
    for call, index in observed:
        while by_end[ended][0] < call.start:
            floor = max(floor, gaps[by_end[ended][1]])
            ended += 1
        gap = max(floor, bisect_left(first_end_from, call.start))
        last = bisect_left(last_start_to, _end(call))
        while gap <= last and model.step(states[gap], call.f, call.value) is ILLEGAL:
            gap = turns[gap]
        if gap > last:
            misfits.append(index)
        gaps.append(gap if gap <= last else 0)
    if misfits:
        return order, misfits
    return _merged(order, sorted(zip(gaps, layout.observations, strict=True)), layout), []


def _merged(order: list[Call], placed: list[tuple[int, int]], layout: Layout) -> list[Call]:
    whole: list[Call] = []
    done = 0
    for gap, index in placed:
        whole += order[done:gap]
        whole.append(layout.calls[index])
        done = gap
    return whole + order[done:]


def adopt(layout: Layout, misfits: list[int], model: Model) -> bool:
    """Make each misfit a read of a cluster where it does little harm; False if there is none for one."""
    followed = {NOWHERE, AMBIGUOUS, *layout.before.values()}
    zones = _Zones(layout)
    for index in misfits:
        call = layout.calls[index]
        cluster = _offer(call, layout, model, followed, zones)
        if cluster is None:
            return False
        if cluster in layout.dropped:
            layout.dropped.remove(cluster)
            if cluster in layout.could_follow:
                layout.before[cluster] = layout.could_follow[cluster]
                followed.add(layout.could_follow[cluster])
            else:
                layout.heads.append(cluster)
        layout.reads.append(index)
        layout.read_of.append(cluster)
        layout.first_end[cluster] = min(layout.first_end[cluster], _end(call))
        layout.last_start[cluster] = max(layout.last_start[cluster], call.start)
    adopted = set(misfits)
    layout.observations = [index for index in layout.observations if index not in adopted]
    return True


def _offer(call: Call, layout: Layout, model: Model, followed: set[int], zones: _Zones) -> int | None:
    """A cluster near by that `call` could be a read of: one whose zone does not become forward for it, or one
    that was dropped, or else the one that goes on the least after it."""
    latest = bisect_left(layout.begun, _end(call))
    near = range(latest - 1, max(0, latest - _LOOKED_AT), -1)
    dropped = layout.dropped[: bisect_left(layout.dropped, latest)][-_LOOKED_AT:]
    offers: list[tuple[int, int, int]] = []
    for cluster in [*(cluster for cluster in near if cluster not in dropped), *dropped]:
        if call.start > layout.first_end[cluster] or not zones.admit(cluster, call):
            continue
        if cluster in dropped and layout.could_follow.get(cluster) in followed:
            continue
        if model.step(layout.state(cluster, model), call.f, call.value) is not ILLEGAL:
            offers.append((max(0, layout.last_start[cluster] - _end(call)), len(offers), cluster))
    return min(offers)[-1] if offers else None


class _Zones:
    """The zones of chains that do not cross, and what the order inside each demands."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._chain_of = {head: head for head in layout.heads}
        self._start_before = dict.fromkeys(layout.heads, -1)
        self._end_after = dict.fromkeys(layout.heads, NEVER)
        self._zone = {head: (layout.first_end[head], layout.last_start[head]) for head in layout.heads}
        next_of = {before: cluster for cluster, before in layout.before.items()}
        for head in layout.heads:
            if head in next_of:
                self._join(head, next_of)
        zones = [(end, start, head) for head, (end, start) in self._zone.items()]
        self._forward = sorted(zone for zone in zones if zone[0] < zone[1])
        self._backward = sorted((start, end, head) for end, start, head in zones if start < end)

    def _join(self, head: int, next_of: dict[int, int]) -> None:
        line = [head]
        while line[-1] in next_of:
            line.append(next_of[line[-1]])
        latest, earliest = -1, NEVER
        for cluster in line:
            self._chain_of[cluster] = head
            self._start_before[cluster] = latest
            latest = max(latest, self._layout.last_start[cluster])
        for cluster in reversed(line):
            self._end_after[cluster] = earliest
            earliest = min(earliest, self._layout.first_end[cluster])
        self._zone[head] = (earliest, latest)

    def admit(self, cluster: int, call: Call) -> bool:
        """Whether `call` could be a read of `cluster` and no two chains cross, nor one contradict itself."""
        first_end = min(self._layout.first_end[cluster], _end(call))
        last_start = max(self._layout.last_start[cluster], call.start)
        before = self._layout.could_follow.get(cluster)
        head = self._chain_of.get(cluster if before is None else before, cluster)
        chain_end, chain_start = self._zone.get(head, (NEVER, -1))
        start_before = self._start_before.get(cluster, -1 if before is None else chain_start)
        if first_end < start_before or self._end_after.get(cluster, NEVER) < last_start:
            return False
        return not self._crossed(head, min(chain_end, first_end), max(chain_start, last_start))

    def _crossed(self, head: int, first_end: int, last_start: int) -> bool:
        rank = bisect_left(self._forward, (last_start,)) - 1
        if rank >= 0 and self._forward[rank][2] == head:
            rank -= 1
        if rank >= 0 and self._forward[rank][1] > first_end:
            return True
        low, high = bisect_left(self._backward, (first_end,)), bisect_left(self._backward, (last_start,))
        return any(end < last_start and other != head for _, end, other in self._backward[low:high])


def _states(order: list[Call], model: Model) -> tuple[list[State], list[int]]:
    """By gap: the state there, and the next gap after a call that may have changed it."""
    states = [model.initial]
    for call in order:
        states.append(model.step(states[-1], call.f, call.value))
    turns = [len(order) + 1] * (len(order) + 1)
    for gap in range(len(order) - 1, -1, -1):
        turns[gap] = turns[gap + 1] if model.pure(order[gap].f, order[gap].value) else gap + 1
    return states, turns


def _end(call: Call) -> int:
    return NEVER if call.end is None else call.end
