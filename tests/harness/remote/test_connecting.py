"""Which hosts are connected to and which are refused, and what happens when a connection breaks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
import trio

from harness.lab.keys import new_key_pair
from harness.remote import connection as connections
from harness.remote import transport
from harness.remote.connection import Connection
from harness.remote.errors import (
    ConnectionLost,
    HostKeyError,
    Refused,
    Unreachable,
)
from tests.support.remote import Sleeper, play, refusal
from tests.support.sshd import IS_ROOT, PASSWORD, Sshd, write_secret

pytestmark = pytest.mark.real


def test_a_connection_that_breaks_in_the_middle_is_told_and_comes_back(own_sshd: Sshd) -> None:
    sleeper = Sleeper()

    async def interrupted(connection: Connection) -> None:
        with pytest.raises(ConnectionLost, match=r"n1: the connection ended while sh -c .* was running"):
            await connection.run(sleeper.argv, timeout_s=3)

    async def scene(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupted, connection)
            await sleeper.until(2)
            assert own_sshd.cut_connections() == 1
        assert (await connection.run(["echo", "again"])).text == "again"

    play(own_sshd.host, scene)


def test_a_host_that_was_away_for_a_while_is_tried_again(own_sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        await connection.connect()
        own_sshd.stop()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(connection.run, ["true"], timeout_s=5))
            await trio.sleep(0.2)  # some tries are refused
            await trio.to_thread.run_sync(own_sshd.start)

    play(own_sshd.host, scene)


def test_a_host_that_stays_away_is_given_up(own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "RECONNECT_S", 0.5)

    async def scene(connection: Connection) -> None:
        await connection.connect()
        own_sshd.stop()
        with pytest.raises(Unreachable, match=r"n1: 127.0.0.1 port .* does not answer: Connection refused"):
            await connection.run(["true"])

    play(own_sshd.host, scene)


def test_the_first_connection_is_tried_once(sshd: Sshd) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        began = time.monotonic()
        said = refusal(sshd.host_with(port=unused.getsockname()[1]), Unreachable)
    assert "does not answer: Connection refused" in said
    assert time.monotonic() - began < 5


def test_a_port_at_which_nobody_speaks_ssh_is_told(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.connect, "__defaults__", (0.5,))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refusal(sshd.host_with(port=silent.getsockname()[1]), Unreachable)
    assert "does not speak SSH with us" in said


def test_an_unknown_host_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    said = refusal(sshd.host_with(known_hosts=(tmp_path / "none",)), HostKeyError)
    assert f"is not known: if it is the right one, add [127.0.0.1]:{sshd.port} to {tmp_path}/none" in said


def test_a_host_may_be_known_by_another_name(own_sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        await connection.connect()

    own_sshd.known_hosts.write_text(f"store-1 {own_sshd.host_key.public}\n")
    play(own_sshd.host_with(known_as="store-1"), scene)
    own_sshd.tell(own_sshd.host_key)  # by its place
    said = refusal(own_sshd.host_with(known_as="store-1"), HostKeyError)
    assert said.endswith(f"is not known: if it is the right one, add store-1 to {own_sshd.known_hosts}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"n1 ssh-ed25519 AAAAA\n", "has a line that is no key: n1 ssh-ed25519 AAAAA"),
        (b"\xff\n", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_known_keys_that_make_no_sense_are_told(
    content: bytes, said: str, sshd: Sshd, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_bytes(content)
    assert f"{known} {said}" in refusal(sshd.host_with(known_hosts=(known,)), HostKeyError)


def test_a_changed_host_key_is_refused_also_when_reconnecting(own_sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        await connection.connect()
        own_sshd.stop()
        own_sshd.give_new_host_key()
        own_sshd.start()
        with pytest.raises(
            HostKeyError, match="is another one: it was installed anew, or it is not that host"
        ):
            await connection.run(["true"])

    play(own_sshd.host, scene)


def test_any_host_key_is_taken_where_that_was_asked_for(sshd: Sshd, tmp_path: Path) -> None:
    async def scene(connection: Connection) -> None:
        assert (await connection.run(["echo", "in"])).text == "in"

    play(sshd.host_with(known_hosts=(), host_keys="any"), scene)


def test_a_wrong_key_is_refused_and_named(sshd: Sshd, tmp_path: Path) -> None:
    write_secret(tmp_path / "other", new_key_pair().private)
    write_secret(tmp_path / "rubbish", "no key\n")
    host = sshd.host_with(keys=(tmp_path / "other",))
    assert f"does not let {host.user} in with the key {tmp_path}/other" in refusal(host, Refused)
    assert "holds no private key" in refusal(sshd.host_with(keys=(tmp_path / "rubbish",)), Refused)
    assert "cannot be read: No such file" in refusal(sshd.host_with(keys=(tmp_path / "none",)), Refused)
    assert "no key, no agent, no password" in refusal(sshd.host_with(keys=()), Refused)


def test_a_key_that_cannot_be_used_keeps_no_other_from_being_tried(sshd: Sshd, tmp_path: Path) -> None:
    async def scene(connection: Connection) -> None:
        await connection.connect()

    play(sshd.host_with(keys=(tmp_path / "none", sshd.identity)), scene)


def test_a_password_is_tried_and_never_shown(sshd: Sshd) -> None:
    host = sshd.host_with(keys=(), password="hush-hush")
    assert "with the password" in refusal(host, Refused)
    assert "hush" not in refusal(host, Refused) + repr(host)


@pytest.mark.skipif(not IS_ROOT, reason="needs root, for users of its own")
def test_the_right_password_lets_in(sshd: Sshd) -> None:
    async def scene(connection: Connection) -> None:
        assert (await connection.run(["id", "-un"])).text == "plain"

    play(sshd.host_with(user="plain", keys=(), password=PASSWORD), scene)


def test_the_agent_s_keys_are_tried(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("ssh-agent", "ssh-add", "ssh-keygen"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install openssh-client)")
    path = str(tmp_path / "agent")
    locked = tmp_path / "locked"  # by a passphrase; the agent has been told it
    shutil.copy(sshd.identity, locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "hush", "-f", str(locked)], check=True)
    said = refusal(sshd.host_with(keys=(locked,)), Refused)
    assert said.endswith(
        f"with the key {locked} (it has a passphrase: ssh-add {locked} gives it to an agent)"
    )
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as agent:
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", path)
            while subprocess.run(["ssh-add", "-q", str(sshd.identity)], stderr=subprocess.DEVNULL).returncode:
                assert agent.poll() is None

            async def scene(connection: Connection) -> None:
                assert (await connection.run(["echo", "in"])).text == "in"

            play(sshd.host_with(keys=(), agent=True), scene)
            play(sshd.host_with(keys=(tmp_path / "none", locked), agent=True), scene)
            monkeypatch.delenv("SSH_AUTH_SOCK")
            play(sshd.host_with(keys=(), agent=Path(path)), scene)
        finally:
            agent.kill()


def test_an_agent_that_cannot_be_asked_is_told(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(sshd.host_with(keys=(), agent=tmp_path / "none"), Refused)
    assert said.endswith(f"with the agent at {tmp_path}/none (No such file or directory)")
    monkeypatch.setattr(transport, "AUTH_LIMIT_S", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        said = refusal(sshd.host_with(keys=(), agent=tmp_path / "silent"), Refused)
    assert said.endswith(f"with the agent at {tmp_path}/silent (timed out)")


def test_a_key_is_tried_with_the_certificate_beside_it_and_alone(own_sshd: Sshd, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed (apt-get install openssh-client)")
    ca, signed = new_key_pair(), tmp_path / "signed"
    for path, pair in ((tmp_path / "ca", ca), (signed, new_key_pair()), (tmp_path / "other", new_key_pair())):
        write_secret(path, pair.private)
        path.with_suffix(".pub").write_text(pair.public)
    with (own_sshd.directory / "authorized_keys").open("a") as known:
        known.write(f"cert-authority {ca.public}\n")
    own_sshd.stop()
    own_sshd.start()

    async def scene(connection: Connection) -> None:
        await connection.connect()

    def certify(ca: str, public: Path) -> None:
        words = ["ssh-keygen", "-q", "-s", str(tmp_path / ca), "-I", "it", "-n", own_sshd.host.user]
        subprocess.run([*words, str(public)], check=True)

    host = own_sshd.host_with(keys=(signed,), unheeded="CertificateFile is not heeded")
    said = refusal(host, Refused)
    assert said.endswith(f"with the key {signed}; CertificateFile is not heeded")
    certify("ca", signed.with_suffix(".pub"))
    play(host, scene)
    own_sshd.identity.with_suffix(".pub").write_text(
        (own_sshd.directory / "authorized_keys").read_text().partition("\n")[0]
    )
    certify("other", own_sshd.identity.with_suffix(".pub"))
    play(own_sshd.host, scene)
