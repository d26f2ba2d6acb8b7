"""A node's HTTP endpoint, before a node that answers as the test says: every page, refusal and limit."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.core.messages import (
    DEFINITE,
    VALUE_BYTES_MAX,
    Body,
    Cas,
    ChangeElements,
    ChangeFields,
    Delete,
    Done,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    Get,
    Increment,
    Put,
    Report,
    Response,
    Scan,
    Scanned,
    Status,
)
from store.web import http
from store.web.http import HttpServer, is_local
from store.web.routes import STATUS, Routes
from tests.support.http_client import Reply, ask, exchange

WELL = {"node": "n1", "epoch": 1, "serves": True}


class Node:
    """What it was asked, and what it answers."""

    def __init__(self, response: Response | None = None, status: dict[str, Any] = WELL) -> None:
        self.asked: list[Body] = []
        self.timeouts: list[float] = []
        self.response = response
        self.status = status

    async def ask(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Status):
            return Report(1, self.status)
        self.asked.append(body)
        self.timeouts.append(timeout_s)
        return self.response or Done(1)


def level(key: str) -> str:
    return "quorum" if key.startswith("bucket/") else "linearizable"


def served(node: Node, test: Callable[[int], Awaitable[None]], token: str | None = None) -> None:
    """Run `test` with the port of an endpoint before `node`."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            routes = Routes(node.ask, lambda status: f"epoch {status['epoch']}\n".encode(), level)
            server = HttpServer(listener, routes, token)
            with trio.fail_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.run)
                    await test(listener.getsockname()[1])
                    nursery.cancel_scope.cancel()

    trio.run(main)


def reply_to(
    node: Node, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Reply:
    replies: list[Reply] = []

    async def test(port: int) -> None:
        replies.append(await ask(port, method, target, body, headers))

    served(node, test)
    return replies[0]


@pytest.mark.parametrize(
    ("method", "target", "body", "asked"),
    [
        ("GET", "/kv/a/b%20c?level=one", b"", Get("a/b c", "one")),
        ("GET", "/kv/%C3%A4", b"", Get("ä", "linearizable")),
        ("HEAD", "/kv/k", b"", Get("k", "linearizable")),
        ("PUT", "/kv/k", b"\0\xff", Put("k", b"\0\xff", "linearizable")),
        ("PUT", "/kv/k?level=r=1,w=2&ttl_ms=5", b"v", Put("k", b"v", "r=1,w=2", 5)),
        ("PUT", "/kv/k?expect=a%00%2b+b", b"v", Cas("k", b"a\0++b", b"v", "linearizable")),
        ("PUT", "/kv/k?expect=", b"v", Cas("k", b"", b"v", "linearizable")),
        ("PUT", "/kv/k?absent", b"v", Cas("k", None, b"v", "linearizable")),
        ("DELETE", "/kv/k?level=quorum", b"", Delete("k", "quorum")),
        ("GET", "/kv/bucket/k", b"", Get("bucket/k", "quorum")),
        ("PUT", "/kv/bucket/k", b"v", Put("bucket/k", b"v", "quorum")),
        ("DELETE", "/kv/bucket/k", b"", Delete("bucket/k", "quorum")),
        ("POST", "/kv/bucket/k", b'{"incr": -3}', Increment("bucket/k", -3, "quorum")),
        ("POST", "/kv/bucket/k", b'{"add": ["a"], "remove": [{"base64": "/w=="}]}',
         ChangeElements("bucket/k", (b"a",), (b"\xff",), "quorum")),
        ("POST", "/kv/k?level=all", b'{"set": {"f": "1", "g": null}}',
         ChangeFields("k", {"f": b"1", "g": None}, "all")),
    ],
)  # fmt: skip
def test_each_request_becomes_one_question(method: str, target: str, body: bytes, asked: Body) -> None:
    node = Node(Found(1, b"v") if method in ("GET", "HEAD") else None)
    reply = reply_to(node, method, target, body, {"Content-Type": "application/json"})
    assert reply.status == (200 if method in ("GET", "HEAD") else 204)
    assert node.asked == [asked]
    assert node.timeouts == [5.0]


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (Found(1, b"\0v"), 200, b"\0v"),
        (Found(1, b""), 200, b""),
        (Found(1, None), 404, b'{"value":null}'),
        (FoundSiblings(1, (b"a",), b"seen"), 200, b"a"),
        (FoundSiblings(1, (b"a", b"\xff"), b"seen"), 300,
         b'{"values":["a",{"base64":"/w=="}],"context":"c2Vlbg=="}'),
        (FoundSiblings(1, (), b"seen"), 404, b'{"values":[],"context":"c2Vlbg=="}'),
        (FoundCount(1, -2), 200, b'{"count":-2}'),
        (FoundElements(1, (b"a",)), 200, b'{"elements":["a"]}'),
        (FoundFields(1, {"f": b"1"}), 200, b'{"fields":{"f":"1"}}'),
        (Report(1, {}), 500, b'{"error":"the node answered by a Report","code":"timeout","definite":false}'),
    ],
)  # fmt: skip
def test_each_kind_of_answer_has_its_form(response: Response, status: int, body: bytes) -> None:
    reply = reply_to(Node(response), "GET", "/kv/k")
    assert (reply.status, reply.body) == (status, body)
    if isinstance(response, FoundSiblings):
        assert reply.headers["x-context"] == "c2Vlbg=="


def test_a_context_goes_with_the_write_that_replaces_siblings() -> None:
    node = Node()
    reply_to(node, "PUT", "/kv/k?level=quorum", b"v", {"X-Context": "c2Vlbg=="})
    reply_to(node, "DELETE", "/kv/k", b"", {"x-context": "c2Vlbg=="})
    assert node.asked == [
        Put("k", b"v", "quorum", context=b"seen"),
        Delete("k", "linearizable", b"seen"),
    ]


@pytest.mark.parametrize("code", list(DEFINITE))
def test_each_failure_has_a_status_and_says_whether_it_is_definite(code: str) -> None:
    reply = reply_to(Node(Failed(1, code, "as it is")), "PUT", "/kv/k", b"v")
    assert reply.status == STATUS[code]
    assert json.loads(reply.body) == {"error": "as it is", "code": code, "definite": DEFINITE[code]}
    assert (reply.status < 500 or reply.status in (503, 507)) is DEFINITE[code]
    assert ("retry-after" in reply.headers) is (code in ("unavailable", "overloaded"))


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "why"),
    [
        ("GET", "/", b"", 404, "there is no such page"),
        ("GET", "/kv/", b"", 400, "a key has 1 to 1024 bytes"),
        ("GET", "/kv/%ff", b"", 400, "the key is not UTF-8"),
        ("GET", "/kv/" + "k" * 1025, b"", 400, "a key has 1 to 1024 bytes"),
        ("PATCH", "/kv/k", b"", 405, "takes GET, HEAD, PUT, POST, DELETE"),
        ("PUT", "/status", b"", 405, "/status takes GET, HEAD"),
        ("GET", "/kv/k?lvl=one", b"", 400, "parameter 'lvl' is not one of level, timeout_ms"),
        ("GET", "/kv/k?level=one&level=all", b"", 400, "parameter 'level' is there twice"),
        ("GET", "/kv/k?timeout_ms=0", b"", 400, "timeout_ms is a whole number from 1 to"),
        ("GET", "/kv/k?level=" + "x" * 100, b"", 400, "not a request"),
        ("PUT", "/kv/k?ttl_ms=-1", b"", 400, "ttl_ms is a whole number from 0 to"),
        ("PUT", "/kv/k?absent&expect=x", b"", 400, "of expect, absent and ttl_ms there can be one"),
        ("GET", "/kv?limit=1001", b"", 400, "limit is a whole number from 1 to 1000"),
        ("GET", "/kv?prefix=%ff", b"", 400, "prefix is not UTF-8"),
        ("POST", "/kv/k", b"{", 400, "the body is not what a POST takes"),
        ("POST", "/kv/k", b"[" * 100_000, 400, "the body is not what a POST takes"),
        ("POST", "/kv/k", b"{}", 400, "a POST takes"),
        ("POST", "/kv/k", b'{"incr": true}', 400, "a POST takes"),
        ("POST", "/kv/k", b'{"incr": 1e999}', 400, "a POST takes"),
        ("POST", "/kv/k", b'{"incr": 99999999999999999999999999}', 400, ""),
        ("POST", "/kv/k", b'{"add": [1]}', 400, "a value is a string"),
        ("POST", "/kv/k", b'{"add": 1}', 400, "the body is not what a POST takes"),
        ("POST", "/kv/k", b'{"set": {"f": {"base64": "?"}}}', 400, "is not base64"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence_and_asks_nothing(
    method: str, target: str, body: bytes, status: int, why: str
) -> None:
    node = Node()
    reply = reply_to(node, method, target, body, {"Content-Type": "application/json"})
    assert reply.status == status
    assert why in json.loads(reply.body)["error"]
    assert node.asked == []
    if status == 405:
        assert reply.headers["allow"] in why or reply.headers["allow"]


def test_a_post_of_another_type_is_refused_because_any_web_page_could_send_it() -> None:
    node = Node()
    reply = reply_to(node, "POST", "/kv/k", b'{"incr": 1}', {"Content-Type": "text/plain"})
    assert (reply.status, node.asked) == (415, [])


def test_a_scan_is_a_line_for_each_key_and_one_for_the_end() -> None:
    node = Node(Scanned(1, (("a", Found(0, b"1")), ("b", FoundCount(0, 2))), True, {"nodes asked": 3}))
    reply = reply_to(node, "GET", "/kv?prefix=%61&after=&limit=2&level=one&timeout_ms=100")
    assert node.asked == [Scan("a", "", 2, "one")]
    assert node.timeouts == [0.1]
    assert [json.loads(line) for line in reply.body.splitlines()] == [
        {"key": "a", "value": "1"},
        {"key": "b", "count": 2},
        {"more": True, "cost": {"nodes asked": 3}},
    ]


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (WELL, 200, ""),
        ({"node": "n1"}, 503, "it does not know yet who keeps what"),
        (WELL | {"serves": False}, 503, "it has no part in the cluster, or does not serve yet"),
    ],
)
def test_healthz_is_200_if_the_node_serves(status: dict[str, Any], code: int, why: str) -> None:
    reply = reply_to(Node(status=status), "GET", "/healthz")
    assert (reply.status, json.loads(reply.body)) == (code, {"serves": not why, "why": why})


def test_status_and_metrics_come_from_the_same_status() -> None:
    assert json.loads(reply_to(Node(), "GET", "/status").body) == WELL
    reply = reply_to(Node(), "GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.body == b"epoch 1\n"


def test_one_connection_serves_many_requests_and_head_has_no_body() -> None:
    async def test(port: int) -> None:
        one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        replies = await exchange(port, one * 20)
        assert [reply.status for reply in replies] == [200] * 20
        (head,) = await exchange(port, one.replace(b"GET", b"HEAD"), "HEAD")
        assert int(head.headers["content-length"]) == len(replies[0].body)

    served(Node(), test)


def test_a_body_that_is_too_large_is_refused_before_or_while_it_comes() -> None:
    node = Node()

    async def test(port: int) -> None:
        reply = await ask(port, "PUT", "/kv/k", bytes(VALUE_BYTES_MAX))
        assert reply.status == 204
        reply = await ask(port, "PUT", "/kv/k", b"", {"Content-Length": str(VALUE_BYTES_MAX + 1)})
        assert reply.status == 413
        chunk = b"%x\r\n%s\r\n" % (VALUE_BYTES_MAX // 2 + 1, bytes(VALUE_BYTES_MAX // 2 + 1))
        head = b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        (reply,) = await exchange(port, head + 2 * chunk)
        assert reply.status == 413

    served(node, test)
    assert len(node.asked) == 1


def test_a_head_that_is_too_large_or_no_http_is_refused() -> None:
    async def test(port: int) -> None:
        (reply,) = await exchange(port, b"GET / HTTP/1.1\r\nX: " + b"x" * (http.HEAD_BYTES_MAX + 1))
        assert reply.status == 431
        (reply,) = await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")
        assert reply.status == 400
        assert "this is not HTTP" in json.loads(reply.body)["error"]

    served(Node(), test)


def test_a_client_that_waits_to_be_told_to_go_on_is_told() -> None:
    async def test(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(
                b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
            )
            assert b"100" in await stream.receive_some()
            await stream.send_all(b"v")
            assert b" 204 " in await stream.receive_some()

    served(Node(), test)


def test_a_token_is_demanded_but_for_the_health() -> None:
    async def test(port: int) -> None:
        assert (await ask(port, "GET", "/healthz")).status == 200
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic c2VjcmV0"}):
            reply = await ask(port, "GET", "/status", headers=headers)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert (await ask(port, "GET", "/status", headers={"Authorization": "Bearer secret"})).status == 200

    served(Node(), test, token="secret")


def test_without_proof_only_loopback_names_are_served() -> None:
    async def test(port: int) -> None:
        assert (await ask(port, "GET", "/status", headers={"Host": "evil.example"})).status == 421
        assert (await ask(port, "GET", "/status", headers={"Host": "localhost"})).status == 200

    served(Node(), test)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("LOCALHOST:80", True), ("127.0.0.1:8000", True), ("127.9.9.9", True),
        ("[::1]:8000", True), ("[::1]", True), ("10.0.0.1", False), ("localhost.evil.example", False),
        ("", False), ("::", False), ("[::1", False), ("127.0.0.1:8000:1", False),
    ],
)  # fmt: skip
def test_which_hosts_are_this_machines_own(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_more_connections_than_allowed_are_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 2)

    async def test(port: int) -> None:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        for stream in streams:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await stream.receive_some()
        third = await trio.open_tcp_stream("127.0.0.1", port)
        assert await third.receive_some() == b""
        for stream in (*streams, third):
            await stream.aclose()

    served(Node(), test)


def test_who_is_slow_to_ask_or_to_send_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_S", 0.05)
    monkeypatch.setattr(http, "READ_S", 0.05)

    async def test(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await stream.receive_some() == b""
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nv")
            assert b" 408 " in await stream.receive_some()

    served(Node(), test)


TOKENS = st.sampled_from(
    [b"GET", b"PUT", b"POST", b"HEAD", b"CONNECT", b"OPTIONS", b" ", b"/kv/k", b"/kv?", b"/status", b"*",
     b"%zz", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r\n\r\n", b"Host: localhost",
     b"Content-Length: 3", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
     b"Transfer-Encoding: chunked", b"Upgrade: h2c", b"Connection: close", b"Expect: 100-continue",
     b"Content-Type: application/json",
     b"3\r\nabc\r\n0\r\n\r\n", b"\0", b"\xff", b'{"incr":1}']
)  # fmt: skip


def test_whatever_comes_the_endpoint_answers_or_hangs_up_and_serves_the_next() -> None:
    async def test(port: int) -> None:
        for request in requests:
            with trio.fail_after(5):
                for reply in await exchange(port, request):
                    assert 200 <= reply.status < 600
        assert (await ask(port, "GET", "/healthz")).status == 200

    requests: list[bytes] = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(TOKENS | st.binary(max_size=20), max_size=14).map(b"".join))
    def collect(request: bytes) -> None:
        requests.append(request)

    collect()
    served(Node(Found(1, b"v")), test)
