"""Sets in which an addition wins over a concurrent removal, without tombstones (Bieniusa, Zawirski, Preguiça,
Shapiro, Baquero, Balegas, Duarte 2012, "An Optimized Conflict-free Replicated Set", figure 3).

Each addition is an event (actor, number), a dot. An element is in as long as one of its dots has not been
seen to be removed: a replica that has seen a dot, and does not keep it, has seen it removed.
"""

from __future__ import annotations

from collections.abc import Iterable

from store.core.messages import Elements

Dots = tuple[tuple[str, int], ...]


def merge(a: Elements, b: Elements) -> Elements:
    """`a` itself if `b` adds nothing. Commutative, associative, idempotent."""
    if a == b:
        return a
    a_seen, b_seen = dict(a.seen), dict(b.seen)
    mine, others = dict(a.dots), dict(b.dots)
    dots: dict[bytes, Dots] = {}
    for element in mine | others:
        here, there = mine.get(element, ()), others.get(element, ())
        kept = here
        if here != there:
            kept = _merged(here, there, a_seen, b_seen)
        if kept:
            dots[element] = kept
    seen = tuple(
        [(actor, max(a_seen.get(actor, 0), b_seen.get(actor, 0))) for actor in sorted(a_seen | b_seen)]
    )
    merged = Elements(seen, tuple(sorted(dots.items())))
    return a if merged == a else merged


def change(
    held: Elements | None, actor: str, first: int, add: Iterable[bytes], remove: Iterable[bytes]
) -> Elements:
    """`actor` removes what is held of some elements, and then adds others. `first` is the number of the
    actor's first event, if the set knows none: above all that it may have used before it forgot it."""
    seen = {} if held is None else dict(held.seen)
    dots = {} if held is None else dict(held.dots)
    for element in remove:
        dots.pop(element, None)
    for element in dict.fromkeys(add):
        seen[actor] = seen.get(actor, first - 1) + 1
        dots[element] = ((actor, seen[actor]),)
    return Elements(tuple(sorted(seen.items())), tuple(sorted(dots.items())))


def members(elements: Elements) -> tuple[bytes, ...]:
    """In order."""
    return tuple([element for element, _ in elements.dots])


def _merged(here: Dots, there: Dots, here_seen: dict[str, int], there_seen: dict[str, int]) -> Dots:
    kept = [dot for dot in here if dot in there or dot[1] > there_seen.get(dot[0], 0)]
    kept += [dot for dot in there if dot not in here and dot[1] > here_seen.get(dot[0], 0)]
    return tuple(sorted(kept))
