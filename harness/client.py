"""The one place that decides whether an operation is `ok`, `fail` or `info`.

Following Maelstrom's client.clj: an error that certainly had no effect makes the operation `fail`; any
other error makes it `info`, unless the operation changes nothing, and then it makes no difference whether
it happened.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec.structs import replace

from checkers.history import Op, Type
from checkers.stats import GARBLED
from harness.cluster.base import Lost, NotSent, Session
from store.core.messages import DEFINITE, Body, Failed, Get, Response

UNREACHABLE_PAUSE_S: Final = 0.1
"""How long it takes at least to find that a request cannot be sent. Otherwise the threads whose node is down
would fail operations as fast as they can be generated, take them from the others, and fill the history."""


class Garbled(Exception):
    """What a response holds is nothing that a client of the workload can have written: it is told in a few
    words."""


class Codec(Protocol):
    """The part of a workload that turns operations into requests and responses into values; pure."""

    def encode(self, op: Op) -> Body:
        """Raises `Garbled` if what an earlier response said makes no sense."""
        ...

    def decode(self, op: Op, response: Response) -> Op:
        """`op` with what a response other than `Failed` says of it, as an `ok` completion. One that takes
        another request goes on as an invocation, with whatever value `encode` makes that request from.
        Raises `Garbled`."""
        ...

    def changes_nothing(self, op: Op) -> bool:
        """True if it makes no difference to the system's state whether `op` happened."""
        ...


def outcome_of(definite: bool, changes_nothing: bool) -> Type:
    """The type of an operation that ended in an error."""
    return "fail" if definite or changes_nothing else "info"


async def perform(codec: Codec, session: Session, op: Op, timeout_s: float) -> Op:
    """Carry out one invocation and give its completion, whatever happens to it. `timeout_s` is for each of
    its requests."""
    step, changed = op, False
    while True:
        try:
            body = codec.encode(step)
        except Garbled as error:
            return failed(codec, op, not changed, f"{GARBLED}{error}")
        looks = isinstance(body, Get)
        try:
            response = await session.request(body, timeout_s)
        except (NotSent, Lost) as error:
            return failed(codec, op, not changed and (looks or isinstance(error, NotSent)), str(error))
        if isinstance(response, Failed):
            definite = looks or DEFINITE.get(response.code, False)
            return failed(codec, op, not changed and definite, response.code)
        try:
            step = codec.decode(step, response)
        except Garbled as error:
            return failed(codec, op, looks and not changed, f"{GARBLED}{error}")
        if step.type != "invoke":
            return step
        changed = changed or not looks


def failed(codec: Codec, op: Op, definite: bool, error: str) -> Op:
    """The completion of an invocation that ended in an error."""
    return replace(op, type=outcome_of(definite, codec.changes_nothing(op)), error=error)
