"""Frames and typed messages: whatever goes in comes out, and whatever else comes is refused in one way."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from store.core.messages import (
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    Accept,
    Accepted,
    Cas,
    Cell,
    Delete,
    Done,
    Failed,
    Fetch,
    Fetched,
    Found,
    Get,
    HelloClient,
    HelloPeer,
    Prepare,
    Promise,
    Put,
    Queried,
    Query,
    Refused,
    Register,
    Report,
    Request,
    Stale,
    Status,
    Store,
    Stored,
    Unable,
)
from store.net.wire import (
    FRAME_BYTES_MAX,
    FrameDecoder,
    WireError,
    check_body,
    decode_message,
    decode_opening,
    decode_request,
    decode_response,
    frame,
)

naturals = st.integers(0, (1 << 62) - 1)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)
values = st.binary(max_size=300)
maybe_values = st.none() | values
ballots = st.tuples(naturals, names)
cells = st.builds(Cell, st.tuples(naturals, naturals, names), maybe_values, naturals)
targets = st.just("") | names
registers = st.builds(
    Register, maybe_values, naturals, st.lists(st.tuples(names, naturals), max_size=4).map(tuple)
)
maybe_registers = st.none() | registers
levels = st.text(max_size=32)
bodies = st.one_of(
    st.builds(Get, keys, levels),
    st.builds(Put, keys, values, levels),
    st.builds(Cas, keys, maybe_values, values, levels),
    st.builds(Delete, keys, levels),
    st.builds(Status),
)
requests = st.builds(Request, naturals, st.integers(1, 3_600_000), bodies)
statuses = st.dictionaries(
    st.text(), st.text() | st.integers(-(1 << 63), (1 << 63) - 1) | st.lists(st.text())
)
responses = st.one_of(
    st.builds(Found, naturals, maybe_values),
    st.builds(Done, naturals),
    st.builds(Report, naturals, statuses),
    st.builds(Failed, naturals, st.text(max_size=32), st.text(max_size=100)),
)
messages = st.one_of(
    st.builds(Fetch, naturals, naturals, keys),
    st.builds(Fetched, naturals, st.none() | cells),
    st.builds(Store, naturals, naturals, keys, cells, targets),
    st.builds(Stored, naturals),
    st.builds(Query, naturals, naturals, keys),
    st.builds(Queried, naturals, ballots, maybe_registers),
    st.builds(Prepare, naturals, naturals, keys, ballots),
    st.builds(Promise, naturals, ballots, maybe_registers),
    st.builds(Accept, naturals, naturals, keys, ballots, registers, ballots),
    st.builds(Accepted, naturals),
    st.builds(Refused, naturals, ballots),
    st.builds(Stale, naturals, naturals),
    st.builds(Unable, naturals, st.text(max_size=32)),
)
hellos = st.builds(HelloClient, names) | st.builds(
    HelloPeer, names, names, naturals, st.text(max_size=64), st.text(max_size=300)
)

DECODERS = (decode_request, decode_response, decode_message, decode_opening)


def payload_of(message: Any) -> bytes:
    decoder = FrameDecoder()
    decoder.feed(frame(message))
    (payload,) = decoder
    return payload


def raw(tag: int, *fields: object) -> bytes:
    return msgpack.encode([tag, *fields])


@given(requests)
def test_a_request_survives_the_wire(request: Request) -> None:
    assert decode_request(payload_of(request)) == request


@given(responses)
def test_a_response_survives_the_wire(response: Any) -> None:
    assert decode_response(payload_of(response)) == response


@given(messages)
def test_a_peer_message_survives_the_wire(message: Any) -> None:
    assert decode_message(payload_of(message)) == message


@given(hellos)
def test_a_hello_survives_the_wire(hello: Any) -> None:
    assert decode_opening(payload_of(hello)) == hello


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 2000)))
def test_frames_come_out_whole_wherever_the_stream_is_split(sent: list[Any], cuts: list[int]) -> None:
    stream = b"".join(frame(message) for message in sent)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder, received = FrameDecoder(), []
    for start, end in pairwise(bounds):
        decoder.feed(stream[start:end])
        received += [decode_message(payload) for payload in decoder]
    assert received == sent
    assert decoder.buffered_bytes == 0


@given(st.lists(st.binary(max_size=40)))
def test_random_bytes_raise_wire_error_or_nothing_and_are_not_hoarded(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(frame_bytes_max=32)
    for chunk in chunks:
        decoder.feed(chunk)
        try:
            for payload in decoder:
                assert len(payload) <= 32
        except WireError:
            return
        assert decoder.buffered_bytes < 4 + 32


@given(st.binary(max_size=80))
def test_random_payloads_raise_nothing_but_wire_error(payload: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(payload)
        except WireError:
            pass


@given(requests | messages | responses | hellos, st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_message_raises_nothing_but_wire_error(message: Any, at: int, byte: int) -> None:
    payload = bytearray(payload_of(message))
    payload[at % len(payload)] = byte
    for decode in DECODERS:
        try:
            decode(bytes(payload))
        except WireError:
            pass


@settings(max_examples=20)
@given(st.integers(FRAME_BYTES_MAX + 1, (1 << 32) - 1))
def test_a_frame_above_the_limit_is_refused_at_its_header_again_and_again(size: int) -> None:
    decoder = FrameDecoder()
    decoder.feed(struct.pack(">I", size))
    for _ in range(2):
        with pytest.raises(WireError, match=f"a frame of {size} bytes is above the limit"):
            list(decoder)


def test_frames_before_one_above_the_limit_still_come() -> None:
    decoder = FrameDecoder(frame_bytes_max=10)
    decoder.feed(b"\0\0\0\x02hi" + b"\0\0\0\x0b")
    frames = iter(decoder)
    assert next(frames) == b"hi"
    with pytest.raises(WireError):
        next(frames)


def test_the_largest_messages_fit_into_a_frame() -> None:
    value = b"x" * VALUE_BYTES_MAX
    cas = Request(1, 1000, Cas("k" * KEY_BYTES_MAX, value, value, "linearizable"))
    assert decode_request(payload_of(cas)) == cas
    name = "\U0001f300" * 64
    state = Register(value, 1, ((name, 1 << 62),) * 64)
    accept = Accept(1, 1, "k" * KEY_BYTES_MAX, (1, name), state, (1, name))
    assert decode_message(payload_of(accept)) == accept


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "truncated"),
        (b"\xc1", "invalid opcode"),
        (raw(15, 1, 1000, [10, "", "one"]), "length >= 1"),
        (raw(15, 1, 1000, [10, "k" * 1025, "one"]), "length <= 1024"),
        (raw(15, 1, 1000, [10, "é" * 513, "one"]), "1 to 1024 bytes in UTF-8, not 1026"),
        (raw(15, 1, 1000, [11, "k", b"x" * (VALUE_BYTES_MAX + 1), "one"]), "length <= 1048576"),
        (raw(15, 1, 0, [10, "k", "one"]), ">= 1"),
        (raw(15, -1, 1000, [10, "k", "one"]), ">= 0"),
        (raw(15, 1, 1000, [99, "k", "one"]), "Invalid value 99"),
        (raw(15, 1, 1000), "at least length 4"),
        (raw(15, 1, 1000, [10, "k", "one"]) + b"\0", "trailing"),
        (raw(15, 1, 1000, [10, "ab", "one"]).replace(b"ab", b"\xff\xfe"), "codec can't decode"),
        (raw(15, 1, 1000, [14])[:-2] + b"\x92\x0e" + b"\x91" * 100_000, "recursion"),
    ],
)
def test_a_malformed_request_is_refused_by_name(payload: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        decode_request(payload)


def test_a_peers_key_is_limited_in_bytes_too() -> None:
    with pytest.raises(WireError, match="1 to 1024 bytes"):
        decode_message(raw(40, 1, 1, "é" * 513))


@pytest.mark.parametrize(
    "body",
    [
        Get("", "one"),
        Get("é" * 513, "one"),
        Put("k", b"x" * (VALUE_BYTES_MAX + 1), "one"),
        Cas("k", b"x" * (VALUE_BYTES_MAX + 1), b"", "one"),
        Cas("k", None, b"x" * (VALUE_BYTES_MAX + 1), "one"),
    ],
)
def test_a_client_can_tell_beforehand_what_a_node_would_refuse(body: Any) -> None:
    with pytest.raises(WireError, match=r"a (key|value) has"):
        check_body(body)


@given(bodies)
def test_whatever_passes_the_check_is_accepted_by_a_node(body: Any) -> None:
    check_body(body)
    assert decode_request(payload_of(Request(1, 1000, body))).body == body


def test_what_cannot_be_sent_is_refused_here() -> None:
    with pytest.raises(WireError, match="above the limit"):
        frame(Put("k", b"x" * FRAME_BYTES_MAX, "one"))  # type: ignore[arg-type]
    with pytest.raises(WireError, match=r"a Request with '\\udc80', which has no form in UTF-8"):
        frame(Request(1, 1000, Get("\udc80", "one")))
