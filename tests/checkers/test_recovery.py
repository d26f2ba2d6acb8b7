from __future__ import annotations

from checkers.agreement import CopiesAgree
from checkers.history import Op
from checkers.recovery import Healing, Recovery
from checkers.verdict import Status

S = 1_000_000_000


def asked(node: str, *ends_s: float, type: str = "ok", error: str | None = None) -> list[Op]:
    """Operations by the client of `node`, each ending then."""
    found = []
    for end_s in ends_s:
        op = Op(0, round((end_s - 0.1) * S), int(node[1:]), "invoke", "read")
        found += [op, Op(0, round(end_s * S), op.process, type, "read", None, None, error)]  # type: ignore[arg-type]
    return found


def coordinator(op: Op) -> str | None:
    return f"n{op.process}"


def by_time(*parts: list[Op]) -> list[Op]:
    return sorted([op for part in parts for op in part], key=lambda op: op.time)


def test_the_time_from_each_healing_to_the_first_answer_of_each_coordinator() -> None:
    history = by_time(asked("n1", 4, 10.5, 11), asked("n2", 10.7, 12, error="down", type="fail"))
    history = by_time(history, asked("n2", 13))
    verdict = Recovery([Healing(("kill",), 10 * S, 20 * S)], coordinator).check(history)
    assert verdict.status is Status.VALID
    (healing,) = verdict.details["healings"]
    assert healing == {"faults": ["kill"], "healed_s": 10.0, "recovered_s": {"n1": 0.5, "n2": 3.0}}
    assert verdict.details["worst_s"] == 3.0
    assert verdict.details["by_node"]["n2"] == {"p50": 3.0, "max": 3.0}
    assert "3.000 s at most" in verdict.summary
    assert "n2, after kill" in verdict.summary


def test_a_coordinator_that_has_not_served_when_the_next_fault_comes_never_did() -> None:
    history = by_time(asked("n1", 11, type="fail", error="down"), asked("n1", 15))
    healings = [Healing(("kill",), 10 * S, 12 * S), Healing(("kill",), 14 * S, None)]
    verdict = Recovery(healings, coordinator).check(history)
    assert [each["recovered_s"] for each in verdict.details["healings"]] == [{"n1": None}, {"n1": 1.0}]
    assert verdict.details["never"] == 1
    assert verdict.summary.startswith("after 2 healings, 1.000 s at most")
    assert verdict.summary.endswith("once one served nobody until the next fault, or the end")


def test_the_first_that_was_served_need_not_be_the_first_that_was_asked() -> None:
    times = [(9, 1, "invoke"), (11, 2, "invoke"), (13, 1, "ok"), (12, 2, "ok")]
    history = [Op(0, at * S, process, kind, "read") for at, process, kind in times]  # type: ignore[arg-type]
    verdict = Recovery([Healing(("kill",), 10 * S, None)], lambda op: "n1").check(history)
    assert verdict.details["worst_s"] == 2.0


def test_a_refusal_that_the_store_looked_for_is_service() -> None:
    history = asked("n1", 11, type="fail", error="mismatch")
    verdict = Recovery([Healing(("kill",), 10 * S, None)], coordinator).check(history)
    assert verdict.details["worst_s"] == 1.0


def test_whoever_was_asked_and_did_not_answer_before_the_next_fault_served_nobody() -> None:
    asks = Op(0, 11 * S, 1, "invoke", "read")
    healings = [Healing(("kill",), 10 * S, 12 * S)]
    for answer in ([], [Op(0, 14 * S, 1, "ok", "read")], [Op(0, 14 * S, 1, "info", "read")]):
        verdict = Recovery(healings, coordinator).check([asks, *answer])
        assert verdict.details["healings"][0]["recovered_s"] == {"n1": None}
        assert verdict.summary == "once one served nobody until the next fault, or the end"


def test_whoever_was_not_asked_is_not_counted() -> None:
    verdict = Recovery([Healing(("kill",), 10 * S, 12 * S)], coordinator).check(asked("n1", 4, 13))
    assert verdict.details["healings"][0]["recovered_s"] == {}
    assert verdict.summary == "not measured: nobody asked afterwards"
    assert Recovery([], coordinator).check([]).summary == "not measured: nothing was healed"


def copies(at_s: float, key: str, **held: object) -> list[Op]:
    op = Op(0, round(at_s * S), 1, "invoke", "copies", key)
    return [op, Op(0, round(at_s * S), 1, "ok", "copies", key, held)]


def test_copies_that_become_equal() -> None:
    history = [*copies(1, "a", n1=[1], n2=[]), *copies(2, "b", n1=7, n2=7), *copies(3, "a", n1=[1], n2=[1])]
    verdict = CopiesAgree().check(history)
    assert verdict.status is Status.VALID
    assert verdict.details["converged_s"] == 3.0
    assert verdict.details["rounds"] == [[2.0, ["a"]], [3.0, []]]


def test_copies_that_stay_different_and_copies_that_nobody_saw() -> None:
    verdict = CopiesAgree().check([*copies(1, "a", n1=1, n2=1), *copies(2, "a", n1=1, n2=2)])
    assert (verdict.status, verdict.details["differ"]) == (Status.INVALID, ["a"])
    assert CopiesAgree().check([]).status is Status.VACUOUS
