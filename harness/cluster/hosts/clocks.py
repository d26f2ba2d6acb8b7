"""Clocks that jump, strobe or drift: the host's own, or each process' where a kernel is shared.

Which it is, is not a choice: a clock that anybody else goes by is never touched. What is told of a clock was
measured at the host, against a clock that no fault moves; and a node that runs is asked, too, what it thinks
the time is, as long as it answers such questions (the bundled store does).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import trio

from harness.cluster.base import ClusterError, Evidence, Lost, NotSent
from harness.cluster.hosts.base import Hosts, Value
from harness.cluster.hosts.parcel import ourselves
from store.core.messages import Report, Status

CLOCK_FAULTS: Final = frozenset({"clock", "drift", "strobe"})
"""Those that need a node's clock to be ours from its start on, where the kernel is shared."""
VIEW_LIMIT_S: Final = 0.5
STROBE_WATCH_S: Final = 0.1
RIGHT_MS: Final = 5.0
"""A clock that is off by less after it was set right is right."""
EXACT_MS: Final = 0.5
RATE_EXACT_PPM: Final = 1.0
RATE_SEEN_PPM: Final = 1000
"""From here on a drift has to be seen in a fifth of a second, too, and not only in the kernel's books."""


class View(NamedTuple):
    """How far a node's own wall clock is ahead of our monotonic one, by how much that may be wrong, and when
    that was, by the latter."""

    lead_ms: float
    within_ms: float
    at_ms: float


class _Wall(msgspec.Struct, frozen=True):
    """What the hand says of a process' clock."""

    before_ns: int
    after_ns: int
    rate_ppm: int
    seen_by: int
    was_ppm: float = 0
    jumps: int = 0
    strobes: bool = False

    def moved_ms(self) -> float:
        return (self.after_ns - self.before_ns) / 1e6


class _Own(msgspec.Struct, frozen=True):
    """What the hand says of a host's clock, of what it did: of a jump, a drift, or a setting right."""

    keepers: list[str] = []
    moved_ns: int = 0
    gained_ns: int = 0
    in_ns: int = 1
    rate_ppm: float = 0
    was_ns: int = 0
    left_ns: int = 0
    was_ppm: float = 0
    jumps: int = 0
    strobes: bool = False


class Seen(NamedTuple):
    """Of one node: whether it is as was asked, and in words. None: nothing runs that could show it."""

    bit: bool | None
    detail: str


class Clocks(Hosts):
    _with_page: Mapping[str, Mapping[str, str]] = {}
    """By node, what its processes are started with so that their clock is ours."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.faults & CLOCK_FAULTS:
            asked = {node: {"node": node} for node in self.sites if node in self.shared_kernel}
            answers = await self.each("wall-prepare", asked)
            self._with_page = {node: answer["env"] for node, answer in answers.items()}

    def environment(self, node: str) -> dict[str, str]:
        return {**super().environment(node), **self._with_page.get(node, {})}

    # Clock -----------------------------------------------------------------------------------------

    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        nodes = self.named(offsets_ms)
        before = await self._wall_clocks(nodes)
        answers = await self._change_clocks("bump", {node: {"offset_ms": offsets_ms[node]} for node in nodes})
        after = await self._wall_clocks(nodes)
        seen = []
        for node, answer in answers.items():
            moved_ms = answer.moved_ms() if isinstance(answer, _Wall) else answer.moved_ns / 1e6
            views = (None, None) if answer.strobes else (before.get(node), after.get(node))
            bit = _all_seen(
                answer, abs(moved_ms - offsets_ms[node]) < EXACT_MS and _agree(moved_ms, answer, *views)
            )
            seen.append(Seen(bit, f"{node} by {moved_ms:+g} ms{_itself(*views)}{_remarks(answer)}"))
        return _evidence("clocks moved", seen)

    async def reset(self) -> Evidence:
        """Everything is right again: nothing jumps, drifts or is off."""
        nodes = [node for node in self.sites if node in self._with_page or node not in self.shared_kernel]
        before = await self._wall_clocks(nodes)
        answers = await self._change_clocks("reset", {node: {} for node in nodes})
        after = await self._wall_clocks(nodes)
        seen = []
        for node, answer in answers.items():
            was_ms = (answer.before_ns if isinstance(answer, _Wall) else answer.was_ns) / 1e6
            left_ms = (answer.after_ns if isinstance(answer, _Wall) else answer.left_ns) / 1e6
            if max(abs(was_ms), abs(left_ms)) < EXACT_MS and not (answer.jumps or answer.was_ppm):
                continue
            moved_ms = left_ms - was_ms
            views = (None, None) if answer.jumps else (before.get(node), after.get(node))
            right = abs(left_ms) < RIGHT_MS and _agree(moved_ms, answer, *views)
            left = f", {left_ms:+.3f} ms left" if isinstance(answer, _Own) else ""
            detail = f"{node} by {moved_ms:+.6g} ms{_past(answer)}{left}{_itself(*views)}{_remarks(answer)}"
            seen.append(Seen(_all_seen(answer, right), detail))
        return _evidence("clocks moved", seen)

    # Strobe ----------------------------------------------------------------------------------------

    async def strobe(self, deltas_ms: Mapping[str, int], period_ms: int) -> Evidence:
        nodes = self.named(deltas_ms)
        before = await self._wall_clocks(nodes)
        asked = {node: {"delta_ms": deltas_ms[node], "period_ms": period_ms} for node in nodes}
        answers = await self._change_clocks("strobe", asked)
        shown = await self._watch_strobes(before, deltas_ms, period_ms)
        seen = []
        for node, answer in answers.items():
            moves = isinstance(answer, _Wall) or abs(answer.moved_ns / 1e6 - deltas_ms[node]) < EXACT_MS
            itself = f" (it shows {' and '.join(sorted(shown[node], reverse=True))})" if node in shown else ""
            bit = _all_seen(answer, moves and (node not in shown or "forth" in shown[node]))
            seen.append(Seen(bit, f"{node} by {deltas_ms[node]:+d} ms{itself}{_remarks(answer)}"))
        return _evidence(f"clocks jump forth and back every {period_ms} ms", seen)

    async def _watch_strobes(
        self, before: Mapping[str, View], deltas_ms: Mapping[str, int], period_ms: int
    ) -> dict[str, set[str]]:
        """Which side of their strobes the nodes showed within a moment, of those where it can be told; and
        until all have shown that they jumped forth, for as long as one must have."""
        shown: dict[str, set[str]] = {
            node: set() for node, view in before.items() if abs(deltas_ms[node]) > 4 * view.within_ms
        }
        began = trio.current_time()
        while any(len(sides) < 2 for sides in shown.values()):
            is_seen = all("forth" in sides for sides in shown.values())
            if trio.current_time() - began > STROBE_WATCH_S + (0 if is_seen else 2 * period_ms / 1000):
                break
            for node, view in (await self._wall_clocks(list(shown))).items():
                forth = abs(view.lead_ms - before[node].lead_ms) > abs(deltas_ms[node]) / 2
                shown[node].add("forth" if forth else "back")
            await trio.sleep(min(period_ms, 50) / 1000 / 4)
        return shown

    # Drift -----------------------------------------------------------------------------------------

    async def drift(self, rates_ppm: Mapping[str, int]) -> Evidence:
        """What a drift makes of a clock is seen when it is set right; here, that it has begun."""
        nodes = self.named(rates_ppm)
        answers = await self._change_clocks("drift", {node: {"rate_ppm": rates_ppm[node]} for node in nodes})
        seen = []
        for node, answer in answers.items():
            asked = rates_ppm[node]
            runs = abs(answer.rate_ppm - asked) < RATE_EXACT_PPM
            detail = f"{node} by {answer.rate_ppm:+,.6g} ppm"
            if isinstance(answer, _Own):
                gained_ppm = answer.gained_ns / answer.in_ns * 1e6
                runs = runs and (abs(asked) < RATE_SEEN_PPM or abs(gained_ppm - asked) < abs(asked) / 5)
                detail += f", {answer.gained_ns / 1e3:+.0f} us in {answer.in_ns / 1e6:.0f} ms"
            seen.append(Seen(_all_seen(answer, runs), detail + _remarks(answer)))
        return _evidence("clocks drift", seen)

    # ------------------------------------------------------------------------------------------------

    async def _change_clocks(self, what: str, args: Mapping[str, Value]) -> dict[str, _Wall | _Own]:
        """Ask all hands, each for the clock that is its to change; their answers in the cluster's order."""
        faked = {node: {"node": node, **args[node]} for node in args if node in self.shared_kernel}
        if unprepared := [node for node in faked if node not in self._with_page]:
            raise ClusterError(
                f"{unprepared[0]} has no clock of its own, as the run asked for none of the faults "
                f"{_list(sorted(CLOCK_FAULTS))}"
            )
        here = ourselves()
        own: Value = {"shared": False, "harness_boot": here.boot if here else ""}
        real = {node: {**own, **args[node]} for node in args if node not in self.shared_kernel}
        answers: dict[str, _Wall | _Own] = {}
        for node, answer in (await self.each(f"wall-{what}", faked)).items():
            answers[node] = msgspec.convert(answer, _Wall)
        for node, answer in (await self.each(f"clock-{what}", real)).items():
            answers[node] = msgspec.convert(answer, _Own)
        return {node: answers[node] for node in self.named(answers)}

    async def _wall_clocks(self, nodes: Sequence[str]) -> dict[str, View]:
        """What those of the nodes that run and tell show now."""
        views: dict[str, View] = {}
        states = self.states()

        async def one(node: str) -> None:
            view = await self._wall_clock(node)
            if view is not None:
                views[node] = view

        async with trio.open_nursery() as nursery:
            for node in nodes:
                if states.get(node) == "up":
                    nursery.start_soon(one, node)
        return views

    async def _wall_clock(self, node: str) -> View | None:
        with trio.move_on_after(VIEW_LIMIT_S):
            try:
                session = await self.system.connect(self.sites[node])
                asked_ns = time.monotonic_ns()
                response = await session.request(Status(), VIEW_LIMIT_S)
                answered_ns = time.monotonic_ns()
                await session.close()
            except (NotSent, Lost):
                return None
            wall_ms = response.status.get("wall_ms") if isinstance(response, Report) else None
            if isinstance(wall_ms, int):
                at_ms = (asked_ns + answered_ns) / 2e6
                return View(wall_ms + 0.5 - at_ms, (answered_ns - asked_ns) / 2e6 + 0.5, at_ms)
        return None


def _all_seen(answer: _Wall | _Own, done: bool) -> bool | None:
    """The clock of processes that do not run has bitten nobody yet."""
    if isinstance(answer, _Wall) and not answer.seen_by:
        return None
    return done


def _agree(moved_ms: float, answer: _Wall | _Own, before: View | None, after: View | None) -> bool:
    """Whether the node's own view, if it tells, is that its clock moved so. As long as it drifts it goes on
    moving between the questions and what was done."""
    if before is None or after is None:
        return True
    drift = max(abs(answer.rate_ppm), abs(answer.was_ppm)) / 1e6
    allowed_ms = before.within_ms + after.within_ms + EXACT_MS + drift * (after.at_ms - before.at_ms)
    return abs(after.lead_ms - before.lead_ms - moved_ms) <= allowed_ms + RIGHT_MS


def _itself(before: View | None, after: View | None) -> str:
    if before is None or after is None:
        return ""
    return f" ({after.lead_ms - before.lead_ms:+.0f} ms as it sees it)"


def _past(answer: _Wall | _Own) -> str:
    jumps = f" after {answer.jumps} jumps" if answer.jumps else ""
    return f"{jumps} after a drift of {answer.was_ppm:+,.6g} ppm" if answer.was_ppm else jumps


def _remarks(answer: _Wall | _Own) -> str:
    if isinstance(answer, _Wall):
        return "" if answer.seen_by else ", but no process of it runs that sees that"
    return f", while {_list(answer.keepers)} there may set it right" if answer.keepers else ""


def _evidence(what: str, seen: Sequence[Seen]) -> Evidence:
    bits = [one.bit for one in seen if one.bit is not None]
    return Evidence(bool(bits) and all(bits), f"{what}: {_list([one.detail for one in seen])}")


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
