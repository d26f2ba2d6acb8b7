from __future__ import annotations

import inspect
from typing import Any

import pytest

from checkers.history import NEMESIS, HistoryError, Op
from checkers.models import (
    ILLEGAL,
    MODELS,
    CasRegister,
    Kv,
    Model,
    MultiRegister,
    Mutex,
    Register,
    frozen,
    guess_model,
)

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
     ("acquire release", "mutex"), ("txn", "multi-register")],
)  # fmt: skip
def test_the_model_is_guessed_by_the_clients_operations(fs: str, name: str) -> None:
    events = [Op(process=0, f=f) for f in fs.split()] + [Op(process=NEMESIS, type="info", f="kill")]
    assert guess_model(events) == name


def test_operations_that_no_model_has_are_named() -> None:
    with pytest.raises(HistoryError, match="no model has the operations fly, read; there are register, "):
        guess_model([Op(process=0, f="read"), Op(process=1, f="fly")])


def test_values_are_frozen_so_that_they_can_be_states() -> None:
    assert frozen([1, {"b": [2], "a": None}]) == (1, (("a", None), ("b", (2,))))
