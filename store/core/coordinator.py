"""From a client's request to the procedure that serves it, or to the reason why none can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from store.core import caspaxos
from store.core.coordination import Coordination
from store.core.data import editing, fields, quorum, scan
from store.core.data.datum import DATUM_BYTES_MAX, edit_bytes_max, response, stamps
from store.core.data.hlc import HybridClock
from store.core.data.levels import LevelError, parse_level
from store.core.data.siblings import ContextError, read_context
from store.core.messages import (
    KEY_BYTES_MAX,
    RESERVED,
    Add,
    AddRemove,
    Assign,
    Body,
    Cas,
    Cell,
    ChangeElements,
    ChangeFields,
    Conflict,
    Delete,
    Failed,
    FoundCopies,
    Get,
    Increment,
    Inspect,
    KeyBody,
    MultiGet,
    Put,
    ReadResponse,
    Response,
    Scan,
    Stamp,
)
from store.core.ownership.layout import Placement
from store.core.port import Port
from store.core.procedure import Procedure, Respond, Rest
from store.core.replica import HintStore

LINEARIZABLE: Final = "linearizable"
CLOCK_NANOS: Final = 1_000_000
"""How long a write rests until it looks again whether the clock's bound is durable."""

BY_KEY: Final = (Get, Put, Cas, Delete, Increment, ChangeElements, ChangeFields)
_HELD_IN: Final[dict[type[Body], tuple[Conflict, ...]]] = {
    Get: ("lww", "siblings", "counter", "set", "map"),
    Put: ("lww", "siblings"),
    Delete: ("lww", "siblings"),
    Increment: ("counter",),
    ChangeElements: ("set",),
    ChangeFields: ("map",),
}
"""Which buckets' keys take a request, by how the bucket settles conflicts, at any level but linearizable."""
_NAMES: Final[dict[type[Body], str]] = {
    Put: "put",
    Delete: "delete",
    Increment: "increment",
    ChangeElements: "a change of elements",
    ChangeFields: "a change of fields",
}


class Coordinator:
    """Any node serves any key. `clock` gives the stamps, `hints` keeps what replicas missed, `unable` says
    why this node can write nothing, if so, by a code of `DEFINITE`."""

    def __init__(
        self, port: Port, clock: HybridClock, hints: HintStore, unable: Callable[[], str | None]
    ) -> None:
        self._port = port
        self._clock = clock
        self._hints = hints
        self._unable = unable
        self._sessions: editing.Sessions = {}

    def plan(self, c: Coordination, body: Body) -> Procedure[Response] | Failed:
        """What serves `body`, or why no node would, or this one cannot."""
        place = self._port.placement
        if place is None:
            return Failed(c.request_id, "unavailable", "this node does not know yet who keeps what")
        refused = refusal(body, place)
        if refused is not None:
            return Failed(c.request_id, "bad-request", refused)
        if isinstance(body, MultiGet):
            return scan.multi_get(c, body, self.read_once)
        if isinstance(body, Scan):
            return scan.scan(c, body, self.read_once)
        if isinstance(body, Inspect):
            return self._inspect(c, body.key)
        assert isinstance(body, BY_KEY)
        if body.level == LINEARIZABLE:
            return _linearizable(c, body)
        return self._by_key(c, body, place)

    def _by_key(self, c: Coordination, body: KeyBody, place: Placement) -> Procedure[Response]:
        bucket = place.bucket(body.key)
        most = edit_bytes_max(bucket.n)
        match body:
            case Get(key, level):
                return self._read(c, key, level)
            case Put(key, value, level, ttl_ms) if bucket.conflict == "lww":
                return self._put(c, key, level, value, ttl_ms)
            case Delete(key, level) if bucket.conflict == "lww":
                return self._put(c, key, level, None, 0)
            case Put(key, value, level, _, context):
                return self._edit(c, key, level, Assign(context, value), most)
            case Delete(key, level, context):
                return self._edit(c, key, level, Assign(context, None), most)
            case Increment(key, by, level):
                return self._edit(c, key, level, Add(by), most)
            case ChangeElements(key, add, remove, level):
                return self._edit(c, key, level, AddRemove(add, remove), most)
            case ChangeFields(key, changed, level):
                return self._change_fields(c, key, level, changed, most)
        raise AssertionError(f"{body} was to be refused")

    def _read(self, c: Coordination, key: str, level: str) -> Procedure[Response]:
        gathered = yield from quorum.gather(c, key, level)
        if isinstance(gathered, Failed):
            return gathered
        answer = self._response(c, key, gathered)
        yield Respond(answer)
        yield from quorum.linger_and_repair(c, key, gathered)
        return answer

    def read_once(self, c: Coordination, key: str, level: str) -> Procedure[ReadResponse]:
        """As a Get, for one key of several: it repairs what it meets, and waits for nobody more."""
        if level == LINEARIZABLE:
            found = yield from caspaxos.read(c, key)
            assert isinstance(found, ReadResponse)
            return found
        gathered = yield from quorum.gather(c, key, level)
        if isinstance(gathered, Failed):
            return gathered
        if gathered.datum is not None:
            yield from quorum.repair(c, key, gathered, gathered.datum)
        return self._response(c, key, gathered)

    def _inspect(self, c: Coordination, key: str) -> Procedure[Response]:
        """What each replica keeps; all of them must tell."""
        gathered = yield from quorum.gather(c, key, "all")
        if isinstance(gathered, Failed):
            return gathered
        conflict = gathered.place.bucket(key).conflict
        now_ms = self._port.wall // 1_000_000
        copies = {
            peer: response(c.request_id, key, conflict, answer.datum, now_ms)
            for peer, answer in gathered.answers
        }
        return FoundCopies(c.request_id, copies)

    def _response(self, c: Coordination, key: str, gathered: quorum.Gathered) -> ReadResponse:
        datum = gathered.datum
        if datum is not None:
            for stamp in stamps(datum):
                self._clock.observe(stamp)
        conflict = gathered.place.bucket(key).conflict
        return response(c.request_id, key, conflict, datum, self._port.wall // 1_000_000)

    def _put(
        self, c: Coordination, key: str, level: str, value: bytes | None, ttl_ms: int
    ) -> Procedure[Response]:
        stamp = yield from self._stamp(c)
        if isinstance(stamp, Failed):
            return stamp
        expires_ms = self._port.wall // 1_000_000 + ttl_ms if ttl_ms else 0
        cell = Cell(stamp, value, expires_ms)
        return (yield from quorum.write(c, self._hints, key, level, cell, DATUM_BYTES_MAX))

    def _change_fields(
        self, c: Coordination, key: str, level: str, changed: dict[str, bytes | None], bytes_max: int
    ) -> Procedure[Response]:
        stamp = yield from self._stamp(c)
        if isinstance(stamp, Failed):
            return stamp
        datum = fields.change(changed, stamp)
        return (yield from quorum.write(c, self._hints, key, level, datum, bytes_max))

    def _edit(
        self, c: Coordination, key: str, level: str, change: Assign | Add | AddRemove, bytes_max: int
    ) -> Procedure[Response]:
        return editing.edit(c, self._hints, self._sessions, key, level, change, bytes_max)

    def _stamp(self, c: Coordination) -> Procedure[Stamp | Failed]:
        """A stamp that no stamp after a restart can be below."""
        while not self._clock.ready(self._port.wall // 1_000):
            code = self._unable()
            if c.late() or code is not None:
                text = "the bound of this node's clock could not be written down"
                return Failed(c.request_id, code or "unavailable", text)
            yield Rest(CLOCK_NANOS)
        return self._port.stamp()


def _linearizable(c: Coordination, body: KeyBody) -> Procedure[Response]:
    match body:
        case Get():
            return caspaxos.read(c, body.key)
        case Put(value=value):
            return caspaxos.change(c, body.key, lambda held: (value,))
        case Delete():
            return caspaxos.change(c, body.key, lambda held: (None,))
        case Cas(expect=expect, value=value):
            return caspaxos.change(c, body.key, lambda held: (value,) if held == expect else None)
    raise AssertionError(f"{body} was to be refused")


# Why a request makes no sense ----------------------------------------------------------------------------


def refusal(body: Body, place: Placement) -> str | None:
    """One sentence, or None."""
    match body:
        case Scan(prefix, after):
            return _bad_name(prefix, "a prefix") or _bad_name(after, "after") or _bad_scan(body, place)
        case MultiGet(keys, level):
            wrong = [_bad_name(key, "a key") or _bad_level(level, key, place) for key in keys]
            return next((text for text in wrong if text is not None), None)
        case Inspect(key):
            return _bad_name(key, "a key")
    if not isinstance(body, BY_KEY):
        return f"{type(body).__name__} is not for a coordinator"
    wrong_name = _bad_name(body.key, "a key") or _bad_level(body.level, body.key, place)
    if wrong_name is not None:
        return wrong_name
    if body.level == LINEARIZABLE:
        return _bad_linearizable(body)
    return _bad_in_bucket(body, place) or _bad_change(body)


def _bad_name(name: str, what: str) -> str | None:
    if len(name) * 4 > KEY_BYTES_MAX and len(name.encode(errors="replace")) > KEY_BYTES_MAX:
        return f"{what} has at most {KEY_BYTES_MAX} bytes"
    return "keys that begin with a zero byte are the store's own" if name.startswith(RESERVED) else None


def _bad_level(spec: str, key: str, place: Placement) -> str | None:
    try:
        for replicas in place.replicas(key):
            parse_level(spec, len(replicas))
    except LevelError as error:
        return str(error)
    return None


def _bad_scan(body: Scan, place: Placement) -> str | None:
    try:
        for n in scan.replica_counts(place, body.prefix):
            parse_level(body.level, n)
    except LevelError as error:
        return str(error)
    return None


def _bad_linearizable(body: KeyBody) -> str | None:
    match body:
        case Put(ttl_ms=ttl_ms) if ttl_ms:
            return "ttl_ms is not for level linearizable, where a value lasts; all other levels have it"
        case Put(context=context) | Delete(context=context) if context:
            return "a context is for buckets with siblings, not for level linearizable"
        case Increment() | ChangeElements() | ChangeFields():
            return f"{_NAMES[type(body)]} is not for level linearizable, which has get, put, cas and delete"
    return None


def _bad_in_bucket(body: KeyBody, place: Placement) -> str | None:
    if isinstance(body, Cas):
        return f"cas needs level linearizable, not {body.level}"
    conflict = place.bucket(body.key).conflict
    takes = _HELD_IN[type(body)]
    if conflict not in takes:
        where = f"bucket {place.bucket(body.key).name!r} is of kind {conflict}"
        return f"{_NAMES[type(body)]} is for buckets of kind {' or '.join(takes)}, and {where}"
    if isinstance(body, Put) and body.ttl_ms and conflict != "lww":
        return f"ttl_ms is for last-write-wins buckets, not for kind {conflict}"
    if isinstance(body, Put | Delete) and body.context:
        if conflict != "siblings":
            return f"a context is for buckets with siblings, not for kind {conflict}"
        try:
            read_context(body.context)
        except ContextError as error:
            return str(error)
    return None


def _bad_change(body: KeyBody) -> str | None:
    match body:
        case ChangeElements(add=(), remove=()) | ChangeFields(fields={}) if _empty(body):
            return f"{_NAMES[type(body)]} names at least one"
        case ChangeFields(fields=changed):
            for field in changed:
                if not field or len(field.encode(errors="replace")) > KEY_BYTES_MAX:
                    return f"a field's name has 1 to {KEY_BYTES_MAX} bytes"
    return None


def _empty(body: KeyBody) -> bool:
    return isinstance(body, ChangeElements) or (isinstance(body, ChangeFields) and not body.fields)
