"""Stores that lose or double data, each broken in one thing, must be found out by the storms that they are
otherwise tested with (tests/store/core/data/test_quorum_faults.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from store.core.data import editing, quorum, siblings
from store.core.data.edits import Edits
from store.core.messages import Add, Cell, Datum, Fetched, Siblings, Update
from store.core.repair.hints import Hints
from tests.support.data_storm import Ended, counted, kept_as_fields, kept_as_siblings, written_last


def _increments_are_tried_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = editing._Attempt.__init__

    def as_if_harmless(self: editing._Attempt, *made_of: object) -> None:
        begin(self, *made_of)  # type: ignore[arg-type]
        self._once = False

    monkeypatch.setattr(editing._Attempt, "__init__", as_if_harmless)


def _edits_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    update = Edits._update

    def forgetful(self: Edits, peer: str, question: Update) -> None:
        if question.session in self._sessions and isinstance(question.edit, Add):
            self._sessions[question.session].by_rid.clear()
        update(self, peer, question)

    monkeypatch.setattr(Edits, "_update", forgetful)


def _a_merge_drops_a_concurrent_sibling(monkeypatch: pytest.MonkeyPatch) -> None:
    def the_later(a: Siblings, b: Siblings) -> Siblings:
        return a if a.stamp >= b.stamp else b

    monkeypatch.setattr(siblings, "sync", the_later)


def _a_read_repair_writes_the_older_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def older(datum: Datum | None, fetched: list[tuple[str, Fetched]]) -> Datum | None:
        cells = [cell for cell in (datum, *[answer.datum for _, answer in fetched]) if isinstance(cell, Cell)]
        return min(cells, key=lambda cell: cell.stamp, default=None)

    monkeypatch.setattr(quorum, "together", older)


def _a_hint_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: Hints, target: str, key: str, datum: Datum) -> bool:
        return True

    monkeypatch.setattr(Hints, "keep", lose)


@pytest.mark.parametrize(
    ("break_it", "run"),
    [
        (_increments_are_tried_elsewhere, counted),
        (_edits_are_not_remembered, counted),
        (_a_merge_drops_a_concurrent_sibling, kept_as_siblings),
        (_a_read_repair_writes_the_older_value, written_last),
        (_a_hint_is_not_kept, kept_as_fields),
    ],
)
def test_a_broken_store_is_found_out(
    break_it: Callable[[pytest.MonkeyPatch], None],
    run: Callable[[int], Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs() -> None:
        for seed in range(100):
            run(seed)

    break_it(monkeypatch)
    with pytest.raises(AssertionError):
        runs()
