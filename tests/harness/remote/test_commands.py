"""What `Connection.run` promises, against a real sshd."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest
import trio

from harness.cluster.hosts.parcel import look, ourselves
from harness.remote.command import OUTPUT_BYTES_MAX
from harness.remote.connection import CHANNELS_MAX, Connection
from harness.remote.errors import (
    CommandFailed,
    CommandNotRun,
    CommandTimeout,
    ConnectionLost,
    NoRoot,
    OutputTooLong,
)
from harness.remote.shell import Command
from tests.support.remote import Sleeper, play
from tests.support.sshd import IS_ROOT, Sshd

pytestmark = pytest.mark.real
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, for users of its own")
needs_sudo = pytest.mark.skipif(
    shutil.which("sudo") is None, reason="sudo is not installed (apt-get install sudo)"
)


def test_a_command_s_status_and_outputs_come_back(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        completed = await connection.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
        assert (completed.exit, completed.stdout, completed.stderr) == (3, b"out\n", b"err\n")
        with pytest.raises(CommandFailed, match=r"n1: sh -c .* ended with exit status 3: err") as failed:
            await connection.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert failed.value.completed == completed
        with pytest.raises(CommandFailed, match="n1: false ended with exit status 1, and said nothing"):
            await connection.run(["false"])
        killed = await connection.run(["sh", "-c", "kill -SEGV $$"], check=False)
        assert killed.exit == 128 + signal.SIGSEGV
        assert (await connection.run(["/no/such/program"], check=False)).exit == 127

    play(sshd.host, scene)


def test_words_input_environment_and_directory_arrive_as_they_are(sshd: Sshd, tmp_path: Path) -> None:
    async def scene(connection: Connection) -> None:
        words = ("", "a b", "'\"$`\\", "é€𝄞", "\udcff", "-n", "a\nb")
        echoed = await connection.run(["printf", r"%s\0", *words])
        assert echoed.stdout == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)
        every_byte = bytes(range(256))
        assert (await connection.run(["cat"], stdin=every_byte)).stdout == every_byte
        there = Command(("sh", "-c", 'echo "$PWD $WHO"; cat'), {"WHO": "it's me"}, str(tmp_path))
        assert (await connection.run(there, stdin=b"!")).stdout.decode() == f"{tmp_path} it's me\n!"
        await connection.run(Command(("echo", "kept"), output=f"{tmp_path}/log"))
        assert (tmp_path / "log").read_text() == "kept\n"

    play(sshd.host, scene)


def test_megabytes_go_both_ways_at_once(sshd: Sshd) -> None:
    data = random.Random(1).randbytes(5_000_000)

    async def scene(connection: Connection) -> None:
        completed = await connection.run(["tee", "/dev/stderr"], stdin=data)
        assert completed.stdout == data
        assert completed.stderr == data
        assert (await connection.run(["head", "-c", "1"], stdin=data)).stdout == data[:1]  # and reads no more

    play(sshd.host, scene)


def test_output_without_end_is_an_error_and_ends_the_command(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        with pytest.raises(OutputTooLong, match=f"n1: yes wrote more than {OUTPUT_BYTES_MAX:,} bytes"):
            await connection.run(["yes"])
        assert (await connection.run(["echo", "next"])).text == "next"

    play(sshd.host, scene)


def test_many_commands_share_one_connection_and_a_bounded_number_of_channels(sshd: Sshd) -> None:
    async def one(connection: Connection, number: int) -> None:
        assert (await connection.run(["echo", str(number)])).text == str(number)

    async def scene(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(6 * CHANNELS_MAX):
                nursery.start_soon(one, connection, number)  # sshd refuses an eleventh channel
        assert sshd.cut_connections() == 1

    play(sshd.host, scene)


def test_a_command_over_its_time_is_killed_with_its_children(sshd: Sshd) -> None:
    sleeper = Sleeper()

    async def scene(connection: Connection) -> None:
        with pytest.raises(CommandTimeout, match=r"n1: sh -c .* took more than 0\.5 s"):
            await connection.run(sleeper.argv, timeout_s=0.5)
        await sleeper.until(0)
        assert (await connection.run(["echo", "next"])).text == "next"

    play(sshd.host, scene)


def test_a_cancelled_command_is_killed_with_its_children(sshd: Sshd) -> None:
    sleeper = Sleeper()

    async def scene(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run, sleeper.argv)
            await sleeper.until(2)
            nursery.cancel_scope.cancel()
        await sleeper.until(0)
        assert (await connection.run(["echo", "next"])).text == "next"

    play(sshd.host, scene)


def test_commands_cancelled_at_any_moment_leave_nothing(sshd: Sshd) -> None:
    sleeper = Sleeper()

    async def scene(connection: Connection) -> None:
        await connection.connect()
        for microseconds in (0, 100, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000):
            with trio.move_on_after(microseconds / 1e6):
                await connection.run(sleeper.argv)
        await sleeper.until(0)
        for _ in range(CHANNELS_MAX):  # and every channel has come back
            assert (await connection.run(["echo", "next"])).text == "next"

    play(sshd.host, scene)


def test_a_daemon_that_leaves_its_group_lives_on(sshd: Sshd, tmp_path: Path) -> None:
    sleeper = Sleeper()

    async def scene(connection: Connection) -> None:
        start = Command(("setsid", "-f", "sleep", sleeper.seconds), output=f"{tmp_path}/log")
        await connection.run(start)
        await sleeper.until(1)
        os.kill(sleeper.running()[0], signal.SIGKILL)
        await sleeper.until(0)

    play(sshd.host, scene)


def test_the_host_itself_ends_what_ran_when_the_connection_was_lost(
    own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.remote.command.BACKSTOP_S", 0.5)
    sleeper = Sleeper()

    async def interrupted(connection: Connection) -> None:
        with pytest.raises(ConnectionLost):
            await connection.run(sleeper.argv, timeout_s=1)

    async def scene(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupted, connection)
            await sleeper.until(2)
            own_sshd.cut_connections()
        await sleeper.until(0)

    play(own_sshd.host, scene)


@needs_root
@needs_sudo
def test_sudo_makes_root_and_a_timeout_kills_also_what_is_root_s(sshd: Sshd) -> None:
    sleeper = Sleeper()

    async def scene(connection: Connection) -> None:
        assert (await connection.run(["id", "-un"])).text == "sudoer"
        assert (await connection.run(["id", "-un"], sudo=True)).text == "root"
        words = ("a b", "$HOME", "'", "\n")
        there = Command(("printf", r"%s\0", *words), {"A": "b c"}, "/run")
        assert (await connection.run(there, sudo=True)).stdout.decode() == "\0".join([*words, ""])
        with pytest.raises(CommandTimeout):
            await connection.run(sleeper.argv, sudo=True, timeout_s=0.5)
        await sleeper.until(0)

    play(sshd.host_with(user="sudoer"), scene)


@needs_root
@needs_sudo
def test_a_user_who_may_not_use_sudo_is_told_so(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        with pytest.raises(NoRoot, match=r"id was not run: sudo without a password for plain \(sudo: .*\)$"):
            await connection.run(["id"], sudo=True)

    play(sshd.host_with(user="plain"), scene)


@needs_root
def test_a_login_shell_that_runs_nothing_is_told(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        with pytest.raises(CommandNotRun, match="id was not run: the login shell of nologin would not"):
            await connection.run(["id"])

    play(sshd.host_with(user="nologin"), scene)


@needs_root
def test_a_login_shell_of_another_kind_is_not_taken_for_sudo(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        for sudo in (False, True):
            with pytest.raises(CommandNotRun) as told:
                await connection.run(["sh", "-c", "true\ntrue"], sudo=sudo)
            assert str(told.value) == (
                "n1: sh -c 'true true' was not run: the login shell of odd would not (odd: no $? here)"
            )
            assert type(told.value) is CommandNotRun

    play(sshd.host_with(user="odd"), scene)


@needs_root
@needs_sudo
def test_what_a_login_shell_prints_by_itself_is_no_part_of_the_output(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        for sudo in (False, True):
            completed = await connection.run(["echo", "mine"], sudo=sudo)
            assert (completed.exit, completed.stdout) == (0, b"mine\n")
            async with await connection.talk(["echo", "mine"], sudo=sudo) as talk:
                assert [await talk.receive(), await talk.receive()] == [b"mine", None]
        assert b"Welcome, too!\n" in (await connection.run(["true"])).stderr
        assert (await look(connection)).machine == ourselves()

    play(sshd.host_with(user="noisy"), scene)
