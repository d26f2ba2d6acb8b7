from functools import partial

import pytest
from msgspec.structs import replace

from checkers.history import NEMESIS, Op
from harness.cluster.sim import SimCluster
from harness.generators import any_of, clients, limit, nemesis, numbered, phases, sleep, stagger, then
from harness.scheduler import Dispatch, Finished, Scheduler, Wait
from harness.sim.interpreter import simulate
from harness.sim.world import MS, SECOND, SimulationError
from store.core.machine import FromClient, Input
from store.core.messages import Body, Found, Get, Put, Response
from tests.support.echo import Echo

NODES = ("n1", "n2")


class Values:
    """Reads and writes of x."""

    def encode(self, op: Op) -> Body:
        return Get("x", "one") if op.f == "read" else Put("x", b"%d" % op.value, "one")

    def decode(self, op: Op, response: Response) -> Op:
        value = int(response.value or 0) if isinstance(response, Found) else op.value
        return replace(op, type="ok", value=value)

    def changes_nothing(self, op: Op) -> bool:
        return op.f == "read"


class Run:
    """A cluster of two echo nodes, and what came of `go`."""

    def __init__(self, seed: int = 1) -> None:
        self.heard: list[Input] = []
        self.history: list[Op] = []
        self.progress: list[int] = []
        self.cluster = SimCluster(NODES, 1, seed, make=partial(Echo, self.heard))
        self.cluster.world.complete(self.cluster.start(NODES))

    def go(self, generator, concurrency: int = 2, stop=lambda: False, healing=None) -> list[Op]:
        simulate(
            Scheduler(generator, concurrency, self.history.append),
            self.cluster,
            Values(),
            self.fault,
            op_timeout_s=0.5,
            should_stop=stop,
            healing=healing or (lambda: nemesis(Op(f="heal"))),
            on_progress=self.progress.append,
        )
        return self.history

    async def fault(self, op: Op) -> Op:
        acts = {"kill": self.cluster.kill, "start": self.cluster.start, "pause": self.cluster.pause}
        if op.f in acts:
            evidence = await acts[op.f](tuple(op.value))
            return replace(op, value=evidence.detail)
        await self.cluster.world.sleep(10 * MS)
        return op

    def of(self, type: str) -> list[Op]:
        return [op for op in self.history if op.type == type and op.process != NEMESIS]


def writes(count: int):
    return clients(limit(count, numbered(lambda number: Op(f="write", value=number))))


def test_every_operation_is_carried_out_and_takes_virtual_time():
    run = Run()
    history = run.go(writes(100))
    assert len(run.of("ok")) == 100
    assert [op.index for op in history] == list(range(200))
    assert [op.time for op in history] == sorted(op.time for op in history)
    assert history[0].time == 0
    assert 10 * MS < history[-1].time < 1 * SECOND


def test_worker_i_talks_to_node_i_mod_n():
    run = Run()
    run.cluster.world.complete(run.cluster.kill(("n2",)))
    run.go(writes(40), concurrency=4)
    outcomes = {(op.process % 2, op.type, op.error) for op in run.history if op.type != "invoke"}
    assert outcomes == {(0, "ok", None), (1, "fail", "n2 refused the connection")}


def test_a_request_that_gets_no_answer_is_info_and_its_worker_goes_on_as_another_process():
    run = Run()
    run.go(
        phases(
            nemesis(Op(f="pause", value=["n1"])),
            writes(6),
        ),
        concurrency=1,
    )
    assert {op.error for op in run.of("info")} == {"n1 did not answer in time"}
    assert [op.process for op in run.of("invoke")] == list(range(6))


def test_a_read_that_gets_no_answer_fails_and_its_session_is_opened_anew():
    run = Run()
    reads = clients(limit(2, numbered(lambda _: Op(f="read"))))
    run.go(phases(nemesis(Op(f="pause", value=["n1"])), reads), concurrency=1)
    assert [op.process for op in run.of("fail")] == [0, 0]
    run.cluster.world.complete(run.cluster.resume(NODES))
    named = [event.client for event in run.heard if isinstance(event, FromClient)]
    assert len(set(named[-2:])) == 2


def test_finding_that_a_node_is_unreachable_takes_a_while_as_on_a_real_cluster():
    run = Run()
    run.cluster.world.complete(run.cluster.kill(NODES))
    history = run.go(writes(5), concurrency=1)
    times = [op.time for op in history if op.type == "fail"]
    assert times == [number * 100 * MS for number in range(1, 6)]


def test_an_operation_that_the_workload_cannot_encode_is_info():
    run = Run()
    run.go(clients(Op(f="write", value="not a number")), concurrency=1)
    (lost,) = run.of("info")
    assert lost.error.startswith("indeterminate: TypeError: ")


def test_a_fault_that_raises_is_recorded_with_its_error():
    run = Run()
    run.go(nemesis(Op(f="kill", value=["n9"])))
    assert run.history[-1].error == (
        "indeterminate: ClusterError: there is no node 'n9'; the nodes are n1, n2"
    )


def test_a_worker_whose_node_comes_back_is_served_again():
    run = Run()
    run.go(
        phases(
            writes(4),
            nemesis(Op(f="kill", value=["n1", "n2"])),
            writes(4),
            nemesis(Op(f="start", value=["n1", "n2"])),
            writes(4),
        )
    )
    types = [op.type for op in run.history if op.type != "invoke" and op.process != NEMESIS]
    assert types == ["ok"] * 4 + ["fail"] * 4 + ["ok"] * 4
    assert {op.error for op in run.of("fail")} <= {
        f"{node} {what} the connection" for node in NODES for what in ("reset", "refused")
    }


def test_faults_run_beside_the_clients_and_are_info_at_both_ends():
    run = Run()
    run.go(any_of(writes(50), nemesis(then(Op(f="wait"), sleep(0.005)))), concurrency=1)
    faults = [op for op in run.history if op.process == NEMESIS]
    assert [op.type for op in faults] == ["info", "info"]
    assert faults[1].time - faults[0].time == 10 * MS


def test_a_wish_to_stop_replaces_what_is_left_by_the_healing():
    run = Run()
    run.go(stagger(0.001, writes(100_000), seed=1), stop=lambda: len(run.history) > 200)
    assert 200 < len(run.history) < 600
    assert [op.f for op in run.history if op.process == NEMESIS] == ["heal", "heal"]
    assert not {op.process for op in run.of("invoke")} - {0, 1}


def test_progress_is_told_in_virtual_time():
    run = Run()
    run.go(writes(500))
    assert len(run.progress) > 3
    assert run.progress == sorted(run.progress)
    assert run.progress[-1] <= run.history[-1].time


def test_a_simulation_in_which_nothing_more_can_happen_is_an_error():
    run = Run()

    class Waits:
        def poll(self, now: int) -> Wait:
            return Wait(None)

    with pytest.raises(SimulationError, match="no event is left"):
        simulate(
            Waits(),
            run.cluster,
            Values(),
            run.fault,
            op_timeout_s=1.0,
            should_stop=lambda: False,
            healing=lambda: nemesis(Op(f="heal")),
        )


class Script:
    """Dispatches three operations at once to one node that is down, whose refusals all take equally long."""

    def __init__(self) -> None:
        self.left = [Dispatch(thread, Op(process=thread, f="read")) for thread in (0, 1, 2)]
        self.calls: list[str] = []

    def poll(self, now: int):
        self.calls.append("poll")
        if self.left:
            return self.left.pop(0)
        return Finished() if self.calls.count("complete") == 3 else Wait(None)

    def complete(self, thread, op: Op, now: int) -> Op:
        self.calls.append("complete")
        return op


def test_whatever_completes_at_an_instant_is_told_before_the_next_poll(monkeypatch):
    run = Run()
    run.cluster.world.complete(run.cluster.kill(NODES))
    monkeypatch.setattr(run.cluster._network, "client_delay_ns", lambda: 50_000)
    script = Script()
    simulate(
        script,
        run.cluster,
        Values(),
        run.fault,
        op_timeout_s=1.0,
        should_stop=lambda: False,
        healing=lambda: nemesis(Op(f="heal")),
    )
    assert script.calls == ["poll"] * 4 + ["complete"] * 3 + ["poll"]


def test_one_seed_gives_one_history():
    def history(seed: int) -> list[Op]:
        run = Run(seed)
        return run.go(any_of(writes(200), nemesis(Op(f="kill", value=["n1"]))))

    assert history(4) == history(4)
    assert history(4) != history(5)
