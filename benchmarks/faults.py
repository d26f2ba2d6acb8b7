"""How long faults take on five hosts of a lab, applied and healed, with the evidence for both; and what comes
before and after: the lab, SSH, and the cluster. Real time, so an idle machine is wanted; Linux and root."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import trio
from rich.console import Group
from rich.table import Table
from rich.text import Text

from harness.cluster.base import Behaviour, ClusterError, Evidence, Lost, NotSent
from harness.cluster.hosts.cluster import HostCluster
from harness.lab import lab
from harness.lab.lab import Lab
from harness.lab.layout import LabError
from harness.remote.connection import Connection
from harness.systems.store import BundledStore
from nemesis.compose import FAULTS
from nemesis.grudge import complete
from store import interrupt
from store.core.messages import Put
from tests.support.ground import Given

NAME: Final = "benchmark"
NODES: Final = ("n1", "n2", "n3", "n4", "n5")
REPLICATION: Final = 3
SILENCE_S: Final = 60.0
LABS: Final = 3
CLUSTERS: Final = 3
COMMANDS: Final = 20
ROUNDS: Final = 5
TRAFFIC_S: Final = 0.5
"""What a fault does is partly seen by what it does to traffic, so there is some before it is healed."""

Act = Callable[[HostCluster], Awaitable[Evidence]]


class Measured(NamedTuple):
    """A fault and its healing; `heal` may be what starts the nodes again."""

    name: str
    apply: Act
    heal: Act


MEASURED: Final = (
    Measured("partition: halves", lambda c: c.cut(complete((NODES[:2], NODES[2:]))), lambda c: c.heal()),
    Measured("clients", lambda c: c.cut_clients(NODES), lambda c: c.heal_clients()),
    Measured("packets: delay", lambda c: c.shape(NODES, Behaviour(delay_ms=10)), lambda c: c.unshape()),
    Measured("packets: loss", lambda c: c.shape(NODES, Behaviour(loss=0.2)), lambda c: c.unshape()),
    Measured("packets: rate", lambda c: c.shape(NODES, Behaviour(rate_kbit=1000)), lambda c: c.unshape()),
    Measured("stress: cpu", lambda c: c.burn_cpu(NODES), lambda c: c.relax()),
    Measured("stress: memory", lambda c: c.hog_memory(NODES, 0.002), lambda c: c.relax()),
    Measured("pause", lambda c: c.pause(NODES), lambda c: c.resume(NODES)),
    Measured("disk: full", lambda c: c.fill(NODES), lambda c: c.mend_disks()),
    Measured("disk: slow", lambda c: c.slow(NODES), lambda c: c.mend_disks()),
    Measured("power", lambda c: c.power_off(NODES), lambda c: c.start(NODES)),
    Measured("files: flip", lambda c: c.flip(NODES, "LOG", 8, seed=1), lambda c: c.start(NODES)),
    Measured("kill", lambda c: c.kill(NODES), lambda c: c.start(NODES)),
    Measured("restart: graceful", lambda c: c.stop(NODES), lambda c: c.start(NODES)),
    Measured("clock", lambda c: c.bump(dict.fromkeys(NODES, 5000)), lambda c: c.reset()),
    Measured("strobe", lambda c: c.strobe(dict.fromkeys(NODES, 500), 20), lambda c: c.reset()),
    Measured("drift", lambda c: c.drift(dict.fromkeys(NODES, 10_000)), lambda c: c.reset()),
    Measured("membership: wipe", lambda c: c.wipe("n1"), lambda c: c.restore()),
    Measured("membership: leave", lambda c: c.leave("n5"), lambda c: c.restore()),
)


def tables() -> Group | Text:
    with tempfile.TemporaryDirectory() as runtime:
        try:
            return Group(_around(Path(runtime)), _faults(Path(runtime)))
        except LabError as error:
            return Text(f"faults are not measured here: {error}")


def _around(runtime: Path) -> Table:
    """The lab, SSH, and the cluster."""
    result = Table(title="Five hosts in a lab, ms (median)")
    for heading in ("what", "begin", "end"):
        result.add_column(heading, justify="left" if heading == "what" else "right")
    ups, downs = [], []
    for _ in range(LABS):
        began = time.perf_counter()
        lab.up(NAME, len(NODES), runtime)
        ups.append(_since(began))
        began = time.perf_counter()
        lab.down(NAME, runtime)
        downs.append(_since(began))
    result.add_row("the lab: up, down", _ms(ups), _ms(downs))
    made = lab.up(NAME, len(NODES), runtime)
    try:
        cold, warm = interrupt.run(_commands, made)
        result.add_row("a command by SSH: with its connection, without", _ms(cold), _ms(warm))
        for title, faults in {"no fault": (), "every fault": tuple(FAULTS)}.items():
            begins, ends = interrupt.run(_clusters, made, faults)
            result.add_row(f"a cluster, prepared for {title}: setup, teardown", _ms(begins), _ms(ends))
    finally:
        lab.down(NAME, runtime)
    return result


async def _commands(made: Lab) -> tuple[list[float], list[float]]:
    cold, warm = [], []
    for _ in range(COMMANDS):
        began = time.perf_counter()
        async with Connection(made.hosts[0]) as connection:
            await connection.run(["true"])
            cold.append(_since(began))
            began = time.perf_counter()
            await connection.run(["true"])
            warm.append(_since(began))
    return cold, warm


async def _clusters(made: Lab, faults: tuple[str, ...]) -> tuple[list[float], list[float]]:
    begins, ends = [], []
    for _ in range(CLUSTERS):
        cluster = _cluster(made, faults)
        try:
            began = time.perf_counter()
            await _set_up(cluster)
            begins.append(_since(began))
        finally:
            began = time.perf_counter()
            await cluster.teardown()
            ends.append(_since(began))
    return begins, ends


def _faults(runtime: Path) -> Table:
    result = Table(title=f"Faults on five hosts, evidence included, ms (median of {ROUNDS})")
    for heading in ("fault", "apply", "heal", "had an effect", "was healed"):
        result.add_column(heading, justify="left" if heading == "fault" else "right")
    made = lab.up(NAME, len(NODES), runtime)
    try:
        interrupt.run(_measure_all, made, result)
    finally:
        lab.down(NAME, runtime)
    return result


async def _measure_all(made: Lab, result: Table) -> None:
    cluster = _cluster(made, tuple(FAULTS))
    try:
        await _set_up(cluster)
        for measured in MEASURED:
            result.add_row(measured.name, *await _measure(cluster, measured))
    finally:
        await cluster.teardown()


async def _measure(cluster: HostCluster, measured: Measured) -> tuple[str, ...]:
    applied, healed = [], []
    bits = [0, 0]
    for _ in range(ROUNDS):
        try:
            began = time.perf_counter()
            evidence = await measured.apply(cluster)
            applied.append(_since(began))
        except ClusterError as error:
            await measured.heal(cluster)
            return ("-", "-", str(error), "")
        await _some_traffic(cluster)
        began = time.perf_counter()
        healing = await measured.heal(cluster)
        healed.append(_since(began))
        bits[0] += evidence.bit
        bits[1] += healing.bit
        await cluster.until_serving(NODES, TRAFFIC_S * 20)
    return (_ms(applied), _ms(healed), *(f"{bit} of {ROUNDS}" for bit in bits))


async def _some_traffic(cluster: HostCluster) -> None:
    """A write at every node, with whatever comes of it."""

    async def write(node: str) -> None:
        with suppress(NotSent, Lost):
            session = await cluster.connect(node)
            await session.request(Put(node, b"value", "all"), TRAFFIC_S)
            await session.close()

    with trio.move_on_after(TRAFFIC_S):
        async with trio.open_nursery() as nursery:
            for node in NODES:
                nursery.start_soon(write, node)


def _cluster(made: Lab, faults: tuple[str, ...]) -> HostCluster:
    ground = Given(made.hosts)
    return HostCluster(ground, NODES, 0, BundledStore(REPLICATION), silence_s=SILENCE_S, faults=faults)


async def _set_up(cluster: HostCluster) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await cluster.setup(Path(directory))


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _ms(taken: list[float]) -> str:
    return f"{median(taken):,.0f}"
