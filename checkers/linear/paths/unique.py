"""A register whose values tell who brought them: decided by sorting, in O(n log n).

After Gibbons and Korach, *Testing shared memories* (SIAM J. Comput. 1997), who sort the zones of
clusters, a cluster being a write and the reads of its value. Added to it are compare-and-set, which makes
chains of clusters; calls that may not have happened; one value that may be written again and again, such as
nil where there are deletes; and pure calls that are legal in more than one state, such as a refused cas. The
arguments are in docs/protocols/unique-values.md.

Left out on purpose: histories in which two values that somebody needs may have several origins, or one that
a cas needs or leaves; and those in which a call that is legal in several states finds no place in the few
orders that are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final

from checkers.linear.paths.base import Decision
from checkers.linear.paths.repeated import settle
from checkers.linear.paths.unique_conflict import Conflict, earliest_conflict, misplaced
from checkers.linear.paths.unique_layout import Layout, lay_out
from checkers.linear.paths.unique_observed import adopt, with_observations
from checkers.linear.paths.unique_order import in_order
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
    order = in_order(layout)
    if order is None:
        return _refuted(earliest_conflict(layout, model), layout, model)
    conflict = misplaced(layout, model) if layout.observations else None
    if conflict is None and layout.unclear:
        conflict = settle(layout, model)
        order = in_order(layout)
    if conflict is not None:
        return _refuted(conflict, layout, model)
    for _ in range(_ROUNDS):
        if order is None:
            return None
        whole, misfits = with_observations(order, layout, model) if layout.observations else (order, [])
        if not misfits:
            return Decision(whole)
        if not adopt(layout, misfits, model):
            return None
        order = in_order(layout)
    return None


def _refuted(conflict: Conflict, layout: Layout, model: Model) -> Decision:
    """With observations, the conflict need not be the earliest: then look at what was before it. With unclear
    reads neither, and that is left to others."""
    if layout.repeated:
        return Decision(None, None, conflict.core, conflict.begins_as)
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
