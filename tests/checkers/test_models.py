from __future__ import annotations

import inspect
from typing import Any

import pytest

from checkers.history import NEMESIS, HistoryError, Op, pair
from checkers.linear.problem import calls_of
from checkers.models import (
    ILLEGAL,
    MODELS,
    UNSEEN,
    AppendLog,
    CasRegister,
    Counter,
    FifoQueue,
    Kv,
    Model,
    MultiRegister,
    Mutex,
    OwnerAwareMutex,
    PriorityQueue,
    ReentrantMutex,
    Register,
    Semaphore,
    Set,
    Stack,
    UnorderedQueue,
    frozen,
    guess_model,
    show,
)
from checkers.models.queues import Copies, Drained

Steps = list[tuple[str, Any]]

LEGAL: list[tuple[Model, Steps, Any]] = [
    (Register(), [("read", None), ("write", 1), ("read", 1)], 1),
    (Register(0), [("read", 0)], 0),
    (CasRegister(), [("cas", [None, 2]), ("cas", [2, 3]), ("read", 3)], 3),
    (
        Kv(),
        [("get", None), ("get", ""), ("append", "a"), ("append", "b"), ("get", "ab"), ("delete", None)],
        None,
    ),
    (Kv(), [("put", ""), ("get", ""), ("cas", ["", "x"]), ("get", "x")], "x"),
    (Mutex(), [("acquire", None), ("release", None), ("acquire", None)], "held"),
    (
        MultiRegister(),
        [("txn", [[":read", "x", 0], [":write", "y", 1]]), ("txn", [["r", "y", 1]])],
        (("x", 0), ("y", 1)),
    ),
    (MultiRegister({"x": 5}), [("txn", [["read", "x", 5], ["read", "y", None]])], (("x", 5),)),
    (MultiRegister(), [("txn", [["w", "x", 1], ["r", "x", 1], ["w", "x", 2]])], (("x", 2),)),
    (OwnerAwareMutex(), [("acquire", "n1"), ("release", "n1"), ("acquire", {":client": "n2"})], "n2"),
    (ReentrantMutex(), [("acquire", 1), ("acquire", 1), ("release", 1)], (1, 1)),
    (ReentrantMutex(2), [("acquire", 1), ("release", 1), ("acquire", 2), ("acquire", 2)], (2, 2)),
    (Semaphore(2), [("acquire", None), ("acquire", None), ("release", None)], ((None, 1),)),
    (Semaphore(2), [("acquire", "b"), ("acquire", {"client": "a", "fence": 3})], (("a", 1), ("b", 1))),
    (Set(), [("add", 1), ("add", 2), ("remove", 1), ("remove", 1), ("read", [2])], {2}),
    (Set(), [("read", None), ("contains", [1, False]), ("add", 1), ("contains", [1, True])], {1}),
    (Counter(), [("add", 5), ("add", -2), ("fetch-and-increment", 3), ("read", 4)], 4),
    (FifoQueue(), [("dequeue", None), ("enqueue", 1), ("enqueue", 2), ("dequeue", 1)], (2,)),
    (FifoQueue(), [("enqueue", 1), ("enqueue", 2), (UNSEEN, None)], (2,)),
    (Stack(), [("pop", None), ("push", 1), ("push", 2), ("pop", 2)], (1,)),
    (Stack(), [("push", 1), ("push", 2), (UNSEEN, None)], (1,)),
    (PriorityQueue(), [("insert", 3), ("insert", 1), ("insert", 2), ("delete-min", 1)], (2, 3)),
    (UnorderedQueue(), [("enqueue", 1), ("enqueue", 2), ("enqueue", 1), ("dequeue", 2)], {Copies(1, 2)}),
    (UnorderedQueue(), [*[("enqueue", 1)] * 3, *[("dequeue", 1)] * 2, ("enqueue", 2)], {1, 2}),
    (UnorderedQueue(), [("enqueue", 1), ("enqueue", 2), (UNSEEN, None)], Drained(frozenset({1, 2}), 1)),
    (UnorderedQueue(), [("enqueue", 1), (UNSEEN, None), ("dequeue", None)], frozenset()),
    (AppendLog(), [("read", None), ("append", 1), ("append", 2), ("read-prefix", [1])], (1, 2)),
    (AppendLog(), [("append", [1, 2]), ("read", [[1, 2]]), ("read-prefix", None)], ((1, 2),)),
]
ILLEGAL_STEPS: list[tuple[Model, Steps]] = [
    (Register(), [("write", 1), ("read", None)]),
    (CasRegister(), [("cas", [1, 2])]),
    (Kv(), [("put", ""), ("get", None)]),
    (Kv(), [("put", 3), ("append", "a")]),
    (Mutex(), [("acquire", None), ("acquire", None)]),
    (Mutex(), [("release", None)]),
    (MultiRegister(), [("txn", [["r", "x", 0], ["r", "x", 1]])]),
    (MultiRegister({}), [("txn", [["r", "x", 0]])]),
    (OwnerAwareMutex(), [("acquire", 1), ("acquire", 1)]),
    (OwnerAwareMutex(), [("acquire", 1), ("release", 2)]),
    (ReentrantMutex(), [("acquire", 1), ("acquire", 2)]),
    (ReentrantMutex(), [("acquire", 1), ("release", 1), ("release", 1)]),
    (ReentrantMutex(1), [("acquire", 1), ("acquire", 1)]),
    (Semaphore(), [("acquire", None), ("acquire", None)]),
    (Semaphore(2), [("acquire", "a"), ("release", "b")]),
    (Set(), [("add", 1), ("read", [1, 2])]),
    (Set(), [("add", 1), ("contains", [1, False])]),
    (Counter(), [("add", 1), ("read", 0)]),
    (Counter(), [("fetch-and-increment", 0), ("fetch-and-increment", 0)]),
    (Counter(), [("read", None)]),
    (FifoQueue(), [("enqueue", 1), ("enqueue", 2), ("dequeue", 2)]),
    (FifoQueue(), [("enqueue", 1), ("dequeue", None)]),
    (FifoQueue(), [("dequeue", 1)]),
    (FifoQueue(), [(UNSEEN, None)]),
    (Stack(), [("push", 1), ("push", 2), ("pop", 1)]),
    (PriorityQueue(), [("insert", 1), ("insert", 2), ("delete-min", 2)]),
    (UnorderedQueue(), [("enqueue", 1), ("dequeue", 2)]),
    (UnorderedQueue(), [("enqueue", 1), ("dequeue", None)]),
    (UnorderedQueue(), [("enqueue", 1), (UNSEEN, None), (UNSEEN, None)]),
    (UnorderedQueue(), [("enqueue", 1), (UNSEEN, None), ("dequeue", 1)]),
    (AppendLog(), [("append", 1), ("read", None)]),
    (AppendLog(), [("append", 1), ("append", 2), ("read-prefix", [2])]),
]


def last_state(model: Model, steps: Steps) -> Any:
    state = model.initial
    for f, value in steps:
        assert state is not ILLEGAL
        state = model.step(state, f, frozen(value))
    return state


@pytest.mark.parametrize(("model", "steps", "state"), LEGAL)
def test_legal_steps_lead_to_the_state(model: Model, steps: Steps, state: Any) -> None:
    assert last_state(model, steps) == state


@pytest.mark.parametrize(("model", "steps"), ILLEGAL_STEPS)
def test_the_last_of_these_steps_is_illegal(model: Model, steps: Steps) -> None:
    assert last_state(model, steps) is ILLEGAL


SAMPLES: dict[str, Steps] = {
    "register": [("read", None), ("read", 1), ("write", 1), ("write", 2)],
    "cas-register": [
        ("read", 1),
        ("write", 1),
        ("cas", (1, 2)),
        ("cas", (2, 2)),
        ("cas", (None, 1)),
        ("cas-refused", 1),
    ],
    "kv": [
        ("get", ""),
        ("get", "a"),
        ("put", "a"),
        ("append", "a"),
        ("delete", None),
        ("cas", ("a", "b")),
        ("cas-refused", "a"),
    ],
    "mutex": [("acquire", None), ("release", None)],
    "multi-register": [
        ("txn", (("r", "x", 1),)),
        ("txn", (("w", "x", 1),)),
        ("txn", (("w", "y", 2), ("r", "x", 1))),
    ],
    "owner-aware-mutex": [("acquire", 1), ("acquire", 2), ("release", 1), ("release", ((":client", 2),))],
    "reentrant-mutex": [("acquire", 1), ("acquire", 2), ("release", 1), ("release", 2)],
    "semaphore": [("acquire", None), ("acquire", 2), ("release", None), ("release", 2)],
    "set": [
        ("add", 1),
        ("add", 2),
        ("remove", 1),
        ("contains", (1, True)),
        ("contains", (1, False)),
        ("contains", (1, None)),
        ("read", None),
        ("read", (1,)),
        ("read", (2, 1)),
        ("showed", ((1,), (2,))),
    ],
    "counter": [
        ("add", 0),
        ("add", 1),
        ("add", -2),
        ("read", None),
        ("read", 0),
        ("read", 1),
        ("fetch-and-increment", None),
        ("fetch-and-increment", 1),
    ],
    "fifo-queue": [("enqueue", 1), ("enqueue", 2), ("dequeue", 1), ("dequeue", None), (UNSEEN, None)],
    "unordered-queue": [("enqueue", 1), ("enqueue", 2), ("dequeue", 1), ("dequeue", None), (UNSEEN, None)],
    "stack": [("push", 1), ("push", 2), ("pop", 1), ("pop", None), (UNSEEN, None)],
    "priority-queue": [("insert", 1), ("insert", 2), ("delete-min", 1), ("delete-min", None), (UNSEEN, None)],
    "append-log": [
        ("append", 1),
        ("append", 2),
        ("read", None),
        ("read", (1,)),
        ("read-prefix", None),
        ("read-prefix", (1,)),
        ("showed", ((1,), (2,))),
        ("showed-first", ((1, 2), ())),
    ],
}


@pytest.mark.parametrize("model", [model() for model in MODELS.values()], ids=list(MODELS))
def test_what_a_model_claims_of_its_operations_is_true_in_every_reachable_state(model: Model) -> None:
    samples = SAMPLES[model.name]
    states = {model.initial}
    for _ in range(3):
        states |= {model.step(state, *op) for state in states for op in samples} - {ILLEGAL}
    for f, value in samples:
        after = {state: model.step(state, f, value) for state in sorted(states, key=str)}
        legal = {state: then for state, then in after.items() if then is not ILLEGAL}
        if model.pure(f, value):
            assert all(then == state for state, then in legal.items())
        if model.blind(f, value):
            assert len(legal) == len(after)
            assert set(legal.values()) == {model.leaves(f, value)}
        if model.leaves(f, value) is not ILLEGAL:
            assert set(legal.values()) <= {model.leaves(f, value)}
        if model.needs(f, value) is not ILLEGAL:
            assert set(legal) <= {model.needs(f, value)}
        assert model.in_words(f, value)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_has_a_name_and_one_line_for_people(name: str) -> None:
    model = MODELS[name]
    assert model.name == name
    assert "\n" not in model.summary
    assert not inspect.isabstract(model)


@pytest.mark.parametrize(
    ("fs", "name"),
    [("", "register"), ("read write", "register"), ("write cas", "cas-register"), ("get put append", "kv"),
     ("acquire release", "mutex"), ("txn", "multi-register"), ("add remove", "set"), ("add read", "set"),
     ("read fetch-and-increment", "counter"), ("enqueue dequeue", "fifo-queue"), ("push pop", "stack"),
     ("insert delete-min", "priority-queue"), ("append read", "append-log")],
)  # fmt: skip
def test_the_model_is_guessed_by_the_clients_operations(fs: str, name: str) -> None:
    events = [Op(process=0, f=f) for f in fs.split()] + [Op(process=NEMESIS, type="info", f="kill")]
    assert guess_model(events) == name


def test_where_several_models_would_do_the_answers_decide() -> None:
    events = [Op(process=0, f="add", value=1), Op(process=0, type="ok", f="read", value=1)]
    assert guess_model(events) == "counter"
    assert guess_model([*events[:1], Op(process=0, type="ok", f="read", value=[1])]) == "set"


@pytest.mark.parametrize(
    ("model", "f", "value", "said"),
    [
        (OwnerAwareMutex(), "acquire", None, "the value of an acquire names the client"),
        (ReentrantMutex(), "release", {":fence": 3, ":client": None}, "names the client"),
        (Set(), "contains", 1, "the value of a contains is .element nil., or answered .element true., not 1"),
        (Set(), "read", 1, "a read of a set is answered with a list, not 1"),
        (Counter(), "add", None, "the value of an add is a whole number, not nil"),
        (Counter(), "read", 1.5, "the value of a read is a whole number, not 1.5"),
        (FifoQueue(), "enqueue", None, "the value of an enqueue is something, not nil"),
        (UnorderedQueue(), "enqueue", None, "the value of an enqueue is something, not nil"),
        (Stack(), "push", None, "the value of a push is something, not nil"),
        (PriorityQueue(), "insert", "x", "the value of an insert is a number, not 'x'"),
        (PriorityQueue(), "delete-min", "x", "the value of a delete-min is a number, not 'x'"),
        (AppendLog(), "read", 1, "a read of a log is answered with a list, not 1"),
    ],
)
def test_values_of_the_wrong_shape_are_named(model: Model, f: str, value: Any, said: str) -> None:
    events = [Op(process=0, f=f, value=value), Op(1, process=0, type="ok", f=f, value=value)]
    with pytest.raises(HistoryError, match=f"event 0: .*{said}"):
        calls_of(pair(events), model, "ignore")


@pytest.mark.parametrize("make", [lambda: ReentrantMutex(0), lambda: Semaphore(0)])
def test_locks_that_nobody_could_hold_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"at least one?"):
        make()


@pytest.mark.parametrize(
    ("model", "f", "asked", "means"),
    [
        (FifoQueue(), "dequeue", None, [(UNSEEN, None)]),
        (UnorderedQueue(), "dequeue", None, [(UNSEEN, None)]),
        (Stack(), "pop", None, [(UNSEEN, None)]),
        (PriorityQueue(), "delete-min", None, [(UNSEEN, None)]),
        (Counter(), "fetch-and-increment", None, [("add", 1)]),
        (Counter(), "add", 4, [("add", 4)]),
        (Set(), "contains", [1, None], []),
        (Register(), "read", None, []),
        (Register(), "write", 1, [("write", 1)]),
    ],
)
def test_an_operation_whose_answer_nobody_saw_may_have_done_anything_it_could(
    model: Model, f: str, asked: Any, means: Any
) -> None:
    events = [Op(process=0, f=f, value=asked), Op(1, process=0, type="info", f=f, value=asked)]
    assert [(call.f, call.value) for call in calls_of(pair(events), model, "ignore")] == means


def test_states_are_shown_in_an_order_of_their_own() -> None:
    assert show(frozenset({"b", "a", Copies(3, 2)})) == "{'a' 'b' 3 x2}"


def test_operations_that_no_model_has_are_named() -> None:
    with pytest.raises(HistoryError, match="no model has the operations fly, read; there are register, "):
        guess_model([Op(process=0, f="read"), Op(process=1, f="fly")])


def test_values_are_frozen_so_that_they_can_be_states() -> None:
    assert frozen([1, {"b": [2], "a": None}]) == (1, (("a", None), ("b", (2,))))
