"""kill -9 of real node processes under load, again and again, and whether anything acknowledged is lost.

In each cycle clients read, write and cas a few registers at level `linearizable` and put keys of their own at
level `quorum`, while one node, a majority, or all nodes at once are killed and started again. The next cycle
takes other keys, so what an earlier one acknowledged has to outlast all later kills: at the end every key is
read again. The registers are judged by the linearizability checker, stale reads included; each put that was
acknowledged must still be there. (What the kernel has taken outlives the process: that it is also synced is
shown by tests/store/persistence/test_power.py.)

    python -m tests.crash_campaign --cycles 200 [--nodes 3 5] [--seed 0]

Prints a table; exit 1 if there was a surprise. The seed fixes who is killed and when, not the interleaving.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import trio
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from checkers.history import Op
from checkers.stats import quantile
from checkers.verdict import Status
from harness.client import perform
from harness.cluster.base import Lost, NotSent
from harness.cluster.local import LocalCluster
from harness.connection import Connection
from harness.plan import node_names
from store.core.messages import Done, Found, Get, Put, Response
from workloads.register import Register

REGISTERS: Final = 3
"""In use in each cycle."""
REGISTER_CLIENTS: Final = 5
PUT_CLIENTS: Final = 5
PAUSE_S: Final = 0.01
"""Of a client between two requests: the crashes are to be tested, not the machine."""
OP_TIMEOUT_S: Final = 2.0
CALM_S: Final = (0.2, 0.6)
DOWN_S: Final = (0.0, 0.3)
READ_AGAIN: Final = 16
"""Final reads at a time."""
FINAL_S: Final = 10.0
ANALYSIS_S: Final = 300.0
WHO: Final = ("one", "most", "all")
DISK: Final = Path("runs")
"""Below it, as for runs; the system's own directory for temporary files is often no disk at all."""


@dataclass
class Seen:
    """What the campaign has seen so far, and keeps for the end."""

    began: float = field(default_factory=time.monotonic)
    cycle: int = 0
    over: bool = False
    history: list[Op] = field(default_factory=list)
    puts: Counter[str] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    restarts_s: dict[str, list[float]] = field(default_factory=lambda: {who: [] for who in WHO})
    surprises: list[str] = field(default_factory=list)

    def record(self, op: Op) -> Op:
        op = replace(op, index=len(self.history), time=int((time.monotonic() - self.began) * 1e9))
        self.history.append(op)
        return op


class Campaign:
    def __init__(self, nodes: int, seed: int) -> None:
        self.seen = Seen()
        self._crashes = random.Random(seed)
        self._load = random.Random(seed)
        self._names = node_names(nodes)
        self._cluster = LocalCluster(self._names, min(3, nodes))
        self._codec = Register("linearizable", ANALYSIS_S)
        self._processes = count()
        self._values = count(1)

    async def run(self, cycles: int, directory: Path) -> Seen:
        """Leaves nothing behind but what is in `directory`."""
        try:
            await self._cluster.setup(directory)
            async with trio.open_nursery() as nursery:
                for _ in range(REGISTER_CLIENTS):
                    nursery.start_soon(self._use_registers)
                for number in range(PUT_CLIENTS):
                    nursery.start_soon(self._put_keys, number)
                for _ in range(cycles):
                    await self._kill_and_start()
                await trio.sleep(CALM_S[1])
                self.seen.over = True
            await self._read_all_again()
            self.seen.surprises += self._cluster.unexpected_deaths()
        finally:
            await self._cluster.teardown()
        self._judge()
        return self.seen

    # The crashes -------------------------------------------------------------------------------------

    async def _kill_and_start(self) -> None:
        await trio.sleep(self._crashes.uniform(*CALM_S))
        who = self._crashes.choice(WHO)
        many = {"one": 1, "most": len(self._names) // 2 + 1, "all": len(self._names)}[who]
        victims = tuple(self._crashes.sample(self._names, many))
        evidence = await self._cluster.kill(victims)
        if not evidence.bit:
            self.seen.surprises.append(f"cycle {self.seen.cycle}: not killed: {evidence.detail}")
        await trio.sleep(self._crashes.uniform(*DOWN_S))
        began = trio.current_time()
        await self._cluster.start(victims)
        self.seen.restarts_s[who].append(trio.current_time() - began)
        self.seen.kills[who] += many
        self.seen.cycle += 1

    # The load ----------------------------------------------------------------------------------------

    async def _use_registers(self) -> None:
        """A client thread: any node, and another after every doubt; the latest value seen makes cas succeed
        now and then."""
        process, connection = next(self._processes), self._connection()
        latest: dict[str, int] = {}
        while not self.seen.over:
            key = f"r/{self.seen.cycle}/{self._load.randrange(REGISTERS)}"
            f = self._load.choice(("read", "read", "write", "cas"))
            new = next(self._values)
            value = {"read": None, "write": new, "cas": [latest.get(key), new]}[f]
            op = await self._ask(connection, Op(process=process, f=f, key=key, value=value))
            held = op.value[1] if f == "cas" else op.value
            if op.type == "ok" and isinstance(held, int):
                latest = {key: held}
            if op.type == "info":
                process = next(self._processes)
            if connection.doubtful:
                await connection.close()
                connection = self._connection()
            await trio.sleep(PAUSE_S)
        await connection.close()

    async def _ask(self, connection: Connection, op: Op) -> Op:
        invoked = self.seen.record(op)
        return self.seen.record(await perform(self._codec, connection, invoked, OP_TIMEOUT_S))

    async def _put_keys(self, client: int) -> None:
        connection = self._connection()
        for number in count():
            if self.seen.over:
                break
            key = f"q/{client}/{number}"
            try:
                response = await connection.request(Put(key, key.encode(), "quorum"), OP_TIMEOUT_S)
            except NotSent:
                self.seen.puts["not sent"] += 1
            except Lost:
                self.seen.puts["unknown"] += 1
            else:
                done = isinstance(response, Done)
                self.seen.puts["acknowledged" if done else "not served"] += 1
                if done:
                    self.seen.acknowledged.append(key)
            if connection.doubtful:
                await connection.close()
                connection = self._connection()
            await trio.sleep(PAUSE_S)
        await connection.close()

    def _connection(self) -> Connection:
        return Connection(self._cluster, self._load.choice(self._names))

    # The end -----------------------------------------------------------------------------------------

    async def _read_all_again(self) -> None:
        keys = iter(self.seen.acknowledged)
        registers = iter(sorted({op.key for op in self.seen.history if op.key is not None}))

        async def read_some() -> None:
            connection = self._connection()
            for key in keys:
                found = await self._read_again(connection, key)
                if not isinstance(found, Found) or found.value != key.encode():
                    self.seen.surprises.append(f"{key}, which was acknowledged at quorum, reads as {found}")
            for key in registers:
                op = await self._ask(connection, Op(process=next(self._processes), f="read", key=key))
                if op.type != "ok":
                    self.seen.surprises.append(f"register {key} cannot be read at the end: {op.error}")
            await connection.close()

        async with trio.open_nursery() as nursery:
            for _ in range(READ_AGAIN):
                nursery.start_soon(read_some)

    async def _read_again(self, connection: Connection, key: str) -> Response:
        """All nodes are up, but a busy machine may not let one in at once."""
        end_s = trio.current_time() + FINAL_S
        while True:
            try:
                return await connection.request(Get(key, "quorum"), FINAL_S)
            except NotSent:
                if trio.current_time() > end_s:
                    raise
                await trio.sleep(PAUSE_S)

    def _judge(self) -> None:
        for checker in self._codec.checkers():
            verdict = checker.check(self.seen.history)
            if verdict.status is not Status.VALID:
                self.seen.surprises.append(f"linearizable is {verdict.status.value}: {verdict.summary}")
        for what, happened in (
            ("no put was acknowledged", self.seen.acknowledged),
            ("no register was written", any(op.type == "ok" and op.f == "write" for op in self.seen.history)),
        ):
            if not happened:
                self.seen.surprises.append(what)


def campaign(nodes: int, cycles: int, seed: int, directory: Path) -> Seen:
    """Run `cycles` on a cluster of `nodes`."""
    return trio.run(Campaign(nodes, seed).run, cycles, directory)


def tables(results: dict[int, Seen]) -> list[Table]:
    crashes = Table(title="kill -9 under load")
    for heading in ("nodes", "killed at once", "cycles", "kills", "restart s: p50", "max"):
        crashes.add_column(heading, justify="right")
    asked = Table(title="What was asked meanwhile, and is still there")
    for heading in ("nodes", "level", "acknowledged", "refused", "unknown", "surprises"):
        asked.add_column(heading, justify="right")
    for nodes, seen in results.items():
        for who in WHO:
            took = sorted(seen.restarts_s[who])
            if took:
                p50, most = f"{quantile(took, 0.5):.2f}", f"{took[-1]:.2f}"
                crashes.add_row(str(nodes), who, str(len(took)), str(seen.kills[who]), p50, most)
        ended = Counter(op.type for op in seen.history)
        registers = [f"{ended[kind]:,}" for kind in ("ok", "fail", "info")]
        refused = seen.puts["not sent"] + seen.puts["not served"]
        puts = [f"{number:,}" for number in (seen.puts["acknowledged"], refused, seen.puts["unknown"])]
        asked.add_row(str(nodes), "linearizable", *registers, str(len(seen.surprises)))
        asked.add_row("", "quorum (puts)", *puts, "")
    return [crashes, asked]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash_campaign")
    parser.add_argument("--cycles", type=int, default=200, help="in all, divided among the sizes of clusters")
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 5], help="sizes of clusters")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    results: dict[int, Seen] = {}
    DISK.mkdir(exist_ok=True)
    for place, nodes in enumerate(args.nodes):
        cycles = args.cycles // len(args.nodes) + (place < args.cycles % len(args.nodes))
        with tempfile.TemporaryDirectory(dir=DISK, prefix="crashes-") as directory:
            results[nodes] = campaign(nodes, cycles, args.seed + place, Path(directory))
    console = Console()
    for table in tables(results):
        console.print(table)
    surprises = [f"{nodes} nodes: {text}" for nodes, seen in results.items() for text in seen.surprises]
    for surprise in surprises:
        console.print(surprise, markup=False)
    cycles = sum(seen.cycle for seen in results.values())
    console.print(f"{cycles} cycles; {len(surprises)} surprises; seed {args.seed}")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
