"""One node: routes inputs to its replica and to its requests' procedures, and effects out.

What the protocols *are* stands in replica.py, quorum.py and caspaxos.py; here is only who waits for what.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from store.core import caspaxos, quorum
from store.core.hlc import HybridClock
from store.core.journal import Journal
from store.core.levels import Level, LevelError, parse_level
from store.core.machine import (
    Effect,
    FromClient,
    FromPeer,
    Input,
    Persisted,
    Records,
    Reply,
    Send,
    SetTimer,
    TimerFired,
)
from store.core.messages import (
    ANSWERED_BY,
    KEY_BYTES_MAX,
    Answer,
    Body,
    Cas,
    Delete,
    Failed,
    Get,
    PeerMessage,
    Put,
    Refused,
    Report,
    Request,
    Response,
    Stamp,
    Status,
)
from store.core.procedure import Answers, Ask, Ballots, Coordination, Procedure, Wish
from store.core.replica import Replica
from store.core.ring import Ring

OPEN_REQUESTS_MAX = 10_000
PATIENCE_NANOS = 20_000_000
"""How long a procedure waits for the other answers once a replica has refused."""

AT_ANY_WAIT = -1
"""Of a timer: it is for whatever the task waits for by then."""

BOOT_SHIFT = 40
"""Request numbers are boot number * 2**40 + counter, so they are never used twice."""


class _Task(Struct):
    """A request in progress, and what it waits for (`rid` 0: nothing is asked)."""

    client: int
    procedure: Procedure
    deadline: int
    deadline_timer: int = 0
    rid: int = 0
    expects: type[Answer] = Refused
    silent: list[str] = []
    need: int = 0
    answers: Answers = []
    agreed: int = 0
    refused: bool = False
    waiting: int = 0
    """Goes up at each resumption, so that a timer set for an earlier wait is known as stale."""


class Node:
    """The whole store of one node, sans I/O: see machine.py for what the driver must hold to.

    `boot` is greater at each start of the node; `records` is what is durable; `rng` is only this node's.
    """

    def __init__(self, name: str, ring: Ring, boot: int, records: Records, rng: random.Random) -> None:
        if name not in ring.nodes:
            raise ValueError(f"node {name!r} is not one of the ring's: {', '.join(ring.nodes)}")
        self.name = name
        self.ring = ring
        self.boot = boot
        self._rng = rng
        self._effects: list[Effect] = []
        self._inbox: deque[PeerMessage] = deque()
        self._now = 0
        self._wall = 0
        self._last_rid = boot << BOOT_SHIFT
        self._last_timer = 0
        self._asking: dict[int, _Task] = {}
        self._timers: dict[int, tuple[_Task, int]] = {}
        self._open = 0
        self._served = 0
        self._failed = 0
        self._clock = HybridClock(name)
        self._journal = Journal(records, self._effects.append, self._route)
        self._replica = Replica(self._journal, self._route, self._clock)
        self._ballots = Ballots(lambda: self._replica.ballot_counter_seen)
        self._handlers: dict[type, Callable[[str, Any], None]] = {
            **self._replica.handlers,
            **dict.fromkeys((*ANSWERED_BY.values(), Refused), self._answered),
        }
        self._inputs: dict[type, Callable[[Any], None]] = {
            FromPeer: self._from_peer,
            FromClient: self._from_client,
            TimerFired: self._timer_fired,
            Persisted: self._persisted,
        }

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        """Take one input at monotonic time `now` and wall-clock time `wall` (ns); the effects, in order."""
        self._now, self._wall = now, wall
        self._inputs[type(event)](event)
        while self._inbox:
            message = self._inbox.popleft()
            self._handlers[type(message)](self.name, message)
        effects = self._effects[:]
        self._effects.clear()
        return effects

    # Routing ---------------------------------------------------------------------------------------

    def _route(self, peer: str, message: PeerMessage) -> None:
        if peer == self.name:
            self._inbox.append(message)
        else:
            self._effects.append(Send(peer, message))

    def _from_peer(self, event: FromPeer) -> None:
        self._handlers[type(event.message)](event.peer, event.message)

    def _persisted(self, event: Persisted) -> None:
        self._journal.persisted(event.token)

    # Requests --------------------------------------------------------------------------------------

    def _from_client(self, event: FromClient) -> None:
        request = event.request
        refusal = self._refusal(request)
        if refusal is not None:
            self._reply(event.client, refusal)
        elif isinstance(request.body, Status):
            self._reply(event.client, Report(request.id, self.status()))
        else:
            deadline = self._now + request.timeout_ms * 1_000_000
            task = _Task(event.client, self._procedure(request, request.body, deadline), deadline)
            self._open += 1
            task.deadline_timer = self._set_timer(task, deadline, AT_ANY_WAIT)
            self._advance(task, next, task.procedure)

    def _refusal(self, request: Request) -> Failed | None:
        body = request.body
        if isinstance(body, Status):
            return None
        if self._open >= OPEN_REQUESTS_MAX:
            return Failed(request.id, "overloaded", f"{OPEN_REQUESTS_MAX} requests are in progress")
        if len(body.key.encode()) > KEY_BYTES_MAX:
            return Failed(request.id, "bad-request", f"a key has at most {KEY_BYTES_MAX} bytes")
        try:
            level = parse_level(body.level, self.ring.replication)
        except LevelError as error:
            return Failed(request.id, "bad-request", str(error))
        if isinstance(body, Cas) and not level.linearizable:
            return Failed(request.id, "bad-request", f"cas needs level linearizable, not {body.level}")
        return None

    def _procedure(self, request: Request, body: Body, deadline: int) -> Procedure:
        assert not isinstance(body, Status)
        level = parse_level(body.level, self.ring.replication)
        c = Coordination(
            node=self.name,
            request_id=request.id,
            replicas=self.ring.preference(body.key),
            next_rid=self._next_rid,
            stamp=self._stamp,
            late=lambda: self._now >= deadline,
            ballots=self._ballots,
            rng=self._rng,
        )
        return _linearizable(c, body, level) if level.linearizable else _eventual(c, body, level)

    def _reply(self, client: int, response: Response) -> None:
        if isinstance(response, Failed) and response.code != "mismatch":
            self._failed += 1
        else:
            self._served += 1
        self._effects.append(Reply(client, response))

    # Procedures ------------------------------------------------------------------------------------

    def _advance(self, task: _Task, resume: Callable[..., Wish], *args: Any) -> None:
        """Run the procedure until it has to wait, or ends."""
        try:
            wish = resume(*args)
            while True:
                task.waiting += 1
                if self._now >= task.deadline:
                    wish = task.procedure.send([])
                elif isinstance(wish, Ask):
                    self._ask(task, wish)
                    return
                elif wish.nanos:
                    self._set_timer(task, self._now + wish.nanos, task.waiting)
                    return
                else:
                    wish = task.procedure.send([])
        except StopIteration as end:
            self._open -= 1
            task.waiting += 1
            self._timers.pop(task.deadline_timer, None)
            self._reply(task.client, end.value)

    def _ask(self, task: _Task, wish: Ask) -> None:
        task.rid = wish.question.rid
        task.expects = ANSWERED_BY[type(wish.question)]
        task.silent = list(wish.peers)
        task.need = wish.need
        task.answers = []
        task.agreed = 0
        task.refused = False
        self._asking[task.rid] = task
        for peer in wish.peers:
            self._route(peer, wish.question)

    def _answered(self, peer: str, answer: Answer) -> None:
        task = self._asking.get(answer.rid)
        if task is None or peer not in task.silent:
            return
        kind = type(answer)
        if kind is task.expects:
            task.agreed += 1
        elif kind is not Refused:
            return
        elif not task.refused:
            task.refused = True
            self._set_timer(task, self._now + PATIENCE_NANOS, task.waiting)
        task.silent.remove(peer)
        task.answers.append(answer)
        if task.agreed >= task.need or task.agreed + len(task.silent) < task.need:
            self._resume(task)

    def _resume(self, task: _Task) -> None:
        if task.rid:
            del self._asking[task.rid]
            task.rid = 0
        answers, task.answers = task.answers, []
        self._advance(task, task.procedure.send, answers)

    # Timers, time and names --------------------------------------------------------------------------

    def _set_timer(self, task: _Task, at: int, waiting: int) -> int:
        """The timer's token; when it fires it resumes `task` if that still waits as it did at `waiting`."""
        self._last_timer += 1
        self._timers[self._last_timer] = (task, waiting)
        self._effects.append(SetTimer(self._last_timer, at))
        return self._last_timer

    def _timer_fired(self, event: TimerFired) -> None:
        task, waiting = self._timers.pop(event.token, (None, 0))
        if task is not None and waiting in (AT_ANY_WAIT, task.waiting):
            self._resume(task)

    def _next_rid(self) -> int:
        self._last_rid += 1
        return self._last_rid

    def _stamp(self) -> Stamp:
        return self._clock.stamp(self._wall // 1_000)

    def status(self) -> dict[str, str | int | list[str]]:
        """What `kv status` shows."""
        return {
            "node": self.name,
            "boot": self.boot,
            "nodes": list(self.ring.nodes),
            "replication": self.ring.replication,
            "ring": self.ring.digest,
            "wall_ms": self._wall // 1_000_000,
            "requests_served": self._served,
            "requests_failed": self._failed,
            "requests_open": self._open,
        }


def _eventual(c: Coordination, body: Body, level: Level) -> Procedure:
    match body:
        case Get():
            return quorum.read(c, body.key, level.reads)
        case Put():
            return quorum.write(c, body.key, body.value, level.writes)
        case Delete():
            return quorum.write(c, body.key, None, level.writes)
        case _:
            raise AssertionError(f"{body} was to be refused")


def _linearizable(c: Coordination, body: Body, level: Level) -> Procedure:
    match body:
        case Get():
            return caspaxos.read(c, body.key, level.reads)
        case Put(value=value):
            return caspaxos.change(c, body.key, level.writes, lambda held: (value,))
        case Delete():
            return caspaxos.change(c, body.key, level.writes, lambda held: (None,))
        case Cas(expect=expect, value=value):
            return caspaxos.change(
                c, body.key, level.writes, lambda held: (value,) if held == expect else None
            )
        case _:
            raise AssertionError(f"{body} was to be refused")
