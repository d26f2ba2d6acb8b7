"""Carts seen out of order: an item is there, and what its client had seen or added there before is not.

Terry et al. 1994 call the two writes follow reads and monotonic writes; here they are told of one cart only.
`checkers.carts` tells of the other two session guarantees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from checkers.history import Op, pair


def out_of_order(history: Sequence[Op]) -> frozenset[int]:
    """Where the reads begin (positions in the history) that show a cart so."""
    before: dict[tuple[str, Any], frozenset[Any]] = {}
    known: dict[tuple[int | str, str], frozenset[Any]] = defaultdict(frozenset)
    strays = set()
    operations = pair(history)
    for each in sorted(operations, key=lambda each: each.start):
        if each.invoke.f == "add":
            place = each.invoke.process, each.invoke.key or ""
            item = each.invoke.value["item"]
            before[place[1], item] = known[place] | frozenset(each.invoke.value["after"]["items"])
            if each.outcome == "ok":
                known[place] |= {item}
    for each in operations:
        if each.invoke.f == "read" and each.outcome == "ok":
            key, items = each.invoke.key or "", frozenset(each.value["items"])
            if any(not before.get((key, item), items) <= items for item in items):
                strays.add(each.start)
    return frozenset(strays)
