"""`harness lab`: labs by hand."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Final

from harness.lab import lab
from harness.lab.layout import DEFAULT_NAME, HOSTS_MAX, RUNTIME, LabError, directory_of

HOSTS_DEFAULT: Final = 5
EXIT_FAILED: Final = 255


def add_to(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="bring a lab up; it stays until it is taken down")
    up.add_argument("--hosts", type=_count, default=HOSTS_DEFAULT, metavar="N", help="n1 to nN (%(default)s)")
    up.set_defaults(command=_up)
    down = actions.add_parser("down", help="take a lab down, or what is left of one")
    down.add_argument("--all", action="store_true", help="every lab of this machine")
    down.set_defaults(command=_down)
    status = actions.add_parser("status", help="the labs of this machine, a line each")
    status.set_defaults(command=_status)
    ssh = actions.add_parser(
        "ssh",
        help="a shell, or a command, on a host of a lab",
        description="A shell on a host of a lab, or a command: one word is a line for the host's shell, "
        "several are a program and its arguments as they are.",
    )
    ssh.set_defaults(command=_ssh)
    for action in (up, down, ssh):
        action.add_argument("--name", type=_name, default=DEFAULT_NAME, help="of the lab (%(default)s)")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND").required = False


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= HOSTS_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of hosts from 1 to {HOSTS_MAX}")


def _name(text: str) -> str:
    try:
        directory_of(text, RUNTIME)
    except LabError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _up(args: argparse.Namespace, words: Sequence[str]) -> int:
    made = lab.up(args.name, args.hosts)
    print(f"lab {made.name} is up: {', '.join(host.name for host in made.hosts)}")
    return 0


def _down(args: argparse.Namespace, words: Sequence[str]) -> int:
    names = [found.name for found in lab.every()] if args.all else [args.name]
    code = 0
    for name in names:
        try:
            print(f"lab {name} is down" if lab.down(name) else f"there is no lab {name}")
        except LabError as error:  # one that cannot be taken down keeps nobody from the others
            print(f"harness: {error}", file=sys.stderr)
            code = EXIT_FAILED
    return code


def _status(args: argparse.Namespace, words: Sequence[str]) -> int:
    labs = lab.every()
    for found in labs:
        hosts = "" if found.hosts is None else f", hosts: {found.hosts}"
        mend = "" if found.condition in ("up", "coming up") else f" (harness lab down --name {found.name})"
        print(f"{found.name}: {found.condition}{hosts}{mend}")
    if not labs:
        print("there is no lab")
    return 0


def _ssh(args: argparse.Namespace, words: Sequence[str]) -> int:
    there = lab.find(args.name)
    names = [host.name for host in there.layout.hosts]
    if args.host not in names:
        raise LabError(f"lab {there.name} has no host {args.host}: it has {', '.join(names)}")
    if shutil.which("ssh") is None:
        raise LabError("this needs the program ssh: apt-get install openssh-client")
    enter = ["nsenter", f"--net={there.client.path}", "ssh", "-F", str(there.layout.ssh_config), args.host]
    line = args.words if len(args.words) < 2 else [shlex.join(args.words)]
    os.execvp("nsenter", [*enter, "--", *line] if line else enter)
