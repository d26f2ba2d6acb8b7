"""What a history says of carts, in one shape, whoever recorded it: an item alone, and a list of items, are
understood like the objects in which the `cart` workload has them.

Left out on purpose: what any of it means (`carts`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from checkers.convergence import COPIES
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import frozen, show

CHANGES: Final = ("add", "remove")
READ: Final = "read"
ITEM: Final = "an item is a number or a string"


def cart_operations(history: Iterable[Op]) -> list[Operation]:
    """`add` and `remove` of {"item": item}, `read` answered {"items": [items], ...}, and `copies` {node:
    [items], or in words why they cannot be told}, by invocation; others are passed over. HistoryError if one
    is something else, an item is added to a cart twice, or items are of several kinds."""
    found: list[Operation] = []
    added: set[tuple[str | None, Any]] = set()
    kinds: dict[type, Any] = {}
    for operation in pair(history):
        f = operation.invoke.f
        if f not in (READ, COPIES, *CHANGES):
            continue
        try:
            plain, items = _plain(operation)
        except HistoryError as error:
            raise HistoryError(f"event {operation.start}: {error}") from None
        for item in items:
            kinds.setdefault(type(item), item)
        if f == "add":
            place = (operation.invoke.key, items[0])
            if place in added:
                raise HistoryError(
                    f"event {operation.start}: item {show(items[0])} is added for a second time"
                )
            added.add(place)
        found.append(plain)
    if len(kinds) > 1:
        shown = " and ".join(map(repr, kinds.values()))
        raise HistoryError(f"items are all numbers or all strings, not both, as {shown}")
    return found


def _plain(operation: Operation) -> tuple[Operation, list[Any]]:
    """With the items that it names."""
    invoke, done = operation.invoke, operation.completion
    if invoke.f in CHANGES:
        if isinstance(invoke.value, dict) and "item" in invoke.value:
            return operation, _items([invoke.value["item"]])
        items = _items([invoke.value])
        return operation._replace(invoke=replace(invoke, value={"item": items[0]})), items
    if done is None or operation.outcome != "ok":
        return operation, []
    if invoke.f == COPIES:
        copies, items = _copies(done.value)
        return operation._replace(completion=replace(done, value=copies)), items
    told = done.value if isinstance(done.value, dict) and "items" in done.value else {"items": done.value}
    items, siblings = _items(told["items"]), told.get("values", 1)
    if isinstance(siblings, bool) or not isinstance(siblings, int):
        raise HistoryError(f"values is how many siblings a read was told, not {show(frozen(siblings))}")
    return operation._replace(completion=replace(done, value={"items": items, "values": siblings})), items


def _copies(value: Any) -> tuple[dict[str, Any], list[Any]]:
    if not isinstance(value, dict):
        raise HistoryError(f"copies are told as {{node: [items]}}, not {show(frozen(value))}")
    told = {node: held if isinstance(held, str) else _as_set(held) for node, held in value.items()}
    return told, [item for held in told.values() if isinstance(held, list) for item in held]


def _as_set(value: Any) -> list[Any]:
    return sorted(set(_items(value)), key=lambda item: (isinstance(item, str), item))


def _items(value: Any) -> list[Any]:
    """A cart of which there is nothing is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise HistoryError(f"a cart is told as a list of its items, not {show(frozen(value))}")
    wrong = [item for item in value if isinstance(item, bool) or not isinstance(item, int | str)]
    if wrong:
        raise HistoryError(f"{ITEM}, not {show(frozen(wrong[0]))}")
    return value
