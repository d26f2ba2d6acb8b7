"""Procedures: protocols of several rounds, written straight down as generators.

A procedure yields what it wants to wait for and is resumed with what came of it; what it returns is the
result, for a client's request the response. The node resumes it at its deadline with whatever is there, so a
procedure asks `late()` rather than a clock. It may be closed at any wait (GeneratorExit): its client is gone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from store.core.messages import Answer, PeerMessage, Question, Response

T = TypeVar("T")


class Group(NamedTuple):
    """`need` of `peers` must agree."""

    peers: tuple[str, ...]
    need: int


class Ask(Struct, frozen=True, gc=False):
    """Send `question` to every peer of the `groups` (to those in `instead`, that; all with one `rid`). Resume
    with the `Answers` when each group has as many answers of the expected kind as it needs, when that can no
    longer come, a little after the first that is of another kind, or at the deadline; with `patience_nanos`
    not 0, after that time at the latest."""

    groups: tuple[Group, ...]
    question: Question
    instead: Mapping[str, Question] = {}
    patience_nanos: int = 0


class Linger(Struct, frozen=True, gc=False):
    """Wait up to `nanos` for the other answers to the latest `Ask`; resume with those that have come
    since."""

    nanos: int


class Tell(Struct, frozen=True, gc=False):
    """Send `message` to each of `peers` and go on: no answer is waited for."""

    peers: tuple[str, ...]
    message: PeerMessage


class Respond(Struct, frozen=True, gc=False):
    """Give the client its response now, and go on; what the procedure returns later goes nowhere."""

    response: Response


class Rest(Struct, frozen=True, gc=False):
    """Resume after `nanos`, or at the deadline."""

    nanos: int


class Turn(Struct, frozen=True, gc=False):
    """Resume when no other procedure of this node holds the turn `name`, which is this one's then to its end;
    or at the deadline, without it."""

    name: str


class All(Struct, frozen=True, gc=False):
    """Run all of `procedures` side by side; resume with the list of what they return, in their order."""

    procedures: tuple[Procedure[Any], ...]


Wish = Ask | Linger | Tell | Respond | Rest | Turn | All
Answers = list[tuple[str, Answer]]
"""Who answered what, in the order in which it came."""
Procedure = Generator[Wish, Any, T]
