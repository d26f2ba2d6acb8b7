"""Tables of what nodes say of themselves, for a terminal, and the same as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from store.client.jsonform import Json
from store.config import Address
from store.web.routes import unwell


class Told(NamedTuple):
    """What a node at an address said, or why it said nothing; `name`: as others call it."""

    address: Address
    status: Mapping[str, Any] | None
    error: str
    name: str = "?"


def table(*headings: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    found = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for heading in headings:
        found.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return found


def status_text(status: Mapping[str, Any]) -> str:
    """A line for each thing."""
    rows = list(_flat(status))
    width = max((len(name) for name, _ in rows), default=0)
    return "".join([f"{name:<{width}}  {value}\n" for name, value in rows])


def status_view(status: Mapping[str, Any]) -> Table:
    found = Table(box=None, show_header=False)
    found.add_column(style="bold")
    found.add_column()
    for name, value in _flat(status):
        found.add_row(Text(name), Text(value))
    return found


def _flat(status: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in status.items():
        match value:
            case dict() if value and all(isinstance(inner, dict) for inner in value.values()):
                for key, inner in value.items():
                    yield f"{name} {key}", _words(inner)
            case _:
                yield name, _words(value, name)


TIMES_MS: Final = ("since", "partitioned_since", "wall_ms")
"""Of these the numbers are times."""


def _words(value: Json, name: str = "") -> str:
    match value:
        case int() if name in TIMES_MS:
            return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}"
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_words, value)) or "-"
        case dict():
            return ", ".join([f"{key} {_words(inner, key)}" for key, inner in value.items()]) or "-"
    return str(value)


HEADINGS = (
    "node",
    "address",
    "state",
    "epoch",
    "sees",
    "ranges with quorum",
    "hints",
    "open",
    "served",
    "failed",
)


def cluster_rows(told: Iterable[Told]) -> list[tuple[str, ...]]:
    """One row for each node, as `HEADINGS` name them."""
    rows: list[tuple[str, ...]] = []
    for address, status, error, name in told:
        if status is None:
            why = error.removeprefix(f"node at {address} ")
            rows.append((name, str(address), why, *[""] * (len(HEADINGS) - 3)))
            continue
        rows.append(
            (
                str(status["node"]),
                str(address),
                _state(status),
                str(status.get("epoch", "-")),
                _members(status.get("members", {})),
                str(status.get("ranges_with_quorum", "-")),
                _hints(status.get("hints")),
                str(status["requests_open"]),
                f"{status['requests_served']:,}",
                f"{status['requests_failed']:,}",
            )
        )
    return rows


SHOWN: Final = ("node", "address", "state", "sees", "quorum", "hints", "served", "failed")


def cluster_view(told: Iterable[Told]) -> RenderableType:
    """The same for 80 columns: states in a word each, and below what there is to say of them."""
    everyone = list(told)
    epochs = [one.status.get("epoch", 0) for one in everyone if one.status is not None]
    newest = max(epochs, default=0)
    found = table(*SHOWN, right=SHOWN[4:], title=f"epoch {newest}" if newest else None)
    notes: list[Text] = []
    for one in everyone:
        row, why = _brief(one, newest)
        style = "" if not why else "red" if one.status is None else "yellow"
        found.add_row(*map(Text, row), style=style)
        if why:
            who = str(one.address) if row[0] == "?" else row[0]
            notes.append(Text(f"{who} {why}", style=style))
    return Group(found, *notes)


def _brief(one: Told, newest: int) -> tuple[tuple[str, ...], str]:
    """What stands in the table, and what is to be said of it."""
    status = one.status
    if status is None:
        return (one.name, str(one.address), "silent"), one.error.removeprefix(f"node at {one.address} ")
    state = _state(status)
    states = [member["state"] for member in status.get("members", {}).values()]
    row = (
        str(status["node"]),
        str(one.address),
        "serves" if state == "serves" else _word(status),
        f"{states.count('alive')} of {len(states)}",
        _percent(str(status.get("ranges_with_quorum", "-"))),
        _hints(status.get("hints")),
        short(status["requests_served"]),
        short(status["requests_failed"]),
    )
    epoch = status.get("epoch", newest)
    why = [] if state == "serves" else [state]
    if epoch < newest:
        why.append(f"is still at epoch {epoch}")
    return row, ", and ".join(why)


def _word(status: Mapping[str, Any]) -> str:
    if unwell(status):
        return str(status.get("standing", "waits"))
    return "disk full" if status.get("disk_full") else "cut off"


def _percent(part: str) -> str:
    """75% for "3 of 4"; 100% is all."""
    some, of, whole = part.partition(" of ")
    return f"{100 * int(some) // int(whole)}%" if of and int(whole) else "-"


def short(count: int) -> str:
    """At most 6 characters, up to a million millions."""
    for limit, divisor, unit in ((10**4, 1, ""), (10**6, 10**3, "k"), (10**9, 10**6, "M")):
        if count < limit:
            return f"{count / divisor:,.{0 if divisor == 1 else 1}f}{unit}"
    return f"{count / 10**9:,.1f}G"


def rows_text(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Tab-separated, a heading first."""
    return "".join(["\t".join(row) + "\n" for row in (tuple(headings), *rows)])


def _state(status: Mapping[str, Any]) -> str:
    if unwell(status):
        return str(status.get("why_not") or unwell(status))
    if status.get("disk_full"):
        return "disk full: reads only"
    since_ms = status.get("partitioned_since")
    if since_ms:
        return f"misses others for {_length(max(0, int(time.time() - since_ms / 1000)))}"
    return "serves"


def _length(seconds: int) -> str:
    """In the unit that suits it, rounded down."""
    for limit, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds // 86_400} days"


def _hints(hints: Mapping[str, Any] | None) -> str:
    """How many writes are kept for others."""
    return "-" if hints is None else f"{sum(hints['held'].values()):,}"


def _members(members: Mapping[str, Any]) -> str:
    """How many in which state."""
    counts: dict[str, int] = {}
    for member in members.values():
        counts[member["state"]] = counts.get(member["state"], 0) + 1
    return ", ".join([f"{count} {state}" for state, count in counts.items()]) or "-"
