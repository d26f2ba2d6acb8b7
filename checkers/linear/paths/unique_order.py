"""An order of clusters, if there is one: chains are joined, sorted, and laid end to end.

Theorem 1 of docs/protocols/unique-values.md.
"""

from __future__ import annotations

from operator import lt
from typing import NamedTuple

from checkers.linear.paths.unique_layout import NOWHERE, Layout
from checkers.linear.problem import Call


class Chains(NamedTuple):
    """`next_of`: by cluster, the one that must come right after it, if any. `first_end` and `last_start`: by
    cluster; those of a head are its whole chain's."""

    next_of: dict[int, int]
    first_end: list[int]
    last_start: list[int]


def chains_of(layout: Layout) -> Chains | None:
    """None if there are none, or if one contradicts itself."""
    next_of = {before: cluster for cluster, before in layout.before.items()}
    if layout.strays or NOWHERE in next_of or len(next_of) < len(layout.before):
        return None
    first_end, last_start = layout.first_end, layout.last_start
    if any(map(lt, first_end, layout.begun)):
        return None
    if next_of:
        first_end, last_start = first_end.copy(), last_start.copy()
        if not _join(layout.heads, next_of, first_end, last_start):
            return None
    return Chains(next_of, first_end, last_start)


def _join(heads: list[int], next_of: dict[int, int], first_end: list[int], last_start: list[int]) -> bool:
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


def sorted_heads(layout: Layout, chains: Chains) -> list[int] | None:
    """The first clusters of the chains in an order that respects real time, or None if there is none."""
    _, first_end, last_start = chains
    low = list(map(min, first_end, last_start))
    heads = sorted(layout.heads, key=low.__getitem__)
    latest_start = -1
    for head in heads:
        if first_end[head] < latest_start:
            return None
        if last_start[head] > latest_start:
            latest_start = last_start[head]
    return heads


def laid_end_to_end(layout: Layout, next_of: dict[int, int], heads: list[int]) -> list[Call]:
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


def in_order(layout: Layout) -> list[Call] | None:
    """Without the observations and the unclear reads; None if there is no order that is legal and respects
    real time."""
    chains = chains_of(layout)
    heads = None if chains is None else sorted_heads(layout, chains)
    return None if chains is None or heads is None else laid_end_to_end(layout, chains.next_of, heads)
