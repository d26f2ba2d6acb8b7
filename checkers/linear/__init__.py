"""Linearizability (Herlihy and Wing 1990): `Linearizable(model).check(history)`."""

from checkers.linear.check import Linearizable, Progress

__all__ = ["Linearizable", "Progress"]
