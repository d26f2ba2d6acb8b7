"""Looks for the first anomaly while a run goes on: `python -m harness.follow RUN_DIR`, a process of its own.

It reads the history as it is written down, and has the lowest priority, so that neither virtual time nor
real nodes wait for it. It may fall behind, or be too slow altogether: the verdict is the checkers', after
the run. Where the workload has no stream, its checkers judge what there is again and again, but only such
as find nothing in a beginning that would not be wrong in the whole.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from checkers.history import Op
from checkers.linear import Stream
from checkers.monotonic import Monotonic
from checkers.sessions import Sessions
from checkers.unique_ids import UniqueIds
from checkers.verdict import Checker, Status
from harness.catalog import assemble
from harness.report.artifacts import RunDir
from store.orphan import die_with_parent

LOOK_S: Final = 0.2
GROWTH: Final = 1.5
"""A beginning is judged again when it is so many times as long, so that all of it costs a few judgements."""
EVENTS_MIN: Final = 500
OF_BEGINNINGS: Final = (Monotonic, Sessions, UniqueIds)
"""They only look at what was answered, and what was answered later makes none of it right."""


class Judged(Protocol):
    """What is needed of a workload."""

    def checkers(self) -> list[Checker]: ...

    def stream(self) -> Stream | None: ...


def is_followed(work: Judged) -> bool:
    """Whether anything wrong could be told before the end."""
    return work.stream() is not None or bool(_of_beginnings(work))


def follow(history: Path, work: Judged) -> str:
    """The first anomaly of a history that is being written, in a sentence; does not end before there is
    one."""
    decode = msgspec.json.Decoder(Op).decode
    stream, checkers = work.stream(), _of_beginnings(work)
    events: list[Op] = []
    due = EVENTS_MIN
    for line in _lines(history):
        op = decode(line)
        if stream is not None:
            if (verdict := stream.feed(op)) is not None:
                return verdict.summary
            continue
        events.append(op)
        if len(events) >= due:
            due = round(len(events) * GROWTH)
            for verdict in (checker.check(events) for checker in checkers):
                if verdict.status is Status.INVALID:
                    return f"{verdict.checker}: {verdict.summary}"
    raise AssertionError("the lines do not end")


def _of_beginnings(work: Judged) -> list[Checker]:
    return [checker for checker in work.checkers() if isinstance(checker, OF_BEGINNINGS)]


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines, as they come; without an end."""
    while not path.exists():
        time.sleep(LOOK_S)
    with path.open("rb") as file:
        rest = b""
        while True:
            *lines, rest = (rest + file.read(1 << 16)).split(b"\n")
            yield from lines
            if not lines:
                time.sleep(LOOK_S)


def main() -> None:
    die_with_parent()
    os.nice(19)
    run = RunDir(Path(sys.argv[1]))
    work = assemble(run.read_plan()).workload
    if is_followed(work):
        print(" ".join(follow(run.history, work).split()), flush=True)


if __name__ == "__main__":
    main()
