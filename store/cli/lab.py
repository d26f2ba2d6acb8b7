"""`kv cluster`: a cluster of several nodes on this machine, in one directory, to try things on."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import msgspec
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from store import interrupt
from store.cli import views
from store.cli.arguments import CLUSTER_DEFAULT, Parser, Subparsers, add_json, command, parsed, whole
from store.cli.output import EXIT_BAD_ARGUMENTS, EXIT_NO, Output
from store.cli.views import Told
from store.client.errors import StoreError
from store.client.pool import Cluster
from store.config import ConfigError, NodeConfig, load
from store.core.messages import REPLICATION_MAX, Conflict
from store.net import certs
from store.net.address import Address, parse_name
from store.net.handshake import SecurityError
from store.net.security import PLAIN, Security, secret, tls

NODES_MAX: Final = 50
PORT_DEFAULT: Final = 7000
HTTP_OFFSET: Final = 1000
"""A node's HTTP port is so far above its own."""
CLIENT: Final = "client"
CERTIFICATES: Final = "certs"
SECRET: Final = "secret"
READY_S: Final = 20.0
END_S: Final = 5.0
LOOK_EVERY_S: Final = 1.0


class BucketWish(NamedTuple):
    name: str
    n: int
    conflict: str


def init(args: argparse.Namespace) -> int:
    output = Output(args.json)
    names = [f"n{number}" for number in range(1, args.nodes + 1)]
    replication = args.replication or min(3, args.nodes)
    refused = _refused(args, replication)
    if refused:
        return output.no(refused, "bad-request", True, EXIT_BAD_ARGUMENTS)
    try:
        args.directory.mkdir(parents=True, exist_ok=True)
        if args.tls:
            certs.init(args.directory / CERTIFICATES, names, [CLIENT])
        if args.secret:
            (args.directory / SECRET).touch(mode=0o600, exist_ok=False)
            (args.directory / SECRET).write_text(secrets.token_hex(32) + "\n")
        ports = {name: args.port + number for number, name in enumerate(names)}
        for name in names:
            text = _config(args, name, ports, replication)
            (args.directory / f"{name}.toml").write_text(text, encoding="utf-8")
            load(args.directory / f"{name}.toml")
        (args.directory / "env").write_text(_environment(args, ports), encoding="utf-8")
    except (OSError, SecurityError, ConfigError) as error:
        return output.no(str(error), "bad-request", True)
    return _say_made(output, args, names)


def _refused(args: argparse.Namespace, replication: int) -> str:
    """Why such a cluster cannot be; empty: it can."""
    if replication > args.nodes:
        return f"--replication {replication} needs as many nodes, and there are {args.nodes}"
    for bucket in args.bucket:
        if bucket.n > args.nodes:
            return f"--bucket {bucket.name}: {bucket.n} copies need as many nodes, and there are {args.nodes}"
    if args.port + args.nodes + HTTP_OFFSET > 65_535:
        return f"--port {args.port} is too high for {args.nodes} nodes; the highest port is 65535"
    there = sorted(path.name for path in args.directory.glob("*.toml")) if args.directory.is_dir() else []
    if there:
        return f"{args.directory} has a cluster already ({', '.join(there)}); nothing is overwritten"
    return ""


def _config(args: argparse.Namespace, name: str, ports: dict[str, int], replication: int) -> str:
    lines = [
        f'name = "{name}"',
        f'cluster = "{args.cluster}"',
        f'listen = "127.0.0.1:{ports[name]}"',
        f'data = "{name}"',
        f"replication = {replication}",
    ]
    if args.http:
        lines.append(f'http = "127.0.0.1:{ports[name] + HTTP_OFFSET}"')
    if args.secret:
        lines.append(f'secret_file = "{SECRET}"')
    if args.tls:
        at = CERTIFICATES
        lines += ["[tls]", f'cert = "{at}/{name}.pem"', f'key = "{at}/{name}.key"', f'ca = "{at}/ca.pem"']
    lines += ["[peers]", *(f'{peer} = "127.0.0.1:{port}"' for peer, port in ports.items())]
    for bucket in args.bucket:
        lines += [f"[buckets.{bucket.name}]", f"n = {bucket.n}", f'conflict = "{bucket.conflict}"']
    return "\n".join(lines) + "\n"


def _environment(args: argparse.Namespace, ports: dict[str, int]) -> str:
    """For a shell: whom `kv` asks, and how."""
    addresses = ",".join([f"127.0.0.1:{port}" for port in ports.values()])
    lines = [f"export KV_NODE={addresses}", f"export KV_CLUSTER={args.cluster}"]
    if args.tls:
        lines.append(f"export KV_TLS={shlex.quote(str((args.directory / CERTIFICATES).resolve()))}")
    if args.secret:
        lines.append(f"export KV_SECRET={shlex.quote(str((args.directory / SECRET).resolve()))}")
    return "\n".join(lines) + "\n"


def _say_made(output: Output, args: argparse.Namespace, names: Sequence[str]) -> int:
    where = shlex.quote(str(args.directory))
    text = (
        f"{len(names)} nodes of cluster {args.cluster} are described in {args.directory}.\n"
        f"  kv cluster run {where}     starts them, and ends them at ctrl-C\n"
        f"  . {where}/env              in another shell, for 'kv status --all', 'kv put greeting hello' ...\n"
    )
    return output.answer({"directory": str(args.directory), "nodes": list(names)}, text)


# Running it ------------------------------------------------------------------------------------------


class _Child:
    """One node as a child process: it ends when this process does, however that ends."""

    def __init__(self, config: NodeConfig, path: Path) -> None:
        self.config = config
        self.log = path.with_suffix(".log")
        self.address = config.listen
        self.ready = False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "store", "node", "--config", str(path), "--die-with-parent"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    async def started(self) -> None:
        """Wait for the line in which it says that it serves, or for its end."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        line = b""
        with trio.move_on_after(READY_S):
            while not line.endswith(b"\n"):
                await trio.lowlevel.wait_readable(descriptor)
                piece = os.read(descriptor, 4096)
                if not piece:
                    return
                line += piece
            said = json.loads(line)
            self.address = Address(said["host"], said["port"])
            self.ready = True

    def told(self, status: dict[str, Any] | None, error: str) -> Told:
        ended = self.process.poll()
        if ended is not None:
            error = f"ended with status {ended}; see {self.log}"
        return Told(self.address, status if ended is None else None, error, self.config.name)

    async def end(self) -> None:
        self.process.terminate()
        deadline = trio.current_time() + END_S
        while self.process.poll() is None:
            if trio.current_time() > deadline:
                self.process.kill()
            await trio.sleep(0.02)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def run(args: argparse.Namespace) -> int:
    output = Output(args.json)
    try:
        paths = sorted(args.directory.glob("*.toml"), key=lambda path: (len(path.name), path.name))
        configs = [(load(path), path) for path in paths]
        if not configs:
            text = f"{args.directory} has no node's configuration; 'kv cluster init' makes them"
            return output.no(text, "bad-request", True, EXIT_BAD_ARGUMENTS)
        security = _security(args.directory)
    except (ConfigError, SecurityError) as error:
        return output.no(str(error), "bad-request", True, EXIT_BAD_ARGUMENTS)
    try:
        return interrupt.run(_run, configs, security, output)
    except KeyboardInterrupt:  # before the signals were ours
        return 0


def _security(directory: Path) -> Security:
    """As `init` left it."""
    at = directory / CERTIFICATES
    if at.is_dir():
        return tls(at / f"{CLIENT}.pem", at / f"{CLIENT}.key", at / "ca.pem")
    shared = directory / SECRET
    return secret(shared) if shared.exists() else PLAIN


async def _run(configs: list[tuple[NodeConfig, Path]], security: Security, output: Output) -> int:
    """0 if it was ended by a signal, 1 if all nodes ended by themselves."""
    children: list[_Child] = []
    store = Cluster([config.listen for config, _ in configs], configs[0][0].cluster, security)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            for config, path in configs:
                children.append(_Child(config, path))
        except OSError as error:
            await _end(children)
            return output.no(f"a node cannot be started: {error}", "not-sent", True)
        try:
            async with trio.open_nursery() as nursery:

                async def end_at_signal() -> None:
                    async for _ in signals:
                        nursery.cancel_scope.cancel()

                nursery.start_soon(end_at_signal)
                async with trio.open_nursery() as starting:
                    for child in children:
                        starting.start_soon(child.started)
                await _watch(children, store, output)
                nursery.cancel_scope.cancel()
                return EXIT_NO
        finally:
            await _end(children)
            await store.close()
    return 0


async def _end(children: list[_Child]) -> None:
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            for child in children:
                nursery.start_soon(child.end)


async def _watch(children: list[_Child], store: Cluster, output: Output) -> None:
    """Show how the nodes are until all have ended."""
    console = Console()
    if output.json or not console.is_terminal:
        await _watch_plainly(children, output)
        return
    since = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while any(child.process.poll() is None for child in children):
            told = [await _look(store, child) for child in children]
            up_s = int(time.monotonic() - since)
            note = Text(f"up {up_s // 60}:{up_s % 60:02}; ctrl-C ends all nodes", style="dim")
            live.update(Group(views.cluster_view(told), note), refresh=True)
            await trio.sleep(LOOK_EVERY_S)


async def _watch_plainly(children: list[_Child], output: Output) -> None:
    """A line when a node serves or ends; with --json, of JSON."""
    for child in children:
        if child.ready:
            _say(output, child, "serves", f"serves at {child.address}")
    running = list(children)
    while running:
        for child in [child for child in running if child.process.poll() is not None]:
            running.remove(child)
            _say(output, child, "ended", f"ended with status {child.process.returncode}; see {child.log}")
        await trio.sleep(0.1)


def _say(output: Output, child: _Child, event: str, text: str) -> None:
    name = child.config.name
    if output.json:
        document = {"node": name, "event": event, "address": str(child.address), "pid": child.process.pid}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        sys.stdout.write(f"{name} {text}\n")
    sys.stdout.flush()


async def _look(store: Cluster, child: _Child) -> Told:
    try:
        return child.told(await store.at(child.address).status(0.5), "")
    except StoreError as error:
        return child.told(None, str(error))


# Arguments -------------------------------------------------------------------------------------------


def add_commands(commands: Subparsers[Parser], epilog: str) -> None:
    group = command(commands, "cluster", "make and run a cluster on this machine", epilog)
    inner = group.add_subparsers(dest="part", required=True, metavar="COMMAND")
    making = command(inner, "init", "describe a cluster in a directory")
    making.set_defaults(at_once=init)
    making.add_argument("directory", metavar="DIR", type=Path)
    making.add_argument("--nodes", type=whole(1, NODES_MAX), default=3, help="(default 3)")
    making.add_argument(
        "--replication", type=whole(1, REPLICATION_MAX), help="copies of each key (default 3, or all nodes)"
    )
    making.add_argument(
        "--cluster", metavar="NAME", type=parsed(parse_name), default=CLUSTER_DEFAULT, help="(default demo)"
    )
    making.add_argument(
        "--port", type=whole(1, 65_535), default=PORT_DEFAULT, help="the first node's; the others follow"
    )
    making.add_argument("--http", action="store_true", help=f"serve HTTP, too, on ports {HTTP_OFFSET} higher")
    making.add_argument(
        "--bucket",
        metavar="NAME:N:CONFLICT",
        type=_bucket,
        action="append",
        default=[],
        help=f"keys NAME/... have N copies and are settled by: {', '.join(get_args(Conflict))}",
    )
    proof = making.add_mutually_exclusive_group()
    proof.add_argument("--tls", action="store_true", help="make certificates; all is encrypted")
    proof.add_argument("--secret", action="store_true", help="make a secret; strangers are turned away")
    add_json(making)
    running = command(inner, "run", "start all nodes of a directory, and end them at ctrl-C")
    running.set_defaults(at_once=run)
    running.add_argument("directory", metavar="DIR", type=Path)
    add_json(running)


def _bucket(text: str) -> BucketWish:
    name, _, rest = text.partition(":")
    n, _, conflict = rest.partition(":")
    try:
        parse_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not n.isdecimal() or not 1 <= int(n) <= REPLICATION_MAX or conflict not in get_args(Conflict):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no bucket; write NAME:N:CONFLICT, as carts:3:siblings "
            f"(of {', '.join(get_args(Conflict))})"
        )
    return BucketWish(name, int(n), conflict)
