"""Stores that are broken on purpose, each in one thing that its docstring names; they stand in for `Node`."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

from msgspec.structs import replace

from store.core.machine import FromClient, Records
from store.core.messages import (
    ANSWERED_BY,
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Body,
    Cas,
    Cell,
    Done,
    Failed,
    Found,
    Get,
    KeyBody,
    Layout,
    PeerMessage,
    Prepare,
    Promise,
    Put,
    Queried,
    Query,
    Refused,
    Request,
    Response,
    Stamp,
    Store,
    Stored,
)
from store.core.node import Node
from store.core.options import Options
from store.core.procedure import Answers, Ask, Group, Procedure
from store.core.replica import ACCEPTOR, DATUM

NOBODY = -1
"""No client has this number, so what is replied to it is lost."""


class AnswersBeforeItIsDurable(Node):
    """A replica answers before its record is on disk, so a crash forgets what others rely on."""

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)

        def at_once(key: str, peer: str, message: PeerMessage) -> None:
            self.send(peer, message)

        self.journal.when_durable = at_once  # type: ignore[method-assign]


class NumbersFromTheStartAgain(Node):
    """Names of changes repeat after a restart, so a proposer finds a new change among the old ones."""

    def __init__(
        self,
        name: str,
        first: Layout | None,
        boot: int,
        records: Records,
        rng: random.Random,
        options: Options,
    ) -> None:
        super().__init__(name, first, 1, records, rng, options)


class _BrokenReplica(Node):
    """`breaks`: the kind of question that is answered in a wrong way, by `answer_wrongly`."""

    breaks: type
    answer_wrongly: Callable[..., None]

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        self._questions[self.breaks] = self.answer_wrongly

    def keep(self, key: str, record: Acceptor | Cell, peer: str, answer: Answer) -> None:
        self.journal.put(key, record)
        self.journal.when_durable(key, peer, answer)


class ForgetsPromises(_BrokenReplica):
    """An acceptor promises and does not write it down, so older ballots are accepted after newer promises."""

    breaks = Prepare

    def answer_wrongly(self, peer: str, question: Prepare) -> None:
        key, ballot = ACCEPTOR + question.key, question.ballot
        held = self._replica._acceptor(key)
        if ballot <= held.promised:
            self.send(peer, Refused(question.rid, held.promised))
        else:
            self.journal.when_durable(key, peer, Promise(question.rid, held.accepted, held.state))


class AcceptsWhateverItPromised(_BrokenReplica):
    """An acceptor accepts a ballot although it has promised a higher one."""

    breaks = Accept

    def answer_wrongly(self, peer: str, question: Accept) -> None:
        key, ballot = ACCEPTOR + question.key, question.ballot
        promised = max(ballot, self._replica._acceptor(key).promised)
        self.keep(key, Acceptor(promised, ballot, question.state), peer, Accepted(question.rid))


class LastToArriveWins(_BrokenReplica):
    """A replica keeps what came last, whatever its stamp."""

    breaks = Store

    def answer_wrongly(self, peer: str, question: Store) -> None:
        assert isinstance(question.datum, Cell)
        self._clock.observe(question.datum.stamp)
        self.keep(DATUM + question.key, question.datum, peer, Stored(question.rid))


class LosesTombstones(_BrokenReplica):
    """A replica confirms deletions and does nothing."""

    breaks = Store

    def answer_wrongly(self, peer: str, question: Store) -> None:
        if isinstance(question.datum, Cell) and question.datum.value is None:
            self.send(peer, Stored(question.rid))
        else:
            self._replica._store(peer, question)


class ForgetsTombstones(_BrokenReplica):
    """A replica forgets at once when something was deleted, so an older write that arrives late undoes it."""

    breaks = Store

    def answer_wrongly(self, peer: str, question: Store) -> None:
        self._replica._store(peer, question)
        assert isinstance(question.datum, Cell)
        if self._replica.datum(question.key) == Cell(question.datum.stamp, None):
            self.journal.put(DATUM + question.key, Cell((0, 0, "-"), None))


class StampsByTheWallClock(Node):
    """A coordinator's stamps do not follow those that it has seen, so a write may be older than the last."""

    def stamp(self) -> Stamp:
        return (self.wall // 1_000, 0, self.name)


class CountsAnAnswerTwice(Node):
    """A coordinator takes a duplicated answer for one of another replica."""

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        self._handlers |= dict.fromkeys((*ANSWERED_BY.values(), Refused), self._answered)

    def _answered(self, peer: str, answer: Answer) -> None:
        task = self._tasks._asking.get(answer.rid)
        if task is not None and peer not in task.silent:
            task.silent.append(peer)
        self._tasks.answered(peer, answer)


class ReadsWhatOneHasAccepted(Node):
    """A linearizable read believes the first acceptor that answers."""

    def _serve(self, client: int, request: Request) -> None:
        if isinstance(request.body, Get):
            deadline = self.now + request.timeout_ms * 1_000_000
            self._tasks.begin(client, self._read(request.id, request.body.key), deadline)
        else:
            super()._serve(client, request)

    def _read(self, request_id: int, key: str) -> Procedure[Response]:
        assert self.placement is not None
        (replicas,) = self.placement.replicas(key)
        answers = yield Ask((Group(replicas, 1),), Query(self.next_rid(), self.placement.epoch, key))
        for _, answer in answers:
            if isinstance(answer, Queried):
                return Found(request_id, None if answer.state is None else answer.state.value)
        return Failed(request_id, "unavailable", "")


class _MisledProposer(Node):
    """`mislead` changes the answers that a procedure gets."""

    mislead: Callable[[Answers], Answers]

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        begin = self._tasks.begin

        def begin_misled(client: int, procedure: Generator[Any, Any, Response], deadline: int) -> None:
            begin(client, self._misled(procedure), deadline)

        self._tasks.begin = begin_misled  # type: ignore[method-assign]

    def _misled(self, procedure: Procedure[Response]) -> Procedure[Response]:
        try:
            wish = next(procedure)
            while True:
                answers = yield wish
                wish = procedure.send(self.mislead(answers))
        except StopIteration as end:
            response: Response = end.value
            return response


class AppliesItsChangeOnEveryRetry(_MisledProposer):
    """A proposer does not see that its change was adopted by another, and makes it again."""

    def mislead(self, answers: Answers) -> Answers:
        return [
            (peer, replace(answer, state=replace(answer.state, recent=())))
            if isinstance(answer, Promise) and answer.state is not None
            else (peer, answer)
            for peer, answer in answers
        ]


class AdoptsWhatCameFirst(_MisledProposer):
    """A proposer goes on from the first promise's state, not from that of the highest ballot."""

    def mislead(self, answers: Answers) -> Answers:
        promises = [(peer, answer) for peer, answer in answers if isinstance(answer, Promise)]
        return [(peer, promises[0][1]) for peer, _ in promises] or answers


class _Door(Node):
    """`admit` changes a request before it is looked at, or gives None if it is not to be."""

    admit: Callable[[FromClient], FromClient | None]

    def _from_client(self, event: FromClient) -> None:
        admitted = self.admit(event)
        if admitted is not None:
            super()._from_client(admitted)

    def with_body(self, event: FromClient, body: Body) -> FromClient:
        return replace(event, request=replace(event.request, body=body))

    def at_level(self, event: FromClient, level: str) -> FromClient:
        body = event.request.body
        return self.with_body(event, replace(body, level=level)) if isinstance(body, KeyBody) else event


class AcknowledgesBeforeItAsks(_Door):
    """A coordinator says "done" to a write and then begins with it."""

    def admit(self, event: FromClient) -> FromClient:
        if not isinstance(event.request.body, Put):
            return event
        self._reply(event.client, Done(event.request.id))
        return replace(event, client=NOBODY)


class IgnoresTheExpectation(_Door):
    """A cas writes whatever the key holds."""

    def admit(self, event: FromClient) -> FromClient:
        body = event.request.body
        if isinstance(body, Cas):
            return self.with_body(event, Put(body.key, body.value, body.level))
        return event


class WritesToOneAtQuorum(_Door):
    """A write at quorum is acknowledged when one replica has it."""

    def admit(self, event: FromClient) -> FromClient:
        return self.at_level(event, "r=2,w=1")


class CallsAQuorumAll(_Door):
    """Level `all` is served as `quorum`: it looks fine as long as nobody looks while a write is under way."""

    def admit(self, event: FromClient) -> FromClient:
        return self.at_level(event, "quorum")


class AsksAQuorumAtOne(_Door):
    """Level `one` is served as `quorum`: consistent, and not there on the smaller side of a partition."""

    def admit(self, event: FromClient) -> FromClient:
        return self.at_level(event, "quorum")


class DropsEveryFifthRequest(_Door):
    """A coordinator loses requests."""

    def admit(self, event: FromClient) -> FromClient | None:
        return None if event.request.id % 5 == 0 else event


class NeverMatches(_Door):
    """No cas ever finds what it expects, whatever the key holds."""

    def admit(self, event: FromClient) -> FromClient:
        body = event.request.body
        return self.with_body(event, replace(body, expect=b"?")) if isinstance(body, Cas) else event


class DeniesWhatItMayHaveDone(Node):
    """A coordinator that runs out of time says that the write certainly had no effect."""

    def _reply(self, client: int, response: Response) -> None:
        if isinstance(response, Failed) and response.code == "timeout":
            response = replace(response, code="unavailable")
        super()._reply(client, response)
