"""Looks for the first anomaly while a run goes on: `python -m harness.follow RUN_DIR`, a process of its own.

It reads the history as it is written down, and has the lowest priority, so that neither virtual time nor
real nodes wait for it. It may fall behind, or be too slow altogether: the verdict is the checkers', after
the run.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from checkers.history import Op
from checkers.linear import Stream
from checkers.verdict import Verdict
from harness.catalog import assemble
from harness.report.artifacts import RunDir
from store.orphan import die_with_parent

LOOK_S: Final = 0.2


def follow(history: Path, stream: Stream) -> Verdict:
    """The first anomaly of a history that is being written; does not end before there is one."""
    decode = msgspec.json.Decoder(Op).decode
    for line in _lines(history):
        if (verdict := stream.feed(decode(line))) is not None:
            return verdict
    raise AssertionError("the lines do not end")


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
    stream = assemble(run.read_plan()).workload.stream()
    if stream is not None:
        print(" ".join(follow(run.history, stream).summary.split()), flush=True)


if __name__ == "__main__":
    main()
