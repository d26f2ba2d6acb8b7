"""Membership, disks and drift on a simulated cluster of real nodes: what was done shows in what they tell."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness.cluster.base import ClusterError, Evidence
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from store.core.messages import Admin, Body, Done, Found, Get, Put, Report, Response, Status

NODES = ("n1", "n2", "n3", "n4")
T = TypeVar("T")


class Stage:
    def __init__(self, directory: Path, nodes: tuple[str, ...] = NODES) -> None:
        self.cluster = SimCluster(nodes, 3, 1, SimOptions(core=PACE, spares=1))
        self.do(self.cluster.setup(directory))

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.cluster.world.complete(coroutine)

    def ask(self, node: str, body: Body) -> Response:
        async def main() -> Response:
            session = await self.cluster.connect(node)
            return await session.request(body, 5.0)

        return self.do(main())

    def status(self, node: str) -> dict[str, Any]:
        report = self.ask(node, Status())
        assert isinstance(report, Report)
        return report.status

    def write(self, level: str, count: int = 20) -> None:
        for number in range(count):
            assert isinstance(self.ask("n1", Put(f"k{number}", b"%d" % number, level)), Done)

    def read(self, level: str, node: str, count: int = 20) -> None:
        for number in range(count):
            found = self.ask(node, Get(f"k{number}", level))
            assert isinstance(found, Found), found
            assert found.value == b"%d" % number


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("level", ["linearizable", "quorum"])
def test_what_was_written_is_there_after_every_change_of_members(stage: Stage, level: str) -> None:
    stage.write(level)
    cluster = stage.cluster
    assert stage.do(cluster.join("s1")).bit
    assert stage.status("n1")["owners"] == ["n1", "n2", "n3", "n4", "s1"]
    stage.read(level, "s1")
    assert stage.do(cluster.leave("n2")).bit
    assert not stage.status("n2")["serves"]
    assert getattr(stage.ask("n2", Get("k0", level)), "text", "") == "this node has left the cluster"
    stage.read(level, "n3")
    assert stage.do(cluster.leave("s1")).detail  # three owners are left: it may, as three copies remain
    stage.do(cluster.restore())
    assert stage.status("n1")["owners"] == list(NODES)
    assert stage.do(cluster.replace("n3", "s1")).bit
    assert cluster.states()["n3"] == "down"
    stage.read(level, "n1")
    assert stage.do(cluster.restore()).bit
    assert cluster.states() == dict.fromkeys(NODES, "up")
    stage.read(level, "n3")


def test_a_wiped_node_has_another_birth_and_is_readmitted(stage: Stage) -> None:
    stage.write("linearizable")
    birth = stage.status("n2")["birth"]
    assert stage.do(stage.cluster.wipe("n2")).bit
    stage.do(stage.cluster.restore())
    after = stage.status("n2")
    assert after["birth"] != birth
    assert after["serves"]
    stage.read("linearizable", "n2")


def test_a_spare_leaves_only_when_a_wiped_node_is_back(stage: Stage) -> None:
    stage.write("quorum")
    assert stage.do(stage.cluster.join("s1")).bit
    assert stage.do(stage.cluster.wipe("n2")).bit
    assert stage.do(stage.cluster.restore()).bit
    assert stage.status("n1")["owners"] == list(NODES)
    stage.read("quorum", "n2")


def test_a_wiped_node_is_back_soon_although_an_operator_asks_for_another_change_all_the_time(
    stage: Stage,
) -> None:
    """The wiped node would have to pull what the spare gives up, so each attempt is called off."""
    cluster = stage.cluster
    assert stage.do(cluster.join("s1")).bit
    stage.do(cluster.begin("n2", afresh=True))
    for _ in range(20):
        stage.ask("n1", Admin("leave", {"node": "s1"}))
        stage.do(cluster._sleep(0.2))
    assert stage.status("n2")["serves"]


def test_no_copy_is_lost_while_another_is_missing(stage: Stage) -> None:
    stage.do(stage.cluster.kill(("n1",)))
    for harm in (stage.cluster.wipe("n2"), stage.cluster.replace("n2", "s1")):
        refused = stage.do(harm)
        assert refused == Evidence(False, "left alone, as these are missing: n1", begun=False)
    assert stage.status("n2")["serves"]


def test_a_change_that_has_only_begun_is_not_said_to_be_made(stage: Stage) -> None:
    """Who gains keys is dead, so the others cannot come to the end."""
    stage.write("linearizable")
    stage.do(stage.cluster.kill(("n3",)))
    evidence = stage.do(stage.cluster.leave("n2"))
    assert not evidence.bit, evidence
    assert "it has begun" in evidence.detail


def test_an_owner_that_reaches_nobody_is_not_the_only_one_that_is_asked(stage: Stage) -> None:
    cluster = stage.cluster
    others = frozenset(("n2", "n3", "n4", "s1"))
    stage.do(cluster.cut({"n1": others, **{other: frozenset(("n1",)) for other in others}}))
    evidence = stage.do(cluster.join("s1"))
    assert evidence.bit, evidence


def test_what_a_change_waits_for_is_started_again(stage: Stage) -> None:
    """A replacement that never came about has ended its node, which is still an owner."""
    stage.do(stage.cluster.end("n1"))
    stage.do(stage.cluster.join("s1"))
    stage.do(stage.cluster.restore())
    assert stage.status("n2")["owners"] == list(NODES)
    assert stage.status("n1")["serves"]


def test_members_that_cannot_be_restored_are_said_to_be_so(stage: Stage) -> None:
    stage.do(stage.cluster.leave("n2"))
    stage.do(stage.cluster.pause(("n3", "n4")))
    with pytest.raises(ClusterError, match="members are not restored within 10 s"):
        stage.do(stage.cluster.restore())


def test_who_does_not_serve_is_named_also_while_no_layout_is_settled(stage: Stage) -> None:
    stage.write("linearizable")
    stage.do(stage.cluster.pause(("n3",)))
    stage.ask("n1", Admin("leave", {"node": "n2"}))  # begins, and waits for n3, who gains keys
    with pytest.raises(ClusterError, match=r"owners are not settled; not serving: n3$"):
        stage.do(stage.cluster.restore(0.5))


def test_a_full_disk_refuses_changes_and_serves_reads_until_there_is_room(stage: Stage) -> None:
    stage.write("all", 3)
    cluster = stage.cluster
    assert stage.do(cluster.fill(NODES)).bit
    stage.ask("n1", Put("stuck", b"0", "one"))  # by which the disks are found to be full
    stage.do(cluster._sleep(1))
    refused = stage.ask("n1", Put("new", b"x", "quorum"))
    assert getattr(refused, "code", None) == "disk-full"
    stage.read("quorum", "n2", 3)
    assert stage.do(cluster.mend_disks()).bit
    assert isinstance(stage.ask("n1", Put("new", b"x", "quorum")), Done)
    assert not stage.do(cluster.mend_disks()).bit


def test_rot_strikes_one_copy_of_a_key_and_is_mended(stage: Stage) -> None:
    stage.write("all", 40)
    stage.do(stage.cluster._sleep(1))
    evidence = stage.do(stage.cluster.rot(NODES))
    assert evidence.bit
    stage.do(stage.cluster._sleep(60))
    assert stage.do(stage.cluster.survey()) == Evidence(True, "records damaged: 0")
    assert not stage.do(stage.cluster.survey()).bit
    stage.read("all", "n3", 40)


def test_slow_disks_are_slow_until_they_are_mended(stage: Stage) -> None:
    cluster = stage.cluster

    def put_ms() -> float:
        began = cluster.world.now
        assert isinstance(stage.ask("n1", Put("k", b"v", "all")), Done)
        return (cluster.world.now - began) / 1e6

    usual = put_ms()
    assert stage.do(cluster.slow(NODES)).bit
    assert put_ms() > 5 * usual
    assert stage.do(cluster.mend_disks()).bit
    stage.do(cluster._sleep(1))  # what was under way still takes its time
    assert put_ms() < 5 * usual


def test_a_drifting_clock_gains_what_it_was_told_and_stops(stage: Stage) -> None:
    cluster = stage.cluster
    assert stage.do(cluster.drift({"n1": 100_000})).detail == "in 1000 ms clocks gained: n1 by +100 ms"
    assert stage.do(cluster.drift(dict.fromkeys(NODES, 0))).bit
    assert not stage.do(cluster.reset()).detail.endswith("none")


def test_roles_follow_the_layout_and_who_runs(stage: Stage) -> None:
    cluster = stage.cluster
    assert stage.do(cluster.roles()) == {
        "steward": ("n1",),
        "council": NODES,
        "owner": NODES,
        "spare": ("s1",),
    }
    stage.do(cluster.kill(("n1",)))
    assert stage.do(cluster.roles())["steward"] == ("n2",)
    assert stage.do(cluster.roles())["council"] == NODES
    stage.do(cluster.start(("n1",)))
    assert stage.do(cluster.replace("n3", "s1")).bit
    roles = stage.do(cluster.roles())
    assert roles["owner"] == ("n1", "n2", "n4", "s1")
    assert roles["spare"] == ("n3",)
    assert set(roles) == set(cluster.role_names)


def test_roles_that_nobody_tells_of_are_an_error(stage: Stage) -> None:
    stage.do(stage.cluster.kill(NODES))
    with pytest.raises(
        ClusterError, match=r"^no node tells of a layout, so nobody knows who has which role$"
    ):
        stage.do(stage.cluster.roles())


def test_a_node_that_is_not_there_is_named_by_every_change(stage: Stage) -> None:
    cluster = stage.cluster
    for change in (
        cluster.join("n9"),
        cluster.leave("n9"),
        cluster.replace("n9", "s1"),
        cluster.replace("n1", "n9"),
        cluster.wipe("n9"),
    ):
        with pytest.raises(ClusterError, match=r"^there is no node 'n9'; the nodes are n1, n2, n3, n4, s1$"):
            stage.do(change)
