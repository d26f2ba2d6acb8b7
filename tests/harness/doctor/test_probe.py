from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.doctor.probe import SNIPPETS, Offset, Probe, answers, offset, script

seconds = st.floats(min_value=0, max_value=5)


@given(st.floats(min_value=-1e6, max_value=1e6), seconds, seconds, seconds)
def test_the_true_offset_is_within_the_uncertainty(
    ahead: float, there: float, works: float, back: float
) -> None:
    sent = 1_700_000_000.0
    first, last = sent + there, sent + there + works
    found = offset(_shown(first + ahead), _shown(last + ahead), sent, last + back)
    assert found is not None
    assert abs(found.seconds - ahead) <= found.uncertainty_s + 1e-5
    assert found.uncertainty_s == pytest.approx((there + back) / 2, abs=1e-5)


def test_a_date_without_nanoseconds_gives_no_offset() -> None:
    assert offset("1700000000N", "1700000000N", 0, 1) is None


def test_a_script_is_read_back_whatever_its_commands_say(monkeypatch: pytest.MonkeyPatch) -> None:
    hard = {
        "quiet": ":",
        "loud": "echo one; echo two >&2; echo",
        "failing": "echo why; false",
        "missing": "no-such-program-anywhere",
        "greedy": "cat",
        "nested": "( exit 3 )",
    }
    for name, snippet in hard.items():
        monkeypatch.setitem(SNIPPETS, name, snippet)  # type: ignore[arg-type]  # a dict, as it happens
    ran = subprocess.run(
        ["sh", "-c", script(list(hard)), "sh", "/bin/true"], capture_output=True, text=True, check=True
    )
    found = answers(ran.stdout.rstrip("\n"), 0, 1).probes
    assert found["quiet"] == Probe(0, "")
    assert found["loud"] == Probe(0, "one\ntwo")
    assert found["failing"] == Probe(1, "why")
    assert found["missing"].exit == 127
    assert found["greedy"] == Probe(0, "")
    assert found["nested"].exit == 3
    assert ran.stderr == ""


def test_nothing_but_constants_is_in_the_script() -> None:
    assert script(list(SNIPPETS)) == script(list(SNIPPETS))
    checked = subprocess.run(["sh", "-n", "-c", script(list(SNIPPETS))], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_offsets_are_of_our_own_clock_when_we_ask_ourselves() -> None:
    ran = subprocess.run(["date", "+%s%N"], capture_output=True, text=True, check=True).stdout.strip()
    now = int(ran) / 1e9
    assert offset(ran, ran, now, now) == Offset(0, 0)


def _shown(at: float) -> str:
    return str(round(at * 1e9))
