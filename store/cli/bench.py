"""`kv bench`: puts a load on a cluster and prints how it took it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from store.bench import ASKS, Load, Tally, measure
from store.cli import views
from store.cli.arguments import Parser, Subparsers, add_cluster_options, command, level, seconds, whole
from store.cli.output import EXIT_NO
from store.cli.session import Session, security_of
from store.client.operations import LEVEL
from store.client.pool import open_cluster
from store.core.messages import VALUE_BYTES_MAX

HEADINGS = ("asked", "ops/s", "p50 ms", "p99 ms", "p999 ms", "max ms", "failed")


async def bench(session: Session) -> int:
    args = session.args
    load = Load(args.clients, args.seconds, args.level, args.mix, args.keys, args.value_bytes)
    async with open_cluster(session.nodes, args.cluster, args.timeout, security_of(args)) as store:
        await store.put("bench-0", b"x" * load.value_bytes, load.level, args.timeout)
        tallies = await measure([store], load)
    document = {
        "clients": load.clients,
        "level": load.level,
        "seconds": load.seconds,
        "keys": load.keys,
        "value_bytes": load.value_bytes,
        "asked": {name: summary(tally) for name, tally in tallies.items()},
    }
    rows = [_row(name, tally) for name, tally in tallies.items()]
    view = views.table(
        *HEADINGS,
        right=HEADINGS[1:],
        title=f"{load.clients} clients at {load.level}, values of {load.value_bytes} bytes, {load.keys} keys",
    )
    for row in rows:
        view.add_row(*map(Text, row))
    nothing = not any(tally.latencies_ms for tally in tallies.values())
    return session.output.answer(document, views.rows_text(HEADINGS, rows), view, EXIT_NO if nothing else 0)


def summary(tally: Tally) -> dict[str, Any]:
    """As JSON; times in ms, None where nothing was served."""
    return {
        "per_second": round(tally.per_second, 1),
        **{f"p{name}_ms": tally.quantile_ms(q) for name, q in (("50", 0.5), ("99", 0.99), ("999", 0.999))},
        "max_ms": tally.quantile_ms(1),
        "served": len(tally.latencies_ms),
        "failed": dict(tally.failures),
    }


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    times = [tally.quantile_ms(q) for q in (0.5, 0.99, 0.999, 1)]
    failed = ", ".join([f"{count} {why}" for why, count in tally.failures.most_common()])
    return (
        name,
        f"{tally.per_second:,.0f}",
        *("-" if time is None else f"{time:.2f}" for time in times),
        failed or "0",
    )


def add_commands(commands: Subparsers[Parser], epilog: str) -> None:
    parser = command(commands, "bench", "put a load on a cluster, and tell how it took it", epilog)
    parser.set_defaults(run=bench)
    parser.add_argument("--clients", type=whole(1, 10_000), default=16, help="(default 16)")
    parser.add_argument("--seconds", type=seconds, default=5.0, help="how long (default 5)")
    parser.add_argument(
        "--mix",
        metavar="ASKED:WEIGHT,...",
        type=_mix,
        default={"put": 50, "get": 50},
        help=f"what is asked, and how often: of {', '.join(ASKS)} (default put:50,get:50)",
    )
    parser.add_argument("--level", type=level, default=LEVEL, help=f"(default {LEVEL})")
    parser.add_argument("--keys", type=whole(1, 10_000_000), default=1000, help="(default 1000)")
    parser.add_argument("--value-bytes", type=whole(0, VALUE_BYTES_MAX), default=100, help="(default 100)")
    add_cluster_options(parser)


def _mix(text: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in ASKS or name in found or not re.fullmatch(r"[0-9]{1,6}", weight or "1"):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no mix; write for example put:20,get:80, of {', '.join(ASKS)}"
            )
        found[name] = int(weight or "1")
    if not sum(found.values()):
        raise argparse.ArgumentTypeError(f"{text!r} asks for nothing")
    return found
