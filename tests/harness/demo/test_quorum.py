from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from checkers.history import Op, Type
from harness import cli
from harness.demo import quorum
from harness.demo.base import WIDTH, Conditions
from harness.demo.quorum_claims import claims
from harness.demo.quorum_measure import Row, measure
from harness.demo.quorum_tables import prose, tables
from harness.demo.served import Served
from harness.ledger import Requested
from harness.report.artifacts import RunDir

REQUESTED = (Requested("kill", frozenset({"kill"}), frozenset({"start"})),)
Event = tuple[int | str, Type, str, Any]


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
        REQUESTED,
    )


def nemesis(f: str, bit: bool) -> list[Event]:
    return [("nemesis", "info", f, None), ("nemesis", "info", f, {"bit": bit, "detail": ""})]


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


def test_a_healing_is_no_fault_that_bit() -> None:
    storm = [nemesis("kill", True), nemesis("start", True), nemesis("kill", False), nemesis("start", False)]
    assert row(*storm, write(0, 1)).bitten == {"kill": 1}


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


def test_a_read_of_less_than_was_acknowledged_is_stale_and_takes_nothing_back() -> None:
    found = row(write(0, 1), write(0, 2), read(1, 2), read(1, 1))
    assert (found.stale, found.took_back) == (1, 0)


def with_quorums(r: int, w: int, sloppy: bool = False, bent: bool = False) -> Row:
    """As a storm leaves them: who asks more is refused more, and only what is not strict is stale."""
    fractions = {1: 90, 2: 60, 3: 30}
    reads, writes = (Served(100, 80 if sloppy else fractions[asked], 1.0, 2.0) for asked in (r, w))
    strict = r + w > 3 and not sloppy and not bent
    return Row(
        3, r, w, sloppy, bent, reads, writes, 50, 0, 0 if strict else 5, 2, 3, True, False, {"kill": 4}
    )


STORMS = {
    "R1 W1": with_quorums(1, 1),
    "R2 W2": with_quorums(2, 2),
    "R1 W3": with_quorums(1, 3),
    "R3 W1": with_quorums(3, 1),
    "sloppy": with_quorums(2, 2, sloppy=True),
    "clocks": with_quorums(2, 2, bent=True),
}
STRICT = ("R2 W2", "R1 W3", "R3 W1")


@pytest.mark.parametrize(
    ("names", "change", "broken"),
    [
        (["sloppy"], {"bitten": {"kill": 4, "partition": 0}}, "each fault of the storm bit"),
        (["R1 W3"], {"stale": 1}, "no read is stale"),
        (["R3 W1"], {"lost": 1}, "no acknowledged write is lost"),
        (["R1 W1"], {"stale": 0}, "R + W <= N: some reads are stale"),
        (STRICT, {"surfaced": 0}, "failed writes were read later"),
        (STRICT, {"took_back": 0}, "reads took back"),
        (STRICT, {"linearizable": None}, "not every history is linearizable"),
        (["sloppy"], {"writes": Served(100, 60, 1.0, 2.0)}, "stand-ins serve more writes"),
        (["R3 W1"], {"reads": Served(100, 90, 1.0, 2.0)}, "fewer reads are served by all replicas"),
        (["R1 W3"], {"writes": Served(100, 90, 1.0, 2.0)}, "fewer writes are served by all replicas"),
        (["sloppy"], {"stale": 0}, "stand-ins: R + W > N, and some reads are stale"),
        (["clocks"], {"stale": 0}, "bent clocks: R + W > N, and some reads are stale"),
        (["R1 W1"], {"equal": False}, "all copies become equal"),
    ],
)
def test_a_claim_fails_where_its_figures_do(
    names: Sequence[str], change: dict[str, Any], broken: str
) -> None:
    assert all(claim.holds for claim in claims(list(STORMS.values())))
    changed = [replace(row, **change) if name in names else row for name, row in STORMS.items()]
    (failed,) = [claim.text for claim in claims(changed) if not claim.holds]
    assert broken in failed


@pytest.mark.parametrize("width", [80, WIDTH])
def test_the_tables_fit_and_the_words_have_the_rows_figures(rows: list[Row], width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    for part in (*tables(rows), *prose(rows)):
        console.print(part)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert sum("R=1 W=2  " in line for line in text.splitlines()) == 2, "no line is broken"
    sloppy = next(row for row in rows if row.sloppy)
    assert f"{sloppy.stale} of {sloppy.reads.served} reads were stale" in " ".join(text.split())


def test_a_seed_gives_the_same_rows_again_and_each_is_a_run(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quorum, "SETTINGS", quorum.SETTINGS[4:5])
    (again,) = quorum._rows(Conditions(1))
    assert again == rows[4]
    (path,) = Path("runs/demo-quorum/n3-r2-w2").iterdir()
    results = json.loads(RunDir(path).results.read_text())
    assert (results["status"], results["replay"]) == ("valid", "harness demo quorum --seed 1")
    assert cli.main(["analyze", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == results
