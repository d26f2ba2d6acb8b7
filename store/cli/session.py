"""A command that asks nodes: opened, run under its time limit, and whatever goes wrong in one sentence."""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from store import interrupt
from store.cli.arguments import nodes_of
from store.cli.output import EXIT_BAD_ARGUMENTS, EXIT_NO, Output
from store.client.errors import BadRequest, NotServed, StoreError
from store.client.operations import usual_level
from store.client.pool import Cluster
from store.config import Address
from store.core.ownership.layout import Placement
from store.net.security import PLAIN, Security, SecurityError, secret, tls


@dataclass(frozen=True, slots=True)
class Session:
    """`store` asks `nodes`, one after the other where that is safe."""

    store: Cluster
    nodes: list[Address]
    args: argparse.Namespace
    output: Output

    async def level(self, key: str) -> str:
        """As asked for; else what suits the bucket of `key`."""
        return (await self.levels([key]))[key]

    async def levels(self, keys: Sequence[str]) -> dict[str, str]:
        """For each key."""
        if self.args.level is not None:
            return dict.fromkeys(keys, str(self.args.level))
        place = None
        if any("/" in key for key in keys):
            place = Placement((await self.store.locate(self.args.timeout)).layout)
        return {key: usual_level(place, key) for key in keys}


Command = Callable[[Session], Awaitable[int]]


def run(command: Command, args: argparse.Namespace) -> int:
    """The exit status of the command."""
    output = Output(args.json)
    try:
        return interrupt.run(_run, command, args, output)
    except KeyboardInterrupt:
        return output.no("interrupted", "interrupted", False)


async def _run(command: Command, args: argparse.Namespace, output: Output) -> int:
    try:
        nodes = nodes_of(args)
        store = Cluster(nodes, args.cluster, security_of(args))
    except (ValueError, SecurityError) as error:
        return output.no(str(error), "bad-request", True, EXIT_BAD_ARGUMENTS)
    try:
        return await command(Session(store, nodes, args, output))
    except NotServed as error:
        bad = error.code == "bad-request"
        return output.no(str(error), error.code, error.definite, EXIT_BAD_ARGUMENTS if bad else EXIT_NO)
    except BadRequest as error:
        return output.no(str(error), "bad-request", True, EXIT_BAD_ARGUMENTS)
    except StoreError as error:
        return output.no(str(error), "not-sent" if error.definite else "lost", error.definite)
    finally:
        await store.close()


def security_of(args: argparse.Namespace) -> Security:
    """What `--tls`, `--secret` or the environment say; raises `SecurityError`."""
    certificates, shared = args.tls, args.secret
    if certificates is None and shared is None:
        certificates, shared = (
            Path(os.environ[name]) if os.environ.get(name) else None for name in ("KV_TLS", "KV_SECRET")
        )
    if certificates is not None:
        return tls(certificates / "client.pem", certificates / "client.key", certificates / "ca.pem")
    return PLAIN if shared is None else secret(shared)
