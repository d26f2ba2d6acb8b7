"""Seam 2: a cluster is nodes that can be talked to and, as far as it is able, broken.

Every cluster is a `Cluster`; what else it can do it says by having the methods of `Kill`, `Pause`,
`Partition`, `Clock`, `Drift`, `Disk` or `Membership` (ask with `isinstance`). Every method is a coroutine.
Real clusters run them under trio; the simulated one runs them in virtual time, where they await nothing but
the simulated world.

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


@runtime_checkable
class Drift(Protocol):
    async def drift(self, rates_ppm: Mapping[str, int]) -> Evidence:
        """From now on the named nodes' wall clocks gain so many microseconds a second (either sign). `reset`
        of `Clock` ends it."""
        ...


@runtime_checkable
class Disk(Protocol):
    async def rot(self, nodes: tuple[str, ...]) -> Evidence:
        """Damage some of what lies on the disks of these nodes, of each key only one copy. Nothing undoes it
        but the system's own repair."""
        ...

    async def fill(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on there is no room on the disks of these nodes."""
        ...

    async def slow(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on what these nodes write takes many times as long."""
        ...

    async def mend_disks(self) -> Evidence:
        """There is room on every disk, and none is slow."""
        ...


@runtime_checkable
class Membership(Protocol):
    spares: tuple[str, ...]
    """Nodes that have no part at first."""

    async def join(self, node: str) -> Evidence:
        """Start `node`, if it does not run, with nothing of its own, and make it an owner."""
        ...

    async def leave(self, node: str) -> Evidence:
        """Let the others take over what `node` owns; it goes on running, with no part."""
        ...

    async def replace(self, node: str, by: str) -> Evidence:
        """End `node`, which does not come back, and give its part to the spare `by`."""
        ...

    async def wipe(self, node: str) -> Evidence:
        """End `node`, lose all that is on its disk, and start it again under its name."""
        ...

    async def restore(self, limit_s: float = ...) -> Evidence:
        """Make `nodes` the owners again, and no spare; raises `ClusterError` if it takes longer than
        `limit_s`."""
        ...
