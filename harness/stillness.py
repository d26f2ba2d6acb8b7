"""When the harness itself stood still: its machine was suspended, or busy with something else.

How soon anybody answered is not known of that time, as nobody was there to hear it. That is to be told, and
not to be held against the system; also of a run that is killed later, so it is written down at once, in
`stood_still.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

STILL_S: Final = 0.5
"""The loop of a run comes round every tenth of a second."""

Span = tuple[float, float]
"""From when to when, in seconds since the start of the run."""


class Stillness:
    """`spans` of more than `STILL_S` in which `tick` was not called; each is appended to `path`. A file that
    cannot be written is given up in silence: the run matters more."""

    def __init__(self, path: Path) -> None:
        self.spans: list[Span] = []
        self._path = path
        self._seen_s = 0.0

    def tick(self, now_s: float) -> None:
        if now_s - self._seen_s > STILL_S:
            self.spans.append((self._seen_s, now_s))
            with suppress(OSError), self._path.open("ab") as file:
                file.write(msgspec.json.encode(self.spans[-1]) + b"\n")
        self._seen_s = now_s


def read_spans(path: Path) -> list[Span]:
    """Those of a run that may have been killed while it wrote one."""
    spans: list[Span] = []
    with suppress(OSError, msgspec.MsgspecError):
        for line in path.read_bytes().splitlines():
            spans.append(msgspec.json.decode(line, type=Span))
    return spans


def told(spans: Sequence[Span]) -> list[str]:
    """As a sentence, if there is anything to tell."""
    if not spans:
        return []
    began_s, ended_s = max(spans, key=lambda span: span[1] - span[0])
    many = "once" if len(spans) == 1 else f"{len(spans)} times, {sum(b - a for a, b in spans):.1f} s in all"
    return [
        f"the harness stood still {many} (for {ended_s - began_s:.1f} s at {began_s:.1f} s), as its machine "
        "was suspended or busy: how soon anybody answered is not known of that time"
    ]
