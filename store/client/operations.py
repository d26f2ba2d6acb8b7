"""What can be asked of the store, as methods over one `request`; who is asked, and how often, is settled by
whoever implements that: one connection (`connection.py`) or a whole cluster (`pool.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from store.client.errors import StoreError, WrongKind, refusal
from store.core.messages import (
    BATCH_MAX,
    Admin,
    Body,
    Cas,
    ChangeElements,
    ChangeFields,
    Delete,
    Done,
    Failed,
    Found,
    FoundCopies,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundMany,
    FoundSiblings,
    Get,
    Increment,
    Inspect,
    Locate,
    Located,
    MultiGet,
    Put,
    ReadResponse,
    Report,
    Response,
    Scan,
    Scanned,
    Status,
)
from store.core.ownership.layout import Placement

TIMEOUT_S: Final = 5.0
LEVEL: Final = "linearizable"
MERGED: Final = "quorum"
"""The level for what is merged, and so has no linearizable one: siblings, counters, sets, maps."""


def usual_level(place: Placement | None, key: str) -> str:
    """The level for whoever names none: what suits the bucket of `key`."""
    return LEVEL if place is None or place.bucket(key).conflict == "lww" else MERGED


R = TypeVar("R", bound=Response)

_KINDS: Final[dict[type, str]] = {
    Found: "one value",
    FoundSiblings: "siblings",
    FoundCount: "a counter",
    FoundElements: "a set",
    FoundFields: "a map",
}


class Operations(ABC):
    """Each raises a `StoreError`: see `store/client/errors.py`. Times are limits for the whole of a call."""

    @abstractmethod
    async def request(self, body: Body, timeout_s: float = TIMEOUT_S) -> Response:
        """The response, a `Failed` included; raises `NotSent`, `BadRequest` among them, or `Lost`."""

    @abstractmethod
    def _misled(self, body: Body, response: Response) -> StoreError:
        """The answer is of a kind that has nothing to do with the question."""

    # One value ---------------------------------------------------------------------------------------

    async def get(self, key: str, level: str = LEVEL, timeout_s: float = TIMEOUT_S) -> bytes | None:
        """The value, or None if there is none."""
        return (await self._read(key, level, Found, timeout_s)).value

    async def put(
        self,
        key: str,
        value: bytes,
        level: str = LEVEL,
        timeout_s: float = TIMEOUT_S,
        *,
        ttl_ms: int = 0,
        context: bytes = b"",
    ) -> None:
        """Set `key`. `ttl_ms` (last-write-wins buckets only): after so long it is gone. `context` (buckets
        with siblings only): of the read whose values this replaces."""
        await self._ask(Put(key, value, level, ttl_ms, context), Done, timeout_s)

    async def cas(
        self, key: str, expect: bytes | None, value: bytes, level: str = LEVEL, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Set `key` if it holds `expect` (None: is absent), else raise `Mismatch`."""
        await self._ask(Cas(key, expect, value, level), Done, timeout_s)

    async def delete(
        self, key: str, level: str = LEVEL, timeout_s: float = TIMEOUT_S, *, context: bytes = b""
    ) -> None:
        await self._ask(Delete(key, level, context), Done, timeout_s)

    # Other kinds -------------------------------------------------------------------------------------

    async def read(self, key: str, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> ReadResponse:
        """Whatever `key` holds, of any kind; never a `Failed`."""
        response = await self.request(Get(key, level), timeout_s)
        if isinstance(response, Failed):
            raise refusal(response)
        if isinstance(response, Found | FoundSiblings | FoundCount | FoundElements | FoundFields):
            return response
        raise self._misled(Get(key, level), response)

    async def siblings(self, key: str, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> FoundSiblings:
        """All concurrent values, and the context with which a put or a delete replaces them."""
        return await self._read(key, level, FoundSiblings, timeout_s)

    async def count(self, key: str, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> int:
        """A counter's value; 0 if it was never changed."""
        return (await self._read(key, level, FoundCount, timeout_s)).count

    async def elements(self, key: str, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> frozenset[bytes]:
        return frozenset((await self._read(key, level, FoundElements, timeout_s)).elements)

    async def fields(self, key: str, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> dict[str, bytes]:
        return (await self._read(key, level, FoundFields, timeout_s)).fields

    async def incr(self, key: str, by: int = 1, level: str = MERGED, timeout_s: float = TIMEOUT_S) -> None:
        """Add `by`, of either sign, to a counter."""
        await self._ask(Increment(key, by, level), Done, timeout_s)

    async def change_elements(
        self,
        key: str,
        add: Iterable[bytes] = (),
        remove: Iterable[bytes] = (),
        level: str = MERGED,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Add elements to a set and remove others; of an element in both, the addition stays."""
        await self._ask(ChangeElements(key, tuple(add), tuple(remove), level), Done, timeout_s)

    async def change_fields(
        self,
        key: str,
        fields: Mapping[str, bytes | None],
        level: str = MERGED,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Set fields of a map; None removes one."""
        await self._ask(ChangeFields(key, dict(fields), level), Done, timeout_s)

    async def inspect(self, key: str, timeout_s: float = TIMEOUT_S) -> dict[str, ReadResponse]:
        """Each replica's own copy of `key`, by its name: are they equal yet?"""
        return (await self._ask(Inspect(key), FoundCopies, timeout_s)).copies

    # Several keys ------------------------------------------------------------------------------------

    async def multi_get(
        self, keys: Sequence[str], level: str = LEVEL, timeout_s: float = TIMEOUT_S
    ) -> dict[str, ReadResponse]:
        """Each key as a get of its own would find it, `Failed` included: no snapshot. At most `BATCH_MAX`."""
        response = await self._ask(MultiGet(tuple(keys), level), FoundMany, timeout_s)
        return dict(zip(keys, response.responses, strict=True))

    async def scan_page(
        self,
        prefix: str = "",
        after: str = "",
        limit: int = BATCH_MAX,
        level: str = LEVEL,
        timeout_s: float = TIMEOUT_S,
    ) -> Scanned:
        """Up to `limit` keys that begin with `prefix`, in order, after `after`; what it cost is in it."""
        return await self._ask(Scan(prefix, after, limit, level), Scanned, timeout_s)

    async def scan(
        self, prefix: str = "", level: str = LEVEL, timeout_s: float = TIMEOUT_S, *, page: int = 100
    ) -> AsyncIterator[tuple[str, ReadResponse]]:
        """All keys that begin with `prefix`, in order, `page` at a time; `timeout_s` is for each page.
        Together they are no snapshot."""
        after, more = "", True
        while more:
            scanned = await self.scan_page(prefix, after, page, level, timeout_s)
            for key, response in scanned.items:
                yield key, response
            more = scanned.more
            if more and not scanned.items:
                raise self._misled(Scan(prefix, after, page, level), scanned)
            after = scanned.items[-1][0] if scanned.items else after

    # The node and the cluster ------------------------------------------------------------------------

    async def status(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """What a node says of itself: values of JSON."""
        return (await self._ask(Status(), Report, timeout_s)).status

    async def locate(self, timeout_s: float = TIMEOUT_S) -> Located:
        """The layout, and where nodes listen."""
        return await self._ask(Locate(), Located, timeout_s)

    async def admin(self, action: str, timeout_s: float = TIMEOUT_S, **arguments: str) -> str:
        """Carry out an operator's wish (`Admin`); a sentence on what came of it."""
        return (await self._ask(Admin(action, arguments), Done, timeout_s)).detail

    # ---------------------------------------------------------------------------------------------------

    async def _ask(self, body: Body, expected: type[R], timeout_s: float) -> R:
        response = await self.request(body, timeout_s)
        if isinstance(response, expected):
            return response
        if isinstance(response, Failed):
            raise refusal(response)
        raise self._misled(body, response)

    async def _read(self, key: str, level: str, expected: type[R], timeout_s: float) -> R:
        response = await self.read(key, level, timeout_s)
        if isinstance(response, expected):
            return response
        raise WrongKind(f"{key!r} holds {_KINDS[type(response)]}, not {_KINDS[expected]}")
