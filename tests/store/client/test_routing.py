"""Whom a client asks for a key, in which order, without a network."""

from __future__ import annotations

import pytest

from store.client.errors import BadRequest, Lost, Mismatch, NotSent, NotServed, StoreError
from store.client.routing import AILING_MAX_S, AILING_S, ATTEMPTS_MAX, Routing, may_ask_again
from store.core.messages import Delete, Get, Located, MultiGet, Put, Scan
from store.core.ownership.layout import first_layout
from store.net.address import Address

SEEDS = [Address("seed", port) for port in (1, 2)]


def located(count: int) -> Routing:
    names = [f"n{number}" for number in range(count)]
    routing = Routing(SEEDS)
    routing.located(Located(1, first_layout(names, 3), {name: f"{name}:7000" for name in names}))
    return routing


def test_seeds_are_asked_in_order_as_long_as_nothing_is_known() -> None:
    assert Routing(SEEDS).candidates("k", 0) == SEEDS


def test_owners_come_first_each_node_once_and_not_too_many() -> None:
    routing = located(50)
    assert routing.placement is not None
    for number in range(100):
        key = f"k{number}"
        asked = routing.candidates(key, 0)
        (names,) = routing.placement.replicas(key)
        assert [address.host for address in asked[:3]] == list(names)
        assert len(asked) == len(set(asked)) == ATTEMPTS_MAX


def test_questions_without_a_key_go_around() -> None:
    routing = located(5)
    assert {routing.candidates(None, 0)[0].host for _ in range(5)} == {f"n{number}" for number in range(5)}


def test_who_fails_is_asked_last_for_longer_each_time_and_forgiven_when_it_serves() -> None:
    routing = Routing(SEEDS)
    now, length_s = 0.0, AILING_S
    for _ in range(8):
        routing.failed(SEEDS[0], now)
        assert routing.candidates("k", now)[-1] == SEEDS[0]
        assert routing.candidates("k", now + 0.99 * length_s)[-1] == SEEDS[0]
        assert SEEDS[0] in (
            routing.candidates("k", now + length_s)[0],
            routing.candidates("k", now + length_s)[0],
        )
        now, length_s = now + length_s, min(2 * length_s, AILING_MAX_S)
    routing.failed(SEEDS[0], now)
    routing.served(SEEDS[0])
    assert SEEDS[0] in (routing.candidates("k", now)[0], routing.candidates("k", now)[0])


def test_a_node_whose_address_is_unknown_or_useless_is_left_out() -> None:
    routing = Routing(SEEDS)
    addresses = {"a": "a:1", "b": "", "c": "nonsense", "d": "d:0", "stranger": "s:1"}
    routing.located(Located(1, first_layout("abcd", 3), addresses))
    assert routing.nodes == {"a": Address("a", 1)}
    assert set(routing.candidates("k", 0)) == {Address("a", 1), *SEEDS}


@pytest.mark.parametrize(
    ("error", "write", "read"),
    [
        (NotSent("down"), True, True),
        (BadRequest("too long"), False, False),
        (Lost("gone"), False, True),
        (NotServed("unavailable", ""), True, True),
        (NotServed("overloaded", ""), True, True),
        (NotServed("disk-full", ""), True, True),
        (NotServed("timeout", ""), False, True),
        (NotServed("contended", ""), False, True),
        (NotServed("disk", ""), False, True),
        (NotServed("bad-request", ""), False, False),
        (Mismatch("mismatch", ""), False, False),
        (NotServed("of a later version", ""), False, True),
    ],
)
def test_only_what_certainly_did_nothing_is_asked_again(error: StoreError, write: bool, read: bool) -> None:
    for body in (Put("k", b"v", "one"), Delete("k", "one")):
        assert may_ask_again(body, error) is write
    for body in (Get("k", "one"), MultiGet(("k",), "one"), Scan("", "", 1, "one")):
        assert may_ask_again(body, error) is read
