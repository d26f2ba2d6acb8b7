"""Several keys at once: multi-get, and scans by prefix across all shards. Each key is read at the level asked
for; together they are no snapshot. Left out: an index; a scan asks every node for its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from store.core.coordination import Coordination
from store.core.data.datum import DATUM_BYTES_MAX, size
from store.core.data.quorum import FALLOVER_NANOS, need, pause
from store.core.messages import (
    Failed,
    Fetched,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundMany,
    FoundSiblings,
    List,
    Listed,
    MultiGet,
    Promise,
    Queried,
    ReadResponse,
    Response,
    Scan,
    Scanned,
)
from store.core.ownership.layout import Placement
from store.core.ownership.ring import Ring
from store.core.procedure import All, Answers, Ask, Group, Linger, Procedure

SIDE_BY_SIDE: Final = 16
"""So many keys are read at a time."""
RESPONSE_BYTES_MAX: Final = DATUM_BYTES_MAX
"""No key is added to a response that would then be larger; one key alone always fits."""

Read = Callable[[Coordination, str, str], Procedure[ReadResponse]]


class Cost:
    """What serving a request took: messages sent to replicas (those sent again not counted), and the bytes of
    keys and values in their answers."""

    def __init__(self) -> None:
        self.nodes: dict[str, None] = {}
        self.keys_examined = 0
        self.messages = 0
        self.bytes = 0

    def counted(self, procedure: Procedure[ReadResponse]) -> Procedure[ReadResponse]:
        """`procedure`, what it asks and is answered being counted."""
        value = None
        try:
            while True:
                wish = procedure.send(value)
                if isinstance(wish, Ask):
                    self.asks([peer for group in wish.groups for peer in group.peers])
                value = yield wish
                if isinstance(wish, Ask | Linger):
                    self.hears(value)
        except StopIteration as end:
            result: ReadResponse = end.value
            return result
        finally:
            procedure.close()

    def asks(self, peers: list[str]) -> None:
        asked = dict.fromkeys(peers)
        self.nodes |= asked
        self.messages += len(asked)

    def hears(self, answers: Answers) -> None:
        for _, answer in answers:
            match answer:
                case Listed(keys=keys, examined=examined):
                    self.bytes += sum([len(key.encode()) for key in keys])
                    self.keys_examined += examined
                case Fetched(datum=datum) if datum is not None:
                    self.bytes += size(datum)
                case Queried(state=state) | Promise(state=state) if state is not None:
                    self.bytes += len(state.value or b"")

    def told(self) -> dict[str, int]:
        return {
            "nodes_asked": len(self.nodes),
            "keys_examined": self.keys_examined,
            "messages": self.messages,
            "bytes": self.bytes,
        }


def multi_get(c: Coordination, body: MultiGet, read: Read) -> Procedure[Response]:
    responses: list[ReadResponse] = []
    room = RESPONSE_BYTES_MAX
    for at in range(0, len(body.keys), SIDE_BY_SIDE):
        keys = body.keys[at : at + SIDE_BY_SIDE]
        if room <= 0:
            responses += [_no_room(c)] * len(keys)
            continue
        read_now: list[ReadResponse] = yield All(tuple([read(c, key, body.level) for key in keys]))
        for response in read_now:
            room -= response_size(response)
            responses.append(response if room >= 0 or not responses else _no_room(c))
    return FoundMany(c.request_id, tuple(responses))


def _no_room(c: Coordination) -> Failed:
    return Failed(c.request_id, "too-large", "the answer is full; ask for this key by itself")


def scan(c: Coordination, body: Scan, read: Read) -> Procedure[Response]:
    """A page may hold fewer than `limit` keys and yet not be the last; it is only empty if it is."""
    cost = Cost()
    items: list[tuple[str, ReadResponse]] = []
    room = RESPONSE_BYTES_MAX
    after, more = body.after, True
    while more and len(items) < body.limit:
        listed = yield from _keys(c, body, after, cost)
        if isinstance(listed, Failed):
            return Scanned(c.request_id, tuple(items), True, cost.told()) if items else listed
        keys, more = listed
        for at in range(0, len(keys), SIDE_BY_SIDE):
            some = keys[at : at + min(SIDE_BY_SIDE, body.limit - len(items))]
            reads = [cost.counted(read(c, key, body.level)) for key in some]
            read_now: list[ReadResponse] = yield All(tuple(reads))
            for key, response in zip(some, read_now, strict=True):
                if isinstance(response, Failed):
                    if items:
                        return Scanned(c.request_id, tuple(items), True, cost.told())
                    return response
                room -= len(key.encode()) + response_size(response)
                if is_nothing(response):
                    continue
                if room < 0 and items:
                    return Scanned(c.request_id, tuple(items), True, cost.told())
                items.append((key, response))
            after = some[-1] if some else after
            if len(items) >= body.limit:
                more = more or after != keys[-1]
                break
    return Scanned(c.request_id, tuple(items), more, cost.told())


def _keys(c: Coordination, body: Scan, after: str, cost: Cost) -> Procedure[tuple[list[str], bool] | Failed]:
    """The next keys that replicas keep, of every range as many replicas as the level reads; and whether there
    may be more after these."""
    attempt = 0
    heard: dict[str, Listed] = {}
    epoch = 0
    while True:
        place = c.port.placement
        assert place is not None
        if place.epoch != epoch:
            heard, epoch = {}, place.epoch
        silent = tuple([node for node in place.names if node not in heard])
        question = List(
            c.port.next_rid(), epoch, body.prefix, after, body.limit, body.level == "linearizable"
        )
        cost.asks(list(silent))
        enough = max(1, len(silent) - _spare(place, body))
        answers: Answers = yield Ask((Group(silent, enough),), question, {}, FALLOVER_NANOS)
        cost.hears(answers)
        heard |= {peer: answer for peer, answer in answers if isinstance(answer, Listed)}
        uncovered = _uncovered(place, body, heard)
        if not uncovered:
            return _merged(heard, body.limit)
        if c.late():
            text = f"{len(heard)} of {len(place.names)} nodes answered in time; {uncovered} ranges need more"
            return Failed(c.request_id, "unavailable", text)
        attempt += 1
        if answers:
            yield pause(attempt)


def _merged(heard: Mapping[str, Listed], limit: int) -> tuple[list[str], bool]:
    """What all have told of, up to where the first of them stopped."""
    ends = [listed.keys[-1] for listed in heard.values() if listed.more]
    end = min(ends, default=None)
    keys = sorted({key for listed in heard.values() for key in listed.keys if end is None or key <= end})
    return keys[:limit], end is not None or len(keys) > limit


def replica_counts(place: Placement, prefix: str) -> list[int]:
    """How many replicas keys have that begin with `prefix`: it depends on their buckets."""
    counts = [place.default.n]
    for name, bucket in place.buckets.items():
        if prefix.startswith(name + "/"):
            counts = [bucket.n]
            break
        if (name + "/").startswith(prefix):
            counts.append(bucket.n)
    return sorted({min(n, len(ring.nodes)) for n in counts for ring in place.rings})


def _spare(place: Placement, body: Scan) -> int:
    """How many nodes may be silent for sure, wherever they are."""
    counts = replica_counts(place, body.prefix)
    return min([n - need(body.level, n, False) for n in counts])


def _uncovered(place: Placement, body: Scan, heard: Mapping[str, Listed]) -> int:
    """Of how many ranges' preference lists too few nodes have answered."""
    if len(heard) >= len(place.names) - _spare(place, body):
        return 0
    short = 0
    for n in replica_counts(place, body.prefix):
        for ring in place.rings:
            for peers in preference_lists(ring, min(n, len(ring.nodes))):
                answered = sum([peer in heard for peer in peers])
                short += answered < need(body.level, len(peers), False)
    return short


@lru_cache(maxsize=16)
def preference_lists(ring: Ring, n: int) -> tuple[tuple[str, ...], ...]:
    """All that there are on the ring."""
    lists = [tuple(sorted(ring.successors(arc, n))) for arc in range(len(ring.positions))]
    return tuple(dict.fromkeys(lists))


def is_nothing(response: ReadResponse) -> bool:
    """Whether the key is absent. A counter that was ever changed is not."""
    match response:
        case Found(value=value):
            return value is None
        case FoundSiblings(values=values):
            return not values
        case FoundElements(elements=elements):
            return not elements
        case FoundFields(fields=fields):
            return not fields
    return False


def response_size(response: ReadResponse) -> int:
    """About how many bytes it takes up in a frame, or a little more."""
    match response:
        case Found(value=value):
            return 32 + len(value or b"")
        case FoundSiblings(values=values, context=context):
            return 32 + len(context) + sum([8 + len(value) for value in values])
        case FoundElements(elements=elements):
            return 32 + sum([8 + len(element) for element in elements])
        case FoundFields(fields=fields):
            return 32 + sum([16 + len(name.encode()) + len(value) for name, value in fields.items()])
        case FoundCount():
            return 48
        case Failed(text=text):
            return 64 + len(text.encode())
