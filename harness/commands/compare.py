"""`harness compare`: two recorded runs side by side, on a terminal or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from checkers.history import Op
from checkers.models import show
from checkers.verdict import Status
from harness import compare
from harness.compare import Comparison, Parting, Side
from harness.report import artifacts

EPILOG: Final = """examples:
  harness compare runs/register/20260101T120000.000Z latest
  harness compare before/ after/ --json
"""
NOISE: Final = (
    "(In parentheses): no more than either run varies in itself, from tenth to tenth of its time. It is one "
    "run of each: with other seeds the rest may differ, too."
)
_STYLES: Final = {
    "valid": "green",
    "vacuous": "yellow",
    "unknown": "yellow",
    "invalid": "red",
    "failed": "red",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Put two recorded runs side by side. It says what differs and judges nothing: the exit code is 0."
    )
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("a", metavar="A", help="a run's directory, or latest")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")
    parser.set_defaults(command=_compare)


def _compare(args: argparse.Namespace, words: Sequence[str]) -> int:
    a, b = (artifacts.find(artifacts.ROOT, run) for run in (args.a, args.b))
    found = compare.compare(a, b)
    if args.json:
        print(msgspec.json.encode(compare.as_json(found), enc_hook=str, order="deterministic").decode())
    else:
        render(Console(), found)
    return 0


def render(console: Console, found: Comparison) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for name, justify in (("", "left"), ("A", "right"), ("B", "right"), ("B against A", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows(found):
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    console.print(Text.assemble(("A  ", "bold"), found.a.run), soft_wrap=True)
    console.print(Text.assemble(("B  ", "bold"), found.b.run), soft_wrap=True)
    console.print()
    console.print(table)
    console.print()
    for sentence in sentences(found):
        console.print(Text(sentence), soft_wrap=True)


Row = tuple[str | Text, str | Text, str | Text, str | Text]


def rows(found: Comparison) -> Iterator[Row]:
    """What was found, a name and a cell for each side; then how they differ, where that is a figure."""
    a, b = found.a, found.b
    yield "verdict", _status(a.status), _status(b.status), ""
    for name in dict.fromkeys([*a.checkers, *b.checkers]):
        yield f"  {name}", _status(a.checkers.get(name)), _status(b.checkers.get(name)), ""
    yield "duration, s", _number(a.duration_s), _number(b.duration_s), ""
    for name, figures in found.changes.items():
        for label, change in figures.items():
            yield _row(f"{name}: {label}", change.a, change.b, change.beyond_noise)
    for name in dict.fromkeys([*a.faults, *b.faults]):
        yield f"{name}: bit", _bit(a, name), _bit(b, name), ""


def sentences(found: Comparison) -> list[str]:
    """Why either is not valid, what the figures are worth, how the plans differ, and from where on the
    histories do. What belongs to the line before is indented."""
    said = [f"{each.field}: {show(each.a)} in A, {show(each.b)} in B" for each in found.plans]
    lines = ["The plans differ in", *(f"  {line}" for line in said)] if said else ["The plans are the same."]
    same = found.parting is None
    wrong = [
        f"{name} is {side.status}: {side.summary}"
        for name, side in (("A", found.a), ("B", found.b))
        if side.status not in (None, Status.VALID.value)
    ]
    return [*wrong, *([] if same else [NOISE]), *lines, _parted(found.parting)]


def _parted(parting: Parting | None) -> str:
    if parting is None:
        return "The histories are the same, event by event."
    ends = {"A": parting.a, "B": parting.b}
    ended = next((name for name, op in ends.items() if op is None), None)
    if ended is not None:
        return f"The histories are the same up to event {parting.event}, where {ended}'s ends."
    assert parting.a is not None
    assert parting.b is not None
    return f"The histories part at event {parting.event}: {_event(parting.a)} in A, {_event(parting.b)} in B."


def _event(op: Op) -> str:
    key = "" if op.key is None else f" of key {op.key}"
    return f"process {op.process} {op.type} {op.f}{key} at {op.time / 1e9:.6f} s"


def _status(status: str | None) -> Text:
    return Text(status or "-", _STYLES.get(status or "", "dim"))


def _row(label: str, a: float | None, b: float | None, beyond_noise: bool) -> Row:
    change = "" if a is None or b is None or a == b else f"{(b - a) / a:+.0%}" if a else "from 0"
    return label, _number(a), _number(b), change if beyond_noise or not change else f"({change})"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _bit(side: Side, name: str) -> str:
    faults = side.faults.get(name)
    return "-" if faults is None else f"{faults.bit} of {faults.injected}"
