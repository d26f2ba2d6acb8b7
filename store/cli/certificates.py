"""`kv certs`: makes the certificates by which nodes and clients know each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from store.cli.arguments import Parser, Subparsers, add_json, command, parsed, whole
from store.cli.output import Output
from store.config import parse_name
from store.net import certs
from store.net.handshake import SecurityError


def make(args: argparse.Namespace) -> int:
    output = Output(args.json)
    making = certs.init if args.part == "init" else certs.add
    hosts = (*certs.HOSTS, *args.host)
    try:
        written = making(args.directory, args.nodes, args.client, hosts, args.days)
    except SecurityError as error:
        return output.no(str(error), "bad-request", True)
    except OSError as error:
        return output.no(f"{args.directory} cannot be written: {error.strerror}", "disk", True)
    names = [str(path) for path in written]
    return output.answer({"written": names}, "".join([f"{name}\n" for name in names]))


def add_commands(commands: Subparsers[Parser], epilog: str) -> None:
    group = command(commands, "certs", "make certificates for nodes and clients", epilog)
    inner = group.add_subparsers(dest="part", required=True, metavar="COMMAND")
    for name, help, clients in (
        ("init", "a new authority, and certificates for nodes and clients", ["client"]),
        ("add", "more certificates by the authority that is there", []),
    ):
        parser = command(inner, name, help)
        parser.set_defaults(at_once=make)
        parser.add_argument("directory", metavar="DIR", type=Path)
        parser.add_argument("nodes", metavar="NODE", type=parsed(parse_name), nargs="*", help="nodes' names")
        parser.add_argument(
            "--client",
            metavar="NAME",
            type=parsed(parse_name),
            nargs="+",
            default=clients,
            help="clients' names" + (" (default: client)" if clients else ""),
        )
        parser.add_argument(
            "--host", metavar="NAME", nargs="+", default=[], help="what nodes' machines are called, too"
        )
        parser.add_argument("--days", type=whole(1, certs.DAYS_MAX), default=certs.DAYS, help="(default 365)")
        add_json(parser)
