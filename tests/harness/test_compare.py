"""Two runs side by side, from their directories."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness import cli, compare
from harness.commands import compare as compare_command
from harness.plan import Plan, save
from harness.report.artifacts import RunDir
from harness.report.summary import RunSummary, as_json
from tests.harness.test_compare_noise import some_run
from tests.support.sample_run import ENTRIES, WRONG_HISTORY, history, valid_verdict


def recorded(path: Path, plan: Plan, events: list[Op], verdict: Verdict | None) -> RunDir:
    path.mkdir(parents=True)
    run = RunDir(path)
    save(plan, run.plan)
    run.history.write_bytes(b"".join(msgspec.json.encode(op) + b"\n" for op in events))
    if verdict is not None:
        run.write_results(as_json(RunSummary(plan, events, verdict, ENTRIES, "", path)))
    return run


def two(folder: Path) -> tuple[RunDir, RunDir]:
    wrong = Verdict("run", Status.INVALID, "no", parts=(Verdict("linearizable", Status.INVALID, "no"),))
    return (
        recorded(folder / "a", Plan(seed=1), history(10, 100), valid_verdict()),
        recorded(folder / "b", Plan(seed=1, level="one"), history(10, 50), wrong),
    )


def test_verdicts_rates_latencies_and_faults_are_there_for_both(tmp_path: Path) -> None:
    found = compare.compare(*two(tmp_path))
    assert (found.a.status, found.b.status) == ("valid", "invalid")
    assert found.a.checkers["linearizable"] == "valid"
    assert found.b.checkers == {"linearizable": "invalid"}
    assert found.a.operations["all"].total == 1000
    assert found.b.operations["all"].total == 500
    assert found.a.operations["read"].ok == 500
    assert found.a.operations["read"].rate == pytest.approx(500 / found.a.duration_s)
    assert 1 < found.a.operations["read"].latencies_ms["p50_ms"] < 20  # type: ignore[operator]
    assert found.a.faults["kill"] == compare.Faults(2, 1, 1)


def test_the_plans_differ_in_what_determines_a_run_only(tmp_path: Path) -> None:
    a = Plan(seed=1, argv=("harness", "run"), versions={"trio": "1"})
    assert compare.differences(a, msgspec.structs.replace(a, argv=(), versions={})) == []
    (found,) = compare.differences(a, msgspec.structs.replace(a, level="one"))
    assert (found.field, found.a, found.b) == ("level", "linearizable", "one")


def test_it_is_said_why_either_is_not_valid(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    assert compare_command.sentences(compare.compare(a, b))[0] == "B is invalid: no"
    assert compare_command.sentences(compare.compare(a, a))[0] == "The plans are the same."


def test_histories_part_at_the_first_event_that_is_another() -> None:
    assert compare.parting(WRONG_HISTORY, list(WRONG_HISTORY)) is None
    other = [*WRONG_HISTORY[:3], msgspec.structs.replace(WRONG_HISTORY[3], key="r9"), *WRONG_HISTORY[4:]]
    found = compare.parting(WRONG_HISTORY, other)
    assert found == compare.Parting(3, WRONG_HISTORY[3], other[3])
    assert compare.parting(WRONG_HISTORY, WRONG_HISTORY[:5]) == compare.Parting(5, WRONG_HISTORY[5], None)


def test_a_run_that_was_not_judged_has_no_verdict(tmp_path: Path) -> None:
    run = recorded(tmp_path / "killed", Plan(), WRONG_HISTORY, None)
    found = compare.compare(run, run)
    assert (found.a.status, found.a.checkers, found.a.faults) == (None, {}, {})
    assert found.parting is None
    assert "The plans are the same." in compare_command.sentences(found)
    assert compare_command.NOISE not in compare_command.sentences(found)


def test_a_run_on_itself_differs_in_nothing(tmp_path: Path) -> None:
    a, _ = two(tmp_path)
    assert all(change == "" for *_, change in compare_command.rows(compare.compare(a, a)))


def cells(folder: Path) -> dict[str, str]:
    found = compare.compare(RunDir(folder / "a"), RunDir(folder / "b"))
    return {str(label): str(change) for label, *_, change in compare_command.rows(found)}


def test_what_is_within_the_noise_stands_in_parentheses_and_what_is_not_does_not(tmp_path: Path) -> None:
    recorded(tmp_path / "a", Plan(seed=1), some_run(1), valid_verdict())
    recorded(tmp_path / "b", Plan(seed=2), some_run(2, slower=8.0), valid_verdict())
    found = cells(tmp_path)
    assert re.fullmatch(r"\([+-]\d%\)", found["read: ok/s"])
    assert re.fullmatch(r"\+\d+%", found["read: ok p50, ms"])


def test_a_kind_of_operation_that_one_of_them_lacks_has_no_difference(tmp_path: Path) -> None:
    writes = [msgspec.structs.replace(op, f="write") for op in some_run(1)]
    recorded(tmp_path / "a", Plan(seed=1), some_run(1), valid_verdict())
    recorded(tmp_path / "b", Plan(seed=2), writes, valid_verdict())
    assert {cells(tmp_path)[f"{f}: ok/s"] for f in ("read", "write")} == {""}


def test_what_was_not_there_before_is_a_difference_too(tmp_path: Path) -> None:
    recorded(tmp_path / "a", Plan(seed=1), some_run(1, info=0.0), valid_verdict())
    recorded(tmp_path / "b", Plan(seed=2), some_run(2, info=0.4), valid_verdict())
    assert cells(tmp_path)["read: info/s"] == "from 0"


def test_the_command_prints_a_table_or_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    two(tmp_path)
    assert cli.main(["compare", "a", "b"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"verdict +valid +invalid", printed)
    assert "level: 'linearizable' in A, 'one' in B" in printed
    assert "The histories part at event" in printed
    assert cli.main(["compare", "a", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["a"]["status"] == "valid"
    assert told["plans"] == [{"field": "level", "a": "linearizable", "b": "one"}]


def test_what_is_no_run_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    two(tmp_path)
    assert cli.main(["compare", "a", "c"]) == 254
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("harness: c does not exist")


def test_a_fault_that_was_seen_not_to_bite_did_not(tmp_path: Path) -> None:
    run = recorded(tmp_path / "a", Plan(), WRONG_HISTORY, None)
    entries = [msgspec.structs.replace(ENTRIES[0], observed=observed) for observed in (True, False, None)]
    run.write_results(as_json(RunSummary(Plan(), WRONG_HISTORY, valid_verdict(), entries, "", run.path)))
    assert compare.compare(run, run).a.faults["partition"].bit == 1


def test_a_run_that_failed_says_so(tmp_path: Path) -> None:
    run = recorded(tmp_path / "f", Plan(), WRONG_HISTORY, None)
    summary = RunSummary(Plan(), WRONG_HISTORY, valid_verdict(), (), "", run.path)
    run.write_results(as_json(replace(summary, failures=["n1 ended"])))
    assert compare.compare(run, run).a.status == "failed"
