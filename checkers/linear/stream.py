"""Linearizability while the history comes in: wrong at the first event that makes it so.

For each key a *witness* is kept, some order of the calls so far. A completion that fits into it costs next to
nothing; one that does not starts a search over the *window*, the calls that were not forgotten. The window is
cut now and then: at a return whose open calls have all completed since, a sweep finds every configuration
that the calls before it can end in, and the calls themselves are forgotten. Calls that never complete stay.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from checkers.history import HistoryError, Op, Operation, Pairing
from checkers.linear.ahead import Ahead, looks_ahead
from checkers.linear.explain import describe_event, told
from checkers.linear.minimize import beginning
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.rules import FREE, SEEN, Config
from checkers.linear.search import Answer, Search
from checkers.linear.sweep import Sweep
from checkers.linear.witness import linearization
from checkers.models import ILLEGAL, FailedCas, Model, State, show
from checkers.verdict import Status, Verdict

NAME: Final = "linearizable"
WINDOW: Final = 128
"""Completed calls of one key after which a cut is tried."""
WAIT: Final = 16
"""Completions after which calls are judged while others, of which nothing is known yet, are open."""
FRONT: Final = 5_000
"""Configurations at one return above which a cut is given up for now."""


class Stream:
    """`feed` takes the events of a history one by one, and `finish` says what was found; HistoryError as
    `Linearizable.check`. Where a search would take more than `steps`, or a window comes to hold more than
    `window` calls, that key is given up, and the verdict is at best "unknown".

    `details` of an invalid verdict: `key`; `explanation`; `blocked_at`, the position of the completion that
    no order explains; `operations`, those not forgotten, and `begins_as`, the states that the others can have
    led to. Of an unknown one: `undecided`."""

    def __init__(
        self, model: Model, *, failed_cas: FailedCas = "ignore", steps: int = 1_000_000, window: int = 50_000
    ) -> None:
        if min(steps, window) <= 0:
            raise ValueError(f"a budget is above 0, not {min(steps, window)}")
        self._model = model
        self._failed_cas: FailedCas = failed_cas
        self._steps = steps
        self._window = window
        self._pairing = Pairing()
        self._position = 0
        self._keys: dict[str | None, _Key] = {}
        self._verdict: Verdict | None = None

    def feed(self, op: Op) -> Verdict | None:
        """The verdict "invalid" as soon as it is one, and from then on; else None."""
        position = self._position
        self._position += 1
        try:
            done = self._pairing.add(op)
        except HistoryError as error:
            raise HistoryError(f"event {position}: {error}") from None
        if self._verdict is not None or op.process == "nemesis":
            return self._verdict
        name = op.key if self._model.keyed else None
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = _Key(self._model, self._steps, self._window)
        if done is None:
            asked = calls_of([Operation(op, None, position, None)], self._model, self._failed_cas)
            key.begin(asked[0] if asked else None, position, bool(asked) and self._is_opaque(op.f))
            return None
        seen = calls_of([done], self._model, self._failed_cas)
        blocked = key.complete(done.start, seen[0] if seen else None)
        if blocked is not None:
            self._verdict = self._invalid(name, key, blocked)
        return self._verdict

    def finish(self) -> Verdict:
        """The verdict on what was fed; calls without a completion may or may not have happened."""
        for name, key in self._keys.items():
            blocked = None if self._verdict is not None else key.finish()
            if blocked is not None:
                self._verdict = self._invalid(name, key, blocked)
        if self._verdict is not None:
            return self._verdict
        lost = [(name, key.lost) for name, key in self._keys.items() if key.lost]
        details = {"model": self._model.name, "keys": len(self._keys), "events": self._position}
        if lost:
            undecided = [{"key": name, "reason": reason} for name, reason in lost]
            summary = f"{len(lost)} of {len(self._keys)} keys undecided: {lost[0][1]}"
            return Verdict(NAME, Status.UNKNOWN, summary, details | {"undecided": undecided})
        summary = f"{self._position:,} events on {len(self._keys):,} keys: linearizable as {self._model.name}"
        return Verdict(NAME, Status.VALID, summary, details)

    def _is_opaque(self, f: str) -> bool:
        """Whether, before it is answered, the model cannot even say that such a call may do this or that."""
        model = self._model
        loose = f in model.answers and type(model).unanswered is Model.unanswered
        return loose or not model.keyed

    @property
    def remembered(self) -> int:
        """How many calls are not forgotten."""
        return sum(len(key.window) for key in self._keys.values())

    def _invalid(self, name: str | None, key: _Key, blocked: Call) -> Verdict:
        states = sorted({show(config.state) for config in key.carried})
        since = "" if key.cut_at == 0 else f", after event {key.cut_at}"
        said = f"{told(self._model, name, blocked)}, which no order explains"
        context = f"It began as {' or '.join(states)}{since}."
        details: dict[str, Any] = {
            "model": self._model.name,
            "key": name,
            "explanation": [said, context],
            "blocked_at": blocked.end,
            "operations": [describe_event(call) for call in key.window.values()],
            "begins_as": states,
        }
        return Verdict(NAME, Status.INVALID, said if name is None else f"key {name}: {said}", details)


class _Carried(NamedTuple):
    """A configuration by the calls' starts: `returned` calls of the window have returned in it."""

    returned: int
    done: frozenset[int]
    free: frozenset[int]
    state: State
    used: frozenset[int]
    asks: int | tuple[State]


class _Key:
    """One key. `window`: the calls that were not forgotten, by their start; open ones as optional calls.
    `carried`: what the others can have led to; `cut_at`: the position up to which they returned."""

    def __init__(self, model: Model, steps: int, window: int) -> None:
        self.window: dict[int, Call] = {}
        self.carried = [_Carried(0, frozenset(), frozenset(), model.initial, frozenset(), FREE)]
        self.cut_at = 0
        self.lost = ""
        self._model = model
        self._steps = steps
        self._limit = window
        self._open: set[int] = set()
        self._opaque: set[int] = set()
        self._late = False
        """There are opaque calls: what was answered after one began is judged when that one is known."""
        self._waiting = 0
        self._completed = 0
        self._cut_above = WINDOW
        self._state: State = model.initial
        self._order: list[tuple[int, State]] = []
        """The witness: the starts of the calls, and the states after them; the first ones are forgotten."""
        self._placed: set[int] = set()
        self._ends: dict[int, int] = {}
        """The ends of the calls in the witness."""

    def begin(self, call: Call | None, start: int, opaque: bool) -> None:
        """`call`: None if it cannot change the state. `opaque`: what it does depends on the answer."""
        if self.lost:
            return
        self._open.add(start)
        if opaque:
            self._opaque.add(start)
            self._late = True
        if call is not None:
            self.window[start] = call

    def complete(self, start: int, call: Call | None) -> Call | None:
        """The completed call that no order explains, if there is one. `call`: None if it did not happen."""
        if self.lost:
            return None
        self._open.discard(start)
        self._opaque.discard(start)
        asked = self.window.pop(start, None)
        if call is not None:
            self.window[start] = call
        misplaced = start in self._placed and (call is None or asked is None or call[:2] != asked[:2])
        if call is not None and call.end is not None:
            self._completed += 1
            self._ends[start] = call.end
        blocked = self._judged(call, misplaced)
        if blocked is None and not self.lost and self._completed > self._cut_above:
            self._cut()
        return blocked

    def finish(self) -> Call | None:
        """As `complete`, when nothing more is to come."""
        self._opaque.clear()
        return self._explained() if self._late and not self.lost else None

    def _judged(self, call: Call | None, misplaced: bool) -> Call | None:
        if self._late:
            self._waiting += 1
            if self._opaque and self._waiting < WAIT:
                return None
            self._waiting = 0
            return self._explained()
        if misplaced or (call is not None and call.end is not None and not self._fits(call)):
            return self._explained()
        return None

    # The witness ---------------------------------------------------------------------------------------

    def _fits(self, call: Call) -> bool:
        """Whether the witness has the call, or has a place for it."""
        if call.start in self._placed:
            return True
        if not self._model.pure(call.f, call.value):
            return self._append(call)
        place = len(self._order)
        while True:
            state = self._order[place - 1][1] if place else self._state
            if place == 0 and self._order:
                return False
            if self._model.step(state, call.f, call.value) is not ILLEGAL:
                self._order.insert(place, (call.start, state))
                self._placed.add(call.start)
                return True
            if place == 0 or self._ends.get(self._order[place - 1][0], call.start) < call.start:
                return False
            place -= 1

    def _append(self, call: Call) -> bool:
        after = self._model.step(self._state, call.f, call.value)
        if after is ILLEGAL:
            return False
        self._state = after
        self._order.append((call.start, after))
        self._placed.add(call.start)
        return True

    def _explained(self) -> Call | None:
        """Look for another witness; a call that no order explains, if there is none."""
        calls = list(self.window.values())
        if self._opaque:
            calls = beginning(calls, min(self._opaque), self._model)
        problem = Problem(calls, self._model)
        starts = _configs(self.carried, problem)
        search = Search(problem, starts, ahead=Ahead(problem) if looks_ahead(self._model) else None)
        answer = search.run(self._steps)
        if answer is Answer.IMPOSSIBLE:
            again = Search(problem, starts)
            exact = again.run(self._steps) is Answer.IMPOSSIBLE
            return problem.required[again.deepest if exact else -1]
        if answer is Answer.UNDECIDED:
            self._give_up(f"more than {self._steps:,} steps for one completion")
        elif not self._late:
            self._state = problem.table.states[search.path[0][3]]
            self._order = []
            self._placed = set()
            for call in linearization(problem, search.path):
                fits = self._append(call)
                assert fits
        return None

    def _give_up(self, reason: str) -> None:
        self.lost = reason
        self.window.clear()
        self._order.clear()
        self._placed.clear()
        self._ends.clear()

    # The cut ----------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Forget what lies before the last return whose open calls have all completed."""
        if len(self.window) > self._limit:
            self._give_up(f"more than {self._limit:,} operations are open, or undecided")
            return
        problem = Problem(list(self.window.values()), self._model, keep=True)
        oldest = min(self._open, default=None)
        until = len(problem.required)
        while oldest is not None and until > 0 and (problem.required[until - 1].end or 0) > oldest:
            until -= 1
        self._cut_above = self._completed + WINDOW
        if until == 0:
            return
        sweep = Sweep(problem, _configs(self.carried, problem), until)
        answer = Answer.UNDECIDED
        while answer is Answer.UNDECIDED and sweep.front <= FRONT:
            answer = sweep.run(1_000)
        if answer is not Answer.LINEARIZABLE:
            self._cut_above = 2 * self._completed
            return
        self.carried = [_carried(config, problem, until) for config in sweep.ends]
        for call in problem.required[:until]:
            del self.window[call.start]
        self._completed -= until
        self._cut_above = self._completed + WINDOW
        self.cut_at = problem.required[until - 1].end or 0
        self._shorten()

    def _shorten(self) -> None:
        """Forget the part of the witness before which no open or later call can stand."""
        oldest = min(self._open, default=None)
        place = len(self._order) - 1
        while place > 0 and (oldest is None or self._ends.get(self._order[place][0], oldest) >= oldest):
            if oldest is None:
                break
            place -= 1
        gone = self._order[:place]
        self._order = self._order[place:]
        self._placed.difference_update(start for start, _ in gone)
        self._ends = {start: self._ends[start] for start, _ in self._order if start in self._ends}


def _configs(carried: list[_Carried], problem: Problem) -> list[Config]:
    """As configurations of a problem whose calls are the window's."""
    bits = {call.start: bit for call, bit in zip(problem.required, problem.bits, strict=False)}
    numbers = {call.start: 1 << number for number, call in enumerate(problem.optional)}
    found = []
    for each in carried:
        done = sum(bits[start] for start in each.done)
        free = sum(bits[start] for start in each.free)
        used = sum(numbers.get(start, 0) for start in each.used)
        asks = each.asks if isinstance(each.asks, int) else problem.table.number(each.asks[0])
        found.append((each.returned, done, free, problem.table.number(each.state), used, asks))
    return found


def _carried(config: Config, problem: Problem, forgotten: int) -> _Carried:
    p, done, free, state, used, asks = config
    until = problem.required[p].end if p < len(problem.required) else None
    opened = [
        (call.start, bit)
        for call, bit in zip(problem.required[p:], problem.bits[p:], strict=False)
        if until is not None and call.start < until
    ]
    return _Carried(
        p - forgotten,
        frozenset(start for start, bit in opened if done & bit),
        frozenset(start for start, bit in opened if free & bit),
        problem.table.states[state],
        frozenset(call.start for number, call in enumerate(problem.optional) if used >> number & 1),
        asks if asks in (FREE, SEEN) else (problem.table.states[asks],),
    )
