"""One replica: what it takes, what it refuses, edits done once, and in whose name."""

from __future__ import annotations

import random

import pytest

from store.core.data.counter import value
from store.core.data.datum import DATUM_BYTES_MAX
from store.core.data.edits import REMEMBERED_MAX, Edits
from store.core.data.hlc import HybridClock
from store.core.journal import Journal
from store.core.machine import Effect, Persist
from store.core.messages import (
    Add,
    AddRemove,
    Answer,
    Assign,
    Cell,
    Count,
    Datum,
    Edit,
    Elements,
    Fetch,
    Fetched,
    Fields,
    List,
    Listed,
    PeerMessage,
    Session,
    Siblings,
    Stamp,
    Store,
    Stored,
    Unable,
    Update,
    Updated,
)
from store.core.ownership.layout import Placement, first_layout
from store.core.replica import Replica
from tests.support.soup import Kept

EPOCH_US = 1_700_000_000_000_000


class Bench:
    """A replica with nothing around it; a port that notes what is sent. Its disk is as quick as can be."""

    def __init__(self, disk: Kept | None = None, seed: int = 1) -> None:
        self.disk = Kept() if disk is None else disk
        self.name = "n1"
        self.birth = 36**3
        self.rng = random.Random(seed)
        self.now = 0
        self.wall = EPOCH_US * 1_000
        self.placement = Placement(first_layout(["n1"], 1))
        self.sent: list[PeerMessage] = []
        self.events: list[str] = []
        self.refuses: str | None = None
        self.journal = Journal(self.disk, self._emit, self.send)
        self.clock = HybridClock(self.name, self.journal)
        self.replica = Replica(self, self.clock)  # type: ignore[arg-type]
        self.edits = Edits(self, self.replica, self.clock)  # type: ignore[arg-type]
        self.replica.unable = lambda: self.refuses
        self._rid = 0
        self._session = 0

    def _emit(self, effect: Effect) -> None:
        assert isinstance(effect, Persist)
        self.disk.keep(effect)
        self._unsynced = effect.token

    def send(self, peer: str, message: PeerMessage) -> None:
        self.sent.append(message)

    def happened(self, kind: str, /, **fields: object) -> None:
        self.events.append(kind)

    def restarted(self) -> Bench:
        return Bench(self.disk, seed=2)

    def answer(self, question: PeerMessage) -> Answer | None:
        self.sent.clear()
        self.replica.handlers[type(question)]("n2", question)
        if hasattr(self, "_unsynced"):
            self.journal.persisted(self._unsynced)
        return self.sent[0] if self.sent else None  # type: ignore[return-value]

    def update(self, edit: Edit, rid: int = 0, session: int | None = None, **more: object) -> Answer | None:
        """In the session that it has, for which it asks if need be."""
        self._rid += 1
        question = Update(rid or self._rid, 1, "k", edit, session or self._session, None, 100_000)
        if more:
            question = Update(
                *[more.get(name, getattr(question, name)) for name in question.__struct_fields__]
            )
        found = self.answer(question)
        if isinstance(found, Session) and session is None:
            self._session = found.session
            return self.update(edit, rid, **more)
        return found

    @property
    def session(self) -> int:
        return self._session

    def kept(self) -> Datum | None:
        return self.replica.datum("k")


def stamp(at: int = 0) -> Stamp:
    return EPOCH_US + at, 0, "n2"


def test_an_edit_without_a_session_is_not_done_and_gets_one() -> None:
    bench = Bench()
    assert isinstance(bench.answer(Update(1, 1, "k", Add(5), 0, None, 1_000)), Session)
    assert bench.kept() is None


@pytest.mark.parametrize("edit", [Add(5), AddRemove((b"x",), ()), Assign(b"", b"v")])
def test_an_edit_asked_again_is_answered_again_and_done_once(edit: Edit) -> None:
    bench = Bench()
    first = bench.update(edit, rid=7)
    assert isinstance(first, Updated)
    assert bench.update(edit, rid=7) == first
    assert bench.kept() == first.datum


def test_a_double_that_arrives_after_a_restart_is_not_done() -> None:
    bench = Bench()
    bench.update(Add(5), rid=7)
    again = bench.restarted()
    assert isinstance(again.update(Add(5), rid=7, session=bench.session), Session)
    held = again.kept()
    assert isinstance(held, Count)
    assert value(held) == 5


def test_what_was_refused_once_is_refused_for_ever() -> None:
    """The coordinator has been told that it was not done."""
    bench = Bench()
    bench.update(Add(1))
    bench.refuses = "disk-full"
    assert bench.update(Add(5), rid=7) == Unable(7, "disk-full")
    bench.refuses = None
    assert bench.update(Add(5), rid=7) == Unable(7, "disk-full")
    assert isinstance(bench.update(Add(5), rid=8), Updated)


def test_a_write_that_was_declined_once_is_declined_for_ever() -> None:
    bench = Bench()
    bench.refuses = "overloaded"
    cell = Cell(stamp(), b"v")
    assert bench.answer(Store(7, 1, "k", cell)) == Unable(7, "overloaded")
    bench.refuses = None
    assert bench.answer(Store(7, 1, "k", cell)) == Unable(7, "overloaded")
    assert bench.answer(Store(8, 1, "k", cell)) == Stored(8)


def test_a_double_so_old_that_it_is_forgotten_is_neither_done_nor_answered() -> None:
    bench = Bench()
    for rid in range(1, REMEMBERED_MAX + 3):
        assert isinstance(bench.update(Add(1), rid=rid), Updated)
    before = bench.kept()
    assert bench.update(Add(1), rid=1) is None
    assert bench.kept() == before


def test_two_coordinators_may_number_their_edits_alike() -> None:
    bench = Bench()
    bench.update(Add(1), rid=7)
    other = bench.answer(Update(7, 1, "k", Add(1), 0, None, 1_000))
    assert isinstance(other, Session)
    assert isinstance(bench.update(Add(1), rid=7, session=other.session), Updated)
    held = bench.kept()
    assert isinstance(held, Count)
    assert value(held) == 2


def actors(datum: Datum | None) -> list[str]:
    match datum:
        case Count(entries):
            return [entry[0] for entry in entries]
        case Siblings(_, siblings):
            return [sibling[0] for sibling in siblings]
        case Elements(seen):
            return [actor for actor, _ in seen]
    return []


@pytest.mark.parametrize("edit", [Add(1), AddRemove((b"x",), ()), Assign(b"", b"v")])
def test_the_actor_is_this_life_of_this_node_also_after_a_restart(edit: Edit) -> None:
    bench = Bench()
    bench.update(edit)
    again = bench.restarted()
    again.update(edit)
    assert actors(again.kept()) == ["n1#1000.0"]


@pytest.mark.parametrize("edit", [Add(1), AddRemove((b"x",), ()), Assign(b"", b"v")])
def test_records_that_were_lost_or_given_away_are_never_counted_on(edit: Edit) -> None:
    """What others still have of the old record is not hidden by what is counted anew."""
    bench = Bench()
    bench.update(edit)
    bench.update(edit)
    old = bench.kept()
    assert old is not None
    bench.replica.restore("k", None)
    bench.update(edit)
    bench.replica.merge_in("k", old)
    assert actors(bench.kept()) == ["n1#1000.0", "n1#1000.1"]
    assert bench.restarted().edits.actor == "n1#1000.1"


def test_what_is_given_away_changes_the_name_once_an_epoch() -> None:
    bench = Bench()
    bench.update(Add(1))
    bench.replica.drop("k")
    bench.replica.merge_in("k", Count((("a", 1, 0),)))
    assert bench.edits.actor == "n1#1000.1"
    bench.replica.drop("k")
    assert bench.edits.actor == "n1#1000.1"
    bench.placement.epoch = 2
    bench.replica.merge_in("k", Count((("a", 1, 0),)))
    bench.replica.drop("k")
    assert bench.edits.actor == "n1#1000.2"


def test_a_forgotten_tombstone_costs_no_name_and_its_old_events_hide_nothing_new() -> None:
    bench = Bench()
    for _ in range(5):
        updated = bench.update(Assign(b"", b"old"))
    assert isinstance(updated, Updated)
    old = updated.datum
    assert isinstance(old, Siblings)
    bench.replica.merge_in(
        "k", Siblings(old.stamp, tuple([(actor, seen, ()) for actor, seen, _ in old.entries]))
    )
    bench.replica.drop("k")
    bench.update(Assign(b"", b"new"))
    bench.replica.merge_in("k", old)
    held = bench.kept()
    assert isinstance(held, Siblings)
    assert [values for _, _, values in held.entries] == [(b"new",)]
    assert bench.edits.actor == "n1#1000.0"


def test_names_of_actors_fit_whatever_the_nodes_name() -> None:
    bench = Bench()
    bench.name = "x" * 64
    bench.birth = (1 << 62) - 1
    assert len(Edits(bench, bench.replica, bench.clock).actor) <= 64  # type: ignore[arg-type]


def test_what_a_coordinator_has_seen_is_merged_before_the_edit() -> None:
    bench = Bench()
    seen = Elements((("a", 5),), ((b"x", (("a", 5),)),))
    updated = bench.update(AddRemove((b"y",), (b"x",)), seen=seen)
    assert isinstance(updated, Updated)
    assert isinstance(updated.datum, Elements)
    assert [element for element, _ in updated.datum.dots] == [b"y"]
    assert dict(updated.datum.seen)["a"] == 5


def test_a_client_cannot_make_a_key_larger_than_it_may_be_but_smaller_always() -> None:
    bench = Bench()
    many = tuple([b"%04d" % number for number in range(1_000)])
    assert isinstance(bench.update(AddRemove(many, ())), Updated)
    refused = bench.update(AddRemove((b"one more",), ()), bytes_max=5_000)
    assert isinstance(refused, Unable)
    assert refused.code == "too-large"
    assert isinstance(bench.update(AddRemove((), many[:10]), bytes_max=5_000), Updated)


def test_a_map_is_limited_for_clients_and_repairs_are_not() -> None:
    bench = Bench()
    large = Fields((("f", stamp(), bytes(900)),))
    other = Fields((("g", stamp(), bytes(900)),))
    assert bench.answer(Store(1, 1, "k", large, "", 1_000)) == Stored(1)
    refused = bench.answer(Store(2, 1, "k", other, "", 1_000))
    assert isinstance(refused, Unable)
    assert refused.code == "too-large"
    assert bench.answer(Store(3, 1, "k", Fields((("f", stamp(1), None),)), "", 1)) == Stored(3)
    assert bench.answer(Store(4, 1, "k", other)) == Stored(4)


def test_what_would_never_fit_into_a_frame_is_not_merged_whoever_sends_it() -> None:
    bench = Bench()
    halves = [Fields(((name, stamp(), bytes(DATUM_BYTES_MAX // 2)),)) for name in "fg"]
    assert bench.answer(Store(1, 1, "k", halves[0])) == Stored(1)
    refused = bench.answer(Store(2, 1, "k", halves[1]))
    assert isinstance(refused, Unable)
    assert bench.kept() == halves[0]
    assert bench.events == ["too-large"]


def test_stored_stamps_move_the_clock() -> None:
    bench = Bench()
    for at, datum in enumerate(
        [
            Cell(stamp(10**9), b"v"),
            Siblings(stamp(2 * 10**9), (("a", 1, (b"v",)),)),
            Fields((("f", stamp(3 * 10**9), b"v"),)),
        ]
    ):
        bench.answer(Store(at, 1, f"k{at}", datum))
        assert bench.clock.stamp(EPOCH_US) > (EPOCH_US + (at + 1) * 10**9, 0, "n1")


class Keeper:
    """Hints, as far as a replica sees them."""

    def __init__(self, room: bool) -> None:
        self.room = room
        self.kept: dict[str, Datum] = {}

    def keep(self, target: str, key: str, datum: Datum) -> bool:
        self.kept[key] = datum
        return self.room

    def storage_key(self, target: str, key: str) -> str:
        return f"h/{target}/{key}"

    def held(self, key: str) -> Datum | None:
        return self.kept.get(key)


def test_a_stand_in_keeps_a_hint_and_answers_reads_with_it() -> None:
    bench = Bench()
    bench.replica.hints = Keeper(room=True)
    cell = Cell(stamp(), b"v")
    assert bench.answer(Store(1, 1, "k", cell, "n3")) == Stored(1)
    assert bench.kept() is None
    assert bench.answer(Fetch(2, 1, "k")) == Fetched(2, cell)
    newer = Cell(stamp(1), b"w")
    bench.answer(Store(3, 1, "k", newer))
    assert bench.answer(Fetch(4, 1, "k")) == Fetched(4, newer)


def test_without_room_for_a_hint_it_says_so() -> None:
    bench = Bench()
    bench.replica.hints = Keeper(room=False)
    refused = bench.answer(Store(1, 1, "k", Cell(stamp(), b"v"), "n3"))
    assert isinstance(refused, Unable)
    assert refused.code == "overloaded"


def test_keys_are_listed_in_order_by_family_after_a_key_and_up_to_a_limit() -> None:
    bench = Bench()
    for key in ("b", "a", "c", "ü", "z", "ab", "\x01"):
        bench.answer(Store(1, 1, key, Cell(stamp(), b"v")))
    assert bench.answer(List(1, 1, "", "", 3, False)) == Listed(1, ("\x01", "a", "ab"), True, 4)
    assert bench.answer(List(2, 1, "", "ab", 10, False)) == Listed(2, ("b", "c", "z", "ü"), False, 4)
    assert bench.answer(List(3, 1, "a", "", 10, False)) == Listed(3, ("a", "ab"), False, 2)
    assert bench.answer(List(4, 1, "", "", 10, True)) == Listed(4, (), False, 0)
