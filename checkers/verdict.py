"""What a checker concludes. A verdict of "valid" must mean something, so there are four."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, Protocol

import msgspec

from checkers.history import Op


class Status(Enum):
    """Members are listed from the strongest claim to the weakest; `merge` keeps the first it meets."""

    INVALID = "invalid"
    """A violation was found."""
    UNKNOWN = "unknown"
    """The checker could not decide within its budget, or crashed."""
    VACUOUS = "vacuous"
    """Nothing wrong was seen, but a fault did not bite or a kind of operation never succeeded."""
    VALID = "valid"
    """The whole history was judged and nothing is wrong with it."""


class Verdict(msgspec.Struct, frozen=True):
    """One checker's conclusion: a sentence for people, figures for programs, and its parts."""

    checker: str
    status: Status
    summary: str
    details: dict[str, Any] = {}
    parts: tuple[Verdict, ...] = ()


class Checker(Protocol):
    """Judges a whole history. It is a pure function of what it was made with and the history."""

    name: str

    def check(self, history: list[Op]) -> Verdict: ...


def worst(statuses: Iterable[Status]) -> Status:
    """invalid > unknown > vacuous > valid; of nothing at all: valid."""
    found = set(statuses)
    return next((status for status in Status if status in found), Status.VALID)
