"""The report of a run on a terminal: what was run, the verdict and why, and what it rests on.

Everything is drawn with rich, which leaves out colours and box characters where the terminal has none; what
this file draws itself has an ASCII form too. Status is always a word, never only a colour.

Left out on purpose: anything that is not in the `RunSummary`; reports are made from values, so a run that
was recorded elsewhere looks the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from checkers.verdict import Status, Verdict
from harness.plan import SERVICE, SIMULATED, replay_command
from harness.report import counterexample, perf, timeline
from harness.report.ledger_table import ledger_table
from harness.report.summary import FAILED, RunSummary

STYLES: Final = {
    Status.VALID: "green",
    Status.VACUOUS: "yellow",
    Status.UNKNOWN: "yellow",
    Status.INVALID: "red",
}

QUANTILES: Final[tuple[dict[str, float], ...]] = (
    {"p50 ms": 0.5, "p95 ms": 0.95, "p99 ms": 0.99, "max ms": 1.0},
    {"p50 ms": 0.5, "p99 ms": 0.99},
    {"p50 ms": 0.5},
    {},
)
"""The columns of latency, for wide terminals and for ever narrower ones."""


def render(console: Console, run: RunSummary) -> None:
    """Print the whole report of one run."""
    glyphs = _glyphs(console)
    span_s = perf.duration_s(run.history)
    _print(console, Rule("Stormcellar", style="dim"))
    _print(console, _header(run, span_s))
    _print(console, banner(run))
    if run.history or not run.failures:  # one that failed before it began has nothing to judge
        _section(console, "Operations", _operations(run, console))
        _section(console, "Checkers", _checkers(run.verdict))
    if run.entries:
        _section(console, "Faults", ledger_table(run.entries, console.width - 2))
    strip = timeline.strip(run.history, run.entries, span_s, console.width - 2, glyphs)
    if strip is not None:
        _section(console, "Timeline", strip)
    for part in counterexample.panels(run.verdict, console.width, glyphs):
        _print(console, "", part)
    _print(console, "", _footer(run))


def render_check(console: Console, file: str, verdict: Verdict) -> None:
    """Print what `harness check` has to say of one file."""
    line = Text.assemble((f"{verdict.status.value:<8}", f"bold {STYLES[verdict.status]}"), f" {file}  ")
    console.print(line.append(verdict.summary, "dim"), soft_wrap=True)
    for part in counterexample.panels(verdict, console.width, _glyphs(console), "of them with --json"):
        _print(console, part)


def banner(run: RunSummary) -> RenderableType:
    """The verdict, large, and one sentence why; of a run that failed, first of all that it did."""
    word, sentence = headline(run)
    style = "red" if run.failures else STYLES[run.verdict.status]
    return Panel(
        Text.assemble((" ".join(word.upper()), f"bold {style}"), "    ", sentence),
        box=box.HEAVY,
        border_style=style,
        padding=(0, 2),
    )


def headline(run: RunSummary) -> tuple[str, str]:
    """What the run came to, in a word and a sentence."""
    word, sentence = run.verdict.status.value, why(run.verdict)
    if run.failures:
        recorded = (
            f"What was recorded until then is {word}: {sentence}" if run.history else "Nothing was recorded"
        )
        return FAILED, f"{'; '.join(run.failures)}. {recorded}"
    if run.interrupted_s is not None and run.verdict.status is Status.VALID:
        return word, f"until it was stopped at {run.interrupted_s:.1f} s, {sentence}"
    return word, sentence


def why(verdict: Verdict) -> str:
    """One sentence: what the first of the deciding checkers says, and how many more say the same."""
    deciding = [part for part in verdict.parts if part.status is verdict.status]
    if not deciding:
        return verdict.summary
    if verdict.status is Status.VALID:
        return f"nothing is wrong: {deciding[0].summary}"
    more = f" (and {len(deciding) - 1} more, see below)" if len(deciding) > 1 else ""
    return f"{deciding[0].checker}: {deciding[0].summary}{more}"


def _print(console: Console, *parts: RenderableType) -> None:
    """Whatever text is in `parts` is text, not markup, and is coloured by nobody else."""
    for part in parts:
        console.print(part, markup=False, highlight=False)


def _glyphs(console: Console) -> timeline.Glyphs:
    return timeline.ASCII if console.options.ascii_only else timeline.UNICODE


def _section(console: Console, title: str, body: RenderableType) -> None:
    _print(console, "", Text(title, "bold cyan"), Padding(body, (0, 0, 0, 2)))


def _header(run: RunSummary, span_s: float) -> RenderableType:
    plan = run.plan
    count = len(plan.nodes)
    clock = " of virtual time" if plan.cluster in SIMULATED else ""
    asked = "" if plan.demo else f", {plan.rate:g} operations/s asked for"  # a demo's clients have their own
    ran = f"{span_s:.1f} s{clock}, {plan.concurrency} clients{asked}"
    if run.interrupted_s is not None:
        violated = plan.stop_on_violation and run.verdict.status is Status.INVALID
        ended = "stopped by a violation" if violated else "interrupted"
        ran += f"; {ended} at {run.interrupted_s:.1f} of {plan.time_limit_s:g} s"
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    known = plan.cluster != SERVICE
    facts.add_row("workload", plan.workload + f", level {plan.level}" * known)
    facts.add_row(
        "cluster",
        f"{plan.cluster}, {count} node{'s' * (count > 1)}" + f", replication {plan.replication}" * known,
    )
    every = f", every {plan.fault_interval_s:g} s or so" if plan.faults else ""
    facts.add_row("faults", (", ".join(plan.faults) or "none") + every)
    facts.add_row("ran", ran)
    facts.add_row("seed", str(plan.seed))
    return Padding(facts, (0, 0, 0, 2))


def _operations(run: RunSummary, console: Console) -> RenderableType:
    """With as many of the quantiles as there is room for."""
    kinds = perf.kinds(run.history)
    if not kinds:
        return Text("none were asked for", "yellow")
    tables = [_operations_table(kinds, quantiles) for quantiles in QUANTILES]
    unlimited = console.options.update(max_width=1000)
    widths = [Measurement.get(console, unlimited, table).maximum for table in tables]
    return next(
        (table for table, width in zip(tables, widths, strict=True) if width <= console.width - 2), tables[-1]
    )


def _operations_table(kinds: list[perf.Kind], quantiles: Mapping[str, float]) -> Table:
    table = _table("operation", "total", *perf.OUTCOMES, *quantiles)
    for kind in kinds:
        table.add_row(*_kind_cells(kind, quantiles.values()))
    if len(kinds) > 1:
        table.add_section()
        table.add_row(*_kind_cells(perf.together(kinds, "all"), quantiles.values()), style="bold")
    return table


def _kind_cells(kind: perf.Kind, quantiles: Iterable[float]) -> list[RenderableType]:
    counts = [
        Text(f"{getattr(kind, outcome):,}", timeline.STYLES[outcome] if getattr(kind, outcome) else "dim")
        for outcome in perf.OUTCOMES
    ]
    latencies = [_ms(kind.latency_ms(fraction)) for fraction in quantiles]
    return [kind.f, f"{kind.total:,}", *counts, *latencies]


def _ms(value: float | None) -> str:
    """Three significant figures at most; a hyphen where nothing was timed."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _checkers(verdict: Verdict) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for part in verdict.parts or (verdict,):
        table.add_row(
            Text(part.status.value, STYLES[part.status]), part.checker, Text(part.summary + _share(part))
        )
    return table


def _share(part: Verdict) -> str:
    """The fraction that availability comes to, where the summary does not give it."""
    fraction = part.details.get("fraction")
    return f" ({fraction:.2%})" if isinstance(fraction, float) and "%" not in part.summary else ""


def _footer(run: RunSummary) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("sha256", run.digest)
    facts.add_row("written to", str(run.run_dir))
    if (run.run_dir / "report.html").exists():
        facts.add_row("to look at", str(run.run_dir / "report.html"))
    facts.add_row("run again", Text(replay_command(run.plan), "bold"))
    if run.plan.cluster not in SIMULATED:
        facts.add_row(
            "", Text("(the seed repeats what is asked and which faults come, not the interleaving)", "dim")
        )
    for sentence in run.notes:
        facts.add_row(Text("note", "yellow"), sentence)
    return Padding(facts, (0, 0, 0, 2))


def _table(first: str, *figures: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column(first)
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table
