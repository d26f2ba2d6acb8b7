"""The cart workload: clients look into shopping carts, put items in and take items out, as their application
has to at the level that it has chosen (after the example of DeCandia et al. 2007, Dynamo, section 4.4).

Whoever changes a cart looks first, and no two clients change one cart at the same moment: what is lost is
then lost to the store, and not to a race that the application should have prevented. Only what the look
showed is taken out. Items are unique, and never added again, so every loss, and everything that comes back,
can be counted (`checkers/carts.py`). What comes back is convicted in the way `cas` alone: the union of two
sides' carts has what one of them took out, and a convergent set's removal does not reach an addition that the
R replicas it asked had not got (docs/protocols/data.md).

| way | a look | an add, or a removal |
|---|---|---|
| `cas` | get at level linearizable | cas from what was seen to that and the item, or less the item |
| `put` | get | put of what was seen and the item, or less the item, blindly |
| `siblings` | get, and the union of what it gives | the same, with the look's context |
| `set` | get of a convergent set | the element alone, added or removed |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from checkers.carts import CartChecker
from checkers.convergence import COPIES
from checkers.history import Op, Operation
from checkers.linear import Stream
from checkers.models import Value, frozen
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.data.levels import parse_level
from store.core.messages import (
    Body,
    Cas,
    ChangeElements,
    Found,
    FoundCopies,
    FoundElements,
    FoundSiblings,
    Get,
    Inspect,
    Put,
    ReadResponse,
    Response,
)
from workloads.final import last_reads, look_and_read, read_everywhere
from workloads.values import whole

Way = Literal["cas", "put", "siblings", "set"]
CARTS: Final = 100
REMOVAL_IN: Final = 4
"""One in so many changes takes something out, if anything is in."""


def cart_names(way: Way, count: int) -> tuple[str, ...]:
    """The keys of so many carts, in the bucket that the way needs."""
    prefix = f"{way}/" if way in ("siblings", "set") else ""
    return tuple([f"{prefix}cart{number}" for number in range(1, count + 1)])


def way_of(level: str) -> Way:
    """How carts are kept at a level of which nobody has said it: so that nothing acknowledged is lost."""
    return "cas" if level == "linearizable" else "siblings"


class Cart:
    """`keys` are the carts' (all of one way's bucket). `replication` says whether quorums overlap, so that a
    stale read breaks a promise; `removes`, whether items are also taken out; `keeps_acknowledged`, whether no
    fault destroys what one copy alone may have."""

    name = "cart"
    summary = (
        "fill and empty shopping carts (siblings, or cas at linearizable); counts what is lost or returns"
    )

    def __init__(
        self,
        way: Way,
        level: str,
        replication: int,
        keys: tuple[str, ...],
        removes: bool = False,
        keeps_acknowledged: bool = True,
    ) -> None:
        parsed = parse_level(level, replication)
        self._way = way
        self._level = level
        overlap = parsed.reads + parsed.writes > replication and not parsed.sloppy
        self._fresh = overlap and keeps_acknowledged
        self._keeps_acknowledged = keeps_acknowledged
        self._keys = keys
        self._removes = removes

    def generator(self, seed: int) -> Generator:
        return CartOps(self._keys, seed, self._removes)

    def final(self) -> Generator:
        return read_everywhere(self._keys) if self._way == "cas" else look_and_read(self._keys)

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        match op.f:
            case "read":
                return Get(op.key, self._level)
            case "add":
                item, after = op.value["item"], op.value["after"]
                change = ChangeElements(op.key, (b"%d" % item,), (), self._level)
                return self._change(change, after, [*after["items"], item])
            case "remove":
                item, after = op.value["item"], op.value["after"]
                change = ChangeElements(op.key, (), (b"%d" % item,), self._level)
                return self._change(change, after, [other for other in after["items"] if other != item])
            case "copies":
                return Inspect(op.key)
        raise ValueError(f"cart has read, add, remove and copies, not {op.f!r}")

    def _change(self, change: ChangeElements, after: dict[str, Any], items: list[int]) -> Body:
        """`change` as the way has it; `items` are what was seen, changed."""
        key = change.key
        match self._way:
            case "cas":
                absent = not after["items"] and not after.get("emptied")
                expect = None if absent else _packed(after["items"])
                return Cas(key, expect, _packed(items), self._level)
            case "put":
                return Put(key, _packed(items), self._level)
            case "siblings":
                return Put(key, _packed(items), self._level, 0, bytes.fromhex(after["context"]))
            case "set":
                return change

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found | FoundSiblings | FoundElements):
            return replace(op, type="ok", value=_shown(response))
        if isinstance(response, FoundCopies):
            copies = {
                node: shown["items"] if isinstance(shown := _shown(copy), dict) else shown
                for node, copy in sorted(response.copies.items())
            }
            return replace(op, type="ok", value=copies)
        return replace(op, type="ok")

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)

    def checkers(self) -> list[Checker]:
        keeps_removed = self._way == "cas"
        return [
            CartChecker(self._fresh, keeps_removed, self._keeps_acknowledged),
            last_reads(self._level, _by_items, _items_of),
        ]

    def stream(self) -> Stream | None:
        return None


class Turn(Struct, frozen=True):
    """A client is about to change `cart`, and nobody else may. `looked`: what its look told, once it did."""

    cart: str
    looked: dict[str, Any] | None = None


class CartOps(Struct, frozen=True):
    """Endless: half of what is begun are looks, the other half looks with a change after them. A look that
    fails is not followed by a change. `turns` are by process."""

    carts: tuple[str, ...]
    seed: int
    removes: bool = False
    count: int = 0
    turns: Mapping[int | str, Turn] = {}

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        processes = [ctx.processes[thread] for thread in ctx.free]
        for process in processes:
            turn = self.turns.get(process)
            if turn is not None and turn.looked is not None:
                f, item = self._change(turn.looked["items"])
                value = {"item": item, "after": turn.looked}
                change = Op(time=ctx.time, process=process, f=f, key=turn.cart, value=value)
                return change, replace(self, count=self.count + 1)
        process = processes[0]
        draw = mix64(self.seed, self.count)
        taken = {turn.cart for turn in self.turns.values()}
        free = [cart for cart in self.carts if cart not in taken]
        turns = self.turns
        if draw >> 63 and free:
            cart = free[draw % len(free)]
            turns = {**turns, process: Turn(cart)}
        else:
            cart = self.carts[draw % len(self.carts)]
        op = Op(time=ctx.time, process=process, f="read", key=cart)
        return op, replace(self, count=self.count + 1, turns=turns)

    def _change(self, seen: list[int]) -> tuple[str, int]:
        draw = mix64(self.seed, self.count)
        if self.removes and seen and draw % REMOVAL_IN == 0:
            return "remove", seen[(draw >> 32) % len(seen)]
        return "add", self.count + 1

    def update(self, ctx: Context, event: Op) -> Generator:
        turn = self.turns.get(event.process)
        if turn is None or event.type == "invoke":
            return self
        turns = {process: other for process, other in self.turns.items() if process != event.process}
        if event.f == "read" and event.type == "ok":
            turns[event.process] = Turn(turn.cart, event.value)
        return replace(self, turns=turns)


def _items_of(read: Any) -> Value:
    """What counts of a read: not the context, which also tells of changes that left nothing."""
    return frozen(read["items"] if isinstance(read, dict) else read)


def _by_items(one: Value, other: Value, changes: Sequence[Operation]) -> bool:
    """As `Explains` has it. A change also puts all that was seen before it, some of it removed since."""
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return False
    asked = [change.invoke.value for change in changes]
    items = {item for value in asked for item in (value["item"], *value["after"]["items"])}
    return set(one) ^ set(other) <= items


def _packed(items: list[int]) -> bytes:
    return ",".join(map(str, sorted(items))).encode()


def _shown(response: ReadResponse) -> dict[str, Any] | str:
    """What a cart holds; of one that cannot be told, why."""
    match response:
        case Found(_, None):
            return {"items": []}
        case Found(_, b""):
            return {"items": [], "emptied": True}  # which a cas has to tell from absent
        case Found(_, value):
            return {"items": _items([value])}
        case FoundSiblings(_, values, context):
            return {"items": _items(values), "values": len(values), "context": context.hex()}
        case FoundElements(_, elements):
            return {"items": _items(elements)}
    return repr(response)


def _items(values: Any) -> list[int]:
    """All that any of the values lists."""
    return sorted({whole(item) for value in values for item in value.split(b",") if item})
