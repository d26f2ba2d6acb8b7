"""The wish to stop: the first signal is remembered, the second is the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from harness.stop import SIGNALS, StopWish

TWICE = """
import os, signal
from harness.stop import StopWish

with StopWish(lambda: print("at once", flush=True)) as stop:
    os.kill(os.getpid(), signal.{0})
    print(stop.wished, flush=True)
    os.kill(os.getpid(), signal.{0})
    print("still here", flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_one_signal_is_a_wish_and_afterwards_all_is_as_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopWish() as stop:
        assert not stop.wished
        os.kill(os.getpid(), number)
        assert stop.wished
    assert signal.getsignal(number) is before


def test_a_run_that_stops_by_itself_still_takes_the_first_signal_as_a_wish() -> None:
    with StopWish() as stop:
        stop.wished = True
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_after_a_last_word(number: signal.Signals) -> None:
    script = TWICE.format(number.name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-number, "True\nat once\n")


def test_a_shell_passes_the_end_of_its_terminal_on_so_it_may_come_twice() -> None:
    script = TWICE.format("SIGHUP")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\nstill here\n")


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopWish() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wished
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_is_written_to_a_terminal_that_has_gone() -> None:
    script = "import os; from harness.stop import StopWish\nwith StopWish() as stop:\n"
    script += (
        " print('begun', flush=True)\n while not stop.wished: pass\n print('nobody reads', flush=True)\n"
    )
    script += " os._exit(7)"
    ours, its = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    try:
        with open(ours, "rb") as terminal:
            assert terminal.readline() == b"begun\r\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(10) == 7
    finally:
        process.kill()
