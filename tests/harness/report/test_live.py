"""Live progress: plain lines where there is no terminal, a drawing where there is one, nothing if quiet."""

import io

from rich.console import Console

from checkers.history import NEMESIS, Op
from harness.ledger import Requested
from harness.plan import Plan
from harness.report.live import DRAW_S, LINE_S, Live

KILL = Requested("kill", frozenset({"kill"}), frozenset({"start"}))
UP = {"n1": "up", "n2": "up", "n3": "up"}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def plain():
    return Console(file=io.StringIO(), width=100)


def terminal():
    return Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)


def operations(live, ok=0, fail=0, info=0):
    for kind, count in (("ok", ok), ("fail", fail), ("info", info)):
        for process in range(count):
            live.on_op(Op(process=process, f="read"))
            live.on_op(Op(process=process, type=kind, f="read"))


def test_without_a_terminal_a_line_is_printed_for_each_phase_and_every_few_seconds():
    console, clock = plain(), Clock()
    with Live(console, Plan(), [KILL], now=clock) as live:
        live.phase("starting nodes")
        live.phase("running")
        operations(live, ok=1200, fail=3, info=1)
        live.tick(1.0, UP)
        clock.now += LINE_S
        live.on_op(Op(process=NEMESIS, f="kill"))
        live.tick(6.0, UP | {"n2": "down"})
        live.tick(6.1, UP)
        live.on_op(Op(process=NEMESIS, f="start"))
        clock.now += LINE_S
        live.tick(12.0, UP)
        live.phase("checking")
        clock.now += LINE_S
        live.detail("linearizable: 12 of 40 keys")
    assert console.file.getvalue().splitlines() == [
        "starting nodes ...",
        "running ...",
        "  6 of 60 s; ok 1,200, fail 3, info 1 (201/s); active: kill; n2 down",
        "  12 of 60 s; ok 1,200, fail 3, info 1 (100/s)",
        "checking ...",
        "  linearizable: 12 of 40 keys",
    ]


def test_nemesis_operations_are_not_counted_as_the_clients():
    console, clock = plain(), Clock()
    with Live(console, Plan(), [KILL], now=clock) as live:
        live.on_op(Op(process=NEMESIS, type="info", f="kill"))
        clock.now += LINE_S
        live.tick(5.0, {})
    assert console.file.getvalue() == "  5 of 60 s; ok 0, fail 0, info 0 (0/s); active: kill\n"


def test_quiet_prints_nothing():
    for console in (plain(), terminal()):
        clock = Clock()
        with Live(console, Plan(), [KILL], quiet=True, now=clock) as live:
            live.phase("running")
            clock.now += 100
            live.tick(1.0, UP)
            live.detail("x")
        assert console.file.getvalue() == ""


def test_a_terminal_shows_progress_operations_faults_and_nodes():
    console, clock = terminal(), Clock()
    with Live(console, Plan(seed=7), [KILL], now=clock) as live:
        live.phase("running")
        live.tick(0.0, UP)
        operations(live, ok=1200)
        live.on_op(Op(process=NEMESIS, f="kill"))
        clock.now += 2.0
        live.tick(12.0, UP | {"n3": "paused"})
    shown = console.file.getvalue()
    assert "register, linearizable, on sim, seed 7" in shown
    assert "12.0 of 60 s of virtual time  8 s to go" in shown
    assert "ok 1,200   fail 0   info 0   100/s" in shown
    assert "active faults   kill" in shown
    assert "n1 up   n2 up   n3 paused" in shown
    assert "running         2.0 s" in shown


def test_a_terminal_is_not_drawn_to_more_often_than_ten_times_a_second():
    console, clock = terminal(), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        before = len(console.file.getvalue())
        for _ in range(1000):
            live.tick(1.0, UP)
        assert len(console.file.getvalue()) == before
        clock.now += 2 * DRAW_S
        live.tick(1.0, UP)
        assert len(console.file.getvalue()) > before


def test_of_many_nodes_only_those_in_trouble_are_named():
    console, clock = terminal(), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        clock.now += 1
        live.tick(1.0, {f"n{i}": "down" if i == 42 else "up" for i in range(1, 100)})
    assert "98 up   n42 down" in console.file.getvalue()


def test_the_drawing_ends_with_the_run_also_after_an_error():
    console = terminal()
    try:
        with Live(console, Plan()) as live:
            live.phase("running")
            raise RuntimeError
    except RuntimeError:
        pass
    assert "\x1b[?25h" in console.file.getvalue()
    assert not console._live_stack
