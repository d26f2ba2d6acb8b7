"""Linearizability (Herlihy and Wing 1990): `Linearizable(model).check(history)`, or, event by event,
`Stream(model)`.

    check     key by key, under a budget         auto      which path decides without a search
    problem   one object's calls, laid out       paths     what a path is; one file for each:
    segments  search and sweep take turns                  unique*, sets, queues, stacks, heaps,
    search    depth first                                  counters, logs (sharing lives, unseen,
    sweep     breadth first, return by return              floating)
    rules     the steps that both may take       convict   from "impossible" to a few calls
    ahead     what can never come true           minimize  to the smallest part that is wrong
    stream    while the history comes in         explain   in words; draw: in pictures
    witness   the order that was found           verify    and its independent judge
"""

from checkers.linear.check import Linearizable, Progress
from checkers.linear.stream import Stream

__all__ = ["Linearizable", "Progress", "Stream"]
