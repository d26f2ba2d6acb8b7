"""Large histories of correct objects, with a planted anomaly or without; a function of the seed alone.

Each client is idle, asks, takes effect at one moment, and is answered; a crashed call takes effect at some
later time, or never, is answered `info`, and its process is replaced by a new one, as in Jepsen. A call with
the value 0 never crashes: if every value might still come from a crashed write, no read could be known stale.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from checkers.history import Op

Ask = Callable[[Random, int], tuple[str, Any]]
"""The next invocation's f and value; the second argument counts invocations from 0."""
Apply = Callable[[Any, str, Any], tuple[Any, Any]]
"""State, f and value to the next state and the answer."""
Change = Callable[[Any], Any]
"""An answer to a wrong one."""


class Mix(NamedTuple):
    """An object under load: what it begins as, what is asked, and what it does."""

    initial: Any
    ask: Ask
    apply: Apply


def recorded(
    mix: Mix, operations: int, clients: int = 10, crashed: float = 0.0, seed: int = 1, key: str | None = None
) -> list[Op]:
    """Linearizable by construction. `crashed` is the part of the calls that are never acknowledged."""
    rng = Random(seed)
    state = mix.initial
    events: list[Op] = []
    processes = list(range(clients))
    asked: dict[int, Op] = {}
    answers: dict[int, Any] = {}
    floating: list[Op] = []
    begun = 0
    while begun < operations or asked:
        client = rng.randrange(clients)
        process = processes[client]
        op = asked.get(client)
        if op is None:
            if begun < operations:
                f, value = mix.ask(rng, begun)
                begun += 1
                asked[client] = Op(len(events), len(events) * 1000, process, "invoke", f, key, value)
                events.append(asked[client])
        elif client in answers:
            answer = answers.pop(client)
            events.append(Op(len(events), len(events) * 1000, process, "ok", op.f, key, answer))
            del asked[client]
        elif op.value != 0 and rng.random() < crashed:
            events.append(Op(len(events), len(events) * 1000, process, "info", op.f, key, op.value))
            processes[client] += clients
            del asked[client]
            if rng.randrange(2):
                floating.append(op)
        else:
            if floating and rng.randrange(20) == 0:
                late = floating.pop(rng.randrange(len(floating)))
                state, _ = mix.apply(state, late.f, late.value)
            state, answers[client] = mix.apply(state, op.f, op.value)
    return events


def with_stale_read(events: list[Op], part: float = 0.5) -> list[Op]:
    """The first read after `part` of the history that can be made stale is: it now answers what was written
    before the value that it must at least have seen. Every write of that value had been acknowledged before
    another one began, and that one before the read did."""
    for position in range(int(len(events) * part), len(events)):
        op = events[position]
        if op.type == "ok" and op.f == "read":
            stale = _stale_answer(events, position)
            if stale is not None:
                wrong = Op(op.index, op.time, op.process, op.type, op.f, op.key, stale)
                return [*events[:position], wrong, *events[position + 1 :]]
    raise ValueError("no read of this history can be made stale")


def _stale_answer(events: list[Op], position: int, horizon: int = 400) -> Any:
    """A value that the read completing at `position` cannot have seen, but an earlier one could, or None."""
    process = events[position].process
    begun = next(at for at in range(position - 1, -1, -1) if events[at].process == process)
    possible: set[Any] = set()
    ends: dict[Any, int] = {}
    writes: list[tuple[int, int, Any]] = []
    for at in range(position, max(-1, begun - horizon), -1):
        op = events[at]
        if op.f != "write":
            continue
        if op.type == "ok":
            ends[op.process] = at
        elif op.type == "invoke":
            writes.append((at, ends.get(op.process, position), op.value))
    settled = max((start for start, end, _ in writes if end < begun), default=-1)
    possible = {value for _, end, value in writes if end > settled}
    crashed = {op.value for op in events[:position] if op.type == "info"}
    old = [value for _, end, value in writes if end < settled and value not in possible | crashed]
    return old[0] if old else None


def register(values: int | None) -> Mix:
    """Reads and writes of so many different values, or, with None, of values that are written once."""

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        if rng.randrange(2):
            return "read", None
        return "write", number if values is None else rng.randrange(values)

    def apply(state: Any, f: str, value: Any) -> tuple[Any, Any]:
        return (state, state) if f == "read" else (value, value)

    return Mix(None, ask, apply)


def deleted_register() -> Mix:
    """Reads, and writes of values that are written once, or, one in seven, of nil."""

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        if rng.randrange(2):
            return "read", None
        return "write", number if rng.randrange(7) else None

    return register(None)._replace(ask=ask)


def fifo_queue() -> Mix:
    """Each value is put in once. The state is the number of values taken and all values."""

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        return ("enqueue", number) if rng.randrange(2) else ("dequeue", None)

    def apply(state: Any, f: str, value: Any) -> tuple[Any, Any]:
        if f == "enqueue":
            state.append(value)
            return state, value
        return state, state.popleft() if state else None

    return Mix(deque(), ask, apply)


def grow_only_set() -> Mix:
    """Each element is added once; `contains` asks for one of the last hundred."""

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        if rng.randrange(2):
            return "add", number
        return "contains", [max(0, number - rng.randrange(100)), None]

    def apply(state: Any, f: str, value: Any) -> tuple[Any, Any]:
        if f == "add":
            state.add(value)
            return state, value
        return state, [value[0], value[0] in state]

    return Mix(set(), ask, apply)


def counter() -> Mix:
    """Additions of one, and reads."""

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        return ("add", 1) if rng.randrange(2) else ("read", None)

    def apply(state: Any, f: str, value: Any) -> tuple[Any, Any]:
        return (state + 1, value) if f == "add" else (state, state)

    return Mix(0, ask, apply)


def with_one_answer_changed(events: list[Op], f: str, wrong: Change, part: float) -> list[Op]:
    """The first `f` completed after `part` of the history answers something else."""
    for position in range(int(len(events) * part), len(events)):
        op = events[position]
        if op.type == "ok" and op.f == f and op.value is not None:
            changed = Op(op.index, op.time, op.process, op.type, op.f, op.key, wrong(op.value))
            return [*events[:position], changed, *events[position + 1 :]]
    raise ValueError(f"no {f} of this history can be changed")


def appends(keys: int, clients: int, operations: int, seed: int, crossed: bool) -> list[Op]:
    """Gets, puts and appends of unique pieces, as in Porcupine's files: several clients for each of a few
    keys. `crossed`: near the end, a get of each key finds two neighbouring pieces exchanged."""
    histories = []
    for number in range(keys):
        mix = Mix("", _ask_for_pieces, _append)
        each = recorded(mix, operations // keys, clients // keys, seed=seed + number, key=str(number))
        if crossed:
            each = with_one_answer_changed(each, "get", _cross, 0.8)
        histories.append(each)
    return _interleaved(histories, clients // keys)


def _ask_for_pieces(rng: Random, number: int) -> tuple[str, Any]:
    if rng.randrange(2):
        return "get", None
    return ("put" if rng.randrange(12) == 0 else "append"), f"x {number} y"


def _append(state: Any, f: str, value: Any) -> tuple[Any, Any]:
    if f == "get":
        return state, state
    return (value, value) if f == "put" else (state + value, value)


def _cross(value: str) -> str:
    pieces = value.split("x")
    return "x".join([*pieces[:-2], pieces[-1], pieces[-2]])


def _interleaved(histories: list[list[Op]], clients: int) -> list[Op]:
    """One event of each history in turn; their processes are told apart."""
    events: list[Op] = []
    for turn in range(max(map(len, histories))):
        for number, each in enumerate(histories):
            if turn < len(each):
                op = each[turn]
                process = int(op.process) + 1000 * clients * number
                events.append(Op(len(events), len(events) * 1000, process, op.type, op.f, op.key, op.value))
    return events
