"""Hosts for a test's cluster: those that it has already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.remote.host import Host


class Given:
    """Implements `Ground`. `left` counts how often they were left."""

    name = "given"

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = tuple(hosts)
        self.left = 0

    def hosts(self, nodes: Sequence[str], spares: int) -> tuple[Host, ...]:
        wanted = self._hosts[: len(nodes) + spares]
        named = [replace(host, name=node) for node, host in zip(nodes, wanted, strict=False)]
        return (*named, *wanted[len(nodes) :])

    def leave(self) -> None:
        self.left += 1
