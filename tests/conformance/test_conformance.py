"""Both drivers of the store's core do what tests/conformance/scenarios.py says, and their faults what
tests/conformance/faults.py says."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.core.options import QUIET
from tests.conformance.faults import FAULTS
from tests.conformance.playing import claimed, local, play_real, play_simulated, sim
from tests.conformance.scenarios import SCENARIOS
from tests.support.stage import Scenario

SIMULATED = claimed((*SCENARIOS, *FAULTS), sim(0))


@pytest.mark.parametrize("scenario", SIMULATED, ids=[scenario.name for scenario in SIMULATED])
def test_the_simulator(scenario: Scenario, tmp_path: Path) -> None:
    for seed in range(3):
        play_simulated(sim(seed), [scenario], tmp_path)


def test_the_simulator_with_one_scenario_after_the_other(tmp_path: Path) -> None:
    play_simulated(sim(3), SIMULATED, tmp_path)


def test_nodes_that_do_nothing_by_themselves(tmp_path: Path) -> None:
    play_simulated(sim(4, QUIET), SCENARIOS, tmp_path)


@pytest.mark.real
@pytest.mark.slow
def test_real_processes(tmp_path: Path) -> None:
    cluster = local()
    assert play_real(cluster, claimed((*SCENARIOS, *FAULTS), cluster), tmp_path) == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("n1 get k quorum -> 1", "absent"),
        ("n1 cas k 0 1 linearizable -> done", "mismatch"),
        ("n1 put k 1 all -> lost & n2 put j 1 all -> done", "done"),
        ("n1 get k all ~> 1", "absent, even after 20 s"),
        ("kill n1 -> no bite", "bit: refuse connections: n1"),
        ('kill n1 -> bit "n2"', "bit: refuse connections: n1"),
        ("states n2 -> down", "up"),
        ("bump n1 500 -> bit & offset n2 -> +500", "[+-][01]"),
        ("n1 sees n2 n3 -> dead", "alive"),
        ("owners n1 -> n1 n2 n3", "n1 n2 n3 n4"),
        ("shape n9 loss=1 -> bit", "error: there is no node 'n9'"),
    ],
)
def test_an_act_that_comes_back_otherwise_is_named(line: str, answer: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"^a wrong scenario: .*, but: {answer}"):
        play_simulated(sim(0), [Scenario("a wrong scenario", (line,))], tmp_path)
