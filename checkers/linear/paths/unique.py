"""A register whose values tell who brought them: decided by sorting, in O(n log n).

After Gibbons and Korach, *Testing shared memories* (SIAM J. Comput. 1997), who sort the zones of
clusters, a cluster being a write and the reads of its value. Added to it are compare-and-set, which makes
chains of clusters; calls that may not have happened; and pure calls that are legal in more than one state,
such as a refused cas. The arguments are in docs/protocols/unique-values.md.

Left out on purpose: histories in which a value that somebody needs may have two origins, and those in which
a call that is legal in several states finds no place in the few orders that are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import attrgetter, lt
from typing import Final

from checkers.linear.paths.base import Decision
from checkers.linear.paths.unique_conflict import Conflict, earliest_conflict, misplaced
from checkers.linear.paths.unique_layout import NOWHERE, Layout, lay_out
from checkers.linear.paths.unique_observed import adopt, with_observations
from checkers.linear.problem import Call
from checkers.models import Model

_ROUNDS: Final = 8
"""How often observations that have no place are made part of a cluster."""

_start: Final[Callable[[Call], int]] = attrgetter("start")


def unique_values(calls: Sequence[Call], model: Model) -> Decision | None:
    """A `Path` for any model. It may decide if each call reads (it is pure and needs one state), writes (it
    is blind and leaves one), changes (it needs one and leaves one) or observes (it is pure)."""
    if any(call.start > after.start for call, after in pairwise(calls)):
        calls = sorted(calls, key=_start)
    layout = lay_out(calls, model)
    if layout is None:
        return None
    order = _order(layout)
    if order is None:
        return _refuted(earliest_conflict(layout, model), layout, model)
    if not layout.observations:
        return Decision(order)
    conflict = misplaced(layout, model)
    if conflict is not None:
        return _refuted(conflict, layout, model)
    for _ in range(_ROUNDS):
        whole, misfits = with_observations(order, layout, model)
        if not misfits:
            return Decision(whole)
        if not adopt(layout, misfits, model):
            return None
        order = _order(layout)
        if order is None:
            return None
    return None


def _refuted(conflict: Conflict, layout: Layout, model: Model) -> Decision:
    """With observations, the conflict need not be the earliest: then look at what was before it."""
    blocked = next(call for call in layout.calls if call.end == conflict.at)
    if layout.observations:
        earlier = unique_values(_before(layout.calls, conflict.at, model), model)
        if earlier is None:
            return Decision(None, None, conflict.core, conflict.begins_as)
        if earlier.order is None:
            return earlier
    return Decision(None, blocked, conflict.core, conflict.begins_as)


def _before(calls: Sequence[Call], at: int, model: Model) -> list[Call]:
    """What was known just before position `at`: calls open there are optional."""
    kept = []
    for call in calls:
        if call.start < at:
            if call.end is None or call.end < at:
                kept.append(call)
            elif not model.pure(call.f, call.value):
                kept.append(call._replace(end=None))
    return kept


def _next_of(layout: Layout) -> dict[int, int] | None:
    """By cluster, the one that must come right after it, if any; None if that cannot be."""
    next_of = {before: cluster for cluster, before in layout.before.items()}
    if layout.strays or NOWHERE in next_of or len(next_of) < len(layout.before):
        return None
    return next_of


def _sorted_heads(layout: Layout, next_of: dict[int, int]) -> list[int] | None:
    """The first clusters of the chains in an order that respects real time, or None if there is none."""
    first_end, last_start = layout.first_end, layout.last_start
    if any(map(lt, first_end, layout.begun)):
        return None
    if next_of:
        first_end, last_start = first_end.copy(), last_start.copy()
        if not _join_chains(layout.heads, next_of, first_end, last_start):
            return None
    low = list(map(min, first_end, last_start))
    heads = sorted(layout.heads, key=low.__getitem__)
    latest_start = -1
    for head in heads:
        if first_end[head] < latest_start:
            return None
        if last_start[head] > latest_start:
            latest_start = last_start[head]
    return heads


def _join_chains(
    heads: list[int], next_of: dict[int, int], first_end: list[int], last_start: list[int]
) -> bool:
    """Make the figures of each head those of its chain; False if a chain contradicts itself."""
    joined = 0
    for head in heads:
        cluster = next_of.get(head)
        while cluster is not None:
            if first_end[cluster] < last_start[head]:
                return False
            first_end[head] = min(first_end[head], first_end[cluster])
            last_start[head] = max(last_start[head], last_start[cluster])
            cluster = next_of.get(cluster)
            joined += 1
    return joined == len(next_of)


def _order(layout: Layout) -> list[Call] | None:
    """Without the observations; None if there is none that is legal and respects real time."""
    next_of = _next_of(layout)
    heads = None if next_of is None else _sorted_heads(layout, next_of)
    return None if next_of is None or heads is None else _laid_end_to_end(layout, next_of, heads)


def _laid_end_to_end(layout: Layout, next_of: dict[int, int], heads: list[int]) -> list[Call]:
    """Chain by chain, cluster by cluster, its origin first and then its reads by their start."""
    calls, origins = layout.calls, layout.origins
    count = len(calls)
    read_codes = [0] * len(origins)
    codes = []
    code = 0
    for head in heads:
        cluster: int | None = head
        while cluster is not None:
            if cluster:
                codes.append(code + origins[cluster])
            read_codes[cluster] = code + count
            code += 2 * count
            cluster = next_of.get(cluster)
    codes += [
        read_codes[cluster] + index for cluster, index in zip(layout.read_of, layout.reads, strict=True)
    ]
    codes.sort()
    return [calls[code % count] for code in codes]
