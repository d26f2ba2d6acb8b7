"""What a node's parts remember for themselves (`Note`), read so that a damaged note is as none."""

from __future__ import annotations

from typing import Any

from store.core.journal import Journal
from store.core.machine import DamagedRecord
from store.core.messages import Note


def noted(journal: Journal, key: str) -> Any:
    """The content of the note under the storage key `key`; None: there is none, or it cannot be read. Only
    for what may be done again or found out anew."""
    try:
        held = journal.get(key)
    except DamagedRecord:
        return None
    return held.content if isinstance(held, Note) else None
