"""Partition maths: who refuses whom, as values; a cluster applies them.

After jepsen.nemesis: a grudge gives, for each node, the nodes whose messages do not reach it. Every
function here takes the nodes in some order (usually a shuffled one) and is otherwise free of chance.
The majorities ring is exact for any number of nodes, where Jepsen's is stochastic above five.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.cluster.base import Grudge

Components = tuple[tuple[str, ...], ...]


def bisect(order: Sequence[str]) -> Components:
    """Two halves; the first is the smaller one."""
    middle = len(order) // 2
    return tuple(order[:middle]), tuple(order[middle:])


def split_one(order: Sequence[str]) -> Components:
    """The first node alone, and the others."""
    return tuple(order[:1]), tuple(order[1:])


def split_third(order: Sequence[str]) -> Components:
    """As many of the first nodes as are less than a third of all, and the others; of three nodes or fewer
    that is nobody."""
    count = (len(order) - 1) // 3
    return tuple(order[:count]), tuple(order[count:])


def complete(components: Components) -> Grudge:
    """Nobody hears anybody of another component."""
    everybody = frozenset(node for component in components for node in component)
    return _grudge({node: everybody.difference(own) for own in components for node in own})


def one_way(deaf: Collection[str], heard: Collection[str]) -> Grudge:
    """`deaf` hear nothing from the others, who go on hearing them."""
    return _grudge({node: frozenset(heard) - {node} for node in deaf})


def bridge(order: Sequence[str]) -> Grudge:
    """Two halves that do not hear each other, and one node between them that hears and is heard by all."""
    half, rest = bisect(order)
    return complete((half, rest[1:]))


def majorities_ring(order: Sequence[str]) -> Grudge:
    """Every node sees a majority, and no two see the same one.

    The nodes stand in a ring and see as many neighbours to each side as make an odd majority; where a
    majority is even, they also see one node opposite. Who sees is seen.
    """
    count = len(order)
    reach, even = divmod(count // 2, 2)
    links = {(i, (i + step) % count) for i in range(count) for step in range(1, reach + 1)}
    if even:
        half = count // 2
        links |= {(i, (i + half) % count) for i in (*range(half), count - 1)}
    everybody = frozenset(order)
    seen = {node: {node} for node in order}
    for i, j in links:
        seen[order[i]].add(order[j])
        seen[order[j]].add(order[i])
    return _grudge({node: everybody - seen[node] for node in order})


def directed(links: Iterable[tuple[str, str]]) -> Grudge:
    """Exactly these (source, target) are cut: the target does not hear the source."""
    refused: dict[str, frozenset[str]] = {}
    for source, target in links:
        refused[target] = refused.get(target, frozenset()) | {source}
    return refused


def to_json(grudge: Grudge) -> dict[str, list[str]]:
    return {node: sorted(grudge[node]) for node in sorted(grudge)}


def from_json(value: Mapping[str, Collection[str]]) -> Grudge:
    return _grudge({node: frozenset(refused) for node, refused in value.items()})


def _grudge(refused: Mapping[str, frozenset[str]]) -> Grudge:
    return {node: others for node, others in refused.items() if others}
