from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers.carts import CartChecker
from checkers.history import Op, Type, pair
from checkers.verdict import Checker, Status
from harness.cluster.pace import PACE
from harness.cluster.sim import SimOptions
from harness.context import Context
from harness.generator import Generator
from harness.generators import clients
from harness.generators.wrapper import Wrapper
from harness.plan import Plan
from store.core.messages import (
    Body,
    Cas,
    ChangeElements,
    Done,
    Found,
    FoundCopies,
    FoundElements,
    FoundSiblings,
    Get,
    Inspect,
    Put,
    Response,
)
from tests.support.judged import judged
from tests.support.simulate import simulate
from workloads.cart import Cart, CartOps, Way, cart_names, way_of

AFTER = {"items": [3, 12], "context": "0a"}


def cart(way: Way, level: str = "one") -> Cart:
    return Cart(way, level, 3, cart_names(way, 3))


@pytest.mark.parametrize(
    ("way", "key", "level", "body"),
    [
        ("cas", "cart1", "linearizable", Cas("cart1", b"3,12", b"3,7,12", "linearizable")),
        ("put", "cart1", "quorum", Put("cart1", b"3,7,12", "quorum")),
        ("siblings", "siblings/cart1", "one", Put("siblings/cart1", b"3,7,12", "one", 0, b"\n")),
        ("set", "set/cart1", "one", ChangeElements("set/cart1", (b"7",), (), "one")),
    ],
)
def test_an_add_is_what_an_application_has_to_do(way: Way, key: str, level: str, body: Body) -> None:
    assert cart_names(way, 1) == (key,)
    work = cart(way, level)
    assert work.encode(Op(f="add", key=key, value={"item": 7, "after": AFTER})) == body
    assert work.encode(Op(f="read", key=key)) == Get(key, level)
    assert work.encode(Op(f="copies", key=key)) == Inspect(key)


@pytest.mark.parametrize(
    ("way", "key", "level", "body"),
    [
        ("cas", "cart1", "linearizable", Cas("cart1", b"3,12", b"12", "linearizable")),
        ("put", "cart1", "quorum", Put("cart1", b"12", "quorum")),
        ("siblings", "siblings/cart1", "one", Put("siblings/cart1", b"12", "one", 0, b"\n")),
        ("set", "set/cart1", "one", ChangeElements("set/cart1", (), (b"3",), "one")),
    ],
)
def test_a_removal_leaves_the_rest_of_what_was_seen(way: Way, key: str, level: str, body: Body) -> None:
    assert cart(way, level).encode(Op(f="remove", key=key, value={"item": 3, "after": AFTER})) == body


def test_an_emptied_register_is_not_taken_for_an_absent_one() -> None:
    work = cart("cas", "linearizable")
    last = {"item": 3, "after": {"items": [3]}}
    assert work.encode(Op(f="remove", key="c", value=last)) == Cas("c", b"3", b"", "linearizable")
    looked = work.decode(Op(f="read", key="c"), Found(1, b"")).value
    body = work.encode(Op(f="add", key="c", value={"item": 7, "after": looked}))
    assert body == Cas("c", b"", b"7", "linearizable")


def test_the_first_item_of_a_register_is_added_to_nothing() -> None:
    body = cart("cas", "linearizable").encode(Op(f="add", key="c", value={"item": 7, "after": {"items": []}}))
    assert body == Cas("c", None, b"7", "linearizable")


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (Found(1, None), {"items": []}),
        (Found(1, b"3,12"), {"items": [3, 12]}),
        (Found(1, b""), {"items": [], "emptied": True}),
        (FoundSiblings(1, (b"",), b"\n"), {"items": [], "values": 1, "context": "0a"}),
        (FoundSiblings(1, (b"3,4", b"12,4"), b"\n"), {"items": [3, 4, 12], "values": 2, "context": "0a"}),
        (FoundElements(1, (b"12", b"3")), {"items": [3, 12]}),
        (FoundCopies(1, {"n2": Found(0, b"3"), "n1": Found(0, None)}), {"n1": [], "n2": [3]}),
    ],
)
def test_a_look_tells_the_union_of_what_is_there(response: Response, told: dict[str, Any]) -> None:
    assert cart("put").decode(Op(f="read", key="c"), response).value == told


def test_a_change_that_was_done_is_ok_and_only_changes_change_anything() -> None:
    work = cart("put")
    op = Op(f="add", key="c", value={"item": 7, "after": AFTER})
    assert work.decode(op, Done(1)).type == "ok"
    told = [work.changes_nothing(Op(f=f)) for f in ("read", "copies", "add", "remove")]
    assert told == [True, True, False, False]


@pytest.mark.parametrize("ends", [("ok",), ("fail", "ok"), ("info", "ok", "ok", "fail")])
def test_whoever_adds_looked_first_and_no_two_add_to_one_cart_at_a_time(ends: tuple[Type, ...]) -> None:
    def fate(op: Op) -> tuple[int, Type]:
        end = ends[op.index % len(ends)]
        return 10 + op.index % 7, "fail" if op.f == "read" and end == "info" else end

    keys = ("a", "b", "c")
    history = simulate(clients(Answered(CartOps(keys, 5))), fate, concurrency=4, ops_max=600)
    operations = pair(history)
    adds = [each for each in operations if each.invoke.f == "add"]
    assert len(adds) > 20
    items = [each.invoke.value["item"] for each in adds]
    assert len(set(items)) == len(items)
    for add in adds:
        own = [each for each in operations if each.invoke.process == add.invoke.process]
        look = max((each for each in own if each.start < add.start), key=lambda each: each.start)
        assert (look.invoke.f, look.invoke.key, look.outcome) == ("read", add.invoke.key, "ok")
        others = [each for each in adds if each.invoke.key == add.invoke.key and each is not add]
        assert not any(look.start < (each.end or 0) and each.start < (add.end or 0) for each in others)


@pytest.mark.parametrize("removes", [False, True])
def test_only_what_the_look_showed_is_removed_and_nothing_where_it_is_not_asked_for(removes: bool) -> None:
    ops = Answered(CartOps(("a", "b"), 5, removes), (3, 12))
    history = simulate(clients(ops), lambda op: (10, "ok"), concurrency=4, ops_max=600)
    changes = [op for op in history if op.type == "invoke" and op.f != "read"]
    removals = [op for op in changes if op.f == "remove"]
    assert {op.value["item"] for op in removals} == ({3, 12} if removes else set())
    assert len(changes) / 8 < len(removals) < len(changes) / 2 or not removes


class Answered(Wrapper, frozen=True):
    """Every look that succeeds has found the same."""

    items: tuple[int, ...] = ()

    def update(self, ctx: Context, event: Op) -> Generator:
        looked = event.f == "read" and event.type == "ok"
        return super().update(ctx, replace(event, value={"items": list(self.items)}) if looked else event)


def test_levels_keep_carts_in_the_way_that_loses_nothing() -> None:
    assert [way_of(level) for level in ("linearizable", "one", "quorum,sloppy")] == [
        "cas",
        "siblings",
        "siblings",
    ]


@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("level", ["linearizable", "one", "quorum"])
def test_nothing_acknowledged_is_lost_under_partitions(tmp_path: Path, level: str, seed: int) -> None:
    plan = Plan(
        workload="cart", level=level, faults=("partition",), time_limit_s=5, fault_interval_s=2, seed=seed
    )
    verdict = judged(plan, tmp_path / "run", options=SimOptions(core=PACE))
    (found,) = [part for part in verdict.parts if part.checker == "carts"]
    assert found.status is Status.VALID, found.summary
    assert found.details["acknowledged"] > 50
    assert found.details["removed"] > 10


class Demanding(Cart):
    """Convicts what came back, whether the store promises that or not."""

    def checkers(self) -> list[Checker]:
        return [CartChecker(False, keeps_removed=True)]


@pytest.mark.parametrize(("way", "seed"), [("siblings", 3), ("put", 3), ("set", 4)])
def test_what_partitions_bring_back_is_found(tmp_path: Path, way: Way, seed: int) -> None:
    """Of the set: an add that was asked of two replicas, of which one was cut off until after the removal."""
    plan = Plan(
        workload="cart", level="one", faults=("partition",), time_limit_s=8, fault_interval_s=3, seed=seed
    )
    work = Demanding(way, "one", 3, cart_names(way, 100), removes=True)
    verdict = judged(plan, tmp_path / "run", options=SimOptions(core=PACE), workload=work)
    (found,) = [part for part in verdict.parts if part.checker == "carts"]
    assert found.status is Status.INVALID
    assert "removed items came back" in found.summary


def test_blind_puts_at_level_one_lose_what_the_other_side_added(tmp_path: Path) -> None:
    plan = Plan(
        workload="cart", level="one", faults=("partition",), time_limit_s=8, fault_interval_s=3, seed=3
    )
    work = Cart("put", "one", 3, cart_names("put", 5))
    verdict = judged(plan, tmp_path / "run", options=SimOptions(core=PACE), workload=work)
    (found,) = [part for part in verdict.parts if part.checker == "carts"]
    assert found.status is Status.INVALID
    assert found.details["lost"] > 0


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"items": [7, 12], "context": "0b"}, Status.VALID),  # the same, by another way
        (
            {"items": [3, 7, 12], "context": "0b"},
            Status.VALID,
        ),  # what the unknown add had seen, and puts back
        ({"items": [7, 8, 12], "context": "0b"}, Status.VALID),
        ({"items": [7, 9, 12], "context": "0a"}, Status.INVALID),
        ({"items": [8, 12], "context": "0a"}, Status.INVALID),
        ("unreadable", Status.INVALID),
    ],
)
def test_at_the_end_carts_may_differ_by_what_an_unknown_change_would_put(value: Any, status: Status) -> None:
    def op(process: int, f: str, asked: Any, end: Type, told: Any = None) -> list[Op]:
        return [
            Op(process=process, f=f, key="siblings/cart1", value=asked),
            Op(process=process, type=end, f=f, key="siblings/cart1", value=told),
        ]

    history = [
        *op(0, "add", {"item": 7, "after": AFTER}, "ok"),
        *op(1, "add", {"item": 8, "after": AFTER}, "info"),
        *op(2, "remove", {"item": 3, "after": AFTER}, "ok"),
        *op(3, "read", None, "ok", {"items": [7, 12], "context": "0a"}),
        *op(4, "read", None, "ok", value),
    ]
    (last,) = [each for each in cart("siblings").checkers() if each.name == "last-reads"]
    assert last.check(history).status is status
