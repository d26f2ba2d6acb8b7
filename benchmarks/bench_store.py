"""Three real node processes on loopback that sync to disk, and clients in this process: how much, how fast;
and the same of etcd, where that is installed.

Ours is asked through the client that programs use, which finds each key's owner and shares a few connections
to each node; etcd through as many HTTP connections as there are clients, by its leader, which is the fastest
way to ask it: by a client as lean as ours, and where `wrk` is installed also by that, which leaves more of
the machine to etcd. All processes share the cores, so the figures are those of the whole machine.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import trio
from rich.table import Table

from benchmarks import etcd
from benchmarks.etcd import Figures
from harness.cluster.process import NodeProcess
from store import interrupt
from store.bench import Load, Tally, measure
from store.client import Cluster, open_cluster

NODES: Final = ("n1", "n2", "n3")
CLUSTER: Final = "bench"
CLIENTS: Final = (1, 64)
ASKED: Final = ("put", "get")
LEVELS: Final = ("linearizable", "quorum")
SECONDS: Final = 4.0
KEYS: Final = 1000
VALUE_BYTES: Final = 100
DISK: Final = Path("runs")
"""Below it, as for runs; the system's own directory for temporary files is often no disk at all."""


class Row(NamedTuple):
    """`of`: a level of ours, or etcd."""

    asked: str
    clients: int
    of: str
    figures: Figures


def table() -> Table:
    installed = etcd.installed()
    rows = interrupt.run(_measure_all, installed)
    beside = f"etcd {etcd.version(installed)}" if installed else "etcd is not installed, so not compared with"
    return _shown(rows, f"values of {VALUE_BYTES} bytes, synced to disk; {beside}")


def _shown(rows: list[Row], what: str) -> Table:
    result = Table(title=f"Store: 3 nodes, 3 copies, {what}", caption="ratio: to the best rate of etcd")
    headings = ("asked", "clients", "of", "ops / s", "p50 ms", "p99 ms", "max ms", "ratio")
    for heading in headings:
        result.add_column(heading, justify="left" if heading in ("asked", "of") else "right", no_wrap=True)
    theirs: dict[tuple[str, int], float] = {}
    for asked, clients, of, figures in rows:
        if of not in LEVELS:
            theirs[asked, clients] = max(theirs.get((asked, clients), 0.0), figures.per_second)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        rate, *times = row.figures
        base = theirs.get(row[:2])
        result.add_row(
            row.asked,
            str(row.clients),
            row.of,
            f"{rate:,.0f}",
            *(f"{time:.2f}" for time in times),
            f"{rate / base:.2f}" if base else "",
            end_section=following is None or following[:2] != row[:2],
        )
    return result


async def _measure_all(installed: str | None) -> list[Row]:
    """First ours, then etcd, so that neither disturbs the other; in the order of the table."""
    rows: list[Row] = []
    DISK.mkdir(exist_ok=True)
    async with _nodes() as ports, _connected(ports) as store:
        for clients, asked, level in _cases():
            load = Load(clients, SECONDS, level, {asked: 1}, KEYS, VALUE_BYTES)
            rows.append(Row(asked, clients, level, _figures((await measure([store], load))[asked])))
    if installed is not None:
        rows += await _measure_etcd(installed)
    order = [(clients, asked) for clients, asked, _ in _cases()]
    return sorted(rows, key=lambda row: order.index((row.clients, row.asked)))


async def _measure_etcd(installed: str) -> list[Row]:
    rows: list[Row] = []
    wrk = shutil.which("wrk")
    async with etcd.running(installed, DISK, _free_ports(6)) as endpoints:
        leader = endpoints.ports[0]
        for clients, asked in itertools.product(CLIENTS, ASKED):
            gates = [await etcd.Gateway.open(leader) for _ in range(clients)]
            load = Load(clients, SECONDS, LEVELS[0], {asked: 1}, KEYS, VALUE_BYTES)
            rows.append(Row(asked, clients, "etcd", _figures((await measure(gates, load))[asked])))
            for gate in gates:
                await gate.close()
            if wrk is not None:
                ask = partial(etcd.by_wrk, wrk, leader, clients, SECONDS, asked, KEYS, VALUE_BYTES)
                rows.append(Row(asked, clients, "etcd, by wrk", await trio.to_thread.run_sync(ask)))
    return rows


def _figures(tally: Tally) -> Figures:
    """Raises RuntimeError if anything failed: such figures would mean nothing."""
    times = [tally.quantile_ms(q) for q in (0.5, 0.99, 1)]
    if tally.failures or None in times:
        raise RuntimeError(f"not everything was served: {dict(tally.failures)}")
    return Figures(tally.per_second, *[time for time in times if time is not None])


def _cases() -> list[tuple[int, str, str]]:
    return [(clients, asked, level) for clients in CLIENTS for asked in ASKED for level in LEVELS]


@asynccontextmanager
async def _nodes() -> AsyncIterator[list[int]]:
    """The ports of three nodes that serve; nothing is left of them afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as root:
        ports = _free_ports(len(NODES))
        processes: list[NodeProcess] = []
        try:
            for config in _configured(Path(root), ports):
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
async def _connected(ports: list[int]) -> AsyncIterator[Cluster]:
    """Once the nodes are connected to each other."""
    async with open_cluster([f"127.0.0.1:{port}" for port in ports], CLUSTER) as store:
        for level in ("all", "linearizable"):
            for number in range(20):
                await store.put(f"warm-{number}", b"x", level, 20)
        yield store


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
