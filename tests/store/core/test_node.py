"""One node, or a few, in the soup: what the levels promise, and what bad requests meet."""

from __future__ import annotations

import random

import pytest

from store.core.data.quorum import REPAIR_NANOS
from store.core.machine import (
    Effect,
    FromClient,
    FromPeer,
    Persist,
    Persisted,
    Reply,
    Send,
    SetTimer,
    Started,
    TimerFired,
)
from store.core.messages import (
    Accept,
    Acceptor,
    Body,
    Cas,
    Cell,
    Delete,
    Done,
    Failed,
    Fetch,
    Fetched,
    Found,
    Get,
    Note,
    Prepare,
    Promise,
    Put,
    Record,
    Refused,
    Register,
    Report,
    Request,
    Response,
    Status,
    Store,
    Stored,
)
from store.core.node import OPEN_REQUESTS_MAX, Node
from store.core.options import QUIET
from store.core.ownership.layout import first_layout
from store.core.tasks import AGAIN_NANOS
from tests.support.soup import Kept, Soup

LEVELS = ["one", "quorum", "all", "r=1,w=3", "r=3,w=1", "linearizable"]


def calm(seed: int = 1, nodes: int = 5) -> Soup:
    return Soup(seed, nodes=nodes, loss=0.0, twice=0.0, haste=0.0)


def cut_off() -> Soup:
    """Three nodes that have been together once, and now hear nothing of each other."""
    soup = calm(nodes=3)
    while soup.stir():
        pass
    soup.loss = 1.0
    return soup


def ask(soup: Soup, node: str, body: Body) -> Response:
    answers: list[Response | None] = []
    soup.ask(len(soup.boots) + soup.rng.randrange(10**9), node, body, answers.append)
    while not answers:
        assert soup.stir(), "nothing is under way and there is no answer"
    assert answers[0] is not None
    return answers[0]


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_written_is_read_from_every_node(level: str) -> None:
    soup = calm()
    assert isinstance(ask(soup, "n1", Put("k", b"v", level)), Done)
    while soup.stir():
        pass
    for node in soup.names:
        answer = ask(soup, node, Get("k", level))
        assert isinstance(answer, Found)
        assert answer.value == b"v"


@pytest.mark.parametrize("level", LEVELS)
def test_a_deleted_key_and_one_never_written_are_absent(level: str) -> None:
    soup = calm()
    ask(soup, "n1", Put("k", b"v", level))
    ask(soup, "n2", Delete("k", level))
    while soup.stir():
        pass
    for key in ("k", "never"):
        answer = ask(soup, "n3", Get(key, level))
        assert isinstance(answer, Found)
        assert answer.value is None


def test_cas_from_absent_then_from_a_value_then_a_mismatch() -> None:
    soup = calm()
    assert isinstance(ask(soup, "n1", Cas("k", None, b"1", "linearizable")), Done)
    assert isinstance(ask(soup, "n2", Cas("k", b"1", b"2", "linearizable")), Done)
    refused = ask(soup, "n3", Cas("k", b"1", b"3", "linearizable"))
    assert isinstance(refused, Failed)
    assert refused.code == "mismatch"
    found = ask(soup, "n4", Get("k", "linearizable"))
    assert isinstance(found, Found)
    assert found.value == b"2"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (Cas("k", None, b"1", "quorum"), "cas needs level linearizable, not quorum"),
        (Get("k", "most"), "'most' is not one of"),
        (Put("k", b"", "r=9,w=1"), "1 <= R, W <= 3"),
        (Get("ü" * 1000, "one"), "at most 1024 bytes"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(body: Body, named: str) -> None:
    answer = ask(calm(), "n1", body)
    assert isinstance(answer, Failed)
    assert answer.code == "bad-request"
    assert named in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (Get("k", "quorum"), "unavailable"),
        (Get("k", "linearizable"), "unavailable"),
        (Put("k", b"1", "linearizable"), "unavailable"),
        (Put("k", b"1", "quorum"), "timeout"),
    ],
)
def test_alone_it_says_whether_anything_can_have_happened(body: Body, code: str) -> None:
    soup = cut_off()
    began = soup.now
    answer = ask(soup, "n1", body)
    assert isinstance(answer, Failed)
    assert answer.code == code
    assert soup.now - began >= 200_000_000


def test_level_one_is_served_alone() -> None:
    soup = cut_off()
    assert isinstance(ask(soup, "n1", Put("k", b"1", "one")), Done)
    found = ask(soup, "n1", Get("k", "one"))
    assert isinstance(found, Found)
    assert found.value == b"1"


def alone(boot: int = 1, held: dict[str, Record] | None = None) -> Node:
    """One that has started, that the others know, and whose birth is durable."""
    records = Kept({"m/enrolled": Note(True)} | (held or {}))
    node = Node("n1", first_layout(["n1", "n2", "n3"], 3), boot, records, random.Random(1), QUIET)
    noted = persisted_by(node.step(Started(), 0, 0))
    assert "m/birth" in [persist.key for persist in noted]
    for persist in noted:
        records.keep(persist)
    assert node.step(Persisted(noted[-1].token), 0, 0) == []
    return node


def persisted_by(effects: list[Effect]) -> list[Persist]:
    """What is handed to the disk, if there are no other effects: nothing may be said before it is durable."""
    persists = [effect for effect in effects if isinstance(effect, Persist)]
    assert persists == effects
    return persists


def test_a_replica_answers_only_once_its_disk_has_answered() -> None:
    node = alone()
    question = Store(7, 1, "k", Cell((1, 0, "n2"), b"v"))
    persist = persisted_by(node.step(FromPeer("n2", question), 0, 0))[-1]
    assert (persist.key, persist.record) == ("v/k", question.datum)
    assert node.step(Persisted(persist.token - 1), 0, 0) == []
    assert node.step(Persisted(persist.token), 0, 0) == [Send("n2", Stored(7))]


def test_an_answer_about_what_is_not_yet_durable_waits_too() -> None:
    node = alone()
    persist = persisted_by(node.step(FromPeer("n2", Prepare(7, 1, "k", (3, "n2"))), 0, 0))[-1]
    assert (persist.key, persist.record) == ("p/k", Acceptor((3, "n2"), (0, "-"), None))
    assert node.step(FromPeer("n3", Prepare(9, 1, "k", (2, "n3"))), 0, 0) == [
        Send("n3", Refused(9, (3, "n2")))
    ]
    assert node.step(Persisted(persist.token), 0, 0) == [Send("n2", Promise(7, (0, "-"), None))]


def test_a_promise_is_kept_over_a_restart() -> None:
    node = alone(boot=2, held={"p/k": Acceptor((5, "n3"), (3, "n2"), Register(b"v", 1, ()))})
    accept = Accept(1, 1, "k", (4, "n2"), Register(b"w", 2, ()), (4, "n2"))
    (refusal,) = node.step(FromPeer("n2", accept), 0, 0)
    assert refusal == Send("n2", Refused(1, (5, "n3")))
    (again,) = node.step(FromPeer("n3", Prepare(2, 1, "k", (5, "n3"))), 0, 0)
    assert again == Send("n3", Refused(2, (5, "n3")))


def test_answers_nobody_asked_for_are_ignored() -> None:
    node = alone()
    effects = node.step(FromClient(1, Request(1, 100, Get("k", "quorum"))), 0, 0)
    questions = [effect.message for effect in effects if isinstance(effect, Send)]
    rid = next(question.rid for question in questions if isinstance(question, Fetch))
    cell = Cell((9, 0, "n9"), b"forged")
    for peer, answer in [("n9", Fetched(rid, cell)), ("n2", Fetched(rid + 1, cell)), ("n2", Stored(rid))]:
        assert node.step(FromPeer(peer, answer), 0, 0) == []  # type: ignore[arg-type]
    assert Reply(1, Found(1, None)) in node.step(FromPeer("n2", Fetched(rid, None)), 0, 0)


class LosesPrepares(Soup):
    """The network loses the first so many of them."""

    def __init__(self, count: int) -> None:
        self.to_lose = count
        super().__init__(1, nodes=3, loss=0.0, twice=0.0, haste=0.0)

    def _carry_out(self, name: str, effect: Effect) -> None:
        if self.to_lose and isinstance(effect, Send) and isinstance(effect.message, Prepare):
            self.to_lose -= 1
        else:
            super()._carry_out(name, effect)


@pytest.mark.parametrize("body", [Put("k", b"v", "linearizable"), Cas("k", None, b"v", "linearizable")])
def test_lost_prepares_do_not_cost_the_whole_time_of_a_request(body: Body) -> None:
    """A ballot is promised only once, so they cannot be sent again as they are."""
    soup = LosesPrepares(2)
    answers: list[Response | None] = []
    soup.waiting[1], soup.served_by[1] = answers.append, "n1"
    while soup.messages or any(soup.unsynced.values()):
        soup.stir()
    began = soup.now
    soup.step("n1", FromClient(1, Request(1, 5_000, body)))
    while not answers:
        assert soup.stir()
    assert isinstance(answers[0], Done)
    assert soup.now - began < 2 * AGAIN_NANOS


def test_a_timer_set_for_an_earlier_wait_does_nothing() -> None:
    node = alone()
    effects = node.step(FromClient(1, Request(1, 100, Get("k", "one"))), 0, 0)
    assert Reply(1, Found(1, None)) in effects
    timers = [effect for effect in effects if isinstance(effect, SetTimer)]
    assert timers
    for timer in timers:
        after = node.step(TimerFired(timer.token), timer.at, 0)
        assert all(isinstance(effect, SetTimer) for effect in after)


def test_a_finished_request_leaves_nothing_to_remember() -> None:
    node = alone()
    for request in range(1000):
        node.step(FromClient(1, Request(request, 3_600_000, Get("k", "one"))), 0, 0)
    node.step(TimerFired(1), REPAIR_NANOS, 0)
    tasks = node._tasks
    assert not tasks._asking
    assert not tasks._clients
    assert tasks.open == 0
    assert len(node._timers) == 1
    assert node.step(TimerFired(1), AGAIN_NANOS, 0) == []
    assert not node._timers


def test_too_many_requests_at_once_are_refused_at_the_door() -> None:
    node = alone()
    for client in range(OPEN_REQUESTS_MAX):
        node.step(FromClient(client, Request(1, 100, Get("k", "all"))), 0, 0)
    (reply,) = node.step(FromClient(0, Request(2, 100, Get("k", "all"))), 0, 0)
    assert isinstance(reply, Reply)
    assert isinstance(reply.response, Failed)
    assert reply.response.code == "overloaded"


def test_status_says_who_it_is() -> None:
    node = alone(boot=4)
    (reply,) = node.step(FromClient(1, Request(3, 100, Status())), 5, 7_000_000)
    assert isinstance(reply, Reply)
    assert isinstance(reply.response, Report)
    assert reply.response.status["node"] == "n1"
    assert reply.response.status["boot"] == 4
    assert reply.response.status["wall_ms"] == 7
