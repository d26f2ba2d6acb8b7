"""The judge of a linearization, independent of whoever found it: legal, in real time, complete. O(n)."""

from __future__ import annotations

from collections.abc import Sequence

from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Illegal, Model, State


def verify(
    order: Sequence[Call], calls: Sequence[Call], model: Model, initial: State | Illegal = ILLEGAL
) -> str | None:
    """None if `order` is a linearization of `calls` that begins in `initial` (by default the model's initial
    state), else a sentence that says why not."""
    known = {call.start: call for call in calls}
    placed: set[int] = set()
    state = model.initial if initial is ILLEGAL else initial
    latest_start = -1
    for position, call in enumerate(order):
        named = f"{call.f} {call.value!r} of event {call.start}, at place {position},"
        if known.get(call.start) != call:
            return f"{named} is not a call of this history"
        if call.start in placed:
            return f"{named} comes twice"
        if call.end is not None and call.end < latest_start:
            return f"{named} ended before a call that stands before it began"
        state = model.step(state, call.f, call.value)
        if state is ILLEGAL:
            return f"{named} is illegal there"
        placed.add(call.start)
        latest_start = max(latest_start, call.start)
    missing = [call for call in calls if call.end is not None and call.start not in placed]
    return None if not missing else f"{missing[0].f} of event {missing[0].start} is missing"
