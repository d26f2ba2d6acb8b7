"""Plays scenarios, which are lines of text, on any cluster that is able to do what they are about.

    n1 put k 7 quorum -> done                    ask a node; the answer in a word or two
    n2 get k one ~> 7                            ask again and again until that is the answer
    n1 get k all in 0.4 -> unavailable|timeout   with a patience of 0.4 s; either will do
    n1 put k 7 all -> lost & kill n1 once busy -> bit    at the same time
    kill n1 n2 -> bit "n1, n2"                   a fault (tests/support/fault_words.py): is there evidence,
                                                 and does it say that?

A get is answered by the value or `absent`; a failure is its code; `not sent` and `lost` are the client's own.
In keys and values `x*9` is nine x. Every scenario has keys of its own, and n1, n2 and n3 keep all of them.
What a fault did is seen from outside, by asking nodes:

    states n1 -> down                            what the cluster says of it
    n1 sees n2 n3 ~> alive                       what it believes of them
    n1 status disk_full -> True                  any entry of its status
    boots n1 n2 -> noted                         and later: risen, or as before
    births n1 -> noted                           and later: another, or as before
    offset n1 -> +5000                           by how many ms its wall clock is ahead of ours, about
    rate n1 -> +100000                           how many millionths too fast its wall clock runs, about
    copies k ~> n1 n2 n3                         which replicas hold what n4 reads at level all
    owners n1 -> n1 n2 n3 n4                     by the layout that n1 tells of
    roles owner -> n1 n2 n3 n4
    n1 scrub -> clean                            read all that is kept; or mended, if something is damaged
    pace n1 put k 1 all -> measured              how fast such requests are; and later: slower, or as before

Only the protocols of harness/cluster/base.py are used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from harness.cluster.base import Cluster, ClusterError, Lost, NotSent, Roles, Session
from store.core.messages import (
    Admin,
    Body,
    Cas,
    Delete,
    Done,
    Failed,
    Found,
    FoundCopies,
    Get,
    Inspect,
    Locate,
    Located,
    Put,
    Report,
    Response,
    Status,
)
from store.core.ownership.ring import Ring
from tests.support.fault_words import FAULTS, HEALINGS, claims, perform, requires
from tests.support.stage_time import StageTime

NODES = ("n1", "n2", "n3", "n4")
SPARE = "s1"
REPLICAS = frozenset(("n1", "n2", "n3"))
RING = Ring(NODES)
PATIENCE_S: Final = 10.0
AGAIN_S: Final = 20.0
AGAIN_PAUSE_S: Final = 0.005
REFUSALS: Final = {"unavailable", "timeout"}
CLOCK_TRIES: Final = 3
CLOCK_WITHIN_MS: Final = 20.0
RATE_S: Final = 0.5
"""How long a clock is watched."""
PACE_TRIES: Final = 6
"""The fastest counts, as what is slow for other reasons is not always so."""
SLOWER: Final = 3.0
AS_BEFORE: Final = 2.0

_ACT = re.compile(r'(.+?)(?: in ([\d.]+))? (->|~>) ([^"]+?)(?: "(.+)")?')


class Scenario(NamedTuple):
    name: str
    lines: Sequence[str]

    @property
    def requires(self) -> frozenset[str]:
        acts = [_parsed(text) for line in self.lines for text in line.split("&")]
        return frozenset().union(*(requires(act.words) for act in acts))


class _Act(NamedTuple):
    text: str
    words: list[str]
    patience_s: float
    again: bool
    expected: frozenset[str]
    telling: str

    def may_be_late(self, answer: str) -> bool:
        """On a busy machine a refusal may come when the client's time is up, too."""
        return answer == "lost" and bool(self.expected & REFUSALS)


class _Ahead(NamedTuple):
    """By how much a node's wall clock is ahead of ours, and how wrong that may be, in both directions."""

    wall_ms: float
    offset_ms: float
    error_ms: float


class Stage:
    """A cluster that is set up, and a session with each of its nodes for as long as that is good."""

    def __init__(self, cluster: Cluster, time: StageTime) -> None:
        self._cluster = cluster
        self._time = time
        self._sessions: dict[str, Session] = {}
        self._noted: dict[str, dict[str, int]] = {}
        self._paces_s: dict[str, float] = {}

    async def play(self, scenario: Scenario) -> None:
        """Raises AssertionError, which names the act, when something else comes back."""
        self._noted, self._paces_s = {}, {}
        for line in scenario.lines:
            acts = [_parsed(act) for act in line.split("&")]
            answers = await self._time.together([self._until(scenario.name, act) for act in acts])
            for act, answer in zip(acts, answers, strict=True):
                assert answer in act.expected, f"{scenario.name}: {act.text}, but: {answer}"

    async def tidy(self) -> None:
        """Undo what a scenario has left."""
        able = claims(self._cluster)
        for words in map(str.split, HEALINGS):
            if requires(words) <= able:
                await perform(self._cluster, words)

    async def _until(self, scope: str, act: _Act) -> str:
        """Perform it, again and again if that is asked for."""
        end_s = self._time.now_s() + AGAIN_S
        while True:
            try:
                answer = await self._perform(scope, act)
            except (NotSent, Lost) as error:
                answer = "lost" if isinstance(error, Lost) else "not sent"
            if answer in act.expected or not (act.again or act.may_be_late(answer)):
                return answer
            if self._time.now_s() > end_s:
                return f"{answer}, even after {AGAIN_S:g} s"
            await self._time.sleep(AGAIN_PAUSE_S)

    async def _perform(self, scope: str, act: _Act) -> str:
        first, *rest = act.words
        if first in FAULTS:
            return await self._strike(act)
        match first, rest:
            case ("states", [node]):
                return self._cluster.states()[node]
            case ("boots" | "births", nodes):
                return await self._look_at(first.removesuffix("s"), nodes)
            case ("offset" | "rate", [node]):
                (expected,) = act.expected
                return await (self._offset if first == "offset" else self._rate)(node, expected)
            case ("copies", [key]):
                return await self._copies(_key(scope, key))
            case ("owners", [node]):
                return await self._owners(node)
            case ("roles", [role]):
                assert isinstance(self._cluster, Roles)
                return " ".join((await self._cluster.roles())[role])
            case ("pace", [node, *request]):
                return await self._pace(node, _body(scope, *request))
            case (node, ["sees", *others]):
                members = (await self._status(node))["members"]
                return " ".join(sorted({members[other]["state"] for other in others}))
            case (node, ["status", entry]):
                return str((await self._status(node))[entry])
            case (node, ["scrub"]):
                return await self._scrub(node)
        return await self._ask(first, _body(scope, *rest), act.patience_s)

    async def _strike(self, act: _Act) -> str:
        words = act.words
        if words[-2:] == ["once", "busy"]:
            words = words[:-2]
            while not (await self._status(words[1]))["requests_open"]:
                pass
        try:
            evidence = await perform(self._cluster, words)
        except ClusterError as error:
            return f"error: {error}"
        told = "bit" if evidence.bit else "no bite"
        as_expected = told in act.expected and act.telling in evidence.detail
        return told if as_expected else f"{told}: {evidence.detail}"

    # What clients get --------------------------------------------------------------------------------

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

    async def _pace(self, node: str, body: Body) -> str:
        took_s = []
        for _ in range(PACE_TRIES):
            began_s = self._time.now_s()
            answer = await self._ask(node, body, PATIENCE_S)
            took_s.append(self._time.now_s() - began_s)
            if answer in REFUSALS | {"lost", "not sent"}:
                return answer
        kind = f"{node} {body}"
        if kind not in self._paces_s:
            self._paces_s[kind] = min(took_s)
            return "measured"
        times = min(took_s) / self._paces_s[kind]
        if times >= SLOWER:
            return "slower"
        return "as before" if times <= AS_BEFORE else f"{times:.2g} times as slow"

    # What nodes tell ---------------------------------------------------------------------------------

    async def _look_at(self, entry: str, nodes: Sequence[str]) -> str:
        seen = {node: (await self._status(node))[entry] for node in nodes}
        before = {node: was for node, was in self._noted.get(entry, {}).items() if node in seen}
        self._noted[entry] = self._noted.get(entry, {}) | seen
        if before.keys() != seen.keys():
            return "noted"
        if before == seen:
            return "as before"
        if entry == "boot" and all(seen[node] > before[node] for node in seen):
            return "risen"
        if entry == "birth" and all(seen[node] != before[node] for node in seen):
            return "another"
        return f"{seen}, before: {before}"

    async def _offset(self, node: str, expected: str) -> str:
        """`expected` if it is about that."""
        seen = await self._ahead(node)
        near = abs(seen.offset_ms - int(expected)) <= CLOCK_WITHIN_MS + seen.error_ms
        return expected if near else f"{seen.offset_ms:+.0f}"

    async def _rate(self, node: str, expected: str) -> str:
        """As `_offset`, from what two looks show."""
        before = await self._ahead(node)
        await self._time.sleep(RATE_S)
        after = await self._ahead(node)
        lasted_ms = after.wall_ms - before.wall_ms
        rate = (after.offset_ms - before.offset_ms) / lasted_ms
        error = (CLOCK_WITHIN_MS + before.error_ms + after.error_ms) / lasted_ms
        return expected if abs(rate - int(expected) / 1e6) <= error else f"{rate * 1e6:+.0f}"

    async def _ahead(self, node: str) -> _Ahead:
        """Of several answers the one that came soonest."""
        best = _Ahead(0.0, 0.0, float("inf"))
        for _ in range(CLOCK_TRIES):
            asked_ms = self._time.wall_ms()
            shown_ms = (await self._status(node))["wall_ms"] + 0.5
            answered_ms = self._time.wall_ms()
            wall_ms, error_ms = (asked_ms + answered_ms) / 2, (answered_ms - asked_ms) / 2
            if error_ms < best.error_ms:
                best = _Ahead(wall_ms, shown_ms - wall_ms, error_ms)
        return best

    async def _copies(self, key: str) -> str:
        wanted = await self._ask("n4", Get(key, "all"), PATIENCE_S)
        found = await self._told("n4", Inspect(key))
        assert isinstance(found, FoundCopies)
        copies = {node: _in_a_word(copy) for node, copy in found.copies.items()}
        return " ".join(sorted(node for node, copy in copies.items() if copy == wanted))

    async def _scrub(self, node: str) -> str:
        done = await self._told(node, Admin("scrub"))
        assert isinstance(done, Done), done
        _, damaged, mended = map(int, re.findall(r"\d+", done.detail))
        if not damaged:
            return "clean"
        return "mended" if mended == damaged else done.detail

    async def _owners(self, node: str) -> str:
        found = await self._told(node, Locate())
        assert isinstance(found, Located)
        return " ".join(sorted(member.name for member in found.layout.owners))

    async def _status(self, node: str) -> dict[str, Any]:
        response = await self._told(node, Status())
        assert isinstance(response, Report)
        assert response.status["node"] == node
        return response.status

    async def _told(self, node: str, body: Body) -> Response:
        session = await self._cluster.connect(node)
        response = await session.request(body, PATIENCE_S)
        await session.close()
        return response


def _parsed(text: str) -> _Act:
    text = text.strip()
    parts = _ACT.fullmatch(text)
    assert parts is not None, f"{text!r} is not an act"
    words, patience_s, arrow, expected, telling = parts.groups()
    either = frozenset(expected.split("|"))
    return _Act(text, words.split(), float(patience_s or PATIENCE_S), arrow == "~>", either, telling or "")


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


def _in_a_word(response: Response) -> str:
    match response:
        case Found(value=value):
            return "absent" if value is None else value.decode()
        case Done():
            return "done"
        case Failed(code=code):
            return code
    raise AssertionError(f"{response} answers no request of a scenario")
