"""The client of a whole cluster: who is asked, who is asked next, and what is never asked twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from harness.cluster.process import comes_true
from store.client import (
    BadRequest,
    Client,
    Cluster,
    Lost,
    Mismatch,
    NotSent,
    NotServed,
    Operations,
    StoreError,
    open_cluster,
)
from store.client.pool import BUSY, CONNECTIONS_MAX
from store.core.messages import Get, Increment, Put, Request, Response
from store.core.ownership.layout import Placement
from tests.support.fake_node import (
    HANG_UP,
    SILENCE,
    Answer,
    FakeNode,
    know_each_other,
    refusing,
    served,
)

NAMES = ("n1", "n2", "n3", "n4", "n5")
Test = Callable[[dict[str, FakeNode], Cluster], Awaitable[None]]


def with_cluster(test: Test, count: int = 5, seeds: int = 1) -> None:
    """Run `test` with `count` nodes that serve, and a client that was given the first `seeds` of them."""

    async def main() -> None:
        nodes = {name: FakeNode(name, served) for name in NAMES[:count]}
        for node in nodes.values():
            node.bind()
        know_each_other(nodes.values(), min(3, count))
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for node in nodes.values():
                    nursery.start_soon(node.serve)
                at = [node.address for node in nodes.values()][:seeds]
                async with open_cluster(at, "demo") as store:
                    await test(nodes, store)
                nursery.cancel_scope.cancel()

    trio.run(main)


def owners(store: Cluster, key: str) -> tuple[str, ...]:
    assert store.placement is not None
    (names,) = store.placement.replicas(key)
    return names


def asked(nodes: dict[str, FakeNode]) -> list[str]:
    return [name for name, node in nodes.items() for _ in node.asked]


def test_the_first_owner_of_a_key_is_asked() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        for number in range(30):
            for node in nodes.values():
                node.asked.clear()
            key = f"k{number}"
            await store.put(key, b"v")
            assert await store.get(key) == b"v"
            first = owners(store, key)[0]
            assert asked(nodes) == [first, first]

    with_cluster(test)


@pytest.mark.parametrize("code", ["unavailable", "overloaded", "disk-full"])
def test_another_owner_is_asked_after_a_refusal_that_it_need_not_share(code: str) -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        first, second, _ = owners(store, "k")
        nodes[first].answer = refusing(code)
        await store.put("k", b"v")
        await store.incr("k")
        assert nodes[second].asked == [Put("k", b"v", "linearizable"), Increment("k", 1, "quorum")]

    with_cluster(test)


@pytest.mark.parametrize(("code", "kind"), [("mismatch", Mismatch), ("bad-request", NotServed)])
def test_a_refusal_that_all_share_is_final(code: str, kind: type[StoreError]) -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        nodes[owners(store, "k")[0]].answer = refusing(code)
        with pytest.raises(kind):
            await store.cas("k", None, b"v")
        assert len(asked(nodes)) == 1

    with_cluster(test)


@pytest.mark.parametrize("behaviour", ["timeout", "contended", "disk", HANG_UP, SILENCE])
def test_a_write_that_may_have_had_an_effect_is_never_asked_again(behaviour: str) -> None:
    def answer(request: Request) -> Answer:
        if behaviour in (HANG_UP, SILENCE):
            return behaviour
        return refusing(behaviour)(request)

    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        nodes[owners(store, "k")[0]].answer = answer
        for ask in (
            lambda: store.put("k", b"v", timeout_s=0.5),
            lambda: store.delete("k", timeout_s=0.5),
            lambda: store.incr("k", timeout_s=0.5),
            lambda: store.change_elements("k", [b"x"], timeout_s=0.5),
        ):
            for node in nodes.values():
                node.asked.clear()
            with pytest.raises((Lost, NotServed)) as caught:
                await ask()
            assert not caught.value.definite
            assert len(asked(nodes)) == 1
            store._routing.served(nodes[owners(store, "k")[0]].address)

    with_cluster(test)


@pytest.mark.parametrize("behaviour", ["timeout", HANG_UP, SILENCE])
def test_a_read_is_asked_elsewhere_within_its_time(behaviour: str) -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        first, second, _ = owners(store, "k")
        nodes[first].answer = lambda request: (
            behaviour if behaviour in (HANG_UP, SILENCE) else refusing(behaviour)(request)
        )
        start = trio.current_time()
        assert await store.get("k", timeout_s=2) == b"v"
        assert trio.current_time() - start < 2
        assert nodes[second].asked == [Get("k", "linearizable")]

    with_cluster(test)


def test_a_node_that_is_gone_costs_nothing_and_is_avoided() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        await store.put("k", b"v")
        first, second, _ = owners(store, "k")
        nodes[first].stop()
        await trio.testing.wait_all_tasks_blocked(0.01)
        for _ in range(3):
            await store.put("k", b"v")
        assert len(nodes[second].asked) == 3

    with_cluster(test)


def test_when_nobody_serves_the_last_refusal_is_told() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        for node in nodes.values():
            node.answer = refusing("unavailable")
        with pytest.raises(NotServed, match="unavailable: as it is") as caught:
            await store.put("k", b"v")
        assert caught.value.definite
        assert sorted(asked(nodes)) == list(NAMES)

    with_cluster(test)


def test_a_new_layout_is_learnt_after_a_refusal() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        five = {name: nodes[name] for name in NAMES[:4]}
        layout = know_each_other(five.values(), epoch=2)
        nodes["n5"].answer = refusing("unavailable")
        place = Placement(layout)
        moved = next(f"k{n}" for n in range(1000) if owners(store, f"k{n}")[0] == "n5")
        await store.put(moved, b"v")
        assert await comes_true(lambda: store.placement is not None and store.placement.epoch == 2, 5)
        for node in nodes.values():
            node.asked.clear()
        await store.put(moved, b"v")
        assert asked(nodes) == [place.replicas(moved)[0][0]]
        assert "n5" not in store.nodes

    with_cluster(test, seeds=2)


def test_an_older_layout_is_not_believed() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        know_each_other(nodes.values(), epoch=3)
        await store.locate_now(1)
        know_each_other(nodes.values(), epoch=2)
        await store.locate_now(1)
        assert store.placement is not None
        assert store.placement.epoch == 3

    with_cluster(test)


def test_any_seed_that_is_up_is_enough_and_none_is_not_sent() -> None:
    async def main() -> None:
        node, gone = FakeNode("n1", served), FakeNode("n2", served)
        node.bind()
        gone.bind()
        know_each_other([node], 1)
        gone._listener.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.serve)
            async with open_cluster([str(gone.address), str(node.address)], "demo") as store:
                assert await store.get("k") == b"v"
            with pytest.raises(NotSent, match="cannot be reached: Connection refused"):
                async with open_cluster([gone.address], "demo"):
                    pass
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_what_is_raised_in_the_block_comes_out_as_it_is() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with open_cluster([nodes["n1"].address], "demo"):
                raise KeyError("mine")

    with_cluster(test, count=1)


def test_many_requests_share_a_few_connections() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        held: list[Request] = []

        def hold(request: Request) -> Response | str:
            held.append(request)
            return SILENCE

        nodes["n1"].answer = hold
        before = nodes["n1"].connections
        async with trio.open_nursery() as nursery:
            for number in range(6 * BUSY):
                nursery.start_soon(store.put, f"k{number}", b"v")
            assert await comes_true(lambda: len(held) == 6 * BUSY, 5)
            assert nodes["n1"].connections - before == CONNECTIONS_MAX - 1
            nursery.cancel_scope.cancel()

    with_cluster(test, count=1)


def test_a_busy_connection_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        async def unreachable(*args: object) -> Client:
            raise NotSent("no more are let in")

        held: list[Request] = []

        def hold(request: Request) -> Response | str:
            held.append(request)
            return SILENCE if len(held) <= BUSY else served(request)

        nodes["n1"].answer = hold
        monkeypatch.setattr(Client, "open", unreachable)
        async with trio.open_nursery() as nursery:
            for number in range(BUSY):
                nursery.start_soon(store.put, f"k{number}", b"v")
            assert await comes_true(lambda: len(held) == BUSY, 5)
            await store.put("k", b"v")
            nursery.cancel_scope.cancel()

    with_cluster(test, count=1)


def test_one_node_can_be_asked_and_no_other() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        nodes["n4"].answer = refusing("unavailable")
        with pytest.raises(NotServed):
            await store.at(nodes["n4"].address).put("k", b"v")
        assert asked(nodes) == ["n4"]
        with pytest.raises(BadRequest):
            await store.at(nodes["n3"].address).put("", b"v")

    with_cluster(test)


def test_many_that_begin_at_once_share_a_few_connections_too() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        nodes["n2"].answer = lambda request: SILENCE
        async with trio.open_nursery() as nursery:
            for number in range(6 * BUSY):
                nursery.start_soon(store.at(nodes["n2"].address).put, f"k{number}", b"v")
            assert await comes_true(lambda: len(nodes["n2"].asked) == 6 * BUSY, 5)
            assert nodes["n2"].connections <= CONNECTIONS_MAX
            nursery.cancel_scope.cancel()

    with_cluster(test, count=2)


def test_who_waits_for_a_connection_that_fails_or_is_given_up_opens_one_of_its_own() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        outcomes: list[str] = []

        async def put(number: int, patience_s: float) -> None:
            with trio.move_on_after(patience_s):
                try:
                    await store.at(nodes["n2"].address).put(f"k{number}", b"v")
                except NotSent:
                    outcomes.append("not sent")
                else:
                    outcomes.append("done")

        async with trio.open_nursery() as nursery:
            for number in range(CONNECTIONS_MAX):
                nursery.start_soon(put, number, 0)
            for number in range(3 * CONNECTIONS_MAX):
                nursery.start_soon(put, number, 5)
        assert outcomes == ["done"] * 3 * CONNECTIONS_MAX
        nodes["n3"].stop()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(3 * CONNECTIONS_MAX):
                nursery.start_soon(refused_by, store.at(nodes["n3"].address), number, outcomes)
        assert outcomes[3 * CONNECTIONS_MAX :] == ["not sent"] * 3 * CONNECTIONS_MAX
        assert trio.current_time() - start < 2

    with_cluster(test, count=3)


async def refused_by(node: Operations, number: int, outcomes: list[str]) -> None:
    try:
        await node.put(f"k{number}", b"v")
    except NotSent:
        outcomes.append("not sent")


def test_a_write_on_its_way_to_a_node_that_leaves_is_not_cut_off() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        leaver, stayers = nodes["n3"], [nodes["n1"], nodes["n2"]]
        asked_at = trio.Event()

        def hold(request: Request) -> Response | str:
            asked_at.set()
            return SILENCE

        leaver.answer = hold
        outcomes: list[str] = []

        async def put() -> None:
            try:
                await store.at(leaver.address).put("k", b"v", timeout_s=1)
            except Lost as error:
                outcomes.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(put)
            await asked_at.wait()
            know_each_other(stayers, 2, epoch=3)
            await store.locate_now(1)
        assert [outcome.partition(" within")[0] for outcome in outcomes] == [
            f"node at {leaver.address} did not answer"
        ]
        await store.locate_now(1)
        assert await comes_true(lambda: not leaver.open, 5)

    with_cluster(test, count=3)


def test_a_connection_that_is_made_after_the_end_is_closed() -> None:
    async def test(nodes: dict[str, FakeNode], store: Cluster) -> None:
        node = store.at(nodes["n2"].address)
        outcomes: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused_by, node, 1, outcomes)
            await trio.lowlevel.checkpoint()
            await store.close()
        assert outcomes == ["not sent"]

    with_cluster(test, count=2)
