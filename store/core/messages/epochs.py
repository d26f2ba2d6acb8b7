"""How nodes learn of layouts, and of each other's births. Tags 110 to 119."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from store.core.messages.base import Natural, NodeName, Where
from store.core.messages.layout import NODES_MAX, Layout, Member


class LayoutIs(Struct, frozen=True, gc=False, array_like=True, tag=110):
    """Tells a node that is behind."""

    layout: Layout


class WantLayout(Struct, frozen=True, gc=False, array_like=True, tag=111):
    """`epoch` is what the sender has (0: none)."""

    epoch: Natural


class Enrol(Struct, frozen=True, gc=False, array_like=True, tag=112):
    """Asks the receiver to remember for ever that the first life of `node` is `birth`, unless it remembers
    another."""

    node: NodeName
    birth: Natural


class Enrolled(Struct, frozen=True, gc=False, array_like=True, tag=113):
    """The life of `node` that the sender remembers, durably."""

    node: NodeName
    birth: Natural


class Moved(Struct, frozen=True, gc=False, array_like=True, tag=114):
    """The sender has all that it gains by the layout of `epoch`, durably."""

    epoch: Natural


class WantBirths(Struct, frozen=True, gc=False, array_like=True, tag=115):
    """Asks for the lives that the receiver remembers, while the layout does not name them."""


class Births(Struct, frozen=True, gc=False, array_like=True, tag=116):
    """What the sender remembers of others, durably; and its own life, if it serves."""

    members: Annotated[tuple[Member, ...], Meta(max_length=NODES_MAX)]


class WantPart(Struct, frozen=True, gc=False, array_like=True, tag=117):
    """The sender, which has no part in the layout of `epoch`, asks a member to see to it that its life
    `birth` gets one. If the layout names another life of it, that is to be removed first: its data are
    lost."""

    epoch: Natural
    birth: Natural
    address: Where


class Advised(Struct, frozen=True, gc=False, array_like=True, tag=118):
    """What came of WantPart, for a person."""

    text: Annotated[str, Meta(max_length=1024)]


EpochMessage = LayoutIs | WantLayout | Enrol | Enrolled | Moved | WantBirths | Births | WantPart | Advised
