from __future__ import annotations

from typing import Any

import pytest

from checkers.history import NEMESIS, Op
from checkers.stats import Stats, quantile
from checkers.verdict import Status
from tests.support.histories import history


def test_operations_are_counted_by_kind_and_outcome_and_the_nemesis_apart() -> None:
    events = [
        *history("0(w1 0)w1 0(w2 0?w2 1(r 1)r1 2(r 2xr 3(w5"),
        Op(process=NEMESIS, type="info", f="kill"),
    ]
    verdict = Stats().check(events)
    assert verdict.status is Status.VALID
    assert verdict.summary == "5 operations: 2 ok, 1 fail, 2 info"
    assert verdict.details["operations"] == {
        "read": {"ok": 1, "fail": 1, "info": 0},
        "write": {"ok": 1, "fail": 0, "info": 2},
    }
    assert verdict.details["nemesis"] == {"kill": 1}
    assert verdict.details["latencies_ms"]["write"] == {"p50": 1.0, "p95": 1.0, "p99": 1.0, "max": 1.0}


def test_errors_are_grouped() -> None:
    def failed(process: int, error: Any) -> list[Op]:
        return [Op(process=process, f="read"), Op(process=process, type="fail", f="read", error=error)]

    events = [
        *failed(0, "timeout"),
        *failed(0, "unavailable"),
        *failed(1, "timeout"),
        Op(process=2, f="read"),
    ]
    errors = Stats().check(events).details["errors"]
    assert errors == {"read": {"timeout": 2, "unavailable": 1, "never completed": 1}}


def test_a_kind_that_never_succeeded_makes_it_vacuous() -> None:
    verdict = Stats().check(history("0(w1 0)w1 0(r 0xr 0(r 0?r 1(c12 1xc12"))
    assert verdict.status is Status.VACUOUS
    assert verdict.summary == "none of 1 cas and none of 2 read succeeded"


def test_a_history_without_operations_is_vacuous() -> None:
    verdict = Stats().check([Op(process=NEMESIS, type="info", f="kill")])
    assert (verdict.status, verdict.summary) == (Status.VACUOUS, "no operation was invoked")


def test_latencies_are_of_what_succeeded() -> None:
    events = [Op(time=0, process=0, f="read"), Op(time=5 * 10**9, process=0, type="fail", f="read")]
    events += [Op(time=0, process=1, f="read"), Op(time=10**6, process=1, type="ok", f="read")]
    assert Stats().check(events).details["latencies_ms"]["read"]["max"] == 1.0


def test_latencies_need_times() -> None:
    events = [Op(process=0, f="read"), Op(process=0, type="ok", f="read")]
    assert Stats().check(events).details["latencies_ms"] == {}


@pytest.mark.parametrize(("fraction", "value"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_quantiles_are_nearest_rank(fraction: float, value: int) -> None:
    assert quantile(range(1, 101), fraction) == value


def test_a_garbled_answer_convicts_even_where_nothing_else_succeeded() -> None:
    events = [
        Op(process=0, type="invoke", f="dequeue", time=1),
        Op(process=0, type="fail", f="dequeue", time=2, error="garbled: b'x', which is no number"),
    ]
    verdict = Stats().check(events)
    assert verdict.status is Status.INVALID
    assert verdict.details["garbled"] == 1
    assert (
        verdict.summary == "1 operation was answered with what nobody wrote, first b'x', which is no number"
    )
