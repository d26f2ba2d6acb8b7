"""Procedures in progress, and what each of them waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from store.core.messages import (
    AGAIN,
    ANSWERED_BY,
    Answer,
    Question,
    Refused,
    Response,
    Session,
    Stale,
    Unable,
)
from store.core.port import Port
from store.core.procedure import All, Answers, Ask, Group, Linger, Respond, Rest, Tell, Turn, Wish

PATIENCE_NANOS: Final = 20_000_000
"""How long a procedure waits for the other answers once a replica has declined."""

AGAIN_NANOS: Final = 250_000_000
"""How long after it was sent a question without an answer is sent again, at least; then at this pace."""

DECLINES: Final = frozenset({Refused, Session, Stale, Unable})

T = TypeVar("T")


class Task:
    """A procedure, and what it waits for (`rid` 0: nothing is asked)."""

    __slots__ = (
        "again_at",
        "agreed",
        "answers",
        "asks",
        "children",
        "client",
        "deadline",
        "deadline_timer",
        "expects",
        "groups",
        "lingers",
        "procedure",
        "questions",
        "rid",
        "silent",
        "then",
        "turn",
        "wait_timer",
        "waits_for_turn",
    )

    def __init__(
        self,
        procedure: Generator[Any, Any, Any],
        deadline: int,
        then: Callable[[Task, Any], None],
        client: int | None,
    ) -> None:
        self.procedure = procedure
        self.deadline = deadline
        self.then = then
        """Takes what it returns. It must not refer to the task itself: cycles are left to the garbage
        collector."""
        self.client = client
        """Whom it serves."""
        self.deadline_timer = 0
        self.wait_timer = 0
        self.rid = 0
        self.expects: type[Answer] = Refused
        self.questions: dict[str, Question] = {}
        self.silent: list[str] = []
        self.groups: tuple[Group, ...] = ()
        self.agreed: list[str] = []
        self.answers: Answers = []
        self.asks = False
        """It waits for answers to its question, those that it needs or (`lingers`) all."""
        self.lingers = False
        self.again_at = 0
        self.turn: str | None = None
        self.waits_for_turn = False
        self.children: dict[int, Task] = {}
        """What it runs side by side, and waits for."""


class Tasks:
    """`finished` takes each client's response."""

    def __init__(self, port: Port, finished: Callable[[int, Response], None]) -> None:
        self._port = port
        self._finished = finished
        self._asking: dict[int, Task] = {}
        self._turns: dict[str, deque[Task]] = {}
        self._clients: dict[int, dict[Task, None]] = {}
        self._again_timer = 0
        self.open = 0
        """How many procedures are in progress."""

    def begin(self, client: int, procedure: Generator[Any, Any, Response], deadline: int) -> None:
        """Run the procedure that serves a client's request."""
        task = Task(procedure, deadline, self._respond, client)
        self._clients.setdefault(client, {})[task] = None
        self._start(task)

    def run(self, procedure: Generator[Any, Any, T], deadline: int, then: Callable[[T], None]) -> None:
        """Run one that is no client's."""
        self._start(Task(procedure, deadline, lambda task, result: then(result), None))

    def client_gone(self, client: int) -> None:
        """Nobody waits for what `client` has asked: end it, wherever it is."""
        for task in self._clients.pop(client, {}):
            task.client = None
            self._close(task)

    def answered(self, peer: str, answer: Answer) -> None:
        task = self._asking.get(answer.rid)
        if task is None or peer not in task.silent:
            return
        kind = type(answer)
        agrees = kind is task.expects
        if not agrees and kind not in DECLINES:
            return
        task.silent.remove(peer)
        task.answers.append((peer, answer))
        if agrees:
            task.agreed.append(peer)
        if not task.asks:
            return
        is_first_decline = not agrees and len(task.answers) == len(task.agreed) + 1
        if is_first_decline and not task.lingers:
            if task.wait_timer:
                self._port.cancel(task.wait_timer)
            task.wait_timer = self._port.after(PATIENCE_NANOS, lambda: self._resume(task))
        if self._settled(task):
            self._resume(task)

    # One procedure -----------------------------------------------------------------------------------

    def _start(self, task: Task) -> None:
        self.open += 1
        task.deadline_timer = self._port.after(
            max(0, task.deadline - self._port.now), lambda: self._resume(task)
        )
        self._advance(task, None)

    def _advance(self, task: Task, value: Any) -> None:
        """Run the procedure until it has to wait, or ends."""
        try:
            while True:
                wish = task.procedure.send(value)
                if self._port.now >= task.deadline and isinstance(wish, Ask | Rest | Linger | Turn):
                    value = []
                    continue
                waits, value = self._wish(task, wish)
                if waits:
                    return
        except StopIteration as end:
            self._end(task)
            task.then(task, end.value)

    def _wish(self, task: Task, wish: Wish) -> tuple[bool, Any]:
        """Whether the task has to wait for what it wishes, and else what it is resumed with."""
        match wish:
            case Ask():
                self._ask(task, wish)
                return True, None
            case Rest(nanos) if nanos:
                task.wait_timer = self._port.after(nanos, lambda: self._resume(task))
                return True, None
            case Linger(nanos):
                if not (task.rid and task.silent):
                    answers, task.answers = task.answers, []
                    return False, answers
                task.asks = task.lingers = True
                task.wait_timer = self._port.after(nanos, lambda: self._resume(task))
                return True, None
            case Tell(peers, message):
                for peer in peers:
                    self._port.send(peer, message)
            case Respond(response):
                self._respond(task, response)
            case Turn(name):
                return self._take_turn(task, name), []
            case All(procedures):
                return self._together(task, procedures)
        return False, []

    def _ask(self, task: Task, wish: Ask) -> None:
        self._forget_question(task)
        question = wish.question
        task.rid = question.rid
        task.expects = ANSWERED_BY[type(question)]
        task.groups = wish.groups
        peers = wish.groups[0].peers
        if len(wish.groups) > 1:
            peers = tuple(dict.fromkeys([peer for group in wish.groups for peer in group.peers]))
        task.questions = dict.fromkeys(peers, question)
        for peer in wish.instead.keys() & task.questions if wish.instead else ():
            task.questions[peer] = wish.instead[peer]
        task.silent = list(peers)
        task.agreed = []
        task.answers = []
        task.asks = True
        task.again_at = self._port.now + AGAIN_NANOS
        self._asking[task.rid] = task
        if wish.patience_nanos:
            task.wait_timer = self._port.after(wish.patience_nanos, lambda: self._resume(task))
        for peer, asked in task.questions.items():
            self._port.send(peer, asked)
        if not self._again_timer and type(question) in AGAIN:
            self._again_timer = self._port.after(AGAIN_NANOS, self._ask_again)

    def _ask_again(self) -> None:
        """Send again what has not been answered: a message may have been lost."""
        now = self._port.now
        for task in self._asking.values():
            if task.asks and task.again_at <= now:
                task.again_at = now + AGAIN_NANOS
                for peer in task.silent:
                    if type(task.questions[peer]) in AGAIN:
                        self._port.send(peer, task.questions[peer])
        self._again_timer = self._port.after(AGAIN_NANOS, self._ask_again) if self._asking else 0

    def _settled(self, task: Task) -> bool:
        """Whether nothing more needs to be waited for."""
        if task.lingers:
            return not task.silent
        if len(task.groups) == 1:  # in which all are that were asked
            need = task.groups[0].need
            return len(task.agreed) >= need or len(task.agreed) + len(task.silent) < need
        enough = True
        for peers, need in task.groups:
            agreed = sum([peer in peers for peer in task.agreed])
            if agreed < need:
                enough = False
                if agreed + sum([peer in peers for peer in task.silent]) < need:
                    return True
        return enough

    def _resume(self, task: Task) -> None:
        """Whatever it waits for, it is there, or the time for it is up."""
        if task.children:
            return  # they have the same deadline
        if task.wait_timer:
            self._port.cancel(task.wait_timer)
            task.wait_timer = 0
        if task.waits_for_turn:
            self._give_up_turn(task)
        answers: Answers = []
        if task.asks:
            answers, task.answers = task.answers, []
        task.asks = task.lingers = False
        self._advance(task, answers)

    def _close(self, task: Task) -> None:
        """End it where it is."""
        for child in task.children.values():
            self._close(child)
        task.procedure.close()
        self._end(task)

    def _end(self, task: Task) -> None:
        self.open -= 1
        self._port.cancel(task.deadline_timer)
        if task.wait_timer:
            self._port.cancel(task.wait_timer)
        self._forget_question(task)
        if task.turn is not None:
            self._give_up_turn(task)

    def _forget_question(self, task: Task) -> None:
        if task.rid:
            del self._asking[task.rid]
            task.rid = 0

    def _respond(self, task: Task, response: Response) -> None:
        """To its client, if it has not been given one before."""
        if task.client is not None:
            client, task.client = task.client, None
            open_requests = self._clients[client]
            del open_requests[task]
            if not open_requests:
                del self._clients[client]
            self._finished(client, response)

    # Several -----------------------------------------------------------------------------------------

    def _take_turn(self, task: Task, name: str) -> bool:
        """Get in line; true if others are before."""
        line = self._turns.setdefault(name, deque())
        line.append(task)
        task.turn = name
        task.waits_for_turn = len(line) > 1
        return task.waits_for_turn

    def _give_up_turn(self, task: Task) -> None:
        assert task.turn is not None
        line = self._turns[task.turn]
        was_first = line[0] is task
        line.remove(task)
        name, task.turn, task.waits_for_turn = task.turn, None, False
        if not line:
            del self._turns[name]
        elif was_first:
            following = line[0]
            following.waits_for_turn = False
            following.wait_timer = self._port.after(0, lambda: self._resume(following))

    def _together(
        self, task: Task, procedures: tuple[Generator[Any, Any, Any], ...]
    ) -> tuple[bool, list[Any]]:
        results: list[Any] = [None] * len(procedures)
        waits = False

        def done(at: int, result: Any) -> None:
            results[at] = result
            del task.children[at]
            if waits and not task.children:
                self._advance(task, results)

        task.children = {
            at: Task(procedure, task.deadline, lambda child, result, at=at: done(at, result), None)  # type: ignore[misc]
            for at, procedure in enumerate(procedures)
        }
        for child in list(task.children.values()):
            self._start(child)
        waits = bool(task.children)
        return waits, results
