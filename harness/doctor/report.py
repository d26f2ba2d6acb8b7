"""What the doctor found, as a table; hosts that are alike stand in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.doctor.examine import Row
from harness.doctor.here import HERE

PLACES_MAX: Final = 5
_STYLES: Final = {"ok": "green", "missing": "bold red", "not needed": "yellow"}


def render(console: Console, rows: Sequence[Row]) -> None:
    table = Table.grid(padding=(0, 2))
    for no_wrap in (True, True, True, False):
        table.add_column(no_wrap=no_wrap)
    table.add_row(*(Text(word, "dim underline") for word in ("where", "what", "is", "")))
    for where, found in alike(rows):
        said = Text(found.detail)
        if found.remedy:
            said.append(f"\n{found.remedy}", "bold" if found.state == "missing" else "dim")
        table.add_row(where, found.check, Text(found.state, _STYLES[found.state]), said)
    console.print(table)
    missing = sum(found.state == "missing" for found in rows)
    if missing:
        console.print(Text(f"\n{missing} missing: what mends it stands below it", "bold red"))
    else:
        console.print(Text("\neverything that is needed is there", "bold green"))


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "ok": all(found.state != "missing" for found in rows),
        "checks": [found._asdict() for found in rows],
    }


def alike(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Each finding with all the places where it is the same, in the order in which they first come; figures
    differ from host to host, so of what is ok the first host's stands for all."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for found in rows:
        figures = () if found.state == "ok" else (found.detail, found.remedy)
        place = HERE if found.where == HERE else "hosts"
        groups.setdefault((place, found.check, found.state, *figures), []).append(found)
    return [(_places([found.where for found in group]), _example(group)) for group in groups.values()]


def _places(names: Sequence[str]) -> str:
    return " ".join(names) if len(names) <= PLACES_MAX else f"{names[0]} and {len(names) - 1} more"


def _example(group: Sequence[Row]) -> Row:
    first = group[0]
    same = all(found.detail == first.detail for found in group)
    return first if same else first._replace(detail=f"{first.where}: {first.detail}; the others alike")
