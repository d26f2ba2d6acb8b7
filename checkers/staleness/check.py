"""How stale reads were, at the least and for certain: in versions (k-atomicity, k = 1 is linearizable) and
in seconds (Delta-atomicity), by key and in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from checkers.accesses import Accesses, counterexample, in_words, phantom_details
from checkers.history import Op
from checkers.models import Value, show
from checkers.readings import Readings
from checkers.staleness.clusters import Cluster, clusters
from checkers.staleness.seconds import smallest_t_ns
from checkers.staleness.versions import Behind, certainly_stale, smallest_k
from checkers.verdict import Status, Verdict

STALEST: Final = 5


class Found(NamedTuple):
    """Of a key: k is between two numbers, t is in nanoseconds or None."""

    k: tuple[int, int]
    t_ns: int | None
    reads: int
    stale: list[Behind]
    overtaken: list[Behind]


class Staleness:
    """A `Checker`. Invalid if more versions or seconds than the bounds are needed; with no bounds it
    measures, and is valid. Unknown if a bound lies where only limits of k are known, or t is not (no
    times). `steps` is what the test for k = 2 may use, for each key. `fresh`: also invalid if any read was
    overtaken by a write that was acknowledged before it began. That none is, is all that overlapping quorums
    promise: their registers are regular, not atomic (Lamport 1986), and k may be 2.

    `details`: `k` as [at least, at most], `t_s` likewise (None: not known), `keys` {key: {k, t_s, reads,
    stale_reads}}, `reads`, `stale_reads` (for certain: a write that came after what they saw was over before
    they began), `unclear_reads` (they may have seen one of several writes; the best way to read them
    counts), and `stalest`, the worst reads: [{versions, seconds, told, read, saw, overwritten_by}].
    """

    name = "staleness"

    def __init__(
        self,
        k_max: int | None = None,
        t_max_s: float | None = None,
        initial: Value = None,
        steps: int = 1_000_000,
        fresh: bool = False,
    ) -> None:
        if (k_max is not None and k_max < 1) or (t_max_s is not None and t_max_s < 0):
            raise ValueError(f"bounds are k_max >= 1 and t_max_s >= 0, not {k_max} and {t_max_s}")
        self._k_max = k_max
        self._t_max_s = t_max_s
        self._initial = initial
        self._steps = steps
        self._fresh = fresh

    def check(self, history: list[Op]) -> Verdict:
        readings = Readings(history, self._initial)
        certain = readings.certain
        if certain.phantoms:
            details = phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        least = self._measured(certain)
        tried = [self._measured(reading) for reading in readings.tried()] if certain.unclear else [least]
        shown = {key: _shown(least[key], [each[key] for each in tried], readings.exhaustive) for key in least}
        keys = {show(key): each for key, each in shown.items()}
        reads = sum(found.reads for found in tried[0].values())
        stale = [behind for found in least.values() for behind in found.stale]
        stalest = sorted(stale, key=lambda behind: (-behind.count, behind.read.start))[:STALEST]
        details = {
            "k": _widest([each["k"] for each in keys.values()], 1),
            "t_s": _widest([each["t_s"] for each in keys.values()], 0.0),
            "reads": reads,
            "stale_reads": len(stale),
            "unclear_reads": certain.unclear,
            "keys": keys,
            "stalest": [_stalest(behind) for behind in stalest],
        }
        if not reads:
            return Verdict(self.name, Status.VACUOUS, "nobody has read anything", details)
        overtaken = [behind for found in least.values() for behind in found.overtaken]
        if overtaken:
            text = f"{len(overtaken):,} of {reads:,} reads missed what was acknowledged before they began"
            return Verdict(self.name, Status.INVALID, text, details | _broken(text, overtaken))
        return self._verdict(details, stalest)

    def _measured(self, reading: Accesses) -> dict[str | None, Found]:
        return {key: self._of_key(found) for key, found in clusters(reading.all).items()}

    def _of_key(self, found: list[Cluster]) -> Found:
        stale = certainly_stale(found)
        reads = sum(len(cluster.reads) for cluster in found)
        overtaken = certainly_stale(found, only_acknowledged=True) if self._fresh else []
        return Found(smallest_k(found, stale, self._steps), smallest_t_ns(found), reads, stale, overtaken)

    def _verdict(self, details: dict[str, Any], stalest: list[Behind]) -> Verdict:
        k, t_s = details["k"], details["t_s"]
        held = _held(k, self._k_max), _held(t_s, self._t_max_s)
        seconds = "an unknown time" if t_s is None else f"{_between(t_s)} s"
        text = (
            f"reads are up to k = {_between(k)} versions and t = {seconds} stale; "
            f"{details['stale_reads']:,} of {details['reads']:,} are certainly stale"
        )
        if False in held:
            text += f": more than {f'k = {self._k_max}' if held[0] is False else f't = {self._t_max_s:g} s'}"
            return Verdict(self.name, Status.INVALID, text, details | _broken(text, stalest))
        if None in held:
            return Verdict(self.name, Status.UNKNOWN, f"{text}; the bound may or may not hold", details)
        return Verdict(self.name, Status.VALID, text, details)


def _broken(text: str, stalest: list[Behind]) -> dict[str, Any]:
    """The stalest read, if one is stale for certain: others are so only by what was read before them."""
    if not stalest:
        return {"anomaly": "stale read", "explanation": [text]}
    worst = stalest[0]
    writes = [each.write for each in (worst.cluster, worst.by) if each.write is not None]
    return {
        "anomaly": "stale read",
        "key": worst.read.invoke.key,
        "explanation": [text, _told(worst)],
        "operations": counterexample([*writes, worst.read]),
    }


def _held(found: list[Any] | None, bound: float | None) -> bool | None:
    """Whether the bound holds; None: nobody knows."""
    if bound is None:
        return True
    if found is None:
        return None
    return False if found[0] > bound else True if found[1] <= bound else None


def _shown(least: Found, tried: Sequence[Found], exhaustive: bool) -> dict[str, Any]:
    """Of a key: what holds in the best of the readings; `least` leaves out what is unclear."""
    lows = [found.k[0] for found in tried] if exhaustive else [least.k[0]]
    times = [found.t_ns for found in tried if found.t_ns is not None]
    t_s = None
    if least.t_ns is not None and len(times) == len(tried):
        t_s = [min(times if exhaustive else [least.t_ns, *times]) / 1e9, min(times) / 1e9]
    return {
        "k": [min(lows), min(found.k[1] for found in tried)],
        "t_s": t_s,
        "reads": tried[0].reads,
        "stale_reads": len(least.stale),
    }


def _widest(bounds: list[list[Any] | None], none: float) -> list[Any] | None:
    """Of all keys; None if it is not known of one."""
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return None
    return [max((bound[side] for bound in known), default=none) for side in (0, 1)]


def _between(bounds: list[Any]) -> str:
    shown = [f"{bound:.3f}" if isinstance(bound, float) else str(bound) for bound in bounds]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


def _since_s(behind: Behind) -> float | None:
    """For how long, when the read began, the first write that replaced what it saw had been over."""
    write = behind.by.write
    if write is None or write.completion is None or min(write.completion.time, behind.read.invoke.time) < 0:
        return None
    return max(0.0, (behind.read.invoke.time - write.completion.time) / 1e9)


def _told(behind: Behind) -> str:
    write = behind.by.write
    after = "" if write is None else f", the first of them by {in_words(write)}"
    versions = f"{behind.count} version{'s' * (behind.count > 1)}"
    return f"{in_words(behind.read)}, which was {versions} behind{after}"


def _stalest(behind: Behind) -> dict[str, Any]:
    seen, by = behind.cluster.write, behind.by.write
    return {
        "versions": behind.count,
        "seconds": _since_s(behind),
        "told": _told(behind),
        "read": behind.read.invoke.index,
        "saw": None if seen is None else seen.invoke.index,
        "overwritten_by": None if by is None else by.invoke.index,
    }
