"""The fault ledger as a table: what was done to whom, from when to when, and what showed that it bit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.ledger import Entry

ROWS_MAX: Final = 24
TEXT_CHARS_MIN: Final = 12
GAP: Final = 2

_BIT_STYLES: Final = {"yes": "green", "no": "yellow", "unknown": "yellow", "failed": "red"}


def ledger_table(entries: Sequence[Entry], width: int) -> RenderableType:
    """A line for each fault that bit and was healed, with what does not fit cut off; the others whole. Of
    more than `ROWS_MAX` entries, the others come before those that bit."""
    shown = _shown(entries)
    figures = [(entry.fault, _applied(entry), _healed(entry), _bit(entry)) for entry in shown]
    headers = ("fault", "from s", "to s", "bit")
    taken = sum(max(map(len, column)) + GAP for column in zip(headers, *figures, strict=True)) + GAP
    whats = [describe(entry.value) for entry in shown]
    room = max(2 * TEXT_CHARS_MIN, width - taken)
    what_chars = min(max(len("what"), *map(len, whats)), room // 2)
    table = Table.grid(padding=(0, GAP))
    table.add_column(no_wrap=True)
    table.add_column(width=what_chars)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(width=room - what_chars)
    header = ("fault", "what", "from s", "to s", "bit", "evidence")
    table.add_row(*(Text(word, "dim underline") for word in header))
    for entry, (fault, applied, healed, bit), what in zip(shown, figures, whats, strict=True):
        evidence = _evidence(entry)
        if _is_sound(entry):
            what, evidence = _cut(what, what_chars), _cut(evidence, room - what_chars)
        bit_cell, healed_cell = Text(bit, _BIT_STYLES[bit]), Text(healed, "red" if healed == "never" else "")
        table.add_row(fault, what, applied, healed_cell, bit_cell, Text(evidence, "dim"))
    hidden = len(entries) - len(shown)
    if hidden:
        return Group(table, Text(f"and {hidden} more, all in faults.json", "dim"))
    return table


def describe(value: Any) -> str:
    """What was chosen, in words: the targets, who does not hear whom, the offsets."""
    if not isinstance(value, Mapping):
        return "" if value is None else str(value)
    words = [chosen for chosen in value.values() if isinstance(chosen, str)]
    parts = [
        _part(name, chosen)
        for name, chosen in value.items()
        if not (isinstance(chosen, str) or name == "seed")
    ]
    head, tail = ", ".join(words), "; ".join(parts)
    return tail if head.replace("+", " ") == tail else ": ".join(part for part in (head, tail) if part)


def _part(name: str, chosen: Any) -> str:
    if name == "grudge" and isinstance(chosen, Mapping) and all(isinstance(r, list) for r in chosen.values()):
        return _grudge(chosen)
    if isinstance(chosen, Mapping):
        return ", ".join(f"{node} {_offset(name, amount)}" for node, amount in chosen.items())
    if isinstance(chosen, (list, tuple)):
        return " ".join(map(str, chosen))
    return str(chosen)


def _offset(name: str, amount: Any) -> str:
    if not isinstance(amount, (int, float)):
        return str(amount)
    if name.endswith("_ms"):
        return f"{amount:+} ms" if abs(amount) < 1000 else f"{amount / 1000:+,.1f} s"
    return f"{amount:+,}"


def _grudge(grudge: Mapping[str, Collection[str]]) -> str:
    """Sides that do not hear each other as `n1 n2 | n3`; anything else as who does not hear whom."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for node, refused in grudge.items():
        groups.setdefault(tuple(sorted(refused)), []).append(node)
    sides = {tuple(sorted(nodes)): refused for refused, nodes in groups.items()}
    if len(sides) == 2 and all(sides.get(refused) == side for side, refused in sides.items()):
        return " | ".join(" ".join(side) for side in sorted(sides, key=lambda side: (len(side), side)))
    return "; ".join(f"{' '.join(side)} deaf to {' '.join(refused)}" for side, refused in sides.items())


def _is_sound(entry: Entry) -> bool:
    return entry.observed is True and entry.healed_s is not None and entry.error is None


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 3] + "..."


def _shown(entries: Sequence[Entry]) -> list[Entry]:
    if len(entries) <= ROWS_MAX:
        return list(entries)
    return sorted(sorted(entries, key=_is_sound)[:ROWS_MAX], key=lambda entry: entry.intended_s)


def _applied(entry: Entry) -> str:
    return f"{entry.intended_s if entry.applied_s is None else entry.applied_s:.1f}"


def _healed(entry: Entry) -> str:
    if entry.healed_s is not None:
        return f"{entry.healed_s:.1f}"
    return "-" if entry.applied_s is None else "never"


def _bit(entry: Entry) -> str:
    if entry.applied_s is None:
        return "failed"
    return {True: "yes", False: "no", None: "unknown"}[entry.observed]


def _evidence(entry: Entry) -> str:
    return "; ".join(part for part in (entry.error, entry.evidence) if part)
