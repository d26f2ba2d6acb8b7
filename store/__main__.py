"""The command `kv`: run a node of the store, or ask one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import trio

from store.channel import plain_reason
from store.client import LEVEL, TIMEOUT_S, BadRequest, Client, NotServed, StoreError, connect
from store.config import EXAMPLE, ConfigError, load, parse_address, parse_name
from store.core.levels import ALLOWED, NAMES, LevelError, parse_level
from store.process import serve

EXIT_NO: Final = 1
EXIT_BAD_ARGUMENTS: Final = 254
REPLICATION_MAX: Final = 999

EXAMPLES: Final = """\
examples:
  kv node --config n1.toml
  kv put greeting hello
  kv get greeting --level one --node 127.0.0.1:7001
  kv cas greeting hello "good bye"
  kv cas lock --absent mine
  kv delete greeting --level quorum
  kv status

exit status: 0 done; 1 not found, something else held, or not served; 74 the node's data cannot be read or
written; 254 bad arguments or configuration
"""

T = TypeVar("T")
Command = Callable[[Client, argparse.Namespace], Awaitable[int]]


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_ARGUMENTS, f"{self.prog}: {message} (see {self.prog} --help)\n")


async def get(client: Client, args: argparse.Namespace) -> int:
    value = await client.get(args.key, args.level, args.timeout)
    if value is None:
        return _no(f"{args.key!r} has no value")
    return _answer(value)


async def put(client: Client, args: argparse.Namespace) -> int:
    await client.put(args.key, os.fsencode(args.value), args.level, args.timeout)
    return 0


async def cas(client: Client, args: argparse.Namespace) -> int:
    *expect, value = map(os.fsencode, args.values)
    await client.cas(args.key, None if args.absent else expect[0], value, args.level, args.timeout)
    return 0


async def delete(client: Client, args: argparse.Namespace) -> int:
    await client.delete(args.key, args.level, args.timeout)
    return 0


async def status(client: Client, args: argparse.Namespace) -> int:
    report = await client.status(args.timeout)
    width = max(map(len, report), default=0)
    lines = [
        f"{name:<{width}}  {', '.join(value) if isinstance(value, list) else value}\n"
        for name, value in report.items()
    ]
    return _answer("".join(lines).encode())


def main(argv: list[str] | None = None) -> int:
    """Run `kv`; the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command == "node":
        return _node(args)
    if args.command == "cas" and len(args.values) != (1 if args.absent else 2):
        parser.error("cas takes KEY EXPECT VALUE, or KEY --absent VALUE")
    try:
        return _run(args)
    except NotServed as error:
        return _no(str(error), EXIT_BAD_ARGUMENTS if error.code == "bad-request" else EXIT_NO)
    except BadRequest as error:
        return _no(str(error), EXIT_BAD_ARGUMENTS)
    except StoreError as error:
        return _no(str(error))


def _run(args: argparse.Namespace) -> int:
    status = EXIT_NO
    try:
        status = trio.run(_ask, args)
    except* KeyboardInterrupt:  # in a group, or by itself
        _no("interrupted")
    return status


async def _ask(args: argparse.Namespace) -> int:
    async with connect(args.node.host, args.node.port, args.cluster, args.timeout) as client:
        run: Command = args.run
        return await run(client, args)


def _node(args: argparse.Namespace) -> int:
    try:
        config = load(args.config)
    except ConfigError as error:
        return _no(str(error), EXIT_BAD_ARGUMENTS)
    return serve(config, args.die_with_parent)


def _answer(data: bytes) -> int:
    """Print what was asked for, as it is but for a line's end on a terminal; the exit status."""
    if sys.stdout is None:
        return _no("the answer cannot be written: stdout is closed")
    if sys.stdout.isatty() and not data.endswith(b"\n"):
        data += b"\n"
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries again
        return _no(f"the answer cannot be written: {plain_reason(error)}")
    return 0


def _no(sentence: str, code: int = EXIT_NO) -> int:
    print(f"kv: {sentence}", file=sys.stderr)
    return code


# Arguments -------------------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser(
        prog="kv",
        description="Run a node of the store, or ask one.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    node = commands.add_parser(
        "node",
        help="run a node until SIGTERM or ctrl-C",
        description="Run a node until SIGTERM or ctrl-C. It writes one line of JSON once it serves.",
        epilog=f"an example of FILE, with all keys:\n\n{EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    node.add_argument("--config", metavar="FILE", type=Path, required=True, help="its configuration, TOML")
    node.add_argument("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    _client_command(commands, "get", get, "print a key's value", "key")
    _client_command(commands, "put", put, "set a key", "key", "value")
    changed = _client_command(commands, "cas", cas, "set a key if it holds what is expected", "key")
    changed.add_argument(
        "values", metavar="EXPECT VALUE", nargs="+", help="what it must hold, and shall hold"
    )
    changed.add_argument("--absent", action="store_true", help="it must hold nothing; EXPECT is left out")
    _client_command(commands, "delete", delete, "remove a key", "key")
    _client_command(commands, "status", status, "what a node is and has done")
    return parser


def _client_command(
    commands: argparse._SubParsersAction[Parser], name: str, run: Command, help: str, *positional: str
) -> Parser:
    parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    for argument in positional:
        parser.add_argument(argument, metavar=argument.upper())
    if name != "status":
        levels = "; ".join(f"{level}: {meaning}" for level, meaning in NAMES.items())
        parser.add_argument(
            "--level",
            type=_level,
            default=LEVEL,
            help=f"{levels}; or r=R,w=W (default {LEVEL})",
        )
    parser.add_argument(
        "--node",
        metavar="HOST:PORT",
        type=_parsed(parse_address),
        default=os.environ.get("KV_NODE", "127.0.0.1:7000"),
        help="which node to ask (default: $KV_NODE, or 127.0.0.1:7000)",
    )
    parser.add_argument(
        "--cluster",
        metavar="NAME",
        type=_parsed(parse_name),
        default=os.environ.get("KV_CLUSTER", "demo"),
        help="the name of the node's cluster (default: $KV_CLUSTER, or demo)",
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=TIMEOUT_S, help=f"(default {TIMEOUT_S:g})"
    )
    return parser


def _level(text: str) -> str:
    try:
        parse_level(text, REPLICATION_MAX)
    except LevelError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of: {ALLOWED}") from None
    return text


def _parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    def parse_or_refuse(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_or_refuse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed are 0.001 to 3600 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
