"""Nodes that are ended and started again on purpose: in good order and for a while, one after the other as in
an upgrade, or again and again in quick succession."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Kill, Stop
from harness.draw import choice as choice_of
from harness.draw import fork, shuffled
from harness.generator import Generator
from nemesis.amounts import Amount, Measure, parse_amount, split_amount
from nemesis.base import nemesis_op, unsupported
from nemesis.process import start_again
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_kind, parse_target, roles_of

KINDS: Final = {"graceful": "stop", "rolling": "restart-rolling", "storm": "restart-storm"}
"""The `f` of each kind."""
TARGETS: Final = {
    "graceful": ("one", "minority"),
    "rolling": ("all",),
    "storm": ("one", "minority", "majority"),
}
STORM_ROUNDS: Final = 3
AMOUNTS: Final = {"storm": Amount((Measure("ROUNDS", 1, 20),))}


class Restarting(Cluster, Kill, Stop, Protocol):
    """What a cluster must be able to do."""


class Storm(Target, frozen=True):
    """What was chosen, as the value of `restart-storm`; `rounds` is left out unless it was asked for."""

    rounds: int = STORM_ROUNDS


class RestartFault:
    """`choice` is `KIND[=AMOUNT][@TARGET]`, with one of `KINDS`; without one, each injection draws a kind. A
    rolling restart or a storm leaves nodes alone that do not run then, or are frozen: another fault will see
    to them."""

    name = "restart"
    summary = "stop nodes in good order, restart them one after the other, or again and again"
    begins = frozenset(KINDS.values())
    ends = frozenset({"restart-start"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        choice, amount = split_amount(choice)
        kinds, target = parse_kind(self.name, choice, TARGETS, amounts=True)
        self._asked = parse_amount(f"restart:{kinds[0]}", amount, AMOUNTS.get(kinds[0]))
        self._kinds = {
            kind: parse_target(f"restart:{kind}", target, TARGETS[kind], nodes, roles=True) for kind in kinds
        }
        self.roles = frozenset[str]().union(*(roles_of(allowed, nodes) for allowed in self._kinds.values()))

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Kill) and isinstance(cluster, Stop)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("restart-start", msgspec.to_builtins(Target("all", list(self._nodes))))

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not (isinstance(cluster, Kill) and isinstance(cluster, Stop)):
            raise unsupported(self.name, cluster)
        nodes = nodes_of(op)
        match op.f:
            case "stop":
                return await cluster.stop(nodes)
            case "restart-rolling":
                return await roll(nodes, cluster)
            case "restart-storm":
                return await storm(nodes, cluster, msgspec.convert(op.value, Storm).rounds)
        return await start_again(op, cluster)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        if f == KINDS["rolling"]:
            target = Target(target.target, shuffled(fork(seed, "order"), target.nodes))
        if self._asked:
            target = Storm(target.target, target.nodes, int(self._asked[0]))
        return nemesis_op(f, msgspec.to_builtins(target))

    def _inject(self, seed: int) -> Op:
        kind = choice_of(fork(seed, "kind"), tuple(self._kinds))
        return draw_injection(self, KINDS[kind], self._kinds[kind], self._nodes, fork(seed, "target"))


async def roll(nodes: Sequence[str], cluster: Restarting) -> Evidence:
    """Stop and start each in turn; the next one only when the last serves again, or else not at all."""
    up = _up(nodes, cluster)
    done: list[str] = []
    for node in up:
        stopped = await cluster.stop((node,))
        started = await cluster.start((node,))
        if not (stopped.bit and started.bit):
            detail = f"restarted in turn: {_list(done)}; {node}: {stopped.detail}; {started.detail}"
            return Evidence(bool(done), detail + _left_alone(nodes, up))
        done.append(node)
    return Evidence(bool(done), f"restarted in turn: {_list(done)}" + _left_alone(nodes, up))


async def storm(nodes: Sequence[str], cluster: Restarting, rounds: int = STORM_ROUNDS) -> Evidence:
    """Kill and start the same nodes, and at once again."""
    up = _up(nodes, cluster)
    done = 0
    while up and done < rounds:
        killed = await cluster.kill(up)
        started = await cluster.start(up)
        if not (killed.bit and started.bit):
            detail = f"after {done} rounds: {killed.detail}; {started.detail}"
            return Evidence(done > 0, detail + _left_alone(nodes, up))
        done += 1
    detail = f"killed and started {done} times: {_list(up)}" + _left_alone(nodes, up)
    return Evidence(bool(up), detail)


def _up(nodes: Sequence[str], cluster: Cluster) -> tuple[str, ...]:
    states = cluster.states()
    return tuple([node for node in nodes if states.get(node) == "up"])


def _left_alone(nodes: Sequence[str], up: Sequence[str]) -> str:
    others = [node for node in nodes if node not in up]
    return f"; left alone, as they were not up: {_list(others)}" if others else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
