"""The drawing of a run that goes on; the numbers are `LiveState`'s.

The bar, throughput, latency and faults share their columns: the time limit is as wide as the bar. What
happens after it, while all heals and a last look is taken, is drawn beyond its end. On a narrow terminal the
columns are fewer; on a low one, strips make way, and nodes that are well are counted and not named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from checkers.verdict import Status
from harness.cluster.base import NodeState
from harness.plan import SIMULATED, Plan
from harness.report.ledger_table import describe
from harness.report.live_state import COLUMNS, Active, LiveState
from harness.report.timeline import Glyphs, sparkline

NODES_SHOWN_MAX: Final = 7
NODES_SHOWN_MIN: Final = 4
"""On a low terminal, strips make way for so many lines about nodes."""
BEYOND_MAX: Final = 10
"""Columns after the time limit."""
LABEL_CHARS: Final = 14
NOTE_CHARS: Final = 24
"""What is said beside the bar and the strips has at least so much room."""
COLUMNS_MIN: Final = 10
WHAT_CHARS_MIN: Final = 20

OUTCOME_STYLES: Final = {"ok": "green", "fail": "yellow", "info": "magenta"}
_NODE_STYLES: Final[dict[NodeState, str]] = {"up": "green", "down": "red", "paused": "yellow"}


class Checked(NamedTuple):
    """A checker that has judged."""

    name: str
    status: Status
    took_s: float


@dataclass(slots=True)
class Scene:
    """What is drawn beside the numbers. `rate` is completions per second, `rates` by node what was `ok` a
    second. `fraction` is how much of the phase is done, `eta_s` how long it, or the checker at work, will
    still take (seconds of real time; None: nobody knows). `anomalies` are sentences, `checked` the checkers
    that are done; if there are any, nodes are of no interest any more."""

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
    checked: Sequence[Checked] = ()
    started: bool = False


def panel(scene: Scene, state: LiveState, glyphs: Glyphs, width: int, height: int) -> RenderableType:
    """`width` and `height`: of the terminal, in characters."""
    plan = scene.plan
    what = f"{plan.workload}, {plan.level}, on {plan.cluster}, seed {plan.seed}"
    eta = "" if scene.eta_s is None else f"; {scene.eta_s:.0f} s to go"
    head = Text.assemble(
        (f"{scene.phase:<{LABEL_CHARS}}  ", "bold cyan"),
        (scene.detail or what) + eta,
        no_wrap=True,
        overflow="ellipsis",
    )
    if not scene.started:
        return head
    room = max(1, width - LABEL_CHARS - 2)
    columns = max(COLUMNS_MIN, min(COLUMNS, room - 2 - NOTE_CHARS))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", width=LABEL_CHARS)
    rows.add_column()
    rows.add_row("", _bar(scene, columns))
    rows.add_row("operations", _operations(scene, state))
    anomalies = scene.anomalies[:1]
    left = height - 1 - rows.row_count - 1 - sum(math.ceil(len(each) / room) for each in anomalies)
    left -= 0 if scene.checked else len(state.active)
    strips = _strips(state, glyphs, columns)[: max(0, left - NODES_SHOWN_MIN)]
    for label, line in strips:
        rows.add_row(label, line)
    for anomaly in anomalies:
        rows.add_row(Text("anomaly", "not dim bold red"), Text(anomaly, "red"))
    if scene.checked:
        rows.add_row("checked", _checked(scene.checked))
        return Group(head, rows)
    for active in state.active.values():
        rows.add_row(Text(active.name, "not dim red"), _fault(active, scene.elapsed_s, room))
    rows.add_row("nodes", _nodes(scene, state, left - len(strips)))
    return Group(head, rows)


def _bar(scene: Scene, columns: int) -> RenderableType:
    limit_s = scene.plan.time_limit_s
    virtual = "virtual " if scene.plan.cluster in SIMULATED else ""
    row = Table.grid(padding=(0, 2))
    if scene.fraction is None:
        bar = ProgressBar(total=limit_s, completed=min(scene.elapsed_s, limit_s), width=columns)
    else:
        bar = ProgressBar(total=1.0, completed=scene.fraction, width=columns)
    limit = f" of {limit_s:g}" if scene.elapsed_s <= limit_s else ""
    row.add_row(bar, Text(f"{scene.elapsed_s:.1f}{limit} {virtual}s", no_wrap=True))
    return row


def _checked(checked: Sequence[Checked]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, status, took_s in checked:
        style = "red" if status is Status.INVALID else "green" if status is Status.VALID else "yellow"
        table.add_row(name, Text(status.value, style), Text(f"{took_s:.1f} s", "dim"))
    return table


def _operations(scene: Scene, state: LiveState) -> Text:
    text = Text()
    for kind, style in OUTCOME_STYLES.items():
        text.append(f"{kind} ", "dim").append(f"{state.counts[kind]:,}", style).append("   ")
    return text if scene.checked else text.append(f"{scene.rate:,.0f}/s")


def _strips(state: LiveState, glyphs: Glyphs, columns: int) -> list[tuple[str, Text]]:
    buckets = state.buckets[: COLUMNS + BEYOND_MAX]
    if not buckets:
        return []
    most = max(bucket.ok for bucket in buckets) / state.bucket_s
    slowest = max(bucket.p99_ms or 0 for bucket in buckets)
    heights = [0 if bucket.p99_ms is None else _height(bucket.p99_ms, slowest) for bucket in buckets]
    faults = [bucket.faults for bucket in buckets]

    def strip(values: Sequence[int], style: str, note: str) -> Text:
        cells = sparkline(_fewer(values, columns), glyphs.spark)
        return Text.assemble(
            (f"{cells:<{columns}}", style), (f"  {note}", "dim"), no_wrap=True, overflow="ellipsis"
        )

    lines = [
        ("ok/s", strip([bucket.ok for bucket in buckets], "green", f"at most {most:,.0f}/s")),
        ("p99", strip(heights, "cyan", f"{_ms(state.p99_ms)}, at most {_ms(slowest)}")),
    ]
    if any(faults):
        lines.append(("faults", strip(faults, "red", f"{max(faults)} at once, at most")))
    return lines


def _fewer(values: Sequence[int], columns: int) -> list[int]:
    """As many as there is room for: of those that share a column the greatest."""
    if columns >= COLUMNS:
        return list(values)
    found: dict[int, int] = {}
    for number, value in enumerate(values):
        column = number * columns // COLUMNS
        found[column] = max(value, found.get(column, 0))
    return list(found.values())


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


def _nodes(scene: Scene, state: LiveState, room: int) -> RenderableType:
    """Each node; of more than there is room for, how many are well, and which are not, as far as it goes."""
    shown = list(scene.states)
    if len(shown) > min(NODES_SHOWN_MAX, room):
        shown = [node for node in shown if _is_troubled(node, scene, state)]
        shown.sort(key=lambda node: scene.states[node] == "up")
    table = Table.grid(padding=(0, 2))
    if len(shown) < len(scene.states):
        table.add_row(str(len(scene.states) - len(shown)), Text("up", _NODE_STYLES["up"]))
        room -= 1
    hidden = shown[max(0, room - 1) :] if len(shown) > room else []
    for node in shown[: len(shown) - len(hidden)]:
        is_ = scene.states[node]
        deaf = " ".join(state.deaf.get(node, ()))
        cut = [f"does not hear {deaf}"] if deaf else []
        cut += ["clients cut off"] if node in state.cut_off else []
        served = f"{scene.rates.get(node, 0.0):,.0f} ok/s"
        trouble = Text("; ".join(cut), "red", no_wrap=True, overflow="ellipsis")
        table.add_row(node, Text(is_, _NODE_STYLES[is_]), Text(served, "dim", no_wrap=True), trouble)
    if hidden:
        table.add_row(f"and {len(hidden)} more")
    return table


def _is_troubled(node: str, scene: Scene, state: LiveState) -> bool:
    return scene.states[node] != "up" or node in state.cut_off or bool(state.deaf.get(node))
