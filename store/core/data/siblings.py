"""Keys with siblings: dotted version vector sets (Almeida, Baquero, Gonçalves, Preguiça, Fonte, "Scalable and
Accurate Causality Tracking for Eventually Consistent Stores", DAIS 2014, section 5).

An event is (actor, number). For each actor a set tells how many of its events are known and keeps the values
of the newest ones; an older event is obsolete. A reader gets the values with a *context*, the version vector
of all known events, and whoever writes with it replaces what it covers and nothing else. Left out: anonymous
values, which stand for a client's context in the paper's functions.

A context comes back from a client and may be forged. It can make a key forget, as a Delete can; it cannot
claim events of the asked replica's own, nor numbers far beyond the clock's, nor fill the set with actors.
Covering less than a context claims is always safe: the worst is a sibling too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import DecodeError, Meta
from msgspec.msgpack import Decoder, Encoder

from store.core.messages import CONTEXT_BYTES_MAX, Moment, NodeName, Siblings, Stamp, Value

SIBLINGS_MAX: Final = 64
"""An edit does not add a value to so many."""
ACTORS_MAX: Final = 64
"""Of an actor that a set does not know, a context's word is taken while the set knows fewer than this."""
AHEAD_MAX_US: Final = 86_400_000_000
"""Event numbers begin at the clock's microseconds, so no honest one is beyond the clock by a day."""

Entry = tuple[str, int, tuple[bytes, ...]]
Entries = tuple[Entry, ...]

_Vector = Annotated[tuple[tuple[NodeName, Moment], ...], Meta(max_length=1_000)]
_encode: Final = Encoder().encode
_decode: Final = Decoder(_Vector).decode


class ContextError(ValueError):
    """What a client gave as a context is none: one sentence."""


def sync(a: Siblings, b: Siblings) -> Siblings:
    """All that either knows: `a` itself if `b` adds nothing. Commutative, associative, idempotent."""
    stamp = max(a.stamp, b.stamp)
    if a.entries == b.entries:
        return a if stamp == a.stamp else Siblings(stamp, a.entries)
    mine = {actor: (seen, values) for actor, seen, values in a.entries}
    for actor, seen, values in b.entries:
        held = mine.get(actor)
        mine[actor] = (seen, values) if held is None else _newest(held, (seen, values))
    entries = _entries(mine)
    return a if entries == a.entries and stamp == a.stamp else Siblings(stamp, entries)


def assign(
    held: Siblings | None,
    actor: str,
    first: int,
    stamp: Stamp,
    context: Mapping[str, int],
    value: bytes | None,
) -> Siblings:
    """`actor` replaces what `context` covers by `value` (None: by nothing), at `stamp`. `first` is the number
    of the actor's first event, if the set knows none: above all numbers that the actor may have used for the
    key before it forgot it."""
    known = {} if held is None else {name: (seen, newest) for name, seen, newest in held.entries}
    for name, seen in context.items():
        count, newest = known.get(name, (0, ()))
        if seen > count and (
            name == actor
            or seen > stamp[0] + AHEAD_MAX_US
            or (name not in known and len(known) >= ACTORS_MAX)
        ):
            seen = count
        if seen:
            known[name] = max(count, seen), newest[: max(0, count - seen)]
    if value is not None:
        count, newest = known.get(actor, (first - 1, ()))
        known[actor] = count + 1, (value, *newest)
    return Siblings(stamp if held is None else max(stamp, held.stamp), _entries(known))


def values(siblings: Siblings) -> tuple[bytes, ...]:
    """Each value once, in one order everywhere."""
    return tuple(sorted({value for _, _, newest in siblings.entries for value in newest}))


def count(siblings: Siblings) -> int:
    return sum([len(newest) for _, _, newest in siblings.entries])


def context_of(siblings: Siblings) -> bytes:
    """What a reader of these has seen. Should it be too long, then without some actors: a context that
    covers less is safe, because what it does not cover stays."""
    vector = [(actor, seen) for actor, seen, newest in siblings.entries if newest]
    vector += [(actor, seen) for actor, seen, newest in siblings.entries if not newest]
    while len(encoded := _encode(sorted(vector))) > CONTEXT_BYTES_MAX:
        del vector[-max(1, len(vector) // 8) :]
    return encoded


def read_context(given: bytes) -> dict[str, int]:
    """What `context` wrote, or nothing for nothing; raises `ContextError` for what it cannot have written."""
    if not given:
        return {}
    try:
        vector = _decode(given)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise ContextError("a context is what a read has given, unchanged") from None
    if any(vector[i][0] >= vector[i + 1][0] for i in range(len(vector) - 1)):
        raise ContextError("a context names its actors in order, each once")
    return dict(vector)


def _newest(
    a: tuple[int, tuple[Value, ...]], b: tuple[int, tuple[Value, ...]]
) -> tuple[int, tuple[Value, ...]]:
    """Of one actor's events: what neither side knows to be obsolete."""
    if a[0] < b[0]:
        a, b = b, a
    obsolete = max(a[0] - len(a[1]), b[0] - len(b[1]))
    return a[0], a[1][: a[0] - obsolete]


def _entries(known: Mapping[str, tuple[int, tuple[bytes, ...]]]) -> Entries:
    return tuple([(actor, *known[actor]) for actor in sorted(known)])
