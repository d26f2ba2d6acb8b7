"""The processes that use up processors or memory: a leader, and its children who do it.

The leader does nothing before a line comes on its input, then tells its children's process ids in a line of
its output, and ends, with all of them, at the end of its input: so none of them outlives the hand. All offer
themselves to the kernel as the first to be killed when memory runs out.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Callable, List, Sequence

from harness.hand.memory import memory

BLOCK_BYTES = 8 << 20
PIECE_BYTES = 64 << 20
_PR_SET_PDEATHSIG = 1


def main(words: Sequence[str]) -> None:
    """`cpu PROCESSES` or `memory BYTES`."""
    kind, amount = words[0], int(words[1])
    if not sys.stdin.readline():
        return
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    if kind == "cpu":
        children = [_child(burn) for _ in range(amount)]
    else:
        children = [_child(lambda: hog(amount))]
    print(json.dumps(children), flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)  # not reaped yet, so the number is still its own


def burn() -> None:
    while True:
        pass


def hog(wanted: int) -> None:
    """Fill pages until so many bytes are held, or no more can be spared; then keep them."""
    block = os.urandom(BLOCK_BYTES)
    held: List[mmap.mmap] = []
    while wanted > 0:
        piece = mmap.mmap(-1, min(wanted, PIECE_BYTES))
        with suppress(OSError):  # a kernel without huge pages
            piece.madvise(mmap.MADV_HUGEPAGE)
        held.append(piece)
        wanted -= len(piece)
        while piece.tell() < len(piece) and memory().spare > BLOCK_BYTES:
            piece.write(block[: len(piece) - piece.tell()])
    while True:
        time.sleep(3600)


def _child(work: Callable[[], None]) -> int:
    """Does `work` in a child that ends with us. It gets a session of its own, as some kernels deal out the
    processors by sessions first."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            work()
    finally:
        os._exit(1)
