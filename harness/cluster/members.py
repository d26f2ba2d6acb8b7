"""Membership as any cluster of the store does it: by asking the nodes, as an operator would with `kv`.

A change is asked of the owners in turn until one accepts it or the time is up; that it has come to its end is
seen in what a node tells of the layout. Only how a node is started, ended and emptied is the cluster's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from itertools import count, islice
from typing import Final, Protocol

from harness.cluster.base import ClusterError, Evidence, Lost, NotSent, Session
from store.core.messages import Admin, Body, Failed, Layout, Locate, Located, Report, Response, Status

CHANGE_LIMIT_S: Final = 5.0
"""How long a change is waited for: the nemesis does nothing else meanwhile, and a partition may have to be
healed before it can go on. The change itself goes on."""
TURN_S: Final = 1.0
"""How long one owner is waited for before the next is asked, as the first may reach nobody."""
RESTORE_LIMIT_S: Final = 10.0
SERVE_LIMIT_S: Final = 10.0
ASK_S: Final = 1.0
PAUSE_S: Final = 0.2
ROLES: Final = ("steward", "council", "owner", "spare")
"""What a node can be by a layout: one of those who decide on the next one (`council`), the first of them that
runs and so the first to bring a change to its end (`steward`), one that keeps keys, or one with none."""
CALM_S: Final = 0.5
"""A node that was frozen may just be beginning with a change that it was asked for long ago."""


Connect = Callable[[str], Awaitable[Session]]
Sleep = Callable[[float], Awaitable[None]]


def spare_names(nodes: Sequence[str], many: int) -> tuple[str, ...]:
    """s1, s2, ..., without names that nodes have."""
    names = (f"s{number}" for number in count(1))
    return tuple(islice((name for name in names if name not in nodes), many))


async def ask(connect: Connect, node: str, body: Body, timeout_s: float) -> Response | None:
    """`node`'s response; None: there is none."""
    try:
        session = await connect(node)
        response = await session.request(body, max(0.05, timeout_s))
    except (NotSent, Lost):
        return None
    await session.close()
    return response


async def until_serving(
    connect: Connect, nodes: Sequence[str], now_s: Callable[[], float], sleep: Sleep
) -> list[str]:
    """Wait until each of `nodes` has its part and serves as a replica; which do not in time."""
    end = now_s() + SERVE_LIMIT_S
    waiting = list(nodes)
    while True:
        for node in list(waiting):
            response = await ask(connect, node, Status(), ASK_S)
            if isinstance(response, Report) and response.status.get("serves", True):
                waiting.remove(node)
        if not waiting or now_s() >= end:
            return waiting
        await sleep(PAUSE_S / 10)


async def newest_layout(connect: Connect, nodes: Sequence[str]) -> Layout | None:
    """The newest that any of `nodes` tells of."""
    newest = None
    for node in nodes:
        response = await ask(connect, node, Locate(), ASK_S)
        if isinstance(response, Located) and (newest is None or response.layout.epoch > newest.epoch):
            newest = response.layout
    return newest


async def roles_of(
    connect: Connect, running: Sequence[str], everybody: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """By the newest layout that any node that runs tells of. Raises `ClusterError` if none does."""
    layout = await newest_layout(connect, running)
    if layout is None:
        raise ClusterError("no node tells of a layout, so nobody knows who has which role")
    owners = tuple([member.name for member in layout.owners])
    return {
        "steward": tuple([name for name in layout.council if name in running][:1]),
        "council": layout.council,
        "owner": owners,
        "spare": tuple([name for name in everybody if name not in owners]),
    }


class Nodes(Protocol):
    """What membership needs of a cluster."""

    nodes: tuple[str, ...]
    spares: tuple[str, ...]

    async def connect(self, node: str) -> Session: ...

    async def begin(self, node: str, afresh: bool) -> None:
        """Start `node` if it does not run; `afresh`: first end it, and empty its disk."""
        ...

    async def end(self, node: str) -> None:
        """End `node`, if it runs, without warning."""
        ...

    def running(self, node: str) -> bool: ...

    def address(self, node: str) -> str:
        """Where the other nodes find it."""
        ...


class Members:
    """`now_s` and `sleep` are the cluster's time, real or not."""

    def __init__(self, nodes: Nodes, now_s: Callable[[], float], sleep: Sleep) -> None:
        self._nodes = nodes
        self._now_s = now_s
        self._sleep = sleep

    async def join(self, node: str, limit_s: float = CHANGE_LIMIT_S) -> Evidence:
        self._check(node)
        await self._nodes.begin(node, afresh=not self._nodes.running(node))
        arguments = {"node": node, **await self._life(node)}
        return await self._until("join", arguments, lambda owners: node in owners, limit_s)

    async def leave(self, node: str, limit_s: float = CHANGE_LIMIT_S) -> Evidence:
        self._check(node)
        return await self._until("leave", {"node": node}, lambda owners: node not in owners, limit_s)

    async def replace(self, node: str, by: str) -> Evidence:
        self._check(node, by)
        if (missing := await self._missing()) is not None:
            return missing
        await self._nodes.end(node)
        await self._nodes.begin(by, afresh=not self._nodes.running(by))
        arguments = {"node": node, "by": by, **await self._life(by)}
        return await self._until(
            "replace", arguments, lambda owners: by in owners and node not in owners, CHANGE_LIMIT_S
        )

    async def wipe(self, node: str) -> Evidence:
        self._check(node)
        if (missing := await self._missing()) is not None:
            return missing
        before = await self._life(node)
        await self._nodes.begin(node, afresh=True)
        after = await self._life(node)
        bit = bool(after) and after != before
        return Evidence(bit, f"{node} has nothing on its disk, and {'another' if bit else 'the same'} birth")

    async def restore(self, limit_s: float = RESTORE_LIMIT_S) -> Evidence:
        """Raises `ClusterError` if that takes too long."""
        end = self._now_s() + limit_s
        changes = 0
        calm = False
        while True:
            owners = await self._owners()
            joins = [node for node in self._nodes.nodes if node not in owners]
            leaves = [spare for spare in self._nodes.spares if spare in owners]
            outside = [node for node in self._nodes.nodes if node in owners and not await self._serves(node)]
            if owners and not (joins or leaves or outside):
                if calm:
                    break
                calm = True
                await self._sleep(CALM_S)
                continue
            calm = False
            if self._now_s() >= end:
                idle = [node for node in self._nodes.nodes if not await self._serves(node)]
                raise ClusterError(
                    f"members are not restored within {limit_s:g} s: owners are "
                    f"{', '.join(owners) or 'not settled'}; not serving: {', '.join(idle) or 'none'}"
                )
            for node in outside if owners else (*self._nodes.nodes, *self._nodes.spares):
                await self._nodes.begin(node, afresh=False)  # a change may wait for what it is to pull
            if not owners:
                await self._sleep(PAUSE_S)
                continue
            change = Evidence(False, "")
            left_s = min(CHANGE_LIMIT_S, end - self._now_s())
            if joins:
                change = await self.join(joins[0], left_s)
            elif leaves and not outside:
                change = await self.leave(leaves[0], left_s)
            changes += change.bit
            await self._sleep(0 if change.bit else PAUSE_S)
        for spare in self._nodes.spares:
            await self._nodes.end(spare)
        return Evidence(changes > 0, f"{changes} changes; owners are {', '.join(owners)}")

    async def roles(self) -> dict[str, tuple[str, ...]]:
        """As `roles_of`, of all nodes and spares."""
        everybody = (*self._nodes.nodes, *self._nodes.spares)
        running = [node for node in everybody if self._nodes.running(node)]
        return await roles_of(self._nodes.connect, running, everybody)

    def _check(self, *names: str) -> None:
        everybody = (*self._nodes.nodes, *self._nodes.spares)
        for name in names:
            if name not in everybody:
                raise ClusterError(f"there is no node {name!r}; the nodes are {', '.join(everybody)}")

    async def _missing(self) -> Evidence | None:
        """Why no copy may be lost now: one is missing already."""
        owners = await self._owners()
        absent = [node for node in self._nodes.nodes if node not in owners or not await self._serves(node)]
        if not owners:
            return Evidence(False, "left alone, as no layout is settled", begun=False)
        if absent:
            return Evidence(False, f"left alone, as these are missing: {', '.join(absent)}", begun=False)
        return None

    async def _until(
        self, action: str, arguments: dict[str, str], done: Callable[[Sequence[str]], bool], limit_s: float
    ) -> Evidence:
        """Ask for the change until an owner says that it is done, and see whether it is; or that it makes no
        sense."""
        end = self._now_s() + limit_s
        said = "nobody has answered"
        while self._now_s() < end:
            for node in self._alive():
                patience_s = min(TURN_S, end - self._now_s())
                response = await self._ask(node, Admin(action, arguments), patience_s)
                if isinstance(response, Failed):
                    said = f"{node}: {response.code}: {response.text}"
                    if response.code == "bad-request":
                        return Evidence(False, said)
                elif response is not None:
                    owners = await self._owners()
                    detail = f"{node} says it is done; owners are {', '.join(owners)}"
                    return Evidence(bool(owners) and done(owners), detail)
            await self._sleep(PAUSE_S)
        owners = await self._owners()
        detail = f"{action} {arguments['node']}: {said}; owners are {', '.join(owners) or 'not settled'}"
        return Evidence(bool(owners) and done(owners), detail)

    async def _owners(self) -> tuple[str, ...]:
        """The owners by the newest settled layout that any node tells of; empty: none is settled."""
        layout = await newest_layout(self._nodes.connect, self._alive())
        if layout is None or layout.next is not None:
            return ()
        return tuple(member.name for member in layout.owners)

    async def _serves(self, node: str) -> bool:
        return (await self._status(node)).get("serves") is True

    async def _life(self, node: str) -> dict[str, str]:
        birth = (await self._status(node)).get("birth")
        return {} if birth is None else {"birth": str(birth), "address": self._nodes.address(node)}

    async def _status(self, node: str) -> dict[str, object]:
        if not self._nodes.running(node):
            return {}
        response = await self._ask(node, Status(), ASK_S)
        return response.status if isinstance(response, Report) else {}

    def _alive(self) -> list[str]:
        return [node for node in self._nodes.nodes if self._nodes.running(node)]

    async def _ask(self, node: str, body: Body, timeout_s: float) -> Response | None:
        return await ask(self._nodes.connect, node, body, timeout_s)


class Changeable(ABC):
    """Implements `Membership`, given its `members`."""

    @property
    @abstractmethod
    def members(self) -> Members:
        """Raises `ClusterError` if nobody here knows how the system changes its members."""

    async def join(self, node: str) -> Evidence:
        return await self.members.join(node)

    async def leave(self, node: str) -> Evidence:
        return await self.members.leave(node)

    async def replace(self, node: str, by: str) -> Evidence:
        return await self.members.replace(node, by)

    async def wipe(self, node: str) -> Evidence:
        return await self.members.wipe(node)

    async def restore(self, limit_s: float = RESTORE_LIMIT_S) -> Evidence:
        return await self.members.restore(limit_s)
