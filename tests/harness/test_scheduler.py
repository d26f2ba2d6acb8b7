"""The scheduling core: histories are well formed, and every contract that is broken is named."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import NEMESIS, Op, Type, pair
from harness.context import Context
from harness.generator import PENDING, Answer, Generator, GeneratorError, Pending
from harness.generators import any_of, clients, limit, mix, nemesis, on_update, repeat, sequence, stagger
from harness.generators.leaf import as_generator
from harness.generators.transform import OnUpdate
from harness.scheduler import CompletionError, Dispatch, Finished, Scheduler, Wait
from tests.support.simulate import endless, simulate

A, B = Op(f="a", key="k", value=1), Op(f="b")


class Fixed:
    """Gives the same answer whatever is asked."""

    def __init__(self, answer: Callable[[Context], Answer]) -> None:
        self.answer = answer

    def op(self, ctx: Context) -> Answer:
        return self.answer(ctx)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def fresh(generator: Generator, concurrency: int = 2) -> tuple[Scheduler, list[Op]]:
    history: list[Op] = []
    return Scheduler(generator, concurrency, history.append), history


def test_an_operation_is_dispatched_completed_and_over() -> None:
    scheduler, history = fresh(clients(A))
    step = scheduler.poll(5)
    assert step == Dispatch(0, replace(A, index=0, time=5, process=0))
    assert scheduler.poll(6) == Wait(None)
    done = scheduler.complete(0, replace(history[0], type="ok"), 7)
    assert done == replace(A, index=1, time=7, process=0, type="ok")
    assert history == [step.op, done]
    assert isinstance(scheduler.poll(8), Finished)


def test_what_is_due_later_is_waited_for_and_then_dispatched_on_time() -> None:
    scheduler, history = fresh(as_generator(replace(A, time=100)))
    assert scheduler.poll(0) == Wait(100)
    assert scheduler.poll(50) == Wait(100)
    assert isinstance(scheduler.poll(130), Dispatch)
    assert history[0].time == 130


def test_after_info_the_thread_has_a_new_process() -> None:
    scheduler, history = fresh(clients(repeat(A)), 3)
    for _ in range(3):
        step = scheduler.poll(0)
        assert isinstance(step, Dispatch)
    scheduler.complete(1, replace(history[1], type="info"), 1)
    step = scheduler.poll(1)
    assert isinstance(step, Dispatch)
    assert (step.thread, step.op.process) == (1, 4)


def test_the_nemesis_is_info_at_both_ends_and_never_crashes() -> None:
    scheduler, history = fresh(nemesis(sequence(A, replace(B, type="info", process=NEMESIS))))
    for time in (0, 1):
        step = scheduler.poll(time)
        assert isinstance(step, Dispatch)
        assert step.op.type == "info"
        scheduler.complete(NEMESIS, step.op, time)
    assert [(op.process, op.type, op.index) for op in history] == [(NEMESIS, "info", i) for i in range(4)]


def test_generators_can_tell_the_two_ends_of_a_nemesis_operation_apart() -> None:
    seen: list[tuple[int, Type]] = []

    def look(this: OnUpdate, ctx: Context, event: Op) -> Generator:
        seen.append((event.index, event.type))
        return this

    simulate(on_update(look, limit(2, nemesis(repeat(A)))), lambda op: (1, "ok"))
    # The last completion is not heard: nothing remained that could hear it.
    assert seen == [(0, "invoke"), (1, "info")]


def test_an_update_of_a_crash_still_sees_the_old_process() -> None:
    seen: list[object] = []

    def look(this: OnUpdate, ctx: Context, event: Op) -> Generator:
        seen.append((event.type, ctx.thread_of(event.process), 0 in ctx.free))
        return this

    simulate(clients(on_update(look, repeat(A))), lambda op: (1, "info"), 1, 2)
    assert seen[:3] == [("invoke", 0, False), ("info", 0, True), ("invoke", 0, False)]


def test_replacing_the_generator_leaves_what_is_outstanding_to_finish() -> None:
    scheduler, history = fresh(any_of(clients(repeat(A)), replace(B, time=10**9)))
    scheduler.poll(0)
    scheduler.replace(nemesis(B))
    step = scheduler.poll(1)
    assert isinstance(step, Dispatch)
    assert step.thread == NEMESIS
    scheduler.complete(NEMESIS, step.op, 2)
    assert scheduler.poll(3) == Wait(None)
    scheduler.complete(0, replace(history[0], type="ok"), 4)
    assert scheduler.poll(5) == Finished()


def test_time_never_goes_back() -> None:
    scheduler, history = fresh(clients(sequence(A, A)))
    scheduler.poll(10)
    scheduler.poll(4)
    scheduler.complete(0, replace(history[0], type="ok"), 7)
    assert [op.time for op in history] == [10, 10, 10]


@pytest.mark.parametrize("type_", ["ok", "fail", "info"])
def test_a_generator_must_give_invocations(type_: Type) -> None:
    with pytest.raises(GeneratorError, match=f"type 'invoke', but 'b' has '{type_}'"):
        fresh(as_generator(replace(B, type=type_)))[0].poll(0)


def test_a_generator_must_give_operations_to_free_processes() -> None:
    scheduler, _ = fresh(Fixed(lambda ctx: (Op(f="x", process=7), None)))
    with pytest.raises(
        GeneratorError, match="gave 'x' to process 7, which is not free; free are: 0, 1, nemesis"
    ):
        scheduler.poll(0)


def test_a_generator_that_waits_for_nothing_is_found_out() -> None:
    with pytest.raises(GeneratorError, match="nothing is outstanding"):
        fresh(Fixed(lambda ctx: PENDING))[0].poll(0)


def test_a_generator_that_goes_round_in_circles_is_found_out() -> None:
    with pytest.raises(GeneratorError, match="asks for no later time"):
        fresh(Fixed(lambda ctx: Pending(ctx.time)))[0].poll(3)


@pytest.mark.parametrize(
    ("completion", "message"),
    [
        (Op(process=0, f="b", key="k", type="ok"), "completion is 'b' of key 'k' by process 0"),
        (Op(process=0, f="a", key="j", type="ok"), "completion is 'a' of key 'j' by process 0"),
        (Op(process=1, f="a", key="k", type="ok"), "completion is 'a' of key 'k' by process 1"),
        (Op(process=0, f="a", key="k", type="invoke"), "type 'invoke'; allowed is ok or fail or info"),
    ],
)
def test_a_completion_must_belong_to_its_invocation(completion: Op, message: str) -> None:
    scheduler, history = fresh(clients(A))
    scheduler.poll(0)
    with pytest.raises(CompletionError, match=message):
        scheduler.complete(0, completion, 1)
    assert len(history) == 1


def test_a_thread_that_does_nothing_cannot_complete() -> None:
    with pytest.raises(CompletionError, match="thread 1 completes 'a', but carries out nothing"):
        fresh(clients(A))[0].complete(1, A, 0)


def test_a_nemesis_operation_cannot_be_ok() -> None:
    scheduler, history = fresh(nemesis(A))
    scheduler.poll(0)
    with pytest.raises(CompletionError, match="allowed is info"):
        scheduler.complete(NEMESIS, replace(history[0], type="ok"), 1)


def test_somebody_must_be_there_to_work() -> None:
    with pytest.raises(ValueError, match="concurrency must be at least 1, not 0"):
        Scheduler(as_generator(A), 0, print)


fates = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["ok", "fail", "info"])), min_size=1, max_size=20
)


@given(st.integers(1, 6), st.integers(0, 2**64), fates)
def test_every_history_is_well_formed(concurrency: int, seed: int, fates: list[tuple[int, Type]]) -> None:
    source = any_of(
        clients(limit(40, mix(endless("a"), stagger(8e-9, endless("b"), seed), seed=seed))),
        nemesis(limit(5, stagger(2e-8, repeat(B), seed))),
    )
    history = simulate(source, lambda op: fates[op.index % len(fates)], concurrency)
    assert [op.index for op in history] == list(range(len(history)))
    assert all(before.time <= after.time for before, after in pairwise(history))
    assert sum(op.process == NEMESIS for op in history) == 10
    operations = pair(history)  # refuses two outstanding operations of one process
    assert len(operations) == 40
    current = dict(enumerate(range(concurrency)))
    for op in history:
        if isinstance(op.process, int):
            thread = op.process % concurrency
            assert op.process == current[thread]
            if op.type == "info":
                current[thread] += concurrency
