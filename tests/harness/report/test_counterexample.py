"""The counterexample's panel: operations in words, and bars that keep the order of events."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group

from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status, Verdict
from harness.report.console import render_check
from harness.report.counterexample import PANELS_MAX, ROWS_MAX, Told, bars, operations, panels
from harness.report.timeline import ASCII, UNICODE
from tests.support.sample_run import WRONG, WRONG_HISTORY, invalid_verdict, told


def leaf():
    return invalid_verdict().parts[0]


def drawn(verdict, width=80, glyphs=UNICODE):
    console = Console(file=io.StringIO(), width=width)
    console.print(Group(*panels(verdict, width, glyphs)))
    return console.file.getvalue()


def op(f, value=None, outcome="ok"):
    return Told(1, f, value, outcome, start=0, end=1)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (op("write", 3), "write 3"),
        (op("write", 3, "info"), "write 3 (unknown)"),
        (op("write", 3, "fail"), "write 3 (failed)"),
        (op("read", 3), "read = 3"),
        (op("read", None), "read = nil"),
        (op("get", "abc"), "get = 'abc'"),
        (op("cas", [None, 3]), "cas nil -> 3"),
        (op("cas", (1, 2), "fail"), "cas 1 -> 2 (failed)"),
        (op("acquire"), "acquire"),
    ],
)
def test_an_operation_is_said_in_words(operation, words):
    assert operation.in_words == words


def test_bars_show_what_came_before_what():
    assert bars(operations(leaf()), 6, 25, ascii_only=True) == [
        "|------|",
        "   |.....................",
        "           |---|",
        "                   |===|",
    ]


@given(st.lists(st.booleans(), max_size=20), st.integers(44, 100))
def test_bars_begin_in_the_order_of_invocation_and_stay_within_the_width(completes, width):
    end = iter(range(len(completes), 2 * len(completes)))
    rows = [
        Told(p, "read", 1, "ok", p, next(end) if completed else None) for p, completed in enumerate(completes)
    ]
    drawn_bars = bars(rows, None, width)
    begins = [len(bar) - len(bar.lstrip()) for bar in drawn_bars]
    assert all(first < second for first, second in pairwise(begins))
    assert all(len(bar) <= width for bar in drawn_bars)
    ends = [len(bar) for bar, completed in zip(drawn_bars, completes, strict=True) if completed]
    assert all(first < second for first, second in pairwise(ends))
    assert not ends or begins[-1] < ends[0]


def test_the_panel_names_the_key_marks_the_operation_and_explains():
    shown = drawn(invalid_verdict())
    assert "Counterexample: key r12" in shown
    assert "write 18 (unknown)  12.346    open" in shown
    assert "╞" in shown
    assert "═══ fits into no order of the others" in shown


def test_the_table_stands_where_the_sentences_list_the_operations():
    shown = drawn(invalid_verdict(), width=120)
    first, table, last = (shown.index(text) for text in ("It began as nil", "order in time", "When every"))
    assert first < table < last
    assert "perhaps wrote" not in shown


def test_the_panel_has_an_ascii_form():
    inside = drawn(invalid_verdict(), glyphs=ASCII).splitlines()[1:-1]
    assert all(line.strip("│").isascii() for line in inside)


def test_a_verdict_without_operations_has_no_panel():
    assert panels(Verdict("x", Status.INVALID, "wrong", {"something": 1}), 80, UNICODE) == []
    assert panels(Verdict("x", Status.INVALID, "wrong", {"operations": [{"odd": 1}]}), 80, UNICODE) == []
    assert panels(Verdict("x", Status.VALID, "right", {"operations": WRONG}), 80, UNICODE) == []


def test_without_an_explanation_the_summary_is_shown():
    shown = drawn(Verdict("x", Status.INVALID, "it is wrong", {"operations": WRONG}))
    assert "It is wrong." in shown
    assert "fits into no order" not in shown


def test_without_recorded_times_the_places_in_the_history_are_shown():
    untimed = [operation | {"invoked_ns": -1, "completed_ns": -1} for operation in WRONG]
    shown = drawn(Verdict("x", Status.INVALID, "it is wrong", {"operations": untimed}), width=100)
    assert "from event  to event" in shown
    assert [line.split()[1:7] for line in shown.splitlines() if "read = 18" in line] == [
        ["5", "read", "=", "18", "3", "4"]
    ]


def test_many_violations_and_long_ones_are_cut_with_a_count():
    long = [told(i, "read", 1, "ok", (2 * i, 2 * i + 1), (i, i)) for i in range(ROWS_MAX + 5)]
    wrong = Verdict("x", Status.INVALID, "wrong", {"operations": long})
    shown = drawn(Verdict("all", Status.INVALID, "wrong", parts=(wrong,) * (PANELS_MAX + 2)))
    assert shown.count("5 earlier operations of it are not shown") == PANELS_MAX
    assert "and 2 more violations, all in results.json" in shown


def test_of_a_file_that_was_checked_no_results_are_named_that_there_are_not():
    wrong = Verdict("x", Status.INVALID, "wrong", {"operations": WRONG})
    console = Console(file=io.StringIO(), width=80)
    render_check(
        console, "a.jsonl", Verdict("all", Status.INVALID, "wrong", parts=(wrong,) * (PANELS_MAX + 1))
    )
    assert "and 1 more violation, all of them with --json" in console.file.getvalue()


def test_what_the_linearizability_checker_tells_is_understood():
    verdict = Linearizable(CasRegister()).check(WRONG_HISTORY)
    assert verdict.status is Status.INVALID
    rows = operations(verdict)
    assert [row.process for row in rows if row.last == verdict.details["blocked_at"]] == [7]
    assert "Counterexample: key r12" in drawn(verdict)
    assert "═══ fits into no order of the others" in drawn(verdict)
