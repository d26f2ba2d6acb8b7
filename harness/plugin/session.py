"""What becomes of one call of a client function: an answer, a refusal, or doubt.

Doubt is the rule: only what certainly did not happen is told as such, because a failed operation that
happened after all would convict a service that is right.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import msgspec
import trio

from harness.cluster.base import Lost, NotSent
from harness.plugin.node import Node, Refused
from store.core.messages import Body, Report, Response, Status

Function = Callable[..., Any]


class Call(NamedTuple):
    function: Function
    arguments: tuple[Any, ...]


class FunctionSession:
    """Implements `Session`: a plain function is called in a thread, an `async` one in the harness' own loop,
    which is trio's. One that takes longer than it may is left to itself: nobody knows whether it still
    happens. `mistaken` is told, in a sentence, of what makes the whole run worthless."""

    def __init__(self, node: Node, mistaken: Callable[[str], None]) -> None:
        self._node = node
        self._mistaken = mistaken

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Status):
            return Report(0, {})  # the harness wants to know how the node is; there is nobody to ask
        call = cast(Call, body)
        try:
            with trio.fail_after(max(0.0, timeout_s)):
                answered = await self._called(call)
            return Report(0, {"value": self._as_recorded(answered)})
        except Refused as error:
            return Report(0, {"refused": str(error) or "refused"})
        except trio.TooSlowError:
            raise Lost(f"no answer from {self._node.name} within {timeout_s:.3g} s") from None
        except Exception as error:
            if never_connected(error):
                raise NotSent(f"{self._node.name} refuses connections") from None
            raise Lost(f"{type(error).__name__}: {error}") from None
        except (trio.Cancelled, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # such as `pytest.fail`, which may not end the harness' loop
            sentence = f"a client function ended with {type(error).__name__}: {error}"
            self._mistaken(sentence)
            raise Lost(sentence) from None

    async def _called(self, call: Call) -> Any:
        if inspect.iscoroutinefunction(call.function):
            return await call.function(self._node, *call.arguments)
        (answered,) = await trio.to_thread.run_sync(
            lambda: (call.function(self._node, *call.arguments),),  # trio passes no coroutine on
            abandon_on_cancel=True,
            limiter=trio.CapacityLimiter(math.inf),
        )
        return await answered if inspect.isawaitable(answered) else answered

    def _as_recorded(self, answered: Any) -> Any:
        """An answer as the history's file has it, so that the file and the memory cannot disagree."""
        try:
            if isinstance(answered, (bytes, bytearray, memoryview)):
                raise TypeError("it is bytes")
            if isinstance(answered, float) and not math.isfinite(answered):
                raise ValueError("it is no number")
            return msgspec.json.decode(msgspec.json.encode(answered))
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            sentence = f"a client function answered {answered!r:.80}, which is nothing that JSON has: {error}"
            self._mistaken(sentence)
            raise Lost(sentence) from None

    async def close(self) -> None:
        pass


def never_connected(error: BaseException) -> bool:
    """Was a connection refused, and nothing tried besides? What a library says that it wraps (by `from`, as
    the reason, or as the first argument) is looked into. An exception that merely arose while another one was
    handled tells of a second attempt, and from one attempt nothing follows for the other."""
    inner, before = _wrapped(error), error.__context__
    if not isinstance(error, ConnectionRefusedError) and (inner is None or not never_connected(inner)):
        return False
    return before is None or before is inner or never_connected(before)


def _wrapped(error: BaseException) -> BaseException | None:
    candidates = (error.__cause__, getattr(error, "reason", None), *error.args[:1])
    return next((each for each in candidates if isinstance(each, BaseException)), None)
