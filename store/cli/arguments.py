"""What the commands' arguments have in common: how they are read, and refused in one sentence."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from store.cli.output import EXIT_BAD_ARGUMENTS
from store.client.operations import LEVEL, MERGED, TIMEOUT_S
from store.config import Address, parse_address, parse_name
from store.core.data.levels import ALLOWED, NAMES, SLOPPY, LevelError, parse_level
from store.core.messages import REPLICATION_MAX

NODE_DEFAULT: Final = "127.0.0.1:7000"
CLUSTER_DEFAULT: Final = "demo"

T = TypeVar("T")
Subparsers = argparse._SubParsersAction


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_ARGUMENTS, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command(commands: Subparsers[Parser], name: str, help: str, epilog: str = "") -> Parser:
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="answer by one JSON document")


def add_cluster_options(parser: Parser, timeout_s: float = TIMEOUT_S) -> None:
    """Whom to ask, and how."""
    parser.add_argument(
        "--node",
        metavar="HOST:PORT",
        type=parsed(addresses),
        action="append",
        help="whom to ask; several (repeated, or with commas): the next one where that is safe "
        f"(default: $KV_NODE, or {NODE_DEFAULT})",
    )
    parser.add_argument(
        "--cluster",
        metavar="NAME",
        type=parsed(parse_name),
        default=os.environ.get("KV_CLUSTER", CLUSTER_DEFAULT),
        help=f"the name of the node's cluster (default: $KV_CLUSTER, or {CLUSTER_DEFAULT})",
    )
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument(
        "--tls",
        metavar="DIR",
        type=Path,
        help="where ca.pem, client.pem and client.key are (default: $KV_TLS, or no encryption)",
    )
    proof.add_argument(
        "--secret", metavar="FILE", type=Path, help="the cluster's shared secret (default: $KV_SECRET)"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=timeout_s, help=f"(default {timeout_s:g})"
    )
    add_json(parser)


def add_level(parser: Parser) -> None:
    levels = "; ".join(f"{level}: {meaning}" for level, meaning in NAMES.items())
    parser.add_argument(
        "--level",
        type=level,
        help=f"{levels}; or r=R,w=W; with {SLOPPY} other nodes stand in for replicas "
        f"(default {LEVEL}; {MERGED} for a key of a bucket that keeps siblings, counters, sets or maps)",
    )


def parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse`, whose `ValueError` becomes argparse's own sentence."""

    def parse_or_refuse(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_or_refuse


def addresses(text: str) -> list[Address]:
    return [parse_address(part) for part in text.split(",")]


def nodes_of(args: argparse.Namespace) -> list[Address]:
    """Whom to ask, in order; raises `ValueError` for what the environment says."""
    given: list[list[Address]] = args.node or [addresses(os.environ.get("KV_NODE", NODE_DEFAULT))]
    return [address for some in given for address in some]


def level(text: str) -> str:
    try:
        parse_level(text, REPLICATION_MAX)
    except LevelError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of: {ALLOWED}") from None
    return text


def seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.001 <= found <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed are 0.001 to 3600 seconds")
    return found


_UNITS_MS: Final[Mapping[str, int]] = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """`250ms`, `30s`, `5m`, `2h` or `7d`, in milliseconds."""
    found = re.fullmatch(r"([0-9]{1,12})(ms|s|m|h|d)", text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 250ms, 30s, 5m, 2h or 7d")
    return int(found[1]) * _UNITS_MS[found[2]]


def whole(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number
