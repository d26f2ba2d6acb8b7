"""The command `kv`: its commands and how they are told apart."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from store import interrupt
from store.cli import session
from store.cli.arguments import Parser
from store.cli.output import EXIT_BAD_ARGUMENTS, complain
from store.config import EXAMPLE, MORE_KEYS, ConfigError, load
from store.process import serve

EXAMPLES: Final = """\
examples:
  kv cluster init lab --nodes 3 --http        describe a cluster, and then
  kv cluster run lab                          run it on this machine
  kv put greeting hello
  kv get greeting --level one --node 127.0.0.1:7001
  kv cas greeting hello "good bye"
  kv cas lock --absent mine
  kv incr visits/today 3 --level quorum       in a bucket of counters
  kv scan user/ --limit 20
  kv status --all
  kv ring --key greeting
  kv join 127.0.0.1:7003                      wait until a node is an owner
  kv bench --clients 64 --mix put:20,get:80

exit status:
  0    done
  1    not found, something else held, or not served
  74   the node's data cannot be read or written
  254  bad arguments or configuration
"""


def main(argv: list[str] | None = None) -> int:
    """Run `kv`; the exit status."""
    words = sys.argv[1:] if argv is None else argv
    parser = _parser(words)
    args = parser.parse_args(words)
    if args.command == "cas" and len(args.values) != (1 if args.absent else 2):
        parser.error("cas takes KEY EXPECT VALUE, or KEY --absent VALUE")
    interrupt.is_raised()
    if hasattr(args, "at_once"):
        status: int = args.at_once(args)
        return status
    return session.run(args.run, args)


def _node(args: argparse.Namespace) -> int:
    try:
        config = load(args.config)
    except ConfigError as error:
        return complain(str(error), EXIT_BAD_ARGUMENTS)
    return serve(config, args.die_with_parent)


def _parser(words: list[str]) -> Parser:
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
        epilog=f"an example of FILE:\n\n{EXAMPLE}\nother keys:\n\n{MORE_KEYS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    node.add_argument("--config", metavar="FILE", type=Path, required=True, help="its configuration, TOML")
    node.add_argument("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    node.set_defaults(at_once=_node)
    if words[:1] != ["node"]:
        _add_others(commands)
    return parser


def _add_others(commands: argparse._SubParsersAction[Parser]) -> None:
    """Apart from `kv node`, as a node would take twice as long to start with what they import."""
    from store.cli import bench, certificates, data, lab, operate

    for part in (data, operate, bench, lab, certificates):
        part.add_commands(commands, EXAMPLES)
