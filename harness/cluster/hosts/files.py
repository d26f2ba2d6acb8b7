"""Damage to the files of nodes, done by the hand while the node does not run.

What is told was read from the files again; of what became of it only the system's own repair can tell.
A node whose files were damaged may end by itself, at its start or later. That is no failure of the run; it is
started again, as whatever watches over daemons on a real host would do, and the evidence tells of it.
"""

from __future__ import annotations

from typing import Any

from harness.cluster.base import ClusterError, Evidence
from harness.cluster.hosts.base import Value
from harness.cluster.hosts.processes import Processes
from harness.draw import fork


class Damaging(Processes):
    """Implements `Files`."""

    _damaged: frozenset[str] = frozenset()
    """Nodes whose files are not what the system left, or were not once."""

    def unexpected_deaths(self) -> list[str]:
        return [why for node, why in self._deaths.items() if node not in self._damaged]

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        """A damaged node that ends at once is started again; and then, if the system allows it, without what
        it had."""
        damaged = self._damaged.intersection(nodes)
        ended = self._forgotten(damaged)
        anew: list[str] = []
        while True:
            failure = None
            try:
                started = await super().start(nodes)
            except ClusterError as error:
                failure = error
            for node in damaged:
                await self._look(node)
            failed = self._forgotten(damaged)
            last = anew or (ended.keys() & failed and not self.system.begins_anew)
            if failure is not None and (last or not failed):
                raise failure
            if last or not failed:
                return _told(started, ended | failed, anew)
            anew = sorted(ended.keys() & failed)
            ended |= failed
            await self.each("wipe", {node: {"node": node, "directory": self._data(node)} for node in anew})

    async def flip(self, nodes: tuple[str, ...], files: str, bits: int, seed: int) -> Evidence:
        answers = await self._damage("files-flip", nodes, seed, files=files, bits=bits)
        parts = [
            f"{node} {answer['bits']} of {answer['of_bytes'] * 8:,} bits in "
            + _names([f"{name} ({was} is {now})" for name, (was, now) in answer["struck"].items()])
            for node, answer in answers.items()
        ]
        bit = all(answer["bits"] > 0 for answer in answers.values())
        return Evidence(bool(answers) and bit, f"turned over: {'; '.join(parts)}")

    async def truncate(self, nodes: tuple[str, ...], files: str, bytes_lost: int) -> Evidence:
        answers = await self._damage("files-truncate", nodes, 0, files=files, bytes=bytes_lost)
        parts = [
            f"{node} {answer['size'][0] - answer['size'][1]:,} of {answer['size'][0]:,} bytes of "
            f"{answer['file']}, {answer['not_zero']:,} not zero"
            if answer
            else f"{node} nothing, as no file matches"
            for node, answer in answers.items()
        ]
        bit = all(bool(answer) for answer in answers.values())
        return Evidence(bool(answers) and bit, f"cut off: {'; '.join(parts)}")

    async def snapshot(self, nodes: tuple[str, ...]) -> Evidence:
        orders = {node: {"node": node, "data": self._data(node)} for node in self.named(nodes)}
        answers = await self.each("files-snapshot", orders)
        parts = [
            f"{node} {answer['files']} files, {answer['bytes']:,} bytes" for node, answer in answers.items()
        ]
        return Evidence(False, f"copied, nothing is harmed yet: {'; '.join(parts)}")

    async def roll_back(self, nodes: tuple[str, ...], files: str, fraction: float, seed: int) -> Evidence:
        answers = await self._damage("files-roll-back", nodes, seed, files=files, fraction=fraction)
        parts = [
            f"{node} {answer['chunks']} of {answer['changed']} changed chunks, {answer['bytes']:,} bytes"
            for node, answer in answers.items()
        ]
        bit = all(answer["bytes"] > 0 for answer in answers.values())
        return Evidence(bool(answers) and bit, f"as they were: {'; '.join(parts)}")

    async def restore_files(self, nodes: tuple[str, ...]) -> Evidence:
        answers = await self._damage("files-restore", nodes, 0)
        parts = [
            f"{node} {answer['written']} files put back, {answer['removed']} newer ones removed"
            for node, answer in answers.items()
        ]
        bit = all(answer["written"] + answer["removed"] > 0 for answer in answers.values())
        return Evidence(bool(answers) and bit, "; ".join(parts))

    async def _damage(self, what: str, nodes: tuple[str, ...], seed: int, **args: Any) -> dict[str, Value]:
        """End these nodes, and have it done to each, with a seed of its own."""
        self._damaged |= set(self.named(nodes))
        await self.kill(nodes)
        orders = {
            node: {"node": node, "data": self._data(node), "seed": fork(seed, node), **args}
            for node in self.named(nodes)
        }
        return await self.each(what, orders)

    def _forgotten(self, damaged: frozenset[str]) -> dict[str, str]:
        """Why those of them ended that did; it counts no more."""
        return {node: self._deaths.pop(node) for node in sorted(damaged) if node in self._deaths}

    def _data(self, node: str) -> str:
        return self.system.data(self.sites[node])


def _told(started: Evidence, ended: dict[str, str], anew: list[str]) -> Evidence:
    parts = [started.detail, *ended.values(), *(f"{node} began anew, with nothing" for node in anew)]
    return Evidence(started.bit, "; ".join(parts))


def _names(names: list[str]) -> str:
    """A few of them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "no file"
