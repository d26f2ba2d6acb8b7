"""Nodes as daemons on their hosts: started, ended, frozen, and watched.

What is told of them rests on /proc of their hosts, as the hand reads it there.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import trio

from harness.cluster.base import ClusterError, Evidence, NodeState
from harness.cluster.hosts.base import Hosts, Value

START_LIMIT_S: Final = 60.0
"""How long a node may take until it takes connections; a fault as a whole has 90 s."""
SERVE_LIMIT_S: Final = 3.0
"""How long it is then waited for that it serves. It need not: it may be cut off from all others."""
STOP_LIMIT_S: Final = 10.0
"""How long a node may take to end when it is asked to."""
BREAK_LIMIT_S: Final = 5.0
"""For ending what was begun by a start that was broken off."""
WATCH_S: Final = 1.0
POLL_S: Final = 0.03
REST: Final = 5
"""Looking at a slow host takes time from its node; so it is then left alone that many times as long."""


class Processes(Hosts):
    """Implements `Kill`, `Stop` and `Pause`."""

    def __init__(self) -> None:
        self._states: dict[str, NodeState] = dict.fromkeys((*self.nodes, *self.spares), "down")
        self._deaths: dict[str, str] = {}
        """By node, why it first ended by itself, did not start, or is not reached any more."""

    def states(self) -> dict[str, NodeState]:
        return {node: self._states[node] for node in self.nodes}

    def unexpected_deaths(self) -> list[str]:
        return list(self._deaths.values())

    # Kill and Stop ---------------------------------------------------------------------------------

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        answers = await self._end("kill", nodes)
        struck = [node for node in answers if answers[node]["struck"]]
        killed = [
            node
            for node in struck
            if answers[node]["ended"] == answers[node]["struck"]
            and -signal.SIGKILL in answers[node]["status"].values()
        ]
        detail = f"reaped after SIGKILL: {_list(killed)}" + _others(nodes, struck, killed)
        return Evidence(bit=bool(struck) and killed == struck, detail=detail)

    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        """What does not end within `STOP_LIMIT_S` is killed, and has not bitten."""
        answers = await self._end("stop", nodes)
        struck = {node: answers[node]["struck"] for node in answers if answers[node]["struck"]}
        daemons = {node: answers[node]["daemons"] for node in struck}
        with trio.move_on_after(STOP_LIMIT_S):
            while waiting := [node for node in struck if not _all_ended(daemons[node])]:
                await trio.sleep(POLL_S)
                looked = await self.each("look", {node: {} for node in waiting})
                daemons.update({node: looked[node]["nodes"][node] for node in waiting})
        await self.each("kill", {node: {"node": node} for node in struck})  # also what outlived a daemon
        stopped = [node for node in struck if _all_ended(daemons[node])]
        told = [
            f"{node} {' and '.join(_ending(daemons[node][name]['status']) for name in struck[node])}"
            for node in stopped
        ]
        detail = f"after SIGTERM: {'; '.join(told) or 'none ended'}" + _others(nodes, list(struck), stopped)
        if len(stopped) < len(struck):
            detail += f", even after {STOP_LIMIT_S:g} s, so killed"
        return Evidence(bit=bool(struck) and len(stopped) == len(struck), detail=detail)

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        down = [node for node in self.named(nodes) if self._states[node] == "down"]
        began = trio.current_time()
        await self.bring_up(down, START_LIMIT_S)
        waiting = await self.until_serving(down, SERVE_LIMIT_S)
        took_s = trio.current_time() - began
        serving = [node for node in down if node not in waiting]
        detail = f"serve again after {took_s:.2f} s: {_list(serving)}"
        if waiting:
            detail += f"; run, but do not serve yet: {_list(waiting)}"
        return Evidence(bit=bool(down) and not waiting, detail=detail)

    async def _end(self, operation: str, nodes: Iterable[str]) -> dict[str, Value]:
        """The answers of those nodes that ran. From the beginning on their end is no surprise; an earlier one
        is."""
        named = [node for node in self.named(nodes) if self._states[node] != "down"]
        for node in named:
            self._states[node] = "down"
        answers = await self.each(operation, {node: {"node": node} for node in named})
        for node in named:
            if ended := _ended(node, answers[node]["gone"]):
                self.died(node, ended)
        return answers

    # Pause -----------------------------------------------------------------------------------------

    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        struck = [node for node in self.named(nodes) if self._states[node] != "down"]
        for node in struck:
            self._states[node] = "paused"
        answers = await self.each("pause", {node: {"node": node} for node in struck})
        stopped = [node for node in struck if answers[node]["frozen"] and not answers[node]["going"]]
        detail = f"stopped, as /proc shows: {_list(stopped)}" + _others(nodes, struck, stopped)
        return Evidence(bit=bool(struck) and stopped == struck, detail=detail)

    async def resume(self, nodes: tuple[str, ...]) -> Evidence:
        struck = [node for node in self.named(nodes) if self._states[node] == "paused"]
        answers = await self.each("resume", {node: {"node": node} for node in struck})
        for node in struck:
            if answers[node]["frozen"]:
                raise ClusterError(f"node {node} is still stopped after SIGCONT")
            self._states[node] = "up"
        going = [node for node in struck if answers[node]["going"]]
        return Evidence(bit=bool(going), detail=f"go on: {_list(going)}")

    # For other parts -------------------------------------------------------------------------------

    async def bring_up(self, nodes: Sequence[str], limit_s: float) -> None:
        """Start the daemons of these nodes, and wait until they take connections. Raises `ClusterError`; none
        of them runs then."""
        done = False
        try:
            await self.before_start(nodes)
            await self.each("start", {node: self._orders(node) for node in nodes})
            failures = await self._failures(nodes, limit_s)
            if failures:
                for node, why in failures.items():
                    self.died(node, why)
                more = f"; {len(failures) - 1} more did not start either" if len(failures) > 1 else ""
                raise ClusterError(next(iter(failures.values())) + more)
            for node in nodes:
                self._states[node] = "up"
            done = True
        finally:
            if not done:
                with trio.move_on_after(BREAK_LIMIT_S, shield=True):
                    await self._abandon(nodes)

    def died(self, node: str, why: str) -> None:
        """It ended by itself, or did not start: the run fails for it."""
        self._deaths.setdefault(node, why)

    async def until_serving(self, nodes: Sequence[str], limit_s: float) -> list[str]:
        """Wait until each of these serves; which do not in time."""
        waiting = list(nodes)

        async def ask(node: str) -> None:
            began = trio.current_time()
            while not await self.system.serves(self.sites[node]):
                await trio.sleep(max(POLL_S, REST * (trio.current_time() - began)))
                began = trio.current_time()
            waiting.remove(node)

        with trio.move_on_after(limit_s):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(ask, node)
        return [node for node in nodes if node in waiting]

    async def watch(self) -> None:
        """For ever: notice nodes that end although nobody ended them, and hands that are not reached."""
        took_s = 0.0
        while True:
            await trio.sleep(max(WATCH_S, REST * took_s))
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for node in self.hands:
                    nursery.start_soon(self._look, node)
            took_s = trio.current_time() - began

    async def _look(self, node: str) -> None:
        try:
            seen = await self.ask(node, "look", {})
        except ClusterError as error:
            self._deaths.setdefault(node, str(error))
            return
        ended = _ended(node, seen["nodes"].get(node, {}))
        if ended and self._states[node] != "down":
            self._states[node] = "down"
            self.died(node, ended)

    def _orders(self, node: str) -> Value:
        """The arguments of `start`."""
        site = self.sites[node]
        daemons = [
            {
                "name": daemon.name,
                "argv": list(daemon.argv),
                "env": {**daemon.env, **self.environment(node)},
                "log": daemon.log,
            }
            for daemon in self.system.daemons(site)
        ]
        return {"node": node, "directory": site.home, "daemons": daemons}

    async def _failures(self, nodes: Sequence[str], limit_s: float) -> dict[str, str]:
        """Wait until each takes connections; why the others do not, by node."""
        failures = {
            node: f"node {node} takes no connections at {self.sites[node].address} port {self.system.port} "
            f"after {limit_s:g} s"
            for node in nodes
        }

        async def wait_for(node: str) -> None:
            place = [self.sites[node].address, self.system.port]
            while True:
                began = trio.current_time()
                try:
                    seen = await self.ask(node, "look", {"listens": place})
                except ClusterError as error:
                    failures[node] = str(error)
                    return
                if ended := _ended(node, seen["nodes"][node]):
                    failures[node] = ended
                    return
                if seen["listens"]:
                    del failures[node]
                    return
                await trio.sleep(max(POLL_S, REST * (trio.current_time() - began)))

        with trio.move_on_after(limit_s):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(wait_for, node)
        return failures

    async def _abandon(self, nodes: Sequence[str]) -> None:
        for node in nodes:
            try:
                await self.ask(node, "kill", {"node": node})
            except ClusterError as error:
                self._deaths.setdefault(node, str(error))


def _ended(node: str, daemons: Mapping[str, Value]) -> str:
    """That a daemon of the node has ended, and how; empty if none has."""
    for name, seen in daemons.items():
        if seen["state"] == "ended":
            return f"node {node}: {name} {_ending(seen['status'])}: {seen['said']}"
    return ""


def _all_ended(daemons: Mapping[str, Value]) -> bool:
    return all(seen["state"] == "ended" for seen in daemons.values())


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


def _others(asked: Iterable[str], struck: Sequence[str], done: Iterable[str]) -> str:
    left = [node for node in struck if node not in set(done)]
    absent = [node for node in asked if node not in struck]
    return (f"; not: {_list(left)}" if left else "") + "".join(f"; {node} was not running" for node in absent)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
