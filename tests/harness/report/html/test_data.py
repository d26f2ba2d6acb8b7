"""What the page's script is given: columns that say what the history says, and nothing that means markup."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op, pair
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.plan import Plan
from harness.report.html.data import NONE, columns, data, nodes_of, packed
from harness.report.html.parts import left_out
from harness.sightings import Sighting
from tests.support.sample_run import ENTRIES, WRONG, WRONG_HISTORY, history


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(b64decode(text)))


def rows(made: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The columns read back, as the script does."""

    def text(table: str, number: int) -> str | None:
        return None if number == NONE else made[table][number]

    starts = accumulate(made["start"])
    names = ("took", "process", "f", "outcome", "key", "asked", "answered", "error")
    return [
        (
            start,
            took,
            text("processes", p),
            text("fs", f),
            o,
            text("keys", k),
            text("values", a),
            text("values", v),
        )
        for start, took, p, f, o, k, a, v, _ in zip(starts, *(made[name] for name in names), strict=True)
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.text(max_size=5), st.integers() | st.text(max_size=8)), max_size=30
    )
)
def test_columns_say_what_the_history_says(asked: list[tuple[int, str, Any]]) -> None:
    at, events = 0, []
    for process, (gap, key, value) in enumerate(asked):
        at += gap
        events.append(Op(0, at, process, "invoke", "write", key, value))
        events.append(Op(0, at + 7, process, "ok", "write", key, value))
        at += 7
    made = unpacked(packed(columns(pair(events))))
    for row, operation in zip(rows(made), pair(events), strict=True):
        assert row[:2] == (operation.invoke.time, 7)
        assert row[2:5] == (str(operation.invoke.process), "write", 0)
        if (operation.invoke.key or "").isprintable():
            assert row[5] == operation.invoke.key


def test_operations_are_by_time_though_events_were_recorded_in_another_order() -> None:
    events = [Op(0, 9, 0, "invoke", "read", "k"), Op(1, 5, 1, "invoke", "write", "k", 1)]
    made = data(Plan(), events, Verdict("x", Status.VALID, ""), (), [])["ops"]
    assert (made["start"], made["event"]) == ([5, 4], [1, 0])


def test_an_operation_that_never_ended_has_no_duration_and_is_indefinite() -> None:
    made = columns(pair([Op(0, 5, 0, "invoke", "read", "k")]))
    assert (made["took"], made["outcome"], made["answered"]) == ([NONE], [2], [NONE])


def test_the_operations_of_a_counterexample_are_marked() -> None:
    verdict = Verdict("linearizable", Status.INVALID, "no", {"operations": WRONG})
    found = data(Plan(), WRONG_HISTORY, verdict, ENTRIES, [])
    assert [found["ops"]["event"][number] for number in found["ops"]["marked"]] == [0, 1, 3, 5]


def test_times_of_the_nemesis_and_of_sightings_are_in_the_span() -> None:
    found = data(Plan(), history(1), Verdict("x", Status.VALID, ""), (), [Sighting(99.5, "n1", "up")])
    assert found["span_s"] == 99.5
    assert found["sightings"] == [{"time_s": 99.5, "node": "n1", "state": "up"}]


def test_what_is_packed_has_no_character_that_means_something_in_html() -> None:
    hostile = "</script><script>alert(1)</script><!--"
    text = packed({"value": hostile})
    assert not set(text) & set("<>&'\"")
    assert unpacked(text) == {"value": hostile}


def test_long_values_are_cut_and_say_so() -> None:
    made = columns(pair([Op(0, 0, 0, "invoke", "write", "k", "x" * 5000)]))
    (value,) = made["values"]
    assert len(value) < 500
    assert value.endswith("(5,000 characters)")


def test_characters_that_cannot_be_printed_are_written_out() -> None:
    made = columns(pair([Op(0, 0, 0, "invoke", "write", "k\u202e\n", None)]))
    assert made["keys"] == ["k\\u202e\\n"]


def test_a_fault_names_its_nodes() -> None:
    assert nodes_of({"target": "one", "nodes": ["n2"]}) == ["n2"]
    assert nodes_of({"offsets_ms": {"n1": 5, "n3": -5}}) == ["n1", "n3"]
    assert nodes_of(None) == []


def test_an_injection_that_failed_is_not_applied() -> None:
    found = data(
        Plan(), history(1), Verdict("x", Status.VALID, ""), [Entry("kill", "kill", None, 5.0, error="no")], []
    )
    (fault,) = found["faults"]
    assert (fault["applied"], fault["from_s"], fault["to_s"], fault["evidence"]) == (False, 5.0, None, "no")


def test_of_very_many_operations_the_first_are_drawn_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.html.data.OPERATIONS_MAX", 10)
    found = data(Plan(), history(1, 50), Verdict("x", Status.VALID, ""), (), [])
    assert (len(found["ops"]["start"]), found["of"]) == (10, 50)
    assert "first 10 of 50 operations" in left_out(found)
