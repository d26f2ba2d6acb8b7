"""Both drivers of the store's core do what tests/conformance/scenarios.py says."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from harness.cluster.local import LocalCluster
from harness.cluster.sim import SimCluster
from harness.sim.world import Future, World
from tests.conformance.scenarios import SCENARIOS
from tests.support.stage import NODES, Scenario, Stage, Together

Act = Coroutine[Any, Any, str]
LOCAL_LIMIT_S = 120


def in_virtual_time(world: World) -> Together:
    async def together(acts: Sequence[Act]) -> list[str]:
        results = [Future[str](world) for _ in acts]
        for act, result in zip(acts, results, strict=True):
            world.spawn(act, result.resolve)
        return [await result for result in results]

    return together


async def under_trio(acts: Sequence[Act]) -> list[str]:
    results = [""] * len(acts)

    async def run(place: int, act: Act) -> None:
        results[place] = await act

    async with trio.open_nursery() as nursery:
        for place, act in enumerate(acts):
            nursery.start_soon(run, place, act)
    return results


def simulated(scenarios: Sequence[Scenario], seed: int, directory: Path) -> None:
    cluster = SimCluster(NODES, 3, seed)

    async def main() -> None:
        await cluster.setup(directory)
        stage = Stage(cluster, in_virtual_time(cluster.world))
        for scenario in scenarios:
            await stage.play(scenario)

    cluster.world.complete(main())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_the_simulator(scenario: Scenario, tmp_path: Path) -> None:
    for seed in range(3):
        simulated([scenario], seed, tmp_path)


def test_the_simulator_with_one_scenario_after_the_other(tmp_path: Path) -> None:
    simulated(SCENARIOS, 3, tmp_path)


@pytest.mark.real
@pytest.mark.slow
def test_real_processes(tmp_path: Path) -> None:
    """One cluster for all scenarios: to start one takes longer than most of them."""
    failures: list[str] = []
    cluster = LocalCluster(NODES, 3)

    async def main() -> None:
        try:
            with trio.fail_after(LOCAL_LIMIT_S):
                await cluster.setup(tmp_path)
                stage = Stage(cluster, under_trio)
                for scenario in SCENARIOS:
                    try:
                        await stage.play(scenario)
                    except AssertionError as error:
                        failures.append(str(error))
                        await stage.tidy()
                assert cluster.unexpected_deaths() == []
        finally:
            await cluster.teardown()

    trio.run(main)
    assert failures == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("n1 get k quorum -> 1", "absent"),
        ("n1 cas k 0 1 linearizable -> done", "mismatch"),
        ("n1 put k 1 all -> lost & n2 put j 1 all -> done", "done"),
        ("kill n1 -> no bite", "bit"),
        ("states n2 -> down", "up"),
    ],
)
def test_an_act_that_comes_back_otherwise_is_named(line: str, answer: str, tmp_path: Path) -> None:
    wrong = line.split(" & ")[0]
    with pytest.raises(AssertionError, match=f"^a wrong scenario: {wrong}, but: {answer}"):
        simulated([Scenario("a wrong scenario", (line,))], 0, tmp_path)
