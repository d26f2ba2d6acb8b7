from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.data.datum import (
    DATUM_BYTES_MAX,
    KINDS,
    dead_since_ms,
    edit_bytes_max,
    gives_way,
    merge,
    response,
    size,
    stamps,
)
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
    FoundSiblings,
    ReadResponse,
    Siblings,
    Store,
)
from store.net.wire import FRAME_BYTES_MAX, frame

cells = st.builds(
    Cell,
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.sampled_from(["n1", "n2"])),
    st.sampled_from([None, b"", b"1", b"2"]),
    st.sampled_from([0, 5, 9]),
)
S = (7_000, 0, "n1")
ONE_OF_EACH: list[Datum] = [
    Cell(S, b"v"),
    Siblings(S, (("a", 1, (b"v",)),)),
    Count((("a", 3, 1),)),
    Elements((("a", 1),), ((b"x", (("a", 1),)),)),
    Fields((("f", S, b"v"),)),
]


@given(st.lists(st.one_of(cells, st.sampled_from(ONE_OF_EACH)), min_size=1, max_size=4))
def test_whatever_the_order_in_which_data_come_the_same_stays(found: list[Datum]) -> None:
    def merged(order: tuple[Datum, ...]) -> Datum:
        held = order[0]
        for datum in order[1:]:
            held = merge(held, datum)
        return held

    results = [merged(order) for order in permutations(found)]
    assert all(result == results[0] for result in results)
    assert merge(results[0], results[0]) is results[0]
    for datum in found:
        assert merge(results[0], datum) is results[0]


def test_of_two_writes_the_later_stamp_wins_and_a_tombstone_wins_over_its_twin() -> None:
    old, new = Cell((1, 0, "n1"), b"old"), Cell((2, 0, "n1"), b"new")
    assert merge(old, new) is new
    assert merge(new, old) is new
    assert merge(new, Cell((2, 0, "n1"), None)) == Cell((2, 0, "n1"), None)


@pytest.mark.parametrize(
    ("datum", "since"),
    [
        (Cell(S, b"v"), None),
        (Cell(S, None), 7),
        (Cell(S, b"v", expires_ms=1_000), None),
        (Cell(S, b"v", expires_ms=999), 999),
        (Siblings(S, (("a", 1, (b"v",)),)), None),
        (Siblings(S, (("a", 1, ()),)), 7),
        (Count(()), None),
        (Elements((("a", 1),), ()), None),
        (Fields((("f", S, b"v"), ("g", S, None))), None),
        (Fields((("f", S, None), ("g", (9_000, 0, "n2"), None))), 9),
    ],
)
def test_since_when_nothing_is_left(datum: Datum, since: int | None) -> None:
    assert dead_since_ms(datum, wall_ms=999) == since


@pytest.mark.parametrize("conflict", list(KINDS))
def test_a_key_that_was_never_written_reads_as_nothing_of_its_buckets_kind(conflict: Conflict) -> None:
    answer = response(7, "k", conflict, None, 0)
    assert answer.id == 7
    assert not isinstance(answer, Failed)


@pytest.mark.parametrize("conflict", list(KINDS))
@pytest.mark.parametrize("datum", ONE_OF_EACH, ids=[type(datum).__name__ for datum in ONE_OF_EACH])
def test_data_of_another_kind_than_the_buckets_are_refused_by_name(datum: Datum, conflict: Conflict) -> None:
    answer = response(1, "k", conflict, datum, 0)
    assert isinstance(answer, Failed) is (KINDS[conflict] is not type(datum))
    if isinstance(answer, Failed):
        assert answer.code == "bad-request"
        assert answer.text.startswith("'k' holds ")
    else:
        assert isinstance(answer, ReadResponse)


def test_only_a_tombstone_that_would_lose_gives_way_to_another_kind() -> None:
    assert gives_way(Cell(S, None), Siblings, 0)
    assert not gives_way(Cell(S, b"v"), Siblings, 0)
    assert not gives_way(Siblings(S, ()), Cell, 0)


def test_an_expired_value_is_absent() -> None:
    cell = Cell(S, b"v", expires_ms=10)
    assert response(1, "k", "lww", cell, 9) == Found(1, b"v")
    assert response(1, "k", "lww", cell, 10) == Found(1, None)


def test_equal_siblings_are_told_once() -> None:
    answer = response(1, "k", "siblings", Siblings(S, (("a", 1, (b"v",)), ("b", 1, (b"v",)))), 0)
    assert isinstance(answer, FoundSiblings)
    assert answer.values == (b"v",)


def test_clocks_are_told_of_every_stamp() -> None:
    assert stamps(Cell(S, None)) == stamps(ONE_OF_EACH[1]) == stamps(ONE_OF_EACH[4]) == [S]
    assert stamps(ONE_OF_EACH[2]) == stamps(ONE_OF_EACH[3]) == []


@pytest.mark.parametrize("n", [1, 3, 5, 99])
def test_what_replicas_take_in_while_they_are_alone_still_fits_into_a_frame_together(n: int) -> None:
    """Of every replica, and twice over, as keys move: all that an edit may leave."""
    alone: list[Siblings] = []
    for number in range(2 * n):
        actor = f"{number:060}"
        overhead = size(Siblings(S, ((actor, 1, (b"",)),)))
        alone.append(Siblings(S, ((actor, 1, (b"x" * (edit_bytes_max(n) - overhead - 4),)),)))
        assert size(alone[-1]) <= edit_bytes_max(n)
    together: Datum = alone[0]
    for datum in alone[1:]:
        together = merge(together, datum)
    assert size(together) <= DATUM_BYTES_MAX
    message = Store(1 << 60, 1 << 60, "k" * 1_024, together, "t" * 64, 1 << 60)
    assert len(frame(message)) <= FRAME_BYTES_MAX + 4


def test_the_largest_value_fits_into_a_frame() -> None:
    assert len(frame(Store(1, 1, "k" * 1_024, Cell(S, bytes(VALUE_BYTES_MAX))))) <= FRAME_BYTES_MAX
