"""Procedures: protocols of several rounds, written straight down as generators.

A procedure yields what it wants to wait for (`Ask` replicas, or `Rest` a while) and is resumed with what came
of it; what it returns is the client's response. The node resumes it at its deadline with whatever is there,
so a procedure asks `late()` rather than a clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import NamedTuple

from msgspec import Struct

from store.core.messages import Answer, Question, Response, Stamp


class Ask(Struct, frozen=True, gc=False):
    """Send `question` to each of `peers`; resume on the `need`-th answer that is not a `Refused`, when that
    can no longer come, a little after the first `Refused`, or at the deadline."""

    peers: tuple[str, ...]
    question: Question
    need: int


class Rest(Struct, frozen=True, gc=False):
    """Resume after `nanos`, or at the deadline."""

    nanos: int


Wish = Ask | Rest
Answers = list[Answer]
Procedure = Generator[Wish, Answers, Response]


class Coordination(NamedTuple):
    """What one request's procedure is given: its place, its names, and the node's sources of both."""

    node: str
    request_id: int
    replicas: tuple[str, ...]
    next_rid: Callable[[], int]
    stamp: Callable[[], Stamp]
    late: Callable[[], bool]
    ballots: Ballots
    rng: random.Random


class Ballots:
    """The counter from which this node's ballots come: above every ballot that it has heard of."""

    def __init__(self, heard: Callable[[], int]) -> None:
        self._counter = 0
        self._heard = heard

    def next(self) -> int:
        self._counter = max(self._counter, self._heard()) + 1
        return self._counter

    def observe(self, counter: int) -> None:
        self._counter = max(self._counter, counter)
