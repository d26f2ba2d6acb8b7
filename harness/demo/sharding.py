"""`harness demo sharding`: where keys live, what moves, what a scan costs, and what to do about a hot key.

Placement is that of the store (Karger et al. 1997; DeCandia et al. 2007, Dynamo, section 6.2), against
`hash(key) mod n`. Scans and reads are asked of simulated nodes, so the same seed gives the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

from rich import box
from rich.console import RenderableType
from rich.table import Table

from harness.demo.base import Claim, Conditions, Demo, Shown
from harness.demo.hot_key import STRATEGIES, Load, loads
from harness.demo.scan_cost import REPLICATION, Cost, costs
from store.core.ownership.ring import Ring, position

KEYS: Final = 20_000
JOINS: Final = (3, 5, 10, 20)
VNODES: Final = (1, 4, 16, 64, 256)
BALANCED_NODES: Final = 10
DRAWS: Final = 20
"""Clusters whose balance is looked at: by the names of its nodes one is luckier than another."""
MOVED_MAX: Final = 1.5
"""How much more than the new node's share may move."""
BUSIEST_MAX: Final = 1.5

TEXT: Final = f"""\
Shows with the store's own ring, and with simulated nodes: how many of {KEYS:,} keys move when a node
joins, against hash mod n; how even the load is with so many virtual nodes; what a scan over all
shards costs against reading one key; and a hot key, read from its first owner, from all its
replicas, and through a cache beside the store.

examples:
  harness demo sharding
  harness demo sharding --assert --seed 1"""


class Moved(NamedTuple):
    """Fractions of all keys that have another first owner after a node has joined `nodes` others."""

    nodes: int
    modulo: float
    ring: float

    @property
    def fair(self) -> float:
        """What the new node is to have."""
        return 1 / (self.nodes + 1)


class Balance(NamedTuple):
    """What the busiest of some nodes has, in shares of the mean: on average over many clusters, and at
    worst."""

    vnodes: int
    typical: float
    worst: float


def run(conditions: Conditions) -> Shown:
    moves = [moved(nodes) for nodes in JOINS]
    conditions.tell("balance ...")
    balances = [balance(vnodes) for vnodes in VNODES]
    conditions.tell("scans ...")
    scans = costs(conditions.seed)
    conditions.tell("a hot key ...")
    hot = loads(conditions.seed)
    figures = {
        "moved": [{**move._asdict(), "fair": move.fair} for move in moves],
        "balance": [each._asdict() for each in balances],
        "scans": [cost._asdict() for cost in scans],
        "hot_key": [load._asdict() for load in hot],
    }
    parts: list[RenderableType] = [
        _moved_table(moves),
        "",
        _balance_table(balances),
        "",
        _scan_table(scans),
        "",
        _hot_table(hot),
        "",
        *prose(moves, balances, scans, hot),
    ]
    return Shown(parts, figures, claims(moves, balances, scans, hot))


def moved(nodes: int) -> Moved:
    keys = [f"key{number}" for number in range(KEYS)]
    names = [f"n{number + 1}" for number in range(nodes + 1)]
    before, after = Ring(names[:-1]), Ring(names)
    by_ring = sum(before.preference(key, 1) != after.preference(key, 1) for key in keys)
    by_modulo = sum(position(key) % nodes != position(key) % (nodes + 1) for key in keys)
    return Moved(nodes, by_modulo / KEYS, by_ring / KEYS)


def balance(vnodes: int) -> Balance:
    busiest = [_busiest([f"c{draw}-{i}" for i in range(BALANCED_NODES)], vnodes) for draw in range(DRAWS)]
    return Balance(vnodes, fmean(busiest), max(busiest))


def _busiest(names: Sequence[str], vnodes: int) -> float:
    """By the lengths of the arcs, so of infinitely many keys."""
    ring = Ring(names, vnodes)
    share = dict.fromkeys(names, 0)
    for arc, end in enumerate(ring.positions):
        share[ring.successors(arc, 1)[0]] += (end - ring.positions[arc - 1]) % 2**64
    return max(share.values()) * len(names) / 2**64


def claims(
    moves: Sequence[Moved], balances: Sequence[Balance], scans: Sequence[Cost], hot: Sequence[Load]
) -> list[Claim]:
    first, replicas, cached = hot
    far = max(move.ring / move.fair for move in moves)
    least = min(move.modulo for move in moves)
    by_vnodes = {each.vnodes: each.typical for each in balances}
    even = [each.typical for each in balances]
    return [
        Claim(
            f"on the ring little more moves than the new node's share (at most {MOVED_MAX:g} times)",
            f"at most {far:.2f} times",
            far <= MOVED_MAX,
        ),
        Claim("by hash mod n most keys move", f"at least {least:.0%}", least > 0.5),
        Claim(
            f"more virtual nodes make it more even, 64 for less than {BUSIEST_MAX:g} times the mean",
            ", ".join(f"{each.vnodes}: {each.typical:.2f}" for each in balances),
            even == sorted(even, reverse=True) and by_vnodes[64] < BUSIEST_MAX,
        ),
        Claim(
            "a scan asks every node; reading a key takes at most a message to and from each replica",
            "; ".join(
                f"{c.nodes} nodes: scan {c.scan_nodes}, get {c.get_messages:.1f} messages" for c in scans
            ),
            all(c.scan_nodes == c.nodes and c.get_messages <= 2 * REPLICATION for c in scans),
        ),
        Claim(
            "a scan costs as many messages as reading each of its keys, or up to a tenth more; and less time",
            "; ".join(
                f"{c.nodes} nodes: {c.scan_messages} against {c.get_messages * c.keys:.0f}, {c.scan_ms:.0f} "
                f"against {c.get_ms * c.keys:.0f} ms"
                for c in scans
            ),
            all(
                0.9 <= c.scan_messages / (c.get_messages * c.keys) <= 1.1 and c.scan_ms < c.get_ms * c.keys
                for c in scans
            ),
        ),
        Claim(
            "asking any replica takes readers off a hot key's first owner",
            f"the busiest node answers {first.busiest:.0%} of the reads, then {replicas.busiest:.0%}",
            replicas.busiest < first.busiest,
        ),
        Claim(
            "it does not take look-ups off it, for whoever is asked asks all replicas",
            f"the busiest node looks up {first.looks_up:.0%} of the reads, then {replicas.looks_up:.0%}",
            abs(replicas.looks_up - first.looks_up) < 0.05,
        ),
        Claim(
            "a cache takes both off all, and serves stale values, older ones than replicas do",
            f"{cached.from_store:.0%} of the reads reach the store, the busiest node looks up "
            f"{cached.looks_up:.0%}; stale: {cached.stale} against {replicas.stale}, at most "
            f"{cached.oldest_ms:.0f} against {replicas.oldest_ms:.0f} ms",
            cached.busiest < replicas.busiest
            and cached.looks_up < replicas.looks_up
            and cached.stale > replicas.stale
            and cached.oldest_ms > replicas.oldest_ms,
        ),
    ]


def prose(
    moves: Sequence[Moved], balances: Sequence[Balance], scans: Sequence[Cost], hot: Sequence[Load]
) -> list[str]:
    move, large = moves[1], scans[-1]
    first, replicas, cached = hot
    rough, fine = balances[0], balances[-2]
    return [
        f"When a node joined {move.nodes} others, {move.modulo:.0%} of the keys moved by hash mod n, and "
        f"{move.ring:.1%} on the ring; the new node's fair share is {move.fair:.1%}.",
        f"With {rough.vnodes} point of each node on the ring the busiest of {BALANCED_NODES} had "
        f"{rough.typical:.1f} times the mean ({rough.worst:.1f} at worst); with {fine.vnodes}, "
        f"{fine.typical:.2f} ({fine.worst:.2f}).",
        f"Of {large.nodes} nodes a scan asked {large.scan_nodes}, with {large.scan_messages} messages in "
        f"{large.scan_ms:.1f} ms for {large.keys} keys; reading one key took {large.get_messages:.1f} "
        f"messages and {large.get_ms:.1f} ms, so all of them one by one "
        f"{large.get_messages * large.keys:.0f} and {large.get_ms * large.keys:.0f}.",
        f"When readers asked the first owner, the busiest node answered {first.busiest:.0%} of all reads; "
        f"when they asked any replica, {replicas.busiest:.0%}, with {replicas.stale} stale reads of "
        f"{replicas.reads:,}; but it looked up {first.looks_up:.0%} and {replicas.looks_up:.0%}, for whoever "
        f"is asked asks all replicas. With a cache, {cached.from_store:.0%} of the reads reached the store, "
        f"the busiest node looked up {cached.looks_up:.0%}, and {cached.stale:,} reads were stale, by up to "
        f"{cached.oldest_ms:.0f} ms.",
    ]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def _moved_table(moves: Sequence[Moved]) -> Table:
    table = _table("Keys that move when a node joins", "nodes before", "hash mod n", "ring", "fair share")
    for move in moves:
        table.add_row(str(move.nodes), f"{move.modulo:.1%}", f"{move.ring:.1%}", f"{move.fair:.1%}")
    return table


def _balance_table(balances: Sequence[Balance]) -> Table:
    title = f"The busiest of {BALANCED_NODES} nodes, in shares of the mean"
    table = _table(title, "virtual nodes", "typical", "worst")
    for each in balances:
        table.add_row(str(each.vnodes), f"{each.typical:.2f}", f"{each.worst:.2f}")
    return table


def _scan_table(scans: Sequence[Cost]) -> Table:
    table = _table(
        "A scan over all shards, and a read of one key (level quorum, 3 replicas)",
        "nodes",
        "scan: nodes asked",
        "messages",
        "ms",
        "get: messages",
        "ms ",
    )
    for cost in scans:
        scan = (str(cost.scan_nodes), str(cost.scan_messages), f"{cost.scan_ms:.1f}")
        table.add_row(str(cost.nodes), *scan, f"{cost.get_messages:.1f}", f"{cost.get_ms:.1f}")
    return table


def _hot_table(hot: Sequence[Load]) -> Table:
    table = _table(
        "A hot key (half of all reads), while it is written",
        "reads from",
        "reads",
        "reach\nthe store",
        "busiest:\nanswers",
        "\nlooks up",
        "p50\nms",
        "stale",
        "oldest\nms",
    )
    for load in hot:
        table.add_row(
            STRATEGIES[load.strategy],
            f"{load.reads:,}",
            f"{load.from_store:.0%}",
            f"{load.busiest:.0%}",
            f"{load.looks_up:.0%}",
            f"{load.p50_ms:.2f}",
            f"{load.stale:,}",
            f"{load.oldest_ms:.0f}",
        )
    return table


DEMO: Final = Demo("sharding", "consistent hashing, scans, a hot key and a cache", TEXT, ("sim",), run)
