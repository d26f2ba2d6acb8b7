"""Hints: kept, bounded, handed over, and never too old."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from store.core.messages import Delete, Done, Hint, Put
from store.core.options import MS, SECOND, Options
from store.core.ownership.layout import Placement, first_layout
from store.core.repair.hints import Hints
from tests.support.mending import FAST, Mending, cell

HINTING = replace(FAST, compare_nanos=0)
"""Nothing but hints mends."""
NOW_MS = 1_700_000_000_000


def hints(mending: Mending, node: str) -> dict[str, Any]:
    status: dict[str, Any] = mending.status(node)["hints"]
    return status


def held(mending: Mending) -> int:
    return sum([sum(hints(mending, node)["held"].values()) for node in mending.names])


def part(mending: Mending, node: str) -> Hints:
    process = mending.cluster._hosts[node].process
    assert process is not None
    found: Hints = process._machine._hints  # type: ignore[attr-defined]
    return found


def test_a_hint_that_could_outlive_a_tombstone_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="hint_life_nanos must be below tombstone_grace_nanos, 5, got 5"):
        Mending(core=Options(hint_life_nanos=5, tombstone_grace_nanos=5)).start()


@pytest.mark.parametrize("probe_nanos", [0, 200 * MS])
def test_what_a_dead_node_missed_it_gets_when_it_is_back(probe_nanos: int) -> None:
    mending = Mending(core=replace(HINTING, probe_nanos=probe_nanos), loss=0.02)
    mending.start()
    mending.run(1)
    mending.kill("n3")
    for i in range(300):
        assert isinstance(mending.ask(f"n{i % 2 + 1}", Put(f"k{i % 200}", b"%d" % i, "quorum"), 5), Done)
    mending.ask("n1", Delete("k0", "quorum"))
    mending.run(3)
    assert held(mending_alive(mending)) >= 200
    assert not mending.data("n3")
    mending.start("n3")
    mending.until(mending.alike, 60)
    mending.run(10)
    assert len(mending.data("n3")) == 200
    assert held(mending) == 0
    assert not mending.data("n1", "h/")
    assert hints(mending, "n1")["delivered"] + hints(mending, "n2")["delivered"] >= 200


def mending_alive(mending: Mending) -> Any:
    """As `mending`, without the node that is down."""

    class Alive:
        names = tuple([node for node, state in mending.cluster.states().items() if state == "up"])
        status = mending.status

    return Alive


def test_hints_survive_the_crash_of_whoever_keeps_them_and_are_found_before_they_are_counted() -> None:
    mending = Mending(core=HINTING)
    for i in range(1200):
        mending.plant("n1", f"h/n3/k{i}", Hint("n3", cell(i, b"x"), NOW_MS))
    mending.plant("n1", "h/n2/k1", Hint("n2", cell(5, b"newer"), NOW_MS))
    mending.start("n1")
    assert part(mending, "n1").held("k1") == cell(5, b"newer")
    assert part(mending, "n1").held("k7") == cell(7, b"x")
    assert part(mending, "n1").held("other") is None
    mending.run(0.5)
    assert hints(mending, "n1")["held"] == {"n2": 1, "n3": 1200}
    assert part(mending, "n1").held("k7") == cell(7, b"x")
    mending.kill("n1")
    mending.start()
    mending.until(lambda: len(mending.data("n3")) == 1200, 120)


def test_one_hint_holds_all_that_came_for_its_key() -> None:
    mending = Mending(core=HINTING)
    mending.start("n1")
    keeper = part(mending, "n1")
    assert keeper.keep("n3", "k", cell(2, b"b"))
    assert keeper.keep("n3", "k", cell(1, b"a"))
    assert keeper.held("k") == cell(2, b"b")
    assert keeper.keep("n3", "k", cell(3, b"c"))
    assert keeper.held("k") == cell(3, b"c")
    assert keeper.status()["hints"]["held"] == {"n3": 1}


def test_beyond_the_bound_hints_are_refused_but_those_that_exist_grow() -> None:
    mending = Mending(core=replace(HINTING, hints_max=2))
    mending.start("n1")
    keeper = part(mending, "n1")
    kept = [keeper.keep("n3", key, cell(1, b"x")) for key in ("a", "b", "c", "a")]
    assert kept == [True, True, False, True]
    assert keeper.keep("n3", "b", cell(2, b"y"))
    assert keeper.status()["hints"] == {
        "held": {"n3": 2}, "delivered": 0, "expired": 0, "refused": 1, "damaged": 0
    }  # fmt: skip


def test_hints_that_are_too_old_are_dropped_and_not_delivered() -> None:
    core = replace(HINTING, hint_life_nanos=3 * SECOND)
    mending = Mending(core=core)
    mending.plant("n1", "h/n3/old", Hint("n3", cell(1, b"x"), NOW_MS - 4000))
    mending.plant("n1", "h/n3/of the future", Hint("n3", cell(1, b"x"), NOW_MS + 60_000))
    mending.plant("n1", "h/n3/fresh", Hint("n3", cell(1, b"x"), NOW_MS))
    mending.start("n1", "n2")
    mending.run(8)
    assert hints(mending, "n1")["expired"] == 3
    assert not mending.data("n1", "h/")
    mending.start("n3")
    mending.run(10)
    assert not mending.data("n3")


def test_a_clock_that_is_set_back_makes_no_hint_younger() -> None:
    core = replace(HINTING, hint_life_nanos=8 * SECOND)
    mending = Mending(core=core)
    mending.start("n1", "n2")
    mending.run(0.5)
    part(mending, "n1").keep("n3", "k", cell(1, b"x"))
    mending.world.complete(mending.cluster.bump({"n1": -100}))
    mending.run(4)
    assert part(mending, "n1")._count == 1
    mending.world.complete(mending.cluster.bump({"n1": -3_000}))
    mending.run(10)
    assert part(mending, "n1").status()["hints"]["expired"] == 1


def test_a_hint_for_one_who_does_not_keep_the_key_goes_to_those_who_do() -> None:
    mending = Mending(nodes=5, replication=2, core=HINTING)
    place = Placement(first_layout(mending.names, 2))
    keys = [f"key {i}" for i in range(30)]
    for key in keys:
        mending.plant("n1", f"h/gone/{key}", Hint("gone", cell(1, b"x"), NOW_MS))
    mending.start()
    mending.run(20)
    for node in mending.names:
        assert sorted(mending.data(node)) == sorted(key for key in keys if node in place.replicas(key)[0])
    assert held(mending) == 0


def test_a_damaged_hint_is_dropped_and_counted() -> None:
    mending = Mending(core=HINTING)
    for key in ("a", "b"):
        mending.plant("n1", f"h/n2/{key}", Hint("n2", cell(1, b"x"), NOW_MS))
    mending.disk("n1").rot(["h/n2/a"])
    mending.start()
    mending.run(10)
    assert sorted(mending.data("n2")) == ["b"]
    assert hints(mending, "n1")["damaged"] == 1
    assert not mending.disk("n1").scan("h/", "", 10)


def test_a_hint_that_is_not_taken_does_not_hold_up_the_others() -> None:
    mending = Mending(core=HINTING)
    for node in mending.names:
        mending.plant(node, "v/a", cell(1, b"x"))
        mending.disk(node).rot(["v/a"])  # nobody can mend it, so nobody takes a hint for it
    for i in range(50):
        mending.plant("n1", f"h/n2/{'a' if not i else f'k{i}'}", Hint("n2", cell(2, b"x"), NOW_MS))
    mending.start()
    mending.run(20)
    assert len(mending.data("n2")) == 49
    assert hints(mending, "n1")["held"] == {"n2": 1}


def test_handing_over_keeps_to_its_bandwidth() -> None:
    rate = 50_000
    mending = Mending(core=replace(HINTING, repair_bytes_per_second=rate))
    for i in range(100):
        mending.plant("n1", f"h/n2/k{i}", Hint("n2", cell(1, bytes(5_000)), NOW_MS))
    mending.start()
    took_s = mending.until(lambda: len(mending.data("n2")) == 100, 60)
    assert took_s > (100 * 5_000 - 64 * 5_200) / rate


def test_hints_are_bounded_in_bytes_and_room_comes_back_when_they_are_delivered() -> None:
    mending = Mending(core=replace(HINTING, hints_bytes_max=50_000))
    mending.start()
    mending.run(1)
    mending.kill("n3")
    for i in range(20):
        assert isinstance(mending.ask("n1", Put(f"k{i}", b"x" * 10_000, "quorum")), Done)
    mending.run(1)
    assert hints(mending, "n1")["held"] == {"n3": 5}
    assert hints(mending, "n1")["refused"] == 15
    assert isinstance(mending.ask("n1", Put("k0", b"short", "quorum")), Done)
    mending.run(1)
    assert part(mending, "n1")._bytes == 40_005
    mending.start("n3")
    mending.until(lambda: held(mending) == 0, 20)
    assert part(mending, "n1")._bytes == 0


def test_a_disk_that_hangs_gets_no_more_hints_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.core.node.UNSYNCED_BYTES_MAX", 100_000)
    mending = Mending(core=HINTING)
    mending.start()
    mending.run(1)
    mending.disk("n1").slow(1e9)
    node = part(mending, "n1")
    kept = [node.keep("n3", f"k{i}", cell(i + 1, b"x" * 10_000)) for i in range(30)]
    assert kept == [True] * 10 + [False] * 20
