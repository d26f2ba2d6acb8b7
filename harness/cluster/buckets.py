"""The buckets that every cluster begins with: one for each way of settling conflicts that is not the default,
named after it. A workload chooses one by its keys: `siblings/cart1`."""

from __future__ import annotations

from typing import Final

from store.core.messages import Bucket, Conflict

CONFLICTS: Final[tuple[Conflict, ...]] = ("siblings", "counter", "set", "map")


def buckets(replication: int) -> tuple[Bucket, ...]:
    """They keep as many copies as all other keys."""
    return tuple([Bucket(conflict, replication, conflict) for conflict in CONFLICTS])


def bucket_lines() -> list[str]:
    """The same, as tables of a node's configuration."""
    return [line for name in CONFLICTS for line in (f"[buckets.{name}]", f'conflict = "{name}"')]
