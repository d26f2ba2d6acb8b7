"""Histories of sets, counters, queues and identifiers: recorded from correct objects with crashes and
failures, or any small ones at all; and a tiny notation for those of tests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import Op

Answer = Callable[[Any, str, Any], Any]
"""From a mutable state, an f and a value to the answer."""


def events(text: str) -> list[Op]:
    """One event a word: process, f, then `=value` or `?` (info), `!` (fail), or neither (invoked).
    `0add:1 0add:1= 1read 1read=[1] 2add:2?`: after a colon what was asked, after = what was answered."""
    found: list[Op] = []
    for index, word in enumerate(text.split()):
        kind = {"?": "info", "!": "fail"}.get(word[-1], "invoke")
        word = word.rstrip("?!")
        head, equals, answer = word.partition("=")
        head, _, asked = head.partition(":")
        value = _value(answer or asked)
        if equals:
            kind = "ok"
        found.append(Op(index, index * 1_000_000, int(head[0]), kind, head[1:], None, value))  # type: ignore[arg-type]
    return found


def _value(text: str) -> Any:
    if not text:
        return None
    if text[0] == "[":
        return [_value(each) for each in text[1:-1].split(",") if each]
    return int(text) if text.lstrip("-").isdigit() else text


def recorded(
    rng: Random,
    state: Any,
    ask: Callable[[Random, int], tuple[str, Any]],
    answer: Answer,
    operations: int,
    clients: int = 4,
    faulty: float = 0.2,
) -> list[Op]:
    """Each operation takes effect at one moment. Of the faulty ones some fail, and some crash and take effect
    at some later time, or never."""
    found: list[Op] = []
    processes = list(range(clients))
    busy: dict[int, Op] = {}
    answered: dict[int, Op] = {}
    late: list[Op] = []
    begun = 0
    while begun < operations or busy:
        if late and rng.random() < 0.1:
            op = late.pop(rng.randrange(len(late)))
            answer(state, op.f, op.value)
        slot = rng.randrange(clients)
        at = {"index": len(found), "time": len(found) * 1_000_000}
        if slot in answered:
            found.append(replace(answered.pop(slot), **at))
            del busy[slot]
        elif slot not in busy:
            if begun < operations:
                f, value = ask(rng, begun)
                begun += 1
                busy[slot] = Op(process=processes[slot], f=f, value=value)
                found.append(replace(busy[slot], **at))
        elif rng.random() >= faulty:
            op = busy[slot]
            answered[slot] = replace(op, type="ok", value=answer(state, op.f, op.value))
        elif rng.random() < 0.5:
            answered[slot] = replace(busy[slot], type="fail", error="refused")
        else:
            op = busy.pop(slot)
            found.append(replace(op, type="info", **at))
            processes[slot] += clients
            if rng.random() < 0.5:
                late.append(op)
    return found


def at_last(history: list[Op], op: Op, value: Any) -> list[Op]:
    """With one more operation when all others are over."""
    process = 1 + max((int(each.process) for each in history), default=-1)
    index = len(history)
    asked = replace(op, process=process, index=index, time=index * 1_000_000)
    done = replace(asked, type="ok", value=value, index=index + 1, time=(index + 1) * 1_000_000)
    return [*history, asked, done]


@st.composite
def small(
    draw: st.DrawFn, asks: st.SearchStrategy[tuple[str, Any]], answers: Callable[[str], Any], size: int = 7
) -> list[Op]:
    """Any history of up to `size` operations: `answers(f)` draws what an `ok` one is answered (None: what was
    asked)."""
    found: list[Op] = []
    processes = [0, 1, 2]
    busy: dict[int, Op] = {}
    begun = 0
    for _ in range(draw(st.integers(2, 2 * size + 2))):
        slot = draw(st.integers(0, 2))
        at = {"index": len(found), "time": len(found) * 1_000_000}
        if slot in busy:
            op = busy.pop(slot)
            kind = draw(st.sampled_from(["ok"] * 5 + ["fail", "info"]))
            strategy = answers(op.f)
            value = draw(strategy) if kind == "ok" and strategy is not None else op.value
            found.append(replace(op, type=kind, value=value, **at))
            if kind == "info":
                processes[slot] += 10
        elif begun < size:
            begun += 1
            f, value = draw(asks)
            if value == "unique":
                value = begun
            busy[slot] = Op(process=processes[slot], f=f, value=value)
            found.append(replace(busy[slot], **at))
    return found
