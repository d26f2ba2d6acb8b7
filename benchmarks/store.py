"""Three real node processes on loopback that sync to disk, and clients in this process: how much, how fast.

Clients share a few connections, as a busy program would: with one connection for each, this process and not
the nodes would be measured. All processes share the cores, so the figures are those of the whole machine.
"""

from __future__ import annotations

import random
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import trio
from rich.table import Table

from checkers.stats import quantile
from harness.cluster.process import NodeProcess
from store.client import Client

NODES: Final = ("n1", "n2", "n3")
CLUSTER: Final = "bench"
CONNECTIONS: Final = 6
KEYS: Final = 1000
VALUE: Final = b"x" * 100
WARM_UP_S: Final = 0.5
MEASURED_S: Final = 3.0
DISK: Final = Path("runs")
"""Below it, as for runs; the system's own directory for temporary files is often no disk at all."""

Ask = Callable[[Client, str, str], Awaitable[object]]
ASKED: Final[dict[str, Ask]] = {
    "put": lambda client, key, level: client.put(key, VALUE, level),
    "get": lambda client, key, level: client.get(key, level),
}


class Measured(NamedTuple):
    """`latencies_ms` in ascending order."""

    latencies_ms: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds


def table() -> Table:
    result = Table(
        title=f"Store: {len(NODES)} nodes, {len(NODES)} copies of each value of {len(VALUE)} bytes, synced",
        caption="ratio: to the rate at quorum",
    )
    for heading in ("asked", "clients", "level", "ops / s", "p50 ms", "p99 ms", "max ms", "ratio"):
        result.add_column(heading, justify="left" if heading in ("asked", "level") else "right")
    try:
        rows = trio.run(_measure_all)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None
    for asked, clients, level, measured, ratio in rows:
        ordered = measured.latencies_ms
        figures = (quantile(ordered, 0.5), quantile(ordered, 0.99), ordered[-1])
        result.add_row(
            asked,
            str(clients),
            level,
            f"{measured.per_second:,.0f}",
            *(f"{figure:.2f}" for figure in figures),
            "" if ratio is None else f"{ratio:.2f}",
        )
    return result


async def _measure_all() -> list[tuple[str, int, str, Measured, float | None]]:
    rows: list[tuple[str, int, str, Measured, float | None]] = []
    async with _nodes() as ports, _connections(ports) as connections:
        for clients in (1, 64):
            for asked, ask in ASKED.items():
                quorum = await _measure(connections, clients, ask, "quorum")
                linearizable = await _measure(connections, clients, ask, "linearizable")
                rows.append((asked, clients, "quorum", quorum, None))
                ratio = linearizable.per_second / quorum.per_second
                rows.append((asked, clients, "linearizable", linearizable, ratio))
    return rows


async def _measure(connections: list[Client], clients: int, ask: Ask, level: str) -> Measured:
    """`clients` that each ask for one thing after the other; what completed after the warm-up."""
    latencies_ms: list[float] = []
    clock = time.perf_counter

    async def one(number: int) -> None:
        draw = random.Random(number)
        connection = connections[number % len(connections)]
        while (before := clock()) < end:
            await ask(connection, f"k{draw.randrange(KEYS)}", level)
            if before >= start:
                latencies_ms.append((clock() - before) * 1000)

    start = clock() + WARM_UP_S
    end = start + MEASURED_S
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(one, number)
    return Measured(sorted(latencies_ms), clock() - start)


@asynccontextmanager
async def _nodes() -> AsyncIterator[list[int]]:
    """The ports of three nodes that serve and know each other; nothing is left of them afterwards."""
    DISK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as root:
        ports = _free_ports(len(NODES))
        configs = _configured(Path(root), ports)
        processes: list[NodeProcess] = []
        try:
            for config in configs:
                processes.append(NodeProcess(config.stem, config, config.with_suffix(".log")))
            for process in processes:
                await process.ready()
            yield ports
        finally:
            with trio.CancelScope(shield=True):
                for process in processes:
                    process.send(signal.SIGKILL)
                    await process.ended()
                    process.close()


@asynccontextmanager
async def _connections(ports: list[int]) -> AsyncIterator[list[Client]]:
    """Spread over the nodes, once these are connected to each other."""
    opened: list[Client] = []
    try:
        for number in range(CONNECTIONS):
            opened.append(await Client.open("127.0.0.1", ports[number % len(ports)], CLUSTER))
        for connection in opened:
            await connection.put("warm", VALUE, "all")
        yield opened
    finally:
        for connection in opened:
            await connection.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _configured(root: Path, ports: list[int]) -> list[Path]:
    """A configuration file for each node, named after it."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    peers = "".join(f'{node} = "{at}"\n' for node, at in zip(NODES, addresses, strict=True))
    configs = [root / f"{node}.toml" for node in NODES]
    for config, at in zip(configs, addresses, strict=True):
        node = config.stem
        settings = f'name = "{node}"\ncluster = "{CLUSTER}"\nlisten = "{at}"\ndata = "{node}"\n'
        config.write_text(f"{settings}[peers]\n{peers}", encoding="utf-8")
    return configs
