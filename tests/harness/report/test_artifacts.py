"""The run directory: names, atomic files, the link to the newest run, and the way back in."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness.ledger import Entry
from harness.plan import Plan, PlanError
from harness.report import atomic
from harness.report.artifacts import ArtifactsError, Ending, RunDir, create, find, point_latest
from harness.report.atomic import write_atomically

NOW = datetime(2026, 1, 31, 14, 22, 33, 123_999, tzinfo=UTC)


RESULTS = """{
  "a": {
    "x": [
      1,
      2,
      3
    ],
    "y": null
  },
  "b": 1
}
"""


def test_a_run_directory_is_named_by_workload_and_time(tmp_path):
    run = create(tmp_path / "runs", "register", NOW)
    assert run.path == tmp_path / "runs" / "register" / "20260131T142233.123Z"
    assert run.nodes.is_dir()
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert create(tmp_path / "other", "register", elsewhere).path.name == run.path.name


def test_two_runs_in_one_millisecond_get_two_directories(tmp_path):
    names = [create(tmp_path, "register", NOW).path.name for _ in range(3)]
    assert names == ["20260131T142233.123Z", "20260131T142233.123Z-2", "20260131T142233.123Z-3"]


def test_a_run_directory_that_cannot_be_made_is_named_with_the_reason(tmp_path):
    (tmp_path / "register").write_text("in the way")
    with pytest.raises(ArtifactsError, match="register is needed as a directory, and is a file"):
        create(tmp_path, "register", NOW)
    with pytest.raises(ArtifactsError, match="could not be made: Not a directory"):
        create(tmp_path / "register", "x", NOW)


def test_a_run_directory_holds_plan_ledger_and_results(tmp_path):
    run = create(tmp_path, "register", NOW)
    run.write_plan(Plan(seed=9))
    run.write_faults([Entry("kill", "kill", None, 1.0), Entry("pause", "pause", {"nodes": ["n1"]}, 2.5)])
    run.write_results({"b": 1, "a": {"y": float("nan"), "x": {3, 1, 2}}})
    assert run.read_plan() == Plan(seed=9)
    assert [entry["fault"] for entry in json.loads(run.faults.read_bytes())] == ["kill", "pause"]
    assert run.results.read_text() == RESULTS
    assert sorted(path.name for path in run.path.iterdir()) == [
        "faults.json",
        "nodes",
        "plan.json",
        "results.json",
    ]


def test_a_run_without_a_plan_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(PlanError, match=r"the plan .*plan\.json cannot be read: No such file"):
        RunDir(tmp_path).read_plan()


def test_what_the_results_say_of_the_run_itself_is_read_back_where_there_are_any(tmp_path):
    run = create(tmp_path, "register", NOW)
    assert run.read_ending() is None
    run.write_results({"status": "failed", "interrupted_s": 1.5, "failures": ["a node died"], "notes": ["a"]})
    assert run.read_ending() == Ending(1.5, ("a node died",), ("a",))
    run.results.write_text("[")
    assert run.read_ending() is None


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "plan.json"
    write_atomically(path, b"old")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((atomic.os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(ArtifactsError, match=r"plan\.json could not be written: No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_synced_before_they_get_their_name(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda fd: (steps.append("sync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda old, new: (steps.append("rename"), replace(old, new)))
    write_atomically(tmp_path / "x", b"1")
    assert steps == ["sync", "rename", "sync"]


def test_latest_points_to_the_newest_run_by_a_relative_path(tmp_path):
    for workload in ("register", "sets"):
        run = create(tmp_path, workload, NOW)
        assert point_latest(tmp_path, run) is None
    assert os.readlink(tmp_path / "latest") == "sets/20260131T142233.123Z"
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (moved / "latest").resolve() == moved / "sets" / "20260131T142233.123Z"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_latest_that_is_not_a_link_is_not_touched(tmp_path, kind):
    latest = tmp_path / "latest"
    latest.write_text("mine") if kind == "file" else latest.mkdir()
    sentence = point_latest(tmp_path, create(tmp_path, "register", NOW))
    assert (
        sentence == f"{latest} is not a symbolic link, so it was left as it is and does not point to this run"
    )
    assert latest.read_text() == "mine" if kind == "file" else latest.is_dir()


def test_a_latest_that_points_nowhere_is_replaced(tmp_path):
    (tmp_path / "latest").symlink_to("gone")
    run = create(tmp_path, "register", NOW)
    assert point_latest(tmp_path, run) is None
    assert (tmp_path / "latest").resolve() == run.path


def test_a_latest_that_cannot_be_made_is_a_sentence(tmp_path):
    run = create(tmp_path, "register", NOW)
    sentence = point_latest(tmp_path / "gone", run)
    assert sentence is not None
    assert sentence.endswith("latest could not be pointed to this run: No such file or directory")


def test_a_run_is_found_by_directory_file_or_latest(tmp_path):
    run = create(tmp_path, "register", NOW)
    run.history.write_text("")
    point_latest(tmp_path, run)
    assert find(tmp_path, str(run.path)) == run
    assert find(tmp_path, str(run.history)) == run
    assert find(tmp_path, "latest").path == run.path.resolve()


def test_a_run_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ArtifactsError, match="latest does not exist; no run was made here yet"):
        find(tmp_path, "latest")
    (tmp_path / "latest").symlink_to("gone")
    with pytest.raises(ArtifactsError, match="latest points to a run that is gone"):
        find(tmp_path, "latest")
    with pytest.raises(
        ArtifactsError, match="nowhere does not exist; allowed: the directory of a run, or latest"
    ):
        find(tmp_path, "nowhere")
    with pytest.raises(ArtifactsError, match="xx does not exist; allowed"):
        find(tmp_path, 5000 * "x")
    with pytest.raises(ArtifactsError, match=r"is not the directory of a run: it has no history\.jsonl"):
        find(tmp_path, str(tmp_path))
