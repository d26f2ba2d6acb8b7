"""What `harness demo cap` claims of every run: the theorem's two ways out, and what each costs.

Only what holds whatever is drawn. How much is stale or lost, and whether sessions are broken, is another
question for each seed; that stands in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from harness.demo.base import Claim
from harness.demo.cap_measure import Measured
from harness.demo.served import Served

SERVED_MIN: Final = 0.95
"""Of what is served; the rest is for an operation or two that a real machine is late with."""
CONSISTENT: Final = ("linearizable", "quorum")
AVAILABLE: Final = ("quorum,sloppy", "one, lww", "one, siblings", "one, set (CRDT)")
KEEPING: Final = ("linearizable", "quorum", "one, siblings", "one, set (CRDT)")
FORGETTING: Final = ("quorum,sloppy", "one, lww")


def claims(found: Sequence[Measured]) -> list[Claim]:
    by_name = {one.setting: one for one in found}
    made = [_bit(found), *(_calm(found, phase) for phase in ("before", "after"))]
    made += [_minority_refuses(by_name[name]) for name in CONSISTENT]
    made += [_majority_serves(by_name[name]) for name in CONSISTENT]
    made += [_fresh(by_name[name]) for name in CONSISTENT]
    made += [_both_serve(by_name[name]) for name in AVAILABLE]
    made += [_stale(by_name[name]) for name in AVAILABLE]
    made += [_keeps(by_name[name]) for name in KEEPING]
    made += [_forgets(by_name[name]) for name in FORGETTING]
    made.append(_ladder(by_name["linearizable"]))
    made += [_converges(one) for one in found if one.setting != "linearizable"]
    return made


def _bit(found: Sequence[Measured]) -> Claim:
    bitten = sum(one.bit for one in found)
    return Claim("the cut bit each time", f"{bitten} of {len(found)}", bitten == len(found))


def _calm(found: Sequence[Measured], phase: str) -> Claim:
    least = min(side.fraction for one in found for side in one.served[phase].values())
    text = f"{phase} the cut both sides are served, whatever the setting"
    return Claim(text, f"at least {least:.1%}", least >= SERVED_MIN)


def _minority_refuses(one: Measured) -> Claim:
    side = one.served["during"]["minority"]
    text = f"{one.setting}: during the cut the minority side is refused"
    return Claim(text, _share(side), side.asked > 0 and side.served == 0)


def _majority_serves(one: Measured) -> Claim:
    side = one.served["during"]["majority"]
    text = f"{one.setting}: during the cut the majority side is served"
    return Claim(text, _share(side), side.fraction >= SERVED_MIN)


def _both_serve(one: Measured) -> Claim:
    sides = one.served["during"]
    text = f"{one.setting}: during the cut both sides are served"
    return Claim(
        text,
        f"{_share(sides['majority'])} and {_share(sides['minority'])}",
        all(side.fraction >= SERVED_MIN for side in sides.values()),
    )


def _count(what: str, count: str, good: Callable[[int], bool]) -> Callable[[Measured], Claim]:
    def claim(one: Measured) -> Claim:
        value = one.counts[count]
        total = one.counts["acknowledged" if count == "lost" else "reads"]
        return Claim(
            f"{one.setting}: {what}", f"{value} of {total}", value is not None and total > 0 and good(value)
        )

    return claim


_fresh = _count("no answered read is stale", "stale_reads", lambda count: count == 0)
_stale = _count("some reads are stale", "stale_reads", lambda count: count > 0)
_keeps = _count("no acknowledged add is lost", "lost", lambda count: count == 0)
_forgets = _count("acknowledged adds are lost", "lost", lambda count: count > 0)


def _ladder(one: Measured) -> Claim:
    return Claim(
        f"{one.setting}: the whole history is linearizable",
        f"the strongest level that held is {one.strongest}",
        one.strongest == "linearizable",
    )


def _converges(one: Measured) -> Claim:
    figures = "never" if one.converge_s is None else f"{one.converge_s:.1f} s after the healing"
    return Claim(f"{one.setting}: all copies become equal", figures, one.converge_s is not None)


def _share(side: Served) -> str:
    return f"{side.served} of {side.asked}"
