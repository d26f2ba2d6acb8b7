"""Real node processes on loopback, for tests of what only a process shows."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def command(*arguments: str, limits: Sequence[str] = ()) -> list[str]:
    """How to run `kv`, with `limits` as prlimit's flags."""
    return [*(("prlimit", *limits) if limits else ()), sys.executable, "-m", "store", *arguments]


def kv(*arguments: str, limits: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command `kv` to its end."""
    return subprocess.run(
        command(*arguments, limits=limits), cwd=ROOT, capture_output=True, text=True, timeout=30
    )


class RealNode:
    """A process `kv node`, started by `start`."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = config.with_suffix(".log")
        self.ready: dict[str, str | int] = {}
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"{self.ready['host']}:{self.ready['port']}"

    def start(self, *flags: str, limits: Sequence[str] = ()) -> None:
        """Start it and wait until it serves."""
        words = command("node", "--config", str(self.config), *flags, limits=limits)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready = json.loads(line)

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        status = self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return status


@contextmanager
def real_nodes(directory: Path, count: int) -> Iterator[list[RealNode]]:
    """Nodes n1, n2, ... of the cluster "demo", started; killed at the end if they still run."""
    names = [f"n{number}" for number in range(1, count + 1)]
    ports = dict(zip(names, free_ports(count), strict=True))
    peers = ", ".join(f'{name} = "127.0.0.1:{port}"' for name, port in ports.items())
    nodes = []
    for name in names:
        config = directory / f"{name}.toml"
        config.write_text(
            f'name = "{name}"\ncluster = "demo"\nlisten = "127.0.0.1:{ports[name]}"\n'
            f'data = "{name}"\npeers = {{{peers}}}\n'
        )
        nodes.append(RealNode(config))
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            if node.process is not None and node.process.poll() is None:
                node.end(signal.SIGKILL)
