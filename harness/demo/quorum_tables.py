"""The table and the words of `harness demo quorum`."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.demo.cap_tables import percent
from harness.demo.quorum_measure import Kind, Row


def table(rows: Sequence[Row]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    shown.add_column("N")
    shown.add_column("quorums", no_wrap=True)
    shown.add_column("R+W\n>N")
    for title in (
        "reads\nserved",
        "p50/p99\nms",
        "writes\nserved",
        "p50/p99\nms",
        "stale\nreads",
        "lost\nwrites",
        "failed,\nread",
        "taken\nback",
    ):
        shown.add_column(title, justify="right")
    shown.add_column("linear-\nizable")
    before = rows[0].n
    for row in rows:
        if row.n != before:
            shown.add_section()
        shown.add_row(
            "" if row.n == before and row is not rows[0] else str(row.n),
            row.name,
            "yes" if row.overlaps else "no",
            *_kind(row.reads),
            *_kind(row.writes),
            _marked(row.stale),
            _marked(row.lost),
            str(row.surfaced),
            str(row.took_back),
            {True: "yes", False: "no", None: "?"}[row.linearizable],
        )
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
    return (
        f"A write that fails has reached some replicas all the same. Where R + W > N, "
        f"{_total(strict, 'surfaced')} of them were read later, and {_total(strict, 'took_back')} reads took "
        f"back a write that an earlier read had seen and nobody had acknowledged: {broken} of these "
        f"{len(strict)} histories are not linearizable."
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


def _kind(kind: Kind) -> tuple[str, str]:
    if kind.p50_ms is None or kind.p99_ms is None:
        return _percent(kind), "-"
    return _percent(kind), f"{kind.p50_ms:.1f}/{kind.p99_ms:.0f}"


def _percent(kind: Kind) -> str:
    return percent(kind.served, kind.asked)


def _marked(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def _total(rows: Sequence[Row], count: str) -> int:
    return sum(getattr(row, count) for row in rows)


def _reads(rows: Sequence[Row]) -> int:
    return sum(row.reads.served for row in rows)
