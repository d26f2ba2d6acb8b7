"""Which nodes a fault strikes: pure draws, by size or by name (after jepsen.nemesis.combined's node specs).

A target is "one", "minority", "majority", "all", or nodes joined by "+": "n1+n3".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.draw import choice, fork, shuffled

SIZES: Final[dict[str, Callable[[int], int]]] = {
    "one": lambda count: 1,
    "minority": lambda count: max(1, (count - 1) // 2),
    "majority": lambda count: count // 2 + 1,
    "all": lambda count: count,
}
"""How many of so many nodes each target is. A minority is the largest one, but never nobody."""


class Target(msgspec.Struct, frozen=True):
    """What was chosen: how, and the nodes that came of it, in the cluster's order."""

    target: str
    nodes: list[str]


def draw_target(allowed: Sequence[str], nodes: Sequence[str], seed: int) -> Target:
    """One of the `allowed` targets, all equally likely, and that many of `nodes`."""
    target = choice(fork(seed, "target"), allowed)
    if target not in SIZES:
        struck = set(target.split("+"))
    else:
        struck = set(shuffled(fork(seed, "nodes"), nodes)[: SIZES[target](len(nodes))])
    return Target(target, [node for node in nodes if node in struck])


def parse_target(
    fault: str, text: str | None, default: Sequence[str], nodes: Sequence[str]
) -> tuple[str, ...]:
    """The allowed targets that `FAULT:TEXT` asks for (no text: `default`); raises ValueError."""
    if text is None:
        return tuple(default)
    if text in SIZES or set(text.split("+")) <= set(nodes):
        return (text,)
    raise ValueError(
        f"{fault}:{text}: must be {', '.join(SIZES)}, or nodes joined by '+', of {', '.join(nodes)}"
    )


def nodes_of(op: Op) -> tuple[str, ...]:
    """The nodes that an operation is about; raises ValueError if its value does not say."""
    return tuple(msgspec.convert(op.value, Target).nodes)
