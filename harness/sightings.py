"""What each node told of itself while a run went on: its clock, and whom it held for alive. `nodes.jsonl`.

A real node is asked its status about once a second, over a connection of its own. A simulated one is read
without a message, an event or a drawn number, so that a seed's history stays what it is. The history does not
tell any of this, and no verdict rests on it: it is there to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import IO, Any, Final, Literal

import msgspec
import trio
from msgspec import Struct

from harness.cluster.base import Cluster, NodeState
from harness.cluster.sim import SimCluster
from harness.connection import Connection
from store.core.messages import Report, Status

EVERY_S: Final = 1.0
SAMPLES_MAX: Final = 1000
"""Of each node, about; of a long run they are further apart."""
ASK_S: Final = 0.5

Told = dict[str, Any]
"""A node's status, values of JSON."""


class Sighting(Struct, frozen=True, omit_defaults=True):
    """`time_s`: since the start of the run. `state`: what the cluster knows, or `silent` if the node should
    have answered and did not. `clock_ms`: how far its wall clock is ahead of the harness' own, give or take
    `within_ms`. `members`: for each node that it knows of, what it holds it for. `epoch`: of its layout."""

    time_s: float
    node: str
    state: NodeState | Literal["silent"]
    clock_ms: float | None = None
    within_ms: float = 0.0
    members: dict[str, str] = {}
    epoch: int | None = None


class Sightings:
    """Appends to `path` what is seen. A file that cannot be written is given up in silence: the run matters
    more."""

    def __init__(self, path: Path, time_limit_s: float) -> None:
        self.every_s = max(EVERY_S, time_limit_s / SAMPLES_MAX)
        self._due_s = 0.0
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._file: IO[bytes] | None = None
        try:
            self._file = path.open("wb")
        except OSError:
            pass

    def look(self, cluster: SimCluster, now_s: float) -> None:
        """Read the simulated nodes, if it is time to."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + self.every_s
        states = cluster.states()
        for node in cluster.nodes:
            told = cluster.glance(node) if states[node] == "up" else None
            clock_ms = None if told is None else cluster.clock_ms(node)
            self._add(sighting(now_s, node, states[node], told, clock_ms))
        self._flush()

    async def ask(self, cluster: Cluster, elapsed_s: Callable[[], float]) -> None:
        """Ask the nodes of a real cluster, again and again, until cancelled."""
        asking = [_Asking(cluster, node, elapsed_s) for node in cluster.nodes]
        try:
            while True:
                next_at = trio.current_time() + self.every_s
                await self._round(cluster, asking)
                await trio.sleep_until(next_at)
        finally:
            with trio.CancelScope(shield=True):
                for one in asking:
                    await one.close()

    async def _round(self, cluster: Cluster, asking: Sequence[_Asking]) -> None:
        states = cluster.states()

        async def see(one: _Asking) -> None:
            self._add(await one.sight(states.get(one.node, "down")))

        async with trio.open_nursery() as nursery:
            for one in asking:
                nursery.start_soon(see, one)
        self._flush()

    def close(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            pass

    def _add(self, seen: Sighting) -> None:
        try:
            if self._file is not None:
                self._file.write(self._encode(seen) + b"\n")
        except OSError:
            self.close()

    def _flush(self) -> None:
        try:
            if self._file is not None:
                self._file.flush()
        except OSError:
            self.close()


class _Asking:
    def __init__(self, cluster: Cluster, node: str, elapsed_s: Callable[[], float]) -> None:
        self.node = node
        self._cluster = cluster
        self._elapsed_s = elapsed_s
        self._connection = Connection(cluster, node)
        self._wall_ms = time() * 1000 - elapsed_s() * 1000
        """What the harness' wall clock showed at the start of the run; later jumps of it are not followed."""

    async def sight(self, state: NodeState) -> Sighting:
        began_s = self._elapsed_s()
        if state != "up":
            return Sighting(_rounded(began_s), self.node, state)
        told: Told | None = None
        try:
            response = await self._connection.request(Status(), ASK_S)
            told = response.status if isinstance(response, Report) else None
        except Exception:
            pass  # whatever it is, the run must not end for it
        if self._connection.doubtful:
            await self._connection.close()
            self._connection = Connection(self._cluster, self.node)
        ended_s = self._elapsed_s()
        if told is None:
            return Sighting(_rounded(began_s), self.node, "silent")
        at_s = (began_s + ended_s) / 2
        wall_ms = told.get("wall_ms")
        clock_ms = wall_ms + 0.5 - self._wall_ms - at_s * 1000 if isinstance(wall_ms, int) else None
        return sighting(at_s, self.node, state, told, clock_ms, (ended_s - began_s) * 500 + 0.5)

    async def close(self) -> None:
        await self._connection.close()


def sighting(
    at_s: float,
    node: str,
    state: NodeState,
    told: Told | None,
    clock_ms: float | None,
    within_ms: float = 0.0,
) -> Sighting:
    """What a status says, as far as it says it."""
    members = told.get("members") if told else None
    epoch = told.get("epoch") if told else None
    return Sighting(
        _rounded(at_s),
        node,
        state,
        None if clock_ms is None else round(clock_ms, 3),
        round(within_ms, 3),
        {str(name): _state(member) for name, member in members.items()} if isinstance(members, dict) else {},
        epoch if isinstance(epoch, int) else None,
    )


def read(path: Path) -> list[Sighting]:
    """What was seen in a run; nothing if it was not recorded. A torn last line is left out."""
    decode = msgspec.json.Decoder(Sighting).decode
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    seen = []
    for line in lines:
        try:
            seen.append(decode(line))
        except msgspec.DecodeError:
            continue
    return seen


def _state(member: object) -> str:
    return str(member.get("state", "")) if isinstance(member, dict) else str(member)


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
