"""Words to one line for a POSIX login shell, and what comes back. Pure; nothing else quotes anything.

sshd hands one string to the user's login shell. Ours is always of the form

    [sudo -n --] timeout -s KILL SECONDS sh -c SCRIPT sh WORD...; exit $?

`timeout` leads a process group of its own, so that a command and its children can be ended by one signal,
and it ends them itself when the harness is gone. SCRIPT first tells that group's id on standard error, so
that a command that never started (no such login, no sudo) is told from one that failed, and a word on
standard output, so that what the login shell's own files print is told from what the command does; then it
runs the words as they are. A command that leaves the group (`setsid`) is a daemon, and is not ended. Neither
shell replaces itself, so that a signal that ends the command becomes a status (and a word of the shell's
about it on standard error), for paramiko tells no signals.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

LINE_BYTES_MAX: Final = 120_000
"""Linux takes no single argument above 128 KiB, and the whole line is one."""
BEGINS: Final = b"stormcellar-begins\n"
"""On standard output, right before the command's own."""
_ANNOUNCED: Final = re.compile(rb"^stormcellar-group ([0-9]+)\n", re.MULTILINE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Command:
    """`argv` arrives byte for byte (characters from `surrogateescape` stand for bytes that are not UTF-8).
    `directory` and `output` are absolute paths; with `output`, both output streams are appended to that
    file. Values of `env` are never shown in errors."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("a command has at least one word")
        for word in (*self.argv, *self.env.values(), self.directory or "", self.output or ""):
            if "\0" in word:
                raise ValueError(f"no word of a command may hold a NUL: {word!r}")
        for name in self.env:
            if not _VARIABLE.match(name):
                raise ValueError(f"{name!r} is not the name of an environment variable")
        for path in (self.directory, self.output):
            if path is not None and not path.startswith("/"):
                raise ValueError(f"{path!r} is not an absolute path")

    def __str__(self) -> str:
        words = " ".join(shlex.join(self.argv).split())
        return words if len(words) <= 120 else words[:117] + "..."


@dataclass(frozen=True, slots=True)
class Completed:
    """`exit` is the exit status; 128 + n when signal n ended the command."""

    exit: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the newlines at its end."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


def line(command: Command, *, sudo: bool, limit_s: float | None, fed: bool = True) -> bytes:
    """What is sent to the login shell; without `limit_s` the host lets it run, and unless `fed` its input is
    over at once. Raises `ValueError` when it would be too long for one."""
    script = ["echo stormcellar-group $PPID >&2", f"echo {BEGINS.decode().rstrip()}"]
    script += [f"export {name}={shlex.quote(value)}" for name, value in command.env.items()]
    if command.directory is not None:
        script.append(f"cd {shlex.quote(command.directory)} || exit 1")
    redirection = "" if fed else " </dev/null"
    redirection += "" if command.output is None else f" >>{shlex.quote(command.output)} 2>&1"
    script.append(f'"$@"{redirection}')
    script.append("exit $?")
    limit = "0" if limit_s is None else f"{limit_s:.3f}"  # to `timeout`, 0 is no limit
    words = ["timeout", "-s", "KILL", limit, "sh", "-c", "\n".join(script), "sh", *command.argv]
    text = shlex.join(_as_root(words) if sudo else words) + "; exit $?"
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) > LINE_BYTES_MAX:
        raise ValueError(f"a command of {len(encoded)} bytes is too long: send what it works on as its input")
    return encoded


def end_of_group(group: int, *, sudo: bool) -> bytes:
    """Ends every process of a group at once; no error if none is left."""
    words = ["kill", "-s", "KILL", "--", f"-{group}"]  # the only form that every shell's own kill takes
    return (shlex.join(_as_root(words) if sudo else words) + " 2>/dev/null; exit 0").encode()


def announced(stderr: bytes) -> tuple[int | None, bytes]:
    """The command's process group, if it was told in full, and what else came on standard error."""
    match = _ANNOUNCED.search(stderr)
    if match is None:
        return None, stderr
    return int(match[1]), stderr[: match.start()] + stderr[match.end() :]


def _as_root(words: list[str]) -> list[str]:
    return ["sudo", "-n", "--", *words]
