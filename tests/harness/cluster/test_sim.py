from functools import partial

import pytest

from harness.cluster.base import (
    Behaviour,
    ClientPartition,
    Clock,
    ClusterError,
    Disk,
    Drift,
    Evidence,
    Kill,
    Lost,
    Membership,
    NotSent,
    Packets,
    Partition,
    Pause,
    Power,
    Rot,
    Strobe,
)
from harness.cluster.sim import SimCluster
from harness.sim.clock import EPOCH_NS
from harness.sim.world import MS, SECOND
from store.core.machine import Input
from store.core.messages import Done, Put, Status
from tests.support.echo import Echo

NODES = ("n1", "n2", "n3")


def a_cluster(seed: int = 1) -> SimCluster:
    """One of echo nodes, started."""
    heard: list[Input] = []
    cluster = SimCluster(NODES, 1, seed, make=partial(Echo, heard))
    assert cluster.world.complete(cluster.start(NODES)).bit
    return cluster


def request(cluster: SimCluster, node: str, body, timeout_s: float = 1.0):
    async def main():
        session = await cluster.connect(node)
        return await session.request(body, timeout_s)

    return cluster.world.complete(main())


def test_it_has_every_capability():
    cluster = a_cluster()
    for capability in (
        Kill,
        Pause,
        Partition,
        ClientPartition,
        Packets,
        Clock,
        Strobe,
        Drift,
        Disk,
        Membership,
    ):
        assert isinstance(cluster, capability)


def test_setup_starts_every_node_and_teardown_writes_their_logs(tmp_path):
    cluster = SimCluster(NODES, 2, 1)
    run = cluster.world.complete
    run(cluster.setup(tmp_path))
    assert cluster.states() == dict.fromkeys(NODES, "up")
    run(cluster.pause(("n1",)))
    run(cluster.bump({"n2": -500}))
    run(cluster.kill(("n3",)))
    run(cluster.teardown())
    run(cluster.teardown())
    assert cluster.states() == dict.fromkeys(NODES, "down")
    logs = {node: (tmp_path / "nodes" / f"{node}.log").read_text().splitlines() for node in NODES}
    assert logs["n1"][0].startswith("   0.200000000 ")
    said = {node: [line[15:] for line in lines] for node, lines in logs.items()}
    serves = "serves {'why': ''}"
    assert said == {
        "n1": ["start, boot 1", serves, "paused", "stop"],
        "n2": ["start, boot 1", serves, "clock bumped by -500 ms", "stop"],
        "n3": ["start, boot 1", serves, "killed; requests broken: 0; records lost: 0"],
    }


def test_teardown_of_what_was_never_set_up_does_nothing():
    cluster = SimCluster(NODES, 2, 1)
    cluster.world.complete(cluster.teardown())


def test_logs_that_cannot_be_written_are_a_cluster_error(tmp_path):
    (tmp_path / "nodes").write_text("in the way")
    cluster = SimCluster(NODES, 2, 1)
    with pytest.raises(ClusterError, match="the node logs cannot go to"):
        cluster.world.complete(cluster.setup(tmp_path))


def test_a_killed_node_refuses_connections_after_a_round_trip():
    cluster = a_cluster()
    evidence = cluster.world.complete(cluster.kill(("n2", "n1")))
    assert evidence == Evidence(True, "refuse connections: n1, n2; 0 requests broken, 0 records lost")
    before = cluster.world.now
    with pytest.raises(NotSent, match="n1 refused the connection"):
        request(cluster, "n1", Status())
    assert before < cluster.world.now < before + 10 * MS
    assert cluster.states() == {"n1": "down", "n2": "down", "n3": "up"}


def test_killing_the_dead_bites_nobody_and_starting_the_living_neither():
    cluster = a_cluster()
    run = cluster.world.complete
    run(cluster.kill(("n1",)))
    assert not run(cluster.kill(("n1",))).bit
    assert run(cluster.start(NODES)) == Evidence(True, "answer again: n1")
    assert run(cluster.start(NODES)) == Evidence(False, "answer again: none")


def test_a_start_takes_its_time_and_keeps_what_was_durable():
    cluster = a_cluster()
    run = cluster.world.complete
    assert request(cluster, "n1", Put("x", b"1", "one")) == Done(1)
    run(cluster.kill(("n1",)))
    before = cluster.world.now
    assert run(cluster.start(("n1",))).bit
    assert cluster.world.now >= before + 200 * MS
    assert request(cluster, "n1", Status()).status["boot"] == 2


def test_a_pause_is_seen_as_silence_and_its_end_as_an_answer():
    cluster = a_cluster()
    run = cluster.world.complete
    assert run(cluster.pause(("n3",))) == Evidence(True, "silent for 0.1 s: n3")
    assert cluster.states()["n3"] == "paused"
    assert not run(cluster.pause(("n3",))).bit
    evidence = run(cluster.resume(NODES))
    assert evidence.bit
    assert evidence.detail == "answer again: n3; 2 inputs were held back"
    assert not run(cluster.resume(NODES)).bit


def test_a_paused_node_can_be_killed_and_comes_back_running():
    cluster = a_cluster()
    run = cluster.world.complete
    run(cluster.pause(("n1",)))
    assert run(cluster.kill(("n1",))).bit
    assert not run(cluster.resume(("n1",))).bit
    assert run(cluster.start(("n1",))).bit
    assert cluster.states()["n1"] == "up"


def test_the_evidence_of_a_cut_is_probes_and_of_its_healing_what_was_dropped():
    cluster = a_cluster()
    run = cluster.world.complete
    evidence = run(cluster.cut({"n1": frozenset({"n2", "n3"}), "n3": frozenset({"n1"})}))
    assert evidence == Evidence(
        True,
        "3 links cut; 0 probes came through them, 3 through the others",
    )
    request(cluster, "n1", Put("x", b"1", "one"))
    cluster.world.run_until(cluster.world.now + 100 * MS)
    assert run(cluster.heal()) == Evidence(True, "1 of 3 cut links dropped 1 messages")
    assert run(cluster.heal()) == Evidence(False, "0 of 0 cut links dropped 0 messages")


def test_a_cut_through_which_nobody_spoke_has_not_bitten():
    cluster = a_cluster()
    run = cluster.world.complete
    run(cluster.cut({"n1": frozenset({"n2"})}))
    assert run(cluster.heal()) == Evidence(False, "0 of 1 cut links dropped 0 messages")


def test_a_grudge_without_enemies_cuts_nothing():
    cluster = a_cluster()
    assert not cluster.world.complete(cluster.cut({"n1": frozenset()})).bit


def test_clients_are_cut_off_from_a_node_that_the_others_still_hear():
    cluster = SimCluster(NODES, 3, 1)
    run = cluster.world.complete
    run(cluster.start(NODES))

    async def main():
        session = await cluster.connect("n1")
        assert await session.request(Put("x", b"1", "all"), 1.0) == Done(1)
        evidence = await cluster.cut_clients(("n1",))
        assert evidence == Evidence(True, "do not answer clients: n1")
        with pytest.raises(Lost, match="n1 did not answer in time"):
            await session.request(Put("x", b"2", "all"), 1.0)
        with pytest.raises(NotSent, match="n1 did not answer in time"):
            await cluster.connect("n1")
        other = await cluster.connect("n2")
        assert isinstance(await other.request(Put("x", b"3", "all"), 1.0), Done)
        assert (await cluster.heal_clients()).detail.startswith("3 messages of clients and to them were")
        again = await cluster.connect("n1")
        assert isinstance(await again.request(Put("x", b"4", "all"), 1.0), Done)
        assert not (await cluster.heal_clients()).bit

    run(main())


def test_an_answer_that_is_on_its_way_when_clients_are_cut_off_is_lost():
    cluster = a_cluster()

    async def main():
        session = await cluster.connect("n1")
        cluster.world.at(cluster.world.now + 100_000, cluster._network.part_clients, ["n1"])
        with pytest.raises(Lost, match="n1 did not answer in time"):
            await session.request(Status(), 0.5)

    cluster.world.complete(main())


def test_a_client_hears_only_after_the_cut_that_its_node_was_killed_meanwhile():
    cluster = a_cluster()
    run = cluster.world.complete

    async def main():
        session = await cluster.connect("n1")
        await cluster.cut_clients(("n1",))
        assert (await cluster.kill(("n1",))).bit
        assert (await cluster.start(("n1",))).bit
        await cluster.heal_clients()
        before = cluster.world.now
        with pytest.raises(Lost, match="n1 reset the connection"):
            await session.request(Status(), 5.0)
        assert cluster.world.now < before + 10 * MS

    run(main())


def test_what_the_cluster_looks_at_itself_no_cut_of_clients_hides():
    cluster = a_cluster()
    run = cluster.world.complete
    run(cluster.cut_clients(NODES))
    assert run(cluster.kill(("n1",))).bit
    assert run(cluster.start(("n1",))) == Evidence(True, "answer again: n1")
    assert run(cluster.pause(("n2",))).bit
    assert run(cluster.resume(("n2",))).bit


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(delay_ms=50, jitter_ms=10),
        Behaviour(loss=0.2),
        Behaviour(duplicate=0.2),
        Behaviour(delay_ms=50, reorder=0.2),
        Behaviour(corrupt=0.2),
        Behaviour(rate_kbit=500),
    ],
)
def test_each_behaviour_of_packets_is_seen_by_probes_and_counted_over_messages(behaviour):
    cluster = SimCluster(NODES, 3, 1)
    run = cluster.world.complete
    run(cluster.start(NODES))
    evidence = run(cluster.shape(("n1", "n2"), behaviour))
    assert evidence.bit
    assert evidence.detail.startswith("before: probes took ")
    request(cluster, "n1", Put("x", b"1", "one"))
    evidence = run(cluster.unshape())
    assert evidence.bit
    assert evidence.detail.startswith("of ")
    assert run(cluster.unshape()) == Evidence(False, "no messages")


def test_packets_of_nobody_do_not_suffer():
    cluster = a_cluster()
    assert not cluster.world.complete(cluster.shape((), Behaviour(loss=1))).bit
    assert not cluster.world.complete(cluster.shape(("n1",), Behaviour())).bit


def test_clocks_are_bumped_and_set_right_again():
    cluster = a_cluster()
    run = cluster.world.complete
    evidence = run(cluster.bump({"n2": 250, "n1": -100}))
    assert evidence == Evidence(True, "clocks moved: n1 by -100 ms, n2 by +250 ms")
    skew = request(cluster, "n2", Status()).status["wall_ms"] - (EPOCH_NS + cluster.world.now) // MS
    assert skew in (249, 250)
    assert run(cluster.reset()).detail == "clocks moved: n1 by +100 ms, n2 by -250 ms"
    assert run(cluster.reset()) == Evidence(False, "clocks moved: none")


def test_clocks_jump_forth_and_back_until_they_are_reset():
    cluster = a_cluster()
    run = cluster.world.complete
    began = cluster.world.now
    evidence = run(cluster.strobe({"n2": -70_000, "n1": 5}, 3))
    assert evidence == Evidence(True, "in 6 ms clocks moved: n1 by +5 and -5 ms, n2 by -70000 and +70000 ms")
    assert cluster.world.now == began + 6 * MS
    before = cluster.world.events
    cluster.world.run_until(began + 6 * MS + 3600 * SECOND)
    assert cluster.world.events < before + 100, "jumps cost nothing"
    assert run(cluster.reset()).detail.startswith("clocks moved: n1 by -5 ms after 1200003 jumps, ")
    assert run(cluster.reset()) == Evidence(False, "clocks moved: none")


def test_a_drift_that_has_gained_nothing_yet_is_ended_all_the_same():
    cluster = a_cluster()
    cluster._hosts["n1"].drift(50_000)
    assert cluster.world.complete(cluster.reset()).bit
    cluster.world.run_until(cluster.world.now + SECOND)
    assert cluster._hosts["n1"].clock.offset_ms(cluster.world.now) == 0


def test_a_node_that_is_not_there_is_named():
    cluster = a_cluster()
    for coroutine in (
        cluster.connect("n9"),
        cluster.kill(("n9",)),
        cluster.cut({"n1": frozenset({"n9"})}),
        cluster.bump({"n9": 5}),
        cluster.set_apart({"n1": {"n9": 5.0}}),
    ):
        with pytest.raises(ClusterError, match="no node 'n9'; the nodes are n1, n2, n3"):
            cluster.world.complete(coroutine)


def test_power_that_fails_ends_nodes_and_loses_what_is_not_durable() -> None:
    cluster = a_cluster()
    assert isinstance(cluster, Power)
    evidence = cluster.world.complete(cluster.power_off(("n1", "n2")))
    assert evidence.bit
    assert "records lost" in evidence.detail
    assert cluster.states()["n1"] == "down"
    assert cluster.world.complete(cluster.start(("n1", "n2"))).bit


def test_rot_is_a_capability_of_its_own() -> None:
    cluster = a_cluster()
    assert isinstance(cluster, Rot)
    assert isinstance(cluster, Disk)
    assert cluster.world.complete(cluster.survey()) == Evidence(False, "records damaged: 0")
