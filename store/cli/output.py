"""How a command answers: one JSON document (`--json`), tables on a terminal, plain text in a pipe."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.console import Console, RenderableType

from store.client.jsonform import Json, failure_json
from store.net.channel import plain_reason

EXIT_NO: Final = 1
EXIT_BAD_ARGUMENTS: Final = 254


@dataclass(frozen=True, slots=True)
class Output:
    """Each method gives the exit status."""

    json: bool

    def answer(
        self, document: Json, plain: bytes | str = b"", view: RenderableType | None = None, status: int = 0
    ) -> int:
        """Print `document`, or what stands for it: `view` on a terminal, if there is one, else `plain`."""
        if self.json:
            return write(msgspec.json.format(msgspec.json.encode(document)) + b"\n", status)
        if view is not None and sys.stdout is not None and sys.stdout.isatty():
            Console().print(view)
            return status
        return write(plain.encode(errors="surrogateescape") if isinstance(plain, str) else plain, status)

    def no(self, sentence: str, code: str, definite: bool, status: int = EXIT_NO) -> int:
        """Say why not: on stderr, or as the document."""
        if self.json:
            return self.answer(failure_json(code, sentence, definite), status=status)
        return complain(sentence, status)


def write(data: bytes, status: int = 0) -> int:
    """Print `data` as it is, but for a line's end on a terminal; the exit status."""
    if sys.stdout is None:
        return complain("the answer cannot be written: stdout is closed")
    if data and sys.stdout.isatty() and not data.endswith(b"\n"):
        data += b"\n"
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries again
        return complain(f"the answer cannot be written: {plain_reason(error)}")
    return status


def complain(sentence: str, status: int = EXIT_NO) -> int:
    print(f"kv: {sentence}", file=sys.stderr)
    return status
