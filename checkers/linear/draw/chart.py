"""The chart of a story as SVG: operations as bars in lanes, an order as numbered points on them.

`svg` is a picture that stands alone: sentences above, one order on the bars, its steps below, and the details
of an operation as its tooltip. The page puts the same lanes beside a panel, and draws the orders asked for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Final

from checkers.history import Op
from checkers.linear.draw.axis import LANE_HEIGHT, TOP, Axis, Point, axis
from checkers.linear.draw.orders import Order
from checkers.linear.draw.story import Story, Undecided, story
from checkers.linear.draw.words import CHAR_TEXT, columns, escaped, named, shortened
from checkers.models import Model, show
from checkers.verdict import Status, Verdict

UNDECIDED_MAX: Final = 50
_BAR_TOP: Final = 30
_BAR: Final = 18
_LINE: Final = 19
_PAD: Final = 20
_SIDE_MIN: Final = 70.0
_NAME_CHARS: Final = 20
_WIDTH_MIN: Final = 760.0
_PROGRESS: Final = 340
_HEADLINE: Final = 0.8
"""So many characters of it go where one of running text does."""

KINDS: Final = {
    Status.INVALID: "Not linearizable",
    Status.UNKNOWN: "Undecided",
    Status.VALID: "Linearizable",
    Status.VACUOUS: "Linearizable",
}


def svg(verdict: Verdict, history: Sequence[Op] = (), model: Model | None = None) -> str:
    """One picture, complete in itself. `history`: what was judged, needed to draw the linearization of a
    valid verdict. `model`: the one that judged, if not the one that `MODELS` has under its name."""
    told = story(verdict, history, model)
    if told.undecided:
        return _document(told, _aside(progress(told.undecided)), [])
    if not told.operations:
        return _document(told, ([], 0.0, _WIDTH_MIN), [])
    drawn = axis(told.operations, chart_labels(told), told.accused)
    side = side_width(drawn)
    order = told.first[0].orders[0] if told.first else None
    path, badges = ("", []) if order is None else _points(drawn, order)
    inside = [f'<g transform="translate({side:g} 0)">', *scale(drawn), path]
    inside += [*bars(told, drawn, linked=False), *badges, "</g>", *lane_names(drawn)]
    return _document(told, (inside, drawn.height, side + drawn.width), steps_in_words(told, order))


@cache
def style() -> str:
    return resources.files(__package__).joinpath("chart.css").read_text("utf-8")


# Parts that the page uses too ---------------------------------------------------------------------------


def chart_labels(told: Story) -> list[str]:
    """What is written above the bars."""
    tags = {"info": " (unknown)", "fail": " (refused)"}
    labels = []
    for number, (each, label) in enumerate(zip(told.operations, told.labels, strict=True)):
        tag = " (impossible)" if number == told.accused else tags.get(each.outcome, "")
        labels.append(shortened(label) + (tag or (" (still open)" if each.open_at_the_end else "")))
    return labels


def side_width(drawn: Axis) -> float:
    """Of the names of the lanes."""
    widest = max(columns(_process(lane)) for lane in drawn.lanes)
    return max(_SIDE_MIN, widest * (CHAR_TEXT + 0.8) + 24)


def lane_names(drawn: Axis) -> list[str]:
    return [
        f'<text class="process" x="12" y="{drawn.lane_top(number) + 36:g}">{escaped(_process(lane))}</text>'
        for number, lane in enumerate(drawn.lanes)
    ]


def stripes(drawn: Axis, width: float) -> list[str]:
    return [
        f'<rect class="stripe" y="{drawn.lane_top(number):g}" width="{width:g}" height="{LANE_HEIGHT}"/>'
        for number in range(0, len(drawn.lanes), 2)
    ]


def scale(drawn: Axis) -> list[str]:
    """What lies under the bars: stripes, ticks and idle times."""
    parts = stripes(drawn, drawn.width)
    bottom = drawn.height - 8
    for tick in drawn.ticks:
        parts.append(
            f'<line class="tick" x1="{tick.x:g}" y1="{TOP - 8}" x2="{tick.x:g}" y2="{bottom:g}"/>'
            f'<text class="faint" x="{tick.x:g}" y="{TOP - 14}">{tick.text}</text>'
        )
    for idle in drawn.idle:
        parts.append(
            f'<rect class="idle" x="{idle.left + 4:g}" y="{TOP}" width="{idle.right - idle.left - 8:g}" '
            f'height="{bottom - TOP:g}"/><text class="faint" text-anchor="middle" '
            f'x="{(idle.left + idle.right) / 2:g}" y="{bottom - 5:g}">{idle.text}</text>'
        )
    return parts


def bars(told: Story, drawn: Axis, linked: bool) -> list[str]:
    """Each is a link to `#op-N`, or has its details as a tooltip."""
    return [_operation(told, drawn, number, label, linked) for number, label in enumerate(chart_labels(told))]


def numbers(order: Order) -> list[int]:
    """The operations of an order, those that got stuck last."""
    return [step.call for step in order.steps] + list(order.stuck)


def spoken(told: Story, number: int) -> str:
    """An operation and its details in one line."""
    facts = ", ".join(f"{name} {value}" for name, value in told.operations[number].facts())
    mark = "impossible: " if number == told.accused else ""
    return f"{mark}{told.labels[number]}; {facts}"


def progress(undecided: Sequence[Undecided]) -> tuple[list[str], float, float]:
    """A bar for each key that was given up: parts, height, width."""
    parts: list[str] = []
    y = 8.0
    for each in undecided[:UNDECIDED_MAX]:
        share = each.completions_explained / max(1, each.completions)
        said = f"{_key(each)}: {each.completions_explained:,} of {each.completions:,} completions explained"
        parts.append(
            f'<text y="{y + 12:g}">{escaped(said)}</text>'
            f'<rect class="todo" x="1" y="{y + 20:g}" width="{_PROGRESS}" height="16"/>'
            f'<rect class="done" x="1" y="{y + 20:g}" width="{_PROGRESS * share:g}" height="16"/>'
        )
        y += 54
    return parts, y, _PROGRESS + 2.0


# The picture that stands alone --------------------------------------------------------------------------


def steps_in_words(told: Story, order: Order | None) -> list[str]:
    """The order on the bars, a line for each step."""
    if order is None:
        return []
    lines = [told.first[0].heading + ":", f"It begins as {told.begins_as}"]
    for place, step in enumerate(order.steps, start=1):
        who = told.operations[step.call].process
        lines.append(f"{place}. process {who}: {told.labels[step.call]}, then it is {show(step.state)}")
    state = order.steps[-1].state if order.steps else told.begin
    for number in order.stuck:
        who = told.operations[number].process
        lines.append(f"×  process {who}: {told.labels[number]} {told.stuck(number, state)}")
    return lines


def _document(told: Story, middle: tuple[list[str], float, float], below: Sequence[str]) -> str:
    inside, height, width = middle
    width = max(_WIDTH_MIN, width)
    chars = int((min(width, 1100) - 2 * _PAD) / CHAR_TEXT)
    head = _wrapped(told.said[:1], int(chars * _HEADLINE))
    above = _wrapped([*(each.rstrip(":.") + "." for each in told.said[1:]), *told.notes], chars)
    blocked = [f"{_key(each)}: {stopped(told, each)}" for each in told.undecided[:UNDECIDED_MAX]]
    tail = _wrapped([*below, *blocked], chars)
    title = KINDS[told.status]
    top = _PAD + _LINE * (len(head) + len(above)) + 8
    whole = top + height + (_LINE * len(tail) + 14 if tail else 0) + _PAD
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-labelledby="title desc" '
            f'viewBox="0 0 {width:g} {whole:g}" width="{width:g}" height="{whole:g}">',
            f'<title id="title">{title}</title>',
            f'<desc id="desc">{escaped(" ".join(told.said))}</desc>',
            f"<style>{style()}</style>",
            f'<rect class="ground" width="{width:g}" height="{whole:g}"/>',
            *_text(head, _PAD, "headline"),
            *_text(above, _PAD + _LINE * len(head), ""),
            f'<g transform="translate(0 {top:g})">',
            *inside,
            "</g>",
            *_text(tail, top + height + 8, ""),
            "</svg>\n",
        ]
    )


def stopped(told: Story, undecided: Undecided) -> str:
    """What could not be explained in time, and why no more time was spent on it."""
    blocked = undecided.blocked
    label = named(blocked.f, blocked.value, blocked.outcome, told.model)
    return f"{undecided.reason} before {label} of process {blocked.process} was explained"


def _key(undecided: Undecided) -> str:
    return "the whole history" if undecided.key is None else f"key {shortened(undecided.key)}"


def _aside(middle: tuple[list[str], float, float]) -> tuple[list[str], float, float]:
    parts, height, width = middle
    return [f'<g transform="translate({_PAD} 0)">', *parts, "</g>"], height, width + _PAD


def _wrapped(lines: Iterable[str], chars: int) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, chars, subsequent_indent="   ") or [""]]


def _text(lines: Sequence[str], top: float, kind: str) -> list[str]:
    return [
        f'<text class="{kind}" x="{_PAD}" y="{top + _LINE * (number + 0.75):g}">{escaped(line)}</text>'
        for number, line in enumerate(lines)
    ]


def _process(lane: str) -> str:
    return shortened(f"process {lane}" if lane.isdecimal() else lane, _NAME_CHARS)


def _operation(told: Story, drawn: Axis, number: int, label: str, linked: bool) -> str:
    each = told.operations[number]
    left, right, top = drawn.left[number], drawn.right[number], drawn.lane_top(drawn.lane[number])
    kinds = ["op", each.outcome]
    if each.last is None:
        kinds.append("open")
    if number == told.accused:
        kinds.append("accused")
    y = top + _BAR_TOP
    shape = _bar(left, right, y, each.last is None)
    if number == told.accused:
        shape += _hatching(left, right, y)
    inside = (
        f'<rect class="hit" x="{left - 4:g}" y="{top + 4:g}" width="{drawn.clear[number] + 8:g}" '
        f'height="{LANE_HEIGHT - 8}" rx="5" fill="none" pointer-events="all"/>'
        f'{shape}<text class="label" x="{left:g}" y="{top + 22:g}">{escaped(label)}</text>'
    )
    said = escaped(spoken(told, number))
    if linked:
        return f'<a class="{" ".join(kinds)}" href="#op-{number}" aria-label="{said}">{inside}</a>'
    return f'<g class="{" ".join(kinds)}"><title>{said}</title>{inside}</g>'


def _bar(left: float, right: float, y: float, is_open: bool) -> str:
    if not is_open:
        return f'<rect class="bar" x="{left:g}" y="{y:g}" width="{right - left:g}" height="{_BAR}" rx="4"/>'
    tip = right - 10
    return (
        f'<path class="bar" d="M{left:g} {y:g}H{tip:g}L{right:g} {y + _BAR / 2:g}'
        f'L{tip:g} {y + _BAR:g}H{left:g}z"/>'
    )


def _hatching(left: float, right: float, y: float) -> str:
    count = int((right - left - _BAR) // 9)
    strokes = "".join(
        f"M{left + 9 * i + 4:g} {y + _BAR - 1:g}l{_BAR - 4} {-_BAR + 2}" for i in range(max(0, count) + 1)
    )
    return f'<path class="hatch" d="{strokes}" fill="none"/>'


def _points(drawn: Axis, order: Order) -> tuple[str, list[str]]:
    """The line through the points of an order, and their badges."""
    points = drawn.points(numbers(order))
    reached = len(order.steps)
    line = " ".join(f"{point.x:g},{point.y:g}" for point in points[:reached])
    badges = [_badge(point, str(place) if place <= reached else "") for place, point in enumerate(points, 1)]
    return f'<polyline class="path" points="{line}"/>', badges


def _badge(point: Point, text: str) -> str:
    kind = "badge" if text else "badge stuck"
    small = ' class="small"' if len(text) > 2 else ""
    mark = (
        f'<text{small} y="3.8">{text}</text>' if text else '<path d="M-3.5 -3.5L3.5 3.5M3.5 -3.5L-3.5 3.5"/>'
    )
    return f'<g class="{kind}" transform="translate({point.x:g} {point.y:g})"><circle r="10"/>{mark}</g>'
