"""From a wish about who owns what to the next layout on the way there: pure, one step at a time.

    stable(e) -> joint(e + 1) -> stable(e + 2), the new owners' or, called off, the old ones' again

One change at a time, so a wish that finds another change under way is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from store.core.messages import NODES_MAX, Bucket, Layout, Member
from store.core.messages.layout import BUCKETS_MAX
from store.core.ownership.layout import COUNCIL_MAX


class Join(NamedTuple):
    node: str
    birth: int


class Leave(NamedTuple):
    node: str


class Replace(NamedTuple):
    node: str
    by: str
    birth: int


class Renew(NamedTuple):
    """Whatever other life of `node` has a part loses it, then `birth` gets one."""

    node: str
    birth: int


Wish = Join | Leave | Replace | Renew | Bucket


class Reached(NamedTuple):
    """The layout is stable and as wished."""

    detail: str


class Refused(NamedTuple):
    """It cannot be, and nothing was done; `again`: it may be possible later."""

    text: str
    again: bool = False


class Wait(NamedTuple):
    """Ownership moves: to what is wished if `ours`, or else it is another change, after which it goes on."""

    ours: bool = True


class Propose(NamedTuple):
    layout: Layout


Step = Reached | Refused | Wait | Propose

Alive = Callable[[str], bool]


def step(layout: Layout, wish: Wish, alive: Alive, past: frozenset[str], pulling: tuple[str, ...]) -> Step:
    """`past`: nodes that are known to have had a part in earlier layouts. `pulling`: who has something to
    pull by this one."""
    if layout.next is not None:
        return _meanwhile(layout, wish, alive, past, pulling)
    match wish:
        case Join(node, birth):
            return _join(layout, node, birth, alive)
        case Leave(node):
            return _leave(layout, node, alive, past)
        case Replace():
            return _replace(layout, wish, alive)
        case Renew(node, birth):
            held = _lives(layout.owners).get(node)
            if held is None or held == birth:
                return _join(layout, node, birth, alive)
            return _without(layout, node, alive)
    return _bucket(layout, wish, alive)


def _join(layout: Layout, node: str, birth: int, alive: Alive) -> Step:
    held = _lives(layout.owners).get(node)
    if held == birth:
        return Reached(f"{node} is an owner")
    if held is not None:
        return Refused(f"{node} is an owner already, with another life of its data; it must leave first")
    if len(layout.owners) >= NODES_MAX:
        return Refused(f"there are {NODES_MAX} owners, which is the most")
    return Propose(joint(layout, (*layout.owners, Member(node, birth)), alive))


def _leave(layout: Layout, node: str, alive: Alive, past: frozenset[str]) -> Step:
    if node not in _lives(layout.owners):
        if node in past:
            return Reached(f"{node} has no part any more")
        return Refused(f"{node} is not a member; the members are {_names(layout.owners)}")
    left = len(layout.owners) - 1
    if left == 0:
        return Refused(f"{node} is the only owner")
    if left < layout.replication:
        return Refused(
            f"without {node} there are {left} owners for a replication of {layout.replication}; "
            "let another node join first, or replace it"
        )
    return _without(layout, node, alive)


def _without(layout: Layout, node: str, alive: Alive) -> Step:
    rest = tuple([member for member in layout.owners if member.name != node])
    if not rest:
        return Refused(f"{node} is the only owner, and its data are lost")
    return Propose(joint(layout, rest, alive))


def _replace(layout: Layout, wish: Replace, alive: Alive) -> Step:
    lives = _lives(layout.owners)
    if wish.node == wish.by:
        return Refused(f"{wish.node} cannot take its own place; let it leave, and join again")
    if wish.node not in lives:
        if lives.get(wish.by) == wish.birth:
            return Reached(f"{wish.by} is an owner, and {wish.node} is not")
        return Refused(f"{wish.node} is not a member; the members are {_names(layout.owners)}")
    if lives.get(wish.by) == wish.birth:  # it has joined by itself in the meantime
        return _leave(layout, wish.node, alive, frozenset())
    if wish.by in lives:
        return Refused(f"{wish.by} is an owner already, with another life of its data")
    rest = [member for member in layout.owners if member.name != wish.node]
    return Propose(joint(layout, (*rest, Member(wish.by, wish.birth)), alive))


def _bucket(layout: Layout, bucket: Bucket, alive: Alive) -> Step:
    for held in layout.buckets:
        if held == bucket:
            return Reached(f"there is a bucket {bucket.name}")
        if held.name == bucket.name:
            return Refused(
                f"there is a bucket {held.name} already, with {held.n} replicas and conflict {held.conflict}"
            )
    if len(layout.buckets) >= BUCKETS_MAX:
        return Refused(f"there are {BUCKETS_MAX} buckets, which is the most")
    buckets = sorted([*layout.buckets, bucket], key=lambda each: each.name)
    return Propose(joint(layout, layout.owners, alive, tuple(buckets)))


def _meanwhile(
    layout: Layout, wish: Wish, alive: Alive, past: frozenset[str], pulling: tuple[str, ...]
) -> Step:
    """Ownership moves: is it what is wished?"""
    now, then = _lives(layout.owners), _lives(layout.next or ())
    other = Refused(f"another change is under way: {described(layout)}", again=True)
    match wish:
        case Join(node, birth):
            return Wait() if then.get(node) == birth else other
        case Leave(node):
            if node not in then and node not in now and node in past:
                return Reached(f"{node} has no part any more")
            if node not in then:
                return Wait() if node in now else other
            calls_off = node not in now or (node in pulling and not alive(node))
            return Propose(called_off(layout, alive)) if calls_off else other
        case Replace(node, by, birth):
            return Wait(ours=node not in then) if then.get(by) == birth else other
        case Renew(node, birth):
            # A life that is lost cannot pull what its node gains, so that change would never end.
            lost = then.get(node, birth) != birth and node in pulling
            return Propose(called_off(layout, alive)) if lost else Wait(then.get(node) == birth)
    return Wait() if wish in (layout.next_buckets or ()) else other


def joint(
    layout: Layout, following: tuple[Member, ...], alive: Alive, buckets: tuple[Bucket, ...] | None = None
) -> Layout:
    """The layout after `layout` in which ownership moves to `following`."""
    following = tuple(sorted(following, key=_name))
    return Layout(
        epoch=layout.epoch + 1,
        owners=layout.owners,
        replication=layout.replication,
        vnodes=layout.vnodes,
        council=_council(layout, layout.owners, following, alive),
        next=following,
        buckets=layout.buckets,
        next_buckets=buckets,
    )


def completed(layout: Layout, alive: Alive) -> Layout:
    """The layout after the joint `layout` when all has moved."""
    assert layout.next is not None
    buckets = layout.buckets if layout.next_buckets is None else layout.next_buckets
    return _stable(layout, layout.next, buckets, alive)


def called_off(layout: Layout, alive: Alive) -> Layout:
    """The layout after the joint `layout` in which all is as before."""
    return _stable(layout, layout.owners, layout.buckets, alive)


def _stable(layout: Layout, owners: tuple[Member, ...], buckets: tuple[Bucket, ...], alive: Alive) -> Layout:
    return Layout(
        epoch=layout.epoch + 1,
        owners=owners,
        replication=layout.replication,
        vnodes=layout.vnodes,
        council=_council(layout, owners, owners, alive),
        buckets=buckets,
    )


def described(layout: Layout) -> str:
    """What is under way, for a person; empty: nothing."""
    now, then = set(layout.owners), set(layout.owners if layout.next is None else layout.next)
    joining = [f"{member.name} joins" for member in sorted(then - now, key=_name)]
    leaving = [f"{member.name} leaves" for member in sorted(now - then, key=_name)]
    buckets = [
        f"bucket {bucket.name} comes" for bucket in layout.next_buckets or () if bucket not in layout.buckets
    ]
    return ", ".join([*leaving, *joining, *buckets])


def _council(
    layout: Layout, owners: tuple[Member, ...], following: tuple[Member, ...], alive: Alive
) -> tuple[str, ...]:
    """Who decides on the layout after: nodes that are believed to be alive and that stay, if possible those
    who decide now. An odd number, as one more would bear no more failures."""
    stay = {member.name for member in owners} & {member.name for member in following}
    old = {member.name for member in owners}
    names = sorted(
        old | {member.name for member in following},
        key=lambda name: (
            not alive(name),
            name not in stay,
            name not in old,
            name not in layout.council,
            name,
        ),
    )
    size = min(len(names), COUNCIL_MAX)
    return tuple(sorted(names[: size - 1 + size % 2]))


def _lives(members: tuple[Member, ...]) -> dict[str, int]:
    return {member.name: member.birth for member in members}


def _name(member: Member) -> str:
    return member.name


def _names(members: tuple[Member, ...]) -> str:
    return ", ".join([member.name for member in members])
