"""The set workload: clients add elements, each once, to a few sets; at the end everything is read from every
node. Judged by what was acknowledged and is lost, and by the copies, which must have become equal.

| way | an add | a read |
|---|---|---|
| `set` | of the element alone, to a convergent set | at the level |
| `cas` | looks, and sets what it saw and the element, at level linearizable | at level linearizable |
| `put` | looks, and puts what it saw and the element, blindly: elements are lost | at the level |

The last one is how it is not to be done, and is there to be convicted.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from checkers.agreement import CopiesAgree
from checkers.history import Op
from checkers.last_reads import by_elements
from checkers.linear import Stream
from checkers.sets import SetAtEnd
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import Body, ChangeElements, Found, FoundElements, ReadResponse
from workloads.change import LINEARIZABLE, Adding, joined, numbers
from workloads.final import last_reads, look_and_read, read_everywhere

Way = Literal["set", "cas", "put"]
SETS: Final = 20


def set_way_of(level: str) -> Way:
    """The one that keeps its promise there."""
    return "cas" if level == LINEARIZABLE else "set"


class SetWork(Adding):
    """`keeps_acknowledged`: as `SetAtEnd` has it. `adds_one_in`: one operation in so many is an add, the
    others are reads."""

    name = "set"
    summary = "add to sets, read them at the end; nothing acknowledged may be lost"
    adds_one_in = 1

    def __init__(self, way: Way, level: str, keeps_acknowledged: bool = True) -> None:
        super().__init__(level, looks=way != "set")
        self._way = way
        self._keeps_acknowledged = keeps_acknowledged
        prefix = "set/" if way == "set" else ""
        self._keys = tuple([f"{prefix}s{number}" for number in range(1, SETS + 1)])

    def generator(self, seed: int) -> Generator:
        return SetOps(self._keys, self.adds_one_in, seed)

    def final(self) -> Generator:
        return read_everywhere(self._keys) if self._way == "cas" else look_and_read(self._keys)

    def added(self, held: bytes | None, asked: int) -> bytes:
        return joined([*numbers(held), asked])

    def edit(self, key: str, asked: int) -> Body:
        return ChangeElements(key, (b"%d" % asked,), (), self._level)

    def shown(self, response: ReadResponse) -> list[int | str] | str:
        """In order."""
        match response:
            case FoundElements(_, elements):
                shown = [_element(element) for element in elements]
            case Found(_, value):
                shown = [_element(element) for element in (value or b"").split(b",") if element]
            case _:
                return repr(response)
        return sorted(shown, key=lambda element: (isinstance(element, str), element))

    def checkers(self) -> list[Checker]:
        return [SetAtEnd(self._keeps_acknowledged), *self.at_the_end()]

    def at_the_end(self) -> list[Checker]:
        """Registers of level linearizable show no copies."""
        agree: list[Checker] = [] if self._way == "cas" else [CopiesAgree()]
        return [*agree, last_reads(self._level, by_elements)]

    def stream(self) -> Stream | None:
        return None


class SetOps(Struct, frozen=True):
    """Endless; every added element is new."""

    keys: tuple[str, ...]
    adds_one_in: int
    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        key = self.keys[draw % len(self.keys)]
        unique = self.count + 1
        adds = (draw >> 40) % self.adds_one_in == 0
        process = ctx.processes[ctx.free[0]]
        f, value = ("add", unique) if adds else ("read", None)
        op = Op(time=ctx.time, process=process, f=f, key=key, value=value)
        return op, replace(self, count=unique)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def _element(data: bytes) -> int | str:
    """What nobody can have added, so that the checker convicts it, as text."""
    return int(data) if data.isdigit() else data.decode(errors="backslashreplace")
