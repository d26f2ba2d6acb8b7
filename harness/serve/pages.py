"""The pages of `harness serve`: plain HTML that needs no script. What comes from a run is escaped."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache
from importlib import resources
from time import time
from typing import Final
from urllib.parse import quote, urlencode

from checkers.history import HistoryError
from checkers.linear.draw.words import escaped
from harness import compare
from harness.commands.compare import rows, sentences
from harness.compare import Headline
from harness.plan import SERVICE, Plan, PlanError, replay_command
from harness.report.artifacts import RunDir
from harness.serve.paths import FILES_MAX, Name

GOES_ON_S: Final = 5.0
"""A run without results whose history was written to so lately goes on."""

RUNS_MAX: Final = 200
"""So many runs are on one page of the list."""


def index(found: Sequence[tuple[Name, RunDir]], words: str, skipped: int) -> str:
    """`found`: all runs, the newest first. `words`: those of which all begin words of what is listed are
    shown, but for the first `skipped`."""
    if not found:
        return _page("Runs", "<p>There are no runs here yet: <code>harness run</code> makes one.</p>")
    wanted = _words(words)
    matching = [(name, run) for name, run in found if not wanted or _matches(wanted, name, run)]
    skipped = min(skipped, max(0, len(matching) - 1) // RUNS_MAX * RUNS_MAX)
    shown = matching[skipped : skipped + RUNS_MAX]
    search = (
        f'<form action="/"><input type="search" name="q" value="{escaped(words)}" aria-label="Filter" '
        f'placeholder="name, verdict, level, fault, seed..."><button>Filter</button></form>'
    )
    count = f"{len(found)} run{'s' * (len(found) != 1)}"
    title = f"{len(matching)} of {count}" if wanted else count
    listed = _listed(shown) if shown else "<p>None of them is like that.</p>"
    return _page(title, search + listed + _turning(words, skipped, len(matching)))


def _listed(shown: Sequence[tuple[Name, RunDir]]) -> str:
    several = len(shown) > 1
    body = "".join(_line(number if several else None, name, run) for number, (name, run) in enumerate(shown))
    pick, button = (
        ("<th>A B</th>", '<p class="stays"><button>Compare A with B</button></p>') if several else ("", "")
    )
    return f"""<form action="/compare"><div class="wide"><table class="runs">
<tr>{pick}<th>run</th><th>verdict</th><th>workload</th><th>cluster</th><th>faults</th><th>seed</th></tr>
{body}</table></div>{button}</form>"""


def _turning(words: str, skipped: int, count: int) -> str:
    """Which of them these are, and the way to the others, if there are any."""
    if count <= RUNS_MAX and not skipped:
        return ""
    places = {"Newer": skipped - RUNS_MAX, "Older": skipped + RUNS_MAX}
    links = "".join(
        f' <a href="/?{escaped(urlencode({"q": words, "from": max(0, place)}))}">{text}</a>'
        for text, place in places.items()
        if -RUNS_MAX < place < count
    )
    return f"<p>From {skipped + 1} to {min(skipped + RUNS_MAX, count)}, newest first.{links}</p>"


def _matches(wanted: Sequence[str], name: Name, run: RunDir) -> bool:
    plan, judged = _plan(run), compare.read_headline(run)
    facts = () if plan is None else _facts(plan)
    listed = _words(" ".join([*name, _status_of(run, judged), *facts]))
    return all(any(word.startswith(each) for word in listed) for each in wanted)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.:=]+", text.lower())


def one(name: Name, run: RunDir, found: Sequence[tuple[str, int]]) -> str:
    place = _place(name)
    judged = compare.read_headline(run)
    verdict = f"<p>{_verdict(run, judged)} {escaped(judged.summary if judged else '')}</p>"
    more = f"<p>Only {FILES_MAX} of its files are listed.</p>" if len(found) == FILES_MAX else ""
    names = {path for path, _ in found}
    report = f'<p><a href="{place}/report.html">The report</a></p>' if "report.html" in names else ""
    listed = "".join(
        f'<tr><td><a href="{place}/{_quoted(path, safe="/")}">{escaped(path)}</a></td>'
        f'<td class="right">{size:,}</td></tr>'
        for path, size in found
    )
    return _page(
        "/".join(name),
        f'{verdict}{report}{_about(run, judged)}<div class="wide"><table><tr><th>file</th>'
        f'<th class="right">bytes</th></tr>{listed}</table></div>{more}',
    )


def _about(run: RunDir, judged: Headline | None) -> str:
    """What was planned, and which commands run it, or judge it, again."""
    plan = _plan(run)
    if plan is None:
        return "<p>Its plan cannot be read.</p>"
    commands = {"again": replay_command(plan)}
    if judged is None and plan.cluster != SERVICE:
        commands["to judge it"] = shlex.join(["harness", "analyze", str(run.path)])
    workload, cluster, faults, seed = _facts(plan)
    facts = {"workload": workload, "cluster": cluster, "faults": faults, "seed": seed}
    rows = [f"<dt>{name}</dt><dd>{escaped(fact)}</dd>" for name, fact in facts.items()]
    rows += [f"<dt>{name}</dt><dd><code>{escaped(words)}</code></dd>" for name, words in commands.items()]
    return f"<dl>{''.join(rows)}</dl>"


def side_by_side(a: tuple[Name, RunDir], b: tuple[Name, RunDir]) -> str:
    try:
        found = compare.compare(a[1], b[1])
    except (PlanError, HistoryError) as error:
        return _page("Compare", f"<p>{escaped(error)}</p>")
    body = "".join(
        f"<tr><td>{escaped(label)}</td>"
        + "".join(f'<td class="right {escaped(cell)}">{escaped(cell)}</td>' for cell in cells)
        + "</tr>"
        for label, *cells in rows(found)
    )
    said = "".join(
        f'<p class="{"detail" if line.startswith(" ") else ""}">{escaped(line)}</p>'
        for line in sentences(found)
    )
    return _page(
        "Two runs",
        f"<p>A: {_link(a[0])}<br>B: {_link(b[0])}</p>{said}"
        '<div class="wide"><table class="sides"><tr><th></th><th class="right">A</th><th class="right">B</th>'
        f'<th class="right">B against A</th></tr>{body}</table></div>',
    )


def refusal(sentence: str) -> str:
    return _page("Not here", f"<p>{escaped(sentence)}</p>")


def _line(number: int | None, name: Name, run: RunDir) -> str:
    """`number`: which of those it is that can be compared; None: there is no other."""
    plan = _plan(run)
    facts = ("", "", "", "") if plan is None else _facts(plan)
    cells = "".join(f"<td>{escaped(fact)}</td>" for fact in facts)
    status = _verdict(run, compare.read_headline(run))
    picks = "" if number is None else f"<td>{_picks(number, name)}</td>"
    return f"<tr>{picks}<td>{_link(name)}</td><td>{status}</td>{cells}</tr>"


def _picks(number: int, name: Name) -> str:
    """At first the newest is B, and the one before it A."""
    value, shown = escaped(_quoted("/".join(name), safe="/")), escaped("/".join(name))
    chosen = [" checked" if number == at else "" for at in (1, 0)]
    return "".join(
        f'<input type="radio" name="{side}" value="{value}" aria-label="{side.upper()}: {shown}"{mark}>'
        for side, mark in zip("ab", chosen, strict=True)
    )


def _facts(plan: Plan) -> tuple[str, str, str, str]:
    return (
        f"{plan.workload}, {plan.level}",
        f"{plan.cluster}, {len(plan.nodes)} node{'s' * (len(plan.nodes) != 1)}",
        ", ".join(plan.faults) or "none",
        str(plan.seed),
    )


def _plan(run: RunDir) -> Plan | None:
    try:
        return run.read_plan()
    except PlanError:
        return None


def _verdict(run: RunDir, judged: Headline | None) -> str:
    status = escaped(_status_of(run, judged))
    if judged is None:
        return status
    stopped = "" if judged.interrupted_s is None else f", stopped at {judged.interrupted_s:.1f} s"
    return f'<b class="status {status}">{status}</b>{stopped}'


def _status_of(run: RunDir, judged: Headline | None) -> str:
    if judged is not None:
        return judged.status
    if run.results.exists():
        return "its results cannot be read"
    return "goes on" if _is_written_to(run) else "not judged"


def _is_written_to(run: RunDir) -> bool:
    try:
        return abs(time() - run.history.stat().st_mtime) < GOES_ON_S
    except OSError:
        return False


def _place(name: Name) -> str:
    return "/runs/" + "/".join(_quoted(part) for part in name)


def _quoted(name: str, safe: str = "") -> str:
    return quote(name, safe=safe, errors="surrogateescape")


def _link(name: Name) -> str:
    return f'<a href="{_place(name)}/">{escaped("/".join(name))}</a>'


@cache
def _style() -> str:
    return resources.files(__package__).joinpath("page.css").read_text("utf-8")


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escaped(title)} - Stormcellar</title>
<style>{_style()}</style>
</head>
<body><p class="faint"><a href="/">Stormcellar</a></p><h1>{escaped(title)}</h1>{body}</body>
</html>
"""
