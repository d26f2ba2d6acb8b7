"""The client against nodes that behave in every way: what is certain, what is lost, who reads for whom."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from store.client import BadRequest, Client, Lost, Mismatch, NotSent, NotServed, WrongKind, connect
from store.core.messages import (
    TIMEOUT_MS_MAX,
    Cas,
    Done,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundMany,
    FoundSiblings,
    Get,
    HelloClient,
    Report,
    Request,
    Response,
    Scan,
    Scanned,
    Status,
)
from store.net.wire import REFUSED, FrameDecoder, decode_opening, decode_request, frame

GET = Get("k", "one")


class Script:
    """The node's side of one connection, as a test writes it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._decoder = FrameDecoder()
        self._frames: list[bytes] = []

    async def hello(self) -> None:
        assert decode_opening(await self._next()) == HelloClient("demo")

    async def request(self) -> Request:
        return decode_request(await self._next())

    async def answer(self, *responses: Response) -> None:
        await self.stream.send_all(b"".join(map(frame, responses)))

    async def _next(self) -> bytes:
        while not self._frames:
            self._decoder.feed(bytes(await self.stream.receive_some()))
            self._frames += self._decoder
        return self._frames.pop(0)


def scripted(node: Callable[[Script], Awaitable[None]], test: Callable[[Client], Awaitable[None]]) -> None:
    """Run `test` with a client of a node that does what `node` says, and then closes the connection."""

    async def main() -> None:
        async def serve(stream: trio.SocketStream) -> None:
            script = Script(stream)
            await script.hello()
            await node(script)
            await stream.aclose()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, serve, [listener])
                async with connect(*listener.socket.getsockname(), "demo") as client:
                    await test(client)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def silence(node: Script) -> None:
    await trio.sleep_forever()


def test_answers_find_their_callers_in_any_order() -> None:
    async def node(script: Script) -> None:
        requests = [await script.request() for _ in range(20)]
        for request in reversed(requests):
            assert isinstance(request.body, Get)
            await script.answer(Found(request.id, request.body.key.encode()))

    async def test(client: Client) -> None:
        answers: dict[int, bytes | None] = {}

        async def ask(number: int) -> None:
            answers[number] = await client.get(str(number))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
        assert answers == {number: str(number).encode() for number in range(20)}

    scripted(node, test)


def test_when_the_caller_that_reads_gives_up_another_reads_on() -> None:
    async def node(script: Script) -> None:
        first, second, third = [await script.request() for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked(0.02)
        await script.answer(Done(first.id), Done(third.id), Done(second.id))
        await silence(script)

    async def test(client: Client) -> None:
        reading = trio.CancelScope()

        async def first() -> None:
            with reading:
                await client.request(GET)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(client.request, GET)
            nursery.start_soon(client.request, GET)
            await trio.testing.wait_all_tasks_blocked()
            reading.cancel()
        assert reading.cancelled_caught

    scripted(node, test)


def test_no_answer_in_time_is_lost_and_a_late_one_is_ignored() -> None:
    async def node(script: Script) -> None:
        slow = await script.request()
        assert slow.timeout_ms == 25
        prompt = await script.request()
        await script.answer(Found(slow.id, b"late"), Found(prompt.id, b"in time"))
        await silence(script)

    async def test(client: Client) -> None:
        with pytest.raises(Lost, match=r"node at 127.0.0.1:\d+ did not answer within 0.05 s"):
            await client.request(GET, 0.05)
        assert await client.get("k") == b"in time"

    scripted(node, test)


def test_a_connection_that_ends_under_a_request_is_lost_for_all_that_wait() -> None:
    async def node(script: Script) -> None:
        await script.request()
        await script.request()

    async def test(client: Client) -> None:
        async def ask() -> None:
            with pytest.raises(Lost, match="the connection ended: closed by the other side"):
                await client.request(GET)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        with pytest.raises(NotSent, match="the connection ended"):
            await client.request(GET)

    scripted(node, test)


def test_a_connection_that_ended_before_is_certainly_not_sent() -> None:
    async def node(script: Script) -> None:
        await script.answer(Done((await script.request()).id))

    async def test(client: Client) -> None:
        await client.put("k", b"v")
        await trio.testing.wait_all_tasks_blocked(0.02)
        with pytest.raises(NotSent, match="closed by the other side"):
            await client.put("k", b"v")

    scripted(node, test)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\xff\xff\xff\xff", "above the limit"),
        (b"\0\0\0\x03GET", "not a response"),
        (frame(Done(7)), "an answer to request 7, which was not sent"),
        (frame(Found(1, b"x")), "answered a Status by Found"),
    ],
)
def test_a_node_that_does_not_follow_the_protocol_is_lost(answer: bytes, why: str) -> None:
    async def node(script: Script) -> None:
        await script.request()
        await script.stream.send_all(answer)
        await silence(script)

    async def test(client: Client) -> None:
        with pytest.raises(Lost, match=why):
            await client.status()
        with pytest.raises(NotSent, match=why):
            await client.status()

    scripted(node, test)


def test_a_refused_connection_is_certainly_not_sent() -> None:
    async def node(script: Script) -> None:
        await script.answer(Failed(REFUSED, "bad-request", "this node is of cluster 'other'"))

    async def test(client: Client) -> None:
        with pytest.raises(NotSent, match="refused the connection: this node is of cluster 'other'"):
            await client.request(GET)

    scripted(node, test)


def test_a_refusal_of_the_whole_connection_is_not_believed_after_it_has_served() -> None:
    async def node(script: Script) -> None:
        await script.answer(Found((await script.request()).id, b"v"))
        await script.request()
        await script.answer(Failed(REFUSED, "overloaded", "too many connections"))
        await trio.sleep_forever()

    async def test(client: Client) -> None:
        assert await client.get("k", "one") == b"v"
        with pytest.raises(Lost, match="does not follow the protocol: an answer to request 0"):
            await client.put("k", b"w")

    scripted(node, test)


def test_refusals_are_typed_and_say_whether_they_are_definite() -> None:
    async def node(script: Script) -> None:
        for code in ("mismatch", "timeout", "unavailable"):
            await script.answer(Failed((await script.request()).id, code, "as it is"))
        request = await script.request()
        assert request.body == Status()
        await script.answer(Report(request.id, {"node": "n1"}))

    async def test(client: Client) -> None:
        with pytest.raises(Mismatch, match="mismatch: as it is"):
            await client.cas("k", None, b"v")
        for definite in (False, True):
            with pytest.raises(NotServed, match=": as it is") as caught:
                await client.delete("k")
            assert caught.value.definite is definite
        assert await client.status() == {"node": "n1"}

    scripted(node, test)


def test_what_no_node_would_take_is_refused_here_and_harms_nothing() -> None:
    async def node(script: Script) -> None:
        await script.answer(Done((await script.request()).id))

    async def test(client: Client) -> None:
        with pytest.raises(BadRequest, match="a key has 1 to 1024 bytes"):
            await client.request(Get("", "one"))
        with pytest.raises(BadRequest, match="a value has at most"):
            await client.request(Cas("k", None, bytes(2 << 20), "linearizable"))
        with pytest.raises(BadRequest, match="not a request"):
            await client.put("k", b"v", level="x" * 100)
        with pytest.raises(BadRequest, match="not a request"):
            await client.incr("k", 1 << 62 | 1)
        await client.put("k", b"v")

    scripted(node, test)


def test_every_kind_of_answer_becomes_what_a_program_wants() -> None:
    answers: list[Callable[[int], Response]] = [
        lambda number: FoundSiblings(number, (b"a", b"b"), b"seen"),
        lambda number: FoundCount(number, -3),
        lambda number: FoundElements(number, (b"x", b"y")),
        lambda number: FoundFields(number, {"f": b"1"}),
        lambda number: FoundCount(number, 1),
        lambda number: FoundMany(number, (Found(0, b"v"), Failed(0, "timeout", ""))),
    ]

    async def node(script: Script) -> None:
        for answer in answers:
            await script.answer(answer((await script.request()).id))
        await silence(script)

    async def test(client: Client) -> None:
        found = await client.siblings("k")
        assert (found.values, found.context) == ((b"a", b"b"), b"seen")
        assert await client.count("k") == -3
        assert await client.elements("k") == {b"x", b"y"}
        assert await client.fields("k") == {"f": b"1"}
        with pytest.raises(WrongKind, match="'k' holds a counter, not one value"):
            await client.get("k")
        many = await client.multi_get(["a", "b"])
        assert many == {"a": Found(0, b"v"), "b": Failed(0, "timeout", "")}

    scripted(node, test)


def test_a_scan_goes_on_from_page_to_page() -> None:
    pages: list[tuple[str, tuple[str, ...], bool]] = [("", ("a1", "a2"), True), ("a2", ("a3",), False)]

    async def node(script: Script) -> None:
        for after, keys, more in pages:
            request = await script.request()
            assert request.body == Scan("a", after, 2, "quorum")
            items = tuple([(key, Found(0, key.encode())) for key in keys])
            await script.answer(Scanned(request.id, items, more, {}))

    async def test(client: Client) -> None:
        found = [(key, response) async for key, response in client.scan("a", "quorum", page=2)]
        assert found == [(key, Found(0, key.encode())) for key in ("a1", "a2", "a3")]

    scripted(node, test)


def test_a_page_that_leads_nowhere_ends_a_scan_by_an_error_not_early() -> None:
    async def node(script: Script) -> None:
        await script.answer(Scanned((await script.request()).id, (), True, {}))
        await silence(script)

    async def test(client: Client) -> None:
        with pytest.raises(Lost, match="answered a Scan by Scanned"):
            assert [key async for key, _ in client.scan("a")] == []

    scripted(node, test)


def test_a_caller_may_wait_for_longer_than_a_coordinator_may_try() -> None:
    async def node(script: Script) -> None:
        request = await script.request()
        assert request.timeout_ms == TIMEOUT_MS_MAX
        await script.answer(Done(request.id))

    async def test(client: Client) -> None:
        await client.put("k", b"v", timeout_s=math.inf)

    scripted(node, test)


def test_nobody_there_is_not_sent() -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = listener.socket.getsockname()
        await listener.aclose()
        with pytest.raises(NotSent, match=r"node at 127.0.0.1:\d+ cannot be reached: Connection refused"):
            await Client.open(*address, "demo")

    trio.run(main)


def test_large_values_are_sent_while_others_wait() -> None:
    big = bytes(1 << 20)

    async def node(script: Script) -> None:
        await trio.testing.wait_all_tasks_blocked(0.02)
        for _ in range(12):
            await script.answer(Done((await script.request()).id))

    async def test(client: Client) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(client.put, str(number), big)

    scripted(node, test)


def test_an_answer_is_taken_while_later_requests_cannot_be_sent() -> None:
    async def node(script: Script) -> None:
        await script.answer(Done((await script.request()).id))
        await silence(script)

    async def test(client: Client) -> None:
        async def put(number: int) -> None:
            await client.put(str(number), bytes(1 << 20))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(put, number)

    scripted(node, test)


def test_a_node_and_a_client_that_both_have_much_to_send_do_not_wait_for_each_other() -> None:
    big = bytes(1 << 20)

    async def node(script: Script) -> None:
        late = await script.request()
        await trio.testing.wait_all_tasks_blocked(0.02)
        for _ in range(20):
            await script.answer(Found(late.id, big))
        for _ in range(20):
            await script.answer(Done((await script.request()).id))

    async def test(client: Client) -> None:
        with pytest.raises(Lost):
            await client.request(GET, 0.01)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(client.put, str(number), big)

    scripted(node, test)
