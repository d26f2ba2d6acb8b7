"""A cluster in the soup with a bucket of every kind, links that can be cut, and nodes that can be believed
dead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from store.core.machine import Effect, Send
from store.core.messages import Body, Bucket, Datum, Response
from store.core.ownership.layout import first_layout
from store.core.replica import DATUM
from tests.support.soup import Soup

BUCKETS: Final = (
    Bucket("sib", 3, "siblings"),
    Bucket("cnt", 3, "counter"),
    Bucket("set", 3, "set"),
    Bucket("map", 3, "map"),
    Bucket("two", 2, "lww"),
)


EPOCH: Final = 1_700_000_000_000_000_000
"""What every wall clock shows at first, in nanoseconds."""


class BucketSoup(Soup):
    """Nothing is lost, doubled or cut short by a timer unless that is asked for."""

    def __init__(
        self, seed: int = 1, nodes: int = 5, loss: float = 0.0, twice: float = 0.0, haste: float = 0.0
    ) -> None:
        self.cut: set[tuple[str, str]] = set()
        """(from, to): what is sent there is lost."""
        self._clients = 0
        super().__init__(seed, nodes=nodes, loss=loss, twice=twice, haste=haste)
        self.quiesce()

    def start(self, name: str) -> None:
        self.first = first_layout(self.names, 3, vnodes=8, buckets=BUCKETS)
        self.skew = dict.fromkeys(self.names, EPOCH)
        super().start(name)

    def quiesce(self, seconds: float = 3) -> None:
        """Let happen what does, for so long, or until nothing is under way."""
        end = self.now + int(seconds * 1e9)
        while self.now < end and self.stir():
            pass

    def _carry_out(self, name: str, effect: Effect) -> None:
        if isinstance(effect, Send) and (name, effect.peer) in self.cut:
            return
        super()._carry_out(name, effect)

    def split(self, *sides: Iterable[str]) -> None:
        """Nothing gets from one side to another; nothing that is under way does either."""
        groups = [tuple(side) for side in sides]
        self.cut = {
            (a, b) for some in groups for others in groups if some != others for a in some for b in others
        }
        self.messages = [entry for entry in self.messages if entry[:2] not in self.cut]

    def heal(self) -> None:
        self.cut = set()

    def isolate(self, *names: str) -> None:
        self.split(names, [name for name in self.names if name not in names])

    def believe_dead(self, *dead: str) -> None:
        """All others do."""
        for node in self.nodes.values():
            node._swim.alive = lambda peer: peer not in dead  # type: ignore[method-assign]

    def replicas(self, key: str) -> tuple[str, ...]:
        place = self.nodes["n1"].placement
        assert place is not None
        return place.replicas(key)[0]

    def others(self, key: str) -> list[str]:
        """Nodes that are no replicas of `key`."""
        return [name for name in self.names if name not in self.replicas(key)]

    def begin(self, node: str, body: Body, done: Callable[[Response | None], None]) -> None:
        self._clients += 1
        self.ask(self._clients, node, body, done)

    def call(self, node: str, body: Body) -> Response:
        """The response to `body`, which must come."""
        answers: list[Response | None] = []
        self.begin(node, body, answers.append)
        while not answers:
            assert self.stir(), "nothing is under way and there is no answer"
        assert answers[0] is not None
        return answers[0]

    def kept(self, node: str, key: str) -> Datum | None:
        return self.nodes[node]._replica.datum(key)

    def forget(self, node: str, key: str) -> None:
        """As if the node had missed all that was written to `key`."""
        self.disks[node].pop(DATUM + key, None)
