"""The plain sections of the page, which need no script: the verdict and why, what contradicts itself, what
each checker says, counts and latencies, the fault ledger, and the commands to do it again."""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from checkers.linear.draw import svg
from checkers.linear.draw.words import escaped
from checkers.verdict import Verdict
from harness.ledger import Entry
from harness.plan import SERVICE, SIMULATED, replay_command
from harness.report import counterexample, perf
from harness.report.console import headline
from harness.report.html.data import leaves, shown
from harness.report.ledger_table import describe
from harness.report.summary import RunSummary

COUNTEREXAMPLES_MAX: Final = 12
BAR_CHARS: Final = 44
ROWS_MAX: Final = 100
STEPS_MAX: Final = 8
DETAILS_CHARS_MAX: Final = 20_000


def header(run: RunSummary) -> str:
    plan = run.plan
    status, said = headline(run)
    clock = " of virtual time" if plan.cluster in SIMULATED else ""
    every = f", every {plan.fault_interval_s:g} s or so" if plan.faults else ""
    nodes = f"{len(plan.nodes)} node{'s' * (len(plan.nodes) != 1)}"
    clients = f"{plan.concurrency} client{'s' * (plan.concurrency != 1)}"
    known = plan.cluster != SERVICE
    facts = [
        ("workload", plan.workload + f", level {plan.level}" * known),
        ("cluster", f"{plan.cluster}, {nodes}" + f", replication {plan.replication}" * known),
        ("faults", (", ".join(plan.faults) or "none") + every),
        ("ran", f"{perf.duration_s(run.history):.1f} s{clock}, {clients}"),
        ("seed", str(plan.seed)),
    ]
    if run.interrupted_s is not None:
        facts.append(("ended early", f"at {run.interrupted_s:.1f} of {plan.time_limit_s:g} s"))
    facts += [("note", note) for note in run.notes]
    listed = "".join(f"<div><dt>{name}</dt><dd>{escaped(value)}</dd></div>" for name, value in facts)
    return f"""<header>
<p class="brand">Stormcellar report</p>
<h1><span class="verdict">{escaped(status)}</span></h1>
<p class="lead">{escaped(_sentence(said))}</p>
<dl class="facts">{listed}</dl>
</header>"""


def counterexamples(run: RunSummary) -> str:
    """A drawing for each violation whose operations are told."""
    found = [leaf for leaf in leaves(run.verdict) if counterexample.operations(leaf)]
    if not found:
        return ""
    drawn = "".join(_counterexample(leaf) for leaf in found[:COUNTEREXAMPLES_MAX])
    more = len(found) - COUNTEREXAMPLES_MAX
    rest = f"<p>And {more} more, all in results.json.</p>" if more > 0 else ""
    return f'<section id="wrong"><h2>What contradicts itself</h2>{drawn}{rest}</section>'


def untimed() -> str:
    return '<section id="time"><h2>Over time</h2><p>No times were recorded.</p></section>'


def left_out(found: Mapping[str, Any]) -> str:
    """What is said if not all operations are in the data `found`."""
    there = len(found["ops"]["start"])
    if there == found["of"]:
        return ""
    said = (
        f"Only the first {there:,} of {found['of']:,} operations are drawn; all of them are in history.jsonl."
    )
    return f'<p class="notice">{said}</p>'


def checkers(verdict: Verdict) -> str:
    rows = "".join(_checker(part) for part in verdict.parts or (verdict,))
    return f'<section id="checkers"><h2>Checkers</h2><ul class="checkers">{rows}</ul></section>'


def operations(kinds: Sequence[perf.Kind]) -> str:
    if not kinds:
        return '<section id="operations"><h2>Operations</h2><p>None were asked for.</p></section>'
    shown_kinds = [*kinds, perf.together(kinds, "all")] if len(kinds) > 1 else list(kinds)
    rows = "".join(_kind(kind) for kind in shown_kinds)
    return f"""<section id="operations"><h2>Operations</h2>
<div class="wide"><table class="figures">
<thead><tr><th scope="col">operation</th><th scope="col">total</th><th scope="col">ok</th>\
<th scope="col">fail</th><th scope="col">info</th><th scope="col">p50 ms</th><th scope="col">p95 ms</th>\
<th scope="col">p99 ms</th><th scope="col">max ms</th></tr></thead>
<tbody>{rows}</tbody></table></div>
<p class="faint">Latencies are those of operations that were ok; failed and indefinite ones are not timed.</p>
</section>"""


def faults(entries: Sequence[Entry]) -> str:
    if not entries:
        return '<section id="faults"><h2>Faults</h2><p>None were injected.</p></section>'
    rows = "".join(_entry(number, entry) for number, entry in enumerate(entries))
    return f"""<section id="faults"><h2>Fault ledger</h2>
<div class="wide"><table class="ledger">
<thead><tr><th scope="col">fault</th><th scope="col">what</th><th scope="col">intended s</th>\
<th scope="col">applied s</th><th scope="col">healed s</th><th scope="col">bit</th>\
<th scope="col">evidence</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def replay(run: RunSummary) -> str:
    again = replay_command(run.plan)
    same = "the same history, byte for byte" if run.plan.cluster in SIMULATED else "the same plan"
    place = shlex.quote(str(run.run_dir))
    commands = [(again, same)]
    if run.plan.cluster != SERVICE:
        commands.append((f"harness analyze {place}", "judge what was recorded again"))
    items = "".join(
        f'<li><code>{escaped(command)}</code><button type="button" class="copy" hidden>copy</button>'
        f'<span class="faint">{escaped(said)}</span></li>'
        for command, said in commands
    )
    versions = ", ".join(f"{name} {version}" for name, version in run.plan.versions.items())
    asked = shlex.join(run.plan.argv)
    return f"""<section id="replay"><h2>Again</h2><ul class="commands">{items}</ul>
<dl class="facts plain"><div><dt>asked for as</dt><dd><code>{escaped(asked)}</code></dd></div>
<div><dt>history</dt><dd><code>sha256 {escaped(run.digest)}</code></dd></div>
<div><dt>made with</dt><dd>{escaped(versions)}</dd></div></dl></section>"""


# Rows -----------------------------------------------------------------------------------------------------


def _checker(part: Verdict) -> str:
    details = ""
    if part.details:
        text = msgspec.json.format(msgspec.json.encode(part.details, enc_hook=str), indent=2).decode()
        if len(text) > DETAILS_CHARS_MAX:
            text = text[:DETAILS_CHARS_MAX] + "\n… all of it is in results.json"
        lines = "\n".join(escaped(line) for line in text.split("\n"))
        details = f"<details><summary>figures</summary><pre>{lines}</pre></details>"
    return (
        f'<li><span class="status {part.status.value}">{part.status.value}</span> '
        f"<strong>{escaped(part.checker)}</strong> <span>{escaped(shown(part.summary))}</span>{details}</li>"
    )


def _kind(kind: perf.Kind) -> str:
    counts = "".join(
        f'<td class="{outcome if getattr(kind, outcome) else "faint"}">{getattr(kind, outcome):,}</td>'
        for outcome in perf.OUTCOMES
    )
    latencies = "".join(f"<td>{_ms(kind.latency_ms(fraction))}</td>" for fraction in (0.5, 0.95, 0.99, 1.0))
    name = escaped(shown(kind.f))
    return f'<tr><th scope="row">{name}</th><td>{kind.total:,}</td>{counts}{latencies}</tr>'


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _entry(number: int, entry: Entry) -> str:
    bit = {True: "yes", False: "no", None: "unknown"}[entry.observed]
    bit = "failed" if entry.applied_s is None else bit
    healed = "never" if entry.healed_s is None and entry.applied_s is not None else _seconds(entry.healed_s)
    evidence = "; ".join(part for part in (entry.error, entry.evidence) if part)
    what = escaped(shown(describe(entry.value)))
    return (
        f'<tr><th scope="row"><button type="button" class="link" data-fault="{number}" '
        f'title="show it in the timeline">{escaped(entry.fault)}</button></th><td>{what}</td>'
        f"<td>{_seconds(entry.intended_s)}</td><td>{_seconds(entry.applied_s)}</td>"
        f'<td class="{"bad" if healed == "never" else ""}">{healed}</td><td class="bit {bit}">{bit}</td>'
        f"<td>{escaped(evidence)}</td></tr>"
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


# Counterexamples ------------------------------------------------------------------------------------------


def _counterexample(leaf: Verdict) -> str:
    told = counterexample.operations(leaf)
    key = leaf.details.get("key")
    title = leaf.checker if key is None else f"{leaf.checker}: key {key}"
    events = ",".join(str(each.start) for each in told)
    drawing = _drawing(leaf) if "model" in leaf.details else _bars(leaf, told)
    return (
        f'<article class="counterexample"><h3>{escaped(shown(title))} '
        f'<button type="button" class="link" data-events="{events}" hidden>show in the timeline</button></h3>'
        f"{drawing}</article>"
    )


def _drawing(leaf: Verdict) -> str:
    """The checker's own picture; a picture is all that it can be there, whatever is written in it."""
    drawn = b64encode(svg(leaf).encode()).decode()
    return (
        f'<div class="wide"><img alt="{escaped(shown(leaf.summary))}" '
        f'src="data:image/svg+xml;base64,{drawn}"></div>'
    )


def _bars(leaf: Verdict, told: Sequence[counterexample.Told]) -> str:
    """What any other checker tells: its sentences, and a bar for each operation, in their order in time."""
    first, *more = (shown(str(words).strip()) for words in leaf.details.get("explanation") or [leaf.summary])
    sentences = f"<p>{escaped(_sentence(first))}</p>{_steps(more)}"
    blocked_at = leaf.details.get("blocked_at")
    earlier = len(told) - ROWS_MAX
    rows = [f'<tr><td colspan="4">and {earlier:,} earlier ones</td></tr>'] if earlier > 0 else []
    told = told[-ROWS_MAX:]
    for row, bar in zip(told, counterexample.bars(told, blocked_at, BAR_CHARS), strict=True):
        begin = f"{row.invoked_ns / 1e9:.3f} s" if row.invoked_ns >= 0 else f"event {row.start}"
        mark = "bad" if row.last is not None and row.last == blocked_at else row.outcome
        rows.append(
            f'<tr class="{escaped(mark)}"><td>{escaped(row.process)}</td><td>{escaped(shown(row.in_words))}'
            f'</td><td>{begin}</td><td class="bar">{escaped(bar).replace(" ", "&nbsp;")}</td></tr>'
        )
    return (
        f'{sentences}<div class="wide"><table class="bars"><thead><tr><th scope="col">process</th>'
        '<th scope="col">operation</th><th scope="col">from</th><th scope="col">order in time</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _steps(words: Sequence[str]) -> str:
    """What else there is to say, folded away if it is much."""
    if not words:
        return ""
    steps = f'<ul class="steps">{"".join(f"<li>{escaped(each)}</li>" for each in words)}</ul>'
    if len(words) <= STEPS_MAX:
        return steps
    return f"<details><summary>in {len(words):,} steps</summary>{steps}</details>"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words[-1:] in ("", ".", ":") else ".")
