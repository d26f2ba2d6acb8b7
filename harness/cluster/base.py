"""Seam 2: a cluster is nodes that can be talked to and, as far as it is able, broken.

Every cluster is a `Cluster`; what else it can do it says by having the methods of `Kill`, `Stop`, `Pause`,
`Partition`, `ClientPartition`, `Packets`, `Distances`, `Clock`, `Strobe`, `Drift`, `Disk`, `Rot`, `Files`,
`Power`, `Stress`, `Membership` or `Roles` (ask with `isinstance`). Every method is a coroutine.
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

LateMs = Mapping[str, Mapping[str, float]]
"""For each node, by how much what it sends to others is late, each by its name."""

NodeState = Literal["up", "down", "paused"]


class ClusterError(Exception):
    """The cluster could not be brought up or driven: one sentence that names the node and the reason."""


class NotSent(Exception):
    """The request never left the client, so it certainly had no effect."""


class Lost(Exception):
    """The request was sent and nothing is known of it: the connection broke, or the time was up."""


class Evidence(Struct, frozen=True, omit_defaults=True):
    """`bit`: the probe showed that the fault (or the healing) really took hold. `detail`: in words, with
    figures and the nodes concerned. `begun`: False if nothing at all was done, so that what is found at the
    healing is no evidence of it."""

    bit: bool
    detail: str
    begun: bool = True


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
class Noting(Protocol):
    def notes(self) -> list[str]:
        """What a reader of the run should know of it, although it did no harm; a sentence each."""
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
class Stop(Protocol):
    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        """Ask the processes to end (SIGTERM), and wait until they have; `start` of `Kill` starts them."""
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
class ClientPartition(Protocol):
    async def cut_clients(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on drop what clients and exactly these nodes send each other; nodes hear each other."""
        ...

    async def heal_clients(self) -> Evidence: ...


class Behaviour(Struct, frozen=True, omit_defaults=True):
    """What happens to packets on their way; each field's default is that nothing does. Fractions are 0..1.

    `reorder` is the fraction that overtakes those that are delayed, so it needs a `delay_ms`; `jitter_ms` is
    the deviation of the delay."""

    delay_ms: float = 0
    jitter_ms: float = 0
    loss: float = 0
    duplicate: float = 0
    reorder: float = 0
    corrupt: float = 0
    rate_kbit: int = 0
    """0: as fast as it goes."""

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        for name in ("delay_ms", "jitter_ms", "rate_kbit"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("jitter_ms", "reorder"):
            if getattr(self, name) and not self.delay_ms:
                raise ValueError(f"{name} needs a delay_ms")


@runtime_checkable
class Packets(Protocol):
    async def shape(self, nodes: tuple[str, ...], behaviour: Behaviour) -> Evidence:
        """From now on what these nodes send to other nodes behaves so, and nothing else does (replacing what
        was before). Raises `ClusterError` for what a node's system cannot do."""
        ...

    async def unshape(self) -> Evidence:
        """Packets pass as usual. The evidence says what was seen since the last `shape`."""
        ...


@runtime_checkable
class Distances(Protocol):
    async def set_apart(self, late_ms: LateMs) -> Evidence:
        """From now on what nodes send each other takes so much longer, as if they were that far apart; what
        is not named does not (replacing what was before, and any `shape`, as that replaces this). It bites if
        all that was named was seen to be late. Raises `ClusterError` for what a node's system cannot do."""
        ...

    async def bring_together(self) -> Evidence: ...


@runtime_checkable
class Clock(Protocol):
    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        """Jump the named nodes' wall clocks by so many milliseconds (either sign)."""
        ...

    async def reset(self) -> Evidence:
        """Set every wall clock right again."""
        ...


@runtime_checkable
class Strobe(Protocol):
    async def strobe(self, deltas_ms: Mapping[str, int], period_ms: int) -> Evidence:
        """From now on the named nodes' wall clocks jump so far forth and, `period_ms` later, back, and so on.
        `reset` of `Clock` ends it."""
        ...


@runtime_checkable
class Drift(Protocol):
    async def drift(self, rates_ppm: Mapping[str, int]) -> Evidence:
        """From now on the named nodes' wall clocks gain so many microseconds a second (either sign). `reset`
        of `Clock` ends it."""
        ...


@runtime_checkable
class Disk(Protocol):
    async def fill(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on there is no room on the disks of these nodes."""
        ...

    async def slow(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on what these nodes sync takes many times as long."""
        ...

    async def mend_disks(self) -> Evidence:
        """There is room on every disk, and none is slow."""
        ...


@runtime_checkable
class Rot(Protocol):
    async def rot(self, nodes: tuple[str, ...]) -> Evidence:
        """Damage some of the records on the disks of these nodes, of each key only one copy. Nothing undoes
        it but the system's own repair."""
        ...

    async def survey(self) -> Evidence:
        """How much of that damage is left on any node."""
        ...


@runtime_checkable
class Files(Protocol):
    """Damage to the files of a node. All but `snapshot` first end its process (SIGKILL), as a running one
    would hardly see it; `start` of `Kill` starts it again. Nothing undoes it but the system's own repair.
    `files` is a pattern as in a shell, of names or of paths below the data directory."""

    async def flip(self, nodes: tuple[str, ...], files: str, bits: int, seed: int) -> Evidence:
        """Turn over so many bits of those files of each."""
        ...

    async def truncate(self, nodes: tuple[str, ...], files: str, bytes_lost: int) -> Evidence:
        """Cut so many bytes off the end of the one of those files that was last written to."""
        ...

    async def snapshot(self, nodes: tuple[str, ...]) -> Evidence:
        """Copy what each keeps, while it runs. It bites nobody yet."""
        ...

    async def roll_back(self, nodes: tuple[str, ...], files: str, fraction: float, seed: int) -> Evidence:
        """Of the chunks that have changed since `snapshot`, put that fraction back to what they were."""
        ...

    async def restore_files(self, nodes: tuple[str, ...]) -> Evidence:
        """Make all that each keeps what it was at `snapshot`, as one does with a backup."""
        ...


@runtime_checkable
class Power(Protocol):
    async def power_off(self, nodes: tuple[str, ...]) -> Evidence:
        """End the processes, and lose what they wrote and did not sync. `start` of `Kill` starts them."""
        ...


@runtime_checkable
class Stress(Protocol):
    async def burn_cpu(self, nodes: tuple[str, ...]) -> Evidence:
        """From now on as many processes as there are processors compete with these nodes' own."""
        ...

    async def hog_memory(self, nodes: tuple[str, ...], fraction: float) -> Evidence:
        """From now on that fraction of the memory that is available is in use."""
        ...

    async def relax(self) -> Evidence: ...


@runtime_checkable
class Roles(Protocol):
    role_names: tuple[str, ...]
    """The roles that there are."""

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        """Which nodes have which part now, by the name of the role; raises `ClusterError` if nobody knows."""
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
