from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.context import Context
from harness.generator import Generator, Pending
from harness.generators import nemesis as for_nemesis
from harness.scheduler import Dispatch, Finished, Scheduler, Wait
from nemesis.base import nemesis_op
from nemesis.compose import Nemesis, parse_faults
from nemesis.schedule import fault_cycle

SECOND = 1_000_000_000
FIVE = ("n1", "n2", "n3", "n4", "n5")
seeds = st.integers(min_value=0, max_value=2**64 - 1)


def at(time: int, busy: bool = False) -> Context:
    return Context(time, (NEMESIS,), () if busy else (NEMESIS,), {NEMESIS: NEMESIS})


def cycle(seed: int, interval_s: float = 10) -> Generator:
    return fault_cycle(interval_s, seed, lambda draw: nemesis_op("break", draw), nemesis_op("mend"))


def begun(generator: Generator, time: int) -> Generator:
    answer = generator.op(at(time))
    assert isinstance(answer, Pending)
    assert answer.generator is not None
    return answer.generator


def completed(op: Op, time: int) -> Op:
    return Op(time=time, process=NEMESIS, type="info", f=op.f)


@given(seeds, st.integers(min_value=0, max_value=100 * SECOND))
def test_quiet_inject_hold_heal_with_the_promised_times(seed: int, start: int) -> None:
    generator = begun(cycle(seed), start)
    now = start
    injected = []
    for f, shortest, longest in [("break", 0, 10), ("mend", 2.5, 7.5)] * 3:
        quiet = generator.op(at(now))
        due = quiet.until if isinstance(quiet, Pending) else now
        assert due is not None
        answer = generator.op(at(due))
        assert answer == generator.op(at(due)), "asking twice gives the same answer"
        assert isinstance(answer, tuple)
        op, rest = answer
        assert rest is not None
        assert (op.f, op.process, op.type) == (f, NEMESIS, "invoke")
        assert shortest * SECOND <= op.time - now <= longest * SECOND
        injected += [op.value] if f == "break" else []

        assert rest.op(at(op.time)) == Pending(), "not before the previous one is completed"
        invoked = rest.update(at(op.time, busy=True), op)
        assert invoked.op(at(op.time)) == Pending()
        now = op.time + 3 * SECOND
        generator = invoked.update(at(now), completed(op, now))
    assert len(set(injected)) == 3, "each injection is drawn anew"


def test_what_is_overdue_comes_now() -> None:
    generator = begun(cycle(1), 0)
    answer = generator.op(at(1000 * SECOND))
    assert isinstance(answer, tuple)
    assert answer[0].time == 1000 * SECOND


def test_a_busy_nemesis_is_waited_for() -> None:
    assert cycle(1).op(at(0, busy=True)) == Pending()
    assert begun(cycle(1), 0).op(at(20 * SECOND, busy=True)) == Pending()


@pytest.mark.parametrize("interval_s", [0, -1, float("nan")])
def test_an_interval_that_is_no_time_is_refused(interval_s: float) -> None:
    with pytest.raises(ValueError, match="time between faults must be more than 0 seconds"):
        cycle(1, interval_s)


def play(generator: Generator, until_s: float, took_s: float = 0.5) -> list[Op]:
    """All invocations up to `until_s`, each completed after `took_s`."""
    invocations: list[Op] = []
    scheduler = Scheduler(for_nemesis(generator), 1, lambda op: None)
    now = 0
    while now < until_s * SECOND:
        step = scheduler.poll(now)
        if isinstance(step, Finished):
            break
        if isinstance(step, Dispatch):
            invocations.append(step.op)
            now += round(took_s * SECOND)
            scheduler.complete(step.thread, completed(step.op, now), now)
        else:
            assert isinstance(step, Wait)
            assert step.until is not None
            now = step.until
    return invocations


def test_several_faults_overlap_and_each_takes_turns_with_its_healing() -> None:
    faults = parse_faults(("kill", "partition", "clock", "pause"), FIVE)
    invocations = play(Nemesis(faults).generator(5, seed=7), until_s=200)
    assert len(invocations) > 100
    active: set[str] = set()
    most = 0
    for op in invocations:
        (fault,) = [fault for fault in faults if op.f in fault.begins | fault.ends]
        assert (fault.name in active) == (op.f in fault.ends)
        active ^= {fault.name}
        most = max(most, len(active))
    assert most >= 3


def test_one_more_fault_changes_none_of_the_others_choices() -> None:
    def kills(*specs: str) -> list[object]:
        generator = Nemesis(parse_faults(specs, FIVE)).generator(5, seed=7)
        return [op.value for op in play(generator, until_s=100, took_s=0) if op.f == "kill"]

    alone, together = kills("kill"), kills("kill", "partition")
    assert len(alone) > 5
    assert alone == together[: len(alone)]


def test_the_healing_is_one_operation_for_each_fault_and_ends() -> None:
    nemesis = Nemesis(parse_faults(("clock", "kill", "pause", "partition"), FIVE))
    assert [op.f for op in play(nemesis.healing(), until_s=1000)] == [
        "heal-partition",
        "resume",
        "start",
        "clock-reset",
    ]
    assert play(Nemesis(()).healing(), until_s=1) == []
