"""News that rides on other messages (SWIM, section 4.1).

Each piece is sent `SPREADING` * ln(members) times by each node that has it, and the least-sent goes first:
so what is new overtakes what most have heard, and a message carries a bounded amount whatever happens.
"""

from __future__ import annotations

from heapq import nsmallest
from math import ceil, log
from typing import Final

from store.core.messages import News

SPREADING: Final = 3
"""Whoever is told at random so often is left out with a probability of about 1 / members ** `SPREADING`."""


def sends_max(members: int) -> int:
    """How often each node tells a piece of news, among so many members."""
    return ceil(SPREADING * log(members + 1))


class Dissemination:
    """At most one piece for each node: a newer one takes the place of the older."""

    def __init__(self) -> None:
        self._queue: dict[str, tuple[int, int, News]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, news: News) -> None:
        self._count += 1
        self._queue[news.node] = (0, -self._count, news)

    def drop(self, node: str) -> None:
        self._queue.pop(node, None)

    def take(self, limit: int, members: int) -> tuple[News, ...]:
        """Up to `limit` pieces for one message: the least-sent, of these the newest."""
        queue = self._queue
        if not queue:
            return ()
        chosen = nsmallest(limit, queue.values())
        last = sends_max(members)
        for sends, order, news in chosen:
            if sends + 1 >= last:
                del queue[news.node]
            else:
                queue[news.node] = (sends + 1, order, news)
        return tuple([news for _, _, news in chosen])
