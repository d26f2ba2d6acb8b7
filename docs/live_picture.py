"""Draws docs/images/live.svg: the live view in the midst of a real run on the simulated cluster. Its seed
makes it the same picture each time, but for how fast this machine is. `python -m docs.screenshots` calls
it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI

from checkers.history import Op
from checkers.linear import Stream
from harness import catalog
from harness.cluster.base import NodeState
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import RUNNING, Live
from harness.run import execute
from harness.stop import StopWish

PLAN: Final = Plan(level="one", seed=5, time_limit_s=60)
AT_S: Final = 42.5
WIDTH: Final = 104
OUT: Final = Path(__file__).parent / "images" / "live.svg"


class Photographed(Live):
    """Takes a picture of the view at `AT_S`, and judges the history while it comes in, right here."""

    stream: Stream | None = None
    taken = False

    def on_op(self, op: Op) -> None:
        super().on_op(op)
        if self.stream is not None and (verdict := self.stream.feed(op)) is not None:
            self.anomaly(verdict.summary)
            self.stream = None

    def tick(self, elapsed_s: float, states: Mapping[str, NodeState]) -> None:
        super().tick(elapsed_s, states)
        if elapsed_s >= AT_S and not self.taken:
            self.taken = True
            console = Console(
                record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
            )
            console.print(self.panel())
            OUT.parent.mkdir(exist_ok=True)
            svg = console.export_svg(title="harness run --level one --seed 5", theme=MONOKAI)
            OUT.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL))  # they are from elsewhere


def main() -> None:
    pieces = catalog.assemble(PLAN)
    with tempfile.TemporaryDirectory() as root:
        console = Console(file=StringIO(), width=WIDTH, force_terminal=True)
        live = Photographed(console, PLAN, pieces.requested)
        live.stream = pieces.workload.stream()
        with live:
            live.phase(RUNNING)
            execute(
                PLAN, pieces.workload, pieces.nemesis, pieces.cluster, RunDir(Path(root)), live, StopWish()
            )
    print(OUT)


if __name__ == "__main__":
    main()
