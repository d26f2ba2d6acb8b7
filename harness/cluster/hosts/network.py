"""Partitions: between nodes, and between clients and nodes.

What is cut is seen by probes: every node calls every other one while all listen, so each direction is seen by
itself. A cut bit when no call came through it and the rule that drops it counted some. Healing bit when more
was dropped than our own calls, and calls come through again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Final, NamedTuple

import trio

from harness.cluster.base import Evidence, Grudge
from harness.cluster.hosts.base import Value
from harness.cluster.hosts.packets import Shaping

SILENT_S: Final = 0.08
"""How long a node must not answer a client that knocks to count as cut off."""
ANSWER_S: Final = 1.0
"""How long it may take to do so, if only to refuse it, afterwards."""


class Link(NamedTuple):
    source: str
    target: str


class Network(Shaping):
    """Implements `Partition` and `ClientPartition`, and `Packets` by what it inherits."""

    _by_calls: dict[Link, int]
    """What each link that is cut had dropped when its cut was probed."""
    _without_clients: list[str]
    _by_knocks: int
    """What those had dropped when their cut was probed."""

    async def prepare(self) -> None:
        await super().prepare()
        self._by_calls, self._without_clients, self._by_knocks = {}, [], 0

    # Partition -------------------------------------------------------------------------------------

    async def cut(self, grudge: Grudge) -> Evidence:
        links = {Link(source, target) for target in grudge for source in grudge[target]}
        self.named([node for link in links for node in link])
        token = token_hex(8)
        await self.each(
            "cut",
            {
                node: self._ear(node, token) | {"peers": self._peers(node, grudge.get(node, ()))}
                for node in self.sites
            },
        )
        came, dropped = await self._call(token, links)
        self._by_calls = {link: dropped.get(link, 0) for link in links}
        silent = [link for link in links if link not in came and self._by_calls[link]]
        open_links = self._links() - links
        return Evidence(
            bit=bool(links) and len(silent) == len(links),
            detail=f"{len(links)} links cut; {len(silent)} of them dropped all probes; "
            f"probes passed over {len(came - links)} of the {len(open_links)} others",
        )

    async def heal(self) -> Evidence:
        token = token_hex(8)
        nobody: Value = {"peers": {}}
        answers = await self.each("cut", {node: self._ear(node, token) | nobody for node in self.sites})
        dropped = self._by_link(answers)
        if not dropped:
            return Evidence(False, "nothing was cut")
        came, _ = await self._call(token, set())
        by_calls, self._by_calls = self._by_calls, {}
        others = {link: dropped[link] - by_calls.get(link, 0) for link in dropped}
        biting = sum(count > 0 for count in others.values())
        passing = [link for link in dropped if link in came]
        return Evidence(
            bit=biting > 0 and len(passing) == len(dropped),
            detail=f"{biting} of {len(dropped)} cut links dropped {sum(others.values())} packets; "
            f"probes pass over {len(passing)} of them again",
        )

    async def _call(self, token: str, cut: set[Link]) -> tuple[set[Link], dict[Link, int]]:
        """Let all call all: which links that came through, and what each link's rule has dropped so far."""
        callers = {node: {"token": token, "name": node, "peers": self._peers(node)} for node in self.sites}
        await self.each("call", callers)
        wanted = {
            node: {"wanted": [link.source for link in self._links() - cut if link.target == node]}
            for node in self.sites
        }
        answers = await self.each("heard", wanted)
        came = {Link(source, node) for node, answer in answers.items() for source in answer["heard"]}
        return came, self._by_link(answers)

    def _by_link(self, answers: Mapping[str, Value]) -> dict[Link, int]:
        names = {address: node for node, address in self.addresses().items()}
        return {
            Link(names[address], node): count
            for node, answer in answers.items()
            for address, count in answer["dropped"].items()
            if address in names
        }

    def _links(self) -> set[Link]:
        return {Link(source, target) for source in self.sites for target in self.sites if source != target}

    def _ear(self, node: str, token: str) -> Value:
        return {"token": token, "address": self.addresses()[node]}

    # ClientPartition -------------------------------------------------------------------------------

    async def cut_clients(self, nodes: tuple[str, ...]) -> Evidence:
        struck = self.named(nodes)
        everybody = list(self.addresses().values())
        await self.each("heal-clients", {node: {} for node in self.sites if node not in struck})
        await self.each(
            "cut-clients", {node: {"port": self.system.port, "nodes": everybody} for node in struck}
        )
        self._without_clients = struck
        answering = await self._knock(struck, SILENT_S)
        counts = await self.each("clients-dropped", {node: {} for node in struck})
        self._by_knocks = sum(answer["dropped"] for answer in counts.values())
        silent = [node for node in struck if node not in answering and counts[node]["dropped"]]
        return Evidence(
            bit=bool(struck) and silent == struck,
            detail=f"drop what a client sends, and do not answer: {', '.join(silent) or 'none'}",
        )

    async def heal_clients(self) -> Evidence:
        answers = await self.each("heal-clients", {node: {} for node in self.sites})
        cut, self._without_clients = self._without_clients, []
        if not cut:
            return Evidence(False, "no clients were cut off")
        dropped = sum(answer["dropped"] for answer in answers.values()) - self._by_knocks
        answering = await self._knock(cut, ANSWER_S)
        return Evidence(
            bit=dropped > 0 and len(answering) == len(cut),
            detail=f"{dropped} packets of clients and to them were dropped; "
            f"answer again: {', '.join(answering) or 'none'}",
        )

    async def _knock(self, nodes: list[str], within_s: float) -> list[str]:
        """Which of the nodes answer a client: by accepting its connection, or by refusing it."""
        answering = set()

        async def knock(node: str) -> None:
            site = self.sites[node]
            dial = partial(site.host.host.dial, site.address, self.system.port, within_s)
            with suppress(OSError):
                try:
                    sock = await trio.to_thread.run_sync(dial)
                    sock.close()
                except ConnectionRefusedError:
                    pass
                answering.add(node)

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(knock, node)
        return [node for node in nodes if node in answering]
