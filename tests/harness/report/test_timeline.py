"""The strip: sparklines, fault bars and their common columns."""

from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from harness.ledger import Entry
from harness.report import timeline
from harness.report.timeline import ASCII, UNICODE, fault_bar, sparkline

S = 1_000_000_000


@given(st.lists(st.integers(0, 10_000)))
def test_a_sparkline_is_blank_exactly_where_there_is_nothing_and_never_falls_as_counts_rise(counts):
    drawn = sparkline(counts, UNICODE.spark)
    assert [char == " " for char in drawn] == [count == 0 for count in counts]
    heights = [
        height for _, height in sorted(zip(counts, map((" " + UNICODE.spark).index, drawn), strict=True))
    ]
    assert heights == sorted(heights)
    if any(counts):
        assert max(heights) == len(UNICODE.spark)


def test_a_fault_is_drawn_from_its_injection_to_its_healing():
    entries = [Entry("kill", "kill", None, 1.0, applied_s=1.0, observed=True, healed_s=3.0)]
    assert fault_bar(entries, 6, 1.0, ASCII) == " ###  "


def test_a_fault_that_was_never_healed_is_drawn_to_the_end():
    entries = [Entry("kill", "kill", None, 4.0, applied_s=4.5, observed=True)]
    assert fault_bar(entries, 6, 1.0, ASCII) == "    ##"


def test_a_fault_that_was_not_seen_to_bite_looks_different_and_does_not_hide_one_that_was():
    bit = Entry("kill", "kill", None, 1.0, applied_s=1.0, observed=True, healed_s=2.0)
    unseen = Entry("kill", "kill", None, 0.0, applied_s=0.0, observed=None, healed_s=3.0)
    assert fault_bar([unseen, bit], 5, 1.0, ASCII) == fault_bar([bit, unseen], 5, 1.0, ASCII) == "?##? "


def test_a_fault_that_was_not_applied_is_not_drawn():
    assert fault_bar([Entry("kill", "kill", None, 1.0, error="no")], 3, 1.0, ASCII) == "   "


def test_a_fault_after_the_last_bucket_is_drawn_in_it():
    entries = [Entry("kill", "kill", None, 3.0, applied_s=3.0, observed=True, healed_s=9.0)]
    assert fault_bar(entries, 3, 1.0, ASCII) == "  #"


def test_the_strip_puts_operations_and_faults_in_the_same_columns():
    history = [Op(time=at * S + S // 2, process=0, type="ok", f="read") for at in (0, 1, 1, 7)]
    entries = [Entry("a-very-long-name", "kill", None, 1.0, applied_s=1.0, observed=True, healed_s=1.5)]
    drawn = timeline.strip(history, entries, 8.0, 26, ASCII)
    assert drawn is not None
    assert [line.rstrip() for line in drawn.plain.split("\n")] == [
        "ok            2/s =@     =",
        "                  +-------",
        "                  0 s",
        "a-very-l~      x1  #",
        "                  rates are peaks   # fault bit   ? not seen to bite",
    ]


def test_a_run_without_recorded_times_has_no_strip():
    assert timeline.strip([], [], 0.0, 80) is None


def test_a_label_that_does_not_fit_at_the_end_is_left_out():
    history = [Op(time=at * S, process=0, type="ok", f="read") for at in range(122)]
    drawn = timeline.strip(history, [], 121.0, 140, ASCII)
    assert drawn is not None
    rule, labels = drawn.plain.split("\n")[1:3]
    assert rule.endswith("+")
    assert labels.split() == ["0", "s", *map(str, range(10, 120, 10))]
