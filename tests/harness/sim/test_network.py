import pytest

from harness.sim.network import CutLink, Network, NetworkOptions
from harness.sim.world import MS, US, World
from store.core.machine import FromPeer
from store.core.messages import Stored

INSTANT = NetworkOptions(delay_min_us=1000, delay_mean_us=0)


class Nodes:
    """Three nodes that note what reaches them."""

    def __init__(self, options: NetworkOptions = INSTANT) -> None:
        self.world = World(1)
        self.heard: dict[str, list[FromPeer]] = {name: [] for name in "abc"}
        self.network = Network(self.world, options, {name: self.heard[name].append for name in "abc"})

    def rids(self, name: str) -> list[int]:
        return [event.message.rid for event in self.heard[name]]


def test_a_message_arrives_after_its_delay_and_names_its_sender():
    nodes = Nodes()
    nodes.network.send("a", "b", Stored(1))
    nodes.world.run_until(1 * MS - 1)
    assert nodes.heard["b"] == []
    nodes.world.run_until(1 * MS)
    assert nodes.heard["b"] == [FromPeer("a", Stored(1))]


def test_messages_overtake_each_other_and_all_arrive():
    nodes = Nodes(NetworkOptions())
    for rid in range(500):
        nodes.network.send("a", "b", Stored(rid))
    nodes.world.run_until(1000 * MS)
    assert nodes.rids("b") != list(range(500))
    assert sorted(nodes.rids("b")) == list(range(500))


def test_delays_have_the_minimum_and_mean_that_were_asked_for():
    nodes = Nodes(NetworkOptions(delay_min_us=200, delay_mean_us=800))
    arrivals: list[int] = []
    nodes.network = Network(
        nodes.world,
        NetworkOptions(delay_min_us=200, delay_mean_us=800),
        {"a": print, "b": lambda event: arrivals.append(nodes.world.now)},
    )
    for rid in range(5000):
        nodes.network.send("a", "b", Stored(rid))
    nodes.world.run_until(1000 * MS)
    assert min(arrivals) >= 200 * US
    assert sum(arrivals) / len(arrivals) == pytest.approx(1000 * US, rel=0.05)


def test_a_cut_is_one_way_and_leaves_the_other_links_alone():
    nodes = Nodes()
    nodes.network.cut({"b": frozenset("a")})
    for source, target in [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]:
        nodes.network.send(source, target, Stored(0))
    nodes.world.run_until(10 * MS)
    assert [event.peer for event in nodes.heard["a"]] == ["b"]
    assert [event.peer for event in nodes.heard["b"]] == ["c"]
    assert [event.peer for event in nodes.heard["c"]] == ["a"]
    assert nodes.network.cuts() == [CutLink("a", "b", 1)]


def test_what_is_in_flight_is_dropped_if_it_arrives_during_the_cut():
    nodes = Nodes()
    nodes.network.send("a", "b", Stored(1))
    nodes.network.cut({"b": frozenset("a")})
    nodes.world.run_until(5 * MS)
    assert nodes.heard["b"] == []
    assert nodes.network.cuts() == [CutLink("a", "b", 1)]


def test_what_was_sent_during_the_cut_gets_through_after_it():
    nodes = Nodes()
    nodes.network.cut({"b": frozenset("a")})
    nodes.network.send("a", "b", Stored(1))
    nodes.network.cut({})
    nodes.world.run_until(5 * MS)
    assert nodes.rids("b") == [1]
    assert nodes.network.cuts() == []


def test_a_new_cut_replaces_the_old_one_and_counts_from_zero():
    nodes = Nodes()
    nodes.network.cut({"b": frozenset("ac")})
    nodes.network.send("a", "b", Stored(1))
    nodes.world.run_until(5 * MS)
    nodes.network.cut({"a": frozenset("c"), "b": frozenset("a")})
    assert nodes.network.cuts() == [CutLink("a", "b", 0), CutLink("c", "a", 0)]


def test_probes_tell_which_links_are_open_and_count_nowhere():
    nodes = Nodes(NetworkOptions(loss_fraction=1.0))
    nodes.network.cut({"b": frozenset("a")})
    reached = nodes.world.complete(nodes.network.probe())
    assert sorted(reached) == [("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")]
    assert nodes.network.cuts() == [CutLink("a", "b", 0)]
    assert nodes.heard == {"a": [], "b": [], "c": []}


def test_loss_and_duplication_have_the_fractions_that_were_asked_for():
    nodes = Nodes(NetworkOptions(loss_fraction=0.2, duplicate_fraction=0.1))
    for rid in range(5000):
        nodes.network.send("a", "b", Stored(rid))
    nodes.world.run_until(1000 * MS)
    assert len(nodes.heard["b"]) == pytest.approx(5000 * (0.8 + 0.1), rel=0.05)


@pytest.mark.parametrize(
    ("field", "value"), [("delay_min_us", -1), ("loss_fraction", 1.5), ("duplicate_fraction", -0.1)]
)
def test_options_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        NetworkOptions(**{field: value})
