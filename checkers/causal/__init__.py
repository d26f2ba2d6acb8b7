"""Causal consistency, by the bad patterns of Bouajjani, Enea, Guerraoui and Hamza (POPL 2017).

check   CC, CCv and CM: `Causal().check(history)`
order   the causal order, as vector clocks, and what it convicts
memory  CM: each session's own order, for histories that are not too long
"""

from checkers.causal.check import Causal

__all__ = ["Causal"]
