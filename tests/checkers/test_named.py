"""Checkers by name: each judges a history of reads and writes, and refuses what it cannot judge."""

from __future__ import annotations

import pytest

from checkers.history import HistoryError, Op
from checkers.named import NAMED
from checkers.verdict import Status
from tests.support.histories import history

OF_REGISTERS = ("ladder", "sequential", "causal", "sessions", "sibling-sessions", "staleness", "lost-updates")


@pytest.mark.parametrize("name", sorted(NAMED))
def test_each_bears_its_name_and_refuses_what_is_no_history(name: str) -> None:
    checker = NAMED[name]()
    assert checker.name == name
    with pytest.raises(HistoryError):
        checker.check(history("0(w1 0(w2"))


@pytest.mark.parametrize("name", sorted(NAMED))
def test_operations_of_something_else_are_refused_or_judged_to_show_nothing(name: str) -> None:
    other = [Op(process=0, f="lend", value=1), Op(process=0, type="ok", f="lend", value=1)]
    checker = NAMED[name]()
    if name in OF_REGISTERS:
        with pytest.raises(HistoryError, match="lend"):
            checker.check(other)
    else:
        assert checker.check(other).status is Status.VACUOUS


@pytest.mark.parametrize("name", sorted(NAMED))
def test_nothing_at_all_is_not_wrong(name: str) -> None:
    assert NAMED[name]().check([]).status in (Status.VALID, Status.VACUOUS)
