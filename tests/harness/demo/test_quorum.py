from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from checkers.history import Op, Type
from harness.demo import quorum
from harness.demo.base import WIDTH, Conditions
from harness.demo.quorum_claims import claims
from harness.demo.quorum_measure import Row, measure
from harness.demo.quorum_tables import prose, table

Event = tuple[int, Type, str, Any]


def row(*parts: list[Event]) -> Row:
    events = [event for part in parts for event in part]
    return measure(
        3,
        2,
        2,
        False,
        False,
        [
            Op(index=at, time=at * 1_000_000, process=process, type=type, f=f, key="k", value=value)
            for at, (process, type, f, value) in enumerate(events)
        ],
    )


def write(process: int, value: int, outcome: Type = "ok") -> list[Event]:
    return [(process, "invoke", "write", value), (process, outcome, "write", value)]


def read(process: int, value: int | None) -> list[Event]:
    return [(process, "invoke", "read", None), (process, "ok", "read", value)]


def copies(**held: int | None) -> list[Event]:
    return [(9, "invoke", "copies", None), (9, "ok", "copies", held)]


def test_a_read_of_the_last_write_is_neither_stale_nor_takes_anything_back() -> None:
    found = row(write(0, 1), read(1, 1), write(0, 2), read(1, 2), copies(a=2, b=2))
    assert (found.stale, found.took_back, found.lost, found.surfaced) == (0, 0, 0, 0)
    assert (found.acknowledged, found.equal, found.linearizable) == (2, True, True)
    assert (found.reads.asked, found.writes.served, found.reads.p50_ms) == (2, 2, 1.0)


@pytest.mark.parametrize("value", [None, 1])
def test_a_read_of_what_was_over_before_an_acknowledged_write_began_is_stale(value: int | None) -> None:
    found = row(write(0, 1), write(0, 2), read(1, value))
    assert (found.stale, found.linearizable) == (1, False)


def test_of_writes_that_overlap_either_may_be_the_last() -> None:
    a, b = write(0, 1), write(1, 2)
    assert row([a[0], b[0], a[1], b[1]], read(2, 1), copies(a=1)).stale == 0


def test_a_failed_write_that_is_read_has_surfaced_and_may_be_taken_back() -> None:
    found = row(write(0, 1), write(1, 2, "info"), read(2, 2), read(3, 1), copies(a=1))
    assert (found.surfaced, found.took_back, found.stale, found.lost) == (1, 1, 0, 0)
    assert found.linearizable is False


def test_a_write_that_is_under_way_may_be_taken_back_before_it_is_acknowledged() -> None:
    begun, done = write(1, 2)
    found = row(write(0, 1), [begun], read(2, 2), read(3, 1), [done])
    assert (found.surfaced, found.took_back, found.stale) == (0, 1, 0)


def test_reads_that_overlap_take_nothing_back() -> None:
    first, second = read(2, 2), read(3, 1)
    found = row(write(0, 1), write(1, 2, "info"), [first[0], second[0], first[1], second[1]])
    assert found.took_back == 0


def test_an_acknowledged_write_that_an_older_one_outlived_is_lost() -> None:
    found = row(write(0, 1), write(0, 2), copies(a=1, b=1))
    assert (found.lost, found.equal) == (1, True)
    assert not row(write(0, 1), copies(a=1, b=None)).equal


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("quorum"))
        patch.setattr(quorum, "SETTINGS", [setting for setting in quorum.SETTINGS if setting.n == 3])
        return list(quorum._rows(Conditions(1)))


def test_every_claim_holds(rows: list[Row]) -> None:
    made = claims(rows)
    assert len(made) > 10
    assert [claim for claim in made if not claim.holds] == []


def test_a_claim_fails_where_its_figures_do(rows: list[Row]) -> None:
    strict = next(at for at, row in enumerate(rows) if row.strict)
    spoilt = replace(rows[strict], lost=1, stale=1, equal=False)
    failed = [
        claim.text for claim in claims([*rows[:strict], spoilt, *rows[strict + 1 :]]) if not claim.holds
    ]
    assert len(failed) == 3
    assert not any(claim.holds for claim in claims([replace(row, bitten=0) for row in rows])[:1])


def test_the_table_fits_and_the_words_have_the_rows_figures(rows: list[Row]) -> None:
    console = Console(width=WIDTH, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in (table(rows), *prose(rows)):
        console.print(part)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    sloppy = next(row for row in rows if row.sloppy)
    assert f"{sloppy.stale} of {sloppy.reads.served} reads were stale" in " ".join(text.split())


def test_a_seed_gives_the_same_rows_again(
    rows: list[Row], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("again"))
    monkeypatch.setattr(quorum, "SETTINGS", quorum.SETTINGS[4:5])
    (again,) = quorum._rows(Conditions(1))
    assert again == rows[4]
