"""The report's files, as a run and `harness analyze` write them."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import harness


def test_a_run_leaves_its_report_and_plots_and_analyzing_writes_them_again(tmp_path: Path) -> None:
    done = harness(tmp_path, "run", "--time-limit", "5", "--seed", "1", "--faults", "clock")
    latest = tmp_path / "runs" / "latest"
    names = ("report.html", "latency.svg", "rate.svg", "clocks.svg")
    written = {name: (latest / name).read_text() for name in names}
    assert (latest / "nodes.jsonl").read_text().count("\n") >= 5
    assert "report.html" in done.stdout
    assert 'class="verdict"' in written["report.html"]
    for name in names:
        (latest / name).unlink()
    harness(tmp_path, "analyze", "latest")
    again = {name: (latest / name).read_text() for name in names}
    assert {name: again[name] for name in names[1:]} == {name: written[name] for name in names[1:]}
    assert 'class="verdict"' in again["report.html"]
