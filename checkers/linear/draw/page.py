"""The page of a story as HTML: the sentences, the lanes, and beside them what is known of each operation.

Pointing at an operation (or reaching it with Tab or the arrows, or touching it) shows its details and the
orders it is in, and draws the order on the bars; a click keeps it. The page says everything without a script,
too: then the details are below each other, and the bars are links to them. A content security policy lets
only the page's own style and script in, by their hashes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

from checkers.history import Op
from checkers.linear.draw import chart
from checkers.linear.draw.axis import Axis, axis
from checkers.linear.draw.orders import Order
from checkers.linear.draw.story import Shown, Story, story
from checkers.linear.draw.words import escaped, named
from checkers.models import Model, show
from checkers.verdict import Verdict

STEPS_MAX: Final = 24
"""An order of more steps is shown by its ends and what is around the operation that it is about."""
_NEAR: Final = 6


def html(verdict: Verdict, title: str, history: Sequence[Op] = (), model: Model | None = None) -> str:
    """One page, complete in itself; `title` is said above the verdict. `history`: what was judged, needed to
    draw the linearization of a valid verdict. `model`: the one that judged, if not the one that `MODELS` has
    under its name."""
    told = story(verdict, history, model)
    middle = _drawing(told) if told.operations else _undecided(told)
    styles, script = chart.style() + _file("page.css"), _file("page.js") if told.operations else ""
    policy = f"default-src 'none'; style-src '{_hash(styles)}'; script-src '{_hash(script)}'; base-uri 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{chart.KINDS[told.status]}: {escaped(title)}</title>
<style>{styles}</style>
</head>
<body class="{told.status.value}">
{_header(told, title)}
{middle}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


@cache
def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _header(told: Story, title: str) -> str:
    lead, *others = told.said
    lines = "".join(f"<li>{escaped(each)}</li>" for each in told.listed)
    body = []
    for each in others:
        if each.endswith(":") and lines:
            body.append(
                f'<details><summary>{escaped(each[:-1])}</summary><ul class="words">{lines}</ul></details>'
            )
        else:
            body.append(f"<p>{escaped(each)}</p>")
    body += [f'<p class="note">{escaped(each)}</p>' for each in told.notes]
    return f"""<header>
<h1><b>{chart.KINDS[told.status]}</b>{escaped(title)}</h1>
<p class="lead">{escaped(lead)}</p>
{"".join(body)}
</header>"""


# The lanes and what is beside them ----------------------------------------------------------------------


def _drawing(told: Story) -> str:
    drawn = axis(told.operations, chart.chart_labels(told), told.accused)
    side = chart.side_width(drawn)
    names = "\n".join([_ground(drawn, side), *chart.stripes(drawn, side), *chart.lane_names(drawn)])
    scale = "\n".join([_ground(drawn, drawn.width), *chart.scale(drawn)])
    bars = "\n".join(chart.bars(told, drawn, linked=True))
    sections = "\n".join(
        [*_overview(told, drawn), *(_section(told, drawn, number) for number in range(len(told.operations)))]
    )
    return f"""<main>
<div class="drawing">
<div class="scroll">
<svg class="chart names" width="{side:g}" height="{drawn.height:g}" aria-hidden="true">{names}</svg>
<svg class="chart lanes" width="{drawn.width:g}" height="{drawn.height:g}" role="group" \
aria-labelledby="title desc" data-first="{told.accused if told.accused is not None else 0}">
<title id="title">Operations by process</title>
<desc id="desc">{escaped(" ".join(told.said))}</desc>
{scale}
<g id="path"></g>
{bars}
<g id="badges"></g>
</svg>
</div>
{_legend(told, drawn)}
</div>
<aside aria-label="The chosen operation">
{sections}
</aside>
</main>"""


def _ground(drawn: Axis, width: float) -> str:
    return f'<rect class="ground" width="{width:g}" height="{drawn.height:g}"/>'


def _legend(told: Story, drawn: Axis) -> str:
    axis_is = (
        "The order is exact; the longer a time, the more it is compressed."
        if drawn.timed
        else "Events in their order; their times were not recorded."
    )
    kinds = [("ok", "acknowledged")]
    if any(each.last is None for each in told.operations):
        kinds.append(("info open", "unknown or still open: may take effect at any later time"))
    if any(each.outcome == "fail" for each in told.operations):
        kinds.append(("fail", "refused"))
    if told.accused is not None:
        kinds.append(("accused", "impossible: fits into no order of the others"))
    items = "".join(f"<li>{_swatch(kind)}{text}</li>" for kind, text in kinds)
    return f'<ul class="legend">{items}<li>{axis_is}</li></ul>'


def _swatch(kind: str) -> str:
    if "open" in kind:
        shape = '<path class="bar" d="M2 3H26L32 10L26 17H2z"/>'
    else:
        shape = '<rect class="bar" x="2" y="3" width="30" height="14" rx="3"/>'
    if kind == "accused":
        shape += '<path class="hatch" d="M5 16l12 -12M14 16l12 -12M23 16l7 -7" fill="none"/>'
    return f'<svg class="chart {kind}" width="34" height="20" aria-hidden="true">{shape}</svg>'


def _overview(told: Story, drawn: Axis) -> list[str]:
    """What is shown before an operation is chosen, where none is accused."""
    if told.accused is not None:
        return []
    return [f'<section id="overview" tabindex="-1">{_all(told, drawn, told.first)}</section>']


def _section(told: Story, drawn: Axis, number: int) -> str:
    mark = " <em>impossible</em>" if number == told.accused else ""
    facts = "".join(
        f"<dt>{name}</dt><dd>{escaped(value)}</dd>" for name, value in told.operations[number].facts()
    )
    return (
        f'<section id="op-{number}" tabindex="-1"><h2>{escaped(told.labels[number])}{mark}</h2>'
        f"<dl>{facts}</dl>{_all(told, drawn, told.shown[number])}</section>"
    )


def _all(told: Story, drawn: Axis, shown: Sequence[Shown]) -> str:
    parts = []
    for heading, orders, remark in shown:
        parts.append(f"<h3>{escaped(heading)}</h3>")
        parts += [f'<p class="remark">{escaped(remark)}</p>'] if remark else []
        parts += [_order(told, drawn, order) for order in orders]
    return "".join(parts)


def _order(told: Story, drawn: Axis, order: Order) -> str:
    points = " ".join(
        f"{point.operation},{point.x:.1f},{point.y:g}" for point in drawn.points(chart.numbers(order))
    )
    rows = [_row("", "", "", f"<code>{escaped(told.begins_as)}</code>")]
    skipped = 0
    for place, step in enumerate(order.steps):
        if not _is_told(place, order):
            skipped += 1
            continue
        rows += _gap(skipped)
        skipped = 0
        kind = "self" if place == order.at else ""
        rows.append(
            _row(kind, str(place + 1), _who(told, step.call), f"<code>{escaped(show(step.state))}</code>")
        )
    rows += _gap(skipped)
    state = order.steps[-1].state if order.steps else told.begin
    for number in order.stuck:
        why = escaped(told.stuck(number, state))
        rows.append(_row("stuck", '<span aria-hidden="true">×</span>', f"{_who(told, number)} {why}", ""))
    return (
        f'<div class="order" data-points="{points}" data-reached="{len(order.steps)}"><table>'
        f"<tr><th>#</th><th>operation</th><th>state after</th></tr>{''.join(rows)}</table></div>"
    )


def _is_told(place: int, order: Order) -> bool:
    last = len(order.steps) - 1
    return last < STEPS_MAX or place < _NEAR or place > last - _NEAR or abs(place - order.at) <= _NEAR


def _gap(steps: int) -> list[str]:
    return [_row("", "…", f"{steps} more steps, numbered on the bars", "")] if steps else []


def _row(kind: str, first: str, second: str, third: str) -> str:
    opening = f'<tr class="{kind}">' if kind else "<tr>"
    if not second:
        return f"{opening}<td></td><td><small>at the beginning</small></td><td>{third}</td></tr>"
    if not third:
        return f'{opening}<td>{first}</td><td colspan="2">{second}</td></tr>'
    return f"{opening}<td>{first}</td><td>{second}</td><td>{third}</td></tr>"


def _who(told: Story, number: int) -> str:
    process = escaped(told.operations[number].process)
    return f"<code>{escaped(told.labels[number])}</code> <small>process {process}</small>"


# What was not decided -----------------------------------------------------------------------------------


def _undecided(told: Story) -> str:
    if not told.undecided:
        return ""
    parts, height, width = chart.progress(told.undecided)
    rows = []
    for each in told.undecided:
        blocked = named(each.blocked.f, each.blocked.value, each.blocked.outcome, told.model)
        facts = "; ".join(f"{name} {value}" for name, value in each.blocked.facts())
        rows.append(
            f"<tr><td>{escaped('(none)' if each.key is None else each.key)}</td>"
            f"<td>{each.completions_explained:,} of {each.completions:,}</td>"
            f"<td><code>{escaped(blocked)}</code><br><small>{escaped(facts)}</small></td>"
            f"<td>{escaped(each.reason)}</td><td>{each.steps:,}</td></tr>"
        )
    return f"""<main class="plain">
<div class="scroll"><svg class="chart" width="{width:g}" height="{height:g}" role="img" \
aria-label="How far each key got">{"".join(parts)}</svg></div>
<div class="wide"><table class="keys"><tr><th>key</th><th>completions explained</th><th>blocked at</th>\
<th>why it stopped</th><th>search steps</th></tr>{"".join(rows)}</table></div>
</main>"""
