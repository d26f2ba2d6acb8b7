"""What replicas ask each other to mend what differs (tags 120, 122, ... 128), and are answered (121, 123, ...
129). They are questions as those of coordinators are: with a `rid` and the `epoch` by which they are asked,
and harmless if they come twice. What is asked about is only ever what asker and asked both keep."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from store.core.messages.base import BATCH_MAX, Hash, Key, Natural, Prefix
from store.core.messages.records import Datum

FAN_OUT: Final = 64
"""A hash tree has so many branches, and each branch as many leaves."""
LEAVES: Final = FAN_OUT * FAN_OUT
BRANCHES_ASKED_MAX: Final = BATCH_MAX // FAN_OUT

Branch = Annotated[int, Meta(ge=0, lt=FAN_OUT)]
Leaf = Annotated[int, Meta(ge=0, lt=LEAVES)]
Entries = Annotated[tuple[tuple[Key, Hash], ...], Meta(max_length=BATCH_MAX)]
"""Keys, each with the digest of its datum."""
Data = Annotated[tuple[tuple[Key, Datum], ...], Meta(max_length=BATCH_MAX)]


class Compare(Struct, frozen=True, gc=False, array_like=True, tag=120):
    """Asks for the digests of the leaves of `branches`; if there are none, for those of all branches."""

    rid: Natural
    epoch: Natural
    branches: Annotated[tuple[Branch, ...], Meta(max_length=BRANCHES_ASKED_MAX)]


class Compared(Struct, frozen=True, gc=False, array_like=True, tag=121):
    rid: Natural
    digests: Annotated[tuple[Hash, ...], Meta(max_length=BATCH_MAX)]


class Itemize(Struct, frozen=True, gc=False, array_like=True, tag=122):
    """Asks which keys are in `leaves`, after the key `after`. They come in the order of (leaf, key)."""

    rid: Natural
    epoch: Natural
    leaves: Annotated[tuple[Leaf, ...], Meta(min_length=1, max_length=BATCH_MAX)]
    after: Prefix


class Itemized(Struct, frozen=True, gc=False, array_like=True, tag=123):
    """`more`: there are keys after the last of these."""

    rid: Natural
    entries: Entries
    more: bool


class Obtain(Struct, frozen=True, gc=False, array_like=True, tag=124):
    """Asks for the data of `keys`."""

    rid: Natural
    epoch: Natural
    keys: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=BATCH_MAX)]


class Obtained(Struct, frozen=True, gc=False, array_like=True, tag=125):
    """The data of the first `covered` of the keys asked for; of some of them there may be none."""

    rid: Natural
    data: Data
    covered: Annotated[int, Meta(ge=1, le=BATCH_MAX)]


class Mend(Struct, frozen=True, gc=False, array_like=True, tag=126):
    """Asks to merge `data` into what is kept."""

    rid: Natural
    epoch: Natural
    data: Data


class Mended(Struct, frozen=True, gc=False, array_like=True, tag=127):
    """It is durable, and has changed so many keys."""

    rid: Natural
    changed: Natural


class Settle(Struct, frozen=True, gc=False, array_like=True, tag=128):
    """`entries` are tombstones. First asks whether the node holds exactly these, durably, for their grace
    already; then (`forget`), when all replicas have said so, to forget those that it still holds exactly."""

    rid: Natural
    epoch: Natural
    entries: Entries
    forget: bool


class Settled(Struct, frozen=True, gc=False, array_like=True, tag=129):
    """For each of the tombstones, whether it is (was, if it was to be forgotten) held."""

    rid: Natural
    held: Annotated[tuple[bool, ...], Meta(max_length=BATCH_MAX)]


RepairQuestion = Compare | Itemize | Obtain | Mend | Settle
RepairAnswer = Compared | Itemized | Obtained | Mended | Settled
