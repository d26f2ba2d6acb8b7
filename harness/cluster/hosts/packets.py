"""What happens to packets between nodes: delayed, lost, doubled, overtaken, spoilt, slowed down.

They are lost where they arrive and all the rest happens where they leave. What is lost the rules count that
lose it; all else is measured by rounds: echoes to the other nodes and back, before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec

from harness.cluster.base import Behaviour, Evidence, LateMs
from harness.cluster.distances import evidence, links
from harness.cluster.hosts.base import Hosts, Value
from harness.hand.packets import burst_bytes
from harness.hand.probe import LIMIT_S
from harness.hand.serve import OPERATION_LIMIT_S

ECHOES: Final = 20
ECHO_BYTES: Final = 100
ECHO_BYTES_MAX: Final = 1400
"""What fits into one packet."""
HEADERS_BYTES: Final = 42
SEEN_MS: Final = 100
"""For how long echoes are to be held up by a limited rate: much longer than by a machine that is busy."""
QUIET_S: Final = 0.04
"""Where nothing is delayed: when nothing came for so long, nothing more will come."""


COUNTS: Final = ("answered", "twice", "overtaken", "spoilt")


class Rounds(NamedTuple):
    """What came of `sent` echoes between all nodes concerned; `round_ms` is the middle one of the medians,
    and `all_ms` the longest time until the last answer came from a peer. None: no answers."""

    sent: int
    answered: int
    twice: int
    overtaken: int
    spoilt: int
    round_ms: float | None
    all_ms: float

    def __str__(self) -> str:
        said = "no answer" if self.round_ms is None else f"a round takes {self.round_ms:.3g} ms"
        parts = [f"{said}, the last answer came after {self.all_ms:.3g} ms" if self.answered else said]
        parts.append(f"{self.answered} of {self.sent} answered")
        for name in COUNTS[1:]:
            if count := getattr(self, name):
                parts.append(f"{count} {name}")
        return ", ".join(parts)


def summed(answers: Iterable[Mapping[str, Value]], sent_each: int) -> Rounds:
    """Of what `rounds` of the hand says of each peer, by node."""
    links = [link for answer in answers for link in answer.values()]
    medians = sorted(link["round_ms"] for link in links if link["round_ms"] is not None)
    return Rounds(
        sent=len(links) * sent_each,
        **{name: sum(link[name] for link in links) for name in COUNTS},
        round_ms=medians[len(medians) // 2] if medians else None,
        all_ms=max((link["all_ms"] for link in links), default=0.0),
    )


def echo_bytes(behaviour: Behaviour, peers: int) -> int:
    """How long echoes to so many peers must be for a limited rate to hold them up for `SEEN_MS`."""
    if not behaviour.rate_kbit or not peers:
        return ECHO_BYTES
    wanted = burst_bytes(behaviour.rate_kbit) + behaviour.rate_kbit * SEEN_MS // 8
    return min(max(ECHO_BYTES, wanted // (ECHOES * peers) - HEADERS_BYTES), ECHO_BYTES_MAX)


def held_up_ms(behaviour: Behaviour, peers: int, size_bytes: int) -> float:
    """How long the last of such echoes takes to leave because of a limited rate."""
    if not behaviour.rate_kbit:
        return 0.0
    waiting = ECHOES * peers * (size_bytes + HEADERS_BYTES) - burst_bytes(behaviour.rate_kbit)
    return max(0.0, 8 * waiting / behaviour.rate_kbit)


def shows(behaviour: Behaviour, before: Rounds, after: Rounds, lost: int, held_ms: float) -> bool:
    """Every part of `behaviour`, if it has any, can be seen in what was measured. `lost`: what the rules that
    lose packets have counted; `held_ms`: for how long a limited rate should hold up the echoes. Packets that
    are spoilt are hardly ever answered, as somebody on their way finds a checksum wrong."""
    missing = after.sent - after.answered > before.sent - before.answered
    seen_ms = min(held_ms, 1000 * LIMIT_S) / 2
    shown = {
        "delay_ms": after.round_ms is not None
        and after.round_ms - (before.round_ms or 0) >= behaviour.delay_ms / 2,
        "loss": lost > 0,
        "duplicate": after.twice > before.twice,
        "reorder": after.overtaken > before.overtaken,
        "corrupt": missing or after.spoilt > 0,
        "rate_kbit": 0 < seen_ms <= after.all_ms - before.all_ms,
    }
    asked = [part for part in shown if getattr(behaviour, part)]
    return bool(asked) and all(shown[part] for part in asked)


class Shaping(Hosts):
    """Implements `Packets` and `Distances`."""

    _by_echoes: Counter[str]
    """What had been done to our own echoes when the present behaviour was measured."""

    async def prepare(self) -> None:
        await super().prepare()
        self._by_echoes = Counter()

    def addresses(self) -> dict[str, str]:
        """Where every node finds each, written as the kernel writes it."""
        return {node: str(ip_address(site.address)) for node, site in self.sites.items()}

    async def shape(self, nodes: tuple[str, ...], behaviour: Behaviour) -> Evidence:
        struck = self.named(nodes)
        await self.each("unshape", {node: {} for node in self.sites})
        peers = len(self.sites) - 1
        size_bytes = echo_bytes(behaviour, peers)
        before = await self._rounds(struck, size_bytes)
        told = msgspec.to_builtins(behaviour)
        leaving = bool(told.keys() - {"loss"})
        orders = {
            node: {
                "behaviour": told,
                "peers": self._peers(node) if leaving and node in struck else {},
                "losing": self._peers(node, struck) if behaviour.loss else {},
            }
            for node in self.sites
        }
        await self.each(
            "shape", {node: order for node, order in orders.items() if order["peers"] or order["losing"]}
        )
        held_ms = held_up_ms(behaviour, peers, size_bytes)
        ways = min(len(struck), 2)
        late_s = ways * (behaviour.delay_ms + 4 * behaviour.jitter_ms) / 1000
        after = await self._rounds(struck, size_bytes, held_ms / 1000, late_s)
        self._by_echoes = await self._treated("treated")
        return Evidence(
            bit=shows(behaviour, before, after, self._by_echoes["lost"], held_ms),
            detail=f"before: {before}; now: {after}",
        )

    async def unshape(self) -> Evidence:
        treated = await self._treated("unshape")
        treated.subtract(self._by_echoes)
        self._by_echoes = Counter()
        parts = []
        if treated["left"] > 0:
            parts.append(f"{treated['left']} packets left through our queues")
        if treated["came"] > 0:
            parts.append(f"{treated['lost']} of {treated['came']} packets were lost")
        if not parts:
            return Evidence(False, "nothing was done to packets of the system")
        now = await self._rounds(list(self.sites), ECHO_BYTES)
        bit = treated["left"] > 0 or treated["lost"] > 0
        return Evidence(bit, "; ".join([*parts, f"now: {now}"]))

    async def set_apart(self, late_ms: LateMs) -> Evidence:
        for source, targets in late_ms.items():
            self.named((source, *targets))
        addresses = self.addresses()
        await self.each("unshape", {node: {} for node in self.sites})
        owed = links(late_ms)
        orders: dict[str, Value] = {node: {"peers": {}} for node, _ in owed}
        for (source, target), late in owed.items():
            orders[source]["peers"][target] = {"address": addresses[target], "late_ms": late}
        await self.each("set-apart", orders)
        rounds_owed = {(a, b): late + owed.get((b, a), 0.0) for (a, b), late in owed.items()}
        late_s = max(rounds_owed.values(), default=0.0) / 1000
        answers = await self._echoed(orders, ECHO_BYTES, late_s=late_s)
        took_ms = {
            (node, peer): link["round_ms"]
            for node, answer in answers.items()
            for peer, link in answer["peers"].items()
            if link["round_ms"] is not None
        }
        self._by_echoes = await self._treated("treated")
        return evidence(rounds_owed, took_ms, "rounds")

    async def bring_together(self) -> Evidence:
        return await self.unshape()

    async def _treated(self, operation: str) -> Counter[str]:
        """What the hands say of the packets that were treated so far, over all nodes."""
        answers = await self.each(operation, {node: {} for node in self.sites})
        total: Counter[str] = Counter()
        for answer in answers.values():
            total.update(answer)
        return total

    def _peers(self, node: str, others: Iterable[str] | None = None) -> dict[str, str]:
        """The addresses of these nodes, by default of all, but for `node` itself."""
        wanted = self.sites.keys() if others is None else set(others)
        return {other: at for other, at in self.addresses().items() if other in wanted and other != node}

    async def _rounds(
        self, nodes: Iterable[str], size_bytes: int, held_s: float = 0.0, late_s: float = 0.0
    ) -> Rounds:
        answers = await self._echoed(nodes, size_bytes, held_s, late_s)
        return summed([answer["peers"] for answer in answers.values()], ECHOES)

    async def _echoed(
        self, nodes: Iterable[str], size_bytes: int, held_s: float = 0.0, late_s: float = 0.0
    ) -> dict[str, Value]:
        """What the hands say of each peer; echoes may be held up so long by a rate, and rounds be so late."""
        asked = {
            "count": ECHOES,
            "size_bytes": size_bytes,
            "quiet_s": QUIET_S + held_s + late_s,
            "limit_s": min(LIMIT_S + late_s, OPERATION_LIMIT_S / 2),
        }
        return await self.each("rounds", {node: {"peers": self._peers(node), **asked} for node in nodes})
