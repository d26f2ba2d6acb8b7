from functools import partial

import pytest

from harness.cluster.base import Lost, NotSent
from harness.sim.disk import DiskOptions
from harness.sim.host import Host, HostOptions
from harness.sim.network import Network, NetworkOptions
from harness.sim.session import SimSession
from harness.sim.world import MS, SECOND, US, World
from store.core.machine import FromClient, FromPeer, Input, Persisted, Started, TimerFired
from store.core.messages import Cell, Done, Found, Get, Put, Status, Store, Stored
from store.core.options import QUIET
from store.core.ownership.layout import first_layout
from tests.support.echo import Echo


class Pair:
    """Two machines that have started; `a` is the one that the tests look at."""

    def __init__(self, service_us: int = 0) -> None:
        self.world = World(1)
        self.heard: dict[str, list[Input]] = {"a": [], "b": []}
        options = HostOptions(service_us=service_us, start_ms=0)
        self.hosts = {
            name: Host(
                self.world,
                name,
                first_layout("ab", 1),
                partial(Echo, self.heard[name]),
                options,
                DiskOptions(),
                QUIET,
            )
            for name in "ab"
        }
        self.network = Network(
            self.world,
            NetworkOptions(client_delay_mean_us=0),
            {name: host.receive for name, host in self.hosts.items()},
        )
        for host in self.hosts.values():
            host.start(self.network)
        self.run(service_us * US)
        for heard in self.heard.values():
            assert heard == [Started()]
            heard.clear()
        self.a = self.hosts["a"]

    def session(self, client: int = 1) -> SimSession:
        assert self.a.process is not None
        return SimSession(self.world, self.network, "a", self.a.process, client)

    def later(self, session: SimSession, body, timeout_s: float = 1.0) -> list[object]:
        """Make a request; its response or error will be in the list."""
        results: list[object] = []

        async def request() -> object:
            try:
                return await session.request(body, timeout_s)
            except (NotSent, Lost) as error:
                return error

        self.world.spawn(request(), results.append)
        return results

    def run(self, duration_ns: int) -> None:
        self.world.run_until(self.world.now + duration_ns)


def put(value: bytes = b"1") -> Put:
    return Put("x", value, "one")


def test_effects_reach_disk_peers_timers_and_the_client():
    pair = Pair()
    results = pair.later(pair.session(), put())
    pair.run(100 * MS)
    assert results == [Done(1)]
    assert [type(event) for event in pair.heard["a"]] == [FromClient, Persisted, TimerFired]
    assert pair.heard["b"] == [FromPeer("a", Store(1, 1, "x", Cell((1, 0, "a"), b"1")))]
    assert pair.a.disk.get("x") == Cell((1, 0, "a"), b"1")


def test_one_input_at_a_time_in_the_order_of_arrival():
    pair = Pair(service_us=100)
    times: list[int] = []
    assert pair.a.process is not None
    for rid in range(3):
        pair.a.receive(FromPeer("b", Stored(rid)))
        times.append(len(pair.heard["a"]))
    pair.run(150 * US)
    times.append(len(pair.heard["a"]))
    pair.run(100 * US)
    assert times == [1, 1, 1, 2]
    assert pair.heard["a"] == [FromPeer("b", Stored(rid)) for rid in range(3)]


def test_a_paused_process_takes_everything_in_order_when_it_is_resumed():
    pair = Pair(service_us=10)
    results = pair.later(pair.session(), put(), timeout_s=5.0)
    pair.run(200 * US)
    assert pair.a.pause()
    for rid in range(3):
        pair.a.receive(FromPeer("b", Stored(rid)))
    pair.run(1 * SECOND)
    assert pair.heard["a"][1:] == []
    assert results == []
    assert pair.a.resume() == 5
    pair.a.receive(FromPeer("b", Stored(3)))
    pair.run(10 * MS)
    stored = [event for event in pair.heard["a"] if isinstance(event, FromPeer)]
    assert stored == [FromPeer("b", Stored(rid)) for rid in range(4)]
    assert {type(event) for event in pair.heard["a"][1:6]} == {FromPeer, Persisted, TimerFired}
    assert results == [Done(1)]


def test_a_pause_in_the_middle_of_a_queue_holds_the_rest_back():
    pair = Pair(service_us=100)
    for rid in range(4):
        pair.a.receive(FromPeer("b", Stored(rid)))
    pair.run(150 * US)
    pair.a.pause()
    pair.run(10 * MS)
    assert len(pair.heard["a"]) == 2
    assert pair.a.resume() == 2
    pair.run(10 * MS)
    assert pair.heard["a"] == [FromPeer("b", Stored(rid)) for rid in range(4)]


def test_a_short_pause_does_not_make_the_process_faster():
    pair = Pair(service_us=100)
    for rid in range(3):
        pair.a.receive(FromPeer("b", Stored(rid)))
    pair.a.pause()
    pair.a.resume()
    pair.run(99 * US)
    assert len(pair.heard["a"]) == 1
    pair.run(1 * US)
    assert len(pair.heard["a"]) == 2


def test_a_paused_process_begins_no_commit():
    pair = Pair()
    pair.later(pair.session(1), put(b"1"))
    pair.run(60 * US)
    pair.later(pair.session(2), put(b"2"))
    pair.run(60 * US)
    pair.a.pause()
    pair.run(1 * SECOND)
    assert pair.a.disk.get("x") == Cell((1, 0, "a"), b"1")
    pair.a.resume()
    pair.run(10 * MS)
    assert pair.a.disk.get("x") == Cell((2, 0, "a"), b"2")


def test_a_kill_breaks_requests_and_loses_what_was_not_durable():
    pair = Pair()
    results = pair.later(pair.session(1), put())
    idle = pair.session(2)
    pair.run(60 * US)
    broken, lost = pair.a.kill()
    assert broken == 1
    assert lost == (0 if pair.a.disk.get("x") else 1)
    assert pair.a.state() == "down"
    pair.run(1 * MS)
    assert str(results[0]) == "a reset the connection"
    assert isinstance(results[0], Lost)
    late = pair.later(idle, put())
    assert isinstance(late[0], NotSent)


def test_a_request_that_was_under_way_to_a_killed_process_is_lost():
    pair = Pair()
    results = pair.later(pair.session(), put())
    pair.a.kill()
    pair.run(1 * MS)
    assert isinstance(results[0], Lost)
    assert pair.heard["a"] == []


def test_a_new_process_has_the_durable_records_a_higher_boot_and_none_of_the_old_events():
    pair = Pair()
    pair.later(pair.session(), put())
    pair.run(5 * MS)
    pair.a.receive(FromPeer("b", Stored(1)))
    pair.a.kill()
    pair.heard["a"].clear()
    pair.a.start(pair.network)
    results = pair.later(pair.session(2), Get("x", "one"))
    status = pair.later(pair.session(3), Status())
    pair.run(1 * SECOND)
    assert results == [Found(1, b"1")]
    assert status[0].status["boot"] == 2
    assert not any(isinstance(event, TimerFired | Persisted) for event in pair.heard["a"])


def test_messages_to_a_machine_that_is_down_are_lost():
    pair = Pair()
    pair.a.kill()
    pair.network.send("b", "a", Stored(1))
    pair.run(1 * SECOND)
    pair.a.start(pair.network)
    pair.run(1 * SECOND)
    assert pair.heard["a"] == [Started()]


def test_no_answer_in_time_is_lost_and_closes_the_session():
    pair = Pair()
    session = pair.session()
    pair.a.pause()
    results = pair.later(session, put(), timeout_s=0.25)
    pair.run(SECOND // 4 - 1)
    assert results == []
    pair.run(1)
    assert str(results[0]) == "a did not answer in time"
    assert isinstance(results[0], Lost)
    pair.a.resume()
    pair.run(1 * SECOND)
    assert isinstance(pair.later(session, put())[0], NotSent)


def test_what_the_wire_would_not_carry_is_never_sent():
    pair = Pair()
    for body, what in [
        (Get("", "one"), "key"),
        (Get("k" * 1025, "one"), "key"),
        (Put("x", bytes((1 << 20) + 1), "one"), "value"),
    ]:
        results = pair.later(pair.session(), body)
        assert isinstance(results[0], NotSent)
        assert what in str(results[0])
    pair.run(1 * SECOND)
    assert pair.heard["a"] == []


def test_a_fault_in_the_core_ends_the_simulation_and_names_node_and_input(monkeypatch):
    def breaks(*args: object) -> None:
        raise ZeroDivisionError

    pair = Pair()
    monkeypatch.setattr(Echo, "step", breaks)
    with pytest.raises(ZeroDivisionError) as caught:
        pair.a.receive(FromPeer("b", Stored(9)))
    assert "node a failed at 0 ns" in caught.value.__notes__[0]
    assert "Stored(rid=9)" in caught.value.__notes__[0]
