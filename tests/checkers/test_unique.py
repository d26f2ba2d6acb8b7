"""Unique values: decided by sorting, against the oracle that tries every order, and against the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op, pair
from checkers.linear.convict import blocked_of_path
from checkers.linear.minimize import cut
from checkers.linear.paths.base import Decision
from checkers.linear.paths.unique import unique_values
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.search import Answer, Search
from checkers.linear.verify import verify
from checkers.models import ILLEGAL, CasRegister, FailedCas, Kv, Model, Register
from tests.support.histories import can_be_linearized, history
from tests.support.registers import Defect, Store, recorded

WRITES = ("read", "read", "write")
CHANGES = ("read", "read", "write", "cas", "cas")


def seen(events: Sequence[Op], model: Model, failed_cas: FailedCas = "ignore") -> list[Call]:
    return calls_of(pair(events), model, failed_cas)


def decided(text: str, model: Model | None = None, failed_cas: FailedCas = "ignore") -> Decision | None:
    model = model or CasRegister()
    calls = seen(history(text), model, failed_cas)
    decision = unique_values(calls, model)
    if decision is not None and decision.order is not None:
        assert verify(decision.order, calls, model) is None
    return decision


def in_brief(calls: Sequence[Call]) -> list[str]:
    return [f"{call.f[0]}{call.value}" for call in calls]


@st.composite
def unique_histories(draw: st.DrawFn, fs: Sequence[str], size: int = 6) -> list[Op]:
    """Of at most `size` operations. A write or cas brings a new value, with exceptions; what is read or
    expected is any value of the history, or the next one. A cas may be refused."""
    events: list[Op] = []
    busy: dict[int, Op] = {}
    values: list[int | None] = [None, 1]
    names = list(range(draw(st.integers(1, 4))))
    begun = 0
    for _ in range(draw(st.integers(1, 2 * size))):
        slot = draw(st.integers(0, len(names) - 1))
        op = busy.pop(names[slot], None)
        if op is not None:
            kind = draw(st.sampled_from(["ok", "ok", "ok", "ok", "ok", "info", "fail"]))
            value = draw(st.sampled_from(values)) if op.f == "read" and kind == "ok" else op.value
            events.append(Op(process=names[slot], type=kind, f=op.f, value=value))
            names[slot] += 10 if kind == "info" else 0
        elif begun < size:
            begun += 1
            f = draw(st.sampled_from(fs))
            value = None
            if f != "read":
                new = values[-1] if draw(st.integers(0, 15)) else draw(st.sampled_from(values))
                expected = draw(st.sampled_from(values))
                values.append(len(values))
                value = new if f == "write" else [expected, new]
            busy[names[slot]] = Op(process=names[slot], f=f, value=value)
            events.append(busy[names[slot]])
    return events


CASES: list[tuple[Model, FailedCas, Sequence[str]]] = [
    (Register(), "ignore", WRITES),
    (CasRegister(), "ignore", CHANGES),
    (CasRegister(1), "ignore", CHANGES),
    (CasRegister(), "observe", CHANGES),
]


@pytest.mark.parametrize(("model", "failed_cas", "fs"), CASES)
def test_agrees_with_every_order_and_names_the_return_and_the_calls(
    model: Model, failed_cas: FailedCas, fs: Sequence[str]
) -> None:
    @settings(max_examples=300, deadline=None)
    @given(unique_histories(fs))
    def check(events: list[Op]) -> None:
        calls = seen(events, model, failed_cas)
        decision = unique_values(calls, model)
        assert decision is not None or failed_cas == "observe" or "cas" in fs
        if decision is None:
            return
        assert (decision.order is not None) == can_be_linearized(calls, model)
        if decision.order is not None:
            assert verify(decision.order, calls, model) is None
            return
        assert decision.begins_as is ILLEGAL
        assert not can_be_linearized(decision.core, model)
        required = sorted((call for call in calls if call.end is not None), key=lambda call: call.end or 0)
        first = next(last for last in required if not can_be_linearized(cut(calls, last, model), model))
        if failed_cas == "ignore":
            assert blocked_of_path(decision, calls, model) == first
        else:
            assert decision.blocked in (first, None)

    check()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("defect", ["none", "stale reads", "lost writes", "cas without comparing"])
@pytest.mark.parametrize("failed_cas", ["ignore", "observe"])
def test_agrees_with_the_search_on_longer_histories(seed: int, defect: Defect, failed_cas: FailedCas) -> None:
    model = CasRegister()
    calls = seen(recorded(Store(Random(seed), defect), 200, 5, 1, crashes=0.03), model, failed_cas)
    search = Search(Problem(calls, model))
    decision = unique_values(calls, model)
    assert decision is not None or failed_cas == "observe"
    if decision is None:
        return
    if search.run(2_000_000) is Answer.LINEARIZABLE:
        assert decision.order is not None
        assert verify(decision.order, calls, model) is None
    else:
        assert decision.order is None
        assert decision.blocked in (
            search.problem.required[search.deepest], *([None] if failed_cas == "observe" else [])
        )  # fmt: skip
        assert Search(Problem(decision.core, model, decision.begins_as)).run(2_000_000) is Answer.IMPOSSIBLE


# Linearizable -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        "",
        "2(r 2)r 0(w1 1(r 0)w1 1)r1",
        "0(w1 1(w2 2(r 3(r 2)r2 2(r 2)r1 3)r2 0)w1 1)w2",
        "0(w1 0?w1 1(w2 1)w2 2(r 2)r2 2(r 2)r1",
        "0(w1 0?w1 1(c12 1?c12 2(r 2)r2",
        "0(c01 0?c01 1(w2 1)w2",
        "0(w5 0)w5 1(w5 1)w5 2(w6 2)w6 2(r 2)r6",
        "0(w1 0)w1 0(c12 1(c23 1)c23 0)c12 2(r 2)r3",
        "0(w1 0)w1 1(c11 1)c11 1(r 1)r1",
    ],
)  # fmt: skip
def test_what_some_order_explains_gets_one(events: str) -> None:
    decision = decided(events)
    assert decision is not None
    assert decision.order is not None


def test_a_crashed_write_that_nobody_needs_is_left_out_and_one_that_was_read_is_not() -> None:
    decision = decided("0(w1 0?w1 1(w2 1?w2 2(r 2)r2")
    assert decision is not None
    assert in_brief(decision.order or []) == ["w2", "r2"]


# Not linearizable ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "blocked", "core"),
    [
        ("0(r 0)r7 1(w1 1)w1", 1, ["r7"]),
        ("0(r 0)r1 1(w1 1)w1", 1, ["r1"]),
        ("0(w1 0)w1 1(r 1)r", 3, ["w1", "rNone"]),
        ("0(w1 0)w1 1(w2 1)w2 2(r 2)r1 2(r 2)r2", 5, ["w1", "w2", "r1"]),
        ("0(w1 1(w2 2(r 2)r1 2(r 2)r2 2(r 2)r1 0)w1 1)w2", 7, ["w1", "w2", "r1", "r2", "r1"]),
        ("0(w1 0)w1 0(c12 1(c13 1)c13 0)c12", 5, ["w1", "c(1, 2)", "c(1, 3)"]),
        ("0(w1 0)w1 0(c12 0)c12 1(r 1)r1", 5, ["w1", "c(1, 2)", "r1"]),
        ("0(c12 1(c21 0)c12 1)c21", 2, ["c(1, 2)", "c(2, 1)"]),
        ("0(w1 0)w1 0(c23 0)c23", 3, ["c(2, 3)"]),
        ("0(c12 0?c12 1(c21 1?c21 2(r 2)r2 2(r 2)r1 2(r 2)r2", 5, ["c(1, 2)", "c(2, 1)", "r2"]),
        ("0(w1 0)w1 1(c12 1)c12 2(w3 2)w3 2(r 2)r2", 7, ["w1", "c(1, 2)", "w3", "r2"]),
        ("0(w1 0?w1 2(r 2)r1 1(w2 1)w2 2(r 2)r1", 7, ["w1", "r1", "w2", "r1"]),
    ],
)  # fmt: skip
def test_the_contradiction_is_named_where_it_is_complete(events: str, blocked: int, core: list[str]) -> None:
    decision = decided(events)
    assert decision is not None
    assert decision.order is None
    assert decision.blocked is not None
    assert decision.blocked.end == blocked
    assert in_brief([call for call in decision.core if call.start <= blocked]) == core


def test_a_conflict_late_in_a_long_chain_begins_there() -> None:
    def op(kind: Any, f: str, value: Any) -> Op:
        return Op(process=0, type=kind, f=f, value=value)

    changes = [op(kind, "cas", [before, before + 1]) for before in range(100) for kind in ("invoke", "ok")]
    calls = seen([*changes, op("invoke", "read", None), op("ok", "read", 60)], CasRegister(0))
    decision = unique_values(calls, CasRegister(0))
    assert decision is not None
    assert decision.begins_as == 60
    assert in_brief(decision.core) == ["c(60, 61)", "r60"]
    assert decision.blocked == calls[-1]
    assert not can_be_linearized(decision.core, CasRegister(0), 60)


# Observations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        "0(w1 0)w1 1(c12 0(w3 0)w3 1xc12",
        "0(w1 0)w1 1(w4 1?w4 2(c12 2xc12 3(w3 3)w3",
        "0(w1 0)w1 0(w2 1(w3 0)w2 1)w3 2(c29 2xc29 2(c39 2)c39",
    ],
)
def test_a_refused_cas_goes_where_the_value_is_another(events: str) -> None:
    decision = decided(events, failed_cas="observe")
    assert decision is not None
    assert decision.order is not None


def test_a_cas_refused_between_two_reads_of_the_value_that_it_expects() -> None:
    decision = decided("0(w1 0)w1 1(r 1)r1 2(c12 2xc12 1(r 1)r1", failed_cas="observe")
    assert decision is not None
    assert decision.order is None
    assert in_brief(decision.core) == ["w1", "c1", "r1"]


# A value that is repeated -------------------------------------------------------------------------------


Choose = Callable[[Sequence[Any]], Any]


def with_deletes(choose: Choose, size: int) -> list[Op]:
    """Writes of new values and of nil, and reads of nil or of any value; some of the writes crash."""
    events: list[Op] = []
    busy: dict[int, Op] = {}
    names = list(range(choose([1, 2, 3, 4, 5])))
    values: list[int | None] = [None]
    begun = 0
    for _ in range(2 * size + 2):
        slot = choose(range(len(names)))
        op = busy.pop(names[slot], None)
        if op is not None:
            kind = choose(["ok", "ok", "ok", "ok", "info"])
            value = choose([None, choose(values)]) if op.f == "read" else op.value
            events.append(Op(process=names[slot], type=kind, f=op.f, value=value))
            names[slot] += 10 if kind == "info" else 0
        elif begun < size:
            begun += 1
            f = choose(["read", "write"])
            value = choose([None, begun]) if f == "write" else None
            values += [value] if f == "write" else []
            busy[names[slot]] = Op(process=names[slot], f=f, value=value)
            events.append(busy[names[slot]])
    return events


def decides_like_every_order(events: list[Op], model: Model) -> None:
    calls = seen(events, model)
    decision = unique_values(calls, model)
    assert decision is not None
    assert (decision.order is not None) == can_be_linearized(calls, model)
    if decision.order is not None:
        assert verify(decision.order, calls, model) is None
        return
    assert not can_be_linearized(decision.core, model)
    required = sorted((call for call in calls if call.end is not None), key=lambda call: call.end or 0)
    first = next(last for last in required if not can_be_linearized(cut(calls, last, model), model))
    assert blocked_of_path(decision, calls, model) == first


@pytest.mark.parametrize("initial", [None, 0])
def test_deletes_are_decided_as_by_trying_every_order(initial: int | None) -> None:
    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        def choose(choices: Sequence[Any]) -> Any:
            return data.draw(st.sampled_from(choices))

        decides_like_every_order(with_deletes(choose, 6), Register(initial))

    check()


@pytest.mark.parametrize("initial", [None, 0])
def test_thousands_of_histories_with_deletes_are_decided_as_by_trying_every_order(
    initial: int | None,
) -> None:
    rng = Random(7)
    for _ in range(4_000):
        decides_like_every_order(with_deletes(rng.choice, rng.randint(4, 9)), Register(initial))


@pytest.mark.parametrize(
    ("events", "core"),
    [
        ("0(w1 0)w1 1(r 1)r 1(w 1)w", ["w1", "rNone"]),
        ("0(w 0)w 0(w1 0)w1 1(r 1)r 0(w 0)w", ["w1", "rNone"]),
        ("0(w1 1(r 1)r1 2(r 2)r 1(r 1)r1 0)w1 0(w 0)w", ["w1", "r1", "rNone", "r1"]),
        ("0(w 1(w1 1)w1 2(r 2)r 3(w2 3)w2 2(r 2)r 0)w", ["wNone", "w1", "rNone", "w2", "rNone"]),
        ("0(w 1(w1 1)w1 2(r 2)r 3(w2 0)w 3)w2 2(r 2)r", ["wNone", "w1", "rNone", "w2", "rNone"]),
        (
            "0(w 1(w 2(w1 2)w1 2(r 2)r 2(w2 2)w2 2(r 2)r 2(w3 2)w3 2(r 2)r 0)w 1)w",
            ["wNone", "wNone", "w1", "rNone", "w2", "rNone", "w3", "rNone"],
        ),
    ],
    ids=["before and after", "long before", "amid", "one for two", "one, open at the other", "two for three"],
)
def test_more_returns_of_nil_than_deletes_are_told_with_all_that_could_have_been(
    events: str, core: list[str]
) -> None:
    decision = decided(events)
    assert decision is not None
    assert decision.order is None
    assert in_brief(decision.core) == core


@pytest.mark.parametrize(
    "events",
    [
        "0(w 1(w1 1)w1 2(r 2)r 0)w",
        "0(w 0?w 1(w1 1)w1 2(r 2)r 1(w2 1)w2",
        "0(w 3(w 3?w 1(w1 1)w1 2(r 2)r 0)w 1(w2 1)w2 2(r 2)r",
        "0(w1 0)w1 1(w2 2(w 2)w 3(r 3)r 1)w2",
    ],
    ids=["open", "crashed", "the sooner to return first", "a write right before it"],
)
def test_a_delete_waits_for_the_read_that_needs_it(events: str) -> None:
    decision = decided(events)
    assert decision is not None
    assert decision.order is not None


# Outside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        "0(w1 0)w1 0(w1 0)w1 0(r 0)r1 0(w2 0)w2 0(w2 0)w2 0(r 0)r2",
        "0(w1 0)w1 1(w1 1?w1 0(c12 0)c12",
        "0(w1 0)w1 1(w1 1?w1 0(r 0)r1 0(c12 0)c12",
        "0(w1 0)w1 0(c21 0)c21 0(r 0)r1",
        "0(w1 0)w1 0(c12 0)c12 0(c31 0?c31 0(r 0)r2",
    ],
)
def test_two_values_with_several_origins_or_one_that_a_cas_needs_or_leaves_are_left_to_the_search(
    events: str,
) -> None:
    assert decided(events) is None


def test_a_map_of_values_is_a_register_unless_something_is_appended() -> None:
    def calls(f: str, value: Any) -> list[Call]:
        asked = Op(process=0, f=f, value=value)
        put, got = Op(process=0, f="put", value="a"), Op(process=0, f="get")
        events = [put, Op(process=0, type="ok", f="put"), asked, Op(process=0, type="ok", f=f)]
        return seen([*events, got, Op(process=0, type="ok", f="get", value="b")], Kv())

    decision = unique_values(calls("cas", ["a", "b"]), Kv())
    assert decision is not None
    assert decision.order is not None
    assert unique_values(calls("append", "b"), Kv()) is None


# Scale --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defect", ["none", "stale reads"])
def test_tens_of_thousands_of_operations_on_one_register(defect: Defect) -> None:
    model = CasRegister()
    calls = seen(recorded(Store(Random(1), defect, rarity=5000), 30_000, 10, 1), model)
    decision = unique_values(calls, model)
    assert decision is not None
    if defect == "none":
        assert decision.order is not None
        assert verify(decision.order, calls, model) is None
    else:
        assert decision.order is None
        assert decision.blocked is not None
        assert Search(Problem(decision.core, model, decision.begins_as)).run(100_000) is Answer.IMPOSSIBLE


def test_thousands_of_refused_cas_find_their_places() -> None:
    model = CasRegister()
    calls = seen(recorded(Store(Random(2)), 20_000, 10, 1, crashes=0.02), model, "observe")
    assert sum(model.needs(call.f, call.value) is ILLEGAL and call.f != "write" for call in calls) > 2000
    decision = unique_values(calls, model)
    assert decision is not None
    assert decision.order is not None
    assert verify(decision.order, calls, model) is None
