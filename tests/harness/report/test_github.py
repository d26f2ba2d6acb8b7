"""Annotations and step summaries: escaped, bounded, and for all that is not valid."""

import re
from argparse import Namespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.atomic import ArtifactsError
from harness.report.ci import publish
from harness.report.github import (
    ANNOTATIONS_MAX,
    SUMMARY_BYTES_MAX,
    TITLE_CHARS_MAX,
    annotation_lines,
    summary,
)
from harness.report.outcome import Case, Outcome, of_run
from tests.support import sample_run


def outcome(*cases, name="a run"):
    return Outcome(name, "harness.x.sim", cases[0].kind, cases[0].summary, cases)


def test_a_valid_run_has_no_annotations():
    assert annotation_lines([of_run(sample_run.summary(sample_run.valid_verdict()))]) == []


def test_a_violation_is_an_error_and_what_was_not_shown_a_warning_and_errors_come_first():
    found = outcome(
        Case("faults: kill", "vacuous", "kill never bit"),
        Case("linearizable", "invalid", "stale: 100%", ("line one", "line two")),
        name="a, b",
    )
    assert annotation_lines([found]) == [
        "::error title=invalid%3A linearizable (a%2C b)::stale: 100%25%0Aline one%0Aline two",
        "::warning title=vacuous%3A faults%3A kill (a%2C b)::kill never bit",
    ]


def test_no_more_are_printed_than_github_keeps():
    many = outcome(*[Case(f"c{number}", "invalid", "x") for number in range(30)])
    lines = annotation_lines([many])
    assert len(lines) == ANNOTATIONS_MAX
    assert lines[-1] == "::error::and 21 more, which GitHub would not show"
    few = outcome(*[Case(f"c{number}", "invalid", "x") for number in range(ANNOTATIONS_MAX)])
    assert annotation_lines([few])[-1].startswith("::error title=invalid%3A c9 ")


@given(st.text(), st.text(), st.text())
def test_an_annotation_is_one_line_that_reads_back(name, checker, sentence):
    (line,) = annotation_lines([outcome(Case(checker, "invalid", sentence), name=name)])
    assert "\n" not in line
    assert "\r" not in line
    title, _, message = line.removeprefix("::error title=").partition("::")
    assert decoded(title) == f"invalid: {checker} ({name})"[:TITLE_CHARS_MAX]
    assert decoded(message) == sentence


def decoded(text):
    """As the runner does it."""
    codes = {"%25": "%", "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
    return re.sub("%25|%0D|%0A|%3A|%2C", lambda found: codes[found[0]], text)


def test_a_summary_has_a_row_for_each_case_and_the_story_of_what_is_wrong():
    text = summary([of_run(sample_run.summary(sample_run.invalid_verdict()))])
    assert text.startswith("### ❌ invalid: register, level linearizable, on sim, faults: partition")
    assert "| ✅ | stats | valid | 12,000 operations: 10,309 ok, 1,056 fail, 635 info |" in text
    assert "```text\nIt began as nil; these 4 operations contradict each other:\n" in text
    assert "<code>harness run --seed 42</code>" in text


def test_text_stays_text_in_a_table():
    text = summary([outcome(Case("a|b", "invalid", "x\n<img src=x> | `y` *z* [l](u)"))])
    assert r"| ❌ | a\|b | invalid | x &lt;img src=x&gt; \| \`y\` \*z\* \[l\](u) |" in text


def test_a_story_with_a_fence_in_it_does_not_get_out_of_its_block():
    text = summary([outcome(Case("a", "invalid", "x", ("```", "# not a heading")))])
    assert "````text\n```\n# not a heading\n````\n" in text


def test_a_summary_that_is_too_long_is_cut_and_says_so():
    long = [outcome(Case("a", "invalid", "x", ("y" * 3000,) * 40)) for _ in range(20)]
    text = summary(long)
    assert len(text.encode()) < SUMMARY_BYTES_MAX
    assert text.endswith("The rest does not fit in here.\n")


@given(st.integers(0, 2000))
def test_wherever_it_is_cut_it_fits_and_every_block_is_closed(room_bytes):
    long = [outcome(Case("ä", "invalid", "x", ("y" * 30, "````"))) for _ in range(20)]
    text = summary(long, room_bytes)
    assert len(text.encode()) <= room_bytes
    assert text.count("`````text\n") * 2 == text.count("`````")


def test_what_the_step_has_written_before_counts(tmp_path):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * (SUMMARY_BYTES_MAX - 100))
    publish(FLAGS, [WRONG], {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text().endswith("xx\nThe rest does not fit in here.\n")
    assert path.stat().st_size <= SUMMARY_BYTES_MAX


FLAGS = Namespace(junit=None, github=False)
WRONG = outcome(Case("linearizable", "invalid", "stale"))


def test_annotations_are_printed_on_github_or_when_asked_for_and_never_to_standard_output(capsys):
    publish(FLAGS, [WRONG], {})
    assert capsys.readouterr().err == ""
    publish(FLAGS, [WRONG], {"GITHUB_ACTIONS": "true"})
    publish(Namespace(junit=None, github=True), [WRONG], {})
    printed = capsys.readouterr()
    assert printed.err.count("::error title=") == 2
    assert printed.out == ""


def test_the_summary_of_a_step_is_appended_to(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    publish(FLAGS, [WRONG], {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text().startswith("before\n### ❌ invalid: a run\n")


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    for flags, env in (
        (Namespace(junit=tmp_path / "no/junit.xml", github=False), {}),
        (FLAGS, {"GITHUB_STEP_SUMMARY": str(tmp_path / "no/summary.md")}),
    ):
        with pytest.raises(ArtifactsError, match="could not be written: No such file or directory"):
            publish(flags, [WRONG], env)
