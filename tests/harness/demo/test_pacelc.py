"""`harness demo pacelc`: its claims hold, can fail, and its figures are those of distances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkers.history import Op
from harness import cli
from harness.cluster.base import ClusterError, Evidence, LateMs
from harness.cluster.sim import SimCluster
from harness.demo import pacelc
from harness.demo.base import Conditions, DemoError, Shown
from harness.demo.regions import (
    CLIENTS,
    LEVELS,
    MS,
    PLACEMENTS,
    REGIONS,
    Figures,
    figures,
    measure,
    round_trip_ms,
    seats_of,
)
from harness.report.artifacts import LATEST, ROOT, RunDir, find


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is recorded does not stay in the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("pacelc"))
        yield


@pytest.fixture(scope="module")
def shown() -> Shown:
    return pacelc.run(Conditions(3))


def rows_of(shown: Shown) -> list[Figures]:
    return [Figures(**row) for row in shown.figures["rows"]]


def test_every_claim_holds(shown: Shown) -> None:
    assert [claim for claim in shown.claims if not claim.holds] == []


@pytest.mark.usefixtures("shown")
def test_each_part_is_a_run_whose_level_kept_its_promise(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [RunDir(path) for path in Path("runs/demo-pacelc").glob("*/*")]
    results = [json.loads(run.results.read_text()) for run in runs]
    assert {(told["status"], told["replay"]) for told in results} == {
        ("valid", "harness demo pacelc --seed 3")
    }
    assert len({run.read_plan().demo for run in runs}) == len(PLACEMENTS) * len(LEVELS)
    assert cli.main(["analyze", str(runs[0].path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == results[0]


def test_the_same_seed_gives_the_same_figures(shown: Shown) -> None:
    again = measure("two and one", "quorum", Conditions(3))
    assert again == pacelc.of(rows_of(shown), "two and one", "quorum")


def test_a_client_far_from_all_replicas_pays_its_way_at_every_level(shown: Shown) -> None:
    for row in rows_of(shown):
        if row.placement == "all in eu":
            assert row.read_p50 >= round_trip_ms(row.region, "eu")


def test_distances_are_the_same_both_ways() -> None:
    assert all(round_trip_ms(a, b) == round_trip_ms(b, a) for a in REGIONS for b in REGIONS)
    assert [pacelc.nearest_ms(region) for region in REGIONS] == [90, 90, 200]
    assert [pacelc.farthest_ms(region) for region in REGIONS] == [260, 200, 260]


@pytest.mark.parametrize(
    ("level", "change"),
    [
        ("one", {"read_p50": 95.0}),
        ("one", {"stale": 0}),
        ("quorum", {"read_p50": 3.0}),
        ("all", {"write_p50": 95.0}),
        ("linearizable", {"stale": 1}),
        ("quorum", {"refused": 1}),
    ],
)
def test_figures_that_say_otherwise_break_a_claim(shown: Shown, level: str, change: dict[str, float]) -> None:
    told = [
        row._replace(**change) if (row.placement, row.level) == (pacelc.SPREAD, level) else row  # type: ignore[arg-type]
        for row in rows_of(shown)
    ]
    assert not all(claim.holds for claim in pacelc.claims(told))


def test_clients_sit_at_the_nearest_node_and_share_those_that_are_equally_near() -> None:
    seats = seats_of(("eu", "eu", "us"))
    at = {
        region: {thread % 3 for thread, seat in seats.items() if seat.region == region} for region in REGIONS
    }
    assert at == {"eu": {0, 1}, "us": {2}, "ap": {2}}
    assert sorted(seat.client for seat in seats.values()) == list(range(len(REGIONS) * CLIENTS))
    assert {seat.way_ns for seat in seats.values() if seat.region == "ap"} == {100 * MS}
    assert sorted(seats_of(("eu", "eu", "eu"))) == list(range(9))


def asked(f: str, value: int | None, began_ms: int, ended_ms: int, thread: int, ok: bool = True) -> list[Op]:
    """By the client that is that thread."""
    wanted = value if f == "write" else None
    return [
        Op(process=thread, time=began_ms * MS, type="invoke", f=f, key="k0", value=wanted),
        Op(process=thread, time=ended_ms * MS, type="ok" if ok else "info", f=f, key="k0", value=value),
    ]


def told(history: list[Op]) -> dict[str, Figures]:
    """Of those regions whose clients were answered a read and a write, with the replicas in eu."""
    seats = seats_of(("eu", "eu", "eu"))
    thread = {region: next(t for t, seat in seats.items() if seat.region == region) for region in REGIONS}
    elsewhere = [
        op
        for region in REGIONS
        for op in (
            *asked("write", 99, 10_000, 10_001, thread[region]),
            *asked("read", 99, 20_000, 20_001, thread[region]),
        )
    ]
    ops = sorted([*history, *elsewhere], key=lambda op: op.time)
    return {row.region: row for row in figures("all in eu", "one", ops, seats, len(seats))}


def test_a_read_is_stale_from_when_a_newer_value_had_been_acknowledged() -> None:
    history = [*asked("write", 1, 100, 110, 0), *asked("write", 2, 200, 210, 0)]
    fresh = [*asked("read", 1, 209, 215, 1), *asked("read", 2, 220, 221, 2)]
    assert told([*history, *fresh])["eu"].stale == 0
    row = told([*history, *asked("read", None, 250, 251, 1)])["eu"]
    assert (row.stale, row.oldest_ms) == (1, 140.0)


def test_a_write_that_was_not_acknowledged_makes_nothing_stale() -> None:
    history = [*asked("write", 1, 100, 110, 0), *asked("write", 2, 200, 210, 0, ok=False)]
    row = told([*history, *asked("read", 1, 250, 251, 1)])["eu"]
    assert (row.stale, row.refused) == (0, 1)


def test_the_way_of_a_far_client_is_added_at_both_ends() -> None:
    ap = next(thread for thread, seat in seats_of(("eu", "eu", "eu")).items() if seat.region == "ap")
    history = [*asked("write", 1, 1000, 1010, ap), *asked("read", None, 1100, 1110, 0)]
    rows = told(history)
    assert rows["ap"].write_p50 == 260 + (10 + 1) / 2
    assert rows["eu"].stale == 0, "its acknowledgement was still on its way to ap"
    later = [*asked("write", 1, 1000, 1010, ap), *asked("read", None, 1150, 1160, 0)]
    assert told(later)["eu"].oldest_ms == 1150 - 1010 - 130


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            ClusterError("n1: the kernel has no netem"),
            "nodes cannot be set apart: n1: the kernel has no netem",
        ),
        (
            Evidence(False, "ways: n1->n2 0.3 ms"),
            "nodes are not as far from each other as .*: ways: n1->n2 0.3",
        ),
    ],
)
def test_nodes_that_cannot_be_set_apart_fail_the_demo(
    wrong: ClusterError | Evidence, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def set_apart(self: SimCluster, late_ms: LateMs) -> Evidence:
        if isinstance(wrong, ClusterError):
            raise wrong
        return wrong

    monkeypatch.setattr(SimCluster, "set_apart", set_apart)
    with pytest.raises(DemoError, match=f"^{sentence}"):
        measure("one in each", "one", Conditions(3))
    assert json.loads(find(ROOT, LATEST).results.read_text())["status"] == "vacuous"


@pytest.mark.real
def test_processes_that_a_proxy_sets_apart_answer_at_home_at_level_one() -> None:
    rows = measure("one in each", "one", Conditions(3, cluster="local"))
    assert sum(row.stale for row in rows) > 0
    assert all(row.read_p50 < pacelc.nearest_ms(row.region) for row in rows)
