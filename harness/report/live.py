"""Live progress while a run goes: how far, what is answered, which faults are active, which nodes stand.

On a terminal a few lines are drawn over and over, at most every `DRAW_S` of real time; elsewhere a plain
line is printed every `LINE_S`, and one for each phase. Counting an operation costs a dictionary update, so
that the simulator is not slowed down.

Left out on purpose: keys, and anything that the report at the end says better.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final

from rich import live
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from checkers.history import NEMESIS, Op
from harness.cluster.base import NodeState
from harness.ledger import Requested
from harness.plan import SIMULATED, Plan

DRAW_S: Final = 0.1
LINE_S: Final = 5.0
RATE_SAMPLES: Final = 20
NODES_SHOWN_MAX: Final = 7

OUTCOME_STYLES: Final = {"ok": "green", "fail": "yellow", "info": "magenta"}
_NODE_STYLES: Final = {"up": "green", "down": "red", "paused": "yellow"}


class Live:
    """A context manager around a run. `faults` say which nemesis operations begin and end which fault;
    `quiet` draws nothing. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        faults: Sequence[Requested] = (),
        quiet: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._plan = plan
        self._virtual = plan.cluster in SIMULATED
        self._now = now
        self._quiet = quiet
        self._begins = {f: fault.name for fault in faults for f in fault.begins}
        self._ends = {f: fault.name for fault in faults for f in fault.ends}
        self._counts: dict[str, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self._active: dict[str, None] = {}
        self._states: Mapping[str, NodeState] = {}
        self._elapsed_s = 0.0
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)], maxlen=RATE_SAMPLES)
        self._phase = ""
        self._detail = ""
        self._phase_since = self._drawn_at = self._ticked_since = now()
        self._ticking = False
        self._display: live.Live | None = None

    def __enter__(self) -> Live:
        if not self._quiet and self._console.is_terminal:
            self._display = live.Live(console=self._console, auto_refresh=False, transient=True)
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_phase()
        if self._display is not None:
            self._display.stop()
            self._display = None

    def on_op(self, op: Op) -> None:
        """Count one event of the history."""
        if op.process == NEMESIS:
            self._on_fault(op.f)
        else:
            self._counts[op.type] += 1

    def tick(self, elapsed_s: float, states: Mapping[str, NodeState]) -> None:
        """`elapsed_s` of the run's own time have passed; draws if it is time to."""
        if not self._ticking:
            self._ticking, self._ticked_since = True, self._now()
        self._elapsed_s = elapsed_s
        self._states = states
        self._draw_if_due()

    def phase(self, name: str) -> None:
        """What happens now: "starting nodes", "running", "healing", "checking"."""
        self._end_phase()
        self._phase, self._detail, self._phase_since = name, "", self._now()
        if self._display is not None:
            self._draw()
        elif not self._quiet:
            self._console.print(f"{name} ...", highlight=False, markup=False)

    def detail(self, text: str) -> None:
        """How far the phase is, in words: "linearizable: 12 of 40 keys"."""
        self._detail = text
        self._draw_if_due()

    def _on_fault(self, f: str) -> None:
        if f in self._begins:
            self._active[self._begins[f]] = None
        elif f in self._ends:
            self._active.pop(self._ends[f], None)

    def _end_phase(self) -> None:
        if self._display is not None and self._phase:
            took = f"{self._now() - self._phase_since:.1f} s"
            self._console.print(Text.assemble((f"{self._phase:<14}  ", "dim"), (took, "dim")))
        self._phase = ""

    def _draw_if_due(self) -> None:
        if self._quiet:
            return
        interval = LINE_S if self._display is None else DRAW_S
        if self._now() - self._drawn_at >= interval:
            self._draw()

    def _draw(self) -> None:
        self._drawn_at = self._now()
        if self._display is not None:
            self._display.update(self._panel(), refresh=True)
        else:
            self._console.print(self._line(), highlight=False, markup=False, soft_wrap=True)
        self._samples.append((self._elapsed_s, self._completed()))

    def _completed(self) -> int:
        return self._counts["ok"] + self._counts["fail"] + self._counts["info"]

    def _rate(self) -> float:
        """Completions per second of the run's own time, over the last draws."""
        since, before = self._samples[0]
        span = self._elapsed_s - since
        return (self._completed() - before) / span if span > 0 else 0.0

    def _eta_s(self) -> float | None:
        """Seconds of real time that the run will still take, at the speed so far."""
        left = self._plan.time_limit_s - self._elapsed_s
        if left <= 0 or self._elapsed_s <= 0:
            return None
        return left * (self._now() - self._ticked_since) / self._elapsed_s

    def _line(self) -> str:
        counts = ", ".join(f"{kind} {self._counts[kind]:,}" for kind in OUTCOME_STYLES)
        parts = [
            f"{self._elapsed_s:.0f} of {self._plan.time_limit_s:.0f} s",
            f"{counts} ({self._rate():.0f}/s)",
        ]
        if self._active:
            parts.append("active: " + ", ".join(self._active))
        parts += [f"{node} {state}" for node, state in self._states.items() if state != "up"]
        return "  " + (self._detail or "; ".join(parts))

    def _panel(self) -> RenderableType:
        plan = self._plan
        head = Text.assemble(
            (f"{self._phase:<14}  ", "bold cyan"),
            self._detail or f"{plan.workload}, {plan.level}, on {plan.cluster}, seed {plan.seed}",
        )
        if not self._ticking:
            return head
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", min_width=14)
        rows.add_column()
        rows.add_row("operations", self._operations())
        rows.add_row(
            "active faults", Text(", ".join(self._active) or "none", "red" if self._active else "dim")
        )
        rows.add_row("nodes", self._nodes())
        return Group(head, self._bar(), rows)

    def _bar(self) -> RenderableType:
        eta = self._eta_s()
        limit_s = self._plan.time_limit_s
        row = Table.grid(padding=(0, 2))
        row.add_row(
            ProgressBar(total=limit_s, completed=min(self._elapsed_s, limit_s), width=40),
            f"{self._elapsed_s:.1f} of {limit_s:g} s" + (" of virtual time" if self._virtual else ""),
            "" if eta is None else f"{eta:.0f} s to go",
        )
        return row

    def _operations(self) -> Text:
        text = Text()
        for kind, style in OUTCOME_STYLES.items():
            text.append(f"{kind} ", "dim").append(f"{self._counts[kind]:,}", style).append("   ")
        return text.append(f"{self._rate():,.0f}/s")

    def _nodes(self) -> Text:
        """Each node; of many, how many are up and which are not."""
        text = Text()
        shown = dict(self._states)
        if len(shown) > NODES_SHOWN_MAX:
            shown = {node: state for node, state in shown.items() if state != "up"}
            text.append(f"{len(self._states) - len(shown)} ").append("up", _NODE_STYLES["up"]).append("   ")
        for node, state in shown.items():
            text.append(f"{node} ").append(state, _NODE_STYLES[state]).append("   ")
        return text
