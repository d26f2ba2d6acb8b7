"""Convergent data: what a replica keeps for a key, merged so that replicas which saw the same, in any order
and any number of times, agree."""

from __future__ import annotations

from typing import Final, cast

from msgspec.msgpack import Encoder

from store.core.data import counter, elements, fields, siblings
from store.core.messages import (
    VALUE_BYTES_MAX,
    Cell,
    Conflict,
    Count,
    Datum,
    Elements,
    Failed,
    Fields,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    ReadResponse,
    Siblings,
    Stamp,
)

DATUM_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX
"""The most that is kept for a key, so that it fits into a frame with all that goes with it."""

KINDS: Final[dict[Conflict, type[Datum]]] = {
    "lww": Cell,
    "siblings": Siblings,
    "counter": Count,
    "set": Elements,
    "map": Fields,
}
"""What the keys of a bucket hold, by how it settles conflicts."""

NOUNS: Final[dict[type[Datum], str]] = {
    Cell: "a last-write-wins value",
    Siblings: "siblings",
    Count: "a counter",
    Elements: "a set",
    Fields: "a map",
}

_TAGS: Final = {kind: tag for tag, kind in enumerate((Cell, Siblings, Count, Elements, Fields))}
_encode: Final = Encoder().encode


def merge(held: Datum | None, incoming: Datum) -> Datum:
    """Commutative, associative and idempotent. `held` itself if `incoming` adds nothing to it. Of data of
    different kinds (a bucket that was made over keys which existed), the kind with the higher tag wins, so
    this still converges."""
    if held is None:
        return incoming
    kind = type(held)
    if kind is not type(incoming):
        return held if _TAGS[kind] > _TAGS[type(incoming)] else incoming
    match held:
        case Cell():
            return _newer(held, cast(Cell, incoming))
        case Siblings():
            return siblings.sync(held, cast(Siblings, incoming))
        case Count():
            return counter.merge(held, cast(Count, incoming))
        case Elements():
            return elements.merge(held, cast(Elements, incoming))
        case Fields():
            return fields.merge(held, cast(Fields, incoming))


def _newer(a: Cell, b: Cell) -> Cell:
    if a.stamp != b.stamp:
        return a if a.stamp > b.stamp else b
    return a if _rank(a) >= _rank(b) else b


def _rank(cell: Cell) -> tuple[bool, bytes, int]:
    """Of twins with one stamp (which no clock of ours gives), a tombstone wins, then the greater value, then
    the one that lasts longer."""
    return cell.value is None, cell.value or b"", cell.expires_ms or 1 << 63


def dead_since_ms(datum: Datum, wall_ms: int) -> int | None:
    """When nothing was left of it but a tombstone, by the wall clock of whoever wrote that; None: something
    is left, or (counters, emptied sets) it is never a tombstone."""
    match datum:
        case Cell(stamp, value, expires_ms):
            if value is None:
                return stamp[0] // 1_000
            return expires_ms if expires_ms and expires_ms <= wall_ms else None
        case Siblings(stamp, entries):
            return None if any(newest for _, _, newest in entries) else stamp[0] // 1_000
        case Fields(entries):
            if any(value is not None for _, _, value in entries):
                return None
            return max([stamp[0] for _, stamp, _ in entries], default=0) // 1_000
    return None


def stamps(datum: Datum) -> list[Stamp]:
    """What a clock should be above that has seen `datum`."""
    match datum:
        case Cell(stamp) | Siblings(stamp):
            return [stamp]
        case Fields(entries):
            return [stamp for _, stamp, _ in entries]
    return []


def size(datum: Datum) -> int:
    """Bytes, as it is sent and kept."""
    if type(datum) is Cell:
        return 128 + len(datum.value or b"")
    return len(_encode(datum))


def edit_bytes_max(n: int) -> int:
    """How large what a replica keeps for a key may be with a client's edit in it, `n` replicas to a key. Each
    replica may take in so much while it is alone, and twice as many while keys move; merged, they still are
    below `DATUM_BYTES_MAX` (docs/protocols/data.md)."""
    return DATUM_BYTES_MAX // (2 * n)


def gives_way(held: Datum, wanted: type[Datum], wall_ms: int) -> bool:
    """Whether data of the kind `wanted` can be written over `held`, of another: a tombstone that loses."""
    return _TAGS[type(held)] < _TAGS[wanted] and dead_since_ms(held, wall_ms) is not None


def wrong_kind(key: str, held: Datum, wanted: type[Datum]) -> str:
    return f"{key!r:.100} holds {NOUNS[type(held)]}, not {NOUNS[wanted]}"


def response(
    request_id: int, key: str, conflict: Conflict, datum: Datum | None, wall_ms: int
) -> ReadResponse:
    """What a read of `key` is answered, in a bucket with this way of settling conflicts."""
    wanted = KINDS[conflict]
    if datum is None:
        return _nothing(request_id, conflict)
    if type(datum) is not wanted:
        return Failed(request_id, "bad-request", wrong_kind(key, datum, wanted))
    match datum:
        case Cell(_, value, expires_ms):
            return Found(request_id, None if expires_ms and expires_ms <= wall_ms else value)
        case Siblings():
            return FoundSiblings(request_id, siblings.values(datum), siblings.context_of(datum))
        case Count():
            return FoundCount(request_id, counter.value(datum))
        case Elements():
            return FoundElements(request_id, elements.members(datum))
        case Fields():
            return FoundFields(request_id, fields.values(datum))


def _nothing(request_id: int, conflict: Conflict) -> ReadResponse:
    match conflict:
        case "lww":
            return Found(request_id, None)
        case "siblings":
            return FoundSiblings(request_id, (), b"")
        case "counter":
            return FoundCount(request_id, 0)
        case "set":
            return FoundElements(request_id, ())
        case "map":
            return FoundFields(request_id, {})
