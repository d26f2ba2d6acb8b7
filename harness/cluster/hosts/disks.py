"""Disks of nodes that are full, slow or without power.

Where a run asks for a fault that needs it (`OWN_DISK`), a node's data directory is on a disk of its own, so
that filling it harms nobody else, and its power can fail without the host's.

A node that is started while its disk is full may end for want of room. That is no failure of the run: it is
started again when there is some.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

import trio

from harness.cluster.base import ClusterError, Evidence
from harness.cluster.hosts.base import Value
from harness.cluster.hosts.files import Damaging
from harness.cluster.hosts.processes import SERVE_LIMIT_S

OWN_DISK: Final = frozenset({"disk", "power"})
"""The faults for which it is made."""
DISK_BYTES: Final = 256 << 20
"""Of a node's own disk; the file below it is sparse."""
DELAY_MS: Final = 100
"""By which each sync takes longer on a slow disk."""


class Disks(Damaging):
    """Implements `Disk` and `Power`, and `Files` by what it inherits."""

    _slow: frozenset[str] = frozenset()
    _full: frozenset[str] = frozenset()
    _cramped: frozenset[str] = frozenset()
    """Those that were started while their disks were full."""
    _waiting: frozenset[str] = frozenset()
    """Those of them that ended."""

    async def before_start(self, nodes: Sequence[str]) -> None:
        await super().before_start(nodes)
        if self.faults & OWN_DISK:
            orders = {
                node: {"node": node, "data": self._data(node), "size_bytes": DISK_BYTES} for node in nodes
            }
            await self.each("disk-attach", orders)

    async def bring_up(self, nodes: Sequence[str], limit_s: float) -> None:
        self._cramped = (self._cramped - set(nodes)) | (self._full & set(nodes))
        await super().bring_up(nodes, limit_s)
        await self._slow_down([node for node in nodes if node in self._slow])

    def died(self, node: str, why: str) -> None:
        if node in self._cramped:
            self._waiting |= {node}
        else:
            super().died(node, why)

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        """Those whose disks are full come last, as they may be unable to, and each by itself."""
        down = [node for node in self.named(nodes) if self._states[node] == "down"]
        full = [node for node in down if node in self._full]
        others = tuple([node for node in down if node not in full])
        told = [await super().start(others)] if others or not full else []

        async def one(node: str) -> None:
            try:
                told.append(await super(Disks, self).start((node,)))
            except ClusterError as error:
                told.append(Evidence(False, f"the disk of {node} is full, and {error}"))

        async with trio.open_nursery() as nursery:
            for node in full:
                nursery.start_soon(one, node)
        return Evidence(all(each.bit for each in told), "; ".join(each.detail for each in told))

    # Disk ------------------------------------------------------------------------------------------

    async def fill(self, nodes: tuple[str, ...]) -> Evidence:
        self._full |= set(self.named(nodes))
        answers = await self.each("disk-fill", {node: {"node": node} for node in self.named(nodes)})
        parts = [
            f"{node} has {answer['free_bytes'][1]:,} bytes free of {answer['free_bytes'][0]:,}, and a write "
            + (f"fails with {answer['refused']}" if answer["refused"] else "succeeds")
            for node, answer in answers.items()
        ]
        bit = all(answer["refused"] == "ENOSPC" for answer in answers.values())
        return Evidence(bool(answers) and bit, "; ".join(parts))

    async def slow(self, nodes: tuple[str, ...]) -> Evidence:
        """It bites when a sync of a daemon was slow, which is seen when it is over."""
        self._slow |= set(self.named(nodes))
        answers = await self._slow_down(self.named(nodes))
        parts = [f"{node} {answer['before_ms']:.1f} ms" for node, answer in answers.items()]
        idle = [node for node, answer in answers.items() if not answer["traced"]]
        detail = f"syncs of daemons take {DELAY_MS} ms longer than until now: {'; '.join(parts)}"
        return Evidence(False, detail + (f"; do not run: {', '.join(idle)}" if idle else ""))

    async def mend_disks(self) -> Evidence:
        self._slow = frozenset()
        orders: dict[str, Value] = {node: {"node": node} for node in self.hands}
        answers = await self.each("disk-mend", orders)
        self._full = frozenset()
        well: list[bool] = []
        parts = []
        for node, answer in answers.items():
            if "free_bytes" in answer:
                well.append(answer["was_full"] and not answer["refused"])
                writes = f"fails with {answer['refused']}" if answer["refused"] else "succeeds"
                parts.append(f"{node} has {answer['free_bytes']:,} bytes free again, and a write {writes}")
            if took_ms := answer["took_ms"]:
                slowly = [ms for ms in took_ms if ms >= DELAY_MS]
                well += [True] if slowly else []
                parts.append(f"{len(slowly)} syncs of {node} took {median(took_ms):.0f} ms (median)")
            elif answer["traced"]:
                parts.append(f"{node} synced nothing")
        if began := await self._start_those_that_wait():
            parts.append(began)
        return Evidence(bool(well) and all(well), "; ".join(parts) or "no disk was full or slow")

    async def _start_those_that_wait(self) -> str:
        """What came of it; empty if nobody waits."""
        going = [node for node in self.named(self._cramped) if self._states[node] == "up"]
        for node in await self.until_serving(going, SERVE_LIMIT_S):
            await self._look(node)  # it may have come just too early
        waiting = [node for node in self.named(self._waiting) if self._states[node] == "down"]
        self._cramped = self._waiting = frozenset()
        return (await self.start(tuple(waiting))).detail if waiting else ""

    async def _slow_down(self, nodes: Sequence[str]) -> dict[str, Value]:
        orders = {node: {"node": node, "delay_ms": DELAY_MS, "beside": self._data(node)} for node in nodes}
        return await self.each("disk-slow", orders)

    # Power -----------------------------------------------------------------------------------------

    async def power_off(self, nodes: tuple[str, ...]) -> Evidence:
        """Those that did not run may have left something unsynced, too."""
        answers = await self._end("power-off", nodes)
        orders: dict[str, Value] = {node: {"node": node} for node in self.named(nodes) if node not in answers}
        answers |= await self.each("power-off", orders)
        parts = []
        for node in self.named(nodes):
            shorter = answers[node]["shorter"]
            lost = (
                f"{sum(shorter.values()):,} bytes at the ends of {len(shorter)} files"
                if shorter
                else "no bytes"
            )
            parts.append(f"{node} {lost}")
        failed = [
            node
            for node, answer in answers.items()
            if not (answer["kept"] and answer["lost"] and answer["ended"] == answer["struck"])
        ]
        seen = "what was written last is gone and what was synced is there"
        but = f", but not at {', '.join(failed)}" if failed else ""
        return Evidence(bool(answers) and not failed, f"{seen}{but}; lost: {'; '.join(parts)}")
