from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from harness.cluster.process import comes_true
from harness.cluster.proxy import HELD_BYTES_MAX, Proxy

PATIENCE_S = 5
A_TO_B = {"b": frozenset({"a"})}


class Sink:
    """A node that writes down what arrives, one buffer for each connection."""

    def __init__(self) -> None:
        self.arrived: list[bytearray] = []
        self.streams: list[trio.SocketStream] = []
        self.closed = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        self.arrived.append(buffer)
        self.streams.append(stream)
        try:
            while data := await stream.receive_some():
                buffer += data
        except trio.ClosedResourceError:
            pass
        self.closed += 1


async def until(condition: Callable[[], bool]) -> None:
    assert await comes_true(condition, PATIENCE_S)


async def dial(proxy: Proxy, source: str, target: str) -> trio.SocketStream:
    return await trio.open_tcp_stream(*proxy.address(source, target))


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[Proxy, dict[str, Sink], trio.Nursery]]:
    proxy = Proxy(("a", "b"))
    await proxy.open()
    sinks = {"a": Sink(), "b": Sink()}
    async with trio.open_nursery() as nursery:
        for name, sink in sinks.items():
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, sink.serve, [listener])
            proxy.route(name, listener.socket.getsockname())
        try:
            yield proxy, sinks, nursery
        finally:
            await proxy.close()
            nursery.cancel_scope.cancel()


Scene = Callable[[Proxy, dict[str, Sink]], Awaitable[None]]


def play(scene: Scene) -> None:
    async def main() -> None:
        with trio.fail_after(4 * PATIENCE_S):
            async with two_nodes() as (proxy, sinks, _):
                await scene(proxy, sinks)

    trio.run(main)


def test_what_a_source_sends_arrives_in_order() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        data = bytes(range(256)) * 4096
        async with await dial(proxy, "a", "b") as stream:
            await stream.send_all(data)
        await until(lambda: sinks["b"].closed == 1)
        assert sinks["b"].arrived == [data]
        assert sinks["a"].arrived == []

    play(scene)


def test_a_cut_holds_one_direction_only_and_keeps_the_connection_up() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        to_b, to_a = await dial(proxy, "a", "b"), await dial(proxy, "b", "a")
        await to_b.send_all(b"before ")
        await until(lambda: sinks["b"].arrived == [b"before "])
        proxy.cut(A_TO_B)
        await to_b.send_all(b"during ")
        await to_a.send_all(b"other way")
        await until(lambda: sinks["a"].arrived == [b"other way"])
        await until(lambda: proxy.held().bytes == 7)
        assert sinks["b"].arrived == [b"before "]
        assert (proxy.held().links, proxy.held().biting) == (1, 1)

        proxy.heal()
        await until(lambda: sinks["b"].arrived == [b"before during "])
        await to_b.send_all(b"after")
        await until(lambda: sinks["b"].arrived == [b"before during after"])

    play(scene)


def test_a_connection_made_during_a_cut_is_accepted_and_waits() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        proxy.cut(A_TO_B)
        stream = await dial(proxy, "a", "b")
        await stream.send_all(b"hello")
        await until(lambda: proxy.held().connections == 1)
        await wait_all_tasks_blocked()
        assert sinks["b"].arrived == []
        assert str(proxy.heal()) == "1 of 1 cut links held back 0 bytes and 1 new connections"
        await until(lambda: sinks["b"].arrived == [b"hello"])

    play(scene)


def test_a_connection_closed_during_a_cut_is_delivered_and_closed_after_it() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        await until(lambda: len(sinks["b"].streams) == 1)
        proxy.cut(A_TO_B)
        await stream.send_all(b"last words")
        await stream.aclose()
        await until(lambda: proxy.held().bytes == 10)
        await wait_all_tasks_blocked(0.01)
        assert sinks["b"].closed == 0
        proxy.heal()
        await until(lambda: sinks["b"].closed == 1)
        assert sinks["b"].arrived == [b"last words"]

    play(scene)


def test_what_a_cut_link_holds_is_bounded_and_the_source_feels_it() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        await until(lambda: len(sinks["b"].streams) == 1)
        proxy.cut(A_TO_B)
        data = b"x" * (32 << 20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            await until(lambda: proxy.held().bytes >= HELD_BYTES_MAX)
            await wait_all_tasks_blocked(0.02)
            assert proxy.held().bytes == HELD_BYTES_MAX
            assert len(nursery.child_tasks) == 1, "the source still waits"
            proxy.heal()
        await stream.aclose()
        await until(lambda: sinks["b"].closed == 1)
        assert sinks["b"].arrived[0] == data

    play(scene)


def test_a_new_cut_replaces_the_old_one_and_counts_anew() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        await stream.send_all(b"1")
        await until(lambda: sinks["b"].arrived == [b"1"])
        proxy.cut(A_TO_B)
        await stream.send_all(b"2")
        await until(lambda: proxy.held().bytes == 1)
        proxy.cut(A_TO_B)
        assert proxy.held().bytes == 0
        assert sinks["b"].arrived == [b"1"], "still held"
        proxy.cut({"a": frozenset({"b"})})
        await until(lambda: sinks["b"].arrived == [b"12"])
        assert proxy.held().links == 1

    play(scene)


def test_healing_and_cutting_again_at_once_loses_and_reorders_nothing() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        sent = b""
        for i in range(200):
            proxy.cut(A_TO_B) if i % 3 else proxy.heal()
            if i % 7 == 0:
                proxy.heal()
                proxy.cut(A_TO_B)
            piece = str(i).encode() * (i % 50)
            sent += piece
            await stream.send_all(piece)
        proxy.heal()
        await stream.aclose()
        await until(lambda: sinks["b"].closed == 1)
        assert sinks["b"].arrived == [sent]

    play(scene)


def test_a_connection_to_a_node_that_is_down_is_closed_and_works_again_after_its_return() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nobody = listener.socket.getsockname()
        await listener.aclose()
        back = Sink()
        for address in (None, nobody):
            proxy.route("b", address)
            stream = await dial(proxy, "a", "b")
            assert await stream.receive_some() == b""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, back.serve, [listener])
            proxy.route("b", listener.socket.getsockname())
            stream = await dial(proxy, "a", "b")
            await stream.send_all(b"again")
            await until(lambda: back.arrived == [b"again"])
            nursery.cancel_scope.cancel()

    play(scene)


@pytest.mark.parametrize("during_cut", [False, True])
def test_the_source_sees_that_the_target_closed_but_not_through_a_cut(during_cut: bool) -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        await until(lambda: len(sinks["b"].streams) == 1)
        if during_cut:
            proxy.cut(A_TO_B)
        await sinks["b"].streams[0].aclose()
        if during_cut:
            with trio.move_on_after(0.05) as waiting:
                await stream.receive_some()
            assert waiting.cancelled_caught
            proxy.heal()
        assert await stream.receive_some() == b""

    play(scene)


def test_what_enters_a_long_link_comes_out_late_and_in_order_and_the_other_way_at_once() -> None:
    late_s = 2.0

    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        assert proxy.stretch({"a": {"b": late_s * 1000}}) == 0
        to_b, to_a = await dial(proxy, "a", "b"), await dial(proxy, "b", "a")
        pieces = [bytes([i]) * 5000 for i in range(100)]
        began = trio.current_time()
        for piece in pieces:
            await to_b.send_all(piece)
        await to_a.send_all(b"other way")
        await until(lambda: sinks["a"].arrived == [b"other way"])
        assert sinks["b"].arrived in ([], [b""])
        assert trio.current_time() < began + late_s
        await to_b.aclose()
        await until(lambda: sinks["b"].closed == 1)
        assert trio.current_time() >= began + late_s
        assert sinks["b"].arrived == [b"".join(pieces)]
        assert proxy.took_ms().keys() == {("a", "b")}
        assert late_s * 1000 <= proxy.took_ms()["a", "b"]
        assert proxy.stretch({}) > 0
        assert proxy.stretch({}) == 0

    play(scene)


def test_what_enters_a_link_while_it_is_long_is_not_overtaken_when_it_is_short_again() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        await stream.send_all(b"0")
        await until(lambda: sinks["b"].arrived == [b"0"])
        sent = b"0"
        for i in range(1, 50):
            proxy.stretch({"a": {"b": 40.0 * (i % 4)}})
            piece = b"%d," % i
            sent += piece
            await stream.send_all(piece)
            await wait_all_tasks_blocked(0.001)
        await until(lambda: sinks["b"].arrived == [sent])

    play(scene)


def test_what_is_on_its_way_when_a_long_link_is_cut_waits_for_the_healing() -> None:
    async def scene(proxy: Proxy, sinks: dict[str, Sink]) -> None:
        stream = await dial(proxy, "a", "b")
        proxy.stretch({"a": {"b": 30.0}})
        await stream.send_all(b"before")
        await until(lambda: len(sinks["b"].streams) == 1)
        proxy.cut(A_TO_B)
        await trio.sleep(0.06)
        assert sinks["b"].arrived == [b""]
        proxy.heal()
        await until(lambda: sinks["b"].arrived == [b"before"])

    play(scene)


def test_closing_ends_every_connection_and_may_be_done_twice_or_unopened() -> None:
    async def main() -> None:
        await Proxy(("a", "b")).close()
        with trio.fail_after(PATIENCE_S):
            async with two_nodes() as (proxy, _, _):
                stream = await dial(proxy, "a", "b")
                proxy.cut(A_TO_B)
                await proxy.close()
                await proxy.close()
                assert await stream.receive_some() == b""
                with pytest.raises(OSError, match="all attempts to connect"):
                    await dial(proxy, "a", "b")

    trio.run(main)
