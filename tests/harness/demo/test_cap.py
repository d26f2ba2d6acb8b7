"""The whole demo, simulated, and what it says of itself held against what it measured."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from harness import cli
from harness.demo import cap
from harness.demo.base import WIDTH, Conditions, Shown
from harness.demo.cap_claims import claims
from harness.demo.cap_measure import Measured
from harness.demo.cap_picture import COLUMNS, GROUND, MARGIN, Picture, picture
from harness.demo.cap_prose import sentences
from harness.demo.cap_tables import percent, tables
from harness.demo.served import Served
from harness.plan import node_names
from harness.report.artifacts import RunDir
from store.core.ownership.layout import Placement, first_layout

SEED = 1
NAMES = [setting.name for setting in cap.SETTINGS]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cap")


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Measured]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        measured = list(cap._measured(Conditions(SEED), node_names(cap.NODES)))
    return {one.setting: one for one in measured}


def kept(place: Path) -> dict[str, RunDir]:
    """The run of each setting."""
    return {path.parent.name: RunDir(path) for path in (place / "runs/demo-cap").glob("*/*")}


def test_every_claim_holds(found: dict[str, Measured]) -> None:
    made = claims(list(found.values()))
    assert len(made) > 20
    assert [claim for claim in made if not claim.holds] == []


def test_the_two_ways_out_of_a_partition(found: dict[str, Measured]) -> None:
    for name in NAMES:
        minority = found[name].served["during"]["minority"]
        assert minority.fraction == (0 if name in ("linearizable", "quorum") else 1), name
        assert minority.asked > 10
    assert found["linearizable"].strongest == "linearizable"
    assert found["one, lww"].anomaly == "lost update"
    assert found["one, siblings"].counts["sibling_reads"] > 0
    assert found["one, set (CRDT)"].counts["lost"] == 0


@pytest.mark.usefixtures("found")
def test_each_setting_is_a_run_with_the_verdict_of_its_own_promise(place: Path) -> None:
    results = {part: json.loads(run.results.read_text()) for part, run in kept(place).items()}
    assert {part: told["status"] for part, told in results.items()} == {
        "linearizable": "valid",
        "quorum": "valid",
        "quorum-sloppy": "invalid",
        "one-lww": "invalid",
        "one-siblings": "valid",
        "one-set": "valid",
    }
    assert {told["replay"] for told in results.values()} == {f"harness demo cap --seed {SEED}"}
    assert "adds are lost" in results["one-lww"]["summary"]
    assert all(run.report.exists() for run in kept(place).values())


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(("part", "code"), [("linearizable", 0), ("one-lww", 1)])
def test_a_setting_s_run_judged_again_comes_to_the_same(
    place: Path, part: str, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    run = RunDir(kept(place)[part].path.relative_to(place))
    before = run.results.read_text()
    assert cli.main(["analyze", str(run.path), "--json"]) == code
    assert json.loads(capsys.readouterr().out) == json.loads(before)
    assert run.results.read_text() == before


@pytest.mark.usefixtures("found")
def test_two_settings_can_be_compared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (str(kept(place)[part].path) for part in ("quorum", "one-lww"))
    assert cli.main(["compare", a, b]) == 0
    assert "demo: 'cap/quorum' in A, 'cap/one-lww' in B" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "change", "broken"),
    [
        ("one, siblings", {"lost": 1}, "one, siblings: no acknowledged add is lost"),
        ("quorum", {"stale_reads": 1}, "quorum: no answered read is stale"),
        ("one, lww", {"lost": 0}, "one, lww: acknowledged adds are lost"),
        ("quorum", {"lost": None}, "quorum: no acknowledged add is lost"),
        ("one, siblings", {"stale_reads": 0}, "one, siblings: some reads are stale"),
        ("linearizable", {"acknowledged": 0}, "linearizable: no acknowledged add is lost"),
    ],
)
def test_a_claim_fails_where_its_figures_do(
    found: dict[str, Measured], setting: str, change: dict[str, Any], broken: str
) -> None:
    counts = {**found[setting].counts, **change}
    changed = {**found, setting: replace(found[setting], counts=counts)}
    assert [claim.text for claim in claims(list(changed.values())) if not claim.holds] == [broken]


@pytest.mark.parametrize(
    ("setting", "phase", "side", "asked", "served", "broken"),
    [
        ("quorum", "during", "minority", 9, 1, "quorum: during the cut the minority side is refused"),
        ("quorum", "during", "minority", 0, 0, "quorum: during the cut the minority side is refused"),
        ("quorum", "during", "majority", 9, 8, "quorum: during the cut the majority side is served"),
        ("one, lww", "during", "minority", 9, 8, "one, lww: during the cut both sides are served"),
        ("one, lww", "after", "minority", 9, 8, "after the cut both sides are served, whatever the setting"),
        (
            "one, lww",
            "before",
            "majority",
            9,
            8,
            "before the cut both sides are served, whatever the setting",
        ),
    ],
)
def test_a_side_that_is_served_otherwise_breaks_a_claim(
    found: dict[str, Measured], setting: str, phase: str, side: str, asked: int, served: int, broken: str
) -> None:
    one = found[setting]
    sides = {**one.served[phase], side: Served(asked, served, None, None)}
    changed = {**found, setting: replace(one, served={**one.served, phase: sides})}
    assert [claim.text for claim in claims(list(changed.values())) if not claim.holds] == [broken]


def test_a_cut_that_did_not_bite_and_copies_that_differ_are_no_proof(found: dict[str, Measured]) -> None:
    changed = {**found, "quorum": replace(found["quorum"], bit=False, converge_s=None)}
    failed = [claim.text for claim in claims(list(changed.values())) if not claim.holds]
    assert failed == ["the cut bit each time", "quorum: all copies become equal"]


@pytest.mark.parametrize("name", NAMES)
def test_the_prose_has_no_figure_that_was_not_measured(found: dict[str, Measured], name: str) -> None:
    one = found[name]
    counts = one.counts
    measured = {str(count) for count in counts.values()} | {f"{counts['late_max_s']:.1f}"}
    measured |= {str(side.asked) for side in one.served["during"].values()}
    measured |= {str(side.served) for side in one.served["during"].values()}
    measured |= {
        f"{seconds:.1f}" for seconds in (*one.detect_s.values(), one.converge_s) if seconds is not None
    }
    measured |= {str(side["lost"]) for side in one.counts_by_side.values()}
    measured.add(f"{100 * counts['lost'] / counts['acknowledged']:.1f}")
    told = " ".join(sentences(one))
    assert set(re.findall(r"\d+(?:\.\d+)?", told)) <= measured
    assert ("Lost for good" in told) == bool(counts["lost"])
    assert ("None of " in told) == (counts["stale_reads"] == 0)


@pytest.mark.parametrize("width", [80, WIDTH])
def test_all_of_it_fits_into_its_width(found: dict[str, Measured], width: int) -> None:
    measured = list(found.values())
    console = Console(width=width, record=True, file=StringIO())
    for part in (*tables(measured), Picture(measured)):
        console.print(part)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert sum(line.startswith("    minority") for line in lines) == 2 * len(measured), "no row is broken"
    assert sum(line.startswith("   minority") for line in lines) == 2 * len(measured)


def test_the_picture_shows_refusals_on_the_minority_side_within_the_cut_only(
    found: dict[str, Measured],
) -> None:
    one = found["linearizable"]
    rows = [line.plain for line in picture(one)]
    width = len("  ") + 12
    clients = {side: [row[width:] for row in rows if row.startswith(f"    {side}")] for side in one.detect_s}
    assert [len(found) for found in clients.values()] == [3, 2]
    assert not any("×" in row for row in clients["majority"])
    for row in clients["minority"]:
        columns = [at for at, mark in enumerate(row) if mark == "×"]
        assert len(columns) > 5
        assert all(one.cut_at_s - 1 < (at + 1) * one.end_s / COLUMNS < one.healed_at_s + 1 for at in columns)
        assert " " not in row[columns[0] : columns[-1]], "who is not answered waits"
    assert any("▒" in row for row in rows if row.startswith("  n"))


def test_the_ground_is_shaded_within_the_cut(found: dict[str, Measured]) -> None:
    one = found["one, siblings"]
    for row in picture(one)[2:]:
        shaded = [span.start - MARGIN for span in row.spans if GROUND in str(span.style)]
        assert shaded == [at for at in range(COLUMNS) if 4 <= (at + 0.5) * one.end_s / COLUMNS <= 12]


def test_percentages_are_not_rounded_to_all_or_nothing() -> None:
    assert [percent(*pair) for pair in ((0, 0), (0, 9), (9, 9), (9999, 10000), (1, 10000), (1, 2))] == [
        "-",
        "0%",
        "100%",
        "99.9%",
        "0.1%",
        "50.0%",
    ]


def test_a_seed_gives_the_same_bytes_again(
    found: dict[str, Measured], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cap, "SETTINGS", cap.SETTINGS[3:4])
    (again,) = cap._measured(Conditions(SEED), node_names(cap.NODES))
    assert again == found["one, lww"]
    (run,) = kept(tmp_path).values()
    assert run.history.read_bytes() == kept(place)["one-lww"].history.read_bytes()


def test_json_and_the_exit_code(
    found: dict[str, Measured], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cap, "_measured", lambda conditions, nodes: found.values())
    assert cli.main(["demo", "cap", "--assert", "--json", "--seed", str(SEED)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["demo"], told["seed"], [one["setting"] for one in told["settings"]]) == (
        "cap",
        SEED,
        NAMES,
    )
    assert told["settings"][1]["counts"] == found["quorum"].counts
    assert all(claim["holds"] for claim in told["claims"])


def test_carts_have_one_copy_on_the_smaller_side() -> None:
    nodes = node_names(5)
    place = Placement(first_layout(nodes, 3))
    for way in ("cas", "siblings"):
        keys = cap.carts_of(way, nodes, ("n2", "n4"))
        assert len(set(keys)) == cap.CARTS
        assert all(len({"n2", "n4"}.intersection(place.replicas(key)[0])) == 1 for key in keys)


def test_what_is_shown_begins_with_what_was_done(
    found: dict[str, Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cap, "_measured", lambda conditions, nodes: found.values())
    shown: Shown = cap.run(Conditions(SEED))
    assert str(shown.parts[0]).startswith(" are cut off from ".join(map(", ".join, _sides(found))))


def _sides(found: dict[str, Measured]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    one = found["quorum"]
    return one.minority, one.majority
