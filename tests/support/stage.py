"""Plays scenarios, as lines of text, on any cluster that can kill, pause and partition.

    n1 put k 7 quorum -> done            ask a node; the answer, in a word
    n2 get k one ~> 7                    ask again until that is the answer
    n1 get k all in 0.4 -> unavailable   be patient for 0.4 s
    n1 put k 7 all -> lost & kill n1 once busy -> bit    at the same time
    kill n1 n2 -> bit                    and start, pause, resume, heal; the evidence
    cut n1 / n2 n3 -> bit                neither side hears the other
    cut n1 n2 <- n3 -> bit               n1 and n2 do not hear n3
    n1 boots                             its status tells how often it was started
    n1 is down                           what the cluster says of it

Answers are: a value (of a get), `absent`, `done`, a failure's code, `not sent` and `lost`. A fault's evidence is
`bit` or `no bite`. In values and keys `x*9` is nine x. Keys are this scenario's own, and n1, n2 and n3 keep
all of them. Only the protocols of harness/cluster/base.py are used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from harness.cluster.base import Cluster, Evidence, Kill, Lost, NotSent, Partition, Pause, Session
from store.core.messages import Body, Cas, Delete, Done, Failed, Found, Get, Put, Report, Response, Status
from store.core.ring import Ring

NODES = ("n1", "n2", "n3", "n4")
REPLICAS = frozenset(NODES[:3])
RING = Ring(NODES, 3)
PATIENCE_S = 10.0
TRIES = 5
"""How often a refusal is awaited: on a busy machine it may arrive when the client's time is up."""


class Breakable(Cluster, Kill, Pause, Partition, Protocol):
    """What scenarios need."""


class Scenario(NamedTuple):
    name: str
    lines: tuple[str, ...]


Together = Callable[[Sequence[Awaitable[str]]], Awaitable[list[str]]]
"""Awaits all at the same time and gives their results in order."""


class Stage:
    """A cluster that is set up, with one session to each node that is kept as long as it is good."""

    def __init__(self, cluster: Breakable, together: Together) -> None:
        self._cluster = cluster
        self._together = together
        self._sessions: dict[str, Session] = {}
        self._starts = dict.fromkeys(NODES, 1)
        self._keys = ""

    async def play(self, scenario: Scenario) -> None:
        """Raises AssertionError, which names the line, when something else comes back."""
        self._keys = scenario.name
        for line in scenario.lines:
            acts = [_act(text) for text in line.split("&")]
            came = await self._together([self._perform(act) for act in acts])
            for act, answer in zip(acts, came, strict=True):
                assert answer in act.expected, f"{scenario.name}: {act.text!r} came back as {answer!r}"

    async def tidy(self) -> None:
        """Undo every fault, and close the sessions."""
        await self._cluster.heal()
        await self._cluster.resume(NODES)
        self._count_starts([node for node, state in self._cluster.states().items() if state == "down"])
        await self._cluster.start(NODES)
        for node in NODES:
            await self._hang_up(node)

    async def _perform(self, act: _Act) -> str:
        if act.words[0] not in NODES:
            return await self._harm(*act.words)
        answer = await self._ask(act)
        for _ in range(TRIES if act.refused else 0):
            if answer == "lost":
                answer = await self._ask(act)
        deadline_tries = 2000
        while act.eventually and answer not in act.expected and deadline_tries:
            deadline_tries -= 1
            answer = await self._ask(act)
        return answer
