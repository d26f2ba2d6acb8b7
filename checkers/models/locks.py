"""Locks and permits.

Who holds them is told by the operation's value, as in Jepsen's tests of Hazelcast's CP subsystem: either the
client itself ("n1", a number, a session's id), or a map that names it (`{:client "n1"}`; other entries, such
as a fence, are not looked at). The invocation must name the client as its completion does, or else one that
crashed would be somebody else's. Fences are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, show


class Mutex(Model):
    """A lock: held or free, by whomever."""

    name = "mutex"
    summary = "acquire and release of a lock"
    operations = frozenset({"acquire", "release"})
    initial = "free"

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "acquire":
            return "held" if state == "free" else ILLEGAL
        return "free" if state == "held" else ILLEGAL

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return "held" if f == "acquire" else "free"

    def needs(self, f: str, value: Value) -> State | Illegal:
        return "free" if f == "acquire" else "held"

    def in_words(self, f: str, value: Value) -> str:
        return "acquired the lock" if f == "acquire" else "released the lock"


class OwnerAwareMutex(Model):
    """A lock that only its holder can release. A state is the holder, or None."""

    name = "owner-aware-mutex"
    summary = "acquire and release of a lock by the client that the value names"
    operations = frozenset({"acquire", "release"})
    initial = None

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        client = holder(value)
        if f == "acquire":
            return client if state is None else ILLEGAL
        return None if state == client else ILLEGAL

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return holder(value) if f == "acquire" else None

    def needs(self, f: str, value: Value) -> State | Illegal:
        return None if f == "acquire" else holder(value)

    def malformed(self, f: str, value: Value) -> str | None:
        return _nobody(f, value)

    def in_words(self, f: str, value: Value) -> str:
        return _told(f, value)


class Held(NamedTuple):
    """Who holds a reentrant lock, and how many times."""

    client: Value
    times: int


class ReentrantMutex(Model):
    """A lock that its holder may acquire again, up to `limit` times in all (None: as often as it likes), and
    that is free when it was released as often. A state is None or Held."""

    name = "reentrant-mutex"
    summary = "acquire and release of a lock that its holder may acquire again; the value names the client"
    operations = frozenset({"acquire", "release"})
    initial = None

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"a lock can be held at least once, not {limit} times")
        self._limit = limit

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        client = holder(value)
        if state is None:
            return Held(client, 1) if f == "acquire" else ILLEGAL
        if state.client != client:
            return ILLEGAL
        times = state.times + (1 if f == "acquire" else -1)
        if self._limit is not None and times > self._limit:
            return ILLEGAL
        return Held(client, times) if times else None

    def malformed(self, f: str, value: Value) -> str | None:
        return _nobody(f, value)

    def in_words(self, f: str, value: Value) -> str:
        return _told(f, value)


class Semaphore(Model):
    """Permits, taken and given back one at a time. Where the value names a client, it can only give back
    what it took itself; operations without one share what they take. A state is the clients that hold
    permits, each with how many, by their text."""

    name = "semaphore"
    summary = "acquire and release of permits: one, or as many as semaphore:N says"
    operations = frozenset({"acquire", "release"})
    initial = ()

    def __init__(self, permits: int = 1) -> None:
        if permits < 1:
            raise ValueError(f"a semaphore has at least one permit, not {permits}")
        self._permits = permits

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        client = holder(value)
        held = dict(state)
        if f == "acquire":
            if sum(held.values()) >= self._permits:
                return ILLEGAL
            held[client] = held.get(client, 0) + 1
        elif client not in held:
            return ILLEGAL
        else:
            held[client] -= 1
        return tuple(sorted(((who, times) for who, times in held.items() if times), key=_by_text))

    def in_words(self, f: str, value: Value) -> str:
        did = "took a permit" if f == "acquire" else "gave a permit back"
        return did if holder(value) is None else f"{did} as {show(holder(value))}"


def holder(value: Value) -> Value:
    """The client that a value names: `n1`, or a map with the entry `client`."""
    if isinstance(value, tuple):
        for entry in value:
            if isinstance(entry, tuple) and len(entry) == 2 and entry[0] in ("client", ":client"):
                return entry[1]
    return value


def _by_text(held: tuple[Value, int]) -> str:
    return show(held[0])


def _nobody(f: str, value: Value) -> str | None:
    if holder(value) is not None:
        return None
    return f"the value of an {f} names the client, as in {{:client n1}}, and is not {show(value)}"


def _told(f: str, value: Value) -> str:
    return f"{'acquired' if f == 'acquire' else 'released'} the lock as {show(holder(value))}"
