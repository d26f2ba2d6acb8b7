from __future__ import annotations

from typing import Any

import msgspec
import pytest

from checkers.history import NEMESIS, Op
from checkers.verdict import Status
from harness.ledger import Entry, Requested, judge, ledger

KILL = Requested("kill", frozenset({"kill"}), frozenset({"start"}))
CUT = Requested("partition", frozenset({"partition"}), frozenset({"heal-partition"}))
ONE = {"target": "one", "nodes": ["n1"]}


def op(second: float, f: str, value: Any = None, error: str | None = None) -> Op:
    return Op(time=round(second * 1e9), process=NEMESIS, type="info", f=f, value=value, error=error)


def saw(bit: bool, detail: str, **chosen: Any) -> dict[str, Any]:
    return {**chosen, "bit": bit, "detail": detail}


def client(second: float) -> Op:
    return Op(time=round(second * 1e9), process=0, type="info", f="kill", value=1)


def test_a_fault_that_was_injected_seen_and_healed() -> None:
    history = [
        client(0.5),
        op(1, "kill", ONE),
        client(1.2),
        op(1.5, "kill", saw(True, "n1 ended", **ONE)),
        op(4, "start", {"target": "all"}),
        client(4.1),
        op(4.25, "start", saw(True, "n1 serves", target="all")),
    ]
    entries = ledger(history, [CUT, KILL])
    assert entries == [
        Entry("kill", "kill", ONE, 1.0, 1.5, True, "n1 ended; n1 serves", 4.25, None),
    ]
    assert msgspec.json.decode(msgspec.json.encode(entries), type=list[Entry]) == entries


@pytest.mark.parametrize(
    ("at_cut", "at_heal", "observed"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_what_a_partition_dropped_until_it_was_healed_counts_as_seen(
    at_cut: bool, at_heal: bool, observed: bool
) -> None:
    history = [
        op(1, "partition"),
        op(1, "partition", saw(at_cut, "cut")),
        op(2, "heal-partition"),
        op(2, "heal-partition", saw(at_heal, "dropped")),
    ]
    (entry,) = ledger(history, [CUT])
    assert (entry.observed, entry.healed_s, entry.evidence) == (observed, 2.0, "cut; dropped")


def test_faults_overlap_and_each_is_healed_by_its_own() -> None:
    history = [
        op(1, "kill", ONE),
        op(1, "kill", saw(True, "a")),
        op(2, "partition"),
        op(2, "partition", saw(True, "b")),
        op(3, "start"),
        op(3, "start", saw(True, "c")),
    ]
    kill, cut = ledger(history, [KILL, CUT])
    assert (kill.healed_s, cut.healed_s) == (3.0, None)
    assert kill.evidence == "a; c"


def test_what_another_faults_healing_undoes_is_over_and_its_evidence_is_the_others() -> None:
    bump = Requested("clock", frozenset({"bump"}), frozenset({"reset"}), frozenset({"drift-end"}))
    drift = Requested("drift", frozenset({"drift"}), frozenset({"drift-end"}), frozenset({"reset"}))
    history = [
        *(op(1, "bump"), op(1, "bump", saw(False, "n1 is down"))),
        *(op(2, "drift"), op(2, "drift", saw(False, "not yet"))),
        *(op(3, "drift-end"), op(3, "drift-end", error="n1: gone")),
        *(op(4, "drift-end"), op(4, "drift-end", saw(True, "n1 was wrong"))),
        *(op(5, "reset"), op(5, "reset", saw(True, "n2 was wrong"))),
    ]
    assert [(entry.healed_s, entry.observed, entry.error) for entry in ledger(history, [bump, drift])] == [
        (4.0, False, None),
        (4.0, True, None),
    ]


def test_what_left_everything_alone_takes_no_evidence_from_a_healing() -> None:
    history = [
        *(op(1, "kill", ONE), op(1, "kill", saw(True, "n1 ended", **ONE))),
        *(op(2, "kill", ONE), op(2.5, "kill", {**saw(False, "left alone", **ONE), "begun": False})),
        *(op(4, "start"), op(4, "start", saw(True, "n1 serves"))),
    ]
    struck, spared = ledger(history, [KILL])
    assert (struck.observed, struck.healed_s, struck.left_alone) == (True, 4.0, False)
    assert spared == Entry("kill", "kill", ONE, 2.0, 2.5, False, "left alone", 2.5, None)
    assert spared.left_alone


def test_a_healing_with_nothing_to_heal_leaves_no_entry() -> None:
    assert ledger([op(1, "start"), op(1, "start", saw(False, "none was down"))], [KILL]) == []


def test_a_healed_fault_is_not_healed_again() -> None:
    history = [
        op(1, "kill", ONE),
        op(1, "kill", saw(False, "nobody there")),
        op(2, "start"),
        op(2, "start", saw(False, "nothing down")),
        op(3, "start"),
        op(3, "start", saw(True, "something else")),
    ]
    (entry,) = ledger(history, [KILL])
    assert (entry.healed_s, entry.observed) == (2.0, False)


def test_one_healing_ends_all_that_is_open() -> None:
    history = [
        *[event for s in (1, 2) for event in (op(s, "kill", ONE), op(s, "kill", saw(True, "gone")))],
        op(3, "start"),
        op(3, "start", saw(True, "back")),
    ]
    assert [entry.healed_s for entry in ledger(history, [KILL])] == [3.0, 3.0]


def test_an_injection_that_failed_says_so_and_is_healed_all_the_same() -> None:
    history = [
        op(1, "kill", ONE),
        op(2, "kill", ONE, error="n1 does not answer"),
        op(3, "start"),
        op(3, "start", saw(True, "n1 serves")),
    ]
    (entry,) = ledger(history, [KILL])
    assert (entry.applied_s, entry.healed_s, entry.error) == (None, 3.0, "n1 does not answer")
    assert entry.observed, "something was down, so it did bite"


def test_a_healing_that_failed_is_said_until_another_succeeds() -> None:
    history = [
        op(1, "kill", ONE),
        op(1, "kill", saw(True, "gone")),
        op(2, "start"),
        op(3, "start", error="n1 did not start"),
    ]
    (entry,) = ledger(history, [KILL])
    assert (entry.healed_s, entry.error) == (None, "not healed: n1 did not start")
    (entry,) = ledger([*history, op(4, "start"), op(5, "start", saw(True, "back"))], [KILL])
    assert (entry.healed_s, entry.error) == (5.0, None)


def test_a_run_that_broke_off_in_the_middle_of_an_injection() -> None:
    (entry,) = ledger([op(1, "kill", ONE)], [KILL])
    assert (entry.applied_s, entry.observed) == (None, None)
    assert entry.error == "the run ended before it was applied"


def test_an_invocation_that_was_never_completed_does_not_take_anothers_completion() -> None:
    history = [
        op(1, "kill", ONE),
        op(2, "partition"),
        op(2, "partition", saw(True, "cut")),
    ]
    kill, cut = ledger(history, [KILL, CUT])
    assert (kill.applied_s, cut.applied_s) == (None, 2.0)


def test_invocations_may_be_recorded_as_such() -> None:
    invocation = msgspec.structs.replace(op(1, "kill", ONE), type="invoke")
    entries = ledger([invocation, invocation, op(2, "kill", saw(True, "gone"))], [KILL])
    assert [entry.applied_s for entry in entries] == [None, 2.0]


def test_a_completion_without_evidence_shows_nothing() -> None:
    (entry,) = ledger([op(1, "kill", ONE), op(2, "kill", ["n1", "killed"])], [KILL])
    assert (entry.applied_s, entry.observed, entry.evidence) == (2.0, None, "")


def bitten(fault: str = "kill", observed: bool | None = True, healed_s: float | None = 2.0) -> Entry:
    return Entry(fault, fault, ONE, 1.0, 1.0, observed, "seen", healed_s)


def test_all_that_was_asked_for_bit() -> None:
    verdict = judge([bitten(), bitten(observed=False), bitten("partition")], [KILL, CUT])
    assert verdict.status is Status.VALID
    assert verdict.summary == "kill bit 1 of 2 times; partition bit 1 of 1 times"
    assert verdict.parts[0].details == {"injected": 2, "bit": 1, "failed": 0, "unhealed": 0}


@pytest.mark.parametrize(
    ("entries", "summary"),
    [
        ([], "partition was never injected"),
        ([bitten("partition", observed=False)], "partition bit 0 of 1 times"),
        ([bitten("partition", observed=None)], "partition bit 0 of 1 times"),
        (
            [Entry("partition", "partition", None, 1.0, error="no route")],
            "partition bit 0 of 1 times, 1 failed (the last: no route)",
        ),
    ],
)
def test_a_fault_that_never_bit_makes_the_run_vacuous_and_is_named(
    entries: list[Entry], summary: str
) -> None:
    verdict = judge([bitten(), *entries], [KILL, CUT])
    assert verdict.status is Status.VACUOUS
    assert verdict.summary == f"kill bit 1 of 1 times; {summary}"
    assert [part.status for part in verdict.parts] == [Status.VALID, Status.VACUOUS]


def test_a_fault_left_unhealed_is_said() -> None:
    verdict = judge([bitten(), bitten(healed_s=None)], [KILL])
    assert verdict.status is Status.VALID
    assert verdict.summary == "kill bit 2 of 2 times, 1 left unhealed"


def test_no_faults_asked_for_is_no_reason_to_complain() -> None:
    verdict = judge([], [])
    assert (verdict.status, verdict.summary) == (Status.VALID, "no faults were asked for")


def test_the_nodes_with_a_role_are_those_that_were_struck() -> None:
    drawn = {"role": "primary", "seed": 5}
    struck = {"target": "primary", "nodes": ["n4"]}
    (hit,) = ledger([op(1, "kill", drawn), op(2, "kill", saw(True, "n4 ended", **struck))], [KILL])
    assert hit.value == struck
    (missed,) = ledger([op(1, "kill", drawn), op(2, "kill", drawn, error="nobody is primary")], [KILL])
    assert (missed.value, missed.applied_s) == (drawn, None)
