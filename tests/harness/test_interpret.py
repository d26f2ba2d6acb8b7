"""The loop for real clusters, against a register in memory, on trio's mock clock: no test takes real time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from checkers.history import NEMESIS, Op, pair
from harness.cluster.base import Lost, NodeState, NotSent, Session
from harness.generator import Generator, GeneratorError
from harness.generators import (
    any_of,
    clients,
    each_thread,
    limit,
    nemesis,
    numbered,
    phases,
    repeat,
    sequence,
    sleep,
    stagger,
    time_limit,
)
from harness.generators.leaf import as_generator
from harness.interpreter import GRACE_S, LOOK_S, interpret
from harness.scheduler import CompletionError, Scheduler
from store.core.messages import Body, Done, Failed, Found, Get, Put, Response

READ = Op(f="read", key="x")
Behave = Callable[[str, Body], Awaitable[Response | None]]
"""What a node does with a request before (or instead of) serving it from the register."""


class MemoryCluster:
    """A register that all nodes share. Every session is counted, so that a test can see leaks."""

    name = "memory"
    nodes: tuple[str, ...] = ("n1", "n2", "n3")

    def __init__(
        self, behave: Behave | None = None, refuse: Callable[[str], bool] = lambda node: False
    ) -> None:
        self.behave = behave
        self.refuse = refuse
        self.values: dict[str, bytes] = {}
        self.connected: list[str] = []
        self.open = 0
        self.attempts: list[tuple[str, float]] = []

    async def setup(self, run_dir: Path) -> None: ...

    async def connect(self, node: str) -> Session:
        self.attempts.append((node, trio.current_time()))
        if self.refuse(node):
            raise NotSent(f"{node} refuses connections")
        self.connected.append(node)
        self.open += 1
        return MemorySession(self, node)

    def states(self) -> dict[str, NodeState]:
        return dict.fromkeys(self.nodes, "up")

    def unexpected_deaths(self) -> list[str]:
        return []

    async def teardown(self) -> None: ...


class MemorySession:
    def __init__(self, cluster: MemoryCluster, node: str) -> None:
        self.cluster = cluster
        self.node = node
        self.closed = False

    async def request(self, body: Body, timeout_s: float) -> Response:
        assert not self.closed
        answer = None if self.cluster.behave is None else await self.cluster.behave(self.node, body)
        if answer is not None:
            return answer
        if isinstance(body, Put):
            self.cluster.values[body.key] = body.value
            return Done(0)
        assert isinstance(body, Get)
        return Found(0, self.cluster.values.get(body.key))

    async def close(self) -> None:
        assert not self.closed
        self.closed = True
        self.cluster.open -= 1


class RegisterCodec:
    def encode(self, op: Op) -> Body:
        assert op.key is not None
        return Get(op.key, "one") if op.f == "read" else Put(op.key, b"%d" % op.value, "one")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            return replace(op, type="ok", value=None if response.value is None else int(response.value))
        return replace(op, type="ok")

    def changes_nothing(self, op: Op) -> bool:
        return op.f == "read"


def writes() -> Generator:
    return numbered(lambda i: Op(f="write", key="x", value=i))


def run(
    generator: Generator,
    cluster: MemoryCluster | None = None,
    concurrency: int = 3,
    nemesis: Callable[[Op], Awaitable[Op]] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    healing: Generator | None = None,
    codec: RegisterCodec | None = None,
    afterwards: Callable[[], Awaitable[None]] | None = None,
) -> list[Op]:
    """The history. Time-outs: 5 s for an operation, 20 s for the nemesis, 100 s for the run."""
    cluster = cluster or MemoryCluster()
    history: list[Op] = []

    async def calm(op: Op) -> Op:
        return op

    async def main() -> None:
        try:
            await interpret(
                Scheduler(generator, concurrency, history.append),
                cluster,
                codec or RegisterCodec(),
                nemesis or calm,
                op_timeout_s=5,
                nemesis_timeout_s=20,
                hard_deadline_s=100,
                should_stop=should_stop,
                healing=lambda: healing or sequence(),
                tick=lambda: None,
            )
        finally:
            if afterwards is not None:
                await afterwards()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    pair(history)
    assert [op.index for op in history] == list(range(len(history)))
    return history


def seconds(op: Op) -> float:
    return op.time / 1e9


def delays(delay_s: float) -> Behave:
    async def behave(node: str, body: Body) -> None:
        await trio.sleep(delay_s)

    return behave


async def hang(node: str, body: Body) -> None:
    await trio.sleep_forever()


def test_operations_reach_the_store_and_their_answers_the_history() -> None:
    history = run(clients(phases(Op(f="write", key="x", value=7), READ)), concurrency=1)
    assert [(op.type, op.f, op.value) for op in history] == [
        ("invoke", "write", 7),
        ("ok", "write", 7),
        ("invoke", "read", None),
        ("ok", "read", 7),
    ]


def test_workers_are_dealt_to_the_nodes_in_turn_and_keep_their_connection() -> None:
    cluster = MemoryCluster(delays(0.01))
    run(clients(each_thread(limit(5, repeat(READ)))), cluster, concurrency=7)
    assert sorted(cluster.connected) == ["n1"] * 3 + ["n2"] * 2 + ["n3"] * 2
    assert cluster.open == 0


def test_operations_come_when_they_are_due() -> None:
    history = run(clients(sequence(sleep(2), READ, sleep(3), READ)))
    assert [seconds(op) for op in history if op.type == "invoke"] == [2, 5]


def test_clients_are_concurrent() -> None:
    history = run(clients(limit(30, repeat(READ))), MemoryCluster(delays(1)), concurrency=10)
    assert seconds(history[-1]) == pytest.approx(3)


def test_completions_are_told_before_more_is_asked() -> None:
    history = run(clients(limit(40, writes())), MemoryCluster(delays(1)), concurrency=4)
    for second in range(1, 10):
        types = [op.type for op in history if seconds(op) == pytest.approx(second)]
        assert types == ["ok"] * 4 + ["invoke"] * 4


@pytest.mark.parametrize("error", [Lost("no answer"), Failed(0, "timeout", "too few")])
def test_a_write_in_doubt_is_info_and_its_thread_goes_on_as_another_with_a_new_session(
    error: Lost | Failed,
) -> None:
    async def doubt(node: str, body: Body) -> Response:
        if isinstance(error, Lost):
            raise error
        return error

    cluster = MemoryCluster(doubt)
    history = run(clients(limit(3, writes())), cluster, concurrency=1)
    assert [(op.process, op.type) for op in history] == [
        (process, type_) for process in range(3) for type_ in ("invoke", "info")
    ]
    assert len(cluster.connected) == 3
    assert cluster.open == 0


def test_a_lost_read_fails_and_its_session_is_not_used_again() -> None:
    async def lose(node: str, body: Body) -> None:
        raise Lost("the connection broke")

    cluster = MemoryCluster(lose)
    history = run(clients(limit(3, repeat(READ))), cluster, concurrency=1)
    assert [(op.process, op.type) for op in history] == [(0, "invoke"), (0, "fail")] * 3
    assert len(cluster.connected) == 3


def test_a_refused_operation_fails_and_keeps_its_session() -> None:
    async def refuse(node: str, body: Body) -> Response:
        return Failed(0, "unavailable", "")

    cluster = MemoryCluster(refuse)
    history = run(clients(limit(3, writes())), cluster, concurrency=1)
    assert [op.error for op in history if op.type == "fail"] == ["unavailable"] * 3
    assert len(cluster.connected) == 1


def test_where_nothing_can_be_sent_operations_fail() -> None:
    history = run(clients(limit(2, writes())), MemoryCluster(refuse=lambda node: True), concurrency=1)
    assert [(op.process, op.type, op.error) for op in history if op.type != "invoke"] == [
        (0, "fail", "n1 refuses connections")
    ] * 2


def test_a_dead_node_neither_floods_the_history_nor_starves_the_workers_of_others() -> None:
    cluster = MemoryCluster(delays(0.05), refuse=lambda node: node == "n1")
    history = run(clients(time_limit(10, writes())), cluster, concurrency=3)
    by_thread = [sum(op.process == p and op.type != "invoke" for op in history) for p in range(3)]
    assert by_thread[0] == pytest.approx(100, abs=2)
    assert by_thread[1:] == pytest.approx([200, 200], abs=2)


def test_the_rate_is_shared_evenly_though_one_worker_always_fails() -> None:
    cluster = MemoryCluster(delays(0.001), refuse=lambda node: node == "n1")
    history = run(clients(time_limit(60, stagger(0.2, writes(), seed=1))), cluster, concurrency=3)
    by_thread = [sum(op.process == p and op.type == "invoke" for op in history) for p in range(3)]
    assert by_thread == pytest.approx([100, 100, 100], abs=15)


def test_a_connection_that_is_not_made_in_time_fails_its_operation() -> None:
    class Slow(MemoryCluster):
        async def connect(self, node: str) -> Session:
            await trio.sleep_forever()
            raise AssertionError

    history = run(clients(limit(1, writes())), Slow(), concurrency=1)
    assert [(op.type, op.error) for op in history[1:]] == [("fail", "no connection to n1 within 4.5 s")]


def test_an_unexpected_exception_is_info() -> None:
    async def explode(node: str, body: Body) -> None:
        raise KeyError("what?")

    history = run(clients(limit(1, writes())), MemoryCluster(explode), concurrency=1)
    assert (history[1].type, history[1].error) == ("info", "indeterminate: KeyError: 'what?'")


def test_a_client_that_ignores_its_timeout_is_given_up_and_its_thread_goes_on() -> None:
    cluster = MemoryCluster(hang)
    history = run(clients(limit(2, writes())), cluster, concurrency=1)
    assert [(op.process, op.type) for op in history] == [
        (0, "invoke"),
        (0, "info"),
        (1, "invoke"),
        (1, "info"),
    ]
    given_up = 5 + GRACE_S
    times = [0, given_up, given_up, 2 * given_up]
    assert [seconds(op) for op in history] == pytest.approx(times, abs=2 * LOOK_S)
    assert history[1].error == "indeterminate: no answer within 6 s"
    assert cluster.open == 0


def test_a_client_that_cannot_even_be_cancelled_does_not_hang_the_run() -> None:
    release = trio.Event()

    async def cling(node: str, body: Body) -> None:
        if node == "n1":
            with trio.CancelScope(shield=True):
                await release.wait()

    async def let_go() -> None:
        release.set()

    history = run(
        clients(each_thread(limit(2, writes()))), MemoryCluster(cling), concurrency=2, afterwards=let_go
    )
    given_up = [op for op in history if op.type == "info"]
    assert [op.process for op in given_up] == [0, 2]
    assert [seconds(op) for op in given_up] == pytest.approx([6, 12], abs=2 * LOOK_S)
    assert sum(op.type == "ok" for op in history) == 2


def test_a_session_that_does_not_close_holds_up_nobody() -> None:
    class Sticky(MemorySession):
        async def close(self) -> None:
            await trio.sleep_forever()

    class StickyCluster(MemoryCluster):
        async def connect(self, node: str) -> Session:
            return Sticky(self, node)

    async def lose(node: str, body: Body) -> None:
        raise Lost("gone")

    history = run(clients(limit(3, writes())), StickyCluster(lose), concurrency=1)
    assert [seconds(op) for op in history] == [0] * 6


def test_the_nemesis_works_beside_the_clients_and_what_it_says_is_recorded() -> None:
    async def cut(op: Op) -> Op:
        await trio.sleep(1)
        return replace(op, value={"bit": True})

    history = run(any_of(clients(limit(3, writes())), nemesis(Op(f="cut"))), nemesis=cut)
    mine = [op for op in history if op.process == NEMESIS]
    assert [(op.type, op.value, seconds(op)) for op in mine] == [
        ("info", None, 0),
        ("info", {"bit": True}, 1),
    ]


@pytest.mark.parametrize("how", ["hangs", "raises"])
def test_a_nemesis_that_hangs_or_raises_is_info_with_an_error(how: str) -> None:
    async def broken(op: Op) -> Op:
        if how == "hangs":
            await trio.sleep_forever()
        raise OSError("no iptables here")

    history = run(nemesis(sequence(Op(f="cut"), Op(f="heal"))), nemesis=broken)
    errors = {"hangs": "no answer within 21 s", "raises": "OSError: no iptables here"}
    assert [(op.f, op.error) for op in history[1::2]] == [
        (f, f"indeterminate: {errors[how]}") for f in ("cut", "heal")
    ]


def test_a_wish_to_stop_leaves_only_the_healing_and_lets_operations_finish() -> None:
    history = run(
        any_of(clients(stagger(0.1, writes(), seed=1)), nemesis(repeat(Op(f="cut")))),
        MemoryCluster(delays(2)),
        nemesis=lambda op: slowly(op, 3 if op.f == "cut" else 0),
        should_stop=lambda: trio.current_time() >= 10,
        healing=nemesis(Op(f="heal")),
    )
    late = [op for op in history if seconds(op) > 10.1]
    assert {op.type for op in late if op.process != NEMESIS} == {"ok"}
    assert [op.f for op in late if op.process == NEMESIS] == ["cut", "heal", "heal"]
    assert seconds(history[-1]) == pytest.approx(12, abs=0.2)


async def slowly(op: Op, delay_s: float) -> Op:
    await trio.sleep(delay_s)
    return op


def test_the_run_ends_by_its_hard_deadline_whatever_is_outstanding() -> None:
    async def stuck(op: Op) -> Op:
        await trio.sleep_forever()
        return op

    history = run(
        any_of(clients(repeat(READ)), nemesis(repeat(Op(f="cut")))), MemoryCluster(delays(3)), nemesis=stuck
    )
    assert seconds(history[-1]) == 100
    ended = [op for op in history if seconds(op) == 100]
    assert {op.process for op in ended} == {0, 1, 2, NEMESIS}
    assert {op.error for op in ended if op.type == "info"} == {
        "indeterminate: the run's time of 100 s is over"
    }


def test_errors_of_the_generator_end_the_run_and_leave_nothing_open() -> None:
    cluster = MemoryCluster(delays(1))
    with pytest.raises(GeneratorError, match="process 99"):
        run(clients(sequence(READ, sleep(0.5), Op(f="read", process=99))), cluster)
    assert cluster.open == 0


def test_a_codec_that_answers_another_question_ends_the_run_by_name() -> None:
    class Confused(RegisterCodec):
        def decode(self, op: Op, response: Response) -> Op:
            return replace(op, type="ok", f="write")

    with pytest.raises(CompletionError, match="process 0 carries out 'read'"):
        run(as_generator(READ), codec=Confused())
