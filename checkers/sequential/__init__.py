"""Sequential consistency (Lamport 1979): `Sequential().check(history)`.

check   what decides without a search, and the search within a budget
search  one order of all sessions that explains what was read
"""

from checkers.sequential.check import Sequential

__all__ = ["Sequential"]
