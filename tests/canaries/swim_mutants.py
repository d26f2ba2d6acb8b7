"""Failure detectors that are broken on purpose, each in one thing that its docstring names."""

from __future__ import annotations

from typing import Any

from store.core.gossip.swim import Swim
from store.core.messages import News


class NeverRefutes(Swim):
    """A node that hears that it is suspected lets them believe it."""

    def _hear_of_myself(self, peer: str, news: News) -> None:
        pass


class AsksNobodyElse(Swim):
    """There are no indirect probes: one bad link is enough for suspicion."""

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        self._probing._ask_others = lambda probe, due: None  # type: ignore[method-assign]


class CountsIncarnationsFromTheStart(Swim):
    """Incarnations do not rise over restarts, and nobody defends himself against his former life."""

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        self.me = News(self.me.node, "alive", 1, self.me.address, self.me.birth, self.me.node)

    def _hear_of_myself(self, peer: str, news: News) -> None:
        if news.state == "suspect":
            super()._hear_of_myself(peer, news)


class LetsTheDeadRest(Swim):
    """Nobody calls on the dead, so two halves that have buried each other never meet again."""

    def _call_on_the_dead(self) -> None:
        pass


class BelievesEveryDeath(Swim):
    """That somebody is dead is believed at once, of whomever it is said."""

    def _hear_of(self, news: News, peer: str, spread: bool = True) -> None:
        held = self.members.get(news.node)
        if news.state == "dead" and held is not None and news.incarnation >= held.incarnation:
            self._believe(news, spread)
        else:
            super()._hear_of(news, peer, spread)


class TellsNobody(Swim):
    """News travels with the rare full comparisons only."""

    def _spread(self, news: News) -> None:
        pass
