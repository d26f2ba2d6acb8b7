"""What strangers may send: a node neither ends nor grows by it, and serves the others meanwhile."""

from __future__ import annotations

import struct
import tracemalloc

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.client import connect
from store.core.messages import HelloClient, HelloPeer, Opening, PeerMessage, Request, Status
from store.core.ownership.layout import Placement, first_layout
from store.net.wire import FRAME_BYTES_MAX, frame
from tests.support.runtimes import Nodes
from tests.support.wellformed import mutated, payloads

DIGEST = Placement(first_layout(["n1"], 1)).digest
CLIENT = frame(HelloClient("demo"))
PEER = frame(HelloPeer("demo", "n2", 1, DIGEST, "127.0.0.1:1"))


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


frames = st.one_of(
    *(mutated(payloads(kind)).map(framed) for kind in (Request, PeerMessage, Opening)),
    st.binary(max_size=40),
    st.integers(0, (1 << 32) - 1).map(lambda size: struct.pack(">I", size) + b"x" * 20),
)
streams = st.tuples(
    st.sampled_from([CLIENT, PEER, b"", CLIENT[:-1], PEER + CLIENT]), st.lists(frames, max_size=6)
)


async def spew(nodes: Nodes, said: list[bytes]) -> None:
    stream = await nodes.raw("n1")
    try:
        for part in said:
            await stream.send_all(part)
        await stream.send_eof()
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(streams, min_size=1, max_size=6))
def test_whatever_strangers_send_others_are_served_meanwhile_and_afterwards(
    streams: list[tuple[bytes, list[bytes]]],
) -> None:
    async def main() -> None:
        nodes = Nodes(1)
        async with nodes.running(), connect(*nodes.addresses["n1"], "demo") as client:
            await client.put("k", b"v", "linearizable")
            async with trio.open_nursery() as nursery:
                for hello, said in streams:
                    nursery.start_soon(spew, nodes, [hello, *said])
                assert (await client.status())["node"] == "n1"
            status = await client.status()
            assert status["connections"] == 1
        assert nodes.runtimes["n1"].disk_error is None

    trio.run(main)


def test_a_flood_of_garbage_is_not_hoarded() -> None:
    """Frames that are never finished, or refused, or about nothing, again and again."""
    garbage = [
        struct.pack(">I", FRAME_BYTES_MAX) + bytes(10_000),
        CLIENT + struct.pack(">I", FRAME_BYTES_MAX) + bytes(200_000),
        CLIENT + frame(Request(1, 1, Status())) * 50,
        PEER + framed(b"\x92\x67\x01") * 200,
        PEER + framed(b"\xc1"),
    ]

    async def main() -> None:
        nodes = Nodes(1)
        async with nodes.running():
            for again in range(40):
                if again == 10:
                    tracemalloc.start()
                async with trio.open_nursery() as nursery:
                    for said in garbage:
                        nursery.start_soon(spew, nodes, [said])
            grown, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert grown < 4 << 20
            async with connect(*nodes.addresses["n1"], "demo") as client:
                assert (await client.status())["connections"] == 1

    trio.run(main)
