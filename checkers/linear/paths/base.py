"""Polynomial paths: algorithms for special objects that decide without a search.

A path is asked before the search, about one key's calls at a time. It either decides, with a witness or with
a few calls that contradict each other, or says that the history is outside what it can decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Illegal, Model, State


class Decision(NamedTuple):
    """What a path found. Linearizable: `order`, all required calls and the optional ones used, in a legal
    order that respects real time. Not: `blocked`, the required call at whose return the shortest wrong prefix
    ends (None if the path does not know), and `core`, a few calls that contradict each other (a sound
    sub-history: invalid by itself implies invalid) if they begin in the state `begins_as` (ILLEGAL: in the
    model's initial one)."""

    order: list[Call] | None
    blocked: Call | None = None
    core: tuple[Call, ...] = ()
    begins_as: State | Illegal = ILLEGAL


Path = Callable[[Sequence[Call], Model], Decision | None]
"""None: this history is outside what the path can decide."""
