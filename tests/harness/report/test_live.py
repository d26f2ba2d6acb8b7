"""Live progress: plain lines where there is no terminal, a drawing where there is one, nothing if quiet."""

import io
import signal
import threading
import time

import msgspec
import pytest
from rich.console import Console

from checkers.history import NEMESIS, Op
from checkers.linear import Linearizable, Progress
from checkers.models import Register
from checkers.verdict import Status, Verdict
from harness.ledger import Requested
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import CHECKING, DRAW_S, DRAW_SHARE, LINE_S, Live

KILL = Requested("kill", frozenset({"kill"}), frozenset({"start"}))
PARTITION = Requested("partition", frozenset({"partition"}), frozenset({"heal-partition"}))
S = 1_000_000_000
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


def fault(live, f, at_s=1.0, error=None, **value):
    """One nemesis operation, begun and completed."""
    at = round(at_s * S)
    live.on_op(Op(time=at, process=NEMESIS, type="info", f=f))
    live.on_op(Op(time=at, process=NEMESIS, type="info", f=f, value={"bit": True, **value}, error=error))


def test_without_a_terminal_a_line_is_printed_for_each_phase_and_every_few_seconds():
    console, clock = plain(), Clock()
    with Live(console, Plan(), [KILL], now=clock) as live:
        live.phase("starting nodes")
        live.phase("running")
        operations(live, ok=1200, fail=3, info=1)
        live.tick(1.0, UP)
        clock.now += LINE_S
        fault(live, "kill", nodes=["n2"])
        live.tick(6.0, UP | {"n2": "down"})
        live.tick(6.1, UP)
        fault(live, "start")
        clock.now += LINE_S
        live.tick(12.0, UP)
        live.phase(CHECKING)
        live.begins("linearizable (1 of 5)")
        clock.now += LINE_S
        live.is_at(Progress(12, 40, 3400))
    assert console.file.getvalue().splitlines() == [
        "starting nodes ...",
        "running ...",
        "  6 of 60 s; ok 1,200, fail 3, info 1 (201/s); active: kill; n2 down",
        "  12 of 60 s; ok 1,200, fail 3, info 1 (100/s)",
        "checking ...",
        "  linearizable (1 of 5), 5.0 s: 12 of 40 keys, 3,400 steps",
    ]


def test_nemesis_operations_are_not_counted_as_the_clients():
    console, clock = plain(), Clock()
    with Live(console, Plan(), [KILL], now=clock) as live:
        live.on_op(Op(process=NEMESIS, type="info", f="kill"))
        clock.now += LINE_S
        live.tick(5.0, {})
    assert console.file.getvalue() == "  5 of 60 s; ok 0, fail 0, info 0 (0/s); active: kill\n"


def test_a_fault_whose_healing_failed_is_still_there():
    console, clock = plain(), Clock()
    with Live(console, Plan(), [KILL], now=clock) as live:
        fault(live, "kill", nodes=["n2"])
        fault(live, "start", error="n2 does not start")
        clock.now += LINE_S
        live.tick(5.0, {})
    assert "active: kill" in console.file.getvalue()


def phases_of(*operations):
    console = plain()
    with Live(console, Plan(time_limit_s=60), [KILL]) as live:
        live.phase("running")
        for op in operations:
            live.on_op(op)
    return console.file.getvalue().splitlines()


def nemesis(at_s, f):
    return Op(time=round(at_s * S), process=NEMESIS, type="info", f=f)


def client(at_s, kind):
    return Op(time=round(at_s * S), process=3, type=kind, f="read")


def test_what_the_nemesis_begins_after_the_time_limit_is_the_healing_and_what_clients_begin_the_last_look():
    done = (nemesis(61, "start"), nemesis(61, "start"), client(62, "invoke"), client(62, "ok"))
    assert phases_of(client(59, "invoke"), client(60, "ok"), *done) == [
        "running ...",
        "healing ...",
        "last look ...",
    ]


def test_what_was_begun_before_the_time_limit_and_ends_after_it_is_no_new_phase():
    assert phases_of(client(59, "invoke"), nemesis(59, "kill"), client(61, "ok"), nemesis(61, "kill")) == [
        "running ..."
    ]


def test_a_run_without_faults_and_without_a_last_look_waits_for_what_is_under_way():
    console = plain()
    with Live(console, Plan(time_limit_s=60)) as live:
        live.phase("running")
        live.tick(59.9, UP)
        live.tick(60.0, UP)
        live.tick(60.1, UP)
    assert console.file.getvalue().splitlines() == ["running ...", "healing ..."]


def test_a_run_that_was_told_to_stop_says_so_to_its_end():
    console = plain()
    with Live(console, Plan(time_limit_s=60)) as live:
        live.phase("stopping")
        live.on_op(client(61, "invoke"))
        live.tick(62, UP)
    assert console.file.getvalue().splitlines() == ["stopping ..."]


def test_quiet_prints_nothing():
    for console in (plain(), terminal()):
        clock = Clock()
        with Live(console, Plan(), [KILL], quiet=True, now=clock) as live:
            live.phase("running")
            clock.now += 100
            live.on_op(client(61, "invoke"))
            live.tick(1.0, UP)
            live.anomaly("y")
        assert console.file.getvalue() == ""


def test_a_terminal_shows_progress_operations_faults_and_nodes():
    console, clock = terminal(), Clock()
    with Live(console, Plan(seed=7, nodes=("n1", "n2", "n3")), [KILL, PARTITION], now=clock) as live:
        live.phase("running")
        live.tick(0.0, UP)
        operations(live, ok=1200)
        fault(live, "kill", at_s=9, nodes=["n3"])
        fault(live, "partition", at_s=11, grudge={"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]})
        clock.now += 2.0
        live.tick(12.0, UP | {"n3": "down"})
    shown = console.file.getvalue()
    assert "register, linearizable, on sim, seed 7" in shown
    assert "register, linearizable, on sim, seed 7; 8 s to go" in shown
    assert "12.0 of 60 virtual s" in shown
    assert "ok 1,200   fail 0   info 0   100/s" in shown
    assert "kill            n3  for 3.0 s, bit" in shown
    assert "partition       n1 | n2 n3  for 1.0 s, bit" in shown
    assert "n1  up    40 ok/s  does not hear n2 n3" in shown
    assert "n3  down  30 ok/s  does not hear n1" in shown
    assert "running         2.0 s" in shown


def test_throughput_latency_and_faults_are_drawn_over_time():
    console, clock = terminal(), Clock()
    with Live(console, Plan(time_limit_s=40), [KILL], now=clock) as live:
        live.phase("running")
        live.tick(0.0, UP)
        for number, (second, took_ms) in enumerate([(0, 1), (0, 1), (1, 2), (2, 500), (3, 1)]):
            live.on_op(Op(time=second * S, process=number, f="read"))
            live.on_op(Op(time=second * S + took_ms * S // 1000, process=number, type="ok", f="read"))
            if second == 1:
                fault(live, "kill", at_s=1.5, nodes=["n3"])
                fault(live, "start", at_s=1.7)
        clock.now += 2.0
        live.tick(4.0, UP)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert any(line.startswith("ok/s            █▄▄ ") and line.endswith("at most 2/s") for line in lines)
    assert any(line.startswith("p99             ▁▂█ ") and "at most 500 ms" in line for line in lines)
    assert any(line.startswith("faults           █ ") and "1 at once" in line for line in lines)


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


def test_a_drawing_that_takes_long_is_made_seldom():
    clock = Clock()
    console = terminal()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        refresh = live._display.refresh
        live._display.refresh = lambda: (refresh(), setattr(clock, "now", clock.now + 0.02))
        clock.now += 1
        live.tick(1.0, UP)
        before = len(console.file.getvalue())
        clock.now += 0.9 * 0.02 / DRAW_SHARE
        live.tick(1.5, UP)
        assert len(console.file.getvalue()) == before
        clock.now += 0.2 * 0.02 / DRAW_SHARE
        live.tick(2.0, UP)
        assert len(console.file.getvalue()) > before


def test_of_many_nodes_only_those_in_trouble_are_named():
    console, clock = terminal(), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        clock.now += 1
        live.tick(1.0, {f"n{i}": "down" if i == 42 else "up" for i in range(1, 100)})
    shown = console.file.getvalue()
    assert "98   up" in shown
    assert "n42  down" in shown
    assert "n41" not in shown


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_be_drawn_on_gets_lines(kind):
    console, clock = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": kind}), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        clock.now += LINE_S
        live.tick(5.0, UP)
    assert console.file.getvalue() == "running ...\n  5 of 60 s; ok 0, fail 0, info 0 (0/s)\n"


def test_a_terminal_without_unicode_gets_ascii():
    console = Console(
        file=Ascii(io.BytesIO(), encoding="ascii"), width=100, force_terminal=True, color_system=None
    )
    clock = Clock()
    with Live(console, Plan(time_limit_s=40), [KILL], now=clock) as live:
        live.phase("running")
        operations(live, ok=3)
        live.on_op(client(2, "invoke"))
        live.on_op(client(2, "ok"))
        clock.now += 1
        live.tick(3.0, UP)
    console.file.flush()
    assert b"at most 3/s" in console.file.buffer.getvalue()


class Ascii(io.TextIOWrapper):
    def isatty(self):
        return True


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


def stale_read():
    """Process 2 reads what was overwritten."""
    told = [
        (0, "invoke", "write", 1),
        (0, "ok", "write", 1),
        (0, "invoke", "write", 2),
        (0, "ok", "write", 2),
    ]
    told += [(2, "invoke", "read", None), (2, "ok", "read", 1)]
    return [
        Op(number, number * S, process, kind, f, "k", value)
        for number, (process, kind, f, value) in enumerate(told)
    ]


def test_what_a_checker_finds_is_told_at_once_and_how_far_it_is():
    console, clock = plain(), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase(CHECKING)
        clock.now += LINE_S
        (watched,) = live.watched([Linearizable(Register())])
        assert watched.check(stale_read()).status is Status.INVALID
    lines = console.file.getvalue().splitlines()
    assert lines[:2] == ["checking ...", "  linearizable (1 of 1), 0.0 s"]
    assert lines[-1].startswith("  anomaly: linearizable: key k: process 2 read 1")


def test_a_checker_that_is_watched_judges_the_same():
    history = stale_read()
    with Live(plain(), Plan(), quiet=True) as live:
        (watched,) = live.watched([Linearizable(Register())])
        assert watched.check(history) == Linearizable(Register()).check(history)


class Slow:
    """Judges for as long as it is let."""

    name = "slow"

    def __init__(self, until):
        self.until = until

    def check(self, history):
        assert self.until()
        return Verdict(self.name, Status.VACUOUS, "")


def within(seconds, seen):
    deadline = time.monotonic() + seconds
    while not seen() and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen()


def test_a_checker_that_tells_nothing_is_still_seen_to_be_at_work():
    console, clock = plain(), Clock()

    def shown():
        return "  slow (1 of 1), 5.0 s" in console.file.getvalue()

    def until():
        clock.now += LINE_S
        return within(10, shown)

    with Live(console, Plan(), now=clock) as live:
        live.phase(CHECKING)
        (watched,) = live.watched([Slow(until)])
        watched.check([])
    assert not within(0, lambda: any(thread.name == "live" and thread.is_alive() for thread in ended()))


def ended():
    """Threads, after those that are about to end have had the time."""
    for thread in threading.enumerate():
        if thread.name == "live":
            thread.join(10)
    return threading.enumerate()


def test_a_terminal_shows_which_checkers_are_done_and_how_far_the_one_at_work_is():
    console, clock = terminal(), Clock()
    with Live(console, Plan(), now=clock) as live:
        live.phase("running")
        live.tick(60.0, UP)
        live.phase(CHECKING)
        first, second = live.watched([Slow(lambda: True), Linearizable(Register())])
        first.check([])
        clock.now += 30.0
        live.begins(f"{second.name} (2 of 2)")
        clock.now += 3.0
        live.is_at(Progress(10, 40, 3400))
        with console.capture() as captured:
            console.print(live.panel())
    shown = captured.get()
    assert "linearizable (2 of 2), 3.0 s: 10 of 40 keys, 3,400 steps; 9 s to go" in shown
    assert "checked         slow  vacuous  0.0 s" in shown
    assert "n1" not in shown


def drawn(width, height, nodes=5):
    """A busy moment, on a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    plan = Plan(nodes=tuple(f"n{number}" for number in range(1, nodes + 1)))
    with Live(console, plan, [KILL, PARTITION], now=Clock()) as live:
        live.phase("running")
        for second in range(50):
            live.on_op(Op(time=second * S, process=1, f="read"))
            live.on_op(Op(time=second * S + S // 2, process=1, type="ok", f="read"))
            if second == 2:
                fault(live, "kill", at_s=2, nodes=["n3"])
                fault(live, "partition", at_s=2, grudge={"n1": ["n2"], "n2": ["n1"]})
        live.anomaly("key r1: process 8 read 113 on key r1, which no order explains, and so on and on")
        live.tick(50.0, dict.fromkeys(plan.nodes, "up") | {"n3": "down"})
        other = Console(file=io.StringIO(), width=width)
        other.print(live.panel())
    return other.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(60, 15), (80, 24), (100, 12), (200, 50)])
def test_on_a_small_terminal_what_is_wrong_is_still_seen(width, height):
    lines = drawn(width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    for word in ("anomaly", "kill", "partition", "n3", "down", "does not hear"):
        assert word in shown
    assert not any(line.strip() in ("time", "most", "at") for line in lines)


def test_the_bar_is_as_wide_as_what_is_drawn_below_it():
    for width in (60, 70, 80, 100):
        lines = drawn(width, 30)
        bar = next(line for line in lines if "\u2501" in line)
        strip = next(line for line in lines if line.startswith("ok/s"))
        assert bar.index("50.0 of") == strip.index("at most")
        assert 0.75 < strip.rindex("\u2588") / (strip.index("at most") - 2) < 0.95


def test_of_many_nodes_in_trouble_as_many_are_named_as_there_is_room_for():
    lines = drawn(100, 30, nodes=50)
    assert any("47" in line and "up" in line for line in lines)
    low = drawn(100, 10, nodes=50)
    assert len(low) < 10
    assert low[-2].split()[:2] == ["n3", "down"]
    assert low[-1].strip() == "and 2 more"


def test_only_the_first_anomaly_is_told_of():
    console = plain()
    with Live(console, Plan()) as live:
        live.anomaly("one")
        live.anomaly("two")
    assert console.file.getvalue() == "  anomaly: one\n"


@pytest.mark.real
def test_who_looks_for_anomalies_during_the_run_is_gone_when_the_checkers_begin(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.write_plan(Plan())
    with Live(plain(), Plan(), follow=run_dir) as live:
        live.phase("running")
        process = live._follower._process
        thread = threading.Thread(target=live.phase, args=(CHECKING,), daemon=True)
        thread.start()
        thread.join(10)
        assert process.returncode == -signal.SIGKILL


@pytest.mark.real
def test_an_anomaly_is_told_of_while_the_run_goes_on(tmp_path):
    run_dir = RunDir(tmp_path)
    plan = Plan()
    run_dir.write_plan(plan)
    with run_dir.history.open("wb") as file:
        console = plain()
        with Live(console, plan, follow=run_dir) as live:
            live.phase("running")
            for op in stale_read():
                file.write(msgspec.json.encode(op) + b"\n")
                file.flush()
            deadline = time.monotonic() + 30
            while "anomaly" not in console.file.getvalue() and time.monotonic() < deadline:
                time.sleep(0.05)
                live._draw()
            assert "anomaly" in console.file.getvalue()
            process = live._follower._process
        assert process.returncode is not None
    assert "  anomaly: key k: process 2 read 1" in console.file.getvalue()
