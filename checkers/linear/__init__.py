"""Linearizability (Herlihy and Wing 1990): `Linearizable(model).check(history)`."""

from checkers.linear.check import Linearizable, Progress
from checkers.linear.problem import FailedCas

__all__ = ["FailedCas", "Linearizable", "Progress"]
