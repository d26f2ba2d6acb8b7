"""How long did it take until everybody was served again? After each healing, for each coordinator, the time
to the first operation that it served.

A measurement: whether that is too long is not said here; an operation that should have been served and was
not is `checkers/availability.py`'s. Pure: who knows the faults says what was healed, and who coordinated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from checkers.availability import answered
from checkers.history import Op, pair
from checkers.stats import quantile
from checkers.verdict import Status, Verdict


class Healing(NamedTuple):
    """`faults` were over at `at_ns`, and nothing else was done to the cluster until `until_ns` (None: to the
    end of the run)."""

    faults: tuple[str, ...]
    at_ns: int
    until_ns: int | None


class Recovery:
    """A `Checker`. `coordinator_of` an invocation: the node that it was sent to, or None. A coordinator that
    was not asked between a healing and the next fault is not counted there.

    `details`: `healings` ([{faults, healed_s, recovered_s: {node: seconds, or None if it served nothing until
    the next fault or the end}}]), `worst_s` (None: nothing was measured), `never` (how many Nones there are)
    and, over all healings, `by_node` {node: {p50, max}} in seconds.
    """

    name = "recovery"

    def __init__(self, healings: Sequence[Healing], coordinator_of: Callable[[Op], str | None]) -> None:
        self._healings = healings
        self._coordinator_of = coordinator_of

    def check(self, history: list[Op]) -> Verdict:
        asked, served = self._times(history)
        healings: list[dict[str, Any]] = []
        by_node: dict[str, list[float]] = {}
        measured: list[tuple[float, str, Healing]] = []
        for healing in self._healings:
            took: dict[str, float | None] = {}
            for node in sorted(asked):
                if _first(asked[node], healing) is None:
                    continue
                first = _first(served.get(node, []), healing)
                took[node] = None if first is None else round((first - healing.at_ns) / 1e9, 6)
                if first is not None:
                    seconds = (first - healing.at_ns) / 1e9
                    by_node.setdefault(node, []).append(seconds)
                    measured.append((seconds, node, healing))
            healings.append(
                {"faults": list(healing.faults), "healed_s": healing.at_ns / 1e9, "recovered_s": took}
            )
        never = sum(seconds is None for each in healings for seconds in each["recovered_s"].values())
        worst = max(measured, key=lambda each: each[0], default=None)
        details = {
            "healings": healings,
            "worst_s": None if worst is None else round(worst[0], 6),
            "never": never,
            "by_node": {node: _spread(seconds) for node, seconds in sorted(by_node.items())},
        }
        return Verdict(self.name, Status.VALID, _told(worst, never, len(self._healings)), details)

    def _times(self, history: list[Op]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """By node, in order: when operations began or ended, and when ones ended that were served."""
        asked: dict[str, list[int]] = {}
        served: dict[str, list[int]] = {}
        for operation in pair(history):
            node = self._coordinator_of(operation.invoke)
            done = operation.completion
            if node is None:
                continue
            ended = [] if done is None else [done.time]
            asked.setdefault(node, []).extend(at for at in (operation.invoke.time, *ended) if at >= 0)
            if done is not None and done.time >= 0 and answered(done):
                served.setdefault(node, []).append(done.time)
        for times in (*asked.values(), *served.values()):
            times.sort()
        return asked, served


def _first(times: Sequence[int], healing: Healing) -> int | None:
    at = bisect_left(times, healing.at_ns)
    if at == len(times) or (healing.until_ns is not None and times[at] >= healing.until_ns):
        return None
    return times[at]


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"p50": round(quantile(ordered, 0.5), 6), "max": round(ordered[-1], 6)}


def _told(worst: tuple[float, str, Healing] | None, never: int, healings: int) -> str:
    if worst is None and not never:
        return "not measured: nothing was healed" if not healings else "not measured: nobody asked afterwards"
    text = []
    if worst is not None:
        seconds, node, healing = worst
        times = "1 healing" if healings == 1 else f"{healings:,} healings"
        text.append(
            f"after {times}, {seconds:.3f} s at most until a coordinator served again ({node}, "
            f"after {', '.join(healing.faults)})"
        )
    if never:
        times = "once" if never == 1 else f"{never:,} times"
        text.append(f"{times} one served nobody until the next fault, or the end")
    return "; ".join(text)
