"""How records get to a new owner. Tags 43x: Pull 51, Pulled 65."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from store.core.messages.base import BATCH_MAX, Key, Natural, Prefix
from store.core.messages.records import Datum


class Pull(Struct, frozen=True, gc=False, array_like=True, tag=51):
    """Asks an old owner for what it keeps of the keys that the sender is to pull by the layout of `epoch`,
    after the key `after`. `limit`: how many keys of each family are examined at most."""

    rid: Natural
    epoch: Natural
    after: Prefix
    limit: Annotated[int, Meta(ge=1, le=BATCH_MAX)]


class Pulled(Struct, frozen=True, gc=False, array_like=True, tag=65):
    """`data` and the keys of acceptors (`registers`: their states are moved by consensus, not copied), both
    in order and both up to the key `through`; `more`: there may be keys after that."""

    rid: Natural
    data: Annotated[tuple[tuple[Key, Datum], ...], Meta(max_length=BATCH_MAX)]
    registers: Annotated[tuple[Key, ...], Meta(max_length=BATCH_MAX)]
    through: Prefix
    more: bool
