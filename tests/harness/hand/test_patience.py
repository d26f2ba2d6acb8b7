"""How long it is waited for what comes about soon."""

from __future__ import annotations

import pytest

from harness.hand import patience


class Machine:
    """Its clock, and how long each look at it takes."""

    def __init__(self, look_s: float) -> None:
        self.now = 0.0
        self.looks = 0
        self._look_s = look_s

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> bool:
        self.looks += 1
        self.now += self._look_s
        return False


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(request.param)
    monkeypatch.setattr(patience, "time", machine)
    return machine


@pytest.mark.parametrize("machine", [0.001], indirect=True)
def test_what_does_not_come_about_is_waited_for_as_long_as_was_said(machine: Machine) -> None:
    assert not patience.until(machine.look, limit_s=1, poll_s=0.009)
    assert machine.now == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("machine", [0.3, 5.0], indirect=True)
def test_on_a_machine_that_stands_still_it_is_looked_for_some_times_all_the_same(machine: Machine) -> None:
    assert not patience.until(machine.look, limit_s=1, poll_s=0.01)
    assert machine.looks == patience.LOOKS


@pytest.mark.parametrize("machine", [5.0], indirect=True)
def test_what_comes_about_late_on_such_a_machine_is_seen(machine: Machine) -> None:
    assert patience.until(lambda: machine.look() or machine.looks == 3, limit_s=1, poll_s=0.01)


def test_what_is_so_already_is_not_waited_for() -> None:
    assert patience.until(lambda: True, limit_s=0, poll_s=600)
