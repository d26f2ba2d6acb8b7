"""Network partitions: a shape is drawn, and from it who refuses whom (`nemesis/grudge.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Grudge, Partition
from harness.draw import choice as choice_of
from harness.draw import fork, shuffled
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.grudge import bisect, bridge, complete, from_json, majorities_ring, one_way, split_one, to_json
from nemesis.schedule import fault_cycle


class Shape(NamedTuple):
    """`draw(order, seed)`: the grudge, of nodes in a shuffled order."""

    nodes_min: int
    draw: Callable[[Sequence[str], int], Grudge]


def _one_way(order: Sequence[str], seed: int) -> Grudge:
    deaf, heard = shuffled(seed, bisect(order))
    return one_way(deaf, heard)


SHAPES: Final[dict[str, Shape]] = {
    "halves": Shape(2, lambda order, seed: complete(bisect(order))),
    "one": Shape(2, lambda order, seed: complete(split_one(order))),
    "majorities-ring": Shape(3, lambda order, seed: majorities_ring(order)),
    "bridge": Shape(3, lambda order, seed: bridge(order)),
    "one-way": Shape(2, _one_way),
}


class Cut(msgspec.Struct, frozen=True):
    """What was chosen, as the value of the operation."""

    shape: str
    grudge: dict[str, list[str]]


def draw_cut(shapes: Sequence[str], nodes: Sequence[str], seed: int) -> Cut:
    """One of `shapes`, all equally likely, laid over `nodes` at random."""
    shape = choice_of(fork(seed, "shape"), shapes)
    grudge = SHAPES[shape].draw(shuffled(fork(seed, "order"), nodes), fork(seed, "sides"))
    return Cut(shape, to_json(grudge))


class PartitionFault:
    """`choice` is a shape; without one, each injection draws one of those that so many nodes can form."""

    name = "partition"
    summary = "drop messages between nodes: halves, one node, a ring of majorities, a bridge, or one way only"
    begins = frozenset({"partition"})
    ends = frozenset({"heal-partition"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._shapes = _parse_shapes(choice, len(self._nodes))

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Partition)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("heal-partition")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Partition):
            raise unsupported(self.name, cluster)
        if op.f == "heal-partition":
            return await cluster.heal()
        return await cluster.cut(from_json(msgspec.convert(op.value, Cut).grudge))

    def _inject(self, seed: int) -> Op:
        return nemesis_op("partition", msgspec.to_builtins(draw_cut(self._shapes, self._nodes, seed)))


def _parse_shapes(choice: str | None, node_count: int) -> tuple[str, ...]:
    if choice is not None and choice not in SHAPES:
        raise ValueError(f"partition:{choice}: the shape must be one of {', '.join(SHAPES)}")
    shapes = tuple(SHAPES) if choice is None else (choice,)
    possible = tuple(shape for shape in shapes if node_count >= SHAPES[shape].nodes_min)
    if not possible:
        nodes_min = min(SHAPES[shape].nodes_min for shape in shapes)
        asked = "partition" if choice is None else f"partition:{choice}"
        raise ValueError(f"{asked} needs at least {nodes_min} nodes, not {node_count}")
    return possible
