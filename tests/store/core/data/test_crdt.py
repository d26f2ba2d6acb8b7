"""Counters, sets and maps against the plainest way to say what they mean: the operations heard of."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from store.core.data import counter, elements, fields
from store.core.data.datum import merge
from store.core.messages import COUNT_MAX, Count, Datum, Elements, Fields, Stamp

ACTORS = ("a", "b", "c")
NOW = 1_700_000_000_000_000


@dataclass(frozen=True)
class Operation:
    """One that `actor` made as its `number`th of the run, knowing `known`, the numbers of earlier ones."""

    number: int
    actor: str
    what: tuple[object, ...]
    known: frozenset[int]


step = st.tuples(
    st.sampled_from(ACTORS),
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([b"x", b"y", b"z"])),
        st.tuples(st.just("remove"), st.sampled_from([b"x", b"y", b"z"])),
        st.tuples(st.just("by"), st.integers(-5, 5)),
        st.tuples(st.just("set"), st.sampled_from(["f", "g"]), st.sampled_from([b"1", b"2", None])),
        st.tuples(st.just("hear"), st.sampled_from(ACTORS)),
    ),
)


class Run:
    """Three replicas, each with a set, a counter and a map; and what operations each has heard of."""

    def __init__(self, steps: list[tuple[str, tuple[object, ...]]]) -> None:
        self.operations: list[Operation] = []
        self.heard: dict[str, frozenset[int]] = dict.fromkeys(ACTORS, frozenset())
        self.held: dict[str, dict[str, Datum | None]] = {
            actor: {"set": None, "count": None, "map": None} for actor in ACTORS
        }
        self.moments: dict[str, list[Datum]] = {"set": [], "count": [], "map": []}
        for actor, what in steps:
            if what[0] == "hear":
                self.hear(actor, str(what[1]))
            else:
                self.operate(actor, what)
            for kind, datum in self.held[actor].items():
                if datum is not None:
                    self.moments[kind].append(datum)

    def hear(self, actor: str, other: str) -> None:
        self.heard[actor] |= self.heard[other]
        for kind, datum in self.held[other].items():
            if datum is not None:
                self.held[actor][kind] = merge(self.held[actor][kind], datum)

    def operate(self, actor: str, what: tuple[object, ...]) -> None:
        number = len(self.operations)
        self.operations.append(Operation(number, actor, what, self.heard[actor]))
        self.heard[actor] |= {number}
        mine = self.held[actor]
        match what:
            case ("add" | "remove" as verb, bytes(element)):
                held = mine["set"]
                assert held is None or isinstance(held, Elements)
                add, remove = ([element], []) if verb == "add" else ([], [element])
                mine["set"] = elements.change(held, actor, NOW + number, add, remove)
            case ("by", int(by)):
                count = mine["count"]
                assert count is None or isinstance(count, Count)
                mine["count"] = counter.add(count, actor, by)
            case ("set", str(field), value):
                assert value is None or isinstance(value, bytes)
                change = fields.change({field: value}, stamp(number, actor))
                mine["map"] = merge(mine["map"], change)

    def known_to(self, actor: str) -> list[Operation]:
        return [self.operations[number] for number in sorted(self.heard[actor])]


def stamp(number: int, actor: str) -> Stamp:
    return NOW + number, 0, actor


@given(st.lists(step, max_size=40))
def test_an_element_is_in_if_some_addition_was_heard_of_that_no_removal_knew(
    steps: list[tuple[str, tuple[object, ...]]],
) -> None:
    run = Run(steps)
    for actor in ACTORS:
        known = run.known_to(actor)
        expected = {
            adding.what[1]
            for adding in known
            if adding.what[0] == "add"
            and not any(
                other.what == ("remove", adding.what[1]) and adding.number in other.known for other in known
            )
        }
        held = run.held[actor]["set"]
        assert (set() if held is None else set(elements.members(held))) == expected  # type: ignore[arg-type]


@given(st.lists(step, max_size=40))
def test_a_counter_is_the_sum_of_what_was_heard_of(steps: list[tuple[str, tuple[object, ...]]]) -> None:
    run = Run(steps)
    for actor in ACTORS:
        expected = sum(op.what[1] for op in run.known_to(actor) if op.what[0] == "by")  # type: ignore[misc]
        held = run.held[actor]["count"]
        assert (0 if held is None else counter.value(held)) == expected  # type: ignore[arg-type]


@given(st.lists(step, max_size=40))
def test_a_field_is_what_was_set_last_of_what_was_heard_of(
    steps: list[tuple[str, tuple[object, ...]]],
) -> None:
    run = Run(steps)
    for actor in ACTORS:
        expected: dict[str, bytes] = {}
        for op in run.known_to(actor):
            match op.what:
                case ("set", str(field), None):
                    expected.pop(field, None)
                case ("set", str(field), bytes(value)):
                    expected[field] = value
        held = run.held[actor]["map"]
        assert ({} if held is None else fields.values(held)) == expected  # type: ignore[arg-type]


@given(st.lists(step, min_size=1, max_size=25), st.data())
def test_merging_is_commutative_associative_idempotent_and_gives_back_what_gains_nothing(
    steps: list[tuple[str, tuple[object, ...]]], data: st.DataObject
) -> None:
    run = Run(steps)
    for found in run.moments.values():
        if found:
            a, b, c = (data.draw(st.sampled_from(found)) for _ in range(3))
            assert merge(a, b) == merge(b, a)
            assert merge(a, merge(b, c)) == merge(merge(a, b), c)
            merged = merge(a, b)
            assert merge(merged, b) is merged
            assert merge(merged, a) is merged


def test_an_addition_wins_over_a_removal_that_did_not_know_it() -> None:
    one = elements.change(None, "a", 1, [b"x"], [])
    removed = elements.change(one, "a", 1, [], [b"x"])
    again = elements.change(one, "b", 1, [b"x"], [])
    assert elements.members(elements.merge(removed, again)) == (b"x",)
    assert elements.members(elements.merge(removed, one)) == ()


def test_an_element_both_added_and_removed_stays() -> None:
    assert elements.members(elements.change(None, "a", 1, [b"x", b"x"], [b"x"])) == (b"x",)


def test_a_counter_refuses_what_does_not_fit() -> None:
    full = counter.add(None, "a", COUNT_MAX)
    assert full is not None
    assert counter.add(full, "a", 1) is None
    assert counter.add(full, "b", 1) is not None
    crowded: Count | None = None
    for number in range(counter.ACTORS_MAX):
        crowded = counter.add(crowded, f"{number}", 1)
    assert crowded is not None
    assert counter.value(crowded) == counter.ACTORS_MAX
    assert counter.add(crowded, "one more", 1) is None
    assert counter.add(crowded, "0", 1) is not None


def test_twin_fields_with_one_stamp_are_ordered_by_their_values() -> None:
    a, b = (Fields((("f", stamp(1, "a"), value),)) for value in (b"1", b"2"))
    gone = Fields((("f", stamp(1, "a"), None),))
    assert fields.merge(a, b) == fields.merge(b, a) == b
    assert fields.merge(b, gone) == fields.merge(gone, b) == gone
