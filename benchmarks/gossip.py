"""Membership by gossip, in virtual time and without the rest of a node: how fast news spreads, crashes are
noticed and splits heal, what that costs, and how often a node that runs is taken for dead."""

from __future__ import annotations

from statistics import median
from typing import Final, NamedTuple

from rich.console import Console, Group
from rich.table import Table

from store.core.gossip.health import LocalHealth
from store.core.gossip.members import rank
from store.core.gossip.suspicion import Bounds
from store.core.gossip.swim import Swim
from store.core.messages import NEWS_MAX, News, PeerMessage
from store.core.options import Options
from store.net.wire import frame
from tests.support.gossip import PERIOD, Bus

SIZES: Final = (3, 5, 10, 20, 50, 100, 200)
SETTLE_S: Final = 10
LIMIT_S: Final = 600
STORM_NODES: Final = 32
STORM_S: Final = 200
STORM_SEEDS: Final = 2


class Well(LocalHealth):
    """A node that never doubts itself."""

    def worse(self) -> None:
        pass

    def overslept(self, due: int, now: int) -> bool:
        return False


class PlainSwim(Swim):
    """Without Lifeguard: no local health, one fixed timeout of suspicion, no buddy system."""

    def __init__(self, *made_of: object) -> None:
        super().__init__(*made_of)  # type: ignore[arg-type]
        self.health = self._probing._health = Well(PERIOD)

    def _bounds(self) -> Bounds:
        least = super()._bounds().least
        return Bounds(least, least, 0)

    def _news_for(self, peer: str) -> tuple[News, ...]:
        return self._news.take(NEWS_MAX, len(self._up) + 1)


class PublishedSwim(PlainSwim):
    """And as in 2002, that somebody is dead is believed at once, whoever says so."""

    def _hear_of(self, news: News, peer: str, spread: bool = True) -> None:
        held = self.members.get(news.node)
        if news.state == "dead" and held is not None and rank(news) > rank(held):
            self._believe(news, spread)
        else:
            super()._hear_of(news, peer, spread)


VARIANTS: Final = {"SWIM of 2002": PublishedSwim, "without Lifeguard": PlainSwim, "as it is": Swim}


class Storm(NamedTuple):
    """What a cluster goes through; `slow` of its nodes stand still for `still_s`, then run for `runs_s`, or
    hear everything `lag_s` late while their timers are punctual."""

    name: str
    loss: float = 0.0
    slow: int = 0
    still_s: float = 0.0
    runs_s: float = 1.0
    lag_s: float = 0.0


STORMS: Final = (
    Storm("no loss"),
    Storm("5 % loss", loss=0.05),
    Storm("20 % loss", loss=0.2),
    Storm("40 % loss", loss=0.4),
    Storm("4 slow: 4 s still, 0.2 s running", slow=4, still_s=4, runs_s=0.2),
    Storm("4 slow: 16 s still, 1 s running", slow=4, still_s=16),
    Storm("4 slow: hear all 2 s late", slow=4, lag_s=2),
    Storm("4 slow: hear all 4 s late", slow=4, lag_s=4),
    Storm("4 slow: hear all 8 s late", slow=4, lag_s=8),
)


def tables() -> Group:
    return Group(spreading(), load(), false_positives())


def seeds(nodes: int) -> range:
    """Fewer for clusters that cost more."""
    return range(30 if nodes <= 20 else 5 if nodes <= 50 else 2)


def settled(seed: int, nodes: int, make: type[Swim] = Swim, loss: float = 0.0) -> tuple[Bus, list[str]]:
    bus = Bus(seed, loss, make=make)
    names = bus.owners(nodes)
    bus.run(SETTLE_S + seed / 7)
    return bus, names


# How long things take ------------------------------------------------------------------------------------


class Story(NamedTuple):
    """What one cluster went through, in this order, and how many seconds each took."""

    news: float
    """From a node's restart until all others hold its new incarnation."""
    suspicion: float
    """From a crash until anybody suspects it."""
    death: float
    """From that crash until all others hold the node to be dead."""
    join: float
    """From its return, as a stranger who knows one address, until all agree."""
    split: float
    """From a cut between halves until each node holds all on the other side to be dead."""
    heal: float
    """From the end of that cut until all hold all to be alive."""


def story(seed: int, nodes: int) -> Story:
    bus, names = settled(seed, nodes)
    incarnation = bus.restart("n2").swim.me.incarnation
    others = [peer for peer in bus.running() if peer.name != "n2"]

    def known() -> bool:
        views = [peer.swim.members.get("n2") for peer in others]
        return all(view is not None and view.incarnation == incarnation for view in views)

    news = bus.run_until(known, LIMIT_S)
    bus.run(SETTLE_S)
    bus.crash("n2")
    suspicion = bus.run_until(lambda: bool(bus.told("member-suspect")), LIMIT_S)
    death = suspicion + bus.until_seen("dead", "n2", LIMIT_S)
    bus.restart("n2", Options(address="n2:2", seeds=("n1:1",), probe_nanos=PERIOD))
    join = bus.run_until(bus.agree, LIMIT_S)
    bus.run(SETTLE_S)
    half = nodes // 2
    bus.split(names[:half], names[half:])

    def parted() -> bool:
        return all(
            len(bus.peers[name].swim.members.up) == (half if i < half else nodes - half) - 1
            for i, name in enumerate(names)
        )

    split = bus.run_until(parted, LIMIT_S)
    bus.split()
    return Story(news, suspicion, death, join, split, bus.run_until(bus.agree, LIMIT_S))


def spreading() -> Table:
    result = Table(
        title=f"Seconds of virtual time, median / maximum of {len(seeds(3))} runs "
        f"({len(seeds(50))} of 50 nodes, {len(seeds(200))} of more); period 1 s, no loss"
    )
    for heading in ("nodes", "news to all", "first suspicion of a crash", "crash known to all"):
        result.add_column(heading, justify="right")
    for heading in ("join to all", "split known to all", "healed to all"):
        result.add_column(heading, justify="right")
    for nodes in SIZES:
        stories = [story(seed, nodes) for seed in seeds(nodes)]
        columns = zip(*stories, strict=True)
        result.add_row(str(nodes), *[f"{median(taken):.1f} / {max(taken):.1f}" for taken in columns])
    return result


# What it costs -------------------------------------------------------------------------------------------


def load() -> Table:
    result = Table(
        title="Sent by each node in a second: at rest, and in the 10 s after a crash of one in ten"
    )
    for heading in ("nodes", "messages at rest", "bytes at rest", "messages, crash", "bytes, crash"):
        result.add_column(heading, justify="right")
    for nodes in SIZES:
        bus, names = settled(1, nodes)
        bus.run(30)
        sizes: list[int] = []

        def measure(name: str, message: PeerMessage, sizes: list[int] = sizes) -> None:
            sizes.append(len(frame(message)))

        bus.measure = measure
        bus.run(60)
        row = [f"{len(sizes) / nodes / 60:.1f}", f"{sum(sizes) / nodes / 60:,.0f}"]
        sizes.clear()
        for name in names[: max(1, nodes // 10)]:
            bus.crash(name)
        alive = len(bus.running())
        bus.run(10)
        row += [f"{len(sizes) / alive / 10:.1f}", f"{sum(sizes) / alive / 10:,.0f}"]
        result.add_row(str(nodes), *row)
    return result


# How often it is wrong -----------------------------------------------------------------------------------


def false_positives() -> Table:
    result = Table(
        title=f"Running nodes taken for dead, in {STORM_SEEDS} runs of {STORM_NODES} nodes and {STORM_S} s: "
        "how many, and (by how many others, all together)"
    )
    result.add_column("")
    for variant in VARIANTS:
        result.add_column(f"{variant}: sound nodes", justify="right")
        result.add_column("slow nodes", justify="right")
    for storm in STORMS:
        row = []
        for make in VARIANTS.values():
            dead: list[tuple[int, str]] = []
            for seed in range(STORM_SEEDS):
                dead += [(seed, name) for name in _weather(storm, seed, make)]
            slow = {(seed, f"n{i + 1}") for seed in range(STORM_SEEDS) for i in range(storm.slow)}
            for among in ([who for who in dead if who not in slow], [who for who in dead if who in slow]):
                row.append(f"{len(set(among))} ({len(among)})" if among else "0")
        result.add_row(storm.name, *row)
    return result


def _weather(storm: Storm, seed: int, make: type[Swim]) -> list[str]:
    """Who was taken for dead, once for each node that did so."""
    bus, names = settled(seed, STORM_NODES, make, storm.loss)
    world = bus.world
    end = world.now + STORM_S * PERIOD

    def stop(name: str) -> None:
        if world.now < end:
            bus.pause(name)
            world.at(world.now + int(storm.still_s * PERIOD), go, name)

    def go(name: str) -> None:
        bus.resume(name)
        world.at(world.now + int(storm.runs_s * PERIOD), stop, name)

    for i, name in enumerate(names[: storm.slow]):
        if storm.lag_s:
            bus.lag[name] = int(storm.lag_s * PERIOD)
            continue
        world.at(world.now + i * PERIOD // 3, stop, name)
    bus.run(STORM_S)
    return [heard.fields["node"] for heard in bus.told("member-dead")]


if __name__ == "__main__":
    for part in (spreading, load, false_positives):
        Console(width=140).print(part())
