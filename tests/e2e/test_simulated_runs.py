"""`harness run` on the simulated cluster: verdicts, exit codes, artifacts, replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.command import harness, result_of

FAULTY = ("run", "--time-limit", "30", "--seed", "3")
LEVEL_ONE = ("run", "--level", "one", "--faults", "partition", "--time-limit", "30", "--seed", "1")


def test_a_linearizable_store_under_every_fault_is_valid(tmp_path: Path) -> None:
    done = harness(tmp_path, *FAULTY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "V A L I D" in done.stdout
    assert "harness run --time-limit 30 --seed 3" in done.stdout


def test_level_one_under_partition_is_convicted_in_words(tmp_path: Path) -> None:
    done = harness(tmp_path, *LEVEL_ONE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "I N V A L I D" in done.stdout
    assert "acknowledged" in done.stdout


def test_a_run_that_is_to_stop_at_a_violation_does_and_explains_it(tmp_path: Path) -> None:
    words = ("run", "--level", "one", "--faults", "partition", "--seed", "1", "--stop-on-violation")
    done = harness(tmp_path, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stopped by a violation at" in done.stdout
    assert "Counterexample" in done.stdout
    assert "--stop-on-violation --seed 1" in done.stdout


def test_one_seed_is_one_history_whatever_python_hashes(tmp_path: Path) -> None:
    digests = {
        result_of(harness(tmp_path, *FAULTY, "--json", PYTHONHASHSEED=seed))["digest"]
        for seed in ("0", "4242")
    }
    assert len(digests) == 1
    other = result_of(harness(tmp_path, "run", "--time-limit", "30", "--seed", "4", "--json"))
    assert other["digest"] not in digests


def test_a_run_leaves_everything_that_it_takes_to_judge_it_again(tmp_path: Path) -> None:
    result = result_of(harness(tmp_path, *FAULTY, "--json"))
    latest = tmp_path / "runs" / "latest"
    assert latest.resolve() == (tmp_path / result["run_dir"]).resolve()
    assert latest.resolve().parent.name == "register"
    plan = json.loads((latest / "plan.json").read_text())
    assert plan["seed"] == 3
    assert plan["argv"][:2] == ["harness", "run"]
    assert set(plan["versions"]) >= {"stormcellar", "python", "trio"}
    assert sha256((latest / "history.jsonl").read_bytes()).hexdigest() == result["digest"]
    assert json.loads((latest / "faults.json").read_text())
    assert json.loads((latest / "results.json").read_text())["status"] == "valid"
    assert sorted(log.name for log in (latest / "nodes").iterdir()) == [f"n{i}.log" for i in range(1, 6)]
    again = harness(tmp_path, "analyze", "latest", "--json")
    assert again.returncode == 0
    assert result_of(again)["digest"] == result["digest"]
    assert result_of(again)["verdict"] == result["verdict"]
    assert result_of(again)["interrupted_s"] is None


def test_a_fault_that_never_came_makes_the_run_vacuous(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "--time-limit", "2", "--faults", "kill", "--fault-interval", "3600")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "kill was never injected" in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "--nodes", "0"), "--nodes"),
        (("run", "--replication", "6"), "--replication"),
        (("run", "--level", "strong"), "linearizable"),
        (("run", "--level", "r=4,w=1"), "r=4,w=1"),
        (("run", "--faults", "meteor"), "partition"),
        (("run", "--faults", "partition:diagonal"), "one-way"),
        (("run", "--faults", "packets:loss=30%"), "a FRACTION from 0.001 to 1"),
        (("run", "--cluster", "moon"), "local"),
        (("run", "--cluster", "local", "--faults", "clock"), "clock"),
        (("run", "--workload", "bank"), "register"),
        (("run", "--rate", "-1"), "--rate"),
        (("run", "--time-limit", "nan"), "--time-limit"),
        (("run", "--seed", "x"), "--seed"),
        (("run", "--frobnicate"), "--frobnicate"),
        (("walk",), "walk"),
        (("check", "no-such-file"), "no-such-file"),
        (("check", "--model", "abacus", "x"), "cas-register"),
        (("analyze", "no-such-run"), "no-such-run"),
        (("analyze", 300 * "x"), "does not exist"),
        ((), "COMMAND"),
    ],
)
def test_bad_words_get_one_sentence_and_254(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    done = harness(tmp_path, *words)
    assert done.returncode == 254, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert named in done.stderr
    assert not (tmp_path / "runs").exists()


def test_help_and_list_name_everything(tmp_path: Path) -> None:
    assert "examples:" in harness(tmp_path, "run", "--help").stdout
    listed = harness(tmp_path, "list")
    assert listed.returncode == 0
    names = {tuple(line.split()[:2]) for line in listed.stdout.splitlines()}
    assert names >= {
        ("workload", "register"),
        ("fault", "partition"),
        ("fault", "clock"),
        ("amount", "clock:TARGET"),
        ("cluster", "sim"),
        ("cluster", "local"),
        ("level", "linearizable"),
        ("model", "mutex"),
    }


def test_a_reader_that_goes_away_does_not_change_the_verdict(tmp_path: Path) -> None:
    words = (sys.executable, "-m", "harness", *LEVEL_ONE)
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait(60) == 1
        assert running.stderr is not None
        assert b"Traceback" not in running.stderr.read()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_report_that_cannot_be_written_is_no_verdict(tmp_path: Path) -> None:
    words = (sys.executable, "-m", "harness", "run", "--time-limit", "1", "--faults", "none", "--json")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (255, b"harness: the output: No space left on device\n")


def test_a_run_whose_results_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    run = ("run", "--time-limit", "2", "--faults", "none", "--seed", "1")
    assert harness(tmp_path, *run, "--json").returncode == 0
    latest = tmp_path / "runs" / "latest"
    (latest / "results.json").unlink()
    (latest / "results.json").mkdir()
    again = harness(tmp_path, "analyze", "latest")
    assert again.returncode == 0, again.stderr
    assert "V A L I D" in again.stdout
    assert "results.json could not be written: Is a directory" in again.stdout.replace("\n", " ")
