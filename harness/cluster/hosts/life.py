"""The life of a cluster on hosts: what comes before the first node is started, and after the last one."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from harness.cluster.base import ClusterError, NotSent, Session
from harness.cluster.hosts.addresses import Choice, choices, interfaces
from harness.cluster.hosts.ground import Ground
from harness.cluster.hosts.hand import Hand, sharing_a_kernel
from harness.cluster.hosts.processes import Processes
from harness.remote.connection import Connection
from harness.remote.errors import RemoteError
from harness.remote.host import Host
from harness.systems.base import Site, System

FIRST_START_LIMIT_S: Final = 90.0
"""For the first start of all nodes, and as long again until they serve: an emulated machine is slow."""
SETUP_LIMIT_S: Final = 600.0
"""For what a system does to its hosts before anything runs: it may fetch and unpack a lot, and an emulated
machine is slow."""
PROBE_S: Final = 2.0
"""How long an address is tried, to see whether it is reached from here."""
TEARDOWN_LIMIT_S: Final = 60.0
"""For ending a node and fetching its logs, and once more for what its system does then; what the hand undoes
has its own limit."""
LOG_BYTES: Final = 15 << 20
"""What is fetched of a log: its end."""

Preflight = Callable[[Mapping[str, Connection]], Awaitable[None]]
"""Looks at the hosts, by node, before anything is done to them; raises `ClusterError`."""


async def no_preflight(connections: Mapping[str, Connection]) -> None:
    pass


class Life(Processes):
    """Implements `Cluster`. A node has the name of its host."""

    def __init__(
        self,
        ground: Ground,
        nodes: Sequence[str],
        spares: int,
        system: System,
        *,
        silence_s: float,
        faults: Iterable[str] = (),
        preflight: Preflight = no_preflight,
    ) -> None:
        """`spares` is how many more hosts than `nodes` are taken; what they are called is known from `setup`
        on. `faults` are those that will be made, NAME or NAME:CHOICE."""
        self.name = ground.name
        self.nodes = tuple(nodes)
        self.spares = ()
        self.system = system
        self.sites = {}
        self.hands = {}
        self.shared_kernel = frozenset()
        self.faults = frozenset(fault.partition(":")[0] for fault in faults)
        self._ground = ground
        self._spare_count = spares
        self._hosts: dict[str, Host] = {}
        self._silence_s = silence_s
        self._preflight = preflight
        self._connections: dict[str, Connection] = {}
        self._logs = Path()
        self._failure = ""
        """Why it could not be set up."""
        self._watching = trio.CancelScope()
        self._unwatched = trio.Event()
        self._unwatched.set()
        super().__init__()

    async def setup(self, run_dir: Path) -> None:
        self._logs = run_dir / "nodes"
        try:
            await self._set_up()
        except ClusterError as error:
            self._failure = str(error)
            raise

    async def connect(self, node: str) -> Session:
        (wanted,) = self.named([node])
        if self._states[wanted] == "down":
            raise NotSent(f"{node} is down")
        return await self.system.connect(self.sites[wanted])

    def notes(self) -> list[str]:
        return [
            f"{node}: its SSH connection was lost {len(outages_s)}x, and replaced within "
            f"{max(outages_s):.1f} s, so nothing was undone"
            for node, hand in self.hands.items()
            if (outages_s := hand.outages_s)
        ]

    async def teardown(self) -> None:
        """Raises `ClusterError` if something may be left on a host, which `harness heal` then removes."""
        problems: list[str] = []
        with trio.CancelScope(shield=True):
            self._watching.cancel()
            await self._unwatched.wait()
            async with trio.open_nursery() as nursery:
                for node in list(self._connections):
                    nursery.start_soon(self._leave, node, problems)
            try:
                await trio.to_thread.run_sync(self._ground.leave)
            except ClusterError as error:
                problems.append(str(error))
        self._states = dict.fromkeys(self._states, "down")
        if problems:
            raise ClusterError("; ".join([*filter(None, [self._failure]), *problems]))

    # The beginning ---------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        try:
            os.makedirs(self._logs, exist_ok=True)
        except OSError as error:
            raise ClusterError(f"the node logs cannot go to {self._logs}: {error.strerror}") from None
        hosts = await trio.to_thread.run_sync(self._ground.hosts, self.nodes, self._spare_count)
        self._hosts = {host.name: host for host in hosts}
        everybody = tuple(self._hosts)
        self.spares = everybody[len(self.nodes) :]
        self._states = dict.fromkeys(everybody, "down")
        # Half of it, so that a hand which waits is still there when its connection is known to be lost.
        self._connections = {
            node: Connection(host, self._silence_s / 2) for node, host in self._hosts.items()
        }
        await self._preflight(self._connections)
        await for_each(everybody, lambda node: self._connections[node].connect())
        await for_each(everybody, self._start_hand)
        self.shared_kernel = sharing_a_kernel(self.hands)
        await self._make_sites()
        sites = tuple(self.sites.values())
        await self.prepare()
        await for_each(everybody, lambda node: self._set_up_system(node, sites))
        self._unwatched = trio.Event()
        self._watching = trio.CancelScope()
        # A system task, because it lives from one call to another.
        trio.lowlevel.spawn_system_task(self._watch)
        await self.bring_up(self.nodes, FIRST_START_LIMIT_S)
        if waiting := await self.until_serving(self.nodes, FIRST_START_LIMIT_S):
            raise ClusterError(f"nodes do not serve after {FIRST_START_LIMIT_S:g} s: {', '.join(waiting)}")

    async def _set_up_system(self, node: str, sites: Sequence[Site]) -> None:
        with self._limit(SETUP_LIMIT_S, node, "setup"):
            await self.system.setup(self.sites[node], sites)

    @contextmanager
    def _limit(self, limit_s: float, node: str, part: str) -> Iterator[None]:
        """On what is the system's own, and may hang."""
        try:
            with trio.fail_after(limit_s):
                yield
        except trio.TooSlowError:
            took = f"took more than {limit_s:g} s for its {part}"
            raise ClusterError(f"{node}: {self.system.name} {took}") from None

    async def _start_hand(self, node: str) -> None:
        hand = Hand(node, self._connections[node], self._silence_s)
        with trio.CancelScope(shield=True):  # broken off here, it would stay until its silence is over
            await hand.start()
        self.hands[node] = hand

    async def _make_sites(self) -> None:
        everybody = tuple(self._hosts)
        found = {node: await self.ask(node, "addresses", {}) for node in everybody}
        reached_at = {node: host.address for node, host in self._hosts.items()}
        own = {node: interfaces(answer["interfaces"]) for node, answer in found.items()}
        address = await self._reached(choices(own, reached_at))
        homes: dict[str, str] = {}

        async def make_home(node: str) -> None:
            homes[node] = (await self.ask(node, "home", {"node": node}))["path"]

        await for_each(everybody, make_home)
        self.sites = {
            node: Site(node, self._connections[node], address[node], homes[node], node in self.nodes)
            for node in everybody
        }

    async def _reached(self, candidates: Sequence[Choice]) -> Choice:
        """The first by which all nodes are reached from here, for here is where clients are."""
        unreached: list[str] = []
        for choice in candidates:
            silent: list[str] = []
            async with trio.open_nursery() as nursery:
                for node, address in choice.items():
                    nursery.start_soon(self._try_address, node, address, silent)
            if not silent:
                return choice
            unreached += silent
        raise ClusterError(f"from here nodes are not reached where their hosts are: {', '.join(unreached)}")

    async def _try_address(self, node: str, address: str, silent: list[str]) -> None:
        dial = partial(self._hosts[node].dial, address, self.system.port, PROBE_S)
        try:
            (await trio.to_thread.run_sync(dial)).close()
        except ConnectionRefusedError:
            pass
        except OSError as error:
            silent.append(f"{node} at {address} ({error.strerror or error})")

    # The end ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            with self._watching:
                await self.watch()
        finally:
            self._unwatched.set()

    async def _leave(self, node: str, problems: list[str]) -> None:
        """End what runs for a node, and undo all that was done to its host."""
        connection = self._connections.pop(node)
        hand = self.hands.pop(node, None)
        try:
            if hand is not None:
                with trio.move_on_after(TEARDOWN_LIMIT_S):
                    await self._end_node(node, hand, connection)
                await hand.aclose()
            if node in self.sites:
                with self._limit(TEARDOWN_LIMIT_S, node, "teardown"):
                    await self.system.teardown(self.sites[node])
        except ClusterError as error:
            problems.append(str(error))
        finally:
            await connection.aclose()

    async def _end_node(self, node: str, hand: Hand, connection: Connection) -> None:
        try:
            await hand.do("stop", {"node": node})
            await hand.do("kill", {"node": node})
        except ClusterError:  # ending the hand ends them, too, or says that it cannot
            return
        if node in self.sites:
            paths = self.system.logs(self.sites[node])
            for path in paths:
                name = f"{node}.log" if len(paths) == 1 else f"{node}-{path.rpartition('/')[2]}"
                await fetch_log(connection, path, self._logs / name)


async def fetch_log(connection: Connection, there: str, here: Path) -> None:
    """The end of a log, whoever may read it; instead of one that cannot be fetched, why."""
    try:
        said = (await connection.run(["tail", "-c", str(LOG_BYTES), "--", there], sudo=True)).stdout
    except RemoteError as error:
        said = f"{error}\n".encode()
    try:
        await trio.Path(here).write_bytes(said)
    except OSError:  # the run's directory is gone or full, which others tell of
        pass


async def for_each(nodes: Iterable[str], act: Callable[[str], Awaitable[object]]) -> None:
    """Do it for all of these at the same time. Raises `ClusterError` with a sentence for each that failed,
    after all are done."""
    errors: dict[str, str] = {}

    async def one(node: str) -> None:
        try:
            await act(node)
        except (ClusterError, RemoteError) as error:
            errors[node] = str(error)

    in_order = list(nodes)
    async with trio.open_nursery() as nursery:
        for node in in_order:
            nursery.start_soon(one, node)
    if errors:
        raise ClusterError("; ".join(errors[node] for node in in_order if node in errors))
