"""`harness demo`: trade-offs, shown by what a run has measured."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from rich.table import Table
from rich.text import Text

from harness.commands.terminal import EXIT_FAILED, Terminal, print_json
from harness.demo.base import WIDTH, Claim, Conditions, Demo, DemoError
from harness.demo.catalog import DEMOS
from harness.plan import Plan, check_ground

CODES: Final = """
exit codes:
  0    shown; with --assert: and every claim holds
  1    with --assert: a claim does not hold
  254  the arguments make no sense
  255  it could not be run
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    names = parser.add_subparsers(required=True, metavar="NAME")
    for demo in DEMOS.values():
        one = names.add_parser(
            demo.name,
            help=demo.summary,
            description=demo.text,
            epilog=CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=partial(_run, demo))
        add = one.add_argument
        add("--assert", dest="judge", action="store_true", help="exit with 1 if a claim does not hold")
        add("--json", action="store_true", help="print the figures as one JSON object, and nothing else")
        add("--seed", type=int, metavar="N", help="of everything that is drawn (drawn itself, and printed)")
        if len(demo.clusters) > 1:
            add("--cluster", default=demo.clusters[0], choices=demo.clusters, help="(%(default)s)")
            add("--nodes-file", default="", metavar="FILE", help="the hosts of cluster ssh")
            add(
                "--lab",
                default="",
                metavar="NAME",
                help="a lab that is up, for netns (one made for each run)",
            )


def _run(demo: Demo, args: argparse.Namespace, words: Sequence[str]) -> int:
    given = vars(args)
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    conditions = Conditions(
        seed,
        given.get("cluster", demo.clusters[0]),
        given.get("nodes_file", ""),
        given.get("lab", ""),
        _tell,
        ("harness", *words),
    )
    check_ground(conditions.cluster, conditions.nodes_file, conditions.lab)
    Plan(seed=seed).validate()
    try:
        shown = demo.run(conditions)
    except DemoError as error:
        print(f"harness: {error}", file=sys.stderr)
        return EXIT_FAILED
    if args.json:
        claims = [claim._asdict() for claim in shown.claims]
        print_json({"demo": demo.name, "seed": seed, **shown.figures, "claims": claims})
    else:
        console = Terminal(highlight=False)
        console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
        for part in shown.parts:
            console.print(part)
        _show_claims(console, shown.claims)
        again = " ".join(["harness", *words, *([] if args.seed is not None else ["--seed", str(seed)])])
        console.print(f"run again: {again}", style="dim", soft_wrap=True)
    return 1 if args.judge and not all(claim.holds for claim in shown.claims) else 0


def _show_claims(console: Terminal, claims: Sequence[Claim]) -> None:
    console.print("Claims", style="bold")
    lines = Table.grid()
    lines.add_column(width=10)
    lines.add_column()
    for claim in claims:
        mark = Text("  ok", "green") if claim.holds else Text("  failed", "bold red")
        lines.add_row(mark, Text.assemble(claim.text, (f": {claim.figures}", "dim")))
    console.print(lines)
    console.print()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
