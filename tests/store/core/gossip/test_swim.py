"""Who is alive: crashes, pauses, losses, cuts, splits, joins and returns, over a bus in virtual time; and
detectors that are broken on purpose, which show."""

from __future__ import annotations

import random

import pytest

from store.core.gossip.members import BOOT_SHIFT
from store.core.gossip.probing import RELAYS_MAX
from store.core.gossip.suspicion import BETA, bounds
from store.core.gossip.swim import FORGET_PERIODS, Swim
from store.core.messages import (
    INCARNATIONS,
    NEWS_MAX,
    NODES_MAX,
    News,
    PeerMessage,
    Ping,
    PingFor,
    Pong,
    Rumor,
    Sync,
)
from store.core.options import Options
from store.net.wire import decode_message, frame
from tests.canaries import swim_mutants as mutants
from tests.support.gossip import PERIOD, Bus

SIZES = (3, 5, 20, 50)


def settled(seed: int, nodes: int, make: type[Swim] = Swim, loss: float = 0.0, twice: float = 0.0) -> Bus:
    """A cluster whose nodes have heard of each other."""
    bus = Bus(seed, loss, twice, make)
    bus.owners(nodes)
    bus.run(5)
    return bus


def wait_s(nodes: int) -> float:
    """Within which everyone has learned of a crash: somebody notices, and the suspicion runs its course."""
    return 2 * nodes + bounds(nodes, PERIOD).most / PERIOD + 10


# Nothing happens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", SIZES)
def test_without_faults_nobody_is_even_suspected(nodes: int) -> None:
    bus = settled(nodes, nodes)
    bus.run(120)
    assert bus.agree()
    assert bus.told("member-suspect") == bus.told("member-dead") == []


def test_the_load_on_a_node_does_not_grow_with_the_cluster() -> None:
    for nodes in (3, 50):
        bus = settled(1, nodes)
        bus.run(20)
        bus.sent.clear()
        bus.run(60)
        assert max(bus.sent.values()) < 60 * 4


def test_one_seed_one_story() -> None:
    def story(seed: int) -> list[object]:
        bus = settled(seed, 5, loss=0.2, twice=0.1)
        bus.crash("n2")
        bus.run(40)
        bus.restart("n2")
        bus.split(["n1", "n2"], ["n3", "n4", "n5"])
        bus.run(40)
        bus.split()
        bus.run(20)
        return [*bus.heard, bus.sent]

    assert story(7) == story(7)
    assert story(7) != story(8)


def test_where_there_is_no_gossip_everyone_is_alive_and_nothing_is_said() -> None:
    bus = Bus(1)
    quiet = [
        bus.start(name, Options(address=f"{name}:1", peers={"other": "other:1"}, probe_nanos=0))
        for name in ("n1", "n2")
    ]
    quiet[0].receive("n2", Sync((quiet[1].swim.me,), wants_back=True))
    quiet[0].receive("n2", Ping(1, 1, ()))
    bus.run(100)
    assert quiet[0].swim.alive("n2")
    assert quiet[0].swim.alive("anyone")
    assert not bus.sent
    assert bus.heard == []


# Crashes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", SIZES)
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_every_live_node_learns_of_a_crash_and_nobody_else_dies(nodes: int, loss: float) -> None:
    bus = settled(nodes, nodes, loss=loss, twice=loss)
    bus.crash("n2")
    bus.until_seen("dead", "n2", wait_s(nodes))
    assert {heard.fields["node"] for heard in bus.told("member-dead")} == {"n2"}
    assert not bus.peers["n1"].swim.alive("n2")
    assert bus.peers["n1"].swim.members.having("dead") == ["n2"]


def test_without_loss_a_crash_is_known_soon() -> None:
    for seed in range(10):
        bus = settled(seed, 5)
        bus.crash("n2")
        assert bus.until_seen("dead", "n2", 60) < 9


def test_many_crashes_at_once_are_all_learned_of() -> None:
    bus = settled(3, 20)
    gone = [f"n{i}" for i in range(2, 16)]
    for name in gone:
        bus.crash(name)
    bus.run_until(lambda: all(bus.all_see("dead", name) for name in gone), 40)
    survivors = [peer.name for peer in bus.running()]
    assert all(bus.all_see("alive", name) for name in survivors)


def test_who_returns_is_alive_to_all_with_a_higher_incarnation() -> None:
    bus = settled(4, 5)
    before = bus.peers["n3"].swim.me.incarnation
    bus.crash("n3")
    bus.until_seen("dead", "n3", 60)
    returned = bus.restart("n3")
    bus.run_until(bus.agree, 5)
    assert returned.swim.me.incarnation >= before + (1 << BOOT_SHIFT)


def test_who_has_lost_its_boot_number_outbids_its_former_life() -> None:
    bus = settled(5, 5)
    for _ in range(3):
        bus.restart("n3")
    bus.run(5)
    bus.crash("n3")
    bus.until_seen("dead", "n3", 60)
    bus.start("n3", bus.peers["n3"].options, boot=1)
    bus.run_until(bus.agree, 10)
    assert bus.told("refuted")


def test_who_returns_elsewhere_is_found_there() -> None:
    bus = settled(6, 5)
    moved = Options(address="elsewhere:2", peers=bus.peers["n3"].options.peers, probe_nanos=PERIOD)
    bus.restart("n3", moved)
    bus.run(10)
    assert {peer.swim.address("n3") for peer in bus.running()} == {"elsewhere:2"}
    assert {peer.addresses["n3"] for peer in bus.running() if peer.name != "n3"} == {"elsewhere:2"}
    assert len(bus.told("address-changed")) == 4
    bus.run(60)
    assert bus.told("member-dead") == []


# Slow and paused nodes, bad links ------------------------------------------------------------------------


def test_a_node_that_stood_still_refutes_its_death_and_accuses_nobody() -> None:
    for seed in range(5):
        bus = settled(seed, 5)
        bus.pause("n2")
        bus.until_seen("dead", "n2", 60)
        bus.run(30)
        told = len(bus.heard)
        bus.resume("n2")
        bus.run_until(bus.agree, 5)
        bus.run(30)
        after = bus.heard[told:]
        assert {heard.name for heard in after if heard.kind == "refuted"} == {"n2"}
        assert [heard for heard in after if heard.kind in ("member-dead", "member-suspect")] == []


def test_a_short_pause_kills_nobody() -> None:
    for seed in range(5):
        bus = settled(seed, 5)
        for _ in range(10):
            bus.pause("n2")
            bus.run(3)
            bus.resume("n2")
            bus.run(3)
        assert bus.told("member-dead") == []


def test_one_bad_link_makes_nobody_suspect() -> None:
    bus = settled(7, 5)
    bus.cut = {("n1", "n2"), ("n2", "n1")}
    bus.run(120)
    assert bus.told("member-suspect") == []
    bus.cut = {("n2", "n1")}
    bus.run(120)
    assert bus.told("member-suspect") == []


def test_a_deaf_node_takes_the_others_for_dead_but_convinces_nobody() -> None:
    bus = settled(8, 5)
    bus.cut = {(f"n{i}", "n1") for i in range(2, 6)}
    bus.run(90)
    assert len(bus.peers["n1"].swim.members.having("dead")) == 4
    assert {heard.fields["node"] for heard in bus.told("member-dead") if heard.name != "n1"} == {"n1"}
    bus.cut = set()
    bus.run_until(bus.agree, 30)


def test_a_mute_node_is_dead_to_the_others() -> None:
    bus = settled(9, 5)
    bus.cut = {("n1", f"n{i}") for i in range(2, 6)}
    bus.until_seen("dead", "n1", wait_s(5))
    bus.cut = set()
    bus.run_until(bus.agree, 30)


def test_twenty_percent_loss_and_duplication_kill_nobody() -> None:
    for nodes in (5, 20):
        bus = settled(10, nodes, loss=0.2, twice=0.2)
        bus.run(200)
        assert bus.told("member-dead") == []


# Splits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [3, 5, 20])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_halves_that_have_declared_each_other_dead_find_together(nodes: int, loss: float) -> None:
    bus = settled(nodes, nodes, loss=loss)
    names = list(bus.peers)
    left, right = names[: nodes // 2], names[nodes // 2 :]
    bus.split(left, right)
    bus.run(4 * wait_s(nodes))
    for peer in bus.running():
        assert sorted(peer.swim.members.having("dead")) == sorted(right if peer.name in left else left)
    told = len(bus.heard)
    bus.split()
    bus.run_until(bus.agree, 15)
    bus.run(60)
    assert bus.agree()
    assert [heard for heard in bus.heard[told:] if heard.kind == "member-dead"] == []  # not for a moment


def test_a_split_into_single_nodes_heals_too() -> None:
    bus = settled(11, 5)
    bus.split(*[[name] for name in bus.peers])
    bus.run(200)
    assert all(len(peer.swim.members.having("dead")) == 4 for peer in bus.running())
    bus.split()
    bus.run_until(bus.agree, 20)


# Joining and leaving -------------------------------------------------------------------------------------


def test_joins_through_one_seed_spread_to_all() -> None:
    bus = Bus(12)
    bus.joiner("seed")
    for i in range(20):
        bus.joiner(f"j{i}", "seed:1")
        bus.run(0.1)
    bus.run_until(bus.agree, 10)
    assert all(len(peer.swim.members) == 20 for peer in bus.running())


def test_a_joiner_goes_on_asking_until_a_seed_answers() -> None:
    bus = Bus(13, loss=0.5)
    bus.joiner("j1", "nowhere:1", "seed:1")
    bus.run(30)
    assert not bus.peers["j1"].swim.members.up
    bus.joiner("seed")
    bus.run_until(bus.agree, 20)


def test_who_joined_through_a_seed_returns_without_it() -> None:
    bus = Bus(14)
    for name in ("seed", "a", "b"):
        bus.joiner(name, "seed:1")
    bus.run(10)
    bus.crash("seed")
    bus.restart("a")
    bus.run(3)
    assert bus.peers["a"].swim.alive("b")
    assert bus.peers["b"].swim.alive("a")


def test_a_damaged_note_of_addresses_is_done_without() -> None:
    bus = settled(15, 3)
    bus.peers["n1"].disk.damaged.add("m/members")
    bus.restart("n1")
    bus.run_until(bus.agree, 5)
    assert [heard.fields for heard in bus.told("record-damaged")] == [{"key": "m/members"}]


def test_who_leaves_is_not_alive_and_is_forgotten_in_the_end() -> None:
    bus = settled(16, 3)
    joined = bus.joiner("j", "n1:1")
    bus.run(5)
    assert bus.agree()
    joined.swim.leave()
    bus.until_seen("left", "j", 5)
    bus.crash("j")
    assert not bus.peers["n1"].swim.alive("j")
    assert bus.peers["n1"].swim.members.having("dead") == []
    bus.run(FORGET_PERIODS + 10)
    assert "j" not in bus.peers["n1"].swim.members
    assert bus.peers["n1"].addresses["j"] == ""
    assert bus.told("member-dead") == []


def test_a_dead_owner_is_never_forgotten_but_a_dead_stranger_is() -> None:
    bus = settled(17, 3)
    bus.joiner("j", "n1:1")
    bus.run(5)
    bus.crash("j")
    bus.crash("n3")
    bus.run(FORGET_PERIODS + 100)
    for name in ("n1", "n2"):
        assert bus.peers[name].swim.members.having("dead") == ["n3"]
        assert "j" not in bus.peers[name].swim.members


def test_the_dead_are_told_to_listeners_once() -> None:
    bus = settled(18, 3)
    changes: list[tuple[str, str]] = []
    bus.peers["n1"].swim.on_change.append(lambda node, state: changes.append((node, state)))
    bus.crash("n2")
    bus.run(30)
    bus.restart("n2")
    bus.run(10)
    assert changes == [("n2", "suspect"), ("n2", "dead"), ("n2", "alive")]


def test_births_and_addresses_are_known_to_all() -> None:
    bus = settled(19, 3)
    for peer in bus.running():
        for other in bus.running():
            assert peer.swim.birth(other.name) == other.birth
            assert peer.swim.address(other.name) == other.options.address
    assert bus.peers["n1"].swim.birth("nobody") == 0
    assert bus.peers["n1"].swim.address("nobody") == ""


def test_a_node_of_another_epoch_is_noticed() -> None:
    bus = settled(20, 3)
    heard: list[tuple[str, int]] = []
    bus.peers["n1"].swim._heard_epoch = lambda peer, epoch: heard.append((peer, epoch))
    bus.run(10)
    assert heard == []
    bus.peers["n2"].placement = None
    bus.run(10)
    assert set(heard) == {("n2", 0)}


# Forgeries and floods --------------------------------------------------------------------------------------


def test_a_node_that_is_slandered_with_any_incarnation_stays_alive() -> None:
    bus = settled(21, 5)
    rng = random.Random(21)
    for _ in range(200):
        victim, hearer, liar = rng.sample(list(bus.peers), 3)
        incarnation = min(INCARNATIONS - 1, 1 << rng.randrange(62))
        state = rng.choice(["suspect", "dead", "left", "alive"])
        forged = News(victim, state, incarnation, "evil:1", 666, liar)  # type: ignore[arg-type]
        bus.peers[hearer].receive(liar, Rumor((forged,)))
        bus.run(0.3)
    bus.run(60)
    assert bus.agree()
    assert {peer.swim.address("n2") for peer in bus.running()} == {"n2:1"}
    assert all(peer.swim.me.incarnation < 1 << 50 for peer in bus.running())


def test_who_was_announced_by_a_forgery_before_it_came_is_found() -> None:
    bus = settled(22, 3)
    forged = News("j", "alive", INCARNATIONS - 1, "evil:1", 666, "n2")
    bus.peers["n1"].receive("n2", Rumor((forged,)))
    bus.run(5)
    bus.joiner("j", "n2:1")
    bus.run(40)
    assert {peer.swim.address("j") for peer in bus.running()} == {"j:1"}
    assert bus.agree()


def test_a_flood_of_strangers_is_bounded() -> None:
    bus = settled(23, 3)
    victim = bus.peers["n1"]
    for i in range(0, 3 * NODES_MAX, 10):
        strangers = tuple([News(f"s{j}", "alive", 1, f"s{j}:1", 1, "x") for j in range(i, i + 10)])
        victim.receive("x", Rumor(strangers))
        victim.receive("x", PingFor(i, f"s{i}", ()))
    for i in range(2 * RELAYS_MAX):
        victim.receive("x", PingFor(i, "n2", ()))
        victim.receive("x", Pong(i, 0, ()))
    assert len(victim.swim.members) == NODES_MAX
    assert len(victim.swim._probing._relays) <= RELAYS_MAX
    assert victim.swim.alive("n2")


def test_no_message_exceeds_what_the_wire_takes() -> None:
    bus = Bus(24, loss=0.1)
    largest = 0

    def measure(name: str, message: PeerMessage) -> None:
        nonlocal largest
        data = frame(message)
        assert decode_message(data[4:]) == message
        if not isinstance(message, Sync):
            largest = max(largest, len(data))

    bus.measure = measure
    names = bus.owners(20)
    bus.run(5)
    bus.split(names[:10], names[10:])
    bus.run(30)
    bus.split()
    bus.run(5)
    assert 0 < largest < 100 * NEWS_MAX


# Broken detectors ------------------------------------------------------------------------------------------


def test_without_refutation_a_node_that_stood_still_stays_dead() -> None:
    bus = settled(25, 5, mutants.NeverRefutes)
    bus.pause("n2")
    bus.until_seen("dead", "n2", 60)
    bus.resume("n2")
    bus.run(60)
    assert not bus.agree()


def test_without_indirect_probes_one_bad_link_makes_suspects() -> None:
    bus = settled(26, 5, mutants.AsksNobodyElse)
    bus.cut = {("n1", "n2"), ("n2", "n1")}
    bus.run(120)
    assert bus.told("member-suspect")


def test_without_rising_incarnations_a_node_does_not_return() -> None:
    bus = settled(27, 5, mutants.CountsIncarnationsFromTheStart)
    bus.crash("n2")
    bus.until_seen("dead", "n2", 60)
    bus.restart("n2")
    bus.run(60)
    assert not bus.agree()


def test_without_calls_on_the_dead_halves_stay_apart() -> None:
    bus = settled(28, 4, mutants.LetsTheDeadRest)
    bus.split(["n1", "n2"], ["n3", "n4"])
    bus.run(100)
    bus.split()
    bus.run(100)
    assert not bus.agree()


def test_where_every_death_is_believed_a_healing_kills() -> None:
    deaths = 0
    for seed in range(3):
        bus = settled(seed, 10, mutants.BelievesEveryDeath)
        names = list(bus.peers)
        bus.split(names[:5], names[5:])
        bus.run(60)
        told = len(bus.heard)
        bus.split()
        bus.run(20)
        deaths += sum(heard.kind == "member-dead" for heard in bus.heard[told:])
    assert deaths


def test_without_spreading_a_join_is_late() -> None:
    bus = settled(29, 20, mutants.TellsNobody)
    bus.joiner("j", "n1:1")
    with pytest.raises(AssertionError, match="not within"):
        bus.run_until(bus.agree, 10)


def test_the_longest_suspicion_is_as_long_as_the_paper_says() -> None:
    """A node alone accuses with nobody to confirm: it waits for the longest time."""
    bus = settled(30, 5)
    bus.split(["n1"], [f"n{i}" for i in range(2, 6)])
    bus.run(100)
    suspected = {h.fields["node"]: h.at for h in bus.told("member-suspect") if h.name == "n1"}
    first = min(h.at - suspected[h.fields["node"]] for h in bus.told("member-dead") if h.name == "n1")
    assert first == BETA * bounds(5, PERIOD).least
