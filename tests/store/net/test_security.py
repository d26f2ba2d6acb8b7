"""Who is let in: connections by certificates, by a shared secret and by neither, and who is turned away."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from store.core.messages import Challenge, HelloClient, HelloPeer, Proof
from store.net import certs
from store.net.channel import Channel, Outbox, dial
from store.net.handshake import Arrival
from store.net.security import PLAIN, Security, SecurityError, Unproven, secret, tls
from store.net.wire import FrameDecoder, decode_opening, decode_response, frame
from tests.support.long_ago import LongAgo

CLIENT = HelloClient("demo")
PEER = HelloPeer("demo", "n2", 1, "layout", "127.0.0.1:7001")
KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority, and in `foreign` of another."""
    directory = tmp_path_factory.mktemp("certs")
    certs.init(directory, ["n1", "n2"], ["app"])
    certs.init(directory / "foreign", ["n1", "n2"], ["app"])
    return directory


def by_certificate(directory: Path, name: str, ca: Path | None = None) -> Security:
    return tls(directory / f"{name}.pem", directory / f"{name}.key", (ca or directory) / "ca.pem")


def by_secret(directory: Path, content: bytes = KEY, node: str = "") -> Security:
    path = directory / secrets.token_hex(4)
    path.write_bytes(content)
    path.chmod(0o600)
    return secret(path, node)


async def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        ours = await dial(host, port)
        theirs, _ = listener.accept()
    return ours, theirs


Dial = Callable[[socket.socket, Outbox], Awaitable[Channel]]


def meeting(dials: Dial, node: Security) -> tuple[Channel | str, Arrival | str]:
    """What comes of it on both sides: a connection, or why there is none."""
    outcome: dict[str, Any] = {}

    async def noted(side: str, awaitable: Awaitable[Any]) -> None:
        try:
            outcome[side] = await awaitable
        except Unproven as error:
            outcome[side] = str(error)

    async def main() -> None:
        ours, theirs = await connected()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(noted, "dialer", dials(ours, Outbox()))
                nursery.start_soon(noted, "node", node.arrival(theirs))

    trio.run(main)
    return outcome["dialer"], outcome["node"]


def as_client(security: Security) -> Dial:
    return lambda sock, outbox: security.client_channel(sock, outbox, CLIENT)


def as_peer(security: Security, expects: str = "n1") -> Dial:
    return lambda sock, outbox: security.peer_channel(sock, outbox, PEER, expects)


@pytest.fixture(params=["plain", "secret", "tls"])
def pair(request: pytest.FixtureRequest, made: Path) -> Iterator[tuple[Security, Security]]:
    """Node n2 or a client, and node n1, that take each other."""
    match request.param:
        case "plain":
            yield PLAIN, PLAIN
        case "secret":
            yield by_secret(made, node="n2"), by_secret(made, KEY + b"\n", node="n1")
        case "tls":
            yield by_certificate(made, "n2"), by_certificate(made, "n1")


def test_the_hello_arrives_whatever_the_security(pair: tuple[Security, Security]) -> None:
    for dials, hello in ((as_client(pair[0]), CLIENT), (as_peer(pair[0]), PEER)):
        _, arrival = meeting(dials, pair[1])
        assert isinstance(arrival, Arrival)
        assert arrival.hello == hello


def test_what_is_said_afterwards_arrives_whole_in_both_directions_and_its_end_is_seen(
    pair: tuple[Security, Security],
) -> None:
    said = b"".join(b"%07d" % number for number in range(300_000))

    async def main() -> None:
        ours, theirs = await connected()
        outbox = Outbox()
        received: dict[str, bytearray] = {"dialer": bytearray(), "node": bytearray()}

        async def converse(side: str, channel: Channel, more: bytes = b"") -> None:
            received[side] += more
            for start in range(0, len(said), 70_000):
                channel.outbox.push(said[start : start + 70_000])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.drain)
                while len(received[side]) < len(said):
                    received[side] += await channel.receive()

        async def node() -> None:
            arrival = await pair[1].arrival(theirs)
            await converse("node", arrival.channel, bytes(arrival.decoder._buffer))
            arrival.channel.close()

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node)
                channel = await pair[0].client_channel(ours, outbox, CLIENT)
                await converse("dialer", channel)
            while not channel.ended():
                await trio.lowlevel.checkpoint()
            assert await channel.receive() == b""
            assert channel.broken == "closed by the other side"
            channel.close()
        assert received == {"dialer": said, "node": said}

    trio.run(main)


def test_a_clients_certificate_does_not_make_it_a_node(made: Path) -> None:
    app, node = by_certificate(made, "app"), by_certificate(made, "n1")
    _, why = meeting(as_peer(app), node)
    assert why == "it says that it is node 'n2', with the certificate of client 'app'"
    _, why = meeting(as_peer(by_certificate(made, "n1")), node)
    assert why == "it says that it is node 'n2', with the certificate of node 'n1'"


def test_a_client_cannot_serve_as_a_node(made: Path) -> None:
    why, _ = meeting(as_client(by_certificate(made, "n2")), by_certificate(made, "app"))
    assert isinstance(why, str)
    assert why.startswith("its certificate is refused: ")


def test_a_node_is_only_taken_for_the_one_that_it_is(made: Path) -> None:
    dials = as_peer(by_certificate(made, "n2"), expects="n3")
    assert meeting(dials, by_certificate(made, "n1"))[0] == (
        "it has the certificate of node 'n1', not of node 'n3'"
    )
    dials = as_peer(by_secret(made, node="n2"), expects="n3")
    assert meeting(dials, by_secret(made, node="n1"))[0] == "it is node 'n1', not 'n3'"
    assert isinstance(meeting(as_peer(by_secret(made), expects=""), by_secret(made, node="n1"))[0], Channel)


def test_certificates_of_another_authority_are_refused_on_both_sides(made: Path) -> None:
    stranger = by_certificate(made / "foreign", "n2", ca=made)
    why, whom = meeting(as_peer(stranger), by_certificate(made, "n1"))
    assert why == "it refuses our certificate: unknown ca"
    assert whom == "its certificate is refused: unable to get local issuer certificate"
    why, whom = meeting(as_peer(by_certificate(made, "n2")), by_certificate(made / "foreign", "n1"))
    assert isinstance(why, str)
    assert why.startswith("its certificate is refused: self-signed certificate")
    assert whom == "it refuses our certificate: unknown ca"


def test_certificates_whose_time_is_over_are_refused_on_both_sides(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    monkeypatch.setattr(certs, "datetime", LongAgo)
    certs.add(tmp_path, ["n2"], [], days=10)
    late = by_certificate(tmp_path, "n2")
    why, whom = meeting(as_peer(late), by_certificate(made, "n1"))
    assert (why, whom) == (
        "it refuses our certificate: certificate expired",
        "its certificate is refused: certificate has expired",
    )
    why, whom = meeting(as_peer(by_certificate(made, "n1")), late)
    assert why == "its certificate is refused: certificate has expired"


def test_another_secret_is_refused_by_the_one_that_connects_before_it_proves_anything(made: Path) -> None:
    why, _ = meeting(as_client(by_secret(made, b"another secret!!")), by_secret(made))
    assert why == "it does not know the same secret"


def test_who_guesses_is_refused_by_the_node(made: Path) -> None:
    async def guess(sock: socket.socket, outbox: Outbox) -> Channel:
        channel = Channel(sock, outbox, first=frame(Challenge(bytes(32))))
        channel.flush()
        await channel.receive()
        channel.outbox.push(frame(Proof(bytes(32), "", bytes(32))) + frame(CLIENT))
        channel.flush()
        return channel

    _, why = meeting(guess, by_secret(made))
    assert why == "this node demands proof of its cluster's shared secret"


def test_a_proof_that_was_overheard_is_of_no_use_on_another_connection(made: Path) -> None:
    """Everything that a client once sent is sent again."""
    overheard: list[bytes] = []
    node = by_secret(made, node="n1")

    async def main() -> None:
        ours, middle_in = await connected()
        middle_out, theirs = await connected()

        async def forward(source: socket.socket, target: socket.socket, keep: bool) -> None:
            stream, sink = (trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in (source, target))
            while data := await stream.receive_some():
                if keep:
                    overheard.append(bytes(data))
                await sink.send_all(data)

        for sock in (middle_in, middle_out):
            sock.setblocking(False)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(forward, middle_in, middle_out, True)
                nursery.start_soon(forward, middle_out.dup(), middle_in.dup(), False)

                async def dials() -> None:
                    await by_secret(made).client_channel(ours, Outbox(), CLIENT)

                nursery.start_soon(dials)
                assert (await node.arrival(theirs)).hello == CLIENT
                nursery.cancel_scope.cancel()

    async def replay(sock: socket.socket, outbox: Outbox) -> Channel:
        channel = Channel(sock, outbox, first=b"".join(overheard))
        channel.flush()
        return channel

    trio.run(main)
    assert meeting(replay, node)[1] == "this node demands proof of its cluster's shared secret"


@pytest.mark.parametrize("kind", ["secret", "tls"])
def test_who_offers_no_proof_is_told_what_is_demanded(kind: str, made: Path) -> None:
    node = by_secret(made) if kind == "secret" else by_certificate(made, "n1")
    channel, why = meeting(as_client(PLAIN), node)
    assert isinstance(channel, Channel)
    assert isinstance(why, str)
    assert why.startswith("this node demands ")

    async def answer() -> str:
        decoder = FrameDecoder()
        decoder.feed(await channel.receive())
        (payload,) = decoder
        return decode_response(payload).text  # type: ignore[union-attr]

    assert trio.run(answer) == why


@pytest.mark.parametrize(
    ("dialer", "node", "why"),
    [
        ("secret", "plain", "this node shares no secret with anybody; connect without one"),
        ("tls", "plain", "closed by the other side during the TLS handshake"),
        ("tls", "secret", "closed by the other side during the TLS handshake"),
        ("secret", "tls", "this node demands TLS and a certificate of its cluster"),
    ],
)
def test_two_that_are_secured_differently_learn_why_they_do_not_meet(
    dialer: str, node: str, why: str, made: Path
) -> None:
    ways = {"plain": PLAIN, "secret": by_secret(made), "tls": by_certificate(made, "n1")}
    learnt, refused = meeting(as_client(ways[dialer]), ways[node])
    assert learnt == why
    assert isinstance(refused, str)


@pytest.mark.parametrize("kind", ["plain", "secret", "tls"])
@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\x05hello", b"\0\0\0\1\xc1", bytes(5000)],
)
def test_garbage_is_refused_in_a_sentence(kind: str, garbage: bytes, made: Path) -> None:
    node = {"plain": PLAIN, "secret": by_secret(made), "tls": by_certificate(made, "n1")}[kind]

    async def spew(sock: socket.socket, outbox: Outbox) -> Channel:
        sock.setblocking(True)
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        return Channel(sock, outbox)

    _, why = meeting(spew, node)
    assert isinstance(why, str)
    assert "\n" not in why


def test_a_hello_is_small(made: Path) -> None:
    assert decode_opening(frame(CLIENT)[4:]) == CLIENT

    async def large(sock: socket.socket, outbox: Outbox) -> Channel:
        channel = Channel(sock, outbox, first=b"\0\0\x20\0" + bytes(100))
        channel.flush()
        return channel

    assert meeting(large, PLAIN)[1] == "a frame of 8192 bytes is above the limit of 4096"


def test_files_that_are_of_no_use_are_named(made: Path, tmp_path: Path) -> None:
    cert, key, ca = made / "n1.pem", made / "n1.key", made / "ca.pem"
    for files, why in (
        ((tmp_path / "none", key, ca), r"none cannot be read: No such file"),
        ((cert, made / "n2.key", ca), r"n1\.pem and .*n2\.key are no certificate and its key in PEM"),
        ((cert, ca, ca), r"ca\.pem can be read by everybody on this machine: chmod 600"),
        ((cert, key, key), r"n1\.key is no certificate in PEM"),
    ):
        with pytest.raises(SecurityError, match=why) as caught:
            tls(*files)
        assert "\n" not in str(caught.value)


def test_a_secret_must_be_long_and_kept(tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match=r"must hold a secret of 16 to 1024 bytes, not 5"):
        by_secret(tmp_path, b" short \n")
    with pytest.raises(SecurityError, match=r"none cannot be read"):
        secret(tmp_path / "none")
    (tmp_path / "open").write_bytes(KEY)
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(SecurityError, match=r"open can be read by everybody on this machine: chmod 600"):
        secret(tmp_path / "open")
