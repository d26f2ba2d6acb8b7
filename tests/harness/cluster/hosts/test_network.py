"""Partitions and packets in a lab, seen from sockets of our own on its hosts."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import trio

from harness.cluster.base import Behaviour, ClusterError, Grudge
from harness.lab import lab
from nemesis.grudge import bisect, complete, one_way
from nemesis.partition import draw_cut
from tests.support.hands import cut_sessions
from tests.support.network_bench import (
    HEARD_WITHIN_S,
    NODES,
    PATIENCE_S,
    PORT,
    SILENT_S,
    Bench,
    Stage,
    at,
    came_through,
    listener,
    transfer_s,
    unheard,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(
        any(
            shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None for tool in ("sshd", "iptables")
        ),
        reason="sshd or iptables is not installed (apt-get install openssh-server iptables)",
    ),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    runtime = tmp_path_factory.mktemp("network")
    made = lab.up("storm", len(NODES), runtime)
    try:
        stage = Stage(made)
        stage.thread.start()
        assert stage.ready.wait(PATIENCE_S)
        yield stage
        stage.token.run_sync_soon(stage.enough.set)
        stage.thread.join()
    finally:
        lab.down("storm", runtime)


def grudges() -> list[Grudge]:
    drawn = draw_cut(["random"], NODES, 7).grudge
    return [
        complete(bisect(NODES)),
        one_way(NODES[:1], NODES[1:]),
        {node: frozenset(sources) for node, sources in drawn.items()},
        complete(((NODES[0],), (NODES[1],), NODES[2:])),
    ]


def test_each_grudge_is_what_the_hosts_observe_and_replaces_the_one_before(stage: Stage) -> None:
    """Also with every SSH session killed while it lasts: it stays, and can be healed."""

    async def scene(bench: Bench) -> None:
        for grudge in grudges():
            evidence = await bench.cut(grudge)
            links = sum(map(len, grudge.values()))
            assert evidence.bit
            assert evidence.detail == (
                f"{links} links cut; {links} of them dropped all probes; "
                f"probes passed over {12 - links} of the {12 - links} others"
            )
            assert cut_sessions(bench.lab) >= len(NODES)
            assert unheard(bench) == grudge
        evidence = await bench.heal()
        assert evidence.bit
        assert evidence.detail.startswith(
            "10 of 10 cut links dropped 10 packets; probes pass over 10 of them"
        )
        assert unheard(bench) == {}
        assert not (await bench.heal()).bit

    stage.play(scene)


def test_a_cut_over_which_nobody_spoke_has_dropped_nothing_but_our_probes(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        await bench.cut(one_way(["n1"], ["n2"]))
        evidence = await bench.heal()
        assert (evidence.bit, evidence.detail[:40]) == (False, "0 of 1 cut links dropped 0 packets; prob")
        assert not (await bench.cut({"n1": frozenset()})).bit
        with pytest.raises(ClusterError, match=r"^there is no node 'n9'; the nodes are n1, n2, n3, n4$"):
            await bench.cut({"n1": frozenset({"n9"})})

    stage.play(scene)


def test_a_connection_that_is_there_stands_still_during_a_cut_and_goes_on_after_it(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        door = at(bench.lab, "n1", lambda: listener("10.77.0.1"))
        caller = at(bench.lab, "n2", lambda: socket.create_connection(("10.77.0.1", PORT)))
        answerer, _ = door.accept()
        await bench.cut(complete((("n1",), ("n2",))))
        caller.send(b"during")
        answerer.settimeout(SILENT_S)
        with pytest.raises(TimeoutError):
            answerer.recv(10)
        assert (await bench.heal()).bit
        answerer.settimeout(PATIENCE_S)
        assert await trio.to_thread.run_sync(answerer.recv, 10) == b"during"
        for sock in (door, caller, answerer):
            sock.close()

    stage.play(scene)


FOREIGN = (
    "-N OTHERS",
    "-A OTHERS -s 10.77.0.2 -j RETURN",
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -s 10.77.0.2 -p tcp --dport 7000 -j ACCEPT",
    "-A INPUT -m comment --comment stormcellar -j OTHERS",
    "-A OUTPUT -d 10.77.0.3 -j OTHERS",
)


def test_rules_of_others_stay_as_they_are_and_each_fault_heals_only_itself(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        for rule in FOREIGN:
            await bench.on("n1", "iptables", *rule.split())
        before = await bench.rules("n1")
        await bench.cut(complete((("n1",), NODES[1:])))
        await bench.on("n1", "iptables", "-I", "INPUT", "-s", "10.77.0.4", "-j", "OTHERS")
        await bench.cut_clients(("n1",))
        await bench.shape(("n2", "n3"), Behaviour(loss=0.5))
        await bench.cut(complete((("n1", "n2"), NODES[2:])))
        during = await bench.rules("n1")
        assert during[during.index(f"-A {HOOKS[0]}") - 1].startswith(":")  # nobody comes before the last cut
        assert [line for line in during if "STORMCELLAR" not in line and "10.77.0.4" not in line] == before
        for heal, gone in (
            (bench.heal_clients, "STORMCELLAR-CLIENTS STORMCELLAR-ANSWERS"),
            (bench.heal, "STORMCELLAR-CUT"),
            (bench.unshape, "STORMCELLAR-LOSS"),
        ):
            was = await bench.rules("n1")
            await heal()
            assert await bench.rules("n1") == [
                line for line in was if not any(name in line for name in gone.split())
            ]
        await bench.on("n1", "iptables", "-D", "INPUT", "1")
        assert await bench.rules("n1") == before
        await bench.on("n1", "iptables", "-F")
        await bench.on("n1", "iptables", "-X")

    stage.play(scene)


HOOKS = ("INPUT -m comment --comment stormcellar -j STORMCELLAR-CUT",)


def test_whatever_is_left_is_undone_when_the_hand_ends(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        await bench.cut(complete(bisect(NODES)))
        await bench.cut_clients(NODES)
        await bench.shape(NODES, Behaviour(loss=0.3, rate_kbit=2000))
        undone = await bench.hands["n2"].aclose()
        assert undone == [
            "STORMCELLAR-LOSS: removed, with 6 rules",
            "eth0: our qdisc removed",
            "STORMCELLAR-CLIENTS and STORMCELLAR-ANSWERS: removed, with 12 rules",
            "STORMCELLAR-CUT: removed, with 2 rules",
        ]
        await bench.take("n2")
        await bench.heal()
        await bench.heal_clients()
        await bench.unshape()

    stage.play(scene)


def test_the_address_of_the_controller_and_its_port_are_refused_by_name(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        for operation, args in (
            ("cut", {"peers": {"me": "10.77.0.254"}}),
            ("shape", {"peers": {}, "losing": {"me": "10.77.0.254"}, "behaviour": {"loss": 1}}),
        ):
            with pytest.raises(ClusterError, match=r"^n1: what me \(10.77.0.254\) sends cannot be dropped: "):
                await bench.ask("n1", operation, args)
        with pytest.raises(ClusterError, match=r"^n1: port 22 is that of the SSH connection"):
            await bench.ask("n1", "cut-clients", {"port": 22, "nodes": ["10.77.0.2"]})

    stage.play(scene)


def test_clients_are_cut_off_from_some_nodes_which_hear_each_other(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        doors = {
            node: at(bench.lab, node, partial(listener, bench.addresses()[node])) for node in ("n1", "n2")
        }
        kept = bench.lab.client.dial("10.77.0.1", PORT, HEARD_WITHIN_S)
        inside, _ = doors["n1"].accept()
        evidence = await bench.cut_clients(("n1",))
        assert (evidence.bit, evidence.detail) == (
            True,
            "drop what a client sends, and do not answer: n1",
        )
        assert unheard(bench) == {}
        peer = at(bench.lab, "n3", lambda: socket.create_connection(("10.77.0.1", PORT), HEARD_WITHIN_S))
        with pytest.raises(TimeoutError):
            bench.lab.client.dial("10.77.0.1", PORT, SILENT_S)
        bench.lab.client.dial("10.77.0.2", PORT, HEARD_WITHIN_S).close()
        kept.send(b"question")
        inside.send(b"answer")
        for end in (kept, inside):
            end.settimeout(SILENT_S)
            with pytest.raises(TimeoutError):
                end.recv(10)
        evidence = await bench.heal_clients()
        assert evidence.bit
        assert evidence.detail.endswith("packets of clients and to them were dropped; answer again: n1")
        for end, said in ((inside, b"question"), (kept, b"answer")):
            end.settimeout(PATIENCE_S)
            assert await trio.to_thread.run_sync(end.recv, 10) == said
        assert not (await bench.heal_clients()).bit
        for sock in (*doors.values(), kept, inside, peer):
            sock.close()

    stage.play(scene)


def test_another_cut_of_clients_replaces_the_first_and_a_refusal_is_an_answer(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        assert (await bench.cut_clients(("n1", "n2"))).bit
        assert (await bench.cut_clients(("n3",))).bit
        with pytest.raises(ConnectionRefusedError):
            bench.lab.client.dial("10.77.0.1", PORT, HEARD_WITHIN_S)
        with pytest.raises(TimeoutError):
            bench.lab.client.dial("10.77.0.3", PORT, SILENT_S)
        assert (await bench.heal_clients()).detail.endswith("; answer again: n3")

    stage.play(scene)


def test_a_fraction_of_what_some_nodes_send_is_lost_and_counted(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        evidence = await bench.shape(("n1",), Behaviour(loss=0.3))
        assert evidence.bit
        assert came_through(bench, "n1", "n2") == pytest.approx(700, abs=120)
        assert came_through(bench, "n2", "n1") == 1000
        evidence = await bench.unshape()
        assert evidence.bit
        assert " of 1000 packets were lost; now: a round takes " in evidence.detail
        assert came_through(bench, "n1", "n2") == 1000
        assert not (await bench.unshape()).bit

    stage.play(scene)


def test_a_limited_rate_slows_what_goes_to_nodes_and_nothing_else(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        before = await bench.on("n1", "tc", "qdisc", "show")
        assert (await bench.shape(("n1",), Behaviour(rate_kbit=500))).bit
        assert transfer_s(bench, "n1", "10.77.0.2") > 2
        assert transfer_s(bench, "n2", "10.77.0.1") < 1.5
        assert transfer_s(bench, "n1", "10.77.0.254") < 1.5
        assert (await bench.unshape()).bit
        assert await bench.on("n1", "tc", "qdisc", "show") == before
        assert transfer_s(bench, "n1", "10.77.0.2") < 1.5

    stage.play(scene)


BY_NETEM = (
    Behaviour(delay_ms=40, jitter_ms=8),
    Behaviour(duplicate=0.3),
    Behaviour(delay_ms=40, reorder=0.3),
    Behaviour(corrupt=0.3),
)


def test_what_takes_netem_is_measured_or_refused_because_the_kernel_has_none(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        before = await bench.on("n1", "tc", "qdisc", "show")
        for behaviour in BY_NETEM:
            said = ""
            try:
                assert (await bench.shape(("n1",), behaviour)).bit
                await bench.unshape()
            except ClusterError as error:
                said = str(error)
            without = "n1: the kernel has no netem: modprobe sch_netem, or run a kernel that comes with it"
            assert said in ("", without)
            assert await bench.on("n1", "tc", "qdisc", "show") == before

    stage.play(scene)


def test_distances_between_hosts_are_measured_or_refused_because_the_kernel_has_no_netem(
    stage: Stage,
) -> None:
    async def scene(bench: Bench) -> None:
        before = await bench.on("n1", "tc", "qdisc", "show")
        said = ""
        try:
            evidence = await bench.set_apart({"n1": {"n2": 40.0, "n3": 10.0}, "n2": {"n1": 20.0}})
            assert evidence.bit, evidence
            assert evidence.detail.startswith("rounds: n1->n2 6")
            assert (await bench.bring_together()).bit
        except ClusterError as error:
            said = str(error).partition(": ")[2]
        assert said in ("", "the kernel has no netem: modprobe sch_netem, or run a kernel that comes with it")
        assert await bench.on("n1", "tc", "qdisc", "show") == before

    stage.play(scene)


def test_a_qdisc_of_somebody_else_is_refused_by_name_and_stays(stage: Stage) -> None:
    async def scene(bench: Bench) -> None:
        await bench.on("n1", "tc", "qdisc", "add", "dev", "eth0", "root", "handle", "7:", "pfifo")
        before = await bench.on("n1", "tc", "qdisc", "show")
        with pytest.raises(ClusterError, match=r"^n1: eth0 has a qdisc of somebody else, pfifo 7:, which is"):
            await bench.shape(("n1",), Behaviour(rate_kbit=1000))
        assert await bench.on("n1", "tc", "qdisc", "show") == before
        await bench.on("n1", "tc", "qdisc", "del", "dev", "eth0", "root")

    stage.play(scene)


def test_addresses_of_ipv6_are_cut_by_ip6tables_but_still_found(stage: Stage) -> None:
    addresses = {node: f"fd00:77::{i}" for i, node in enumerate(NODES, start=1)}

    async def scene(bench: Bench) -> None:
        sites = bench.sites
        for node in NODES:
            await bench.on(node, "ip", "addr", "add", f"{addresses[node]}/64", "dev", "eth0", "nodad")
        bench.sites = {node: replace(site, address=addresses[node]) for node, site in sites.items()}
        evidence = await bench.cut(one_way(["n1", "n2"], ["n3"]))
        assert evidence.detail.endswith("probes passed over 10 of the 10 others")
        assert evidence.bit
        assert unheard(bench) == {"n1": {"n3"}, "n2": {"n3"}}
        assert not [line for line in await bench.rules("n1") if "STORM" in line]
        assert (await bench.heal()).bit
        assert (await bench.shape(("n3",), Behaviour(loss=0.5))).bit
        await bench.unshape()
        assert not [line for line in await bench.rules("n1", "ip6tables-save") if "STORM" in line]
        bench.sites = sites
        for node in NODES:
            await bench.on(node, "ip", "addr", "del", f"{addresses[node]}/64", "dev", "eth0")

    stage.play(scene)
