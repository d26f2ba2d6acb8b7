"""`harness run --cluster local`: real processes, signals, and days on which things go wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Running, alive, environment, eventually, harness, part, result_of

pytestmark = pytest.mark.real

LOCAL = ("--cluster", "local", "--fault-interval", "3")
ENDLESS = ("--faults", "none", "--time-limit", "600", "--concurrency", "2")
"""With few clients: a disk that others make stand still for a second keeps each from one operation, and more
than one in twenty would be a violation."""


def test_every_fault_on_real_nodes_is_survived(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", *LOCAL, "--time-limit", "10", "--seed", "1", "--json")
    result = result_of(done)
    assert done.returncode == 0, result
    assert {entry["fault"] for entry in result["faults"] if entry["observed"]} == {
        "partition",
        "kill",
        "pause",
    }


def test_level_one_under_real_partitions_is_convicted(tmp_path: Path) -> None:
    words = ("--level", "one", "--faults", "partition:halves", "--time-limit", "30", "--stop-on-violation")
    done = harness(tmp_path, "run", *LOCAL, *words, "--seed", "1", "--json")
    assert done.returncode == 1, done.stderr
    verdict = part(result_of(done), "linearizable")
    assert verdict["status"] == "invalid"
    assert "process" in verdict["details"]["explanation"][0]
    assert verdict["details"]["operations"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_heals_and_judges_what_was_recorded(tmp_path: Path, number: signal.Signals) -> None:
    with Running(tmp_path, *LOCAL, *ENDLESS) as running:
        running.recorded(600)
        nodes = running.nodes()
        assert len(nodes) == 5
        running.send(number)
        code, output = running.ended()
    assert code == 0, output
    assert "V A L I D" in output
    assert "interrupted at" in output
    assert not any(alive(pid) for pid in nodes.values())


def test_killed_it_leaves_no_node_and_a_history_that_can_be_judged(tmp_path: Path) -> None:
    with Running(tmp_path, *LOCAL, *ENDLESS) as running:
        running.recorded(600)
        nodes = running.nodes()
        os.kill(nodes["n1"], signal.SIGSTOP)
        running.send(signal.SIGKILL)
        running.ended()
        eventually(lambda: not any(alive(pid) for pid in nodes.values()))
    done = harness(tmp_path, "analyze", "latest", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert part(result_of(done), "stats")["details"]["operations"]["read"]["ok"] > 10
    assert 0 < result_of(done)["interrupted_s"] < 600


def test_a_node_that_hangs_makes_its_operations_info_and_the_run_ends_on_time(tmp_path: Path) -> None:
    with Running(tmp_path, *LOCAL, "--faults", "none", "--time-limit", "6", "--json") as running:
        running.recorded(100)
        nodes = running.nodes()
        os.kill(nodes["n3"], signal.SIGSTOP)
        code, output = running.ended(timeout_s=30)
    result = json.loads(output)
    assert code in (0, 1), output  # 1: it was not available, though nobody had told the harness why
    assert part(result, "linearizable")["status"] == "valid"
    operations = part(result, "stats")["details"]["operations"]
    assert operations["write"]["info"] + operations["cas"]["info"] > 0
    assert not any(alive(pid) for pid in nodes.values())


def test_a_node_that_dies_by_itself_ends_the_run_and_is_named(tmp_path: Path) -> None:
    with Running(tmp_path, *LOCAL, "--faults", "none", "--time-limit", "600") as running:
        running.recorded(100)
        nodes = running.nodes()
        os.kill(nodes["n2"], signal.SIGKILL)
        code, output = running.ended()
    assert code == 255, output
    assert "F A I L E D    node n2 was ended by SIGKILL" in output
    assert not any(alive(pid) for pid in nodes.values())
    again = harness(tmp_path, "analyze", "latest", "--json")
    assert (again.returncode, result_of(again)["status"]) == (255, "failed"), (
        "to judge again does not mend it"
    )


def test_a_node_that_does_not_start_again_ends_the_run_and_is_named(tmp_path: Path) -> None:
    words = ("--faults", "kill:n1", "--fault-interval", "2", "--time-limit", "600", "--nodes", "3")
    with Running(tmp_path, "--cluster", "local", *words) as running:
        running.recorded(20)
        data = tmp_path / "runs" / "latest" / "nodes" / "data"
        (data / "n1").rename(data / "away")
        (data / "n1").write_text("a file where its data directory should be")
        code, output = running.ended()
    assert code == 255, output
    assert "F A I L E D    node n1 did not start" in output


def test_a_full_disk_ends_the_run_with_the_file_and_the_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", *LOCAL, "--faults", "none", "--time-limit", "600"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        check=False,
    )
    assert done.returncode == 255, done.stdout + done.stderr
    assert "File too large" in done.stderr
    assert "F A I L E D" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    done = harness(tmp_path, "run", *LOCAL)
    assert done.returncode == 255
    assert "runs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
