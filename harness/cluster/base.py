"""Seam 2: a cluster is nodes that can be talked to and, as far as it is able, broken.

Every cluster is a `Cluster`; what else it can do it says by having the methods of `Kill`, `Pause`,
`Partition` or `Clock` (ask with `isinstance`). Every method is a coroutine. Real clusters run them under
trio; the simulated one runs them in virtual time, where they await nothing but the simulated world.

A fault's methods answer with `Evidence`: what a probe, a counter or a measurement showed of it, not what
was asked for. Applying a fault that is already there, and healing one that is not, are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from store.core.messages import Body, Response

Grudge = Mapping[str, frozenset[str]]
"""For each node, the nodes whose messages do not reach it. Absent: it hears everybody."""

NodeState = Literal["up", "down", "paused"]


class ClusterError(Exception):
    """The cluster could not be brought up or driven: one sentence that names the node and the reason."""


class NotSent(Exception):
    """The request never left the client, so it certainly had no effect."""


class Lost(Exception):
    """The request was sent and nothing is known of it: the connection broke, or the time was up."""


class Evidence(Struct, frozen=True):
    """`bit`: the probe showed that the fault (or the healing) really took hold. `detail`: in words, with
    figures and the nodes concerned."""

    bit: bool
    detail: str


class Session(Protocol):
    """One client's connection to one node. Used by one worker, one request at a time."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        """The node's response, within `timeout_s`; raises `NotSent` or `Lost`. After `Lost` the session is
        of no further use, and is closed."""
        ...

    async def close(self) -> None: ...


class Cluster(Protocol):
    """`nodes` are names, in the order in which workers are dealt to them."""

    name: str
    nodes: tuple[str, ...]

    async def setup(self, run_dir: Path) -> None:
        """Start every node and wait until each serves; raises `ClusterError`. Logs go below `run_dir`."""
        ...

    async def connect(self, node: str) -> Session:
        """Raises `NotSent` when the node cannot be reached."""
        ...

    def states(self) -> dict[str, NodeState]:
        """What the cluster itself last did to each node, or saw of it; costs nothing."""
        ...

    def unexpected_deaths(self) -> list[str]:
        """The nodes that ended although nobody ended them, or that did not start again, a sentence each that
        says why."""
        ...

    async def teardown(self) -> None:
        """Leave nothing behind. Safe at any moment, also after a failed setup and twice."""
        ...


@runtime_checkable
class Kill(Protocol):
    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        """End the processes with no warning (SIGKILL): what was not synced may be lost."""
        ...

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        """Start the processes from what is on their disks, and wait until each serves."""
        ...


@runtime_checkable
class Pause(Protocol):
    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        """Freeze the processes (SIGSTOP); connections stay open."""
        ...

    async def resume(self, nodes: tuple[str, ...]) -> Evidence: ...


@runtime_checkable
class Partition(Protocol):
    async def cut(self, grudge: Grudge) -> Evidence:
        """From now on drop exactly the messages between nodes that `grudge` names (replacing what was cut
        before). Clients are not affected."""
        ...

    async def heal(self) -> Evidence:
        """Cut nothing. The evidence says how much was held back or dropped since the last `cut`."""
        ...


@runtime_checkable
class Clock(Protocol):
    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        """Jump the named nodes' wall clocks by so many milliseconds (either sign)."""
        ...

    async def reset(self) -> Evidence:
        """Set every wall clock right again."""
        ...
