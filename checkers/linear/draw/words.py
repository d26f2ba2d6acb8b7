"""What is written on a picture, and the one place where text from a history becomes markup."""

from __future__ import annotations

import html
from typing import Any, Final
from unicodedata import east_asian_width

from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Model, State, frozen, show

LABEL_CHARS: Final = 34
CHAR_TEXT: Final = 7.1
"""The width of a character of running text, in pixels, about."""
_CONTEXT_CHARS: Final = 12
_DIFFERENCE_CHARS: Final = 60


def escaped(text: object) -> str:
    """Safe as the content of an element and of a quoted attribute. What cannot be printed (controls,
    directions, lone surrogates, which XML cannot hold either) is written as Python writes it."""
    return html.escape("".join(map(_printable, str(text))), quote=True)


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def columns(text: str) -> int:
    """The width of `text` in characters of a monospaced font."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def named(f: str, value: Any, outcome: str, model: Model | None) -> str:
    """`write 3`, `read = 3`, `cas 3 -> 4`, `dequeue = ?`."""
    answered = f in ("read", "get") or (model is not None and f in model.answers)
    if answered:
        return f"{f} = {show(frozen(value)) if outcome == 'ok' else '?'}"
    if f == "cas" and isinstance(value, (list, tuple)) and len(value) == 2:
        return f"cas {show(frozen(value[0]))} -> {show(frozen(value[1]))}"
    return f if value is None else f"{f} {show(frozen(value))}"


def shortened(text: str, chars: int = LABEL_CHARS) -> str:
    """For a label: the middle left out if it is long."""
    half = chars // 2 - 1
    return text if len(text) <= chars else f"{text[:half]} … {text[-half:]}"


def sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words[-1:] in ("", ".", ":") else ".")


def refusal(model: Model, call: Call, state: State) -> str:
    """Why `call` cannot come next in `state`, as a clause that begins with a verb."""
    needed = model.needs(call.f, call.value)
    if needed is ILLEGAL:
        return f"is impossible when the state is {show(state)}"
    wanted, found = _contrasted(needed, state)
    return f"needs {wanted}, but the state is {found}"


def _contrasted(wanted: State, found: State) -> tuple[str, str]:
    """Both as text; of two long strings, the part where they begin to differ."""
    if not isinstance(wanted, str) or not isinstance(found, str):
        return show(wanted), show(found)
    if max(len(wanted), len(found)) < _DIFFERENCE_CHARS:
        return show(wanted), show(found)
    same = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), None)
    first = min(len(wanted), len(found)) if same is None else same
    return f"{_part(wanted, first)} (from character {first + 1} on)", _part(found, first)


def _part(text: str, first: int) -> str:
    begin, end = max(0, first - _CONTEXT_CHARS), first + _DIFFERENCE_CHARS - _CONTEXT_CHARS
    return f"{'… ' if begin else ''}{text[begin:end]!r}{' …' if end < len(text) else ''}"


def seconds(time_ns: int, decimals: int) -> str:
    return f"{time_ns / 1e9:.{decimals}f} s"


def duration(span_ns: int) -> str:
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if span_ns >= size:
            return (
                f"{span_ns / size:.3g} {unit}" if span_ns < 1000 * size else f"{span_ns / size:,.0f} {unit}"
            )
    return f"{span_ns} ns"
