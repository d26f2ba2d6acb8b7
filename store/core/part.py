"""A part of a node: one protocol that runs by itself beside the clients' requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Part(Protocol):
    """Made with a `Port`. `handlers` takes each kind of message that is its own, with the node that sent
    it."""

    handlers: dict[type, Callable[[str, Any], None]]

    def start(self) -> None:
        """The node runs: timers may be set, messages sent."""
        ...

    def status(self) -> dict[str, Any]:
        """Its share of what `kv status` shows: values of JSON."""
        ...
