from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest

from checkers import models
from checkers.history import HistoryError, Op
from checkers.linear import Linearizable, Progress
from checkers.models import ILLEGAL, CasRegister, Kv, Model, MultiRegister, Mutex, Register
from checkers.verdict import Status, Verdict
from tests.support.histories import history
from tests.support.registers import Defect, Store, recorded


def judged(text: str, model: Model | None = None, **options: Any) -> Verdict:
    return Linearizable(model or CasRegister(), **options).check(history(text))


def of_key(events: list[Op], key: str, process: int) -> list[Op]:
    return [msgspec.structs.replace(op, key=key, process=int(op.process) + process) for op in events]


# Canaries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_correct_store_is_acquitted(seed: int) -> None:
    verdict = Linearizable(CasRegister()).check(recorded(Store(Random(seed)), 3000, 10, 20, crashes=0.05))
    assert verdict.status is Status.VALID
    assert verdict.details["keys_decided"] == verdict.details["keys"] == 20


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "defect", ["stale reads", "lost writes", "failed writes applied", "cas without comparing"]
)
def test_a_broken_store_is_convicted_by_a_handful_of_operations(defect: Defect, seed: int) -> None:
    verdict = Linearizable(CasRegister()).check(recorded(Store(Random(seed), defect), 3000, 10, 20))
    assert verdict.status is Status.INVALID
    assert verdict.details["minimal"]
    assert 1 <= len(verdict.details["operations"]) <= 8
    assert {each["key"] for each in verdict.details["operations"]} == {verdict.details["key"]}
    assert msgspec.json.decode(msgspec.json.encode(verdict.details))


# Sentences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (
            "1(w1 1)w1 5(w2 5)w2 3(r 3)r1",
            "process 3 read 1 (0.004 s to 0.005 s), but process 5 wrote 2 (0.002 s to 0.003 s) had been "
            "acknowledged at 0.003 s, after process 1's write of 1 was acknowledged at 0.001 s, "
            "and nobody wrote 1 again",
        ),
        (
            "1(w1 1)w1 3(r 3)r",
            "process 3 read nil (0.002 s to 0.003 s), but process 1 wrote 1 (0.000 s to 0.001 s) had been "
            "acknowledged at 0.001 s, and nobody set it to nil after that: the change was lost",
        ),
        ("1(w1 1)w1 3(r 3)r7", "process 3 read 7 (0.002 s to 0.003 s), but nobody ever wrote 7"),
        (
            "1(w7 1xw7 3(r 3)r7",
            "process 3 read 7 (0.002 s to 0.003 s), but the only write of 7 had failed: "
            "that of process 1 (0.000 s to 0.001 s)",
        ),
        (
            "3(r 3)r7 1(w7 1)w7",
            "process 3 read 7 (0.000 s to 0.001 s), but 7 was only written later: "
            "process 1 wrote 7 (0.002 s to 0.003 s)",
        ),
        (
            "0(w1 0)w1 1(w2 2(r 2)r2 3(r 3)r1 1)w2",
            "process 3 read 1 (0.005 s to 0.006 s), but before that process 2 read 2 (0.003 s to 0.004 s), "
            "which was written after process 0's write of 1 was acknowledged at 0.001 s; "
            "nobody wrote 1 again",
        ),
        (
            "0(w1 0)w1 1(c12 2(c13 1)c12 2)c13",
            "process 2 changed 1 to 3 (0.003 s to 0.005 s), which needs 1, but process 1 changed 1 to 2 "
            "(0.002 s to 0.004 s), and nothing can have brought it there twice",
        ),
        (
            "0(w1 0)w1 0(w2 1(w3 0)w2 1)w3 2(r 2)r2 2(r 2)r3",
            "process 2 read 3 (0.008 s to 0.009 s), which no order of it and 3 other operations explains",
        ),
    ],
)
def test_the_typical_contradictions_are_said_in_words(events: str, sentence: str) -> None:
    verdict = judged(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["explanation"][0] == sentence
    assert verdict.summary == sentence


def test_a_lock_acquired_twice() -> None:
    verdict = judged("0(a 0)a 1(a 1)a", Mutex())
    assert verdict.summary == (
        "process 1 acquired the lock (0.002 s to 0.003 s), which needs 'free', but process 0 acquired "
        "the lock (0.000 s to 0.001 s), and it was so at the beginning only"
    )


def test_the_other_operations_of_the_key_are_left_out_of_the_smallest_wrong_part() -> None:
    events = "0(w3 0)w3 2(r 2)r3 0(w4 1(w1 1)w1 0)w4 5(w2 5)w2 7(r 3(r 3)r1 7)r2 6(w9 6)w9"
    verdict = judged(events)
    assert [(each["f"], each["value"]) for each in verdict.details["operations"]] == [
        ("write", 1), ("write", 2), ("read", 1)
    ]  # fmt: skip
    assert verdict.details["blocked_at"] == verdict.details["operations"][-1]["end"]
    assert verdict.details["explanation"][1:] == [
        "It began as nil; these 3 operations contradict each other:",
        "  process 1 wrote 1 (0.005 s to 0.006 s)",
        "  process 5 wrote 2 (0.008 s to 0.009 s)",
        "  process 3 read 1 (0.011 s to 0.012 s)",
        "The orders that explain every completion before that of process 3's read lead to 2; it needs 1.",
    ]


def test_a_long_past_is_told_as_the_one_state_it_can_have_left() -> None:
    turns = " ".join("0(a 0)a 0(l 0)l" for _ in range(20))
    verdict = judged(f"{turns} 1(a 1)a 2(a 2)a", Mutex())
    assert [each["process"] for each in verdict.details["operations"]] == [0, 1, 2]
    assert verdict.details["begins_as"] == "held"
    assert "nothing was running and it could only be 'held'" in verdict.details["explanation"][1]


def test_histories_without_times_are_told_by_their_events() -> None:
    events = [msgspec.structs.replace(op, time=-1) for op in history("1(w1 1)w1 3(r 3)r7")]
    assert (
        Linearizable(Register()).check(events).summary
        == "process 3 read 7 (events 2 to 3), but nobody ever wrote 7"
    )


# Keys, models, options ----------------------------------------------------------------------------------


def test_keys_are_independent_and_the_bad_one_is_named() -> None:
    good, bad = history("0(w1 0)w1 1(r 1)r1"), history("0(w1 0)w1 1(r 1)r2")
    assert Linearizable(Register()).check(of_key(good, "a", 0) + of_key(good, "b", 10)).status is Status.VALID
    verdict = Linearizable(Register()).check(of_key(good, "a", 0) + of_key(bad, "b", 10))
    assert verdict.details["key"] == "b"
    assert verdict.summary.startswith("key b: process 11 read 2 on key b (")


def test_transactions_are_not_taken_apart_by_key() -> None:
    def txn(process: int, kind: Any, value: Any) -> Op:
        return Op(process=process, type=kind, f="txn", value=value)

    events = [
        txn(0, "invoke", [["w", "x", 1]]), txn(0, "ok", [["w", "x", 1]]),
        txn(1, "invoke", [["r", "x", None], ["w", "y", 1]]), txn(1, "ok", [["r", "x", 0], ["w", "y", 1]]),
    ]  # fmt: skip
    assert Linearizable(MultiRegister()).check(events).status is Status.INVALID


def test_a_failed_cas_is_an_observation_only_if_one_says_so() -> None:
    events = "0(w1 0)w1 1(c12 1xc12"
    assert judged(events).status is Status.VALID
    verdict = judged(events, failed_cas="observe")
    assert verdict.status is Status.INVALID
    assert verdict.summary.startswith("process 1 found something else than 1 (0.002 s to 0.003 s)")


def test_in_our_own_histories_a_failed_cas_tells_by_its_error_whether_it_was_compared() -> None:
    history = [
        Op(process=0, type="invoke", f="write", value=1),
        Op(process=0, type="ok", f="write", value=1),
        Op(process=0, type="invoke", f="cas", value=[1, 2]),
    ]
    for error, status in [("mismatch", Status.INVALID), ("n3 refused the connection", Status.VALID)]:
        failed = Op(process=0, type="fail", f="cas", value=[1, 2], error=error)
        checker = Linearizable(CasRegister(), failed_cas="mismatch")
        assert checker.check([*history, failed]).status is status


def test_reading_nil_is_not_reading_anything() -> None:
    assert judged("0(w1 0)w1 1(r 1)r").status is Status.INVALID


def test_an_empty_history_and_one_of_the_nemesis_alone_are_valid() -> None:
    assert Linearizable(Register()).check([]).status is Status.VALID
    assert (
        Linearizable(Register()).check([Op(process="nemesis", type="info", f="kill")]).status is Status.VALID
    )


def test_an_operation_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(
        HistoryError, match="event 0: the model register has no operation 'cas'; it has read, write"
    ):
        judged("0(c12 0)c12", Register())


@pytest.mark.parametrize("model", [CasRegister(), Kv()])
def test_a_value_of_the_wrong_shape_is_refused(model: Model) -> None:
    with pytest.raises(HistoryError, match=r"event 0: the value of a cas is \[expected, new\], not 3"):
        Linearizable(model).check([Op(process=0, f="cas", value=3)])


class Counter(Model):
    name = "counter"
    summary = "add and read of one number"
    operations = frozenset({"add", "read"})
    initial = 0

    def step(self, state: Any, f: str, value: Any) -> Any:
        if f == "add":
            return state + value
        return state if value == state else ILLEGAL

    def pure(self, f: str, value: Any) -> bool:
        return f == "read"


@pytest.mark.parametrize(("seen", "status"), [(0, "valid"), (1, "valid"), (3, "valid"), (4, "invalid")])
def test_a_users_own_model_is_a_small_class(seen: int, status: str) -> None:
    def op(process: int, kind: Any, f: str, value: Any = None) -> Op:
        return Op(process=process, type=kind, f=f, value=value)

    events = [
        op(0, "invoke", "add", 1), op(1, "invoke", "add", 2), op(2, "invoke", "read"),
        op(2, "ok", "read", seen), op(0, "ok", "add", 1), op(1, "info", "add", 2), op(2, "invoke", "read"),
        op(2, "ok", "read", 3),
    ]  # fmt: skip
    verdict = Linearizable(Counter()).check(events)
    assert verdict.status.value == status


# Budgets ------------------------------------------------------------------------------------------------


class Unforeseen(Kv):
    """Without the look-ahead that makes histories of appends easy."""

    def becomes(self, state: Any, later: Any) -> bool:
        return True


def hard(keys: int) -> list[Op]:
    """Appends by many clients at once, and a read that fits none of the many orders."""
    events = []
    for number in range(keys):
        key, base = f"k{number}", number * 100
        asked = [Op(process=base + p, f="append", key=key, value=chr(97 + p)) for p in range(12)]
        events += [*asked, *(msgspec.structs.replace(op, type="ok") for op in asked)]
        read = Op(process=base + 50, f="get", key=key)
        events += [read, msgspec.structs.replace(read, type="ok", value="x" * 12)]
    return events


def test_a_read_that_no_order_of_many_appends_explains_is_refuted_at_once() -> None:
    verdict = Linearizable(Kv()).check(hard(1))
    assert verdict.status is Status.INVALID
    assert verdict.details["steps"] < 50


def test_a_key_that_is_easily_refuted_decides_while_others_would_take_for_ever() -> None:
    easy = [Op(process=900, f="get", key="easy"), Op(process=900, type="ok", f="get", key="easy", value="?")]
    verdict = Linearizable(Unforeseen()).check([*hard(3), *easy])
    assert verdict.status is Status.INVALID
    assert verdict.details["key"] == "easy"
    assert verdict.details["steps"] < 5_000


def test_a_budget_of_steps_that_is_used_up_says_how_far_it_got() -> None:
    verdict = Linearizable(Unforeseen(), steps=3_000).check(hard(2))
    assert verdict.status is Status.UNKNOWN
    assert verdict.details["steps"] == 3_000
    assert [each["completions_explained"] for each in verdict.details["undecided"]] == [12, 12]
    assert verdict.details["undecided"][0]["blocked"]["f"] == "get"
    assert verdict.summary == (
        "2 keys of 2 undecided: the budget of 3,000 steps is used up; "
        "on key 'k0', the first 12 of 13 completions are linearizable"
    )


def test_a_budget_of_seconds_is_kept_by_the_clock_that_is_given() -> None:
    ticks = count()
    verdict = Linearizable(Unforeseen(), seconds=5, clock=lambda: next(ticks)).check(hard(1))
    assert verdict.status is Status.UNKNOWN
    assert verdict.details["undecided"][0]["reason"] == "the budget of 5 s is used up"


def test_the_largest_search_is_given_up_when_memory_is_used_up_and_the_others_go_on() -> None:
    good = of_key(history("0(w1 0)w1 1(r 1)r1"), "good", 800)
    events = [msgspec.structs.replace(op, f={"write": "put", "read": "get"}[op.f]) for op in good]
    verdict = Linearizable(Unforeseen(), configurations=5_000).check([*hard(1), *events])
    assert verdict.status is Status.UNKNOWN
    assert verdict.details["keys_decided"] == 1
    assert verdict.details["undecided"][0]["reason"] == "the budget of 5,000 configurations is used up"


def test_progress_is_told_after_every_turn() -> None:
    told: list[Progress] = []
    Linearizable(CasRegister(), progress=told.append).check(recorded(Store(Random(1)), 200, 4, 5))
    assert told[-1].keys_decided == told[-1].keys == 5
    assert [each.steps for each in told] == sorted(each.steps for each in told)


@pytest.mark.parametrize("option", [{"steps": 0}, {"seconds": -1}, {"failed_cas": "maybe"}])
def test_options_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is one of ignore, observe, mismatch|is above 0"):
        Linearizable(Register(), **option)


def test_a_contradiction_too_long_to_tell_is_not_told_as_if_its_end_were_the_whole() -> None:
    """A counter's smallest wrong part is as long as its value: leaving out any one addition would acquit."""
    additions = [Op(process=0, type=t, f="add", value=1) for _ in range(2_500) for t in ("invoke", "ok")]
    events = [
        *additions,
        Op(process=0, type="invoke", f="read"),
        Op(process=0, type="ok", f="read", value=2_400),
    ]
    verdict = Linearizable(models.Counter()).check(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["blocked_at"] == len(events) - 1
    shown = len(verdict.details["operations"])
    assert shown < verdict.details["out_of"] == 2_501
    told = " ".join(verdict.details["explanation"])
    assert "which no order of it and 2500 other operations explains" in told
    assert f"these are the last {shown} of them" in told
    assert "contradict each other" not in told
    assert verdict.details["operations"][-1]["f"] == "read"
