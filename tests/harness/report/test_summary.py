"""The JSON of a run and of a checked file: the keys that programs may rely on."""

import json

from harness.report.summary import as_json, check_as_json
from tests.support.sample_run import invalid_verdict, summary, valid_verdict


def test_a_run_as_json_has_these_keys():
    run = as_json(summary(valid_verdict()))
    assert list(run) == [
        "status",
        "summary",
        "verdict",
        "duration_s",
        "faults",
        "digest",
        "run_dir",
        "interrupted_s",
        "failures",
        "notes",
        "stood_still",
        "plan",
        "replay",
    ]
    assert run["status"] == "valid"
    assert run["replay"] == "harness run --seed 42"
    parts = [part["checker"] for part in run["verdict"]["parts"]]
    assert parts == [
        "linearizable",
        "availability",
        "stats",
        "faults",
    ]
    assert run["faults"][4]["error"] == "n3: no such process"


def test_a_run_that_failed_is_failed_whatever_its_history_says():
    run = as_json(summary(valid_verdict(), failures=["node n1 did not start", "the disk is full"]))
    assert (run["status"], run["summary"]) == ("failed", "node n1 did not start; the disk is full")
    assert run["verdict"]["status"] == "valid"


def test_a_run_with_a_counterexample_is_plain_json_and_the_same_every_time():
    first, second = (json.dumps(as_json(summary(invalid_verdict()))) for _ in range(2))
    assert first == second
    operations = json.loads(first)["verdict"]["parts"][0]["details"]["operations"]
    assert operations[0]["f"] == "write"


def test_a_checked_file_as_json_has_these_keys():
    found = check_as_json("x.edn", invalid_verdict())
    assert list(found) == ["file", "status", "summary", "verdict"]
    assert (found["file"], found["status"]) == ("x.edn", "invalid")
    assert json.loads(json.dumps(found))["verdict"]["checker"] == "run"
