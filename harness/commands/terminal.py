"""How commands end, and how they talk to whoever started them."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import msgspec
from rich.console import Console

from checkers.verdict import Status

CODES: Final = """exit codes:
  0    valid: the whole history was judged, and nothing is wrong with it
  1    invalid: a violation was found
  2    unknown: the analysis did not get to an end within its limits
  3    vacuous: nothing wrong was seen, but a fault that was asked for did not bite, or a kind of
       operation never succeeded
  254  the arguments or an input file make no sense
  255  the harness or a node failed
"""

EXIT: Final = {Status.VALID: 0, Status.INVALID: 1, Status.UNKNOWN: 2, Status.VACUOUS: 3}
EXIT_REFUSED: Final = 254
EXIT_FAILED: Final = 255


class Terminal(Console):
    """A console that falls silent when its reader goes away, so that the verdict is still the exit code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence_stdout()


def silence_stdout() -> None:
    """Nobody reads any more; Python would complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: dict[str, Any]) -> None:
    try:
        print(msgspec.json.encode(value, enc_hook=str, order="deterministic").decode(), flush=True)
    except BrokenPipeError:
        silence_stdout()
