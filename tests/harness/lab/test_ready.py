"""When a lab counts as up, without one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.hand.patience import LOOKS
from harness.hand.proc import Identity
from harness.lab import lab, process
from harness.lab.client import ClientNamespace
from harness.lab.lab import Lab
from harness.lab.layout import LabError, layout_of
from harness.remote.host import Host

KEEPER = Identity(1, 1, "boot")


@pytest.fixture
def blue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """On a machine that stands still at each look, for longer than anything is waited for."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + 1000))
    monkeypatch.setattr(process, "is_alive", lambda keeper: True)
    return Lab("blue", layout_of("blue", 3, tmp_path), ClientNamespace(tmp_path))


def test_hosts_that_begin_while_the_machine_stands_still_are_waited_for(
    blue: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def greets(host: Host) -> bool:
        asked.append(host.name)
        return asked.count(host.name) > 2

    monkeypatch.setattr(lab, "_greets", greets)
    lab._wait_until_ready(blue, KEEPER)
    assert asked == ["n1"] * 3 + ["n2"] * 3 + ["n3"] * 3


def test_a_host_that_stays_silent_is_named_with_what_it_said_last(
    blue: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def greets(host: Host) -> bool:
        asked.append(host.name)
        return host.name == "n1"

    monkeypatch.setattr(lab, "_greets", greets)
    log = blue.layout.directory / "hosts/n2/log"
    log.parent.mkdir(parents=True)
    log.write_text("no keys\n\n")
    with pytest.raises(LabError, match=r"^host n2 of lab blue does not answer: no keys$"):
        lab._wait_until_ready(blue, KEEPER)
    assert asked == ["n1", *["n2"] * (LOOKS + 1)]


def test_of_a_lab_whose_keeper_ends_its_last_words_are_told_at_once(
    blue: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(lab, "_greets", lambda host: asked.append(host.name))
    monkeypatch.setattr(process, "is_alive", lambda keeper: False)
    blue.layout.log.parent.mkdir(parents=True, exist_ok=True)
    blue.layout.log.write_text("no bridge\n")
    with pytest.raises(LabError, match=r"^lab blue could not be set up: no bridge$"):
        lab._wait_until_ready(blue, KEEPER)
    assert asked == ["n1"]
