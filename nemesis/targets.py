"""Which nodes a fault strikes: pure draws, by size or by name (after jepsen.nemesis.combined's node specs).

A target is "one", "minority", "majority", "all", or nodes joined by "+": "n1+n3"; or else a role, "council".
Who has a role is known only to the cluster, and only when the fault comes: until then an injection says
`ByRole`, and whoever carries it out makes it one at nodes (`aimed`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec.structs import replace

from checkers.history import Op
from harness.cluster.base import Cluster, ClusterError, Roles
from harness.draw import choice, fork, shuffled
from nemesis.base import nemesis_op

SIZES: Final[dict[str, Callable[[int], int]]] = {
    "one": lambda count: 1,
    "minority": lambda count: max(1, (count - 1) // 2),
    "majority": lambda count: count // 2 + 1,
    "all": lambda count: count,
}
"""How many of so many nodes each target is. A minority is the largest one, but never nobody."""
_ROLE: Final = re.compile(r"[a-z]+(-[a-z]+)*\Z")


class Target(msgspec.Struct, frozen=True):
    """What was chosen: how, and the nodes that came of it, in the cluster's order."""

    target: str
    nodes: list[str]


class ByRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of an injection at those who will have this role; `seed` draws what else is to be drawn."""

    role: str
    seed: int


@runtime_checkable
class ByRoles(Protocol):
    """A fault that can be aimed at roles. `roles`: those that it may strike."""

    roles: frozenset[str]

    def aim(self, f: str, target: Target, seed: int) -> Op:
        """The injection `f` at these nodes."""
        ...


def draw_target(allowed: Sequence[str], nodes: Sequence[str], seed: int) -> Target:
    """One of the `allowed` targets, all equally likely, and that many of `nodes`; of a role, nobody yet."""
    target = choice(fork(seed, "target"), allowed)
    if target not in SIZES:
        struck = set(target.split("+"))
    else:
        struck = set(shuffled(fork(seed, "nodes"), nodes)[: SIZES[target](len(nodes))])
    return Target(target, [node for node in nodes if node in struck])


def draw_injection(fault: ByRoles, f: str, allowed: Sequence[str], nodes: Sequence[str], seed: int) -> Op:
    """The injection `f` at one of the `allowed` targets."""
    target = draw_target(allowed, nodes, seed)
    if target.target in fault.roles:
        return nemesis_op(f, msgspec.to_builtins(ByRole(target.target, seed)))
    return fault.aim(f, target, seed)


async def aimed(fault: ByRoles, op: Op, cluster: Cluster) -> Op:
    """An injection at a role becomes one at the nodes that have it now, spares left out, as no healing
    reaches those; any other operation is left as it is. Raises `ClusterError`, which says who has which role.
    """
    if not (isinstance(op.value, dict) and "role" in op.value):
        return op
    wanted = msgspec.convert(op.value, ByRole)
    if not isinstance(cluster, Roles):
        raise ClusterError(f"the cluster {cluster.name} does not tell roles, so nobody is {wanted.role}")
    roles = await cluster.roles()
    struck = [node for node in cluster.nodes if node in roles.get(wanted.role, ())]
    if not struck:
        who = "; ".join(f"{role}: {', '.join(roles[role]) or 'nobody'}" for role in roles) or "none"
        raise ClusterError(f"no node is {wanted.role} now; roles are {who}")
    return replace(op, value=fault.aim(op.f, Target(wanted.role, struck), wanted.seed).value)


def parse_kind(
    fault: str, choice: str | None, kinds: Iterable[str], amounts: bool = False
) -> tuple[tuple[str, ...], str | None]:
    """The kinds that `KIND[@TARGET]` asks for (no choice: all), and its target, if it has one; raises
    ValueError. `amounts`: of some kinds an amount could have been asked for, too."""
    if choice is None:
        return tuple(kinds), None
    kind, at, target = choice.partition("@")
    if kind not in kinds:
        after = "=AMOUNT and @TARGET" if amounts else "@TARGET"
        raise ValueError(f"{fault}:{choice}: must be {', '.join(kinds)}, and after that {after} if you like")
    return (kind,), target if at else None


def parse_target(
    fault: str, text: str | None, default: Sequence[str], nodes: Sequence[str], roles: bool = False
) -> tuple[str, ...]:
    """The allowed targets that `FAULT:TEXT`, or `FAULT:KIND@TEXT`, asks for (no text: `default`); raises
    ValueError. `roles`: it may be a role."""
    if text is None:
        return tuple(default)
    if text in SIZES or set(text.split("+")) <= set(nodes) or (roles and _ROLE.match(text)):
        return (text,)
    also = ", or a role" if roles else ""
    asked = f"{fault}{'@' if ':' in fault else ':'}{text}"
    raise ValueError(
        f"{asked}: must be {', '.join(SIZES)}, or nodes joined by '+', of {', '.join(nodes)}{also}"
    )


def check_roles(fault: str, roles: Iterable[str], cluster: Cluster) -> None:
    """Raises ValueError for a role that the cluster does not have, with what is allowed."""
    there = cluster.role_names if isinstance(cluster, Roles) else ()
    for role in sorted(set(roles) - set(there)):
        also = f", or a role: {', '.join(there)}" if there else ""
        nodes = ", ".join(cluster.nodes)
        raise ValueError(
            f"{fault}:{role}: must be {', '.join(SIZES)}, or nodes joined by '+', of {nodes}{also}"
        )


def roles_of(allowed: Sequence[str], nodes: Sequence[str]) -> frozenset[str]:
    """Which of these targets are roles."""
    return frozenset(
        target for target in allowed if target not in SIZES and not set(target.split("+")) <= set(nodes)
    )


def nodes_of(op: Op) -> tuple[str, ...]:
    """The nodes that an operation is about; raises ValueError if its value does not say."""
    return tuple(msgspec.convert(op.value, Target).nodes)
