"""Siblings against explicit causal histories: each value with the set of all events that it knew of."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import encode

from store.core.data.siblings import (
    ACTORS_MAX,
    AHEAD_MAX_US,
    ContextError,
    assign,
    context_of,
    count,
    read_context,
    sync,
    values,
)
from store.core.messages import CONTEXT_BYTES_MAX, Siblings, Stamp

ACTORS = ("a", "b", "c")
NOW = 1_700_000_000_000_000


def stamp(at: int = 0) -> Stamp:
    return NOW + at, 0, "n1"


Event = tuple[str, int]
"""The writer, and the number of the write in the whole run."""


@dataclass
class Known:
    """What a replica has heard: events, and which of them still have their value."""

    events: frozenset[Event] = frozenset()
    newest: dict[Event, bytes] = field(default_factory=dict)

    def sync(self, other: Known) -> Known:
        both = self.newest | other.newest
        newest = {
            event: value
            for event, value in both.items()
            if (event in self.newest or event not in self.events)
            and (event in other.newest or event not in other.events)
        }
        return Known(self.events | other.events, newest)

    def assign(self, context: frozenset[Event], event: Event, value: bytes | None) -> Known:
        newest = {other: kept for other, kept in self.newest.items() if other not in context}
        events = self.events | context
        return (
            Known(events | {event}, newest | {event: value}) if value is not None else Known(events, newest)
        )


def told(known: Known) -> tuple[bytes, ...]:
    return tuple(sorted(known.newest.values()))


step = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(ACTORS), st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from(ACTORS), st.booleans()),
    st.tuples(st.just("read"), st.sampled_from(ACTORS), st.booleans()),
    st.tuples(st.just("sync"), st.sampled_from(ACTORS), st.sampled_from(ACTORS)),
)


@given(st.lists(step, max_size=40))
def test_replicas_keep_exactly_what_nobody_has_seen_and_replaced(
    steps: list[tuple[str, str, object]],
) -> None:
    """Each replica writes as itself; one client reads and writes with what it read last, or without."""
    sets: dict[str, Siblings | None] = dict.fromkeys(ACTORS)
    oracle = {actor: Known() for actor in ACTORS}
    context, seen = b"", frozenset[Event]()
    for number, (what, at, how) in enumerate(steps):
        held = sets[at]
        if what == "read":
            context, seen = (b"", frozenset()) if held is None else (context_of(held), oracle[at].events)
        elif what == "sync":
            other = sets[str(how)]
            if other is not None:
                sets[at] = other if held is None else sync(held, other)
            oracle[at] = oracle[at].sync(oracle[str(how)])
        else:
            value = b"%d" % number if what == "write" else None
            used, used_seen = (context, seen) if how else (b"", frozenset[Event]())
            sets[at] = assign(held, at, NOW + number, stamp(number), read_context(used), value)
            oracle[at] = oracle[at].assign(used_seen, (at, number), value)
        after = sets[at]
        assert (() if after is None else values(after)) == told(oracle[at])


def histories(draw_steps: list[tuple[str, str, bool]]) -> list[Siblings]:
    """Sets that can exist together: three replicas at several moments."""
    sets: dict[str, Siblings] = {}
    found: list[Siblings] = []
    for number, (at, other, covers) in enumerate(draw_steps):
        if other in sets and other != at:
            sets[at] = sync(sets[at], sets[other]) if at in sets else sets[other]
        context = read_context(context_of(sets[at])) if covers and at in sets else {}
        sets[at] = assign(sets.get(at), at, NOW + number, stamp(number), context, b"%d" % number)
        found.append(sets[at])
    return found


writes = st.lists(
    st.tuples(st.sampled_from(ACTORS), st.sampled_from(ACTORS), st.booleans()), min_size=1, max_size=12
)


@given(writes, st.data())
def test_sync_is_commutative_associative_idempotent_and_gives_back_what_gains_nothing(
    steps: list[tuple[str, str, bool]], data: st.DataObject
) -> None:
    found = histories(steps)
    a, b, c = (data.draw(st.sampled_from(found)) for _ in range(3))
    assert sync(a, b) == sync(b, a)
    assert sync(a, sync(b, c)) == sync(sync(a, b), c)
    assert sync(a, a) is a
    merged = sync(a, b)
    assert sync(merged, b) is merged
    assert sync(merged, a) is merged


@given(writes)
def test_a_context_is_the_same_when_it_comes_back(steps: list[tuple[str, str, bool]]) -> None:
    last = histories(steps)[-1]
    assert read_context(context_of(last)) == {actor: seen for actor, seen, _ in last.entries}


def test_two_writers_who_read_the_same_are_both_kept_and_a_third_who_read_both_replaces_them() -> None:
    one = assign(None, "a", NOW, stamp(), {}, b"1")
    context = read_context(context_of(one))
    left = assign(one, "a", NOW, stamp(1), context, b"2")
    right = assign(one, "b", NOW, stamp(2), context, b"3")
    both = sync(left, right)
    assert values(both) == (b"2", b"3")
    assert values(assign(both, "c", NOW, stamp(3), read_context(context_of(both)), b"4")) == (b"4",)


def test_a_write_without_context_replaces_nothing() -> None:
    held = assign(None, "a", NOW, stamp(), {}, b"1")
    for number in range(2, 6):
        held = assign(held, "a", NOW, stamp(number), {}, b"%d" % number)
    assert values(held) == (b"1", b"2", b"3", b"4", b"5")
    assert count(held) == 5


@given(st.binary(max_size=200))
def test_a_context_that_no_read_has_given_is_refused_or_harmless(given_bytes: bytes) -> None:
    try:
        context = read_context(given_bytes)
    except ContextError:
        return
    held = assign(None, "a", NOW, stamp(), {}, b"1")
    assert b"2" in values(assign(held, "a", NOW, stamp(1), context, b"2"))


@pytest.mark.parametrize(
    "forged",
    [
        encode([["a", -1]]),
        encode([["a", 1 << 62]]),
        encode([["b", 1], ["a", 1]]),
        encode([["a", 1], ["a", 1]]),
        encode([["x" * 65, 1]]),
        encode([["", 1]]),
        encode({"a": 1}),
        b"\xc1",
        b"\x93" * 4000,
    ],
)
def test_malformed_contexts_are_refused_in_a_sentence(forged: bytes) -> None:
    with pytest.raises(ContextError, match="a context "):
        read_context(forged)


def test_a_forged_context_cannot_claim_the_writers_own_next_events() -> None:
    held = assign(None, "a", NOW, stamp(), {}, b"1")
    forged = {"a": NOW + 1_000}
    after = assign(held, "a", NOW, stamp(1), forged, b"2")
    assert values(after) == (b"2",)
    assert values(sync(after, assign(after, "a", NOW, stamp(2), {}, b"3"))) == (b"2", b"3")


def test_a_forged_context_cannot_claim_what_lies_far_ahead_nor_fill_the_set_with_actors() -> None:
    ahead = assign(None, "a", NOW, stamp(), {"b": NOW + AHEAD_MAX_US + 1}, b"1")
    assert values(sync(ahead, assign(None, "b", NOW, stamp(), {}, b"2"))) == (b"1", b"2")
    many = assign(None, "a", NOW, stamp(), {f"x{i:03}": 5 for i in range(500)}, b"1")
    assert len(many.entries) <= ACTORS_MAX + 1
    assert values(assign(many, "z", NOW, stamp(1), {}, b"2")) == (b"1", b"2")


def test_a_context_that_would_be_too_long_covers_less_and_so_keeps_more() -> None:
    held: Siblings | None = None
    for number in range(150):
        held = assign(held, f"{number:03}" + "x" * 50, NOW, stamp(number), {}, b"%d" % number)
    assert held is not None
    context = context_of(held)
    assert 3_000 < len(context) <= CONTEXT_BYTES_MAX
    after = assign(held, "z", NOW, stamp(200), read_context(context), b"new")
    assert b"new" in values(after)
    assert 1 < count(after) < 150


def test_deleting_what_was_read_leaves_what_came_in_between() -> None:
    held = assign(None, "a", NOW, stamp(), {}, b"1")
    context = read_context(context_of(held))
    held = assign(held, "b", NOW, stamp(1), {}, b"2")
    held = assign(held, "a", NOW, stamp(2), context, None)
    assert values(held) == (b"2",)


def test_an_actor_that_forgot_a_key_starts_above_what_it_may_have_used() -> None:
    """Its new first number covers the old events, which were tombstones when it forgot them."""
    old = assign(None, "a", NOW, stamp(), {}, b"1")
    old = assign(old, "a", NOW, stamp(1), read_context(context_of(old)), None)
    new = assign(None, "a", NOW + 50, stamp(50), {}, b"2")
    assert values(sync(old, new)) == values(sync(new, old)) == (b"2",)
