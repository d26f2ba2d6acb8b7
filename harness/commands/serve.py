"""`harness serve`, the command."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from harness.plan import PlanError
from harness.report import artifacts
from harness.serve.server import Server

HOST: Final = "127.0.0.1"
PORT: Final = 8080
EPILOG: Final = """examples:
  harness serve                    the runs below runs/, at http://127.0.0.1:8080/
  harness serve --port 0           at a port that is free, which is printed
  harness serve --host 0.0.0.0     for other machines too: with no login, they can read every run
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Serve recorded runs, to be looked at with a browser, until ctrl-C."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help="0: any that is free (%(default)s)"
    )
    parser.add_argument("--host", default=HOST, metavar="ADDRESS", help="to listen on (%(default)s)")
    parser.add_argument("--runs", type=Path, default=artifacts.ROOT, metavar="DIR", help="(%(default)s)")
    parser.set_defaults(command=_serve)


def _serve(args: argparse.Namespace, words: Sequence[str]) -> int:
    if not 0 <= args.port <= 65535:
        raise PlanError(f"--port is {args.port}; allowed: a whole number from 0 to 65535")
    if not args.runs.is_dir():
        raise PlanError(f"--runs: {args.runs} is not a directory; `harness run` makes {artifacts.ROOT}/")
    try:
        server = Server(args.runs, args.host, args.port)
    except OSError as error:
        where = f"{args.host}, port {args.port}"
        remedy = "; --port 0 takes any that is free" if error.errno == errno.EADDRINUSE else ""
        raise PlanError(f"{where} cannot be listened on: {error.strerror or error}{remedy}") from None
    with server:
        print(f"serving {args.runs} at {server.url} (ctrl-C ends it)", flush=True)
        if not _is_loopback(args.host):
            print("whoever can reach that address can read every run: there is no login", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
