"""Files that hold histories: our JSONL, Jepsen's EDN and Jepsen's text log, told apart by their content.

Whatever is not a history is refused by file and line (`HistoryError`), soon and in bounded memory: files
are read in pieces, and each event is held to what may follow the ones before it as it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Final

from checkers.formats.jepsen import LOG_LINE, read_edn_history, read_log
from checkers.formats.jepsen import to_edn as _edn_line
from checkers.formats.jsonl import encode_line, read_jsonl, write_jsonl
from checkers.formats.source import Builder, head, refusal
from checkers.history import HistoryError, Op
from checkers.models import FailedCas

__all__ = ["Format", "detect_format", "encode_line", "read_history", "to_edn", "write_jsonl"]


class Format(Enum):
    """The kinds of file that `read_history` reads."""

    JSONL = "jsonl"
    EDN = "edn"
    LOG = "jepsen-log"

    @property
    def failed_cas(self) -> FailedCas:
        """What a failed cas means in such files: Jepsen's text logs are of stores that answered definitely,
        and our own format says so of each operation."""
        return {Format.LOG: "observe", Format.JSONL: "mismatch", Format.EDN: "ignore"}[self]  # type: ignore[return-value]


_BEFORE_CONTENT: Final = re.compile(r"(?:\s|,|;[^\n]*(?:\n|$))*")
_JSON_OBJECT: Final = re.compile(r"\{\s*[\"}]")
_JSON_ARRAY: Final = re.compile(r"\[\s*\{\s*\"")
_EDN: Final = re.compile(r"[\[(]|\{\s*:|#(?:_|[a-zA-Z])")


def detect_format(path: Path) -> Format:
    """What the beginning of the file says it is; HistoryError if it is none of them."""
    text = head(path)
    begin = _BEFORE_CONTENT.match(text)
    content = text[begin.end() if begin is not None else 0 :]
    line = text.count("\n", 0, len(text) - len(content)) + 1
    if _JSON_OBJECT.match(content):
        return Format.JSONL
    if _JSON_ARRAY.match(content):
        raise refusal(path, line, "a JSON history has one operation a line, not an array of them")
    if _EDN.match(content):
        return Format.EDN
    if any(LOG_LINE.match(each) for each in text.split("\n")):
        return Format.LOG
    if not content:
        raise refusal(path, line, "there is no operation in this file")
    raise refusal(path, line, f"neither JSON lines, nor EDN, nor a Jepsen log begins with {content[:40]!r}")


def read_history(
    path: Path | str,
    *,
    form: Format | None = None,
    independent: bool = False,
    allow_torn_tail: bool = False,
    notice: Callable[[str], None] | None = None,
) -> list[Op]:
    """The events of a recorded history, in the order of the file, known to pair up.

    `form`: what the file is, if its content is not to decide. `independent`: values are jepsen.independent's
    tuples; [k v] becomes the key str(k) and the value v. `allow_torn_tail`: the history of a killed run; a
    last JSONL line without a newline is dropped (and `notice` gets a sentence that says so), and a file with
    nothing in it is an empty history.
    """
    path = Path(path)
    builder = Builder(independent)
    if allow_torn_tail and not head(path).strip():
        return []
    try:
        form = form or (_torn_format(path) if allow_torn_tail else detect_format(path))
        if form is Format.JSONL:
            read_jsonl(path, builder, allow_torn_tail, notice)
        elif form is Format.EDN:
            read_edn_history(path, builder)
        else:
            read_log(path, builder)
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from None
    return builder.history


def _torn_format(path: Path) -> Format:
    """As `detect_format`, but a first line torn after its brace is JSONL all the same."""
    return Format.JSONL if head(path).strip() == "{" else detect_format(path)


def to_edn(history: Iterable[Op]) -> str:
    """The history as EDN, one map a line, for Jepsen's own tools."""
    return "".join(_edn_line(op) + "\n" for op in history)
