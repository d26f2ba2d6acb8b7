"""Two-way links between nodes: each direction by itself is let through, held back, and let through again."""

from contextlib import asynccontextmanager
from functools import partial

import trio

from harness.cluster.process import comes_true
from harness.plugin.relay import Relay

LIMIT_S = 20


@asynccontextmanager
async def two_nodes():
    """n2 echoes; gives the relay, and the address at which n1 reaches n2."""

    async def echo(stream):
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, echo, 0, host="127.0.0.1"))
            relay = Relay({"n1": 1, "n2": listener.socket.getsockname()[1]})
            await relay.open()
            host, port = relay.reached("n1")["n2"].split(":")
            try:
                yield relay, (host, int(port))
            finally:
                await relay.close()
                nursery.cancel_scope.cancel()


async def ask(stream, data, within_s=LIMIT_S):
    """What comes back; nothing if it takes too long."""
    await stream.send_all(data)
    return await heard(stream, within_s)


async def heard(stream, within_s=LIMIT_S):
    with trio.move_on_after(within_s):
        return await stream.receive_some(100)
    return None


async def held(relay):
    await comes_true(lambda: relay.held().any, LIMIT_S)
    return relay.held()


def test_what_is_not_cut_goes_through_both_ways():
    async def main():
        async with two_nodes() as (_, address):
            stream = await trio.open_tcp_stream(*address)
            assert await ask(stream, b"hello") == b"hello"

    trio.run(main)


def test_what_a_node_must_not_hear_is_held_back_and_delivered_after_the_healing():
    for grudge in ({"n2": frozenset({"n1"})}, {"n1": frozenset({"n2"})}):

        async def main(grudge=grudge):
            async with two_nodes() as (relay, address):
                stream = await trio.open_tcp_stream(*address)
                assert await ask(stream, b"before") == b"before"
                relay.cut(grudge)
                assert relay.cut_ways == 1
                assert await ask(stream, b"after", 0.1) is None
                assert (await held(relay)).bytes == 5
                assert relay.heal().bytes == 5
                assert await heard(stream) == b"after"
                assert not relay.held().any

        trio.run(main)


def test_a_new_connection_waits_as_its_handshake_needs_both_directions():
    async def main():
        async with two_nodes() as (relay, address):
            relay.cut({"n1": frozenset({"n2"})})
            stream = await trio.open_tcp_stream(*address)
            assert await ask(stream, b"hello", 0.1) is None
            assert (await held(relay)).connections == 1
            relay.heal()
            assert await heard(stream) == b"hello"

    trio.run(main)


def test_another_cut_replaces_the_one_before_and_counts_anew():
    async def main():
        async with two_nodes() as (relay, address):
            stream = await trio.open_tcp_stream(*address)
            assert await ask(stream, b"before") == b"before"
            relay.cut({"n2": frozenset({"n1"})})
            await stream.send_all(b"x")
            await held(relay)
            relay.cut({})
            assert relay.cut_ways == 0
            assert await heard(stream) == b"x"

    trio.run(main)


def test_a_node_that_is_down_ends_the_connection():
    async def main():
        async with two_nodes() as (relay, _):
            host, port = relay.reached("n2")["n1"].split(":")
            stream = await trio.open_tcp_stream(host, int(port))
            assert await heard(stream) == b""

    trio.run(main)


def test_the_end_of_a_connection_is_passed_on():
    async def main():
        async with two_nodes() as (_, address):
            stream = await trio.open_tcp_stream(*address)
            assert await ask(stream, b"x") == b"x"
            await stream.send_eof()
            assert await heard(stream) == b""

    trio.run(main)
