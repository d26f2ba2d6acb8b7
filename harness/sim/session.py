"""A client's connection to a simulated node: what `store.client` is to a real one. Nothing is encoded."""

from __future__ import annotations

from harness.cluster.base import Lost, NotSent
from harness.sim.network import Network
from harness.sim.process import Process
from harness.sim.world import SECOND, Future, World
from store.core.machine import FromClient
from store.core.messages import Body, Request, Response, coordinators_ms
from store.net.wire import WireError, check_body


class SimSession:
    """`client` is this connection's name, never used again. `cut`: it is when the node's clients are cut off,
    and what the two send each other then is lost for good. Implements `Session`."""

    def __init__(
        self, world: World, network: Network, node: str, process: Process, client: int, cut: bool = True
    ) -> None:
        self._world = world
        self._network = network
        self._node = node
        self._process = process
        self._client = client
        self._cut = cut
        self._gone = False
        self._last_id = 0
        self._waiting: Future[Response] | None = None
        self._broken: str | None = None
        process.connect(client, self)

    async def request(self, body: Body, timeout_s: float) -> Response:
        if self._broken is not None:
            raise NotSent(self._broken)
        if self._waiting is not None:
            raise RuntimeError("a session carries one request at a time")
        try:
            check_body(body)
        except WireError as error:
            raise NotSent(str(error)) from None
        world = self._world
        self._last_id += 1
        request = Request(self._last_id, coordinators_ms(timeout_s), body)
        answer: Future[Response] = Future(world)
        self._waiting = answer
        arrival = world.now + self._network.client_delay_ns()
        world.at(arrival, self._arrive, FromClient(self._client, request))
        world.at(world.now + int(timeout_s * SECOND), self._time_up, answer)
        response = await answer
        self._waiting = None
        return response

    async def close(self) -> None:
        self._break("the session is closed")
        self._hang_up()

    def answer(self, response: Response) -> None:
        """The node's response arrives; one to a request that is no longer waited for is dropped."""
        if self._dropped():
            return
        if self._waiting is not None and response.id == self._last_id:
            self._waiting.resolve(response)

    def reset(self) -> bool:
        """The process is gone, and the client hears of it a little later; or else when it speaks again."""
        self._gone = True
        if not self._dropped():
            self._reject()
        return self._waiting is not None and not self._waiting.done

    def _arrive(self, request: FromClient) -> None:
        if self._dropped():
            return
        if self._gone:
            self._reject()
        else:
            self._process.feed(request)

    def _reject(self) -> None:
        delay_ns = self._network.client_delay_ns()
        self._world.at(self._world.now + delay_ns, self._break, f"{self._node} reset the connection")

    def _hang_up(self) -> None:
        if not self._dropped():
            self._process.disconnect(self._client)

    def _dropped(self) -> bool:
        return self._cut and self._network.drops_clients(self._node)

    def _time_up(self, answer: Future[Response]) -> None:
        if not answer.done:
            self._break(f"{self._node} did not answer in time")
            self._hang_up()

    def _break(self, reason: str) -> None:
        if self._broken is None:
            self._broken = reason
            if self._waiting is not None:
                self._waiting.fail(Lost(reason))
