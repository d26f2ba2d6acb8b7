from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from checkers.history import Op
from harness import catalog, cli
from harness.demo import base
from harness.demo.base import DemoError, record
from harness.plan import Plan
from harness.report.artifacts import LATEST, ROOT, RunDir, find
from harness.run import Recorded

PLAN = Plan(seed=1, faults=(), demo="it/a-part")
HISTORY = [Op(process=0, f="read", key="k"), Op(process=0, index=1, type="ok", f="read", key="k")]


def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Recorded) -> list[Op]:
    monkeypatch.chdir(tmp_path)

    def execute(*pieces: object) -> Recorded:
        run_dir = next(piece for piece in pieces if isinstance(piece, RunDir))
        run_dir.history.write_bytes(b"".join(msgspec.json.encode(op) + b"\n" for op in found.history))
        return found

    monkeypatch.setattr(base, "execute", execute)
    return record(PLAN, catalog.assemble(PLAN))


def test_a_part_leaves_what_any_run_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert recorded(monkeypatch, tmp_path, Recorded(HISTORY)) == HISTORY
    (path,) = (tmp_path / "runs/demo-it/a-part").iterdir()
    names = {each.name for each in path.iterdir()}
    assert {"plan.json", "history.jsonl", "faults.json", "results.json", "report.html"} < names
    assert RunDir(path).read_plan() == PLAN
    results = json.loads((path / "results.json").read_text())
    assert (results["status"], results["replay"]) == ("valid", "harness demo it --seed 1")
    assert results["notes"][0].startswith("a-part of harness demo it: ")
    assert find(ROOT, LATEST).path == path


@pytest.mark.parametrize(
    ("found", "status", "says"),
    [
        (Recorded(failures=["n1 did not start", "more"]), "failed", "^a-part: n1 did not start$"),
        (
            Recorded(HISTORY, interrupted_s=2.0),
            "valid",
            "^interrupted in a-part; what was recorded is in runs/demo-it/a-part/",
        ),
    ],
)
def test_half_a_run_has_no_figures_but_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Recorded, status: str, says: str
) -> None:
    with pytest.raises(DemoError, match=says):
        recorded(monkeypatch, tmp_path, found)
    (path,) = (tmp_path / "runs/demo-it/a-part").iterdir()
    results = json.loads((path / "results.json").read_text())
    assert (results["status"], results["interrupted_s"]) == (status, found.interrupted_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"demo": "it/a-part"},
        {"demo": "cap"},
        {"demo": "cap/nothing"},
        {"demo": "sharding/ring"},
        {"demo": "quorum/n3-r1-w1", "cluster": "local"},
        {"demo": "pacelc/one-in-each-one", "nodes": ("n1",), "replication": 1},
    ],
)
def test_a_plan_of_no_part_that_there_is_is_refused_in_a_sentence(
    tmp_path: Path, changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(tmp_path)
    run.write_plan(msgspec.structs.replace(PLAN, **changes))
    run.history.write_text("")
    assert cli.main(["analyze", str(tmp_path)]) == 254
    said = capsys.readouterr().err
    assert f"the plan is of '{changes['demo']}' on " in said
    assert "Traceback" not in said
