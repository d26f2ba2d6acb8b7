"""The pages of `harness serve`: plain HTML that needs no script. What comes from a run is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from time import time
from typing import Final
from urllib.parse import quote

from checkers.history import HistoryError
from checkers.linear.draw.words import escaped
from harness import compare
from harness.compare import Headline
from harness.compare_command import rows, sentences
from harness.plan import Plan, PlanError
from harness.report.artifacts import RunDir
from harness.serve.paths import FILES_MAX

GOES_ON_S: Final = 5.0
"""A run without results whose history was written to so lately goes on."""

Name = tuple[str, str]
"""The workload and the time of a run."""


def index(listed: Sequence[tuple[Name, RunDir]]) -> str:
    if not listed:
        return _page("Runs", "<p>There are no runs here yet: <code>harness run</code> makes one.</p>")
    body = "".join(_line(number, name, run) for number, (name, run) in enumerate(listed))
    return _page(
        f"{len(listed)} run{'s' * (len(listed) != 1)}",
        f"""<form action="/compare"><div class="wide"><table>
<tr><th>A B</th><th>run</th><th>verdict</th><th>workload</th><th>cluster</th><th>faults</th><th>seed</th></tr>
{body}</table></div><p><button>Compare A with B</button></p></form>""",
    )


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
        f'{verdict}{report}<div class="wide"><table><tr><th>file</th><th class="right">bytes</th></tr>'
        f"{listed}</table></div>{more}",
    )


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
    said = "".join(f"<p>{escaped(sentence)}</p>" for sentence in sentences(found))
    return _page(
        "Two runs",
        f"<p>A: {_link(a[0])}<br>B: {_link(b[0])}</p>{said}"
        '<div class="wide"><table><tr><th></th><th class="right">A</th><th class="right">B</th>'
        f'<th class="right">B against A</th></tr>{body}</table></div>',
    )


def refusal(sentence: str) -> str:
    return _page("Not here", f"<p>{escaped(sentence)}</p>")


def _line(number: int, name: Name, run: RunDir) -> str:
    plan = _plan(run)
    value, shown = escaped(_quoted("/".join(name), safe="/")), escaped("/".join(name))
    chosen = [" checked" if number == at else "" for at in (1, 0)]
    picks = "".join(
        f'<input type="radio" name="{side}" value="{value}" aria-label="{side.upper()}: {shown}"{mark}>'
        for side, mark in zip("ab", chosen, strict=True)
    )
    facts = ("", "", "", "") if plan is None else _facts(plan)
    cells = "".join(f"<td>{escaped(fact)}</td>" for fact in facts)
    status = _verdict(run, compare.read_headline(run))
    return f"<tr><td>{picks}</td><td>{_link(name)}</td><td>{status}</td>{cells}</tr>"


def _facts(plan: Plan) -> tuple[str, str, str, str]:
    return (
        f"{plan.workload}, {plan.level}",
        f"{plan.cluster}, {len(plan.nodes)} nodes",
        ", ".join(plan.faults) or "none",
        str(plan.seed),
    )


def _plan(run: RunDir) -> Plan | None:
    try:
        return run.read_plan()
    except PlanError:
        return None


def _status(status: str) -> str:
    return f'<b class="status {escaped(status)}">{escaped(status)}</b>'


def _verdict(run: RunDir, judged: Headline | None) -> str:
    if judged is not None:
        return _status(judged.status)
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
<title>{escaped(title)} - Stormcellar</title>
<style>{_style()}</style>
</head>
<body><p class="faint"><a href="/">Stormcellar</a></p><h1>{escaped(title)}</h1>{body}</body>
</html>
"""
