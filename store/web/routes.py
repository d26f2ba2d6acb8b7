"""From an HTTP request to a question to the node, and from its answer to an HTTP reply: no I/O but `ask`.

    GET    /healthz                     200 if the node serves, else 503 and why
    GET    /status                      what the node says of itself, JSON
    GET    /metrics                     the same and more, for Prometheus
    GET    /kv/KEY?level=               the value as it is; other kinds as JSON
    PUT    /kv/KEY?level=&ttl_ms=&expect=&absent=    the body is the value; with expect or absent, a cas
    DELETE /kv/KEY?level=
    POST   /kv/KEY?level=               JSON: {"incr": 1}, {"add": [..], "remove": [..]}, or {"set": {..}}
    GET    /kv?prefix=&after=&limit=&level=          a line of JSON for each key, and one for the end

KEY may have slashes in it. Without a level, it is the one that suits the key's bucket. A key's siblings come
with the header X-Context, to be given back with the PUT or the DELETE that replaces them. Any request may
have ?timeout_ms=.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from store.client.jsonform import context_json, context_of, failure_json, read_json, value_of
from store.client.operations import TIMEOUT_S
from store.core.messages import (
    BATCH_MAX,
    DEFINITE,
    TIMEOUT_MS_MAX,
    TTL_MS_MAX,
    Body,
    Cas,
    ChangeElements,
    ChangeFields,
    Delete,
    Done,
    Failed,
    Found,
    FoundCopies,
    FoundMany,
    FoundSiblings,
    Get,
    Increment,
    Located,
    Put,
    Report,
    Request,
    Response,
    Scan,
    Scanned,
    Status,
)
from store.net.wire import WireError, check_body, decode_request, frame

Ask = Callable[[Body, float], Awaitable[Response]]
Exposition = Callable[[Mapping[str, Any]], bytes]

STATUS: Final[Mapping[str, int]] = {
    "bad-request": 400,
    "mismatch": 409,
    "unavailable": 503,
    "overloaded": 503,
    "disk-full": 507,
    "too-large": 413,
    "timeout": 504,
    "contended": 504,
    "disk": 500,
}
"""For each failure's code; 504 and 500 are of those that may have had an effect."""
AGAIN: Final = ("unavailable", "overloaded")
METHODS: Final[Mapping[str, str]] = {
    "/healthz": "GET, HEAD",
    "/status": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/kv": "GET",
    "/kv/": "GET, HEAD, PUT, POST, DELETE",
}
JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
SCAN_LIMIT: Final = 100
HEALTH_S: Final = 2.0
CONTEXT: Final = "x-context"

_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "GET": frozenset({"level", "timeout_ms"}),
    "HEAD": frozenset({"level", "timeout_ms"}),
    "PUT": frozenset({"level", "timeout_ms", "ttl_ms", "expect", "absent"}),
    "DELETE": frozenset({"level", "timeout_ms"}),
    "POST": frozenset({"level", "timeout_ms"}),
}
_SCAN_PARAMETERS: Final = frozenset({"prefix", "after", "limit", "level", "timeout_ms"})


class HttpRequest(NamedTuple):
    """`path` and `query` as they came; header names in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: Mapping[str, str]
    body: bytes


class HttpReply(NamedTuple):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """What the client sent is no request of ours: a status and a sentence."""

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.reply = _json(status, failure_json("bad-request", text, True), headers)


class Routes:
    """`ask` puts a question to the node; `exposition` makes the page of metrics from its status; `level` is
    that of a request which names none, by its key."""

    def __init__(self, ask: Ask, exposition: Exposition, level: Callable[[str], str]) -> None:
        self._ask = ask
        self._exposition = exposition
        self._usual_level = level

    async def reply(self, request: HttpRequest) -> HttpReply:
        """What to answer; nothing that a client sends makes it raise."""
        try:
            return await self._routed(request)
        except Refusal as refusal:
            return refusal.reply

    async def _routed(self, request: HttpRequest) -> HttpReply:
        path = request.path
        name = "/kv/" if path.startswith(b"/kv/") else path.decode("latin-1")
        allowed = METHODS.get(name)
        if allowed is None:
            raise Refusal(404, f"there is no such page; there are {', '.join(METHODS)}KEY")
        if request.method not in allowed.split(", "):
            raise Refusal(405, f"{name} takes {allowed}", (("Allow", allowed),))
        match name:
            case "/healthz":
                return await self._health()
            case "/status":
                return _json(200, await self._status())
            case "/metrics":
                return HttpReply(200, PROMETHEUS, self._exposition(await self._status()))
            case "/kv":
                return await self._scan(_parameters(request.query, _SCAN_PARAMETERS))
        parameters = _parameters(request.query, _PARAMETERS[request.method])
        key = _text(unquote_to_bytes(path[len(b"/kv/") :]), "the key")
        body = _body(request, key, parameters, self._level(parameters, key))
        return _of_key(await self._asked(body, _timeout_s(parameters)))

    async def _health(self) -> HttpReply:
        response = await self._ask(Status(), HEALTH_S)
        if not isinstance(response, Report):
            return _of_key(response)
        why = unwell(response.status)
        return _json(503 if why else 200, {"serves": not why, "why": why})

    async def _status(self) -> dict[str, Any]:
        response = await self._ask(Status(), TIMEOUT_S)
        if isinstance(response, Report):
            return response.status
        raise Refusal(503, "the node does not answer")

    async def _scan(self, parameters: Mapping[str, bytes]) -> HttpReply:
        prefix, after = (_text(parameters.get(name, b""), name) for name in ("prefix", "after"))
        limit = _number(parameters, "limit", SCAN_LIMIT, 1, BATCH_MAX)
        body = Scan(prefix, after, limit, self._level(parameters, prefix))
        scanned = await self._asked(body, _timeout_s(parameters))
        if not isinstance(scanned, Scanned):
            return _of_key(scanned)
        lines = [{"key": key} | read_json(response) for key, response in scanned.items]
        end = {"more": scanned.more, "cost": scanned.cost}
        return HttpReply(200, LINES, msgspec.json.Encoder().encode_lines([*lines, end]))

    def _level(self, parameters: Mapping[str, bytes], key: str) -> str:
        return _text(parameters["level"], "level") if "level" in parameters else self._usual_level(key)

    async def _asked(self, body: Body, timeout_s: float) -> Response:
        try:
            check_body(body)
            decode_request(frame(Request(1, 1, body))[4:])
        except WireError as error:
            raise Refusal(400, str(error)) from None
        return await self._ask(body, timeout_s)


def unwell(status: Mapping[str, Any]) -> str:
    """Why the node of this status does not serve; empty: it does."""
    if "epoch" not in status:
        return "it does not know yet who keeps what"
    if not status.get("serves", True):
        return "it has no part in the cluster, or does not serve yet"
    return ""


def _body(request: HttpRequest, key: str, parameters: Mapping[str, bytes], level: str) -> Body:
    """What the request asks of one key."""
    match request.method:
        case "GET" | "HEAD":
            return Get(key, level)
        case "DELETE":
            return Delete(key, level, _context(request))
        case "POST":
            return _change(request, key, level)
    if "expect" in parameters or "absent" in parameters:
        if len(parameters.keys() & {"expect", "absent", "ttl_ms"}) > 1:
            raise Refusal(400, "of expect, absent and ttl_ms there can be one")
        return Cas(key, parameters.get("expect"), request.body, level)
    return Put(key, request.body, level, _number(parameters, "ttl_ms", 0, 0, TTL_MS_MAX), _context(request))


def _change(request: HttpRequest, key: str, level: str) -> Body:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refusal(415, f"a POST has content-type {JSON}")
    try:
        match msgspec.json.decode(request.body):
            case {"incr": int(by)} as given if len(given) == 1 and type(by) is int:
                return Increment(key, by, level)
            case {"set": dict(fields)} as given if len(given) == 1:
                values = {name: None if at is None else value_of(at) for name, at in fields.items()}
                return ChangeFields(key, values, level)
            case dict(given) if given and given.keys() <= {"add", "remove"}:
                add, remove = (tuple(map(value_of, given.get(name, ()))) for name in ("add", "remove"))
                return ChangeElements(key, add, remove, level)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise Refusal(400, f"the body is not what a POST takes: {error}") from None
    raise Refusal(400, 'a POST takes {"incr": 1}, {"add": [..], "remove": [..]}, or {"set": {..}}')


def _of_key(response: Response) -> HttpReply:
    match response:
        case Found(_, None):
            return _json(404, {"value": None})
        case Found(_, bytes(value)):
            return HttpReply(200, BYTES, value)
        case FoundSiblings(_, values, context):
            header = ((CONTEXT, context_json(context)),)
            if len(values) == 1:
                return HttpReply(200, BYTES, values[0], header)
            status = 300 if values else 404
            return _json(status, read_json(response), header)
        case Done():
            return HttpReply(204, "", b"")
        case Failed(_, code, text):
            again = (("Retry-After", "1"),) if code in AGAIN else ()
            return _json(STATUS.get(code, 500), failure_json(code, text, DEFINITE.get(code, False)), again)
        case Report() | Scanned() | FoundMany() | FoundCopies() | Located():
            text = f"the node answered by a {type(response).__name__}"
            return _json(500, failure_json("timeout", text, False))
    return _json(200, read_json(response))


def _json(status: int, content: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> HttpReply:
    return HttpReply(status, JSON, msgspec.json.encode(content), headers)


# Parameters ------------------------------------------------------------------------------------------


def _parameters(query: bytes, allowed: frozenset[str]) -> dict[str, bytes]:
    """Each at most once, as bytes; "+" is a plus sign."""
    found: dict[str, bytes] = {}
    for part in query.split(b"&") if query else ():
        raw_name, _, value = part.partition(b"=")
        name = unquote_to_bytes(raw_name).decode(errors="replace")
        if name not in allowed:
            raise Refusal(400, f"parameter {name[:40]!r} is not one of {', '.join(sorted(allowed))}")
        if name in found:
            raise Refusal(400, f"parameter {name!r} is there twice")
        found[name] = unquote_to_bytes(value)
    return found


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refusal(400, f"{what} is not UTF-8") from None


def _number(parameters: Mapping[str, bytes], name: str, default: int, least: int, most: int) -> int:
    raw = parameters.get(name)
    if raw is None:
        return default
    if not (raw.isdigit() and len(raw) < 20 and least <= int(raw) <= most):
        raise Refusal(400, f"{name} is a whole number from {least} to {most}")
    return int(raw)


def _timeout_s(parameters: Mapping[str, bytes]) -> float:
    return _number(parameters, "timeout_ms", int(TIMEOUT_S * 1000), 1, TIMEOUT_MS_MAX) / 1000


def _context(request: HttpRequest) -> bytes:
    try:
        return context_of(request.headers.get(CONTEXT, ""))
    except ValueError as error:
        raise Refusal(400, f"header {CONTEXT}: {error}") from None
