"""What continuous integration is told: a case for each checker and each fault."""

from dataclasses import replace

from checkers.verdict import Status, Verdict
from harness.report.outcome import of_file, of_run
from tests.support.sample_run import EXPLANATION, invalid_verdict, summary, valid_verdict


def test_a_run_has_a_case_for_each_checker():
    found = of_run(summary(valid_verdict()))
    assert [case.name for case in found.cases] == ["linearizable", "availability", "stats", "faults"]
    assert found.kind == "valid"
    assert found.group == "harness.register.sim.linearizable.partition+kill+pause+clock"
    assert found.facts["run again"].endswith("--seed 42")


def test_and_one_for_each_fault():
    parts = (
        Verdict("partition", Status.VALID, "partition bit 1 of 1 times"),
        Verdict("kill", Status.VACUOUS, "kill was never injected"),
    )
    verdict = Verdict("run", Status.VACUOUS, "", parts=(Verdict("faults", Status.VACUOUS, "", parts=parts),))
    assert [(case.name, case.kind) for case in of_run(summary(verdict)).cases] == [
        ("faults: partition", "valid"),
        ("faults: kill", "vacuous"),
    ]


def test_the_broken_rungs_of_a_ladder_that_is_valid_are_no_cases():
    rung = Verdict("linearizable", Status.INVALID, "broken")
    ladder = Verdict("ladder", Status.VALID, "the strongest level that holds is causal", parts=(rung,))
    run = summary(Verdict("run", Status.VALID, "", parts=(ladder,)))
    assert [(case.name, case.kind) for case in of_run(run).cases] == [("ladder", "valid")]


def test_a_violation_tells_its_story_but_nothing_twice():
    case = of_run(summary(invalid_verdict())).cases[0]
    assert case.kind == "invalid"
    assert EXPLANATION[0] in case.summary
    assert case.story == tuple(EXPLANATION[1:])


def test_a_run_that_failed_is_a_failure_whatever_its_history_says():
    found = of_run(replace(summary(valid_verdict()), failures=["n2 ended", "n3 ended"]))
    assert found.kind == "failed"
    assert (found.cases[0].kind, found.cases[0].summary) == ("failed", "n2 ended; n3 ended")


def test_a_run_that_was_stopped_says_when():
    found = of_run(replace(summary(valid_verdict()), interrupted_s=12.34))
    assert found.facts["stopped at"] == "12.3 of 60 s"


def test_a_file_is_a_case_also_if_it_was_refused():
    judged = of_file("a.jsonl", Verdict("linearizable", Status.UNKNOWN, "out of time"))
    assert [(case.name, case.kind) for case in judged.cases] == [("a.jsonl", "unknown")]
    refused = of_file("b.jsonl", "b.jsonl: line 1: no operation")
    assert [(case.name, case.kind) for case in refused.cases] == [("b.jsonl", "refused")]
