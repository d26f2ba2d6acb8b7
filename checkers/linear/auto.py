"""Which polynomial paths are asked before the search, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.linear.paths.base import Decision, Path
from checkers.linear.paths.counters import counter
from checkers.linear.paths.heaps import priority_queue
from checkers.linear.paths.logs import append_log
from checkers.linear.paths.queues import fifo_queue, unordered_queue
from checkers.linear.paths.sets import set_of_elements
from checkers.linear.paths.stacks import stack
from checkers.linear.paths.unique import unique_values
from checkers.linear.problem import Call
from checkers.models import MODELS, Model

PATHS: Final[dict[str, tuple[Path, ...]]] = {
    "register": (unique_values,),
    "cas-register": (unique_values,),
    "kv": (unique_values,),
    "set": (set_of_elements,),
    "counter": (counter,),
    "fifo-queue": (fifo_queue,),
    "unordered-queue": (unordered_queue,),
    "stack": (stack,),
    "priority-queue": (priority_queue,),
    "append-log": (append_log,),
}
"""By the model's name; tried in order before the search."""


def by_path(calls: Sequence[Call], model: Model) -> Decision | None:
    """What the first path that can decide says. A model of one's own has none, whatever its name."""
    if type(model) is not MODELS.get(model.name):
        return None
    for path in PATHS.get(model.name, ()):
        decision = path(calls, model)
        if decision is not None and (decision.order is not None or decision.core):
            return decision
    return None
