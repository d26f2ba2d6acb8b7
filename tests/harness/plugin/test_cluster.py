"""The nodes of a service as a cluster: what is done to them shows, and nothing is left of them."""

import os
import signal
import sys

import pytest
import trio

from harness.cluster.base import ClusterError, Kill, NotSent, Partition, Pause
from harness.cluster.process import comes_true, process_state
from harness.plugin.cluster import PORTS, ServiceCluster, free_ports
from harness.plugin.node import Node
from harness.plugin.process import ServiceProcess

SERVER = """
import os, socket, sys
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind((sys.argv[1], int(sys.argv[2])))
print(os.getpid(), os.environ["WHO"], flush=True)
if os.fork() == 0:  # a worker, which would not end with its parent
    os.write(1, b"%d\\n" % os.getpid())
listening.listen()
while True:
    listening.accept()[0].close()
"""


def cluster_of(tmp_path, count=2, source=SERVER, ready_s=20.0):
    words = [sys.executable, "-c", source, "{host}", "{port}"]
    return ServiceCluster(words, count, {"WHO": "{name}"}, tmp_path, ready_s)


def processes(tmp_path, node):
    """Those of a node that its log tells of, and that there are."""
    text = (tmp_path / "nodes" / f"{node}.log").read_text()
    numbers = [int(word) for word in text.split() if word.isdigit()]
    return [number for number in numbers if alive(number)]


def alive(number):
    try:
        with open(f"/proc/{number}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(tmp_path, main, **options):
    cluster = cluster_of(tmp_path, **options)

    async def whole():
        with trio.fail_after(60):
            try:
                await cluster.setup(tmp_path)
                await main(cluster)
            finally:
                await cluster.teardown()

    trio.run(whole)
    assert [processes(tmp_path, node) for node in cluster.nodes] == [[]] * len(cluster.nodes)


def test_it_says_what_can_be_done_to_it(tmp_path):
    cluster = cluster_of(tmp_path)
    assert isinstance(cluster, Kill)
    assert isinstance(cluster, Pause)
    assert isinstance(cluster, Partition)
    assert cluster.nodes == ("n1", "n2")


@pytest.mark.real
def test_a_node_is_killed_with_its_workers_and_started_again_in_its_place(tmp_path):
    async def main(cluster):
        first = (await cluster.connect("n1"))._node
        assert await comes_true(lambda: len(processes(tmp_path, "n1")) == 2, 20)
        evidence = await cluster.kill(("n1",))
        assert (evidence.bit, evidence.detail) == (True, "reaped after SIGKILL: n1")
        assert processes(tmp_path, "n1") == []
        assert cluster.states() == {"n1": "down", "n2": "up"}
        with pytest.raises(NotSent, match="n1 is down"):
            await cluster.connect("n1")
        assert not (await cluster.kill(("n1",))).bit
        assert (await cluster.start(("n1", "n2"))).detail == "accept connections again: n1"
        assert (await cluster.connect("n1"))._node == first
        assert cluster.unexpected_deaths() == []

    run(tmp_path, main)


@pytest.mark.real
def test_a_node_is_frozen_and_goes_on(tmp_path):
    async def main(cluster):
        assert (await cluster.pause(("n2",))).detail == "stopped: n2"
        assert cluster.states() == {"n1": "up", "n2": "paused"}
        assert (await cluster.resume(("n1", "n2"))).detail == "go on: n2"
        assert cluster.states() == {"n1": "up", "n2": "up"}
        await cluster.pause(("n2",))
        assert (await cluster.kill(("n2",))).bit

    run(tmp_path, main)


@pytest.mark.real
def test_a_node_that_ends_by_itself_is_told_of(tmp_path):
    async def main(cluster):
        os.kill(processes(tmp_path, "n2")[0], signal.SIGSEGV)
        assert await comes_true(lambda: bool(cluster.unexpected_deaths()), 20)
        (sentence,) = cluster.unexpected_deaths()
        assert sentence.startswith("n2 ended by itself (SIGSEGV): ")

    run(tmp_path, main, count=2)


@pytest.mark.real
def test_nobody_who_talks_is_nobody_who_is_cut_off(tmp_path):
    async def main(cluster):
        grudge = {"n1": frozenset({"n2"}), "n2": frozenset({"n1"})}
        evidence = await cluster.cut(grudge)
        assert not evidence.bit
        assert evidence.detail == "2 directions cut; held back 0 bytes and 0 new connections"

    run(tmp_path, main)


@pytest.mark.real
def test_a_service_that_never_listens_is_given_up(tmp_path):
    source = "import time; print('\\x1b[1;31mhello\\x1b[0m', flush=True); time.sleep(99)"
    with pytest.raises(ClusterError, match=r"n1 does not accept connections at .*:\d+ after 0.5 s: hello$"):
        run(tmp_path, trio.sleep, count=1, source=source, ready_s=0.5)


@pytest.mark.real
def test_a_program_that_there_is_not_is_one_sentence(tmp_path):
    cluster = ServiceCluster(["no-such-program"], 1, {}, tmp_path, 20)
    with pytest.raises(ClusterError, match="no-such-program cannot be run: No such file or directory"):
        trio.run(cluster.setup, tmp_path)


def test_ports_are_free_different_and_not_those_of_outgoing_connections():
    found = free_ports(20)
    assert len(set(found)) == 20
    assert set(found) <= set(PORTS)


DAEMON = """
import os, socket, sys, time
if os.fork() == 0:
    os.setsid()  # out of its group, with the port
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((sys.argv[1], int(sys.argv[2])))
    listening.listen()
    os.write(1, b"%d\\n" % os.getpid())
time.sleep(1000)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="looks for them in /proc")
def test_what_left_the_group_of_its_node_is_killed_and_stopped_with_it(tmp_path):
    async def main(cluster):
        assert await comes_true(lambda: len(processes(tmp_path, "n1")) == 1, 20)
        (daemon,) = processes(tmp_path, "n1")
        await cluster.pause(("n1",))
        assert await comes_true(lambda: process_state(daemon) == "T", 20)
        assert (await cluster.kill(("n1",))).bit
        assert not alive(daemon)
        assert (await cluster.start(("n1",))).bit

    run(tmp_path, main, count=1, source=DAEMON)


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="looks for them in /proc")
def test_a_node_has_ended_when_its_workers_have_too(tmp_path):
    """Until then one of them may hold the port, or write to the disk, that its successor is given."""
    source = "import os, time\nif os.fork() == 0: time.sleep(1000)"

    async def main():
        node = ServiceProcess(
            Node("n1", "127.0.0.1", 1), (sys.executable, "-c", source), {}, tmp_path, tmp_path / "log"
        )
        assert await comes_true(lambda: node.status() == 0, 20)
        assert await node.ended(0.3) is None
        node.send(signal.SIGKILL)
        assert await node.ended() == 0

    trio.run(main)


def test_an_older_run_is_no_reason_for_the_next_one_to_fail(tmp_path):
    cluster = cluster_of(tmp_path, count=1, source="raise SystemExit(3)")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with pytest.raises(ClusterError, match="n1 ended by itself"):
            trio.run(cluster.setup, tmp_path / name)
        assert len(cluster.unexpected_deaths()) == 1
        cluster._argv = ("no-such-program",)
    assert "no-such-program" in cluster.unexpected_deaths()[0]


def test_workers_look_for_ports_among_different_ones(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    for worker, rest in (("gw0", 0), ("gw1", 1), ("gw2", 0)):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        assert {port % 2 for port in free_ports(20)} == {rest}
