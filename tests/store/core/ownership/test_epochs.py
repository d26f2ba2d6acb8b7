"""Births, layouts and operators' wishes, one situation each; test_voyages.py has them all at once."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from store.core.machine import FromPeer, Happened, Input, Persist, Persisted, Send, Started
from store.core.messages import (
    Admin,
    Done,
    Enrolled,
    Failed,
    Fetch,
    Found,
    Get,
    LayoutIs,
    Member,
    Put,
    Stale,
    WantLayout,
)
from store.core.node import Node
from store.core.options import QUIET
from store.core.ownership.changes import joint
from store.core.ownership.enrolment import witnesses
from store.core.ownership.layout import first_layout
from tests.support.owners import Owners, calm
from tests.support.soup import Kept


def settled(soup: Owners, epoch: int) -> None:
    """Until all that have a part go by a stable layout of at least that epoch, and serve."""

    def there() -> bool:
        newest = soup.newest()
        up = [name for name in newest.names if name not in soup.lying]
        return (
            newest.epoch >= epoch
            and not newest.joint
            and all(soup.place(name).epoch == newest.epoch for name in up)
            and set(up) <= set(soup.serving())
        )

    soup.until(there)


def owners(soup: Owners) -> list[str]:
    return [member.name for member in soup.newest().layout.owners]


def detail(soup: Owners, at: str, action: str, **arguments: str) -> str:
    response = soup.wished(at, action, **arguments)
    assert isinstance(response, Done), response
    return response.detail


def refusal(soup: Owners, at: str, action: str, **arguments: str) -> Failed:
    response = soup.wished(at, action, **arguments)
    assert isinstance(response, Failed), response
    return response


# Births


def test_a_lone_node_serves_at_once() -> None:
    node = Node("n1", first_layout(["n1"], 1), 1, Kept(), random.Random(1), QUIET)
    assert node.status()["serves"]


def test_a_fresh_cluster_serves_after_one_round_trip_and_no_timer() -> None:
    soup = Owners(1, nodes=5, loss=0.0, twice=0.0, haste=0.0)
    while soup.messages or any(soup.unsynced.values()):
        soup.stir()
    assert soup.serving() == ["n1", "n2", "n3", "n4", "n5"]


@pytest.mark.parametrize("nodes", range(2, 12))
def test_two_sets_of_witnesses_share_one(nodes: int) -> None:
    assert 2 * witnesses(nodes) > nodes - 1 >= witnesses(nodes)


def test_nobody_serves_before_enough_others_remember_it() -> None:
    soup = Owners(1, nodes=3, loss=0.0, twice=0.0)
    soup.lie_down("n3")
    soup.until(lambda: soup.now > 3_000_000_000)
    assert soup.serving() == []
    assert "remember this life" in soup.nodes["n1"].status()["why_not"]
    soup.get_up("n3")
    settled(soup, 1)


def test_enrolment_bears_loss() -> None:
    soup = Owners(1, nodes=5, loss=0.5, twice=0.3)
    settled(soup, 1)


def test_who_has_enrolled_serves_after_a_restart_without_asking() -> None:
    soup = calm(3)
    while soup.messages or any(soup.unsynced.values()):
        soup.stir()
    for name in ("n2", "n3"):
        soup.lie_down(name)
    soup.crash("n1")
    assert soup.serving() == ["n1"]


def test_a_wiped_node_of_the_first_layout_is_refused_then_removed_and_joined_again() -> None:
    soup = calm(4)
    before = soup.birth("n2")
    soup.wipe("n2")
    soup.until(lambda: soup.nodes["n2"].status()["standing"] == "amnesia")
    assert soup.birth("n2") != before
    settled(soup, 5)
    lives = {member.name: str(member.birth) for member in soup.newest().layout.owners}
    assert lives["n2"] == soup.birth("n2")
    assert "n2" in soup.serving()


def test_a_wiped_node_answers_no_question_before_it_is_joined_again() -> None:
    soup = calm(3)
    soup.wipe("n2")
    effects = soup.nodes["n2"].step(FromPeer("n1", Fetch(7, 1, "k")), soup.now, soup.now)
    assert Send("n1", Stale(7, 1)) in effects


def test_a_node_wiped_twice_is_joined_again_as_what_it_is_now() -> None:
    soup = calm(4)
    soup.wipe("n2")
    soup.until(lambda: soup.newest().epoch >= 2)
    soup.wipe("n2")
    settled(soup, 5)
    soup.until(lambda: "n2" in soup.serving())
    lives = {member.name: str(member.birth) for member in soup.newest().layout.owners}
    assert lives["n2"] == soup.birth("n2")


# Layouts


def test_a_layout_is_durable_before_it_is_used_and_outlives_a_crash() -> None:
    first = first_layout(["n1"], 1)
    node = Node("n1", first, 1, Kept(), random.Random(1), QUIET)
    following = replace(first, epoch=2, owners=(Member("n1", node.birth),))
    effects = node.step(FromPeer("n2", LayoutIs(following)), 0, 0)
    assert node.status()["epoch"] == 1
    disk = Kept()
    for effect in effects:
        if isinstance(effect, Persist):
            disk.keep(effect)
            node.step(Persisted(effect.token), 0, 0)
    assert node.status()["epoch"] == 2
    assert Node("n1", first, 2, disk, random.Random(1), QUIET).status()["epoch"] == 2


def test_who_is_behind_is_told_and_who_is_ahead_is_asked() -> None:
    node = calm(1).nodes["n1"]
    layout = node.placement.layout  # type: ignore[union-attr]
    assert Send("n2", WantLayout(1)) in node.step(FromPeer("n2", Fetch(1, 2, "k")), 0, 0)
    assert Send("n2", LayoutIs(layout)) in node.step(FromPeer("n2", WantLayout(0)), 0, 0)
    assert node.step(FromPeer("n2", WantLayout(0)), 0, 0) == []  # it has just been told


def test_two_layouts_of_one_epoch_are_loud_and_refused() -> None:
    node = calm(3).nodes["n1"]
    layout = node.placement.layout  # type: ignore[union-attr]
    effects = node.step(FromPeer("n2", LayoutIs(replace(layout, replication=2))), 0, 0)
    assert [effect.kind for effect in effects if isinstance(effect, Happened)] == ["layouts-differ"]
    assert node.placement is not None
    assert node.placement.layout == layout


def test_an_answer_about_births_that_nobody_asked_for_changes_nothing() -> None:
    node = Node("n1", first_layout(["n1", "n2", "n3"], 3), 1, Kept(), random.Random(1), QUIET)
    events: list[Input] = [
        Started(),
        FromPeer("n9", Enrolled("n1", node.birth)),
        FromPeer("n9", Enrolled("n1", 5)),
    ]
    for event in events:
        node.step(event, 0, 0)
    assert node.status()["standing"] == "enrolling"


# Wishes


def test_a_node_joins_by_itself_through_any_seed() -> None:
    soup = calm(3)
    soup.add("n4")
    settled(soup, 3)
    assert owners(soup) == ["n1", "n2", "n3", "n4"]


def test_join_leave_and_replace_are_done_once_however_often_they_are_asked() -> None:
    soup = calm(4)
    soup.add("n5")
    birth = soup.birth("n5")
    for at in ("n1", "n2", "n1"):
        assert "n5 is an owner" in detail(soup, at, "join", node="n5", birth=birth)
    for at in ("n1", "n2"):
        soup.until(lambda at=at: soup.place(at).epoch == soup.newest().epoch)  # type: ignore[misc]
        assert "n4 has no part any more" in detail(soup, at, "leave", node="n4")
    soup.add("n6", stranger=True)
    for at in ("n3", "n1"):
        assert "n6 is an owner" in detail(soup, at, "replace", node="n1", by="n6", birth=soup.birth("n6"))
    assert owners(soup) == ["n2", "n3", "n5", "n6"]
    assert soup.newest().epoch == 7


def test_a_dead_node_can_be_removed_and_replaced() -> None:
    soup = calm(5)
    soup.lie_down("n5")
    detail(soup, "n1", "leave", node="n5")
    soup.lie_down("n4")
    soup.add("n6", stranger=True)
    detail(soup, "n2", "replace", node="n4", by="n6", birth=soup.birth("n6"))
    assert owners(soup) == ["n1", "n2", "n3", "n6"]


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_dead_node_is_replaced_by_one_that_joins_by_itself_meanwhile(epoch: int) -> None:
    soup = calm(4)
    soup.lie_down("n4")
    soup.add("n5")
    soup.until(lambda: soup.newest().epoch == epoch)
    said = detail(soup, "n1", "replace", node="n4", by="n5", birth=soup.birth("n5"))
    assert said.startswith("n5 is an owner, and n4 is not")
    assert owners(soup) == ["n1", "n2", "n3", "n5"]


def test_a_join_that_cannot_end_is_called_off() -> None:
    soup = calm(3)
    soup.add("n4")
    soup.until(lambda: soup.newest().joint)
    soup.lie_down("n4")
    other = refusal(soup, "n1", "leave", node="n3")
    assert other.code in ("unavailable", "bad-request")
    detail(soup, "n2", "leave", node="n4")
    assert owners(soup) == ["n1", "n2", "n3"]
    assert not soup.newest().joint
    soup.get_up("n4")
    soup.until(lambda: soup.nodes["n4"].status()["standing"] in ("left", "newcomer", "serves"))


def test_two_wishes_at_once_do_not_both_begin() -> None:
    soup = calm(5)
    answers: list[object] = []
    soup.wish("n1", "leave", answers.append, node="n4")
    soup.wish("n2", "leave", answers.append, node="n5")
    soup.until(lambda: len(answers) == 2)
    done = [answer for answer in answers if isinstance(answer, Done)]
    assert 1 <= len(done) <= 2
    assert len(owners(soup)) == 5 - len(done)
    for answer in answers:
        if isinstance(answer, Failed):
            assert "another change is under way" in answer.text


def test_a_new_bucket_moves_keys_to_as_many_replicas_as_it_has() -> None:
    soup = calm(5)
    assert isinstance(soup.asked("n1", Put("b/k", b"v", "quorum")), Done)
    assert isinstance(soup.asked("n1", Put("b/k", b"w", "linearizable")), Done)
    for _ in range(2):
        detail(soup, "n1", "bucket", bucket="b", n="5", conflict="lww")
    soup.until(lambda: all(not soup.place(name).joint for name in soup.names))
    assert len(soup.place("n1").replicas("b/k")[0]) == 5
    for level, value in (("quorum", b"v"), ("linearizable", b"w")):
        found = soup.asked("n2", Get("b/k", level))
        assert isinstance(found, Found)
        assert found.value == value


@pytest.mark.parametrize(
    ("action", "arguments", "named"),
    [
        ("leave", {"node": "n9"}, "n9 is not a member; the members are n1, n2, n3"),
        ("leave", {"node": "n1"}, "2 owners for a replication of 3"),
        ("leave", {}, "node needs a name"),
        ("join", {"node": "n1", "birth": "5"}, "n1 is an owner already, with another life"),
        ("join", {"node": "n4", "birth": "x"}, "birth must be a whole number"),
        ("replace", {"node": "n9", "by": "n4", "birth": "5"}, "n9 is not a member"),
        ("replace", {"node": "n1", "by": "n2", "birth": "5"}, "n2 is an owner already"),
        ("replace", {"node": "n1", "by": "n1", "birth": "5"}, "cannot take its own place"),
        ("bucket", {"bucket": "b", "n": "3", "conflict": "war"}, "conflict 'war' is not one of: lww"),
        ("bucket", {"bucket": "b", "n": "0", "conflict": "lww"}, "n must be a whole number from 1 to 99"),
        ("dance", {}, "action 'dance' is not one of"),
    ],
)
def test_impossible_wishes_are_refused_by_name(action: str, arguments: dict[str, str], named: str) -> None:
    failed = refusal(calm(3), "n1", action, **arguments)
    assert failed.code == "bad-request"
    assert named in failed.text


def test_the_only_owner_cannot_leave() -> None:
    assert "only owner" in refusal(calm(1, replication=1), "n1", "leave", node="n1").text


def test_who_has_left_serves_no_client_and_does_not_come_back_by_itself() -> None:
    soup = calm(4)
    detail(soup, "n1", "leave", node="n4")
    soup.until(lambda: soup.nodes["n4"].status()["standing"] == "left")
    answer = soup.asked("n4", Get("k", "one"))
    assert isinstance(answer, Failed)
    assert answer.code == "unavailable"
    soup.crash("n4")
    while soup.stir():
        assert soup.now < 600_000_000_000
    assert owners(soup) == ["n1", "n2", "n3"]


def test_members_of_the_council_may_crash_while_ownership_moves() -> None:
    for seed in range(10):
        soup = calm(5, seed, replication=5)
        soup.add("n6")
        soup.until(lambda soup=soup: soup.newest().joint)  # type: ignore[misc]
        for name in soup.newest().layout.council[:2]:
            soup.lie_down(name)
        settled(soup, 3)
        assert "n6" in owners(soup)


def test_without_a_majority_of_the_council_nothing_is_decided_and_that_is_said() -> None:
    soup = calm(3)
    soup.lie_down("n2")
    soup.lie_down("n3")
    failed = refusal(soup, "n1", "join", node="n4", birth="7")
    assert failed.code in ("timeout", "unavailable")
    assert soup.newest().epoch == 1


def test_status_tells_what_is_under_way() -> None:
    soup = calm(3)
    soup.add("n4")
    soup.until(lambda: soup.place("n1").joint)
    status = soup.nodes["n1"].status()
    assert status["moving"] == "n4 joins"
    assert status["next"] == ["n1", "n2", "n3", "n4"]


def test_the_council_of_a_move_stays_and_is_odd() -> None:
    first = replace(first_layout([f"n{i}" for i in range(1, 5)], 3), epoch=4)
    moving = joint(first, first.owners[1:], lambda node: node != "n3")
    assert moving.council == ("n1", "n2", "n4")


def test_an_admin_message_is_one_of_those_that_are_offered() -> None:
    assert isinstance(calm(3).asked("n1", Admin("leave", {"node": "n9"})), Failed)
