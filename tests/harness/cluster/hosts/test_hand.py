"""The hand on hosts of a lab, over SSH: it comes, works, and heals whoever is killed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
import trio

from harness.cluster.base import ClusterError
from harness.cluster.hosts import parcel
from harness.cluster.hosts.hand import Hand, sharing_a_kernel
from harness.lab import lab
from harness.lab.lab import Lab
from harness.remote.connection import Connection
from tests.support.hands import cut_sessions, hands, harmless, kill_at_once, processes, srv
from tests.support.sshd import PROGRAM, sshd_in

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(PROGRAM is None, reason="sshd is not installed (apt-get install openssh-server)"),
]
PATIENCE_S = 30
LONG_S = 60.0


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab") / "runtime"


@pytest.fixture(scope="module")
def made(runtime: Path) -> Iterator[Lab]:
    try:
        yield lab.up("hands", 2, runtime)
    finally:
        lab.down("hands", runtime)


@pytest.fixture(autouse=True)
def harmless_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    content = harmless()
    monkeypatch.setattr(parcel, "parcel", lambda: content)


def play(made: Lab, scene: Callable[..., Awaitable[None]], number: int = 0) -> None:
    """With a connection to one host."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with Connection(made.hosts[number]) as connection:
                await scene(connection)

    trio.run(main)


async def until(fact: Callable[[], object]) -> None:
    while not fact():  # noqa: ASYNC110  # nobody tells of other people's processes
        await trio.sleep(0.01)


def test_it_is_sent_once_answers_and_goes(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        shutil.rmtree(srv(made) / "stormcellar", ignore_errors=True)
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        sent = srv(made) / "stormcellar/hand.pyz"
        assert sent.read_bytes() == harmless().content
        first = sent.stat().st_ino
        assert await hand.do("echo", {"a": [1, "é"]}) == {"a": [1, "é"]}
        await hand.do("mark", {"path": "/srv/mark"})
        assert (srv(made) / "mark").exists()
        assert await hand.aclose() == ["/srv/mark was removed"]
        assert not (srv(made) / "mark").exists()
        assert await hand.aclose() == []
        await until(lambda: not hands(made))
        again = Hand("n1", connection, LONG_S)
        await again.start()
        assert again.hello.undone == []
        assert sent.stat().st_ino == first
        await again.aclose()

    play(made, scene)


def test_the_same_code_is_the_same_bytes_and_another_is_sent_anew(made: Lab) -> None:
    assert parcel.pack(parcel.modules()).sha256 == parcel.pack(parcel.modules()).sha256

    async def scene(connection: Connection) -> None:
        sent = srv(made) / "stormcellar/hand.pyz"
        sent.parent.mkdir(exist_ok=True)
        sent.write_bytes(b"of another version")
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        await hand.aclose()
        assert sent.read_bytes() == harmless().content

    play(made, scene)


def test_a_directory_that_others_can_write_is_not_trusted(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        home = srv(made) / "stormcellar"
        home.mkdir(exist_ok=True)
        for owner, mode in ((0, 0o777), (0, 0o775), (54321, 0o755)):
            os.chown(home, owner, 0)
            home.chmod(mode)
            with pytest.raises(ClusterError, match=r"n1: others than root can write into /srv/stormcellar"):
                await Hand("n1", connection, LONG_S).start()
        os.chown(home, 0, 0)
        home.chmod(0o755)

    play(made, scene)


def test_refusals_and_errors_name_the_node_and_leave_it_at_work(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("one", connection, LONG_S)
        with pytest.raises(ClusterError, match=r"^one: the hand was not started$"):
            await hand.do("echo", {})
        await hand.start()
        for operation, said in (
            ("refuse", "one: not today"),
            ("broken", "one: broken broke: KeyError: 'sprocket'"),
            ("nothing", "one: the hand knows no operation 'nothing'"),
        ):
            with pytest.raises(ClusterError) as refused:
                await hand.do(operation, {})
            assert str(refused.value) == said
        with pytest.raises(ClusterError, match=r"one: echo with 5,000,\d+ bytes is more than the hand takes"):
            await hand.do("echo", {"a": "x" * 5_000_000})
        assert await hand.do("echo", {"a": "x" * 1_000_000}) == {"a": "x" * 1_000_000}
        await hand.aclose()
        with pytest.raises(ClusterError, match=r"^one: the hand was ended$"):
            await hand.do("echo", {})

    play(made, scene)


def test_many_ask_at_once_and_each_gets_its_own_answer(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        answers = {}

        async def ask(i: int) -> None:
            answers[i] = await hand.do("echo", {"i": i})

        async with trio.open_nursery() as nursery:
            for i in range(30):
                nursery.start_soon(ask, i)
        assert answers == {i: {"i": i} for i in range(30)}
        with trio.move_on_after(0.05) as given_up:
            await hand.do("sleep", {"s": 0.2})
        assert given_up.cancelled_caught
        assert await hand.do("echo", {"i": "next"}) == {"i": "next"}
        await hand.aclose()

    play(made, scene)


def test_a_question_and_its_answer_take_a_fraction_of_the_smallest_command(made: Lab) -> None:
    async def took_s(act: Callable[[], Awaitable[object]]) -> float:
        began = time.perf_counter()
        await act()
        return time.perf_counter() - began

    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        # In turns, so that whatever else the machine does slows both.
        pairs = [
            (await took_s(lambda: hand.do("echo", {})), await took_s(lambda: connection.run(["true"])))
            for _ in range(15)
        ]
        await hand.aclose()
        questions, commands = zip(*pairs, strict=True)
        assert 2 * median(questions) < median(commands)

    play(made, scene)


def test_the_heartbeat_keeps_it_for_as_long_as_nothing_is_asked(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, 2.0)
        await hand.start()
        await hand.do("mark", {"path": "/srv/mark"})
        await trio.sleep(2.5)  # it is the time without a question that is tested
        time.sleep(2.5)  # noqa: ASYNC251  # and a harness that is busy with something else
        assert await hand.do("echo", {"a": 1}) == {"a": 1}
        assert await hand.aclose() == ["/srv/mark was removed"]

    play(made, scene)


SCENE = """
import sys, time, trio
from pathlib import Path
from harness.cluster.hosts import parcel
from harness.cluster.hosts.hand import Hand
from harness.lab import lab
from harness.remote.connection import Connection
from tests.support.hands import harmless

async def main():
    made = lab.find("hands", Path(sys.argv[1]))
    hand = Hand("n1", Connection(made.hosts[0]), float(sys.argv[2]))
    await hand.start()
    await hand.do("mark", {"path": "/srv/mark"})
    print((await hand.do("daemon", {"seconds": "600"}))["pid"], flush=True)
    await trio.sleep_forever()

content = harmless()
parcel.parcel = lambda: content
trio.run(main)
"""


def running_harness(runtime: Path, silence_s: float) -> subprocess.Popen[bytes]:
    """A harness that has put something on n1 and goes on."""
    argv = [sys.executable, "-c", SCENE, str(runtime), str(silence_s)]
    harness = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4])
    assert harness.stdout is not None
    assert harness.stdout.readline().strip().isdigit()
    return harness


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_when_the_harness_is_killed_or_frozen_the_host_heals_itself(
    number: signal.Signals, made: Lab, runtime: Path
) -> None:
    harness = running_harness(runtime, 2.0)
    try:
        assert (srv(made) / "mark").exists()
        assert len(processes(made, b"sleep\x00600\0")) == 1
        os.kill(harness.pid, number)
        began = time.monotonic()

        async def healed() -> None:
            with trio.fail_after(PATIENCE_S):
                await until(lambda: not (srv(made) / "mark").exists() and not hands(made))

        trio.run(healed)
        assert time.monotonic() - began < 2.0 + 5.0
        assert not processes(made, b"sleep\x00600\0")
        assert not (srv(made) / "stormcellar/undo.jsonl").exists()
    finally:
        harness.kill()
        harness.wait()


def test_when_its_ssh_session_is_killed_the_same_hand_goes_on_and_nothing_is_undone(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        await hand.do("mark", {"path": "/srv/mark"})

        async def under_way() -> None:
            assert await hand.do("mark", {"path": "/srv/slow", "after_s": 0.3}) == at_work

        at_work = await hand.do("mark", {"path": "/srv/slow"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(under_way)
            await until(lambda: (srv(made) / "slow").read_text() == "begun")
            assert cut_sessions(made)
        assert cut_sessions(made)
        assert await hand.do("echo", {"a": 1}) == {"a": 1}
        assert (srv(made) / "mark").exists()
        await until(lambda: len(hand.outages_s) == 2)
        cut_sessions(made)
        twice = ["/srv/slow was removed"] * 2
        assert await hand.aclose() == [*twice, "/srv/mark was removed"]
        await until(lambda: not hands(made))

    play(made, scene)


@pytest.mark.skipif(
    shutil.which("iptables", path="/usr/sbin:/sbin") is None,
    reason="iptables is not installed (apt-get install iptables)",
)
def test_a_connection_that_falls_silent_is_replaced_while_the_hand_still_waits(made: Lab) -> None:
    """As when a router on the way has forgotten it."""

    async def scene(other: Connection) -> None:
        async with Connection(made.hosts[0], 0.5) as connection:
            hand = Hand("n1", connection, 5.0)
            await hand.start()
            await hand.do("mark", {"path": "/srv/mark"})
            assert connection._transport is not None
            ours = connection._transport.sock
            assert isinstance(ours, socket.socket)
            port = str(ours.getsockname()[1])
            await other.run(["iptables", "-I", "INPUT", "-p", "tcp", "--sport", port, "-j", "DROP"])
            assert await hand.do("echo", {"a": 1}) == {"a": 1}
            assert (srv(made) / "mark").exists()
            assert len(hand.outages_s) == 1
            assert await hand.aclose() == ["/srv/mark was removed"]
            await other.run(["iptables", "-F", "INPUT"])

    play(made, scene)


def test_when_the_host_is_not_reached_for_too_long_it_has_healed_itself_and_the_harness_is_told(
    made: Lab,
) -> None:
    away = False

    def dial(address: str, port: int, timeout_s: float) -> socket.socket:
        if away:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return made.hosts[0].dial(address, port, timeout_s)

    async def main() -> None:
        nonlocal away
        async with Connection(replace(made.hosts[0], dial=dial)) as connection:
            hand = Hand("n1", connection, 3.0)
            await hand.start()
            await hand.do("mark", {"path": "/srv/mark"})
            away = True
            cut_sessions(made)
            for _ in range(2):
                with pytest.raises(ClusterError) as gone:
                    await hand.do("echo", {})
                lost, _, so = str(gone.value).partition(" was running; ")
                assert lost.startswith("n1: the hand is gone: the connection ended while ")
                way = r"for 3 s no way led back to it \(.*\), so it undoes by itself what it did"
                assert re.fullmatch(way, so)
            await until(lambda: not (srv(made) / "mark").exists() and not hands(made))
            with pytest.raises(ClusterError, match=r"^n1: the hand is gone"):
                await hand.aclose()

    trio.run(main)


def test_when_the_hand_is_killed_the_host_is_healed_at_once_and_the_harness_told(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        await hand.do("mark", {"path": "/srv/mark"})
        os.kill(max(hands(made)), signal.SIGKILL)
        with pytest.raises(ClusterError) as gone:
            await hand.do("echo", {})
        assert str(gone.value) == (
            "n1: the hand is gone: its working process was killed by signal 9; undone: /srv/mark was removed"
        )
        assert not (srv(made) / "mark").exists()
        with pytest.raises(ClusterError, match="the hand is gone"):
            await hand.aclose()

    play(made, scene)


def test_when_nothing_of_the_hand_is_left_the_host_is_healed_as_soon_as_that_is_noticed(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        await hand.do("mark", {"path": "/srv/mark"})
        kill_at_once(hands(made))
        with pytest.raises(ClusterError) as gone:
            await hand.do("echo", {})
        why = "its processes were killed, or the host restarted; undone: /srv/mark was removed"
        assert str(gone.value) == f"n1: the hand is gone: {why}"
        assert not (srv(made) / "mark").exists()
        following = Hand("n1", connection, LONG_S)
        await following.start()
        assert following.hello.undone == []
        assert await following.aclose() == []

    play(made, scene)


def test_a_host_that_cannot_be_healed_is_not_used(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        await hand.do("mark", {"path": "/srv/mark"})
        (srv(made) / "mark").write_text("stubborn")
        with pytest.raises(ClusterError, match=r"n1: not everything could be undone: mark .* is stubborn"):
            await hand.aclose()
        with pytest.raises(ClusterError, match=r"n1: what an earlier run left cannot be undone: mark"):
            await Hand("n1", connection, LONG_S).start()
        await until(lambda: not hands(made))
        (srv(made) / "mark").write_text("no more")
        last = Hand("n1", connection, LONG_S)
        await last.start()
        assert last.hello.undone == ["/srv/mark was removed"]
        await last.aclose()

    play(made, scene)


def test_a_host_belongs_to_one_run_at_a_time(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        first, second = Hand("n1", connection, LONG_S), Hand("n1", connection, LONG_S)
        await first.start()
        await first.do("mark", {"path": "/srv/mark"})
        with pytest.raises(ClusterError, match=r"^n1: it is in use by another run \(process \d+ there\)$"):
            await second.start()
        assert (srv(made) / "mark").exists()
        assert await first.aclose() == ["/srv/mark was removed"]
        await second.start()
        await second.aclose()

    play(made, scene)


def test_what_it_mounts_is_seen_by_nobody_else_and_goes_with_it(made: Lab) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        await hand.start()
        (srv(made) / "covered").mkdir(exist_ok=True)
        assert await hand.do("cover", {"path": "/srv/covered"}) == {"seen": ["inside"]}
        assert (await connection.run(["ls", "/srv/covered"])).text == ""
        assert "/srv/covered" not in (await connection.run(["cat", "/proc/mounts"])).text
        await hand.aclose()

    play(made, scene)


SUDOERS = "Defaults use_pty\nsudoer ALL=(ALL) NOPASSWD: ALL\n"
"""With `use_pty`, as Debian has it, sudo lets no command outlive its terminal."""


@pytest.mark.skipif(shutil.which("sudo") is None, reason="sudo is not installed (apt-get install sudo)")
def test_where_root_is_had_by_sudo_it_is_found_again_just_the_same(made: Lab) -> None:
    async def give_sudo(root: Connection) -> None:
        await root.run(["tee", "/srv/sudoers"], stdin=SUDOERS.encode())
        await root.run(["chmod", "440", "/srv/sudoers"])
        await root.run(["mount", "--bind", "/srv/sudoers", "/etc/sudoers"])
        await root.run(["tee", "-a", "/etc/passwd"], stdin=b"sudoer:x:54321:54321::/:/bin/sh\n")
        await root.run(["tee", "-a", "/etc/shadow"], stdin=b"sudoer:*:20000:0:99999:7:::\n")

    async def scene(root: Connection) -> None:
        await give_sudo(root)
        async with Connection(replace(made.hosts[0], user="sudoer")) as connection:
            hand = Hand("n1", connection, 10.0)
            await hand.start()
            await hand.do("mark", {"path": "/srv/mark"})
            await hand.do("daemon", {"seconds": "600"})
            controller = await hand.do("controller", {})
            assert cut_sessions(made)
            assert await hand.do("controller", {}) == controller
            assert await hand.aclose() == ["the daemon was ended", "/srv/mark was removed"]

    play(made, scene)


def test_hosts_of_a_lab_are_known_to_share_the_kernel(made: Lab) -> None:
    async def main() -> None:
        those = {host.name: Hand(host.name, Connection(host), LONG_S) for host in made.hosts}
        try:
            for hand in those.values():
                await hand.start()
            assert sharing_a_kernel(those) == {"n1", "n2"}
        finally:
            for hand in those.values():
                await hand.aclose()
                await hand._connection.aclose()

    trio.run(main)


def test_the_machine_of_the_harness_itself_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    async def scene(connection: Connection) -> None:
        hand = Hand("n1", connection, LONG_S)
        with pytest.raises(ClusterError) as refused:
            await hand.start()
        assert str(refused.value) == (
            "n1: host n1 is the machine that the harness itself runs on: faults would hit the harness and "
            "whatever else runs there; give it another host, or use a lab"
        )
        await hand.aclose()

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with Connection(sshd.host) as connection:
                await scene(connection)

    before = Path(parcel.HOME).exists() and sorted(Path(parcel.HOME).iterdir())
    with sshd_in(tmp_path) as sshd:
        trio.run(main)
    assert (Path(parcel.HOME).exists() and sorted(Path(parcel.HOME).iterdir())) == before
