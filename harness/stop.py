"""ctrl-C and SIGTERM as a wish: heal, stop, judge what was recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """While entered, the first signal only sets `wished`; a second one calls `at_once` and ends the process
    (and with it its nodes), as if this were not here."""

    def __init__(self, at_once: Callable[[], object] = lambda: None) -> None:
        self.wished = False
        self._signalled = False
        self._at_once = at_once
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopWish:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            self._at_once()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.wished = self._signalled = True
