"""Stores broken in one thing each, and the workloads that have to find it out in one short run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers.verdict import Status, Verdict
from harness.cluster.base import NotSent, Session
from harness.cluster.pace import PACE
from harness.cluster.sim import SimCluster, SimOptions
from harness.plan import Plan
from store.core.data import siblings
from store.core.messages import (
    Body,
    Cas,
    ChangeElements,
    Delete,
    Done,
    Failed,
    Found,
    FoundElements,
    FoundSiblings,
    Get,
    Increment,
    Put,
    Response,
    Siblings,
)
from store.core.node import Node
from store.core.replica import ACCEPTOR, DATUM
from tests.support.judged import judged

LIN = "linearizable"


class Lying:
    """A connection to a coordinator that is broken. Implements `Session`."""

    def __init__(self, sound: Session, node: str) -> None:
        self.sound = sound
        self.node = node
        self.changes = 0
        self.told: dict[str, Response] = {}

    async def request(self, body: Body, timeout_s: float) -> Response:
        return await self.sound.request(body, timeout_s)

    async def close(self) -> None:
        await self.sound.close()


class AcknowledgesBeforeItWrites(Lying):
    """And does not come to write one in ten."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Cas | ChangeElements | Delete | Increment | Put):
            self.changes += 1
            if self.changes % 10 == 0:
                return Done(0)
        return await super().request(body, timeout_s)


class ComparesNothing(Lying):
    """A cas is a put, so what two clients do at once is done twice, or undone."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Cas) and body.value is not None:
            body = Put(body.key, body.value, body.level)
        return await super().request(body, timeout_s)


class CountsTwice(Lying):
    """An increment is asked again at once, as if the first had not been heard."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        response = await super().request(body, timeout_s)
        self.changes += isinstance(body, Increment)
        if isinstance(body, Increment) and isinstance(response, Done) and self.changes % 10 == 0:
            return await super().request(body, timeout_s)
        return response


class ReadsWhatItReadBefore(Lying):
    """n2 keeps what it tells of a key, and tells it again."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        if not isinstance(body, Get) or self.node != "n2":
            return await super().request(body, timeout_s)
        if body.key not in self.told:
            response = await super().request(body, timeout_s)
            if isinstance(response, Failed):
                return response
            self.told[body.key] = response
        return self.told[body.key]


class RemovesNothing(Lying):
    """What takes an item out of a list in a register is acknowledged, and not done."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Cas) and body.expect is not None and len(body.value or b"") < len(body.expect):
            return Done(0)
        return await super().request(body, timeout_s)


class SpoilsAByte(Lying):
    """One answer in twenty is not what is kept: its first byte is another."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        response = await super().request(body, timeout_s)
        self.changes += 1
        if self.changes % 20:
            return response
        match response:
            case Found(_, value) if value:
                return replace(response, value=_spoilt(value))
            case FoundElements(_, elements) if elements:
                return replace(response, elements=tuple(map(_spoilt, elements)))
            case FoundSiblings(_, values, _) if values:
                return replace(response, values=tuple(map(_spoilt, values)))
        return response


def _spoilt(value: bytes) -> bytes:
    return b"\x80" + value[1:]


class ForgetsWhatItKept(Node):
    """A node that was killed has lost what clients wrote, when it runs again."""

    def __init__(self, *made_of: Any) -> None:
        super().__init__(*made_of)
        for family in (DATUM, ACCEPTOR):
            for key in self.journal.scan(family, family + "\x01", 100_000):
                self.journal.put(key, None)


def found(
    run_dir: Path,
    workload: str,
    level: str,
    lying: Callable[[Session, str], Session] = Lying,
    faults: str = "partition,kill",
    make: Any = Node,
) -> dict[str, Verdict]:
    class Broken(SimCluster):
        async def connect(self, node: str) -> Any:
            return lying(await super().connect(node), node)

    plan = Plan(
        workload=workload,
        level=level,
        faults=tuple(faults.split(",")),
        time_limit_s=4,
        fault_interval_s=1,
        rate=150,
        seed=1,
    )
    whole = judged(plan, run_dir, make=make, options=SimOptions(core=PACE), cluster=Broken)
    return {part.checker: part for part in whole.parts}


def convicts(parts: dict[str, Verdict]) -> set[str]:
    return {name for name, part in parts.items() if part.status is Status.INVALID}


@pytest.mark.parametrize(
    ("workload", "level", "lying", "by"),
    [
        ("kv", LIN, AcknowledgesBeforeItWrites, "linearizable"),
        ("kv", "quorum", AcknowledgesBeforeItWrites, "convergence"),
        ("set", LIN, AcknowledgesBeforeItWrites, "set"),
        ("set", "one", AcknowledgesBeforeItWrites, "set"),
        ("set-full", "one", AcknowledgesBeforeItWrites, "set-full"),
        ("counter", "one", AcknowledgesBeforeItWrites, "counter"),
        ("queue", LIN, AcknowledgesBeforeItWrites, "queue"),
        ("cart", "one", AcknowledgesBeforeItWrites, "carts"),
        ("unique-ids", LIN, AcknowledgesBeforeItWrites, "unique-ids"),
        ("monotonic", LIN, AcknowledgesBeforeItWrites, "monotonic"),
        ("set", LIN, ComparesNothing, "set"),
        ("counter", LIN, ComparesNothing, "counter"),
        ("queue", LIN, ComparesNothing, "queue"),
        ("unique-ids", LIN, ComparesNothing, "unique-ids"),
        ("counter", "one", CountsTwice, "counter"),
        ("cart", LIN, RemovesNothing, "carts"),
        ("kv", LIN, SpoilsAByte, "linearizable"),
        ("set", "one", SpoilsAByte, "set"),
        ("set-full", "one", SpoilsAByte, "set-full"),
        ("counter", LIN, SpoilsAByte, "stats"),
        ("queue", LIN, SpoilsAByte, "stats"),
        ("cart", "one", SpoilsAByte, "stats"),
        ("cart", LIN, SpoilsAByte, "stats"),
        ("sessions", LIN, SpoilsAByte, "sessions"),
        ("monotonic", LIN, SpoilsAByte, "stats"),
        ("unique-ids", LIN, SpoilsAByte, "stats"),
        ("kv", LIN, ReadsWhatItReadBefore, "linearizable"),
        ("kv", "quorum", ReadsWhatItReadBefore, "staleness"),
        ("set", LIN, ReadsWhatItReadBefore, "last-reads"),
        ("set-full", "quorum", ReadsWhatItReadBefore, "set-full"),
        ("counter", "quorum", ReadsWhatItReadBefore, "counter"),
        ("cart", "quorum", ReadsWhatItReadBefore, "carts"),
        ("sessions", LIN, ReadsWhatItReadBefore, "sessions"),
        ("monotonic", LIN, ReadsWhatItReadBefore, "monotonic"),
    ],
)
def test_a_broken_coordinator_is_found_out(
    workload: str, level: str, lying: Callable[[Session, str], Session], by: str, tmp_path: Path
) -> None:
    assert by in convicts(found(tmp_path, workload, level, lying))


class ShowsAnEmptySet(Lying):
    """n2 has not heard of what is in sets."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        response = await super().request(body, timeout_s)
        if self.node == "n2" and isinstance(response, FoundElements):
            return replace(response, elements=())
        return response


@pytest.mark.parametrize(
    ("workload", "lying"),
    [
        ("kv", ReadsWhatItReadBefore),
        ("set", ShowsAnEmptySet),
        ("set-full", ReadsWhatItReadBefore),
        ("counter", ReadsWhatItReadBefore),
        ("cart", ReadsWhatItReadBefore),
        ("sessions", ReadsWhatItReadBefore),
        ("monotonic", ReadsWhatItReadBefore),
    ],
)
def test_one_node_that_is_behind_at_the_very_end_is_found_out_at_any_level(
    workload: str, lying: Callable[[Session, str], Session], tmp_path: Path
) -> None:
    assert "last-reads" in convicts(found(tmp_path, workload, "one", lying, "partition"))


@pytest.mark.parametrize(
    ("workload", "level", "by"),
    [
        ("unique-ids", LIN, "unique-ids"),
        ("queue", LIN, "queue"),
        ("set", LIN, "set"),
        ("kv", LIN, "linearizable"),
        ("kv", "quorum", "convergence"),
        ("set", "quorum", "set"),
        ("counter", "quorum", "counter"),
    ],
)
def test_replicas_that_forget_are_found_out(workload: str, level: str, by: str, tmp_path: Path) -> None:
    """Identifiers, for one, begin again."""
    assert by in convicts(found(tmp_path, workload, level, faults="kill:all", make=ForgetsWhatItKept))


def test_a_merge_that_drops_a_sibling_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def the_later(a: Siblings, b: Siblings) -> Siblings:
        return a if a.stamp >= b.stamp else b

    monkeypatch.setattr(siblings, "sync", the_later)
    assert "carts" in convicts(found(tmp_path, "cart", "one"))


class SilentAboutOneKey(Lying):
    """No coordinator answers a read of one key, ever."""

    async def request(self, body: Body, timeout_s: float) -> Response:
        if isinstance(body, Get) and body.key.endswith("1"):
            raise NotSent("it is out of order")
        return await super().request(body, timeout_s)


@pytest.mark.parametrize(
    ("workload", "level"),
    [("kv", LIN), ("kv", "one"), ("set-full", "one"), ("counter", "one"), ("sessions", LIN)],
)
def test_what_nobody_could_read_at_the_end_is_not_told_as_valid(
    workload: str, level: str, tmp_path: Path
) -> None:
    part = found(tmp_path, workload, level, SilentAboutOneKey, "pause")["last-reads"]
    assert part.status is Status.UNKNOWN, part
    assert "nobody has read" in part.summary
