"""What rounds of echoes show of a behaviour, as values."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from harness.cluster.base import Behaviour, Evidence
from harness.cluster.hosts.packets import (
    ECHO_BYTES_MAX,
    ECHOES,
    HEADERS_BYTES,
    SEEN_MS,
    Rounds,
    Shaping,
    echo_bytes,
    held_up_ms,
    shows,
    summed,
)
from harness.hand.serve import OPERATION_LIMIT_S
from nemesis.packets import DELAY, RATES_KBIT

QUIET = Rounds(sent=80, answered=80, twice=0, overtaken=0, spoilt=0, round_ms=1.0, all_ms=4.0)


def link(round_ms: float | None, all_ms: float, answered: int = 20, **counts: int) -> dict[str, object]:
    none = {"twice": 0, "overtaken": 0, "spoilt": 0}
    return {"answered": answered, **none, **counts, "round_ms": round_ms, "all_ms": all_ms}


def test_rounds_of_all_nodes_are_summed() -> None:
    answers = [
        {"n2": link(1.0, 3.0), "n3": link(5.0, 9.0, twice=2)},
        {"n1": link(2.0, 4.0, answered=17, overtaken=1), "n3": link(None, 0.0, answered=0)},
    ]
    found = summed(answers, 20)
    assert found == Rounds(80, 57, 2, 1, 0, 2.0, 9.0)
    assert str(found) == (
        "a round takes 2 ms, the last answer came after 9 ms, 57 of 80 answered, 2 twice, 1 overtaken"
    )
    assert str(summed([{"n2": link(None, 0.0, answered=0)}], 20)) == "no answer, 0 of 20 answered"


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        (Behaviour(delay_ms=40), {"round_ms": 41.0}),
        (Behaviour(duplicate=0.2), {"twice": 3}),
        (Behaviour(delay_ms=40, reorder=0.2), {"round_ms": 41.0, "overtaken": 2}),
        (Behaviour(corrupt=0.2), {"answered": 70}),
        (Behaviour(corrupt=0.2), {"spoilt": 1}),
        (Behaviour(rate_kbit=1000), {"all_ms": 104.0}),
        (Behaviour(delay_ms=40, corrupt=0.2), {"round_ms": 41.0, "answered": 70}),
    ],
)
def test_a_behaviour_has_bitten_when_each_of_its_parts_is_seen(
    behaviour: Behaviour, seen: dict[str, float]
) -> None:
    assert shows(behaviour, QUIET, QUIET._replace(**seen), 0, 200.0)
    for part in seen:
        unseen = {**seen, part: getattr(QUIET, part)}
        assert not shows(behaviour, QUIET, QUIET._replace(**unseen), 0, 200.0)


def test_packets_are_lost_when_the_rules_that_lose_them_say_so() -> None:
    fewer = QUIET._replace(answered=70)
    assert not shows(Behaviour(loss=0.2), QUIET, fewer, 0, 0.0), "somebody else has lost them"
    assert shows(Behaviour(loss=0.2), QUIET, QUIET, 1, 0.0)


def test_rounds_that_are_slow_by_chance_show_no_limited_rate() -> None:
    rate = Behaviour(rate_kbit=1000)
    assert not shows(rate, QUIET, QUIET._replace(all_ms=103.0), 0, 200.0)
    assert not shows(rate, QUIET, QUIET._replace(answered=1), 0, 200.0)
    assert not shows(rate, QUIET, QUIET._replace(all_ms=900.0), 0, 0.0), "it could not have been seen"
    assert shows(rate, QUIET, QUIET._replace(all_ms=900.0), 0, 60_000.0), "nobody waits so long"


@pytest.mark.parametrize("rate_kbit", RATES_KBIT)
@pytest.mark.parametrize("peers", [2, 4, 6])
def test_echoes_are_long_enough_for_each_rate_that_is_drawn(rate_kbit: int, peers: int) -> None:
    rate = Behaviour(rate_kbit=rate_kbit)
    size_bytes = echo_bytes(rate, peers)
    assert size_bytes <= ECHO_BYTES_MAX
    assert held_up_ms(rate, peers, size_bytes) > 0.85 * SEEN_MS
    assert ECHOES * peers * (size_bytes + HEADERS_BYTES) * 8 / rate_kbit < 600


def test_silence_is_no_delay_and_nothing_asked_for_is_never_seen() -> None:
    assert not shows(Behaviour(delay_ms=40), QUIET, QUIET._replace(round_ms=None, answered=0), 0, 0.0)
    assert not shows(Behaviour(), QUIET, QUIET._replace(answered=0), 9, 0.0)


class Treated(Shaping):
    """One host, whose hand has counted `treated`, and where echoes come back."""

    name = "made up"
    nodes = ("n1",)
    spares = ()

    def __init__(self, **treated: int) -> None:
        self.sites = {}
        self.treated = Counter({"left": 0, "room": 0, "came": 0, "lost": 0} | treated)
        self._by_echoes = Counter(came=40, lost=8)

    def states(self) -> dict[str, Any]:
        return {}

    async def each(self, operation: str, args: Any) -> dict[str, Any]:
        return {"n1": dict(self.treated)} if operation == "unshape" else {}


@pytest.mark.parametrize(
    ("treated", "bit"),
    [({"came": 60, "lost": 9}, True), ({"came": 60, "lost": 8}, False), ({"left": 3}, True), ({}, False)],
)
def test_it_has_bitten_the_system_when_more_was_treated_than_our_own_echoes(
    treated: dict[str, int], bit: bool
) -> None:
    evidence: Evidence = trio.run(Treated(**treated).unshape)
    assert evidence.bit is bit


class Asked(Shaping):
    """Three hosts whose hands write down how long they are to wait for echoes."""

    name = "made up"
    nodes = ("n1", "n2", "n3")
    spares = ()

    def __init__(self) -> None:
        self.sites = dict.fromkeys(self.nodes)  # type: ignore[arg-type]  # only their names are asked for
        self.waits: list[tuple[float, float]] = []

    def states(self) -> dict[str, Any]:
        return {}

    def addresses(self) -> dict[str, str]:
        return {node: node for node in self.nodes}

    async def each(self, operation: str, args: Any) -> dict[str, Any]:
        if operation == "rounds":
            self.waits += {(asked["quiet_s"], asked["limit_s"]) for asked in args.values()}
            return {node: {"peers": {}} for node in args}
        return {}


@pytest.mark.parametrize(("struck", "ways"), [(("n1",), 1), (("n1", "n3"), 2), (Asked.nodes, 2)])
@pytest.mark.parametrize(("delay_ms", "deviation_ms"), [(80, 0), (2000, 400)])
def test_echoes_that_are_late_both_ways_are_waited_for(
    struck: tuple[str, ...], ways: int, delay_ms: int, deviation_ms: int
) -> None:
    cluster = Asked()
    trio.run(cluster.shape, struck, Behaviour(delay_ms=delay_ms, jitter_ms=deviation_ms))
    (quiet_before_s, limit_before_s), (quiet_s, limit_s) = cluster.waits
    round_s = ways * (delay_ms + 4 * deviation_ms) / 1000
    assert (quiet_s - quiet_before_s, limit_s - limit_before_s) == pytest.approx((round_s, round_s))
    assert limit_s > quiet_s > round_s


def test_no_echo_is_waited_for_longer_than_a_hand_may_take() -> None:
    cluster = Asked()
    trio.run(cluster.shape, cluster.nodes, Behaviour(delay_ms=DELAY.most, jitter_ms=DELAY.most))
    assert all(limit_s <= OPERATION_LIMIT_S / 2 for _, limit_s in cluster.waits)
