"""Live progress while a run goes: how far each phase is, what is answered and how fast, which faults are
there, how the nodes are, and the first anomaly as soon as anybody has found it.

On a terminal the view is drawn over and over, at most every `DRAW_S` of real time; elsewhere a plain line is
printed every `LINE_S`, and one for each phase and each anomaly. While checkers judge, nobody ticks, so a
thread does. What is counted is in `live_state`, what is
drawn in `live_view`; who looks for anomalies during the run is told of in `live_stream`.

No plan tells which phase a run is in, but its time limit does: nothing is begun after it but the healing,
which is the nemesis' alone, and then the clients' last look.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from rich import live
from rich.console import Console, RenderableType
from rich.text import Text

from checkers.history import NEMESIS, Op
from checkers.linear import Linearizable, Progress
from checkers.verdict import Checker, Status, Verdict
from harness.cluster.base import NodeState
from harness.ledger import Requested
from harness.plan import Plan
from harness.report import timeline
from harness.report.artifacts import RunDir
from harness.report.live_state import LiveState
from harness.report.live_stream import Follower
from harness.report.live_view import LABEL_CHARS, OUTCOME_STYLES, Checked, Scene, panel

DRAW_S: Final = 0.1
DRAW_SHARE: Final = 0.015
"""Of the time, at most so much goes into drawing."""
LINE_S: Final = 5.0
RATE_SAMPLES: Final = 6
"""Rates are those since so many drawings ago."""
CHECKING_FPS: Final = 4
LOOK_S: Final = 0.25
"""How often it is looked, while checkers judge, whether a plain line is due."""

RUNNING: Final = "running"
HEALING: Final = "healing"
LAST_LOOK: Final = "last look"
CHECKING: Final = "checking"


class Live:
    """A context manager around a run. `faults` say which nemesis operations begin and end which fault;
    `quiet` draws nothing. `follow`: the run whose history is judged while it comes in, if it can be. `now`
    is a monotonic clock in seconds."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        faults: Sequence[Requested] = (),
        quiet: bool = False,
        follow: RunDir | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._plan = plan
        self._now = now
        self._quiet = quiet
        self._follow = follow
        self._follower: Follower | None = None
        self._limit_ns = round(plan.time_limit_s * 1e9)
        self._state = LiveState(plan, faults)
        self._scene = Scene(plan)
        self._glyphs = timeline.ASCII if console.options.ascii_only else timeline.UNICODE
        self._anomalies: list[str] = []
        self._samples: deque[tuple[float, int, list[int]]] = deque(maxlen=RATE_SAMPLES)
        self._samples.append((0.0, 0, [0] * plan.concurrency))
        self._phase_since = self._drawn_at = self._ticked_since = now()
        self._pause_s = DRAW_S
        self._display: live.Live | None = None
        self._at_work: _AtWork | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> Live:
        if self._quiet:
            return self
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._show(refreshing=False)
        if self._follow is not None:
            self._follower = Follower(self._follow.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._at_work = None
        self._end_phase()
        self._unfollow()
        self._hide()

    def on_op(self, op: Op) -> None:
        """Count one event of the history."""
        if self._quiet:
            return
        self._state.on_op(op)
        if op.time >= self._limit_ns:
            self._after_the_limit(op)

    def tick(self, elapsed_s: float, states: Mapping[str, NodeState]) -> None:
        """`elapsed_s` of the run's own time have passed; draws if it is time to."""
        scene = self._scene
        if not scene.started:
            scene.started, self._ticked_since = True, self._now()
        scene.elapsed_s, scene.states = elapsed_s, states
        if scene.phase == RUNNING and elapsed_s >= self._plan.time_limit_s:
            self.phase(HEALING)
        self._draw_if_due()

    def phase(self, name: str) -> None:
        """What happens now, in a word or two."""
        self._end_phase()
        scene = self._scene
        scene.phase, scene.detail, self._phase_since = name, "", self._now()
        if name == CHECKING:
            self._unfollow()
            if self._display is not None:
                self._hide()
                self._show(refreshing=True)
            elif not self._quiet:
                threading.Thread(target=self._lines, name="live", daemon=True).start()
        if self._display is not None:
            self._draw()
        elif not self._quiet:
            self._console.print(f"{name} ...", highlight=False, markup=False)

    def anomaly(self, sentence: str) -> None:
        """The first is shown; of others the report tells."""
        self._anomalies.append(sentence)
        if len(self._anomalies) == 1 and self._display is None and not self._quiet:
            self._console.print(f"  anomaly: {sentence}", highlight=False, markup=False, soft_wrap=True)

    def watched(self, checkers: Sequence[Checker]) -> list[Checker]:
        """The same checkers, whose progress and findings are shown."""
        total = len(checkers)
        return [_Watched(checker, number, total, self) for number, checker in enumerate(checkers, 1)]

    def begins(self, what: str) -> None:
        """A checker, and its place among them."""
        self._at_work, self._scene.fraction = _AtWork(what, self._now()), None
        self._draw_if_due()

    def is_at(self, progress: Progress) -> None:
        """How far the checker is that began last."""
        if self._at_work is None:
            return
        self._at_work.detail = f"{progress.keys_decided} of {progress.keys} keys, {progress.steps:,} steps"
        self._scene.fraction = progress.keys_decided / progress.keys if progress.keys else None
        self._draw_if_due()

    def ends(self, verdict: Verdict) -> None:
        """That checker has judged."""
        if self._at_work is not None:
            took_s = self._now() - self._at_work.since
            self._scene.checked = [*self._scene.checked, Checked(verdict.checker, verdict.status, took_s)]
            self._at_work, self._scene.fraction, self._scene.detail = None, None, ""
        if verdict.status is Status.INVALID:
            self.anomaly(f"{verdict.checker}: {verdict.summary}")

    def panel(self) -> RenderableType:
        """The view as it is now."""
        self._measure()
        return panel(self._scene, self._state, self._glyphs, self._console.width, self._console.height)

    def _measure(self) -> None:
        scene, state = self._scene, self._state
        since_s, completed, served = self._samples[0]
        span_s = scene.elapsed_s - since_s
        nodes = self._plan.nodes
        scene.rate = (state.completed - completed) / span_s if span_s > 0 else 0.0
        gained = [after - before for before, after in zip(served, state.served, strict=True)]
        scene.rates = {
            node: sum(gained[number :: len(nodes)]) / span_s if span_s > 0 else 0.0
            for number, node in enumerate(nodes)
        }
        scene.eta_s, scene.anomalies = self._eta_s(), self._anomalies
        if (work := self._at_work) is not None:
            scene.detail = work.told(self._now())

    def _after_the_limit(self, op: Op) -> None:
        phase = self._scene.phase
        if op.process == NEMESIS:
            if phase == RUNNING and self._state.injecting:
                self.phase(HEALING)
        elif op.type == "invoke" and phase in (RUNNING, HEALING):
            self.phase(LAST_LOOK)

    def _end_phase(self) -> None:
        phase = self._scene.phase
        if self._display is not None and phase:
            took = f"{self._now() - self._phase_since:.1f} s"
            self._console.print(Text(f"{phase:<{LABEL_CHARS}}  {took}", "dim"))
        self._scene.phase, self._scene.fraction = "", None

    def _show(self, refreshing: bool) -> None:
        """`refreshing`: a thread draws, as nobody ticks while a checker thinks."""
        self._display = live.Live(
            console=self._console,
            auto_refresh=refreshing,
            refresh_per_second=CHECKING_FPS,
            get_renderable=self.panel,
            transient=True,
        )
        self._display.start()

    def _hide(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._ask_follower()
            self._follower.close()
            self._follower = None

    def _ask_follower(self) -> None:
        if self._follower is not None and (found := self._follower.found()) is not None:
            self.anomaly(found)

    def _draw_if_due(self) -> None:
        if self._quiet:
            return
        interval_s = LINE_S if self._display is None else self._pause_s
        with self._lock:
            if self._now() - self._drawn_at >= interval_s:
                self._draw()

    def _lines(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._draw_if_due()

    def _draw(self) -> None:
        self._drawn_at = self._now()
        self._ask_follower()
        if self._display is not None:
            self._display.refresh()
            self._pause_s = max(DRAW_S, (self._now() - self._drawn_at) / DRAW_SHARE)
        else:
            self._console.print(self._line(), highlight=False, markup=False, soft_wrap=True)
        if self._scene.elapsed_s > self._samples[-1][0]:
            self._samples.append((self._scene.elapsed_s, self._state.completed, list(self._state.served)))

    def _eta_s(self) -> float | None:
        """Seconds of real time that the phase, or the checker at work, will still take, at the speed so
        far."""
        scene = self._scene
        took_s, done = self._now() - self._phase_since, scene.fraction
        if scene.phase == RUNNING:
            took_s, done = self._now() - self._ticked_since, scene.elapsed_s / self._plan.time_limit_s
        elif (work := self._at_work) is not None:
            took_s = self._now() - work.since
        return took_s / done - took_s if done and done < 1 else None

    def _line(self) -> str:
        scene, state = self._scene, self._state
        self._measure()
        counts = ", ".join(f"{kind} {state.counts[kind]:,}" for kind in OUTCOME_STYLES)
        parts = [
            f"{scene.elapsed_s:.0f} of {self._plan.time_limit_s:.0f} s",
            f"{counts} ({scene.rate:.0f}/s)",
        ]
        if state.active:
            parts.append("active: " + ", ".join(state.active))
        parts += [f"{node} {is_}" for node, is_ in scene.states.items() if is_ != "up"]
        return "  " + (scene.detail or "; ".join(parts))


@dataclass(slots=True)
class _AtWork:
    """A checker, since when (by the clock), and what it told of its progress."""

    what: str
    since: float
    detail: str = ""

    def told(self, now: float) -> str:
        words = f"{self.what}, {now - self.since:.1f} s"
        return f"{words}: {self.detail}" if self.detail else words


class _Watched:
    """A checker that is looked at while it judges."""

    def __init__(self, checker: Checker, number: int, total: int, live: Live) -> None:
        self.name = checker.name
        self._checker = checker
        self._place = f"{number} of {total}"
        self._live = live
        if isinstance(checker, Linearizable):
            checker.progress = live.is_at

    def check(self, history: list[Op]) -> Verdict:
        self._live.begins(f"{self.name} ({self._place})")
        verdict = self._checker.check(history)
        self._live.ends(verdict)
        return verdict
