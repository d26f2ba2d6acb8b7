"""`--junit` and `--github` on the command line: the exit codes are what they were."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cli import main
from harness.plan import Plan, save

VALID = (
    '{"process":0,"type":"invoke","f":"write","value":1}\n{"process":0,"type":"ok","f":"write","value":1}\n'
)
STALE = VALID + (
    '{"process":1,"type":"invoke","f":"write","value":2}\n{"process":1,"type":"ok","f":"write","value":2}\n'
    '{"process":0,"type":"invoke","f":"read"}\n{"process":0,"type":"ok","f":"read","value":1}\n'
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def suites(path: str) -> list[tuple[str, str, str]]:
    return [
        (suite.attrib["name"], suite.attrib["failures"], suite.attrib["errors"])
        for suite in ElementTree.parse(path).getroot()
    ]


def cases(path: str) -> list[tuple[str, str, str | None]]:
    return [
        (case.attrib["name"], told.tag, told.text)
        for case in ElementTree.parse(path).getroot().iter("testcase")
        for told in case
    ]


def test_check_writes_a_suite_for_each_file_also_for_one_that_is_refused() -> None:
    for name, text in (("valid.jsonl", VALID), ("stale.jsonl", STALE), ("broken.jsonl", "{")):
        Path(name).write_text(text)
    files = ["valid.jsonl", "stale.jsonl", "broken.jsonl"]
    assert main(["check", *files[:2], "--model", "register", "--junit", "a.xml"]) == 1
    assert suites("a.xml") == [("valid.jsonl", "0", "0"), ("stale.jsonl", "1", "0")]
    assert main(["check", *files, "--model", "register", "--junit", "b.xml"]) == 254
    assert suites("b.xml")[2] == ("broken.jsonl", "0", "1")


def test_a_run_and_its_analysis_say_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--seed", "1", "--time-limit", "2", "--faults", "none", "--json", "--github"]
    assert main([*words, "--junit", "run.xml"]) == 0
    assert main(["analyze", "latest", "--junit", "again.xml"]) == 0
    assert cases("run.xml") == cases("again.xml")
    assert len(cases("run.xml")) >= 4


def test_a_vacuous_run_is_not_green(capfd: pytest.CaptureFixture[str]) -> None:
    words = [
        "run",
        "--seed",
        "1",
        "--time-limit",
        "1",
        "--faults",
        "kill",
        "--fault-interval",
        "3000",
        "--json",
    ]
    assert main([*words, "--junit", "run.xml", "--github"]) == 3
    assert suites("run.xml")[0][1:] == ("0", "1")
    assert "::warning title=vacuous%3A faults%3A kill" in capfd.readouterr().err


def test_a_file_that_cannot_be_written_is_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    Path("valid.jsonl").write_text(VALID)
    name = "x" * 300
    assert main(["check", "valid.jsonl", "--junit", name]) == 255
    assert f"{name} could not be written: File name too long" in capfd.readouterr().err


@pytest.mark.parametrize("place", ["no/such/dir.xml", "."])
def test_a_place_where_no_file_can_be_is_refused_before_the_run(
    place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--time-limit", "1", "--faults", "none", "--junit", place])
    assert ended.value.code == 254
    assert f"argument --junit: {place} is no place for a file" in capfd.readouterr().err
    assert not Path("runs").exists()


def test_a_run_of_a_test_is_judged_by_that_test(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--seed", "1", "--time-limit", "1", "--faults", "none", "--quiet"]) == 0
    (plan,) = Path("runs/register").glob("*/plan.json")
    made = Plan(workload="test-it", cluster="service", argv=("pytest", "--chaos", "a.py::test_it[b c]"))
    save(made, plan)
    assert main(["analyze", str(plan.parent)]) == 254
    told = capfd.readouterr().err
    assert "pytest --chaos 'a.py::test_it[b c]'" in told
    assert f"harness check {plan.parent}/history.jsonl --model" in told
