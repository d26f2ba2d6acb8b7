"""Linearizability (Herlihy and Wing 1990): `Linearizable(model).check(history)`, or, event by event,
`Stream(model)`."""

from checkers.linear.check import Linearizable, Progress
from checkers.linear.stream import Stream

__all__ = ["Linearizable", "Progress", "Stream"]
