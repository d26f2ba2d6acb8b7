"""What hands may answer that is no evidence: nothing bit, only half of it did, or somebody else did it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import trio
import trio.testing

from harness.cluster.base import Evidence
from harness.cluster.hosts.clocks import Clocks, View
from harness.cluster.hosts.disks import Disks
from harness.cluster.hosts.network import Network

ONE = ("n1",)
ADDRESSES = {"n1": "10.0.0.1", "n2": "10.0.0.2"}


class Answering(Network, Clocks, Disks):
    """Two nodes that run. Each hand answers the same, by operation; `views` are what n1 shows of the time."""

    name = "made up"
    nodes = ("n1", "n2")
    spares = ()
    shared_kernel = frozenset()

    def __init__(self, answers: Mapping[str, Mapping[str, Any]], *lead_ms: float) -> None:
        self.sites = dict.fromkeys(self.nodes)  # type: ignore[assignment]  # nobody goes there
        self.hands = {}
        super().__init__()
        self._states = dict.fromkeys(self.nodes, "up")
        self._by_calls = {}
        self.answers = answers
        self.views = [View(lead, 1.0, 200.0 * number) for number, lead in enumerate(lead_ms)]

    def addresses(self) -> dict[str, str]:
        return ADDRESSES

    async def each(self, operation: str, args: Iterable[str]) -> dict[str, Any]:
        return {node: dict(self.answers.get(operation, {})) for node in args}

    async def _wall_clocks(self, nodes: object) -> dict[str, View]:
        return {"n1": self.views.pop(0)} if self.views else {}


def ended(**changed: Any) -> dict[str, Any]:
    return {"struck": ["store"], "ended": ["store"], "status": {"store": -9}, "gone": {}, **changed}


@pytest.mark.parametrize(
    ("answer", "bit"),
    [
        (ended(), True),
        (ended(status={"store": 1}), False),  # it ended by itself before the signal came
        (ended(ended=[]), False),  # something of it is left
        (ended(struck=[], ended=[], status={}), False),
    ],
)
def test_killed(answer: dict[str, Any], bit: bool) -> None:
    assert trio.run(Answering({"kill": answer}).kill, ONE).bit is bit


@pytest.mark.parametrize(
    ("frozen", "going", "bit"),
    [(["store"], [], True), (["store"], ["proxy"], False), ([], ["store"], False), ([], [], False)],
)
def test_paused(frozen: list[str], going: list[str], bit: bool) -> None:
    assert trio.run(Answering({"pause": {"frozen": frozen, "going": going}}).pause, ONE).bit is bit


@pytest.mark.parametrize(
    ("changed", "bit"),
    [({}, True), ({"kept": False}, False), ({"lost": False}, False), ({"ended": []}, False)],
)
def test_without_power(changed: dict[str, Any], bit: bool) -> None:
    answer = {**ended(kept=True, lost=True, files=1, shorter={}), **changed}
    assert trio.run(Answering({"power-off": answer}).power_off, ONE).bit is bit


@pytest.mark.parametrize(
    ("heard", "dropped", "bit"),
    [
        ([], {ADDRESSES["n2"]: 8}, True),
        ([], {ADDRESSES["n2"]: 0}, False),  # no call came, but it is not our rule that dropped them
        ([], {}, False),
        (["n2"], {ADDRESSES["n2"]: 7}, False),
    ],
)
def test_cut(heard: list[str], dropped: dict[str, int], bit: bool) -> None:
    cluster = Answering({"heard": {"heard": heard, "dropped": dropped}})
    assert trio.run(cluster.cut, {"n1": frozenset({"n2"})}).bit is bit


@pytest.mark.parametrize(("heard", "bit"), [(["n1", "n2"], True), ([], False)])
def test_healed(heard: list[str], bit: bool) -> None:
    dropped = {ADDRESSES["n2"]: 9, ADDRESSES["n1"]: 9}
    cluster = Answering({"cut": {"dropped": dropped}, "heard": {"heard": heard, "dropped": {}}})
    assert trio.run(cluster.heal).bit is bit


@pytest.mark.parametrize(("rate_ppm", "bit"), [(80_000.0, True), (10_000.0, False)])
def test_set_right_after_a_drift(rate_ppm: float, bit: bool) -> None:
    """Between the two looks at the node, 200 ms apart, its clock may have gained 14 of the 75 ms."""
    answer = {"was_ns": 75_000_000, "left_ns": 0, "was_ppm": rate_ppm}
    evidence = trio.run(Answering({"clock-reset": answer}, 1061.0, 1000.0).reset)
    assert "(-61 ms as it sees it)" in evidence.detail
    assert evidence.bit is bit


@pytest.mark.parametrize(("rate_ppm", "bit"), [(80_000.0, True), (0.0, False)])
def test_a_clock_that_jumps_while_it_drifts(rate_ppm: float, bit: bool) -> None:
    """Between the two looks at the node it may have gained 16 ms."""
    answer = {"moved_ns": 500_000_000, "rate_ppm": rate_ppm}
    cluster = Answering({"clock-bump": answer}, 1000.0, 1515.0)
    assert trio.run(cluster.bump, {"n1": 500}).bit is bit


@pytest.mark.parametrize(("dropped", "bit"), [(3, True), (0, False)])
def test_clients_cut_off(dropped: int, bit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody_answers(cluster: Network, nodes: list[str], within_s: float) -> list[str]:
        return []

    class Port:
        port = 7000

    monkeypatch.setattr(Network, "_knock", nobody_answers)
    cluster = Answering({"clients-dropped": {"dropped": dropped}})
    cluster.system = Port()  # type: ignore[assignment]  # of which no more is asked
    assert trio.run(cluster.cut_clients, ONE).bit is bit


@pytest.mark.parametrize(("lead_ms", "bit"), [((0.0, 5000.0), True), ((0.0, 0.0), False), ((), True)])
def test_a_clock_that_moved_and_a_node_that_sees_it(lead_ms: tuple[float, ...], bit: bool) -> None:
    answers = {"clock-bump": {"keepers": [], "moved_ns": 5_000_000_000}}
    evidence: Evidence = trio.run(Answering(answers, *lead_ms).bump, {"n1": 5000})
    assert evidence.bit is bit, evidence


@pytest.mark.parametrize(("came_back", "bit"), [(3, True), (14, True), (99, False)])
def test_a_strobe_is_watched_for_as_long_as_a_jump_may_take(came_back: int, bit: bool) -> None:
    """The node shows the right time for so many looks, of which there is one each 10 ms."""
    answers = {"clock-strobe": {"keepers": [], "moved_ns": 5_000_000_000}}
    cluster = Answering(answers, 0.0, *[0.0] * came_back, 5000.0, *[0.0] * 99)

    async def strobe() -> Evidence:
        return await cluster.strobe({"n1": 5000}, 40)

    evidence = trio.run(strobe, clock=trio.testing.MockClock(autojump_threshold=0))
    assert evidence.bit is bit, evidence
    assert len(cluster.views) > 80
