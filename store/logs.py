"""Logs: one line for each event, on stderr, for people or (as JSON) for programs.

An event has a kind, a few words with hyphens, and fields. Keys may be in it; values and secrets never are.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from store.core.machine import Happened

_GRAVE: Final = (
    *("abandoned", "damaged", "dead", "doubtful", "dropped", "expired", "failed", "full", "large", "lost"),
    *("not", "partitioned", "refused", "suspect"),
)
GRAVE: Final = frozenset(_GRAVE)
"""What happened to the node is a warning if its kind has one of these words in it."""
FREQUENT: Final = frozenset({"read-repair"})
"""What may happen with every request; metrics count it."""


class Event:
    """What a record's message may be."""

    __slots__ = ("fields", "kind")

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.kind = kind
        self.fields = fields

    def __str__(self) -> str:
        """`kind name=value ...`, on one line whatever the values are."""
        return " ".join([self.kind, *(f"{name}={_word(value)}" for name, value in self.fields.items())])


def event(log: logging.Logger, level: int, kind: str, /, **fields: Any) -> None:
    log.log(level, Event(kind, fields))


def node_event(log: logging.Logger, happened: Happened) -> None:
    """What a node itself says that happened."""
    if happened.kind in FREQUENT:
        return
    grave = not GRAVE.isdisjoint(happened.kind.split("-"))
    log.log(logging.WARNING if grave else logging.INFO, Event(happened.kind, happened.fields))


def log_to_stderr(node: str, form: Literal["text", "json"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(node) if form == "json" else TextLines(node))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class TextLines(logging.Formatter):
    """`TIME LEVEL NODE what happened`, in UTC."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"%(asctime)s.%(msecs)03dZ %(levelname)s {node} %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime


class JsonLines(logging.Formatter):
    """An object with `time`, `level`, `node`, `event`, and the event's fields. What is a sentence has the
    event `note` and the field `text`."""

    def __init__(self, node: str) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        said = record.msg if isinstance(record.msg, Event) else Event("note", {"text": record.getMessage()})
        line: dict[str, Any] = {
            "time": f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "node": self._node,
            "event": said.kind,
        }
        line |= {name: value for name, value in said.fields.items() if name not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _word(value: Any) -> str:
    """`value` without blanks outside of quotes."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = bool(text) and text.isprintable() and not any(sign in text for sign in ' "=')
    return text if plain or not isinstance(value, str) else json.dumps(text)
