"""What a node sends suffers: messages come late, twice, out of order, one after the other, or not at all.

After tc's netem, with messages in the place of packets. A message that is spoilt is lost, as a checksum would
find it out; a rate holds for all that the node sends, by what the messages are long on the wire.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Final

from harness.cluster.base import Behaviour
from harness.sim.world import MS

BIT_NS: Final = 1_000_000
"""What a bit takes at 1 kbit/s."""


@dataclass(slots=True)
class Treated:
    """So many messages were sent; so many of them came not at all (`lost`, `spoilt`), `doubled`, or before
    others that were sent earlier and are delayed (`overtook`)."""

    sent: int = 0
    lost: int = 0
    spoilt: int = 0
    doubled: int = 0
    overtook: int = 0

    @classmethod
    def of(cls, parts: Iterable[Treated]) -> Treated:
        counts = [astuple(part) for part in parts]
        return cls(*map(sum, zip(*counts, strict=True))) if counts else cls()

    def __str__(self) -> str:
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        told = [f"{count} {name}" for name, count in counts.items() if count and name != "sent"]
        if not self.sent:
            return "no messages"
        return f"of {self.sent} messages {', '.join(told) or 'none suffered but by delay'}"


class Shaper:
    """For what one node sends. `treated` counts since it was made."""

    def __init__(self, behaviour: Behaviour, rng: random.Random) -> None:
        self.behaviour = behaviour
        self.treated = Treated()
        self._rng = rng
        self._busy_until = 0

    def copies(self, size_bytes: int, now: int) -> list[int]:
        """How late, in ns on top of its usual time, each copy of a message that is sent now comes."""
        behaviour, chance, treated = self.behaviour, self._rng.random, self.treated
        treated.sent += 1
        queued_ns = self._queued(size_bytes, now)
        if chance() < behaviour.loss:
            treated.lost += 1
            return []
        if chance() < behaviour.corrupt:
            treated.spoilt += 1
            return []
        late = [queued_ns + self._delay()]
        if chance() < behaviour.duplicate:
            treated.doubled += 1
            late.append(queued_ns + self._delay())
        return late

    def _queued(self, size_bytes: int, now: int) -> int:
        if not self.behaviour.rate_kbit:
            return 0
        takes_ns = 8 * size_bytes * BIT_NS // self.behaviour.rate_kbit
        self._busy_until = max(self._busy_until, now) + takes_ns
        return self._busy_until - now

    def _delay(self) -> int:
        if self._rng.random() < self.behaviour.reorder:
            self.treated.overtook += 1
            return 0
        return round(max(0.0, self._rng.gauss(self.behaviour.delay_ms, self.behaviour.jitter_ms)) * MS)
