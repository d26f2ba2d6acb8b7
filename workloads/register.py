"""The register workload: reads, writes and cas on many keys, every written value unique.

Unique values make a violation easy to name: a read tells exactly which write it saw. A few keys are in use at
a time, so that clients contend, and each is retired after some operations, so that no key's history grows
beyond what can be judged; after jepsen.tests.linearizable-register.
"""

from __future__ import annotations

from msgspec import Struct

from checkers.history import Op
from checkers.linear import Linearizable, Stream
from checkers.models import CasRegister
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import Body, Cas
from workloads.values import Values, value_to_bytes

KEYS_IN_USE = 5
OPS_PER_KEY = 100


class Register(Values):
    """`level` is the store's; only `linearizable` has cas, so without it there are reads and writes alone.
    `analysis_limit_s` bounds the checker."""

    name = "register"
    asks = "read, write and cas"
    summary = "read, write and cas on many keys, unique values; judged linearizable per key"

    def __init__(self, level: str, analysis_limit_s: float) -> None:
        super().__init__(level)
        self._fs = ("read", "read", "write", "cas") if level == "linearizable" else ("read", "write")
        self._analysis_limit_s = analysis_limit_s

    def generator(self, seed: int) -> Generator:
        return RegisterOps(self._fs, seed)

    def final(self) -> Generator | None:
        return None

    def encode(self, op: Op) -> Body:
        if op.f != "cas":
            return super().encode(op)
        assert op.key is not None
        expect, value = op.value
        held = None if expect is None else value_to_bytes(expect)
        return Cas(op.key, held, value_to_bytes(value), self._level)

    def checkers(self) -> list[Checker]:
        return [Linearizable(CasRegister(), failed_cas="mismatch", seconds=self._analysis_limit_s)]

    def stream(self) -> Stream:
        return Stream(CasRegister(), failed_cas="mismatch")


class RegisterOps(Struct, frozen=True):
    """Endless operations, as many as asked for. `latest` is what the keys in use were last seen to hold, so
    that a cas has a chance; pure: the n-th operation depends on the seed, n and what completed before."""

    fs: tuple[str, ...]
    seed: int
    count: int = 0
    latest: tuple[tuple[str, int], ...] = ()

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        group = self.count // (KEYS_IN_USE * OPS_PER_KEY)
        key = f"r{group * KEYS_IN_USE + draw % KEYS_IN_USE}"
        f = self.fs[(draw >> 32) % len(self.fs)]
        unique = self.count + 1
        value = {"read": None, "write": unique, "cas": [dict(self.latest).get(key), unique]}[f]
        op = Op(time=ctx.time, process=ctx.processes[ctx.free[0]], f=f, key=key, value=value)
        return op, RegisterOps(self.fs, self.seed, unique, self.latest)

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.type != "ok" or event.key is None:
            return self
        value = event.value[1] if event.f == "cas" else event.value
        if not isinstance(value, int):
            return self
        others = [item for item in self.latest if item[0] != event.key]
        latest = (*others, (event.key, value))[-KEYS_IN_USE:]
        return RegisterOps(self.fs, self.seed, self.count, latest)
