"""What moves to new owners, how, and what becomes of it where it was."""

from __future__ import annotations

import pytest
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from store.core.data.hlc import HybridClock
from store.core.machine import Effect, FromPeer, Happened, Persist, Send
from store.core.messages import Cell, Count, Delete, Done, Found, Get, Pull, Pulled, Put, Record
from store.core.options import QUIET, SECOND
from store.core.ownership import transfer
from store.core.ownership.sweep import is_older
from store.core.replica import ACCEPTOR, DATUM
from store.net.wire import decode_message
from tests.support.owners import Owners, Voyage, calm, is_linearizable
from tests.support.soup import MS, Kept

encode = Encoder().encode
decode_record = Decoder(Record).decode

LEVELS = ("quorum", "linearizable")


def filled(soup: Owners, keys: int) -> None:
    for i in range(keys):
        for level in LEVELS:
            assert isinstance(soup.asked("n1", Put(f"k{i}", b"%d" % i, level)), Done)


def read(soup: Owners, key: str, level: str, at: str = "n2") -> bytes | None:
    """Asked again if its time was up by chance: now and then a timer overtakes what is under way."""
    answers = [soup.asked(at, Get(key, level))]
    while not isinstance(answers[-1], Found):
        assert len(answers) < 4, answers
        answers.append(soup.asked(at, Get(key, level)))
    return answers[-1].value


def joined(soup: Owners, name: str) -> None:
    """Until it is an owner, and all owners know."""

    def there() -> bool:
        newest = soup.newest()
        informed = all(soup.place(node).epoch == newest.epoch for node in newest.names)
        return not newest.joint and name in newest.names and informed

    soup.until(there)


def kept(soup: Owners, name: str, family: str) -> set[str]:
    return {key[len(family) :] for key in soup.disks[name] if key.startswith(family) and "\x00" not in key}


def test_a_new_node_has_what_it_owns_and_nothing_else_and_the_others_drop_it() -> None:
    soup = calm(4, haste=0.0)
    filled(soup, 30)
    assert isinstance(soup.asked("n1", Delete("k0", "quorum")), Done)
    soup.add("n5")
    joined(soup, "n5")
    place = soup.newest()
    mine = {key for key in (f"k{i}" for i in range(30)) if "n5" in place.replicas(key)[0]}
    assert mine
    assert kept(soup, "n5", DATUM) == mine
    assert kept(soup, "n5", ACCEPTOR) == mine
    while soup.stir():
        assert soup.now < 100 * SECOND
    for name in soup.names:
        own = {f"k{i}" for i in range(30) if name in place.replicas(f"k{i}")[0]}
        assert kept(soup, name, ACCEPTOR) <= own
        assert kept(soup, name, DATUM) <= own
    for i in range(1, 30):
        for level in LEVELS:
            assert read(soup, f"k{i}", level) == b"%d" % i
    assert read(soup, "k0", "quorum") is None


def test_a_crash_in_the_middle_resumes_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAGE", 8)
    soup = calm(3)
    filled(soup, 60)
    soup.add("n4")
    node = soup.nodes["n4"]
    soup.until(lambda: node._transfer._records > 80)
    while soup.unsynced["n4"]:
        soup.stir()
    soup.crash("n4")
    resumed = soup.nodes["n4"]._transfer
    assert any(source.after for source in resumed._sources.values())
    joined(soup, "n4")
    for i in range(60):
        for level in LEVELS:
            assert read(soup, f"k{i}", level) == b"%d" % i


def test_it_goes_no_faster_than_it_may() -> None:
    soup = calm(3)
    filled(soup, 50)
    soup.options = replace(QUIET, transfer_per_second=50)
    soup.add("n4")
    soup.until(lambda: soup.newest().joint)
    began = soup.now
    soup.until(lambda: not soup.newest().joint)
    assert soup.now - began >= 3 * 100 * SECOND // 50 - SECOND


def test_an_old_owner_answers_what_is_for_the_asker_in_pages() -> None:
    soup = calm(3)
    filled(soup, 20)
    soup.add("n4")
    soup.until(lambda: soup.place("n2").joint)
    epoch, after, found = soup.place("n2").epoch, "", []
    for _ in range(20):
        effects = soup.nodes["n2"].step(FromPeer("n4", Pull(1, epoch, after, 3)), soup.now, soup.now)
        page = next(
            effect.message
            for effect in effects
            if isinstance(effect, Send) and isinstance(effect.message, Pulled)
        )
        assert len(page.data) <= 3
        found += [key for key, _ in page.data]
        after = page.through
        if not page.more:
            break
    place = soup.place("n2")
    assert found == sorted(key for key in (f"k{i}" for i in range(20)) if "n4" in place.pullers(key))


def test_a_page_is_not_larger_than_a_frame_can_be() -> None:
    soup = calm(3)
    for i in range(6):
        soup.asked("n1", Put(f"k{i}", b"x" * 300_000, "quorum"))
    soup.add("n4")
    joined(soup, "n4")
    assert soup.newest().names == ("n1", "n2", "n3", "n4")
    for i in range(6):
        assert read(soup, f"k{i}", "quorum") == b"x" * 300_000


def test_what_only_an_old_owner_has_that_was_out_of_reach_is_given_back() -> None:
    soup = calm(4)
    place = soup.newest()
    key = next(f"k{i}" for i in range(100) if place.replicas(f"k{i}")[0][0] == "n4")
    cell = Cell((soup.skew["n4"] // 1000, 0, "n4"), b"only here")
    while soup.unsynced["n4"]:
        soup.stir()
    soup.disks["n4"][DATUM + key] = cell
    soup.lie_down("n4")
    assert isinstance(soup.wished("n1", "leave", node="n4"), Done)
    assert read(soup, key, "quorum", "n1") is None
    soup.get_up("n4")
    gossip(soup, "n4")
    while soup.stir():
        assert soup.now < 200 * SECOND
    assert read(soup, key, "quorum", "n1") == b"only here"
    assert not kept(soup, "n4", DATUM)


def gossip(soup: Owners, name: str) -> None:
    """What SWIM's pings do: say one's epoch."""
    soup.nodes["n1"]._epochs.heard(name, 1)
    soup.until(lambda: soup.place(name).epoch > 1)


@pytest.mark.parametrize(("age_s", "older"), [(10, False), (100, True)])
def test_what_may_have_been_deleted_and_forgotten_is_not_given_back(age_s: int, older: bool) -> None:
    wall = 1_000 * SECOND
    cell = Cell(((wall - age_s * SECOND) // 1_000, 0, "n1"), b"v")
    assert is_older(cell, 50 * SECOND, wall) is older
    assert not is_older(Count((("n1", 1, 0),)), 50 * SECOND, wall)


def test_what_was_left_here_from_long_ago_does_not_come_to_life() -> None:
    soup = calm(3)
    soup.options = replace(QUIET, tombstone_grace_nanos=QUIET.hint_life_nanos + SECOND)
    soup.add("n4", stranger=True)
    old = Cell((1, 0, "n1"), b"deleted long ago")
    for i in range(20):
        soup.disks["n4"][f"{DATUM}k{i}"] = old
    soup.skew["n4"] = 24 * 3600 * SECOND
    soup.wished("n1", "join", node="n4", birth=soup.birth("n4"))
    joined(soup, "n4")
    assert [read(soup, f"k{i}", "quorum") for i in range(20)] == [None] * 20


def test_status_and_events_tell_how_far_it_is() -> None:
    soup = calm(3)
    filled(soup, 20)
    soup.options = replace(QUIET, transfer_per_second=20)
    told: list[Happened] = []
    carry_out = soup._carry_out

    def listening(name: str, effect: object) -> None:
        if isinstance(effect, Happened):
            told.append(effect)
        carry_out(name, effect)  # type: ignore[arg-type]

    soup._carry_out = listening  # type: ignore[method-assign]
    soup.add("n4")
    soup.until(lambda: soup.nodes["n4"].status().get("transfer", {}).get("records_pulled", 0) > 0)
    status = soup.nodes["n4"].status()["transfer"]
    assert 0 <= status["arcs_done"] <= status["arcs"]
    joined(soup, "n4")
    assert {"layout-adopted", "transfer-done"} <= {effect.kind for effect in told}


def test_a_clock_has_seen_what_was_pulled() -> None:
    """So a write by the new owner wins over what it pulled."""
    soup = calm(3)
    late = (10**15, 0, "n1")
    for name in ("n1", "n2", "n3"):
        soup.disks[name][DATUM + "k"] = Cell(late, b"old")
    soup.add("n4")
    joined(soup, "n4")
    assert isinstance(soup.nodes["n4"]._clock, HybridClock)
    assert soup.nodes["n4"].stamp() > late
    assert soup.now < 10**15 * MS


def test_all_that_is_kept_and_sent_survives_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes have shapes of their own, of which msgpack makes others."""
    keep, carry_out = Kept.keep, Owners._carry_out

    def keep_coded(self: Kept, persist: Persist) -> None:
        record = persist.record and decode_record(encode(persist.record))
        keep(self, Persist(persist.token, persist.key, record))

    def carry_out_coded(self: Owners, name: str, effect: Effect) -> None:
        if isinstance(effect, Send):
            effect = Send(effect.peer, decode_message(encode(effect.message)))
        carry_out(self, name, effect)

    monkeypatch.setattr(Kept, "keep", keep_coded)
    monkeypatch.setattr(Owners, "_carry_out", carry_out_coded)
    for seed in range(3):
        voyage = Voyage(seed)
        voyage.run(30, crashes=0.2, wipes=0.05)
        assert voyage.lost == []
        assert all(is_linearizable(clients) for clients in voyage.clients)
