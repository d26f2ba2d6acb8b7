"""A worker's way to its node, on a real cluster and in the simulator: when it takes another session."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from harness.cluster.base import NotSent
from harness.cluster.sim import SimCluster
from harness.connection import Connection
from harness.sim.interpreter import _Line
from store.core.messages import Body, Done, Put, Response

PUT = Put("k", b"v", "one")


class Ended:
    """A cluster of sessions that each serve one request, and then have ended."""

    def __init__(self, sessions: int) -> None:
        self.left = sessions

    async def connect(self, node: str) -> Any:
        if not self.left:
            raise NotSent(f"{node} is down")
        self.left -= 1
        return Once()


class Once:
    used = False

    async def request(self, body: Body, timeout_s: float) -> Response:
        if self.used:
            raise NotSent("the connection ended")
        self.used = True
        return Done(1)

    async def close(self) -> None:
        pass


def test_a_session_that_ended_while_it_was_idle_is_replaced_and_nothing_is_asked_twice() -> None:
    async def main() -> None:
        connection = Connection(Ended(3), "n1")  # type: ignore[arg-type]
        for _ in range(3):
            assert await connection.request(PUT, 1.0) == Done(1)
        assert not connection.doubtful
        with pytest.raises(NotSent, match="n1 is down"):
            await connection.request(PUT, 1.0)
        assert connection.doubtful

    trio.run(main)


def test_so_it_is_in_the_simulator() -> None:
    cluster = SimCluster(("n1",), 1, 1)
    do = cluster.world.complete
    do(cluster.start(("n1",)))
    line = _Line(cluster, "n1")
    assert isinstance(do(line.request(PUT, 1.0)), Done)
    do(cluster.kill(("n1",)))
    do(cluster.start(("n1",)))
    assert isinstance(do(line.request(PUT, 1.0)), Done)
