"""The table of what it costs to judge large generated histories."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from rich.table import Table

from checkers.history import Op
from checkers.verdict import Checker

SIZE: Final = 100_000
AIM: Final = "10 s"


class Work(NamedTuple):
    """`what` the history is."""

    what: str
    checker: Checker
    history: Callable[[], list[Op]]


def judged(title: str, works: Iterable[Work]) -> Table:
    result = Table(title=f"{title}: CPU seconds for {SIZE:,} operations")
    for heading in ("checker", "history", "verdict", "CPU s", "aim"):
        result.add_column(heading, justify="right" if heading == "CPU s" else "left")
    for work in works:
        history = work.history()
        before = time.process_time()
        verdict = work.checker.check(history)
        seconds = time.process_time() - before
        result.add_row(work.checker.name, work.what, verdict.status.value, f"{seconds:.2f}", AIM)
    return result
