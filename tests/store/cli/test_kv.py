"""The command `kv` and real node processes: exit statuses, sentences, and what a crash leaves."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from store.__main__ import main
from store.client import Client, StoreError, connect
from store.core.messages import Done, Put
from store.process import FILES_NEEDED
from tests.support.nodes import ROOT, RealNode, command, free_ports, kv, real_nodes

SINGLE = 'name = "n1"\ncluster = "demo"\nlisten = "127.0.0.1:{port}"\ndata = "n1"\n'


def single(directory: Path, port: int = 0) -> RealNode:
    config = directory / "n1.toml"
    config.write_text(SINGLE.format(port=port))
    return RealNode(config)


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `kv` in this process, which starts much faster."""

    def run(*arguments: str) -> Answer:
        status = main(list(arguments))
        return Answer(status, *capsys.readouterr())

    return run


def refused(config: Path, limits: Sequence[str] = ()) -> tuple[int, str]:
    """The exit status and what was said by a node that does not start."""
    ended = kv("node", "--config", str(config), limits=limits)
    assert ended.stdout == ""
    (sentence,) = ended.stderr.splitlines()
    return ended.returncode, sentence


@pytest.mark.real
def test_every_level_from_the_command_line(tmp_path: Path, ask: Ask) -> None:
    with real_nodes(tmp_path, 3) as nodes:
        for level in ("one", "quorum", "all", "linearizable", "r=1,w=2"):
            at = ("--node", nodes[0].address, "--level", level)
            assert ask("put", level, f"{level} 1", *at) == (0, "", "")
            assert ask("get", level, *at) == (0, f"{level} 1", "")
        at = ("--node", nodes[1].address)
        assert ask("get", "lock", *at) == (1, "", "kv: 'lock' has no value at linearizable\n")
        assert ask("cas", "lock", "--absent", "mine", *at).status == 0
        other = ask("cas", "lock", "yours", "ours", *at)
        assert (other.status, other.err[:13]) == (1, "kv: mismatch:")
        assert ask("cas", "lock", "mine", "ours", *at).status == 0
        assert ask("cas", "lock", "ours", "all", "--level", "one", *at).status == 254
        assert ask("delete", "lock", *at).status == 0
        other = ask("get", "lock", "--cluster", "other", *at)
        assert (other.status, "this node is of cluster 'demo', not 'other'" in other.err) == (1, True)
        status = ask("status", "--node", nodes[2].address)
        assert "n1, n2, n3" in status.out
        assert "links_up" in status.out
        assert [node.end(signal.SIGTERM) for node in nodes] == [0, 0, 0]
        for node in nodes:
            assert "Traceback" not in node.log.read_text()
            assert "ends: SIGTERM" in node.log.read_text()


@pytest.mark.real
def test_what_was_acknowledged_survives_kill_9_of_all_nodes_under_load(tmp_path: Path) -> None:
    acknowledged: dict[str, bytes] = {}

    async def load(nodes: list[RealNode]) -> None:
        async def put(client: Client, number: int) -> None:
            for count in range(1_000_000):
                key, value = f"{number}-{count % 5}", b"%d" % count
                try:
                    response = await client.request(Put(key, value, "linearizable"), 5)
                except StoreError:
                    return
                if isinstance(response, Done):
                    acknowledged[key] = value
                if len(acknowledged) >= 80 and count > 20:
                    for node in nodes:
                        assert node.process is not None
                        node.process.kill()

        async with trio.open_nursery() as nursery:
            client = await Client.open(str(nodes[0].ready["host"]), int(nodes[0].ready["port"]), "demo")
            for number in range(16):
                nursery.start_soon(put, client, number)

    async def check(nodes: list[RealNode]) -> None:
        async with connect(str(nodes[1].ready["host"]), int(nodes[1].ready["port"]), "demo") as client:
            for key, value in acknowledged.items():
                held = await client.get(key)
                assert held is not None
                assert int(held) >= int(value), f"{key} held {value!r} and holds {held!r}"

    with real_nodes(tmp_path, 3) as nodes:
        trio.run(load, nodes)
        for node in nodes:
            assert node.wait() == -signal.SIGKILL
            node.start()
        trio.run(check, nodes)


@pytest.mark.real
def test_a_node_serves_without_its_peers_at_level_one(tmp_path: Path, ask: Ask) -> None:
    with real_nodes(tmp_path, 3) as nodes:
        assert ask("put", "k", "v", "--level", "all", "--node", nodes[0].address).status == 0
        for node in nodes[1:]:
            node.end(signal.SIGKILL)
        at = ("--node", nodes[0].address)
        assert ask("put", "k", "w", "--level", "one", *at).status == 0
        assert ask("get", "k", "--level", "one", *at).out == "w"
        late = ask("get", "k", "--level", "quorum", "--timeout", "0.3", *at)
        assert late.status == 1
        assert late.err.startswith(("kv: unavailable:", "kv: timeout:"))
        assert nodes[0].end(signal.SIGINT) == 0


@pytest.mark.real
def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, sentence = refused(single(tmp_path, port).config)
    assert status == 1
    assert sentence.endswith(f"ERROR n1 cannot listen on 127.0.0.1:{port}: Address already in use")


@pytest.mark.real
def test_a_data_directory_in_use_or_of_another_node_is_one_sentence(tmp_path: Path) -> None:
    node = single(tmp_path)
    node.start()
    status, sentence = refused(node.config)
    assert (status, sentence[-60:]) == (
        1,
        f"data directory {tmp_path}/n1: is in use by another process"[-60:],
    )
    assert node.end(signal.SIGTERM) == 0
    node.config.write_text(node.config.read_text().replace('name = "n1"', 'name = "n2"'))
    status, sentence = refused(node.config)
    assert status == 1
    assert "belongs to node 'n1' of cluster 'demo'" in sentence


@pytest.mark.real
def test_a_data_directory_that_cannot_be_made_is_the_disks_failure(tmp_path: Path) -> None:
    config = single(tmp_path).config
    config.write_text(config.read_text().replace('data = "n1"', 'data = "n1.toml/data"'))
    status, sentence = refused(config)
    assert status == 74
    assert sentence.endswith(f"data directory {config}/data: cannot be opened: Not a directory")


@pytest.mark.real
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_a_node_raises_its_limit_of_open_files_or_says_that_it_cannot(tmp_path: Path) -> None:
    node = single(tmp_path)
    node.start(limits=["--nofile=64:4096"])
    assert node.process is not None
    assert f"{FILES_NEEDED}" in Path(f"/proc/{node.process.pid}/limits").read_text()
    assert node.end(signal.SIGTERM) == 0
    status, sentence = refused(node.config, limits=["--nofile=64:64"])
    assert status == 1
    assert sentence.endswith(f"a node needs {FILES_NEEDED} open files, and the limit (ulimit -Hn) is lower")


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_closed_or_full_stdout_is_one_sentence(tmp_path: Path, ask: Ask) -> None:
    node = single(tmp_path)
    node.start()
    assert ask("put", "k", "v", "--node", node.address).status == 0
    with open("/dev/full", "w") as full:
        for words, stdout, closed, why in (
            (("get", "k"), full, False, "No space left on device"),
            (("status",), None, True, "stdout is closed"),
        ):
            ended = subprocess.run(
                command(*words, "--node", node.address),
                cwd=ROOT,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                timeout=30,
                preexec_fn=(lambda: os.close(1)) if closed else None,
            )
            assert ended.returncode == 1
            assert ended.stderr == f"kv: the answer cannot be written: {why}\n"
    assert node.end(signal.SIGTERM) == 0


@pytest.mark.real
def test_a_node_that_cannot_say_that_it_is_ready_serves_nevertheless(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    words = command("node", "--config", str(single(tmp_path, port).config))
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        assert process.stderr is not None
        while "cannot say on stdout that it is ready: Broken pipe" not in process.stderr.readline():
            assert process.poll() is None
        assert main(["put", "k", "v", "--node", f"127.0.0.1:{port}"]) == 0
        process.terminate()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.real
@pytest.mark.parametrize("value", ["small", "x" * 120_000])
def test_ctrl_c_while_a_node_says_nothing_is_one_sentence(value: str) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        at = f"127.0.0.1:{listener.getsockname()[1]}"
        words = command("put", "k", value, "--node", at, "--timeout", "30")
        with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1, socket.MSG_PEEK)  # now it waits, in trio
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                assert process.stderr.read() == "kv: interrupted\n"
    assert process.returncode == 1


@pytest.mark.real
def test_a_broken_configuration_is_one_sentence(tmp_path: Path) -> None:
    config = single(tmp_path).config
    config.write_text(config.read_text() + "speed = 9\n")
    status, sentence = refused(config)
    assert status == 254
    assert sentence.startswith(
        f"kv: {config}: key 'speed' is unknown; allowed are name, cluster, listen, data, "
    )


@pytest.mark.real
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_a_disk_that_takes_no_more_ends_the_node_with_74(tmp_path: Path, ask: Ask) -> None:
    node = single(tmp_path)
    node.start(limits=["--fsize=200000"])
    big = "x" * 60_000
    statuses = [ask("put", str(number), big, "--node", node.address).status for number in range(5)]
    assert node.wait() == 74
    assert f"data directory {tmp_path}/n1: cannot be written: IO error" in node.log.read_text()
    assert "Traceback" not in node.log.read_text()
    assert 0 in statuses
    node.start()
    for number, status in enumerate(statuses):
        if status == 0:
            assert ask("get", str(number), "--node", node.address).out == big
    assert node.end(signal.SIGTERM) == 0


@pytest.mark.real
def test_a_node_ends_when_the_one_that_started_it_closes_its_stdin(tmp_path: Path) -> None:
    node = single(tmp_path)
    node.start("--die-with-parent")
    assert node.process is not None
    assert node.process.stdin is not None
    node.process.stdin.close()
    assert node.wait() == 1


PARENT = """
import subprocess, sys, time
node = subprocess.Popen([sys.executable, "-m", "store", "node", "--config", sys.argv[1], "--die-with-parent"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
node.stdout.readline()
print(node.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a stopped process with its parent")
def test_a_stopped_node_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    config = single(tmp_path).config
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    deadline = time.monotonic() + 5
    while _runs(pid):
        assert time.monotonic() < deadline, "the node is still there"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["get"], "the following arguments are required: KEY"),
        (["get", "k", "--level", "most"], "'most' is not one of: one, quorum, all, r=R,w=W"),
        (["get", "k", "--node", "here"], "'here' is no address; write HOST:PORT"),
        (["get", "k", "--timeout", "0"], "'0' is no time; allowed are 0.001 to 3600 seconds"),
        (["get", "k", "--node", "a..b:1"], "'a..b:1' is no address; write HOST:PORT"),
        (["get", "k", "--cluster", ""], "'' is no name; allowed are 1 to 64 letters, digits"),
        (["get", "k", "--cluster", "\udcff"], "'\\udcff' is no name"),
        (["cas", "k", "only"], "cas takes KEY EXPECT VALUE, or KEY --absent VALUE"),
        (["cas", "k", "--absent", "a", "b"], "cas takes KEY EXPECT VALUE"),
        (["node"], "the following arguments are required: --config"),
    ],
)
def test_bad_arguments_are_one_sentence_and_254(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 254
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_nobody_there_is_one_sentence_and_1(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert main(["get", "k", "--node", f"127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err == f"kv: node at 127.0.0.1:{port} cannot be reached: Connection refused\n"


def test_the_help_has_examples_and_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, shown in ((["--help"], "kv cas lock --absent mine"), (["node", "--help"], "[peers]")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert shown in capsys.readouterr().out
