"""JUnit XML: what Jenkins' schema (junit-4) allows, and nothing that is not valid is green."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from checkers.verdict import Status, Verdict
from harness.report.junit import junit
from harness.report.outcome import Case, Outcome, of_file, of_run
from tests.support.sample_run import invalid_verdict, summary, valid_verdict

ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id"},
        {"name", "tests"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        {"name"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}
"""By element: its attributes, those that it must have, and its children."""


def parsed(*outcomes):
    """The document, which keeps to the schema and counts right."""
    root = ElementTree.fromstring(junit(outcomes))
    for element in root.iter():
        attributes, needed, children = ALLOWED[element.tag]
        assert needed <= set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children
        assert not children or not (element.text or "").strip()
    for suite in [root, *root.iter("testsuite")]:
        counted = {"tests": "testcase", "failures": "failure", "errors": "error"}
        assert {name: int(suite.attrib[name]) for name in counted} == {
            name: len(list(suite.iter(tag))) for name, tag in counted.items()
        }
        float(suite.attrib["time"])
    return root


def test_a_valid_run_is_green():
    root = parsed(of_run(summary(valid_verdict())))
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("4", "0", "0")
    assert root[0].attrib["name"].startswith("register, level linearizable, on sim, faults: partition")
    assert {child.attrib["name"] for child in root.iter("property")} >= {"seed", "run again", "sha256"}


def test_a_violation_is_a_failure_with_its_explanation_and_how_to_see_it_again():
    (failure,) = parsed(of_run(summary(invalid_verdict()))).iter("failure")
    assert failure.attrib["type"] == "invalid"
    assert "process 7 read 17 on key r12" in failure.attrib["message"]
    assert "process 4 perhaps wrote 18" in failure.text
    assert "harness run --seed 42" in failure.text


@pytest.mark.parametrize("status", [Status.VACUOUS, Status.UNKNOWN])
def test_what_was_not_shown_is_an_error_and_never_green_or_skipped(status):
    verdict = Verdict("run", status, "", parts=(Verdict("faults", status, "kill never bit"),))
    (error,) = parsed(of_run(summary(verdict))).iter("error")
    assert error.attrib["type"] == status.value


def test_a_run_that_failed_and_a_file_that_was_refused_are_errors():
    failed = of_run(replace(summary(valid_verdict()), failures=["n2 ended"]))
    root = parsed(failed, of_file("a.jsonl", "a.jsonl: no history"))
    assert [error.attrib["type"] for error in root.iter("error")] == ["failed", "refused"]
    assert len(root.findall("testsuite")) == 2


def test_cases_of_runs_that_differ_can_be_told_apart():
    """GitLab keeps one of several with the same class and name."""
    one = summary(valid_verdict())
    others = [{"faults": ("kill",)}, {"level": "quorum"}, {"cluster": "local"}, {"workload": "kv"}]
    runs = [one, *(replace(one, plan=structs.replace(one.plan, **other)) for other in others)]
    told = [
        (case.attrib["classname"], case.attrib["name"])
        for case in parsed(*map(of_run, runs)).iter("testcase")
    ]
    assert len(set(told)) == len(told)


def test_colours_are_left_out_and_what_xml_cannot_say_is_marked():
    said = "\x1b[1;31mred\x1b[0m\x00 ]]> <b> & \x0c\ufffe\ud800"
    root = parsed(Outcome("a", "a", "invalid", said, (Case("a", "invalid", said),)))
    (failure,) = root.iter("failure")
    assert failure.text == "red\ufffd ]]> <b> & \ufffd\ufffd\ufffd"


@given(st.text(), st.text(), st.lists(st.text()))
def test_any_text_makes_a_document_that_can_be_read(name, sentence, story):
    parsed(Outcome(name, name, "invalid", sentence, (Case(name, "invalid", sentence, tuple(story)),)))
