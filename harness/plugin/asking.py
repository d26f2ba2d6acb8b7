"""Client functions as a workload: `read(node, key)`, `write(node, key, value)`, one for each kind of
operation.

An operation goes through the harness like any other. Where those of the bundled store become one of its
requests, these stay what they are: the request of a `FunctionSession` is a `Call`, and its response what the
function gave.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import trio
from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Stream
from checkers.models import Model
from harness.client import Codec
from harness.cluster.base import Lost, NotSent
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from harness.plugin.node import Node, Refused
from store.core.messages import Body, Report, Response, Status

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

Function = Callable[..., Any]


class Call(NamedTuple):
    function: Function
    arguments: tuple[Any, ...]


class Functions(Codec):
    """`functions` by the `f` of their operations. Implements `Work`, but for the checkers."""

    def __init__(
        self, functions: Mapping[str, Function], model: Model | None, asking: Generator | None
    ) -> None:
        """Raises ValueError. `asking`: whose operations are asked for; None: each kind as often as the
        others."""
        if not functions:
            raise ValueError("there are no operations to ask for")
        for f in functions:
            if model is not None and f not in model.operations:
                known = ", ".join(sorted(model.operations))
                raise ValueError(f"{model.name} has no operation {f!r}; it has {known}")
            if asking is None and f not in KNOWN:
                known = ", ".join(sorted(KNOWN))
                raise ValueError(f"the operation {f!r} needs a generator; without one there are {known}")
        self._functions = dict(functions)
        self._model = model
        self._asking = asking

    def generator(self, seed: int) -> Generator:
        return self._asking or Asks(tuple(sorted(self._functions)), seed)

    def final(self) -> Generator | None:
        return None

    def stream(self) -> Stream | None:
        return None

    def encode(self, op: Op) -> Body:
        if op.value is None:
            given = []
        elif op.f == CONTAINS:
            given = op.value[:1]
        else:
            given = op.value if op.f == CAS else [op.value]
        return cast(Body, Call(self._functions[op.f], (op.key, *given)))

    def decode(self, op: Op, response: Response) -> Op:
        assert isinstance(response, Report)
        if "refused" in response.status:
            return replace(op, type="fail", error=response.status["refused"])
        answered = response.status["value"]
        if op.f == CONTAINS:
            return replace(op, type="ok", value=[op.value[0], answered])
        return replace(op, type="ok", value=answered if op.value is None else op.value)

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


class FunctionSession:
    """Implements `Session`: a plain function is called in a thread, an `async` one in the harness' own loop,
    which is trio's. One that takes longer than it may is left to itself: nobody knows whether it still
    happens."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Status):
            return Report(0, {})  # the harness wants to know how the node is; there is nobody to ask
        call = cast(Call, body)
        try:
            with trio.fail_after(max(0.0, timeout_s)):
                return Report(0, {"value": await self._called(call)})
        except Refused as error:
            return Report(0, {"refused": str(error) or "refused"})
        except trio.TooSlowError:
            raise Lost(f"no answer from {self._node.name} within {timeout_s:.3g} s") from None
        except Exception as error:
            if _never_connected(error):
                raise NotSent(f"{self._node.name} refuses connections") from None
            raise Lost(f"{type(error).__name__}: {error}") from None

    async def _called(self, call: Call) -> Any:
        if inspect.iscoroutinefunction(call.function):
            return await call.function(self._node, *call.arguments)
        return await trio.to_thread.run_sync(
            call.function,
            self._node,
            *call.arguments,
            abandon_on_cancel=True,
            limiter=trio.CapacityLimiter(math.inf),
        )

    async def close(self) -> None:
        pass


def _never_connected(error: BaseException) -> bool:
    """Libraries wrap what the system said; `reason` is urllib's."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ConnectionRefusedError):
            return True
        reason = getattr(found, "reason", None)
        found = reason if isinstance(reason, BaseException) else found.__cause__ or found.__context__
    return False
