"""Did all copies become equal once nothing was wrong any more? As `checkers/convergence.py`, for data of any
kind: what they agree on is for others to judge.
"""

from __future__ import annotations

from typing import Any

from checkers.convergence import COPIES, converged_at_s, copies_of, equal, rounds_of
from checkers.history import Op, pair
from checkers.sets import some
from checkers.verdict import Status, Verdict


class CopiesAgree:
    """A `Checker`. Of each key the last look at its copies counts ({node: what it holds}, values of JSON).

    Invalid: copies differ. Unknown: those of some key were asked for, and never seen. Vacuous: nobody has
    looked.

    `details`: `keys` looked at, `differ` and `unseen` (their names), and `rounds` and `converged_s` as in
    `Convergence`.
    """

    name = "copies"

    def check(self, history: list[Op]) -> Verdict:
        asked = [each for each in pair(history) if each.invoke.f == COPIES]
        looks = [each for each in asked if each.outcome == "ok"]
        if not looks:
            return Verdict(self.name, Status.VACUOUS, "nobody has looked at all copies of any key")
        final = {look.invoke.key or "": copies_of(look) for look in looks}
        differ = sorted(key for key, copies in final.items() if not equal(copies))
        unseen = sorted({look.invoke.key or "" for look in asked} - set(final))
        rounds = rounds_of(looks)
        converged_s = None if differ or unseen else converged_at_s(rounds)
        details: dict[str, Any] = {"keys": len(final), "differ": differ, "unseen": unseen}
        details |= {"rounds": rounds, "converged_s": converged_s}
        if differ:
            return Verdict(self.name, Status.INVALID, f"the copies of {some(differ)} still differ", details)
        if unseen:
            text = f"the copies of {some(unseen)} could not all be seen"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        text = f"all copies of {len(final):,} keys are equal, {converged_s:.1f} s after the start"
        return Verdict(self.name, Status.VALID, text, details)
