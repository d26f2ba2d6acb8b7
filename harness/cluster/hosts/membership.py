"""Members that come and go, and who has which role."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from harness.cluster.base import ClusterError
from harness.cluster.hosts.life import Life
from harness.cluster.hosts.processes import START_LIMIT_S
from harness.cluster.members import Changeable, Members
from harness.systems.store import BundledStore


class Changing(Life, Changeable):
    """Implements `Roles`, and `Membership` where the system is the bundled store."""

    @property
    def role_names(self) -> tuple[str, ...]:
        return self.system.role_names

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        running = [node for node in self.sites if self._states[node] == "up"]
        return await self.system.roles(tuple(self.sites.values()), running)

    # What `Members` needs of a cluster ---------------------------------------------------------------

    async def begin(self, node: str, afresh: bool) -> None:
        if afresh:
            await self.end(node)
            await self.ask(node, "wipe", {"node": node, "directory": self.system.data(self.sites[node])})
        (named,) = self.named([node])
        if self._states[named] == "down":  # one that is frozen runs, though it answers nobody
            await self.bring_up((named,), START_LIMIT_S)

    async def end(self, node: str) -> None:
        await self.kill((node,))

    def running(self, node: str) -> bool:
        (named,) = self.named([node])
        return self._states[named] == "up"

    def address(self, node: str) -> str:
        (named,) = self.named([node])
        return f"{self.sites[named].address}:{self.system.port}"

    @property
    def members(self) -> Members:
        if not isinstance(self.system, BundledStore):
            raise ClusterError(f"nobody here knows how the system {self.system.name} changes its members")
        return Members(self, trio.current_time, trio.sleep)
