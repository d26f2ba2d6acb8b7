"""The causal order of histories too long for trying everything, against comparing every pair of accesses."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from random import Random

import pytest

from checkers.accesses import INITIAL, Access
from checkers.causal.order import CausalOrder
from checkers.history import Op
from checkers.readings import accesses


def drawn(seed: int) -> list[Op]:
    """One operation after the other; a read answers any of the last few values of its key."""
    rng = Random(seed)
    size, sessions, keys, lag = (
        rng.randrange(8, 40),
        rng.randrange(3, 7),
        rng.randrange(1, 3),
        rng.randrange(2, 5),
    )
    held: dict[str, list[int | None]] = {f"k{number}": [None] for number in range(keys)}
    events: list[Op] = []
    for number in range(size):
        process, key = rng.randrange(sessions), rng.choice(list(held))
        f = rng.choice(("read", "write"))
        if f == "write":
            held[key].append(number)
        value = number if f == "write" else rng.choice(held[key][-lag:])
        events.append(Op(process=process, f=f, key=key, value=value if f == "write" else None))
        events.append(Op(process=process, type="ok", f=f, key=key, value=value))
    return events


def compared(judged: list[Access]) -> tuple[bool, bool]:
    """Whether CC and CCv are broken, by the bad patterns as they are defined."""
    known: list[set[int]] = []
    after: dict[int, set[int]] = {}
    broken = False
    for access in judged:
        direct = {number for number in (access.previous, access.seen) if number >= 0}
        known.append(direct.union(*(known[number] for number in direct)))
        after.setdefault(access.number, set()).update(direct)
        if access.writes:
            continue
        for number in known[-1] - {access.seen}:
            if judged[number].writes and judged[number].key == access.key:
                broken |= access.seen == INITIAL or access.seen in known[number]
                after.setdefault(access.seen, set()).add(number)
    try:
        TopologicalSorter(after).prepare()
    except CycleError:
        return broken, True
    return broken, broken


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_what_is_broken_is_what_comparing_every_pair_finds(first: int) -> None:
    found = set()
    for seed in range(first, first + 100):
        judged = accesses(drawn(seed)).all
        order = CausalOrder(judged)
        said = order.pattern is not None, (order.pattern or order.divergence) is not None
        assert said == compared(judged), seed
        found.add(said)
    assert found == {(False, False), (False, True), (True, True)}
