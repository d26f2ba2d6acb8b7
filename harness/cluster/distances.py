"""Nodes that are far apart: how late what they send each other is to be, and whether it was seen to be so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.cluster.base import Evidence, LateMs

Link = tuple[str, str]

ENOUGH: Final = 0.95
"""Of what is asked for must be seen: clocks are read at other moments than timers."""


def links(late_ms: LateMs) -> dict[Link, float]:
    """Those that are late at all, by source and target."""
    return {
        (source, target): late
        for source, targets in late_ms.items()
        for target, late in targets.items()
        if late > 0
    }


def evidence(owed_ms: Mapping[Link, float], took_ms: Mapping[Link, float], measured: str) -> Evidence:
    """It bites if there is something to be late, and all of it was. `measured`: what was, "ways" or "rounds";
    what is not in `took_ms` did not come."""
    if not owed_ms:
        return Evidence(False, "nothing is late")
    told = []
    for link, owed in owed_ms.items():
        took = f"{took_ms[link]:.1f} ms" if link in took_ms else "nothing came"
        told.append(f"{link[0]}->{link[1]} {took} (of {owed:g})")
    bit = all(took_ms.get(link, 0.0) >= ENOUGH * owed for link, owed in owed_ms.items())
    return Evidence(bit, f"{measured}: {', '.join(told)}")
