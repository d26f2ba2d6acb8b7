"""One run of a node's process, from its start to its death: the simulator's driver of the sans-IO core.

It takes one input at a time, and each keeps it busy for a while; what comes meanwhile queues up. Everything
here is volatile: a dead process is never revived, and events that still refer to it do nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from harness.sim.clock import WallClock
from harness.sim.disk import Disk
from harness.sim.network import Network
from harness.sim.world import World
from store.core.machine import (
    ClientGone,
    DamagedRecord,
    DiskFull,
    Effect,
    Happened,
    Input,
    Persist,
    Persisted,
    Reply,
    Send,
    SendTo,
    SetTimer,
    TimerFired,
)
from store.core.messages import Response


class Machine(Protocol):
    """The core of a node."""

    def step(self, event: Input, now: int, wall: int) -> list[Effect]: ...


@runtime_checkable
class Telling(Protocol):
    """A machine that tells of itself."""

    def status(self) -> dict[str, Any]: ...


class Connection(Protocol):
    """The client's end of a connection."""

    def answer(self, response: Response) -> None: ...

    def reset(self) -> bool:
        """The process is gone; true if a request was waiting for its answer."""
        ...


class Process:
    """`service_ns` is how long each input keeps it busy; `log` takes what the machine tells of itself;
    `on_damage` is called instead of going on when the machine cannot do without a damaged record."""

    def __init__(
        self,
        world: World,
        name: str,
        machine: Machine,
        network: Network,
        disk: Disk,
        clock: WallClock,
        service_ns: int,
        log: Callable[[str], None],
        on_damage: Callable[[DamagedRecord], None],
    ) -> None:
        self.paused = False
        self._world = world
        self._name = name
        self._machine = machine
        self._network = network
        self._disk = disk
        self._clock = clock
        self._service_ns = service_ns
        self._log = log
        self._on_damage = on_damage
        self._dead = False
        self._busy_until = world.now
        self._inbox: deque[Input] = deque()
        self._draining = False
        self._connections: dict[int, Connection] = {}

    def status(self) -> dict[str, Any] | None:
        """What the machine tells of itself, read without an input."""
        return self._machine.status() if isinstance(self._machine, Telling) else None

    def connect(self, client: int, connection: Connection) -> None:
        self._connections[client] = connection

    def disconnect(self, client: int) -> None:
        if self._connections.pop(client, None) is not None:
            self.feed(ClientGone(client))

    def feed(self, event: Input) -> None:
        """Give the process an input; it handles it as soon as it can, in the order in which it came."""
        if self._dead:
            return
        if self._inbox or self.paused or self._world.now < self._busy_until:
            self._inbox.append(event)
            self._drain_later()
        else:
            self._handle(event)

    def pause(self) -> None:
        """Freeze it: it takes no input, its timers are late, and it begins no commit (SIGSTOP)."""
        self.paused = True

    def resume(self) -> int:
        """Let it go on; how many inputs have been held back."""
        self.paused = False
        self._drain_later()
        return len(self._inbox)

    def kill(self) -> int:
        """End it; how many requests are broken by that."""
        self._dead = True
        self._inbox.clear()
        connections, self._connections = self._connections, {}
        return sum([connection.reset() for connection in connections.values()])

    def _drain_later(self) -> None:
        if self._inbox and not self._draining and not self.paused:
            self._draining = True
            self._world.at(self._busy_until, self._drain)

    def _drain(self) -> None:
        self._draining = False
        if self._dead or self.paused:
            return
        self._handle(self._inbox.popleft())
        self._drain_later()

    def _handle(self, event: Input) -> None:
        world = self._world
        now = world.now
        self._busy_until = now + self._service_ns
        try:
            effects = self._machine.step(event, now, self._clock.read(now))
        except DamagedRecord as damage:
            self._on_damage(damage)
            return
        except Exception as error:
            error.add_note(f"node {self._name} failed at {now} ns of virtual time, handling {event!r}")
            raise
        persists = False
        for effect in effects:
            if isinstance(effect, Send):
                self._network.send(self._name, effect.peer, effect.message)
            elif isinstance(effect, Persist):
                self._disk.persist(effect)
                persists = True
            elif isinstance(effect, SetTimer):
                world.at(effect.at, self.feed, TimerFired(effect.token))
            elif isinstance(effect, Reply):
                self._reply(effect)
            elif isinstance(effect, SendTo):
                self._network.send(self._name, effect.address, effect.message)
            elif isinstance(effect, Happened):
                self._log(f"{effect.kind} {effect.fields}")
        if persists or isinstance(event, Persisted | DiskFull):
            self._disk.commit(self._committed, self._room)

    def _committed(self, token: int) -> None:
        self.feed(Persisted(token))

    def _room(self, full: bool) -> None:
        self.feed(DiskFull(full))

    def _reply(self, effect: Reply) -> None:
        connection = self._connections.get(effect.client)
        if connection is not None:
            self._world.at(
                self._world.now + self._network.client_delay_ns(), connection.answer, effect.response
            )
