"""Client functions as a workload: `read(node, key)`, `write(node, key, value)`, one for each kind of
operation.

An operation goes through the harness like any other. Where those of the bundled store become one of its
requests, these stay what they are: the request of a `FunctionSession` is a `Call`, and its response what the
function gave.

After the healing every key is read once more by every client, because the last fault of a run may be the one
that lost something.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Stream
from checkers.models import MODELS, Model, frozen
from harness.client import Codec
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from harness.generators import each_thread, time_limit
from harness.plugin.session import Call, Function
from store.core.messages import Body, Report, Response

KEYS_IN_USE: Final = 5
OPS_PER_KEY: Final = 100

UNIQUE: Final = frozenset({"write", "put", "append", "add", "enqueue", "push", "insert"})
"""They get a number that no other operation has."""
CONTAINS: Final = "contains"
REMOVE: Final = "remove"
BARE: Final = frozenset(
    {
        *("read", "get", "delete", "dequeue", "pop", "delete-min", "fetch-and-increment", "read-prefix"),
        *("acquire", "release"),
    }
)
CAS: Final = "cas"
KNOWN: Final = UNIQUE | BARE | {CAS, CONTAINS, REMOVE}
READS: Final = frozenset({"read", "get", "read-prefix", CONTAINS})
TOLD_NOTHING: Final = frozenset({REMOVE, "delete"})
"""They get no answer that could be wrong; nor do those that are `UNIQUE`."""

LAST_LOOK_S: Final = 10
TRIES: Final = 10
"""How often a client asks in its last look for a key that it is not told."""


class Functions(Codec):
    """`functions` by the `f` of their operations. Implements `Work`, but for the checkers. For one run, as it
    remembers which keys it was asked for."""

    def __init__(
        self, functions: Mapping[str, Function], model: Model | None, asking: Generator | None
    ) -> None:
        """Raises ValueError. `asking`: whose operations are asked for; None: each kind as often as the
        others."""
        if not functions:
            raise ValueError("there are no operations to ask for")
        for f, function in functions.items():
            if not callable(function):
                raise ValueError(f"the operation {f!r} is {function!r}; it is a function of a node and a key")
            if model is not None and f not in model.operations:
                known = ", ".join(sorted(model.operations))
                raise ValueError(f"{model.name} has no operation {f!r}; it has {known}")
            if asking is None:
                _check_asked(f, function, model)
        self._functions = dict(functions)
        self._model = model
        self._asking = asking
        ours = model is not None and type(model) is MODELS.get(model.name)
        self._untold = model.operations - model.answers if model is not None and ours else frozenset()
        self._keys: list[str] = []

    def generator(self, seed: int) -> Generator:
        return self._asking or Asks(tuple(sorted(self._functions)), seed)

    def final(self) -> Generator | None:
        read = next((f for f in ("read", "get") if f in self._functions), None)
        if self._asking is not None or read is None:
            return None
        return time_limit(LAST_LOOK_S, each_thread(LastLook(self._keys, read)))

    def stream(self) -> Stream | None:
        return None

    def encode(self, op: Op) -> Body:
        if op.key is not None and op.key not in self._keys[-2 * KEYS_IN_USE :]:
            self._keys.append(op.key)
        return cast(Body, Call(self._functions[op.f], (op.key, *_given(op.f, op.value))))

    def decode(self, op: Op, response: Response) -> Op:
        assert isinstance(response, Report)
        if "refused" in response.status:
            return replace(op, type="fail", error=response.status["refused"])
        answered = response.status["value"]
        if op.f == CONTAINS:
            return replace(op, type="ok", value=[op.value[0], answered])
        told = op.value is None and op.f not in self._untold
        return replace(op, type="ok", value=answered if told else op.value)

    def changes_nothing(self, op: Op) -> bool:
        return op.f in READS if self._model is None else self._model.pure(op.f, op.value)


class Asks(Struct, frozen=True):
    """Endless operations; the n-th depends on the seed, n and, for a cas, what was seen before. Few keys are
    in use at a time, and each is given up after some operations, so that its history can be judged."""

    fs: tuple[str, ...]
    seed: int
    count: int = 0
    latest: tuple[tuple[str, Any], ...] = ()

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        group = self.count // (KEYS_IN_USE * OPS_PER_KEY)
        key = f"k{group * KEYS_IN_USE + draw % KEYS_IN_USE}"
        f = self.fs[(draw >> 32) % len(self.fs)]
        unique = self.count + 1
        value: Any = None
        if f in UNIQUE:
            value = unique
        elif f in (CONTAINS, REMOVE):
            element = 1 + (draw >> 16) % unique
            value = [element, None] if f == CONTAINS else element
        elif f == CAS:
            value = [dict(self.latest).get(key), unique]
        op = Op(time=ctx.time, process=ctx.processes[ctx.free[0]], f=f, key=key, value=value)
        return op, replace(self, count=unique)

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.type != "ok" or event.key is None or CAS not in self.fs:
            return self
        value = event.value[1] if event.f == CAS else event.value
        others = [item for item in self.latest if item[0] != event.key]
        return replace(self, latest=(*others, (event.key, value))[-KEYS_IN_USE:])


class LastLook(Struct, frozen=True):
    """Reads `keys` one after the other; one that is not told is given up in the end. What is in `keys` is
    looked at when the reading begins."""

    keys: Sequence[str]
    f: str
    at: int = 0
    tries: int = 0

    def op(self, ctx: Context) -> Answer:
        if self.at == len(self.keys):
            return None
        if not ctx.free:
            return PENDING
        return Op(time=ctx.time, process=ctx.processes[ctx.free[0]], f=self.f, key=self.keys[self.at]), self

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.type == "invoke":
            return self
        if event.type == "ok" or self.tries + 1 == TRIES:
            return replace(self, at=self.at + 1, tries=0)
        return replace(self, tries=self.tries + 1)


def _given(f: str, value: Any) -> list[Any]:
    """What a function is called with, beside the node and the key."""
    if value is None:
        return []
    if f == CONTAINS:
        return list(value[:1])
    return list(value) if f == CAS else [value]


def _check_asked(f: str, function: Function, model: Model | None) -> None:
    """Is it known how to ask for `f`, and can `function` be asked so? Raises ValueError."""
    if f not in KNOWN:
        known = ", ".join(sorted(KNOWN))
        raise ValueError(f"the operation {f!r} needs a generator; without one there are {known}")
    sample = {CAS: [None, 1], CONTAINS: [1, None]}.get(f, None if f in BARE else 1)
    wrong = None if model is None else model.malformed(f, frozen(sample))
    if wrong is not None:
        raise ValueError(f"the operation {f!r} needs a generator, because of its values: {wrong}")
    arguments = ("node", "key", *{CAS: ("expected", "new")}.get(f, ("value",) * len(_given(f, sample))))
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise ValueError(f"the operation {f!r} is called with ({', '.join(arguments)}): {error}") from None
    except ValueError:
        pass  # a function that was not written in Python may have no signature


def check_judgeable(fs: Set[str]) -> None:
    """Could any answer to these be wrong by a model? Raises ValueError."""
    if fs <= READS:
        raise ValueError(f"nothing would be shown: {', '.join(sorted(fs))} changes nothing")
    if fs <= UNIQUE | TOLD_NOTHING:
        raise ValueError(f"nothing would be shown: {', '.join(sorted(fs))} tells nothing of what was kept")
