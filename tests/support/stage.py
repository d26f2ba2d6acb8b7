"""Plays scenarios, which are lines of text, on any cluster that can kill, pause and partition.

    n1 put k 7 quorum -> done                    ask a node; the answer in a word or two
    n2 get k one ~> 7                            ask again and again until that is the answer
    n1 get k all in 0.4 -> unavailable           with a patience of 0.4 s
    n1 put k 7 all -> lost & kill n1 once busy -> bit    at the same time
    kill n1 n2 -> bit                            also start, pause, resume, heal; is there evidence?
    cut n1 / n2 n3 -> bit                        neither side hears the other
    cut n1 n2 <- n3 -> bit                       n1 and n2 do not hear n3
    boots n1 n2 -> risen                         all their boot numbers, since we last looked
    states n1 -> down                            what the cluster says of it

A get is answered by the value or `absent`; a failure is its code; `not sent` and `lost` are the client's own.
In keys and values `x*9` is nine x. Every scenario has keys of its own, and n1, n2 and n3 keep all of them.
Only the protocols of harness/cluster/base.py are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from harness.cluster.base import Cluster, Evidence, Grudge, Kill, Lost, NotSent, Partition, Pause, Session
from nemesis.grudge import complete, one_way
from store.core.messages import Body, Cas, Delete, Done, Failed, Found, Get, Put, Report, Response, Status
from store.core.ownership.ring import Ring

NODES = ("n1", "n2", "n3", "n4")
REPLICAS = frozenset(("n1", "n2", "n3"))
RING = Ring(NODES)
PATIENCE_S = 10.0
ASKED_AGAIN_MAX = 5000
REFUSALS = {"unavailable", "timeout"}

_ACT = re.compile(r"(.+?)(?: in ([\d.]+))? (->|~>) (.+)")


class Breakable(Cluster, Kill, Pause, Partition, Protocol):
    """What the scenarios need."""


class Scenario(NamedTuple):
    name: str
    lines: Sequence[str]


class _Act(NamedTuple):
    text: str
    words: list[str]
    patience_s: float
    again: bool
    expected: str

    def may_be_late(self, answer: str) -> bool:
        """On a busy machine a refusal may come when the client's time is up, too."""
        return answer == "lost" and self.expected in REFUSALS


Together = Callable[[Sequence[Coroutine[Any, Any, str]]], Coroutine[Any, Any, list[str]]]
"""Runs coroutines side by side; their results in order."""


class Stage:
    """A cluster that is set up, and a session with each of its nodes for as long as that is good."""

    def __init__(self, cluster: Breakable, together: Together) -> None:
        self._cluster = cluster
        self._together = together
        self._sessions: dict[str, Session] = {}
        self._boots = dict.fromkeys(NODES, 0)

    async def play(self, scenario: Scenario) -> None:
        """Raises AssertionError, which names the act, when something else comes back."""
        for line in scenario.lines:
            acts = [_parsed(act.strip()) for act in line.split("&")]
            answers = await self._together([self._perform(scenario.name, act) for act in acts])
            for act, answer in zip(acts, answers, strict=True):
                assert answer == act.expected, f"{scenario.name}: {act.text}, but: {answer}"

    async def tidy(self) -> None:
        """Undo what a scenario has left."""
        await self._cluster.heal()
        await self._cluster.resume(NODES)
        await self._cluster.start(NODES)

    async def _perform(self, scope: str, act: _Act) -> str:
        first, *rest = act.words
        if first not in NODES:
            return await self._direct(first, rest)
        body = _body(scope, *rest)
        answer = await self._ask(first, body, act.patience_s)
        for _ in range(ASKED_AGAIN_MAX):
            if answer == act.expected or not (act.again or act.may_be_late(answer)):
                break
            answer = await self._ask(first, body, act.patience_s)
        return answer

    async def _direct(self, action: str, words: list[str]) -> str:
        cluster, nodes = self._cluster, tuple(word for word in words if word in NODES)
        match action:
            case "boots":
                return await self._look_at_boots(nodes)
            case "states":
                return cluster.states()[words[0]]
            case "heal":
                return _evidence(await cluster.heal())
            case "cut":
                return _evidence(await cluster.cut(_grudge(words)))
            case "kill" if words[-2:] == ["once", "busy"]:
                while not (await self._status(nodes[0]))["requests_open"]:
                    pass
        act = {
            "kill": cluster.kill,
            "start": cluster.start,
            "pause": cluster.pause,
            "resume": cluster.resume,
        }[action]
        return _evidence(await act(nodes))

    async def _ask(self, node: str, body: Body, patience_s: float) -> str:
        kept = node in self._sessions
        answer = await self._ask_once(node, body, patience_s)
        # As in a run: a session that ended long ago is found out when it is used, and another is opened.
        return await self._ask_once(node, body, patience_s) if kept and answer == "not sent" else answer

    async def _ask_once(self, node: str, body: Body, patience_s: float) -> str:
        try:
            if node not in self._sessions:
                self._sessions[node] = await self._cluster.connect(node)
            return _in_a_word(await self._sessions[node].request(body, patience_s))
        except (NotSent, Lost) as error:
            session = self._sessions.pop(node, None)
            if session is not None:
                await session.close()
            return "lost" if isinstance(error, Lost) else "not sent"

    async def _look_at_boots(self, nodes: Sequence[str]) -> str:
        before = [self._boots[node] for node in nodes]
        for node in nodes:
            self._boots[node] = (await self._status(node))["boot"]
        if all(self._boots[node] > was for node, was in zip(nodes, before, strict=True)):
            return "risen"
        return "as before" if [self._boots[node] for node in nodes] == before else str(self._boots)

    async def _status(self, node: str) -> dict[str, Any]:
        session = await self._cluster.connect(node)
        response = await session.request(Status(), PATIENCE_S)
        await session.close()
        assert isinstance(response, Report)
        assert response.status["node"] == node
        return response.status


def _parsed(text: str) -> _Act:
    parts = _ACT.fullmatch(text)
    assert parts is not None, f"{text!r} is not an act"
    words, patience_s, arrow, expected = parts.groups()
    return _Act(text, words.split(), float(patience_s or PATIENCE_S), arrow == "~>", expected)


def _body(scope: str, f: str, key: str, *words: str) -> Body:
    *values, level = words
    placed = _key(scope, key)
    match f, values:
        case "get", []:
            return Get(placed, level)
        case "delete", []:
            return Delete(placed, level)
        case "put", [value]:
            return Put(placed, _text(value).encode(), level)
        case "cas", [expect, value]:
            held = None if expect == "absent" else expect.encode()
            return Cas(placed, held, _text(value).encode(), level)
    raise AssertionError(f"{f} {key} {' '.join(words)} is not a request")


def _key(scope: str, name: str) -> str:
    if not name.isalnum():
        return _text(name)
    tries = (f"{scope}/{name}/{number}" for number in range(1000))
    return next(key for key in tries if set(RING.preference(key, 3)) == REPLICAS)


def _text(word: str) -> str:
    """`x*3` is xxx, and `''` is nothing."""
    letter, star, count = word.partition("*")
    return letter * int(count) if star else word.strip("'")


def _grudge(words: list[str]) -> Grudge:
    if "<-" in words:
        at = words.index("<-")
        return one_way(words[:at], words[at + 1 :])
    sides = " ".join(words).split("/")
    return complete(tuple(tuple(side.split()) for side in sides))


def _evidence(evidence: Evidence) -> str:
    return "bit" if evidence.bit else "no bite"


def _in_a_word(response: Response) -> str:
    match response:
        case Found(value=value):
            return "absent" if value is None else value.decode()
        case Done():
            return "done"
        case Failed(code=code):
            return code
    raise AssertionError(f"{response} answers no request of a scenario")
