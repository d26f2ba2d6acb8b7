"""The polynomial paths against the oracle that tries every order, and against the search."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op, Operation, pair
from checkers.linear import Linearizable
from checkers.linear.auto import PATHS
from checkers.linear.minimize import cut
from checkers.linear.paths.base import Decision, Path
from checkers.linear.paths.counters import counter
from checkers.linear.paths.heaps import priority_queue
from checkers.linear.paths.logs import append_log
from checkers.linear.paths.queues import fifo_queue, unordered_queue
from checkers.linear.paths.sets import set_of_elements
from checkers.linear.paths.stacks import stack
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.search import Answer, Search
from checkers.models import (
    MODELS,
    UNSEEN,
    AppendLog,
    Counter,
    FifoQueue,
    Model,
    PriorityQueue,
    Set,
    Stack,
    UnorderedQueue,
)
from checkers.verdict import Status
from tests.support.histories import can_be_linearized
from tests.support.objects import check_order, recorded

CASES: list[tuple[Path, Model, str]] = [
    (fifo_queue, FifoQueue(), "enqueue dequeue"),
    (unordered_queue, UnorderedQueue(), "enqueue dequeue"),
    (stack, Stack(), "push pop"),
    (priority_queue, PriorityQueue(), "insert delete-min"),
    (set_of_elements, Set(), "add add read contains"),
    (set_of_elements, Set(), "add remove contains contains"),
    (counter, Counter(), "add read"),
    (counter, Counter(), "fetch-and-increment"),
    (counter, Counter(), "add read fetch-and-increment"),
    (append_log, AppendLog(), "append append read read-prefix"),
]
IDS = [f"{model.name}: {fs}" for _, model, fs in CASES]
EXAMPLES = 150


@pytest.mark.parametrize(("path", "model", "fs"), CASES, ids=IDS)
def test_agrees_with_every_order_and_shows_why(path: Path, model: Model, fs: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 7), st.integers(1, 5))
    def check(rng: Random, size: int, clients: int) -> None:
        crashes, lies = rng.choice([(0, 0.3), (0.2, 0.1), (0.4, 0.2)])
        calls = calls_of(
            pair(recorded(rng, model, fs.split(), size, clients, crashes, lies)), model, "ignore"
        )
        judge(path, model, calls)

    check()


@pytest.mark.parametrize(("path", "model", "fs"), CASES, ids=IDS)
def test_agrees_on_every_beginning_of_a_history(path: Path, model: Model, fs: str) -> None:
    """Of which calls are open whose answer is known all the same."""

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(2, 7), st.data())
    def check(rng: Random, size: int, data: st.DataObject) -> None:
        crashes = rng.choice([0, 0.2])
        calls = calls_of(pair(recorded(rng, model, fs.split(), size, 5, crashes, 0.1)), model, "ignore")
        required = [call for call in calls if call.end is not None]
        if required:
            judge(path, model, cut(calls, data.draw(st.sampled_from(required)), model))

    check()


def judge(path: Path, model: Model, calls: list[Call]) -> None:
    decision = path(calls, model)
    if decision is None:
        return
    assert (decision.order is not None) == can_be_linearized(calls, model)
    if decision.order is not None:
        check_order(decision.order, calls, model)
    else:
        assert decision.core
        assert not can_be_linearized(decision.core, model)
        assert {call.start for call in decision.core} <= {call.start for call in calls}


@pytest.mark.parametrize("crashes", [0, 0.03])
@pytest.mark.parametrize(("path", "model", "fs"), CASES, ids=IDS)
def test_agrees_with_the_search_on_longer_histories(
    path: Path, model: Model, fs: str, crashes: float
) -> None:
    compared = 0
    for seed in range(30):
        rng = Random(seed)
        events = recorded(rng, model, fs.split(), 60, 4, crashes, lies=rng.choice([0, 0.03]), elements=20)
        calls = calls_of(pair(events), model, "ignore")
        decision = path(calls, model)
        if decision is None:
            continue
        if decision.order is not None:
            check_order(decision.order, calls, model)
            continue
        compared += 1
        answer = Search(Problem(calls, model)).run(50_000)
        assert answer is not Answer.LINEARIZABLE
    assert compared or model.name == "set"


@pytest.mark.parametrize("crashes", [0, 0.01])
@pytest.mark.parametrize(("path", "model", "fs"), CASES, ids=IDS)
def test_a_correct_object_is_acquitted_however_long_it_was_used(
    path: Path, model: Model, fs: str, crashes: float
) -> None:
    rng = Random(1)
    events = recorded(rng, model, fs.split(), 3000, 10, crashes, lies=0, elements=10_000)
    calls = calls_of(pair(events), model, "ignore")
    decision = path(calls, model)
    if decision is None:  # an element was removed twice, by chance
        assert "remove" in fs
        return
    assert decision.order is not None
    check_order(decision.order, calls, model)


@pytest.mark.parametrize("name", list(PATHS))
def test_the_checker_uses_the_paths(name: str) -> None:
    """Without them, these would take for ever: nothing tells in which order what nobody saw was put in."""
    if name not in {model.name for _, model, _ in CASES}:
        return
    fs = next(fs.split() for _, model, fs in CASES if model.name == name)
    events = recorded(Random(2), MODELS[name](), fs, 2000, 10, crashes=0, lies=0)
    verdict = Linearizable(MODELS[name](), steps=100_000).check(events)
    assert verdict.status is Status.VALID, verdict.summary


# Crashed removals of an unordered queue, whose model stands for a choice ---------------------------


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 7))
def test_a_crashed_dequeue_may_have_taken_any_value(rng: Random, size: int) -> None:
    model = UnorderedQueue()
    events = recorded(rng, model, ["enqueue", "dequeue"], size, 4, crashes=0.4, lies=0.1)
    calls = calls_of(pair(events), model, "ignore")
    assert can_be_linearized(calls, model) == some_choice(calls, frozenset())
    decision = unordered_queue(calls, model)
    assert decision is not None
    assert (decision.order is not None) == some_choice(calls, frozenset())


def some_choice(calls: Sequence[Call], there: frozenset[Any]) -> bool:
    """Every order, and everything that a crashed dequeue can have taken."""
    if all(call.end is None for call in calls):
        return True
    first_end = min(call.end for call in calls if call.end is not None)
    for number, call in enumerate(calls):
        if call.start < first_end:
            rest = [*calls[:number], *calls[number + 1 :]]
            if any(some_choice(rest, then) for then in outcomes(call, there)):
                return True
    return False


def outcomes(call: Call, there: frozenset[Any]) -> list[frozenset[Any]]:
    if call.f == "enqueue":
        return [there | {call.value}]
    if call.f == UNSEEN:
        return [there - {each} for each in there]
    if call.value is None:
        return [] if there else [there]
    return [there - {call.value}] if call.value in there else []


# By hand ------------------------------------------------------------------------------------------


def call(f: str, value: Any, start: int, end: int | None) -> Call:
    return Call(
        f, value, start, end, Operation(Op(start, -1, start, "invoke", f, None, value), None, start, end)
    )


def order_of(path: Path, model: Model, calls: list[Call]) -> list[str]:
    decision = path(calls, model)
    assert decision is not None
    assert decision.order is not None
    check_order(decision.order, calls, model)
    return [f"{each.f} {each.value}" for each in decision.order]


def core_of(path: Path, model: Model, calls: list[Call]) -> list[tuple[str, Any]]:
    decision = path(calls, model)
    assert decision is not None
    assert decision.order is None
    return sorted([(each.f, each.value) for each in decision.core], key=str)


def test_values_must_leave_a_queue_in_the_order_in_which_they_came() -> None:
    calls = [call("enqueue", 1, 0, 1), call("enqueue", 2, 2, 3), call("enqueue", 3, 4, 5),
             call("dequeue", 2, 6, 7), call("dequeue", 3, 8, 9), call("dequeue", 1, 10, 11)]  # fmt: skip
    assert len(core_of(fifo_queue, FifoQueue(), calls)) == 4


def test_values_can_cover_for_each_other_while_a_dequeue_finds_nothing() -> None:
    calls = [call("enqueue", 1, 0, 1), call("dequeue", None, 2, 9), call("enqueue", 2, 3, 4),
             call("dequeue", 1, 5, 6), call("dequeue", 2, 10, 11)]  # fmt: skip
    everything = sorted([(each.f, each.value) for each in calls], key=str)
    assert core_of(fifo_queue, FifoQueue(), calls) == everything
    assert core_of(unordered_queue, UnorderedQueue(), calls) == everything
    calls[2] = call("enqueue", 2, 3, 7)
    assert order_of(fifo_queue, FifoQueue(), calls) == [
        "enqueue 1", "dequeue 1", "dequeue None", "enqueue 2", "dequeue 2"
    ]  # fmt: skip


def test_a_crashed_enqueue_that_nobody_saw_is_left_out_and_one_that_was_seen_is_not() -> None:
    calls = [call("enqueue", 1, 0, None), call("enqueue", 2, 1, None), call("dequeue", 2, 2, 3)]
    assert order_of(fifo_queue, FifoQueue(), calls) == ["enqueue 2", "dequeue 2"]


def test_a_crashed_dequeue_explains_one_missing_value_and_not_two() -> None:
    calls = [call("enqueue", 1, 0, 1), call("enqueue", 2, 2, 3), call("enqueue", 3, 4, 5),
             call(UNSEEN, None, 6, None), call("dequeue", 2, 7, 8)]  # fmt: skip
    assert "unseen None" in order_of(fifo_queue, FifoQueue(), calls)
    calls[-1] = call("dequeue", 3, 7, 8)
    assert len(core_of(fifo_queue, FifoQueue(), calls)) == 5


def test_a_push_that_overlaps_its_pop_does_not_disturb_a_stack() -> None:
    calls = [call("push", 1, 0, 1), call("push", 2, 2, 5), call("pop", 2, 3, 6), call("pop", 1, 7, 8)]
    assert order_of(stack, Stack(), calls) == ["push 1", "push 2", "pop 2", "pop 1"]


def test_what_lies_beneath_a_stack_must_be_there_all_the_time() -> None:
    calls = [call("push", 1, 0, 1), call("push", 2, 2, 3), call("pop", 1, 4, 5), call("pop", 2, 6, 7)]
    assert len(core_of(stack, Stack(), calls)) == 4
    calls = [call("push", 1, 0, 3), call("push", 2, 1, 2), call("pop", 1, 4, 5), call("pop", 2, 6, 7)]
    assert order_of(stack, Stack(), calls) == ["push 2", "push 1", "pop 1", "pop 2"]


def test_crashed_pops_are_given_to_values_by_when_these_must_be_gone() -> None:
    """The value that was pushed first may stay."""
    calls = [call("push", 1, 0, 1), call("push", 2, 2, 3), call("push", 3, 4, 5), call(UNSEEN, None, 6, None),
             call("pop", 2, 7, 8)]  # fmt: skip
    assert order_of(stack, Stack(), calls) == ["push 1", "push 2", "push 3", "unseen None", "pop 2"]
    calls[-1] = call("pop", 1, 7, 8)
    assert len(core_of(stack, Stack(), calls)) == 5


def test_a_larger_value_leaves_a_priority_queue_only_when_no_smaller_one_is_there() -> None:
    calls = [call("insert", 2, 0, 1), call("insert", 1, 2, 3), call("delete-min", 2, 4, 5)]
    assert len(core_of(priority_queue, PriorityQueue(), calls)) == 3
    calls = [call("insert", 2, 0, 1), call("insert", 1, 2, 5), call("delete-min", 2, 3, 4)]
    assert order_of(priority_queue, PriorityQueue(), calls) == ["insert 2", "delete-min 2", "insert 1"]


def test_two_reads_of_a_set_that_contradict_each_other_are_told_by_what_they_differ_in() -> None:
    calls = [*(call("add", value, value, None) for value in range(9)),
             call("read", (0, 1, 2, 3), 10, 13), call("read", (4, 1, 2, 3), 11, 12)]  # fmt: skip
    assert core_of(set_of_elements, Set(), calls) == [
        ("add", 0), ("add", 4), ("showed", ((0,), (4,))), ("showed", ((4,), (0,)))
    ]  # fmt: skip


def test_two_reads_of_a_log_that_contradict_each_other_are_told_by_what_they_differ_in() -> None:
    calls = [*(call("append", value, value, None) for value in range(9)),
             call("read", (3, 0, 1, 2), 10, 13), call("read", (3, 0, 2, 1, 4), 11, 12)]  # fmt: skip
    assert core_of(append_log, AppendLog(), calls) == [
        ("append", 1), ("append", 2), ("showed", ((1, 2), ())), ("showed", ((2, 1), ()))
    ]  # fmt: skip


def test_crashed_increments_fill_the_gaps_and_no_more() -> None:
    calls = [call("fetch-and-increment", 0, 0, 1), call("add", 1, 2, None),
             call("fetch-and-increment", 2, 3, 4)]  # fmt: skip
    assert order_of(counter, Counter(), calls)[1] == "add 1"
    calls[2] = call("fetch-and-increment", 3, 3, 4)
    assert core_of(counter, Counter(), calls)


OUTSIDE: list[tuple[Path, Model, list[Call]]] = [
    (fifo_queue, FifoQueue(), [call("enqueue", 1, 0, 1), call("enqueue", 1, 2, 3)]),
    (stack, Stack(), [call("push", 1, 0, 1), call("push", 1, 2, 3)]),
    (counter, Counter(), [call("add", 1, 0, 1), call("add", 2, 2, 3)]),
    (counter, Counter(), [call("add", 2, 0, 1), call("fetch-and-increment", 2, 2, 3)]),
    (set_of_elements, Set(), [call("remove", 1, 0, 1), call("read", (), 2, 3)]),
    (set_of_elements, Set(), [call("remove", 1, 0, 1), call("remove", 1, 2, 3)]),
    (append_log, AppendLog(), [call("append", 1, 0, 1), call("append", 1, 2, 3)]),
]


@pytest.mark.parametrize(("path", "model", "calls"), OUTSIDE)
def test_what_a_path_cannot_decide_it_leaves_to_the_search(
    path: Path, model: Model, calls: list[Call]
) -> None:
    assert path(calls, model) is None


@pytest.mark.parametrize(("path", "model", "fs"), CASES, ids=IDS)
def test_nothing_is_linearizable(path: Path, model: Model, fs: str) -> None:
    assert path([], model) == Decision([])
