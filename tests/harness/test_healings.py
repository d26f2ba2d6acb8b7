from __future__ import annotations

from checkers.history import Op
from checkers.recovery import Healing
from harness.ledger import Entry
from harness.plan import Plan
from harness.recovery import coordinator, healings

S = 1_000_000_000


def entry(fault: str, f: str, begun_s: float, healed_s: float | None) -> Entry:
    return Entry(fault, f, None, begun_s, begun_s, True, "", healed_s)


def test_only_a_healing_after_which_nothing_is_wrong_counts() -> None:
    entries = [
        entry("kill", "kill", 1, 6),
        entry("partition", "partition", 2, 5),
        entry("pause", "pause", 10, 12),
    ]
    assert healings(entries) == [
        Healing(("kill", "partition"), 6 * S, 10 * S),
        Healing(("pause",), 12 * S, None),
    ]


def test_after_a_fault_that_was_never_healed_nothing_is_measured() -> None:
    assert healings([entry("kill", "kill", 1, None), entry("pause", "pause", 2, 3)]) == []


def test_clocks_keep_nobody_from_answering() -> None:
    entries = [
        entry("clock", "clock-bump", 0, None),
        entry("kill", "kill", 1, 2),
        entry("clock", "clock-bump", 3, 4),
    ]
    assert healings(entries) == [Healing(("kill",), 2 * S, None)]


def test_the_coordinator_of_a_process_and_of_those_that_took_its_place() -> None:
    of = coordinator(Plan(concurrency=10, nodes=("a", "b", "c")))
    assert [of(Op(process=process, f="read")) for process in (0, 4, 14, 9, 29)] == ["a", "b", "b", "a", "a"]
    assert of(Op(process="nemesis", f="kill")) is None
