"""What a node believes of the others, and which news changes that.

Of two pieces of news about a node, one outranks the other, always the same one: so nodes that have heard the
same things, in whatever order, believe the same. What is not a matter of rank but of caution stands in
`Members.judge`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from msgspec.structs import replace

from store.core.messages import NODES_MAX, News

BOOT_SHIFT: Final = 20
"""An incarnation is the node's boot number * 2**20 + the refutations since: it rises over restarts."""
RISE_MAX: Final = 1 << 36
"""Hearsay that raises an incarnation by more (65,536 restarts at once) is not believed: otherwise one forged
message could use up all the incarnations that a node has. Of itself, a node may say what it likes."""

_SEVERITY: Final = {"alive": 0, "suspect": 1, "dead": 2, "left": 3}

Rank = tuple[int, int, int, str]


def rank(news: News) -> Rank:
    """The higher wins. Birth and address matter only if two nodes use one name."""
    return (news.incarnation, _SEVERITY[news.state], news.birth, news.address)


class Members:
    """The others; `up` holds those who are alive or suspected. `version` rises whenever one gets up or down.
    `owners` names those who have a part in the layout: they are never forgotten. `forgotten` is told of those
    who are."""

    def __init__(
        self, owners: Callable[[], Collection[str]], forgotten: Callable[[str], None] = lambda node: None
    ) -> None:
        self.up: dict[str, None] = {}
        self.version = 0
        self._owners = owners
        self._forgotten = forgotten
        self._known: dict[str, News] = {}
        self._since: dict[str, tuple[int, int]] = {}
        self.get: Callable[[str], News | None] = self._known.get

    def __contains__(self, node: str) -> bool:
        return node in self._known

    def __len__(self) -> int:
        return len(self._known)

    def all(self) -> list[News]:
        return list(self._known.values())

    def since(self, node: str) -> tuple[int, int]:
        """Since when its state is what it is: monotonic ns, wall-clock ms."""
        return self._since[node]

    def having(self, *states: str) -> list[str]:
        return [node for node, news in self._known.items() if news.state in states]

    def judge(self, news: News, from_itself: bool) -> News | None:
        """What is to be believed now that `news` has been heard; None: nothing else than before.

        That one who is up is dead is taken as an accusation, against which it has its time to defend itself.
        Who is gone and owns nothing is not worth getting to know.
        """
        held = self._known.get(news.node)
        if held is None:
            return news if self._wanted(news) and self._make_room(news.node) else None
        rise = news.incarnation - held.incarnation
        if abs(rise) > RISE_MAX and held.incarnation:
            return news if from_itself else None
        if rank(news) <= rank(held):
            return None
        if news.state == "dead" and news.node in self.up:
            news = replace(news, state="suspect")
            return news if rank(news) > rank(held) else None
        return news

    def put(self, news: News, now: int, wall_ms: int) -> str:
        """Believe `news`, which `judge` has let through or which is one's own; the state before, "" if the
        node was unknown."""
        node, held = news.node, self._known.get(news.node)
        before = "" if held is None else held.state
        self._known[node] = news
        if before != news.state:
            self._since[node] = (now, wall_ms)
        is_up = news.state in ("alive", "suspect")
        if is_up != (node in self.up):
            self.version += 1
            if is_up:
                self.up[node] = None
            else:
                del self.up[node]
        return before

    def forget(self, node: str) -> None:
        del self._known[node], self._since[node]
        if self.up.pop(node, "") is None:
            self.version += 1
        self._forgotten(node)

    def gone_since(self, before: int) -> list[str]:
        """Who is dead or has left since before that monotonic time, and owns nothing."""
        gone = [
            node
            for node, (since_nanos, _) in self._since.items()
            if node not in self.up and since_nanos < before
        ]
        return self._without_owners(gone) if gone else gone

    def _wanted(self, news: News) -> bool:
        return news.state in ("alive", "suspect") or (news.state == "dead" and news.node in self._owners())

    def _make_room(self, node: str) -> bool:
        """For a node that is not known yet; False if there is none. An owner gets the room of one that is not
        an owner."""
        if len(self._known) < NODES_MAX:
            return True
        least = self._without_owners(self.having("dead", "left"))
        if not least and node in self._owners():
            least = self._without_owners(self._known)
        if least:
            self.forget(min(least, key=lambda gone: self._since[gone]))
        return bool(least)

    def _without_owners(self, nodes: Iterable[str]) -> list[str]:
        owners = frozenset(self._owners())
        return [node for node in nodes if node not in owners]
