"""What `Connection.talk` promises, against a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from harness.remote import talk
from harness.remote.command import OUTPUT_BYTES_MAX
from harness.remote.connection import CHANNELS_MAX, Connection
from harness.remote.errors import CommandFailed, CommandNotRun, ConnectionLost, OutputTooLong, Unreachable
from tests.support.remote import Sleeper, play
from tests.support.sshd import IS_ROOT, Sshd

pytestmark = pytest.mark.real
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, for users of its own")
needs_sudo = pytest.mark.skipif(
    shutil.which("sudo") is None, reason="sudo is not installed (apt-get install sudo)"
)


async def until(fact: Callable[[], object]) -> None:
    while not fact():  # noqa: ASYNC110  # nobody tells of other people's processes
        await trio.sleep(0.01)


def test_lines_go_both_ways_for_as_long_as_it_runs(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        async with await connection.talk(["cat"]) as cat:
            for line in (b"", b"one", "zwölf".encode(), b"\xff\0", b"x" * 1_000_000):
                await cat.send(line)
                assert await cat.receive() == line
            await cat.send(b"first\nsecond")
            assert [await cat.receive(), await cat.receive()] == [b"first", b"second"]

    play(sshd.host, scene)


def test_many_may_ask_at_once(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        async with await connection.talk(["cat"]) as cat:
            wanted = {(f"{i} " * 5000).encode() for i in range(20)}
            async with trio.open_nursery() as nursery:
                for line in wanted:
                    nursery.start_soon(cat.send, line)
            assert {await cat.receive() for _ in wanted} == wanted

    play(sshd.host, scene)


def test_its_end_is_told_after_its_last_line(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        async with await connection.talk(["sh", "-c", "echo out; exit 0"]) as well:
            assert [await well.receive(), await well.receive(), await well.receive()] == [b"out", None, None]
        async with await connection.talk(["sh", "-c", "echo out; echo why >&2; exit 3"]) as badly:
            assert await badly.receive() == b"out"
            for _ in range(2):
                with pytest.raises(CommandFailed, match=r"n1: sh -c .* ended with exit status 3: why"):
                    await badly.receive()
        async with await connection.talk(["/no/such/program"]) as missing:
            with pytest.raises(CommandFailed, match="exit status 127"):
                await missing.receive()

    play(sshd.host, scene)


@needs_root
@needs_sudo
def test_as_root_it_stays_root_s_to_the_end(sshd: Sshd) -> None:
    async def root(connection: Connection) -> None:
        async with await connection.talk(["sh", "-c", "id -u; cat"], sudo=True) as talking:
            assert await talking.receive() == b"0"
            await talking.send(b"hello")
            assert await talking.receive() == b"hello"

    async def not_allowed(connection: Connection) -> None:
        async with await connection.talk(["cat"], sudo=True) as talking:
            with pytest.raises(CommandNotRun, match=r"n1: cat was not run: sudo"):
                await talking.receive()

    play(sshd.host_with(user="sudoer"), root)
    play(sshd.host_with(user="plain", password="open sesame"), not_allowed)


def test_what_does_not_end_with_its_input_is_killed_and_what_left_its_group_stays(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "LEAVE_S", 0.2)
    stays, goes = Sleeper(), Sleeper()

    async def scene(connection: Connection) -> None:
        words = f"setsid sleep {stays.seconds} </dev/null >/dev/null 2>&1 & exec sleep {goes.seconds}"
        async with await connection.talk(["sh", "-c", words]):
            await goes.until(1)
            await stays.until(1)
        await goes.until(0)
        (daemon,) = stays.running()
        os.kill(daemon, signal.SIGKILL)

    play(sshd.host, scene)


def test_a_connection_that_breaks_is_told_once_everything_was_read(own_sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        talking = await connection.talk(["sh", "-c", "echo last; cat"])
        assert await talking.receive() == b"last"
        assert own_sshd.cut_connections() > 0
        with pytest.raises(ConnectionLost, match="n1: the connection ended while sh -c"):
            await talking.receive()
        with pytest.raises(ConnectionLost):
            await talking.send(b"anybody?")
        await talking.aclose()
        async with await connection.talk(["cat"]) as again:
            await again.send(b"here")
            assert await again.receive() == b"here"

    play(own_sshd.host, scene)


def test_with_the_connection_it_ends(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        talking = await connection.talk(["cat"])
        await connection.aclose()
        with pytest.raises(ConnectionLost):
            await talking.receive()
        await talking.aclose()

    play(sshd.host, scene)


def test_each_keeps_one_channel_until_it_has_ended(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        talks = [await connection.talk(["cat"]) for _ in range(CHANNELS_MAX)]
        with trio.move_on_after(0.1) as waiting:
            await connection.run(["true"])
        assert waiting.cancelled_caught
        for talking in talks:
            await talking.aclose()
            await talking.aclose()
        for _ in range(CHANNELS_MAX + 1):
            async with await connection.talk(["true"]):
                pass
        await connection.run(["true"])

    play(sshd.host, scene)


def test_what_nobody_reads_is_limited(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        for what in ("yes", "yes | tr -d '\\n'"):
            async with await connection.talk(["sh", "-c", what]) as talking:
                with pytest.raises(OutputTooLong, match=rf"n1: .* said more than {OUTPUT_BYTES_MAX:,} bytes"):
                    await until_end(talking)

    async def until_end(talking: talk.Talk) -> None:
        await talking._over.wait()
        while await talking.receive() is not None:
            pass

    play(sshd.host, scene)


def test_nobody_who_waited_for_a_line_and_gave_up_takes_it_away(sshd: Sshd, tmp_path: Path) -> None:
    async def scene(connection: Connection) -> None:
        async with await connection.talk(["cat"]) as cat:
            with trio.move_on_after(0.05):
                await cat.receive()
            await cat.send(b"late")
            assert await cat.receive() == b"late"

    play(sshd.host, scene)


def test_a_host_that_is_not_there_is_told_at_once(own_sshd: Sshd) -> None:
    host = own_sshd.host
    own_sshd.stop()

    async def scene(connection: Connection) -> None:
        with pytest.raises(Unreachable, match=r"n1: 127\.0\.0\.1 port .* does not answer"):
            await connection.talk(["cat"])

    play(host, scene)
