"""A tiny simulated system, correct or broken in a chosen way: what a checker must acquit, or convict."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from checkers.history import Op

Defect = Literal["none", "stale reads", "lost writes", "failed writes applied", "cas without comparing"]


@dataclass
class Store:
    """Registers by key. A defect strikes about once in `rarity` operations that it could strike."""

    rng: Random
    defect: Defect = "none"
    rarity: int = 30
    now: dict[str, Any] = field(default_factory=dict)
    before: dict[str, list[Any]] = field(default_factory=dict)

    def strikes(self, defect: Defect) -> bool:
        return self.defect == defect and self.rng.randrange(self.rarity) == 0

    def put(self, key: str, value: Any) -> None:
        self.before.setdefault(key, []).append(self.now.get(key))
        self.now[key] = value

    def apply(self, f: str, key: str, value: Any) -> tuple[str, Any]:
        """The type of the completion, and its value."""
        if f == "read":
            old = self.before.get(key, [])
            return "ok", old[-8] if len(old) > 8 and self.strikes("stale reads") else self.now.get(key)
        if f == "write":
            if self.strikes("failed writes applied"):
                self.put(key, value)
                return "fail", value
            if not self.strikes("lost writes"):
                self.put(key, value)
            return "ok", value
        if value[0] != self.now.get(key) and not self.strikes("cas without comparing"):
            return "fail", value
        self.put(key, value[1])
        return "ok", value


def recorded(store: Store, operations: int, clients: int, keys: int, crashes: float = 0.01) -> list[Op]:
    """A history of `clients` concurrent clients with unique values; a few of their operations crash."""
    rng = store.rng
    events: list[Op] = []
    processes = list(range(clients))
    asked: dict[int, Op] = {}
    answers: dict[int, Op] = {}
    begun = 0
    while begun < operations or asked:
        client = rng.randrange(clients)
        at = {"index": len(events), "time": len(events) * 1_000_000}
        if client in answers:
            answer = answers.pop(client)
            del asked[client]
            events.append(Op(**at, process=processes[client], type=answer.type, f=answer.f, key=answer.key,
                             value=answer.value))  # fmt: skip
            if answer.type == "info":
                processes[client] += clients
        elif client in asked:
            op = asked[client]
            kind, value = store.apply(op.f, str(op.key), op.value)
            if rng.random() < crashes:
                kind, value = "info", op.value
            answers[client] = Op(type=kind, f=op.f, key=op.key, value=value)  # type: ignore[arg-type]
        elif begun < operations:
            begun += 1
            key, f = f"k{rng.randrange(keys)}", rng.choice(["read", "read", "write", "cas"])
            value = (
                None
                if f == "read"
                else begun
                if f == "write"
                else [rng.choice([store.now.get(key), begun - 1]), begun]
            )
            asked[client] = Op(**at, process=processes[client], f=f, key=key, value=value)
            events.append(asked[client])
    return events
