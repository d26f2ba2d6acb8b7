"""A store of registers that is as consistent as it is told to be, and the histories of those who use it.

Replicas apply writes in the order in which one log has them, or (level "eventual") as they happen to come;
a client uses one replica, or (level "roaming") any. What was asked, and how replicas lag, is drawn.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from checkers.history import Op

Level = Literal["linearizable", "sequential", "causal", "roaming"]


class Replicas:
    """`linearizable`: one copy. `sequential`: each client reads a copy that follows one log, up to its own
    last write at least. `causal`: each client has a copy, to which writes come after all that their writers
    knew, and which keeps of two the one with the greater stamp. `roaming`: copies that follow one log at
    any distance."""

    def __init__(self, rng: Random, level: Level, clients: int) -> None:
        self._rng = rng
        self._level = level
        self._clients = clients
        self._log: list[tuple[int, str, Any, frozenset[int], tuple[int, int]]] = []
        self._applied: list[set[int]] = [set() for _ in range(clients)]
        self._upto = [0] * clients
        self._clock = [0] * clients

    def write(self, client: int, key: str, value: Any) -> None:
        self._clock[client] += 1
        stamp = (self._clock[client], client)
        self._log.append((len(self._log), key, value, frozenset(self._applied[client]), stamp))
        self._applied[client].add(len(self._log) - 1)
        self._upto[client] = len(self._log)

    def read(self, client: int, key: str) -> Any:
        if self._level == "causal":
            self._gossip(client)
            held = [self._log[number] for number in self._applied[client] if self._log[number][1] == key]
            return max(held, key=lambda entry: entry[4])[2] if held else None
        upto = len(self._log)
        if self._level == "sequential":
            upto = self._upto[client] = self._rng.randint(self._upto[client], len(self._log))
        if self._level == "roaming":
            upto = self._rng.randint(max(0, len(self._log) - 6), len(self._log))
        return next((entry[2] for entry in reversed(self._log[:upto]) if entry[1] == key), None)

    def _gossip(self, client: int) -> None:
        """A few writes come, each after what it depends on."""
        mine = self._applied[client]
        for number, _, _, depends, stamp in self._log:
            if number not in mine and depends <= mine and self._rng.random() < 0.3:
                mine.add(number)
                self._clock[client] = max(self._clock[client], stamp[0])


def recorded(
    rng: Random, level: Level, operations: int, clients: int = 3, keys: int = 2, crashes: float = 0.0
) -> list[Op]:
    """Concurrent clients; every value is written once. A call that crashes took effect, or never did."""
    store = Replicas(rng, level, clients)
    events: list[Op] = []
    processes = list(range(clients))
    asked: dict[int, Op] = {}
    answers: dict[int, tuple[str, Any]] = {}
    begun = 0
    while begun < operations or asked:
        client = rng.randrange(clients)
        at = {"index": len(events), "time": len(events) * 1_000_000}
        op = asked.get(client)
        if client in answers:
            assert op is not None
            kind, value = answers.pop(client)
            events.append(Op(**at, process=processes[client], type=kind, f=op.f, key=op.key, value=value))  # type: ignore[arg-type]
            del asked[client]
            if kind == "info":
                processes[client] += clients
        elif op is not None:
            crashed = rng.random() < crashes
            if op.f == "write" and not (crashed and rng.random() < 0.5):
                store.write(client, str(op.key), op.value)
            answer = store.read(client, str(op.key)) if op.f == "read" else op.value
            answers[client] = ("info", op.value) if crashed else ("ok", answer)
        elif begun < operations:
            begun += 1
            f = rng.choice(["read", "write"])
            value = begun if f == "write" else None
            asked[client] = Op(
                **at, process=processes[client], f=f, key=f"k{rng.randrange(keys)}", value=value
            )
            events.append(asked[client])
    return events
