"""The page: its sections, and around them what makes it one file that asks nobody for anything."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

from checkers.linear.draw.words import escaped
from harness.plan import SERVICE
from harness.report import perf
from harness.report.html import parts
from harness.report.html.data import data, packed
from harness.report.summary import FAILED, RunSummary
from harness.sightings import Sighting

SCRIPTS: Final = ("data.js", "view.js", "lanes.js", "flow.js", "strips.js", "tools.js", "main.js")


def page(run: RunSummary, sightings: Sequence[Sighting] = ()) -> str:
    """The whole page of one run. `sightings`: what its nodes told of themselves, if that was recorded."""
    found = data(run.plan, run.history, run.verdict, run.entries, sightings)
    drawn = bool(found["ops"]["start"]) and found["span_s"] > 0
    styles, script = _file("page.css"), _script()
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(styles)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    word = FAILED if run.failures else run.verdict.status.value
    plan = run.plan
    level = f", level {plan.level}" * (plan.cluster != SERVICE)
    title = f"{word}: {plan.workload}{level}, on {plan.cluster}, seed {plan.seed}"
    ending = f'<script type="text/plain" id="data">{packed(found)}</script>\n<script>{script}</script>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{styles}</style>
</head>
<body class="{word}">
{parts.header(run)}
<main>
{parts.counterexamples(run)}
{parts.left_out(found) + _file("over_time.html") if drawn else parts.untimed()}
{parts.checkers(run.verdict)}
{parts.operations(perf.kinds(run.history))}
{parts.faults(run.entries)}
{parts.replay(run)}
</main>
{ending if drawn else ""}
</body>
</html>
"""


@cache
def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


@cache
def _script() -> str:
    pieces = "\n".join(_file(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{pieces}}})();\n'


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
