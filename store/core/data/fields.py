"""Maps whose fields are last-write-wins registers. A removed field stays as a tombstone in the map."""

from __future__ import annotations

from collections.abc import Mapping

from store.core.messages import Fields, Stamp

_Cell = tuple[Stamp, bytes | None]


def merge(a: Fields, b: Fields) -> Fields:
    """Of each field, the newest. `a` itself if `b` adds nothing."""
    if a.entries == b.entries:
        return a
    cells: dict[str, _Cell] = {field: (stamp, value) for field, stamp, value in a.entries}
    for field, stamp, value in b.entries:
        held = cells.get(field)
        if held is None or _rank(held) < _rank((stamp, value)):
            cells[field] = stamp, value
    entries = tuple([(field, *cells[field]) for field in sorted(cells)])
    return a if entries == a.entries else Fields(entries)


def change(fields: Mapping[str, bytes | None], stamp: Stamp) -> Fields:
    """All set at once; None removes one."""
    return Fields(tuple([(field, stamp, fields[field]) for field in sorted(fields)]))


def values(fields: Fields) -> dict[str, bytes]:
    return {field: value for field, _, value in fields.entries if value is not None}


def _rank(cell: _Cell) -> tuple[Stamp, bool, bytes]:
    """Of twins with one stamp (which no clock of ours gives), a removal wins, then the greater value."""
    stamp, value = cell
    return stamp, value is None, value or b""
