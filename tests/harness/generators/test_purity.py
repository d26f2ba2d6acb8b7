"""Whatever is built from the combinators: asking is free, answers are valid, and the run ends."""

from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op, Type
from harness.context import Context
from harness.generator import Answer, Generator, Pending, Source
from harness.generators import (
    any_of,
    cycle,
    delay,
    each_thread,
    filter_ops,
    flip_flop,
    limit,
    mix,
    numbered,
    on_threads,
    repeat,
    reserve,
    sequence,
    sleep,
    stagger,
    synchronize,
    time_limit,
    until_ok,
)
from tests.support.simulate import simulate

NS = 1e-9

leaves: st.SearchStrategy[Source] = st.one_of(
    st.sampled_from("abc").map(lambda f: Op(f=f)),
    st.integers(0, 40).map(lambda due: Op(f="due", time=due)),
    st.sampled_from("xyz").map(lambda f: numbered(lambda i: Op(f=f, value=i))),
    st.integers(0, 20).map(lambda ns: sleep(ns * NS)),
)


def combined(inner: st.SearchStrategy[Source]) -> st.SearchStrategy[Source]:
    some = st.lists(inner, max_size=3)
    small = st.integers(0, 4)
    ns = st.integers(0, 30).map(lambda ns: ns * NS)
    seeds = st.integers(0, 2**64)
    return st.one_of(
        some.map(lambda sources: sequence(*sources)),
        some.map(lambda sources: any_of(*sources)),
        st.builds(lambda sources, seed: mix(*sources, seed=seed), some, seeds),
        st.builds(stagger, ns, inner, seeds),
        st.builds(delay, ns, inner),
        st.builds(time_limit, ns, inner),
        st.builds(limit, small, inner),
        st.builds(repeat, inner, small),
        st.builds(cycle, inner, small),
        st.builds(flip_flop, inner, inner),
        inner.map(synchronize),
        inner.map(each_thread),
        inner.map(until_ok),
        inner.map(lambda source: filter_ops(lambda op: op.f != "b", source)),
    )


sources = st.recursive(leaves, combined, max_leaves=8)


class AskedTwice:
    """Asks every time twice, and compares."""

    def __init__(self, inner: Generator) -> None:
        self.inner = inner

    def op(self, ctx: Context) -> Answer:
        answer = self.inner.op(ctx)
        assert answer == self.inner.op(ctx)
        if answer is None:
            return None
        if isinstance(answer, tuple):
            op, rest = answer
            assert op.time >= ctx.time
            return op, None if rest is None else AskedTwice(rest)
        if answer.generator is None:
            return answer
        return Pending(answer.until, AskedTwice(answer.generator))

    def update(self, ctx: Context, event: Op) -> Generator:
        updated = self.inner.update(ctx, event)
        assert updated == self.inner.update(ctx, event)
        return AskedTwice(updated)


fates: st.SearchStrategy[list[tuple[int, Type]]] = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["ok", "fail", "info"])), min_size=1, max_size=8
)


@given(sources, st.integers(2, 4), fates)
def test_asking_twice_gives_the_same_and_every_run_is_well_formed(
    source: Source, concurrency: int, fates: list[tuple[int, Type]]
) -> None:
    def fate(op: Op) -> tuple[int, Type]:
        return fates[op.index % len(fates)]

    source = any_of(on_threads(lambda thread: thread != 1, source), each_thread(source))
    asked_twice = AskedTwice(source)
    history = simulate(asked_twice, fate, concurrency, ops_max=60)
    assert history == simulate(source, fate, concurrency, ops_max=60)


@given(sources, sources, st.integers(3, 4), fates)
def test_reserved_threads_do_not_mind_what_their_neighbours_do(
    mine: Source, other: Source, concurrency: int, fates: list[tuple[int, Type]]
) -> None:
    def fate(op: Op) -> tuple[int, Type]:
        return fates[(op.value or 0) % len(fates)]

    def first_thread(neighbour: Source) -> list[tuple[str, object]]:
        source = reserve((1, limit(5, mine)), (1, limit(5, neighbour)), default=sequence())
        history = simulate(source, fate, concurrency, ops_max=60)
        return [(op.f, op.value) for op in history if op.process == 0 and op.type == "invoke"]

    assert first_thread(other) == first_thread(sequence())
