"""ctrl-C, SIGTERM and a terminal that goes away as a wish: heal, stop, judge what was recorded.

What is said after the terminal has gone goes nowhere, as writing to it would end us. A SIGHUP that is ignored
from the start (nohup) stays so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopWish:
    """While entered, the first signal only sets `wished`; a second one that is no SIGHUP calls `at_once` and
    ends the process (and with it its nodes), as if this were not here."""

    def __init__(self, at_once: Callable[[], object] = lambda: None) -> None:
        self.wished = False
        self._signalled = False
        self._at_once = at_once
        self._terminals: list[int] = []
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopWish:
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminals()
        elif self._signalled:
            self._at_once()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.wished = self._signalled = True

    def _leave_terminals(self) -> None:
        """The first time; a shell that is told of it passes it on, so that it comes twice."""
        if not self._terminals:
            return
        with suppress(OSError):
            self._at_once()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in self._terminals:
            os.dup2(nowhere, stream)
        os.close(nowhere)
        self._terminals = []
