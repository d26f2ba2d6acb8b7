"""What rounds of echoes show of a behaviour, as values."""

from __future__ import annotations

import pytest

from harness.cluster.base import Behaviour
from harness.cluster.hosts.packets import Rounds, shows, summed

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
    assert str(found) == "a round takes 2 ms, 57 of 80 answered, 2 twice, 1 overtaken"
    assert str(summed([{"n2": link(None, 0.0, answered=0)}], 20)) == "no answer, 0 of 20 answered"


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        (Behaviour(delay_ms=40), {"round_ms": 41.0}),
        (Behaviour(loss=0.2), {"answered": 70}),
        (Behaviour(duplicate=0.2), {"twice": 3}),
        (Behaviour(delay_ms=40, reorder=0.2), {"round_ms": 41.0, "overtaken": 2}),
        (Behaviour(corrupt=0.2), {"answered": 70}),
        (Behaviour(corrupt=0.2), {"spoilt": 1}),
        (Behaviour(rate_kbit=1000), {"all_ms": 300.0}),
        (Behaviour(delay_ms=40, loss=0.2), {"round_ms": 41.0, "answered": 70}),
    ],
)
def test_a_behaviour_has_bitten_when_each_of_its_parts_is_seen(
    behaviour: Behaviour, seen: dict[str, float]
) -> None:
    assert shows(behaviour, QUIET, QUIET._replace(**seen))
    for part in seen:
        unseen = {**seen, part: getattr(QUIET, part)}
        assert not shows(behaviour, QUIET, QUIET._replace(**unseen))


def test_silence_is_no_delay_and_nothing_asked_for_is_never_seen() -> None:
    assert not shows(Behaviour(delay_ms=40), QUIET, QUIET._replace(round_ms=None, answered=0))
    assert not shows(Behaviour(), QUIET, QUIET._replace(answered=0))
