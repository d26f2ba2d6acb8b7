"""What a change of members moves, and how evenly keys are spread. Exact, from the lengths of the ring's arcs;
the tables stand in docs/protocols/ownership.md."""

from __future__ import annotations

from statistics import mean

from rich.console import Console, Group
from rich.table import Table

from store.core.ownership.layout import Placement, first_layout
from store.core.ownership.moves import balance, moved_share

SIZES = (3, 4, 5, 8, 10, 16, 20, 32, 50)
VNODES = (1, 8, 64, 256)
REPLICATION = 3
DRAWS = 10
"""Each figure is over so many sets of names."""


def tables() -> Group:
    return Group(moves_table(), balance_table())


def moves_table() -> Table:
    result = Table(title="A node joins n others, or leaves them again: share of all copies that moves, %")
    for heading in ("n", "ideal: 1 / (n + 1)", "joins: mean", "worst", "leaves: mean", "worst"):
        result.add_column(heading, justify="right")
    for n in SIZES:
        joins, leaves = [], []
        for draw in range(DRAWS):
            with_it, without = _place(n + 1, draw), _place(n, draw)
            joins.append(moved_share(without, with_it))
            leaves.append(moved_share(with_it, without))
        shares = (1 / (n + 1), mean(joins), max(joins), mean(leaves), max(leaves))
        result.add_row(str(n), *[f"{100 * share:.1f}" for share in shares])
    return result


def balance_table() -> Table:
    result = Table(title="Copies a node keeps, over the mean: most loaded and least loaded node")
    result.add_column("nodes", justify="right")
    for vnodes in VNODES:
        result.add_column(f"{vnodes} vnodes", justify="right")
    for n in SIZES:
        if n > REPLICATION:
            result.add_row(str(n), *[_spread(n, vnodes) for vnodes in VNODES])
    return result


def _spread(n: int, vnodes: int) -> str:
    shares = [list(balance(_place(n, draw, vnodes)).values()) for draw in range(DRAWS)]
    return f"{mean(max(each) for each in shares) * n:.2f} / {mean(min(each) for each in shares) * n:.2f}"


def _place(n: int, draw: int, vnodes: int = 64) -> Placement:
    return Placement(first_layout([f"node-{draw}-{i}" for i in range(n)], REPLICATION, vnodes))


if __name__ == "__main__":
    Console().print(tables())
