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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_the_process_after_a_last_word(number: signal.Signals) -> None:
    script = TWICE.format(number.name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-number, "True\nat once\n")
