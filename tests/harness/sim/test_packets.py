"""What is done to messages on their way, by itself and in the simulated network."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.base import Behaviour
from harness.sim.network import Network, NetworkOptions
from harness.sim.packets import Shaper, Treated
from harness.sim.world import MS, SECOND, World
from store.core.machine import FromPeer
from store.core.messages import Stored
from store.net.wire import frame

INSTANT = NetworkOptions(delay_min_us=0, delay_mean_us=0)
fractions = st.sampled_from((0.0, 0.1, 0.5, 1.0))
behaviours = st.builds(
    Behaviour,
    delay_ms=st.sampled_from((20.0, 200.0)),
    jitter_ms=st.sampled_from((0.0, 40.0)),
    loss=fractions,
    duplicate=fractions,
    reorder=fractions,
    corrupt=fractions,
)


@given(behaviours, st.integers())
def test_every_message_is_accounted_for_and_none_comes_before_it_was_sent(
    behaviour: Behaviour, seed: int
) -> None:
    shaper = Shaper(behaviour, random.Random(seed))
    copies = [shaper.copies(100, 0) for _ in range(100)]
    treated = shaper.treated
    assert treated.sent == 100
    assert sum(len(late) == 0 for late in copies) == treated.lost + treated.spoilt
    assert sum(len(late) == 2 for late in copies) == treated.doubled
    assert all(late_ns >= 0 for late in copies for late_ns in late)
    assert behaviour.reorder or not treated.overtook


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (Behaviour(loss=1), "of 50 messages 50 lost"),
        (Behaviour(corrupt=1), "of 50 messages 50 spoilt"),
        (Behaviour(duplicate=1), "of 50 messages 50 doubled"),
        (Behaviour(delay_ms=5, reorder=1), "of 50 messages 50 overtook"),
        (Behaviour(delay_ms=5), "of 50 messages none suffered but by delay"),
    ],
)
def test_what_always_happens_is_counted(behaviour: Behaviour, told: str) -> None:
    shaper = Shaper(behaviour, random.Random(1))
    for _ in range(50):
        shaper.copies(100, 0)
    assert str(shaper.treated) == told


def test_fractions_and_delays_are_as_asked_for() -> None:
    shaper = Shaper(Behaviour(delay_ms=100, jitter_ms=20, loss=0.2, reorder=0.1), random.Random(3))
    came = [late_ns for _ in range(10_000) for late_ns in shaper.copies(100, 0)]
    assert len(came) == pytest.approx(8000, rel=0.03)
    assert sum(late_ns == 0 for late_ns in came) == pytest.approx(800, rel=0.15)
    delayed = [late_ns / MS for late_ns in came if late_ns]
    assert sum(delayed) / len(delayed) == pytest.approx(100, rel=0.02)
    assert sum(abs(late - 100) < 20 for late in delayed) / len(delayed) == pytest.approx(0.683, abs=0.03)


def test_a_rate_lets_messages_queue_by_their_length_and_the_queue_empties() -> None:
    shaper = Shaper(Behaviour(rate_kbit=8), random.Random(1))
    assert shaper.copies(1000, 0) == [SECOND]
    assert shaper.copies(500, 0) == [SECOND + SECOND // 2]
    assert shaper.copies(1000, 10 * SECOND) == [SECOND]


class Nodes:
    def __init__(self) -> None:
        self.world = World(1)
        self.arrivals: dict[str, list[tuple[str, int]]] = {name: [] for name in "abc"}
        self.network = Network(self.world, INSTANT, {name: self._ear(name) for name in "abc"})

    def _ear(self, name: str):  # type: ignore[no-untyped-def]
        def hear(event: FromPeer) -> None:
            self.arrivals[name].append((event.peer, self.world.now))

        return hear


def test_only_what_the_named_nodes_send_suffers_and_only_until_it_is_over() -> None:
    nodes = Nodes()
    nodes.network.shape(["a"], Behaviour(delay_ms=50))
    for source, target in (("a", "b"), ("b", "a"), ("c", "b")):
        nodes.network.send(source, target, Stored(1))
    nodes.world.run_until(SECOND)
    assert nodes.arrivals == {"a": [("b", 0)], "b": [("c", 0), ("a", 50 * MS)], "c": []}
    assert nodes.network.treated() == Treated(sent=1)
    nodes.network.shape([], Behaviour())
    nodes.network.send("a", "c", Stored(1))
    nodes.world.run_until(2 * SECOND)
    assert nodes.arrivals["c"] == [("a", SECOND)]
    assert nodes.network.treated() == Treated()


def test_a_message_is_as_long_as_on_the_wire() -> None:
    nodes = Nodes()
    nodes.network.shape(["a"], Behaviour(rate_kbit=1))
    message = Stored(1)
    nodes.network.send("a", "b", message)
    nodes.world.run_until(3600 * SECOND)
    assert nodes.arrivals["b"] == [("a", 8 * len(frame(message)) * MS)]


def test_probes_take_the_time_that_messages_take_and_count_nowhere() -> None:
    nodes = Nodes()
    nodes.network.shape(["a"], Behaviour(delay_ms=50, loss=0.5))
    timed = nodes.world.complete(nodes.network.time_probes(["a"]))
    assert timed.mean_ms == pytest.approx(50, rel=0.01)
    assert timed.suffered.sent == 40
    assert 5 < timed.suffered.lost < 35
    assert str(timed) == f"probes took 50 ms, of 40 messages {timed.suffered.lost} lost"
    assert nodes.network.treated() == Treated()
    assert nodes.world.complete(nodes.network.time_probes(["b"])).suffered == Treated()
