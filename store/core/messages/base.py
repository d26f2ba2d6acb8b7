"""What all messages are made of: sizes, names, numbers. Limits are part of the types, so decoding refuses
what exceeds them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

KEY_BYTES_MAX: Final = 1024
VALUE_BYTES_MAX: Final = 1 << 20
NAME_CHARS_MAX: Final = 64
TIMEOUT_MS_MAX: Final = 3_600_000
TTL_MS_MAX: Final = 10 * 365 * 86_400_000
BATCH_MAX: Final = 1_000
"""The most entries of anything that is sent as a list: keys of a multi-get, a page of a scan."""
CONTEXT_BYTES_MAX: Final = 4_096

RESERVED: Final = "\x00"
"""The first character of keys that only the store itself uses; no client's key begins with it."""

Key = Annotated[str, Meta(min_length=1, max_length=KEY_BYTES_MAX)]
Prefix = Annotated[str, Meta(max_length=KEY_BYTES_MAX)]
Value = Annotated[bytes, Meta(max_length=VALUE_BYTES_MAX)]
Context = Annotated[bytes, Meta(max_length=CONTEXT_BYTES_MAX)]
"""What a reader has seen of a key with siblings, opaque to clients; given back with the next write."""
NodeName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Where = Annotated[str, Meta(max_length=300)]
"""HOST:PORT, as `store.config.parse_address` reads it; empty: not known."""
LevelSpec = Annotated[str, Meta(max_length=48)]
Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Hash = Annotated[int, Meta(ge=0)]
"""A position on the ring, or a digest of as many bits: below 2**64, the most that the wire can carry."""

Ballot = tuple[Natural, NodeName]
"""(counter, proposer), ordered; `NO_BALLOT` is below every ballot that a proposer uses."""
NO_BALLOT: Final[tuple[int, str]] = (0, "-")

Moment = Annotated[int, Meta(ge=0, lt=1 << 62)]
Stamp = tuple[Moment, Moment, NodeName]
"""A hybrid logical clock's reading: (wall clock in microseconds, logical counter, node). Far below what the
wire can carry, so that there is always a later one."""

ChangeId = tuple[NodeName, Natural]
"""Names one change for ever: (coordinator, request number unique over the coordinator's restarts)."""
