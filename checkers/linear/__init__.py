"""Linearizability (Herlihy and Wing 1990): `Linearizable(model).check(history)`, or, event by event,
`Stream(model)`.

    check     key by key, under a budget         auto      which path decides without a search
    problem   one object's calls, laid out       paths/    where values are unique: polynomial
    segments  search and sweep take turns        convict   from "impossible" to a few calls
    search    depth first                        minimize  to the smallest part that is wrong
    sweep     breadth first, return by return    explain   in words
    rules     the steps that both may take       draw/     in pictures
    ahead     what can never come true           witness   the order that was found
    stream    while the history comes in         verify    and its independent judge
"""

from checkers.linear.check import Linearizable, Progress
from checkers.linear.stream import Stream

__all__ = ["Linearizable", "Progress", "Stream"]
