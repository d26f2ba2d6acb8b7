"""The tables and the words of `harness demo quorum`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.demo.cap_tables import percent
from harness.demo.quorum_measure import Row
from harness.demo.served import Served

LEGEND: Final = """\
stale: reads of what was over before a write began that was acknowledged before the read
lost: acknowledged writes that something older has outlived
failed, read: writes that were not acknowledged, and were read
taken back: reads of something older than what an earlier read saw, which nobody had acknowledged yet
"""


def tables(rows: Sequence[Row]) -> list[Table | Padding]:
    return [_served(rows), _seen(rows), Padding(Text(LEGEND, "dim"), (0, 0, 0, 2))]


def _served(rows: Sequence[Row]) -> Table:
    titles = ("reads\nserved", "p50/p99\nms", "writes\nserved", "p50/p99\nms")
    return _table("What was served", titles, rows, lambda row: (*_kind(row.reads), *_kind(row.writes)))


def _seen(rows: Sequence[Row]) -> Table:
    def cells(row: Row) -> tuple[str, ...]:
        linearizable = {True: "yes", False: "no", None: "?"}[row.linearizable]
        return _marked(row.stale), _marked(row.lost), str(row.surfaced), str(row.took_back), linearizable

    titles = ("stale\nreads", "lost\nwrites", "failed,\nread", "taken\nback", "linear-\nizable")
    return _table("What was seen", titles, rows, cells)


def _table(
    title: str, titles: Sequence[str], rows: Sequence[Row], cells: Callable[[Row], Sequence[str]]
) -> Table:
    shown = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("N", "quorums", "R+W\n>N"):
        shown.add_column(name, overflow="fold")
    for name in titles:
        shown.add_column(name, justify="right", overflow="fold")
    before = None
    for row in rows:
        if before not in (None, row.n):
            shown.add_section()
        number = "" if row.n == before else str(row.n)
        shown.add_row(number, row.name, "yes" if row.overlaps else "no", *cells(row))
        before = row.n
    return shown


def prose(rows: Sequence[Row]) -> list[Padding | Text]:
    parts: list[Padding | Text] = [Text("What happened", "bold")]
    for title, text in (
        ("Where R + W > N helps", _helps(rows)),
        ("Failed writes", _partial(rows)),
        ("Stand-ins", _sloppy(rows)),
        ("Clocks", _clocks(rows)),
    ):
        parts.append(Padding(Text.assemble((f"{title}. ", "bold"), text), (0, 0, 1, 2)))
    return parts


def _helps(rows: Sequence[Row]) -> str:
    apart = [row for row in rows if not row.overlaps]
    strict = [row for row in rows if row.strict]
    return (
        f"Where R + W <= N, {_total(apart, 'stale')} of {_reads(apart)} reads were stale; where R + W > N, "
        f"{_total(strict, 'stale')} of {_reads(strict)}. Acknowledged writes that were lost: "
        f"{_total(apart, 'lost')} and {_total(strict, 'lost')}."
    )


def _partial(rows: Sequence[Row]) -> str:
    strict = [row for row in rows if row.strict]
    broken = sum(row.linearizable is False for row in strict)
    open_ = sum(row.linearizable is None for row in strict)
    undecided = f", of {open_} it was not decided" if open_ else ""
    return (
        f"A write that fails may have reached some replicas all the same. Where R + W > N, "
        f"{_total(strict, 'surfaced')} of them were read later, and {_total(strict, 'took_back')} reads took "
        f"back a write that an earlier read had seen and nobody had acknowledged. {broken} of these "
        f"{len(strict)} histories are not linearizable{undecided}."
    )


def _sloppy(rows: Sequence[Row]) -> str:
    return " ".join(
        [
            f"N={row.n}: {_percent(row.writes)} of the writes were served, "
            f"{_percent(_strict(rows, row).writes)} by replicas alone; "
            f"{row.stale} of {row.reads.served} reads were stale, and {row.lost} of "
            f"{row.acknowledged} acknowledged writes were lost."
            for row in rows
            if row.sloppy
        ]
    )


def _clocks(rows: Sequence[Row]) -> str:
    return " ".join(
        [
            f"N={row.n}: with bent clocks, {row.lost} of {row.acknowledged} acknowledged writes lost to "
            f"older ones in the end, and {row.stale} of {row.reads.served} reads were stale; "
            f"with right ones, {_strict(rows, row).lost} and {_strict(rows, row).stale}."
            for row in rows
            if row.bent
        ]
    )


def _strict(rows: Sequence[Row], like: Row) -> Row:
    return next(row for row in rows if row.strict and (row.n, row.r, row.w) == (like.n, like.r, like.w))


def _kind(kind: Served) -> tuple[str, str]:
    if kind.p50_ms is None or kind.p99_ms is None:
        return _percent(kind), "-"
    return _percent(kind), f"{kind.p50_ms:.1f}/{kind.p99_ms:.0f}"


def _percent(kind: Served) -> str:
    return percent(kind.served, kind.asked)


def _marked(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def _total(rows: Sequence[Row], count: str) -> int:
    return sum(getattr(row, count) for row in rows)


def _reads(rows: Sequence[Row]) -> int:
    return sum(row.reads.served for row in rows)
