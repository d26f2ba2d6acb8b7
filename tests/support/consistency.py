"""Small histories of registers, and what the levels of consistency mean, by trying everything.

Every value is written once; an indeterminate write is tried with and without. What its process does
afterwards does not come after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations, product
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import Op, Operation, pair
from checkers.sessions.order import Rule


class Step(NamedTuple):
    """`reads` and `writes` are 1-tuples of a value, or () if it does not; `before` are its session's earlier
    steps that are certain."""

    process: int
    key: str | None
    reads: tuple[Any, ...]
    writes: tuple[Any, ...]
    start: int
    end: float
    before: frozenset[int]


@st.composite
def small(
    draw: st.DrawFn,
    size: int = 6,
    keys: str = "xy",
    cas: bool = True,
    crashes: bool = True,
    deletes: bool = False,
) -> list[Op]:
    """With `deletes`, keys are also set to None, so that not every value is written once."""
    events: list[Op] = []
    busy: dict[int, Op] = {}
    names = list(range(draw(st.integers(1, 3))))
    begun = 0
    written: dict[str, list[Any]] = {key: [None] for key in keys}
    for _ in range(draw(st.integers(2, 2 * size + 2))):
        slot = draw(st.integers(0, len(names) - 1))
        process, at = names[slot], len(events)
        if process in busy:
            op = busy.pop(process)
            kind = draw(st.sampled_from(["ok"] * 5 + ["fail"] + ["info"] * crashes))
            value = op.value
            if op.f == "read":
                value = draw(st.sampled_from(written[str(op.key)])) if kind == "ok" else None
            events.append(Op(at, at * 1_000, process, kind, op.f, op.key, value))
            if kind == "info":
                names[slot] += 10
        elif begun < size:
            begun += 1
            f = draw(
                st.sampled_from(["read", "read", "write", "write"] + ["cas"] * cas + ["delete"] * deletes)
            )
            key = draw(st.sampled_from(keys))
            new = (
                None if f == "delete" or (deletes and f != "read" and draw(st.integers(0, 3)) == 0) else begun
            )
            value: Any = None if f == "read" else new
            if f == "cas":
                value = [draw(st.sampled_from(written[key])), new]
            if f != "read":
                written[key].append(new)
            busy[process] = Op(at, at * 1_000, process, "invoke", f, key, value)
            events.append(busy[process])
    return events


def renamings(history: Sequence[Op]) -> Iterator[list[Op]]:
    """For every way in which reads may have seen one of several writes: the history with each value written
    once, deletes being writes, that tells so. Also ways that are impossible."""
    operations = pair(history)
    names = {op.start: f"w{op.start}" for op in operations if op.invoke.f != "read"}
    readers = [
        op for op in operations if op.invoke.f == "cas" or (op.invoke.f == "read" and op.outcome == "ok")
    ]
    choices: list[list[str | None]] = []
    for reader in readers:
        wanted = _read_by(reader)
        choices.append(
            [
                names[op.start]
                for op in operations
                if op.start in names and op is not reader
                if op.invoke.key == reader.invoke.key and _left_by(op) == wanted
            ]
            + [None] * (wanted is None)
        )
    for chosen in product(*choices):
        seen = {reader.start: name for reader, name in zip(readers, chosen, strict=True)}
        events = list(history)
        for op in operations:
            value: Any = names.get(op.start, seen.get(op.start))
            if op.invoke.f == "cas":
                value = [seen[op.start], names[op.start]]
            f = "write" if op.invoke.f == "delete" else op.invoke.f
            for at in (op.start, op.end):
                if at is not None:
                    events[at] = replace(events[at], f=f, value=value)
        yield events


def _read_by(op: Operation) -> Any:
    assert op.completion is not None or op.invoke.f == "cas"
    return op.invoke.value[0] if op.completion is None or op.invoke.f == "cas" else op.completion.value


def _left_by(op: Operation) -> Any:
    return op.invoke.value[1] if op.invoke.f == "cas" else op.invoke.value


def cases(history: Sequence[Op]) -> Iterator[list[Step]]:
    """The steps that happened, for each choice of the indeterminate ones. Reads from the future are not steps
    of anything, so a history with one has no case."""
    operations = [
        op for op in pair(history) if op.outcome != "fail" and (op.invoke.f != "read" or op.outcome == "ok")
    ]
    doubtful = [number for number, op in enumerate(operations) if op.outcome == "info"]
    for count in range(len(doubtful) + 1):
        for out in combinations(doubtful, count):
            steps: list[Step] = []
            done: dict[Any, frozenset[int]] = {}
            for number, (invoke, completion, start, end) in enumerate(operations):
                if number in out:
                    continue
                sure = number not in doubtful
                value = (
                    completion.value
                    if sure and completion is not None and invoke.f == "read"
                    else invoke.value
                )
                reads: tuple[Any, ...] = ()
                writes: tuple[Any, ...] = ()
                if invoke.f == "read":
                    reads = (value,)
                elif invoke.f == "cas":
                    reads, writes = (value[0],), (value[1],)
                else:
                    writes = (value,)
                before = done.get(invoke.process, frozenset())
                last = float("inf") if not sure or end is None else end
                if sure:
                    done[invoke.process] = before | {len(steps)}
                steps.append(Step(int(invoke.process), invoke.key, reads, writes, start, last, before))
            if all(_possible(step, steps) for step in steps):
                yield steps


def _possible(step: Step, steps: Sequence[Step]) -> bool:
    if not step.reads or step.reads[0] is None:
        return True
    return any(
        other.key == step.key and other.writes == step.reads and other.start < step.end
        for other in steps
        if other is not step
    )


def explained(order: Sequence[Step], accused: Sequence[Step]) -> bool:
    """Whether each of `accused` reads the last value written before it in that order."""
    held: dict[str | None, Any] = {}
    for step in order:
        if step in accused and step.reads and step.reads[0] != held.get(step.key):
            return False
        if step.writes:
            held[step.key] = step.writes[0]
    return True


def orders(steps: Sequence[Step], before: Callable[[int, int], bool]) -> Iterator[list[int]]:
    """All orders of the steps, by number, in which nothing comes before what must come before it."""

    def extend(done: list[int], left: set[int]) -> Iterator[list[int]]:
        if not left:
            yield done
        for number in sorted(left):
            if not any(before(other, number) for other in left if other != number):
                yield from extend([*done, number], left - {number})

    yield from extend([], set(range(len(steps))))


def is_sequential(history: Sequence[Op]) -> bool:
    return any(
        explained([steps[number] for number in order], steps)
        for steps in cases(history)
        for order in orders(steps, lambda a, b, steps=steps: a in steps[b].before)  # type: ignore[misc]
    )


def pasts(steps: Sequence[Step]) -> list[set[int]] | None:
    """What each depends on, by session and by what was read; None if something depends on itself."""
    found = [set(step.before) for step in steps]
    for number, step in enumerate(steps):
        if step.reads and step.reads[0] is not None:
            found[number] |= {
                other
                for other, s in enumerate(steps)
                if s.key == step.key and s.writes == step.reads and s is not step
            }
    for _ in steps:
        for past in found:
            for other in list(past):
                past |= found[other]
    return None if any(number in past for number, past in enumerate(found)) else found


def is_causal(history: Sequence[Op], kind: str) -> bool:
    return any(_causal(steps, kind) for steps in cases(history))


def _causal(steps: Sequence[Step], kind: str) -> bool:
    past = pasts(steps)
    if past is None:
        return False
    readers = [number for number, step in enumerate(steps) if step.reads]
    if kind == "ccv":
        return any(
            all(
                explained([steps[n] for n in order if n in past[reader]] + [steps[reader]], [steps[reader]])
                for reader in readers
            )
            for order in orders(steps, lambda a, b: a in past[b])
        )
    return all(_view(steps, past, reader, kind) for reader in readers)


def _view(steps: Sequence[Step], past: list[set[int]], reader: int, kind: str) -> bool:
    """Whether what it depends on has an order that explains it, and with CM also its session's reads
    before."""
    known = sorted(past[reader] | {reader})
    accused = [steps[reader]]
    if kind == "cm":
        accused += [steps[number] for number in steps[reader].before]
    chosen = [steps[number] for number in known]
    return any(
        explained([chosen[place] for place in order], accused)
        for order in orders(chosen, lambda a, b: known[a] in past[known[b]])
    )


def sessions_hold(history: Sequence[Op], rules: Sequence[Rule]) -> bool:
    """Whether some order of all writes lets these guarantees hold, each read seeing as little as it may."""
    return any(
        _guaranteed(steps, order, rules)
        for steps in cases(history)
        for order in permutations(number for number, step in enumerate(steps) if step.writes)
    )


def _guaranteed(steps: Sequence[Step], order: Sequence[int], rules: Sequence[Rule]) -> bool:
    rank = {number: place for place, number in enumerate(order)}
    origin = {
        number: next(
            (o for o, s in enumerate(steps) if s.key == step.key and s.writes == step.reads and o != number),
            None,
        )
        for number, step in enumerate(steps)
        if step.reads
    }
    for number, step in enumerate(steps):
        earlier = step.before
        if number in origin:
            seen = origin[number]
            visible = set() if seen is None else {seen}
            if Rule.READ_YOUR_WRITES in rules:
                visible |= {other for other in earlier if steps[other].writes}
            if Rule.MONOTONIC_READS in rules:
                visible |= {o for other in earlier if other in origin and (o := origin[other]) is not None}
            ranks = [rank[other] for other in visible if steps[other].key == step.key]
            if ranks and (seen is None or max(ranks) != rank[seen]):
                return False
            if step.writes and seen is not None and rank[seen] > rank[number]:
                return False
        if step.writes:
            first: set[int] = set()
            if Rule.MONOTONIC_WRITES in rules:
                first |= {other for other in earlier if steps[other].writes}
            if Rule.WRITES_FOLLOW_READS in rules:
                first |= {o for other in earlier if other in origin and (o := origin[other]) is not None}
            if any(rank[other] > rank[number] for other in first):
                return False
    return True


def smallest_k(history: Sequence[Op], earlier: int = 0) -> int | None:
    """Over all orders that keep real time, with all reads begun so many places earlier; None: none will
    do."""
    found = [
        _k([steps[number] for number in order])
        for steps in cases(history)
        for order in orders(steps, lambda a, b, steps=steps: steps[a].end < _start(steps[b], earlier))  # type: ignore[misc]
    ]
    known = [k for k in found if k is not None]
    return min(known, default=None)


def _start(step: Step, earlier: int) -> int:
    return step.start - earlier if step.reads and not step.writes else step.start


def _k(order: Sequence[Step]) -> int | None:
    worst = 1
    written: dict[str | None, list[Any]] = {}
    for step in order:
        values = written.setdefault(step.key, [None])
        if step.writes:
            values.append(step.writes[0])
        elif step.reads[0] in values:
            worst = max(worst, len(values) - values.index(step.reads[0]))
        else:
            return None
    return worst
