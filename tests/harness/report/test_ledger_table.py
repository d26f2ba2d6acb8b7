"""The fault ledger as a table: what was chosen in words, and what is shown of a long one."""

import io

import pytest
from rich.console import Console

from harness.ledger import Entry
from harness.report.ledger_table import ROWS_MAX, describe, ledger_table


def drawn(entries, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(ledger_table(entries, width))
    return [line.split() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        ("n1", "n1"),
        ({"nodes": ["n2", "n4"]}, "n2 n4"),
        ({"offsets_ms": {"n1": 1500, "n5": -250}}, "n1 +1.5 s, n5 -250 ms"),
        (
            {"grudge": {"n3": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"]}},
            "n3 | n1 n2",
        ),
        ({"grudge": {"n1": ["n2", "n3"]}}, "n1 deaf to n2 n3"),
        (
            {"grudge": {"n1": ["n2"], "n2": ["n3"], "n3": ["n1"]}},
            "n1 deaf to n2; n2 deaf to n3; n3 deaf to n1",
        ),
        ({"grudge": {"n1": ["n2"], "n2": ["n1"], "n3": ["n1"]}}, "n1 deaf to n2; n2 n3 deaf to n1"),
        ({"target": "minority", "nodes": ["n1", "n4"]}, "minority: n1 n4"),
        ({"shape": "halves", "grudge": {"n1": ["n2"], "n2": ["n1"]}}, "halves: n1 | n2"),
        ({"target": "one", "offsets_ms": {"n3": 4}}, "one: n3 +4 ms"),
        ({"shape": "halves"}, "halves"),
        ({"role": "steward", "seed": 77}, "steward"),
        ({"target": "n1+n3", "nodes": ["n1", "n3"]}, "n1 n3"),
    ],
)
def test_what_was_chosen_is_said_in_words(value, words):
    assert describe(value) == words


def test_an_entry_says_whether_it_bit_and_when_it_was_healed():
    healed = Entry("kill", "kill", {"nodes": ["n1"]}, 1.0, 1.25, True, "refuses", 2.0)
    assert drawn([healed])[1] == ["kill", "n1", "1.2", "2.0", "yes", "refuses"]
    unhealed = Entry("kill", "kill", {"nodes": ["n1"]}, 1.0, 1.0, False, "answers")
    assert drawn([unhealed])[1] == ["kill", "n1", "1.0", "never", "no", "answers"]
    unknown = Entry("kill", "kill", {"nodes": ["n1"]}, 1.0, 1.0)
    assert drawn([unknown])[1] == ["kill", "n1", "1.0", "never", "unknown"]
    failed = Entry("kill", "kill", {"nodes": ["n1"]}, 1.0, error="no such node")
    assert drawn([failed])[1] == ["kill", "n1", "1.0", "-", "failed", "no", "such", "node"]


def test_of_a_long_ledger_what_went_wrong_is_shown_and_the_rest_is_counted():
    entries = [Entry("kill", "kill", None, float(i), float(i), i != 90, "", i + 0.5) for i in range(100)]
    lines = drawn(entries)
    assert len(lines) == 1 + ROWS_MAX + 1
    assert lines[-2][:4] == ["kill", "90.0", "90.5", "no"]
    assert " ".join(lines[-1]) == f"and {100 - ROWS_MAX} more, all in faults.json"


def test_a_fault_that_bit_takes_one_line_and_one_that_did_not_is_told_whole():
    long = "a sentence of evidence " * 8
    sound = Entry("kill", "kill", {"nodes": ["n1"] * 20}, 1.0, 1.0, True, long, 2.0)
    assert len(drawn([sound], width=80)) == 2
    assert drawn([sound], width=80)[1][-1].endswith("...")
    unsound = Entry("kill", "kill", {"nodes": ["n1"] * 20}, 1.0, 1.0, False, long, 2.0)
    told = " ".join(word for line in drawn([unsound], width=80)[1:] for word in line)
    assert told.count("sentence") == 8
    assert "..." not in told
