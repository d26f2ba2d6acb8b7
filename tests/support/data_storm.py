"""Storms over data of every kind: in the soup, with losses, doubles, crashes and partitions, what was
acknowledged must be there in the end, once, and what certainly failed must not."""

from __future__ import annotations

from collections.abc import Callable

from store.core.messages import (
    DEFINITE,
    Body,
    ChangeElements,
    ChangeFields,
    Done,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    Get,
    Increment,
    Put,
    Response,
)
from tests.support.buckets import BucketSoup

OPERATIONS = 24
LEVELS = ("one", "quorum", "all", "quorum,sloppy", "one,sloppy")

Ended = dict[int, str]
"""What became of each operation: ok, fail (it certainly had no effect) or info (either)."""
Make = Callable[[int, str], Body]
"""The body of the n-th operation, at a level."""


class Storm(BucketSoup):
    """`begun` and `done`: when each operation was asked, and answered."""

    def __init__(self, seed: int) -> None:
        self.begun: dict[int, int] = {}
        self.done: dict[int, int] = {}
        super().__init__(seed)


def stormy(seed: int, make: Make) -> tuple[Storm, Ended]:
    """Operations from every node at any level while anything may happen; then everything heals."""
    soup = Storm(seed)
    soup.loss, soup.twice, soup.haste = 0.05, 0.05, 0.02
    rng = soup.rng
    ended: Ended = {}
    for number in range(OPERATIONS):
        ended[number] = "info"

        def done(response: Response | None, number: int = number) -> None:
            ended[number] = outcome(response)
            soup.done[number] = soup.now

        soup.begun[number] = soup.now
        soup.begin(rng.choice(soup.names), make(number, rng.choice(LEVELS)), done)
        for _ in range(rng.choice((0, 10, 40, 150))):
            soup.stir()
        match rng.randrange(10):
            case 0:
                soup.crash(rng.choice(soup.names))
            case 1:
                soup.isolate(*rng.sample(soup.names, rng.randint(1, 2)))
            case 2:
                soup.heal()
    soup.heal()
    soup.loss = soup.twice = soup.haste = 0.0
    soup.quiesce(60)
    return soup, ended


def outcome(response: Response | None) -> str:
    if isinstance(response, Done):
        return "ok"
    return "fail" if isinstance(response, Failed) and DEFINITE[response.code] else "info"


def in_the_end(soup: Storm, key: str) -> Response:
    """What every node reads, once they have read it."""
    for node in soup.names:
        soup.call(node, Get(key, "all"))
        soup.quiesce()
    found = [soup.call(node, Get(key, "one")) for node in soup.names]
    kept = [soup.kept(node, key) for node in soup.replicas(key)]
    assert all(datum == kept[0] for datum in kept), "the replicas differ"
    return found[0]


def check(ended: Ended, present: Callable[[int], bool]) -> None:
    for number, how in ended.items():
        if how == "ok":
            assert present(number), f"acknowledged operation {number} is lost"
        if how == "fail":
            assert not present(number), f"operation {number} failed for certain, and is there"


def counted(seed: int) -> Ended:
    """Each increment has its own digit of base 4, so that one which was made twice shows."""
    soup, ended = stormy(seed, lambda number, level: Increment("cnt/k", 4**number, level))
    found = in_the_end(soup, "cnt/k")
    assert isinstance(found, FoundCount)
    digits = [found.count // 4**number % 4 for number in range(OPERATIONS + 1)]
    assert max(digits) <= 1, "an increment was made twice"
    check(ended, lambda number: digits[number] == 1)
    return ended


def kept_as_siblings(seed: int) -> Ended:
    soup, ended = stormy(seed, lambda number, level: Put("sib/k", b"%d" % number, level))
    found = in_the_end(soup, "sib/k")
    assert isinstance(found, FoundSiblings)
    check(ended, lambda number: b"%d" % number in found.values)
    return ended


def kept_as_elements(seed: int) -> Ended:
    """Every third operation removes what the one before has added."""

    def make(number: int, level: str) -> Body:
        name = b"%d" % number
        return ChangeElements("set/k", (name,), (b"%d" % (number - 1),) if number % 3 == 2 else (), level)

    soup, ended = stormy(seed, make)
    found = in_the_end(soup, "set/k")
    assert isinstance(found, FoundElements)
    removed = {number - 1 for number in ended if number % 3 == 2 and ended[number] != "fail"}
    check(
        {number: how for number, how in ended.items() if number not in removed},
        lambda number: b"%d" % number in found.elements,
    )
    return ended


def kept_as_fields(seed: int) -> Ended:
    soup, ended = stormy(seed, lambda number, level: ChangeFields("map/k", {f"{number}": b"v"}, level))
    found = in_the_end(soup, "map/k")
    assert isinstance(found, FoundFields)
    check(ended, lambda number: f"{number}" in found.fields)
    return ended


def written_last(seed: int) -> Ended:
    """Every clock is right, so no write stays that had ended before an acknowledged one began."""
    soup, ended = stormy(seed, lambda number, level: Put("k", b"%d" % number, level))
    found = in_the_end(soup, "k")
    assert isinstance(found, Found)
    assert found.value is not None
    last = int(found.value)
    assert ended[last] != "fail"
    for number, how in ended.items():
        if how == "ok" and ended[last] == "ok":
            assert soup.begun[number] <= soup.done[last], f"acknowledged write {number} is lost"
    return ended
