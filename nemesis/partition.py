"""Network partitions: a shape is drawn, and from it who refuses whom (`nemesis/grudge.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Grudge, Partition
from harness.draw import choice as choice_of
from harness.draw import fork, shuffled, uniform_int
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.grudge import (
    bisect,
    bridge,
    complete,
    directed,
    from_json,
    majorities_ring,
    one_way,
    split_one,
    split_third,
    to_json,
)
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, parse_target, roles_of


class Shape(NamedTuple):
    """`draw(order, seed)`: the grudge, of nodes in a shuffled order."""

    nodes_min: int
    draw: Callable[[Sequence[str], int], Grudge]


def _one_way(order: Sequence[str], seed: int) -> Grudge:
    deaf, heard = shuffled(seed, bisect(order))
    return one_way(deaf, heard)


def _random(order: Sequence[str], seed: int) -> Grudge:
    """Some of the directed links: at least one, not all, and some way back is open whose way there is cut."""
    pairs = [(source, target) for source in order for target in order if source != target]
    links = shuffled(fork(seed, "links"), pairs)
    cut = set(links[: 1 + uniform_int(fork(seed, "count"), len(links) - 1)])
    if all((target, source) in cut for source, target in cut):
        cut.remove(links[0])
    return directed(link for link in links if link in cut)


SHAPES: Final[dict[str, Shape]] = {
    "halves": Shape(2, lambda order, seed: complete(bisect(order))),
    "one": Shape(2, lambda order, seed: complete(split_one(order))),
    "third": Shape(4, lambda order, seed: complete(split_third(order))),
    "majorities-ring": Shape(3, lambda order, seed: majorities_ring(order)),
    "bridge": Shape(3, lambda order, seed: bridge(order)),
    "one-way": Shape(2, _one_way),
    "random": Shape(2, _random),
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


ISOLATE: Final = "isolate@"


class PartitionFault:
    """`choice` is a shape, or `isolate@TARGET` to cut the nodes of a target off from all others; without one,
    each injection draws one of the shapes that so many nodes can form."""

    name = "partition"
    summary = "drop messages between nodes: halves, one, a third, majorities' ring, bridge, one way, any"
    begins = frozenset({"partition"})
    ends = frozenset({"heal-partition"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._isolated: tuple[str, ...] = ()
        self._shapes: tuple[str, ...] = ()
        if choice is not None and choice.startswith(ISOLATE):
            target = choice.removeprefix(ISOLATE)
            self._isolated = parse_target("partition:isolate", target, (), nodes, roles=True)
        else:
            self._shapes = _parse_shapes(choice, len(self._nodes))
        self.roles = roles_of(self._isolated, nodes)

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

    def aim(self, f: str, target: Target, seed: int) -> Op:
        others = tuple([node for node in self._nodes if node not in target.nodes])
        grudge = complete((tuple(target.nodes), others))
        return nemesis_op(f, msgspec.to_builtins(Cut(f"{ISOLATE}{target.target}", to_json(grudge))))

    def _inject(self, seed: int) -> Op:
        if self._isolated:
            return draw_injection(self, "partition", self._isolated, self._nodes, seed)
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
