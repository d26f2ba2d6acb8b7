"""Reads and writes when replicas are behind, away, or of another opinion about who owns what."""

from __future__ import annotations

import pytest

from store.core.data.levels import Level, parse_level
from store.core.machine import FromPeer
from store.core.messages import (
    Body,
    Cell,
    Count,
    Done,
    Failed,
    Found,
    FoundCount,
    FoundSiblings,
    Get,
    Increment,
    Layout,
    Put,
    Stale,
    Store,
    Update,
    Updated,
)
from store.core.ownership.layout import Placement
from tests.support.buckets import EPOCH, BucketSoup

MS = 1_000_000


@pytest.fixture
def soup() -> BucketSoup:
    return BucketSoup()


def values_kept(soup: BucketSoup, key: str) -> list[bytes | None]:
    cells = [soup.kept(node, key) for node in soup.replicas(key)]
    return [cell.value if isinstance(cell, Cell) else None for cell in cells]


def test_a_read_mends_the_replicas_that_are_behind_also_those_it_did_not_need(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    soup.isolate(c)
    soup.call(a, Put("k", b"new", "quorum"))
    soup.quiesce()
    soup.heal()
    drop_hints(soup)
    assert values_kept(soup, "k") == [b"new", b"new", None]
    assert soup.call(b, Get("k", "one")) == Found(soup._clients, b"new")
    soup.quiesce()
    assert values_kept(soup, "k") == [b"new", b"new", b"new"]
    assert soup.nodes[b].counters["event_read-repair"] == 1
    soup.call(b, Get("k", "all"))
    soup.quiesce()
    assert soup.nodes[b].counters["event_read-repair"] == 1


def test_a_read_does_not_bring_a_tombstone_back_to_where_it_is_forgotten(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    soup.nodes[a]._replica.merge_in("k", Cell((1, 0, "n1"), None))
    soup.quiesce()
    assert soup.call(b, Get("k", "all")) == Found(soup._clients, None)
    soup.quiesce()
    assert soup.kept(b, "k") is soup.kept(c, "k") is None


def test_a_strict_write_leaves_a_hint_for_the_replica_that_stays_silent(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    soup.isolate(c)
    assert isinstance(soup.call(a, Put("k", b"v", "quorum")), Done)
    soup.quiesce()
    hint = soup.nodes[a]._hints.held("k")
    assert isinstance(hint, Cell)
    assert hint.value == b"v"
    assert soup.nodes[b]._hints.held("k") is None


def test_a_strict_write_does_not_count_nodes_that_are_no_replicas(soup: BucketSoup) -> None:
    """Only one replica is on the side of the two nodes that have no part in the key."""
    a, b, c = soup.replicas("k")
    soup.isolate(b, c)
    failed = soup.call(a, Put("k", b"v", "quorum"))
    assert isinstance(failed, Failed)
    assert failed.code == "timeout"
    assert isinstance(soup.call(a, Get("k", "quorum")), Failed)


@pytest.mark.parametrize("level", ["quorum,sloppy", "one,sloppy", "r=1,w=3,sloppy", "all,sloppy"])
def test_a_sloppy_write_on_the_minority_side_is_accepted_and_read_there(soup: BucketSoup, level: str) -> None:
    """The three nodes on its side are one replica and two that stand in for the others."""
    a, b, c = soup.replicas("k")
    soup.isolate(b, c)
    for node in (a, *soup.others("k")):
        assert isinstance(soup.call(node, Put("k", node.encode(), level)), Done)
        assert soup.call(node, Get("k", level)) == Found(soup._clients, node.encode())
    soup.quiesce()
    soup.heal()
    last = soup.others("k")[-1].encode()
    hinted = [soup.nodes[node]._hints.held("k") for node in soup.others("k")]
    assert any(isinstance(cell, Cell) and cell.value == last for cell in hinted)


def test_at_a_sloppy_level_replicas_believed_dead_are_not_waited_for(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    soup.isolate(b, c)
    soup.believe_dead(b, c)
    before = soup.now
    assert isinstance(soup.call(a, Put("k", b"v", "quorum,sloppy")), Done)
    assert soup.call(a, Get("k", "quorum,sloppy")) == Found(soup._clients, b"v")
    assert soup.now - before < 90 * MS


def test_even_with_no_replica_at_all_a_sloppy_write_is_kept_and_a_strict_one_is_not(soup: BucketSoup) -> None:
    soup.isolate(*soup.replicas("k"))
    stranger = soup.others("k")[0]
    assert isinstance(soup.call(stranger, Put("k", b"v", "quorum,sloppy")), Done)
    assert soup.call(stranger, Get("k", "quorum,sloppy")) == Found(soup._clients, b"v")
    assert isinstance(soup.call(stranger, Put("k", b"w", "one")), Failed)


def test_what_stand_ins_kept_is_found_after_healing_even_before_it_is_handed_over(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    soup.isolate(a, b, c)
    stranger = soup.others("k")[0]
    assert isinstance(soup.call(stranger, Put("k", b"v", "quorum,sloppy")), Done)
    soup.heal()
    soup.believe_dead(a, b)
    assert soup.call(c, Get("k", "r=3,sloppy")) == Found(soup._clients, b"v")


def test_an_edit_needs_a_replica_of_its_own_at_sloppy_levels_too(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("cnt/k")
    soup.isolate(b, c)
    assert isinstance(soup.call(soup.others("cnt/k")[0], Increment("cnt/k", 3, "all,sloppy")), Done)
    assert soup.call(a, Get("cnt/k", "all,sloppy")) == FoundCount(soup._clients, 3)
    soup.isolate(a, b, c)
    refused = soup.call(soup.others("cnt/k")[0], Increment("cnt/k", 3, "one,sloppy"))
    assert isinstance(refused, Failed)
    assert refused.code in ("unavailable", "timeout")


def moved_on(soup: BucketSoup, *names: str) -> None:
    """These nodes go by the next layout, in which nothing is different."""
    first = soup.nodes["n1"].placement
    assert first is not None
    layout = first.layout
    for name in names:
        epochs = soup.nodes[name]._epochs
        epochs.placement = Placement(
            Layout(2, layout.owners, layout.replication, layout.vnodes, layout.council, None, layout.buckets)
        )
        epochs.serves = True
        epochs.heard = lambda peer, epoch: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "body", [Put("k", b"v", "all"), Get("k", "all"), Increment("cnt/k", 1, "all"), Put("sib/k", b"v", "all")]
)
def test_a_request_that_meets_another_epoch_is_tried_again_by_that(soup: BucketSoup, body: Body) -> None:
    """The coordinator is behind at first, and hears of the new layout while it tries."""
    soup.call("n1", Increment("cnt/k", 1, "all"))
    soup.quiesce()
    moved_on(soup, "n2", "n3", "n4", "n5")
    answers: list[object] = []
    soup.begin("n1", body, answers.append)
    for _ in range(15):
        soup.stir()
    assert not answers
    moved_on(soup, "n1")
    while not answers:
        assert soup.stir()
    assert not isinstance(answers[0], Failed)


@pytest.mark.parametrize("body", [Put("k", b"v", "quorum"), Increment("cnt/k", 1, "quorum")])
def test_while_keys_move_a_write_needs_a_quorum_of_the_old_and_of_the_new_owners(
    soup: BucketSoup, body: Body
) -> None:
    """The old owners are n1, n2, n3; the next ones n3, n4, n5."""
    first = soup.nodes["n1"].placement
    assert first is not None
    for node in soup.nodes.values():
        layout = first.layout
        old, new = layout.owners[:3], layout.owners[2:]
        node._epochs.placement = Placement(
            Layout(2, old, 3, layout.vnodes, layout.council, new, layout.buckets)
        )
        node._epochs.serves = True
    soup.isolate("n4", "n5")
    failed = soup.call("n1", body)
    assert isinstance(failed, Failed)
    assert failed.code == "timeout"
    soup.isolate("n5")
    assert isinstance(soup.call("n1", body), Done)


def test_no_layout_that_agrees_is_a_failure_that_says_what_it_knows(soup: BucketSoup) -> None:
    moved_on(soup, "n2", "n3", "n4", "n5")
    soup.nodes["n1"]._epochs.heard = lambda peer, epoch: None  # type: ignore[method-assign]
    read, write = soup.call("n1", Get("k", "all")), soup.call("n1", Put("k", b"v", "all"))
    assert isinstance(read, Failed)
    assert isinstance(write, Failed)
    assert (read.code, write.code) == ("unavailable", "timeout")


def test_a_write_of_the_wrong_kind_is_refused_and_changes_nothing(soup: BucketSoup) -> None:
    count = Count((("a", 1, 0),))
    for node in soup.replicas("k"):
        soup.nodes[node]._replica.merge_in("k", count)
    soup.quiesce()
    for body in (Put("k", b"v", "one"), Get("k", "one")):
        refused = soup.call("n1", body)
        assert isinstance(refused, Failed)
        assert refused.code == "bad-request"
        assert refused.text == "'k' holds a counter, not a last-write-wins value"
    soup.quiesce()
    assert soup.kept(soup.replicas("k")[0], "k") == count


def test_a_tombstone_of_an_older_kind_is_no_obstacle(soup: BucketSoup) -> None:
    for node in soup.replicas("sib/k"):
        soup.nodes[node]._replica.merge_in("sib/k", Cell((1, 0, "n1"), None))
    soup.quiesce()
    assert isinstance(soup.call("n1", Put("sib/k", b"v", "quorum")), Done)
    found = soup.call("n1", Get("sib/k", "quorum"))
    assert isinstance(found, FoundSiblings)
    assert found.values == (b"v",)


def test_if_every_replica_declines_the_failure_is_definite_and_otherwise_it_is_not(soup: BucketSoup) -> None:
    a, b, c = soup.replicas("k")
    for node in (a, b, c):
        soup.nodes[node]._disk_full = True
    full = soup.call("n1", Put("k", b"v", "quorum"))
    assert isinstance(full, Failed)
    assert full.code == "disk-full"
    soup.nodes[a]._disk_full = False
    partly = soup.call("n1", Put("k", b"v", "quorum"))
    assert isinstance(partly, Failed)
    assert partly.code == "timeout"
    assert "disk-full" in partly.text
    assert isinstance(soup.call("n1", Put("k", b"v", "one")), Done)


def test_a_client_that_reads_is_not_overtaken_by_a_slow_clock(soup: BucketSoup) -> None:
    """What a coordinator has told of is older than what it writes next."""
    stranger = soup.others("k")[0]
    soup.skew = {name: EPOCH + (name != stranger) * 86_400_000 * MS for name in soup.names}
    fast = soup.replicas("k")[0]
    soup.call(fast, Put("k", b"fast", "quorum"))
    assert soup.call(stranger, Get("k", "quorum")) == Found(soup._clients, b"fast")
    assert isinstance(soup.call(stranger, Put("k", b"slow", "quorum")), Done)
    assert soup.call(fast, Get("k", "quorum")) == Found(soup._clients, b"slow")


def drop_hints(soup: BucketSoup) -> None:
    for node in soup.nodes.values():
        node._hints.keep = lambda target, key, datum: True  # type: ignore[method-assign]
        node._hints.held = lambda key: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("spec", "level"),
    [
        ("one,sloppy", Level(1, 1, sloppy=True)),
        ("quorum,sloppy", Level(3, 3, sloppy=True)),
        ("all,sloppy", Level(5, 5, sloppy=True)),
        ("r=1,w=2,sloppy", Level(1, 2, sloppy=True)),
        ("w=2,sloppy", Level(3, 2, sloppy=True)),
    ],
)
def test_sloppy_is_a_suffix_of_any_strict_level(spec: str, level: Level) -> None:
    assert parse_level(spec, 5) == level


def test_at_a_sloppy_level_others_stand_in_for_replicas_that_decline(soup: BucketSoup) -> None:
    for node in soup.replicas("k")[:2]:
        soup.nodes[node]._disk_full = True
    assert isinstance(soup.call("n1", Put("k", b"v", "all,sloppy")), Done)
    failed = soup.call("n1", Put("k", b"v", "all"))
    assert isinstance(failed, Failed)
    assert failed.code == "timeout"


def test_a_write_that_no_replica_serves_yet_certainly_has_no_effect_nor_have_its_doubles(
    soup: BucketSoup,
) -> None:
    """As it is before a node is enrolled: the client may ask again somewhere else at once."""
    replicas = soup.replicas("k")
    for node in replicas:
        soup.nodes[node]._epochs.serves = False
    doubles = []
    answers: list[object] = []
    soup.begin(soup.others("k")[0], Put("k", b"v", "one"), answers.append)
    while not answers:
        doubles += [entry for entry in soup.messages if isinstance(entry[2].message, Store)]
        soup.stir()
    (failed,) = answers
    assert isinstance(failed, Failed)
    assert failed.code == "unavailable"
    for node in replicas:
        soup.nodes[node]._epochs.serves = True
    for source, peer, send in doubles:
        soup.step(peer, FromPeer(source, send.message))
    soup.quiesce()
    assert values_kept(soup, "k") == [None, None, None]


def test_a_write_that_one_replica_may_have_taken_is_not_refused_for_certain(soup: BucketSoup) -> None:
    a, *rest = soup.replicas("k")
    for node in rest:
        soup.nodes[node]._epochs.serves = False
    soup.isolate(a)
    failed = soup.call(soup.others("k")[0], Put("k", b"v", "one"))
    assert isinstance(failed, Failed)
    assert failed.code == "timeout"


def test_a_write_waits_for_a_replica_that_begins_to_serve(soup: BucketSoup) -> None:
    replicas = soup.replicas("k")
    for node in replicas:
        soup.nodes[node]._epochs.serves = False
    answers: list[object] = []
    soup.begin(soup.others("k")[0], Put("k", b"v", "all"), answers.append)
    soup.quiesce(0.05)
    assert not answers
    for node in replicas:
        soup.nodes[node]._epochs.serves = True
    soup.quiesce()
    assert isinstance(answers[0], Done)


def test_an_increment_is_not_made_again_in_another_session_after_the_replica_was_stale_for_a_moment(
    soup: BucketSoup,
) -> None:
    """Another edit of the coordinator's may have given up the session meanwhile."""
    coordinator = soup.others("cnt/k")[0]
    soup.call(coordinator, Increment("cnt/k", 1, "all"))
    soup.quiesce()
    asked = None
    answers: list[object] = []
    soup.begin(coordinator, Increment("cnt/k", 100, "all"), answers.append)
    while asked is None or not any(isinstance(entry[2].message, Updated) for entry in soup.messages):
        asked = next((entry for entry in soup.messages if isinstance(entry[2].message, Update)), asked)
        soup.stir()
    soup.messages = []  # that it is made is not heard of
    _, replica, send = asked
    assert isinstance(send.message, Update)
    soup.nodes[coordinator]._coordinator._sessions.clear()
    soup.step(coordinator, FromPeer(replica, Stale(send.message.rid, 1)))
    soup.quiesce()
    assert len(answers) == 1
    assert soup.call(replica, Get("cnt/k", "all")) == FoundCount(soup._clients, 101)
