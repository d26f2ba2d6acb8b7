"""The drawing of a run that goes on; the numbers are `LiveState`'s.

The bar, throughput, latency and faults share their columns: the time limit is as wide as the bar. What
happens after it, while all heals and a last look is taken, is drawn beyond its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cluster.base import NodeState
from harness.plan import SIMULATED, Plan
from harness.report.ledger_table import describe
from harness.report.live_state import COLUMNS, Active, LiveState
from harness.report.timeline import Glyphs, sparkline

NODES_SHOWN_MAX: Final = 7
BEYOND_MAX: Final = 10
"""Columns after the time limit."""
LABEL_CHARS: Final = 14
WHAT_CHARS_MIN: Final = 20

OUTCOME_STYLES: Final = {"ok": "green", "fail": "yellow", "info": "magenta"}
_NODE_STYLES: Final[dict[NodeState, str]] = {"up": "green", "down": "red", "paused": "yellow"}


@dataclass(slots=True)
class Scene:
    """What is drawn beside the numbers. `rate` is completions per second, `rates` by node what was `ok` a
    second. `fraction` is how much of the phase is done, `eta_s` how long it will still take (seconds of real
    time; None: nobody knows). `anomalies` are sentences."""

    plan: Plan
    phase: str = ""
    detail: str = ""
    elapsed_s: float = 0.0
    fraction: float | None = None
    eta_s: float | None = None
    rate: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    states: Mapping[str, NodeState] = field(default_factory=dict)
    anomalies: Sequence[str] = ()
    started: bool = False


def panel(scene: Scene, state: LiveState, glyphs: Glyphs, width: int) -> RenderableType:
    plan = scene.plan
    what = f"{plan.workload}, {plan.level}, on {plan.cluster}, seed {plan.seed}"
    head = Text.assemble((f"{scene.phase:<{LABEL_CHARS}}  ", "bold cyan"), scene.detail or what)
    if not scene.started:
        return head
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", width=LABEL_CHARS)
    rows.add_column()
    rows.add_row("", _bar(scene))
    rows.add_row("operations", _operations(scene, state))
    for label, line in _strips(state, glyphs):
        rows.add_row(label, line)
    rows.add_row("nodes", _nodes(scene, state))
    for anomaly in scene.anomalies[:1]:
        rows.add_row(Text("anomaly", "not dim bold red"), Text(anomaly, "red"))
    for active in state.active.values():
        rows.add_row(
            Text(active.name, "not dim red"), _fault(active, scene.elapsed_s, width - LABEL_CHARS - 2)
        )
    return Group(head, rows)


def _bar(scene: Scene) -> RenderableType:
    limit_s = scene.plan.time_limit_s
    virtual = " of virtual time" if scene.plan.cluster in SIMULATED else ""
    row = Table.grid(padding=(0, 2))
    if scene.fraction is None:
        bar = ProgressBar(total=limit_s, completed=min(scene.elapsed_s, limit_s), width=COLUMNS)
    else:
        bar = ProgressBar(total=1.0, completed=scene.fraction, width=COLUMNS)
    eta = "" if scene.eta_s is None else f"{scene.eta_s:.0f} s to go"
    limit = f" of {limit_s:g}" if scene.elapsed_s <= limit_s else ""
    row.add_row(bar, f"{scene.elapsed_s:.1f}{limit} s{virtual}", eta)
    return row


def _operations(scene: Scene, state: LiveState) -> Text:
    text = Text()
    for kind, style in OUTCOME_STYLES.items():
        text.append(f"{kind} ", "dim").append(f"{state.counts[kind]:,}", style).append("   ")
    return text.append(f"{scene.rate:,.0f}/s")


def _strips(state: LiveState, glyphs: Glyphs) -> list[tuple[str, Text]]:
    buckets = state.buckets[: COLUMNS + BEYOND_MAX]
    if not buckets:
        return []
    most = max(bucket.ok for bucket in buckets) / state.bucket_s
    slowest = max(bucket.p99_ms or 0 for bucket in buckets)
    heights = [0 if bucket.p99_ms is None else _height(bucket.p99_ms, slowest) for bucket in buckets]
    width = max(COLUMNS, len(buckets))

    def line(cells: str, style: str, note: str) -> Text:
        return Text.assemble((f"{cells:<{width}}", style), (f"  {note}", "dim"))

    lines = [
        (
            "ok/s",
            line(
                sparkline([bucket.ok for bucket in buckets], glyphs.spark), "green", f"at most {most:,.0f}/s"
            ),
        ),
        (
            "p99",
            line(sparkline(heights, glyphs.spark), "cyan", f"{_ms(state.p99_ms)}, at most {_ms(slowest)}"),
        ),
    ]
    faults = [bucket.faults for bucket in buckets]
    if any(faults):
        lines.append(
            ("faults", line(sparkline(faults, glyphs.spark), "red", f"{max(faults)} at once, at most"))
        )
    return lines


def _height(p99_ms: float, slowest: float) -> int:
    """Latencies differ by orders of magnitude: their logarithm, as a number that is never 0."""
    return 1 + round(100 * math.log1p(p99_ms) / math.log1p(slowest)) if slowest > 0 else 1


def _ms(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def _fault(active: Active, now_s: float, room: int) -> Text:
    seen = {True: "bit", False: "not seen to bite", None: "under way"}[active.bit]
    note = f"  for {max(0.0, now_s - active.since_s):.1f} s, {seen}"
    what = describe(active.value)
    room = max(WHAT_CHARS_MIN, room - len(note))
    return Text.assemble(what if len(what) <= room else what[: room - 3] + "...", (note, "dim"))


def _nodes(scene: Scene, state: LiveState) -> RenderableType:
    """Each node; of many, how many are well and which are not."""
    troubled = [node for node, is_ in scene.states.items() if is_ != "up" or node in state.cut_off]
    shown = list(scene.states) if len(scene.states) <= NODES_SHOWN_MAX else troubled
    table = Table.grid(padding=(0, 2))
    if len(shown) < len(scene.states):
        table.add_row(str(len(scene.states) - len(shown)), Text("up", _NODE_STYLES["up"]))
    for node in shown:
        is_ = scene.states[node]
        deaf = " ".join(state.deaf.get(node, ()))
        cut = [f"does not hear {deaf}"] if deaf else []
        cut += ["clients cut off"] if node in state.cut_off else []
        served = f"{scene.rates.get(node, 0.0):,.0f} ok/s"
        table.add_row(node, Text(is_, _NODE_STYLES[is_]), Text(served, "dim"), Text("; ".join(cut), "red"))
    return table
