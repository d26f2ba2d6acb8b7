"""One object's calls as clusters: an origin, the only call that can have brought a value, and its reads.

Everything is in plain lists of integers, by cluster, because a history may have millions of calls. Cluster 0
is that of the initial value; it has no origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Model, State

NEVER: Final = 1 << 62
"""The end of a call that may take effect at any later time."""
NOWHERE: Final = -1
"""The cluster of a value that no call can have brought."""
AMBIGUOUS: Final = -2
"""The cluster of a value that more than one call may have brought, or that is also the initial one."""


@dataclass(slots=True)
class Layout:
    """`calls` by start; places in it are called indices. By cluster: `origins`, an index (cluster 0: -1);
    `begun`, where the origin started; `first_end` and `last_start` of the cluster's calls. `before`: the
    cluster that one made by a change comes right after. `heads`: the clusters of writes, and 0. `dropped`, by
    start: those whose origin need not have happened and which nobody needs; `could_follow` is `before` for
    them. `reads` are indices, `read_of` their clusters; `strays` read what nobody brought; `unclear` read the
    one value that several calls may have brought, `repeated` are its clusters; `observations` are pure and
    need no single state."""

    calls: Sequence[Call]
    origins: list[int] = field(default_factory=lambda: [-1])
    begun: list[int] = field(default_factory=lambda: [-1])
    first_end: list[int] = field(default_factory=lambda: [-1])
    last_start: list[int] = field(default_factory=list)
    before: dict[int, int] = field(default_factory=dict)
    heads: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    could_follow: dict[int, int] = field(default_factory=dict)
    reads: list[int] = field(default_factory=list)
    read_of: list[int] = field(default_factory=list)
    strays: list[int] = field(default_factory=list)
    unclear: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    observations: list[int] = field(default_factory=list)

    def state(self, cluster: int, model: Model) -> State:
        """The value that the cluster is about."""
        if cluster == 0:
            return model.initial
        origin = self.calls[self.origins[cluster]]
        return model.leaves(origin.f, origin.value)


def lay_out(calls: Sequence[Call], model: Model) -> Layout | None:
    """None if a call is of no kind that fits, or the origins of two values that are needed are ambiguous, or
    those of one that a change needs or leaves."""
    layout = Layout(calls)
    left: list[State] = [model.initial]
    needed: list[State] = []
    changes: dict[int, State] = {}
    if not _classify(layout, model, left, needed, changes):
        return None
    cluster_of = _cluster_of(left)
    find = cluster_of.get
    layout.read_of = [find(value, NOWHERE) for value in needed]
    if AMBIGUOUS in layout.read_of and not _set_unclear_apart(layout, needed, left, changes):
        return None
    wanted = set(layout.read_of)
    if AMBIGUOUS in wanted or not _link(layout, wanted, {c: find(v, NOWHERE) for c, v in changes.items()}):
        return None
    if NOWHERE in wanted:
        _set_strays_apart(layout)
    layout.last_start = layout.begun.copy()
    _widen(layout)
    return layout


def _classify(
    layout: Layout, model: Model, left: list[State], needed: list[State], changes: dict[int, State]
) -> bool:
    """Fill in what each call leaves or needs; False if there is one of another kind."""
    pure, blind, needs, leaves = model.pure, model.blind, model.needs, model.leaves
    origins, begun, first_end = layout.origins, layout.begun, layout.first_end
    reads, observations = layout.reads, layout.observations
    for index, (f, value, start, end, _) in enumerate(layout.calls):
        if pure(f, value):
            state = needs(f, value)
            if end is None:
                continue
            if state is ILLEGAL:
                observations.append(index)
            else:
                reads.append(index)
                needed.append(state)
            continue
        state = leaves(f, value)
        if state is ILLEGAL:
            return False
        if not blind(f, value):
            changes[len(left)] = before = needs(f, value)
            if before is ILLEGAL:
                return False
        left.append(state)
        origins.append(index)
        begun.append(start)
        first_end.append(NEVER if end is None else end)
    return True


def _cluster_of(left: list[State]) -> dict[State, int]:
    clusters = dict(zip(left, range(len(left)), strict=True))
    if len(clusters) < len(left):
        clusters = {}
        for cluster, state in enumerate(left):
            if clusters.setdefault(state, cluster) != cluster:
                clusters[state] = AMBIGUOUS
    return clusters


def _link(layout: Layout, wanted: set[int], before_of: dict[int, int]) -> bool:
    """Say what happened for certain and what comes right after what; False if that is ambiguous.

    What happened: the required calls, and, of the others, what those need, and so on."""
    first_end, before = layout.first_end, layout.before
    pending = [cluster for cluster in before_of if first_end[cluster] < NEVER or cluster in wanted]
    while pending:
        cluster = pending.pop()
        before[cluster] = origin = before_of[cluster]
        if origin not in wanted:
            wanted.add(origin)
            if origin in before_of and first_end[origin] == NEVER:
                pending.append(origin)
    happened = [cluster for cluster, end in enumerate(first_end) if end < NEVER or cluster in wanted]
    layout.heads = [cluster for cluster in happened if cluster not in before_of]
    layout.dropped = sorted(set(range(len(first_end))).difference(happened))
    layout.could_follow = {c: before_of[c] for c in layout.dropped if c in before_of}
    return AMBIGUOUS not in wanted


def _set_unclear_apart(
    layout: Layout, needed: list[State], left: list[State], changes: dict[int, State]
) -> bool:
    """False if they read several values, or one that a change leaves."""
    homes = list(zip(layout.reads, layout.read_of, needed, strict=True))
    values = {value for _, cluster, value in homes if cluster == AMBIGUOUS}
    layout.repeated = [cluster for cluster, value in enumerate(left) if value in values]
    if len(values) > 1 or any(cluster in changes for cluster in layout.repeated):
        return False
    layout.unclear = [index for index, cluster, _ in homes if cluster == AMBIGUOUS]
    layout.reads = [index for index, cluster, _ in homes if cluster != AMBIGUOUS]
    layout.read_of = [cluster for cluster in layout.read_of if cluster != AMBIGUOUS]
    return True


def _set_strays_apart(layout: Layout) -> None:
    homes = list(zip(layout.reads, layout.read_of, strict=True))
    layout.strays = [index for index, cluster in homes if cluster == NOWHERE]
    layout.reads = [index for index, cluster in homes if cluster != NOWHERE]
    layout.read_of = [cluster for _, cluster in homes if cluster != NOWHERE]


def _widen(layout: Layout) -> None:
    """Count the reads in."""
    calls, first_end, last_start = layout.calls, layout.first_end, layout.last_start
    for index, cluster in zip(layout.reads, layout.read_of, strict=True):
        _, _, start, end, _ = calls[index]
        assert end is not None
        if end < first_end[cluster]:
            first_end[cluster] = end
        if start > last_start[cluster]:
            last_start[cluster] = start
