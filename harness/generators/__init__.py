"""The combinators, from which plans are built. One import for all of them; one file for each idea.

    any_of(
        clients(time_limit(60, stagger(0.01, workload.generator(seed), seed=fork(seed, "rate")))),
        nemesis(time_limit(60, fault.generator(nodes, 10, fork(seed, "fault")))),
    )

They are Jepsen's, with its names where Python allows. What differs on purpose: randomness is drawn from a
seed and a position; `mix` passes over what is pending; `sleep` holds back what follows it; `then` reads in
the order in which things happen; `time_limit` lasts until its time is up, not until its last operation.
There is no `log`: a generator says nothing.
"""

from harness.generators.choice import any_of, mix
from harness.generators.leaf import numbered
from harness.generators.order import (
    cycle,
    flip_flop,
    limit,
    once,
    phases,
    repeat,
    sequence,
    synchronize,
    then,
    until_ok,
)
from harness.generators.threads import clients, each_thread, nemesis, on_threads, process_limit, reserve
from harness.generators.timing import delay, sleep, stagger, time_limit
from harness.generators.transform import f_map, filter_ops, map_ops, on_update

__all__ = [
    "any_of",
    "clients",
    "cycle",
    "delay",
    "each_thread",
    "f_map",
    "filter_ops",
    "flip_flop",
    "limit",
    "map_ops",
    "mix",
    "nemesis",
    "numbered",
    "on_threads",
    "on_update",
    "once",
    "phases",
    "process_limit",
    "repeat",
    "reserve",
    "sequence",
    "sleep",
    "stagger",
    "synchronize",
    "then",
    "time_limit",
    "until_ok",
]
