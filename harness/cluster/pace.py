"""How fast the nodes of a run do what they do by themselves: all of it within the minute that a run takes."""

from __future__ import annotations

from typing import Final

from store.core.options import MS, SECOND, Options

PACE: Final = Options(
    probe_nanos=200 * MS,
    compare_nanos=SECOND,
    scrub_nanos=20 * SECOND,
    tombstone_grace_nanos=20 * SECOND,
    hint_life_nanos=15 * SECOND,
)


def timing() -> list[str]:
    """The same, as lines of a node's configuration below `[timing]`."""
    return [
        f"probe_ms = {PACE.probe_nanos // MS}",
        f"compare_s = {PACE.compare_nanos // SECOND}",
        f"scrub_s = {PACE.scrub_nanos // SECOND}",
        f"tombstone_grace_s = {PACE.tombstone_grace_nanos // SECOND}",
        f"hint_life_s = {PACE.hint_life_nanos // SECOND}",
    ]
