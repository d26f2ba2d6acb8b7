"""The hand at work, as processes of its own that are spoken with over pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.hand import serve
from harness.hand.healing import LOG
from tests.support.hands import harmless
from tests.support.machine import living
from tests.support.speaker import PATIENCE_S, children, hand_in, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hand") / "hand.pyz"
    path.write_bytes(harmless().content)
    return path


def test_it_answers_in_the_order_in_which_it_is_asked(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path, program) as hand:
        hello = hand.hear()["hello"]
        assert (hello["undone"], hello["failed"]) == ([], [])
        assert hello["network"] == os.readlink("/proc/self/ns/net")
        assert hello["pid"] in children(hand.process.pid)
        for n in range(20):
            hand.say(json.dumps({"n": n, "operation": "echo", "args": {"é": n}}).encode())
        assert [hand.hear() for _ in range(20)] == [{"n": n, "result": {"é": n}} for n in range(20)]
        hand.say(b'{"n": 20, "operation": "goodbye", "args": {}}')
        assert hand.hear() == {"n": 20, "result": {"undone": [], "failed": []}}
        assert hand.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello", "what was sent is no JSON"),
        (b"\xff", "what was sent is no JSON"),
        (b"[1]", "what was sent is no JSON object"),
        (b'{"n": true, "operation": "echo", "args": {}}', "a request is"),
        (b'{"n": 1, "operation": "echo", "args": []}', "a request is"),
        (b'{"n": 1, "operation": ["echo"], "args": {}}', "a request is"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    line: bytes, said: str, tmp_path: Path, program: Path
) -> None:
    with hand_in(tmp_path, program) as hand:
        hand.hear()
        hand.say(line)
        assert said in hand.hear()["refused"]
        assert hand.ask("echo", a=1) == {"result": {"a": 1}}


def test_an_operation_that_fails_is_an_answer_and_the_hand_goes_on(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path, program) as hand:
        hand.hear()
        assert hand.ask("refuse") == {"refused": "not today"}
        assert hand.ask("broken") == {"error": "KeyError: 'sprocket'"}
        assert hand.ask("nothing") == {"refused": "the hand knows no operation 'nothing'"}
        assert hand.ask("list") == {"error": "TypeError: list gave no JSON object: ['no', 'object']"}
        assert "ValueError" in hand.ask("nan")["error"]
        assert hand.ask("echo", a=1) == {"result": {"a": 1}}
        assert "KeyError: 'sprocket'" in (tmp_path / serve.HAND_LOG).read_text()


def test_a_line_without_end_heals_and_ends_it(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        hand.hear()
        hand.ask("mark", path=str(tmp_path / "mark"))
        with suppress(BrokenPipeError):
            hand.say(b"x" * (serve.LINE_BYTES_MAX + (1 << 17)))
        assert hand.hear() == {
            "ended": "it was sent a line of more than 4,194,304 bytes",
            "undone": [f"{tmp_path}/mark was removed"],
            "failed": [],
        }
        assert hand.process.wait(PATIENCE_S) == 0


def test_silence_heals_and_ends_it(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program, silence_s=2) as hand:
        hand.hear()
        began = time.monotonic()
        for name in "ab":
            hand.ask("mark", path=str(tmp_path / name))
        assert hand.hear() == {
            "ended": "it heard nothing of the harness for 2 s",
            "undone": [f"{tmp_path}/b was removed", f"{tmp_path}/a was removed"],
            "failed": [],
        }
        assert time.monotonic() - began > 2
        assert not (tmp_path / "a").exists()
        assert hand.process.wait(PATIENCE_S) == 0


def test_the_end_of_its_input_does_not_hurry_it(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program, silence_s=2) as hand:
        hand.hear()
        began = time.monotonic()
        hand.ask("mark", path=str(tmp_path / "mark"))
        assert hand.process.stdin is not None
        assert hand.process.stdout is not None
        hand.process.stdin.close()
        hand.process.stdout.close()
        assert hand.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began > 2
        assert not (tmp_path / "mark").exists()


def test_an_empty_line_is_a_sign_of_life(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path, program, silence_s=2) as hand:
        hand.hear()
        for _ in range(10):
            time.sleep(0.3)  # it is the silence between the words that is tested
            hand.say(b"")
        assert hand.ask("echo", a=1) == {"result": {"a": 1}}


def test_what_was_said_while_it_was_busy_counts(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path, program, silence_s=2) as hand:
        hand.hear()
        hand.say(b'{"n": 1, "operation": "sleep", "args": {"s": 3}}')
        hand.say(b'{"n": 2, "operation": "echo", "args": {}}')
        assert [hand.hear()["n"], hand.hear()["n"]] == [1, 2]


def test_sigterm_heals_and_ends_it_whichever_of_its_processes_gets_it(tmp_path: Path, program: Path) -> None:
    for to_the_guard in (False, True):
        with hand_in(tmp_path / "home", program) as hand:
            worker = hand.hear()["hello"]["pid"]
            hand.ask("mark", path=str(tmp_path / "mark"))
            os.kill(hand.process.pid if to_the_guard else worker, signal.SIGTERM)
            assert hand.hear()["ended"] == "it was asked to end (SIGTERM)"
            assert hand.process.wait(PATIENCE_S) == 0
            assert not (tmp_path / "mark").exists()


def test_no_hangup_ends_it(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path, program) as hand:
        worker = hand.hear()["hello"]["pid"]
        for pid in (worker, hand.process.pid):
            os.kill(pid, signal.SIGHUP)
        at_work = hand.ask("mark", path=str(tmp_path / "mark"))["result"]
        assert at_work == {"pid": worker, "parent": hand.process.pid, "session": hand.process.pid}


def test_killed_itself_it_is_healed_by_its_guard(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        worker = hand.hear()["hello"]["pid"]
        hand.ask("mark", path=str(tmp_path / "mark"))
        os.kill(worker, signal.SIGKILL)
        assert hand.hear() == {
            "ended": "its working process was killed by signal 9",
            "undone": [f"{tmp_path}/mark was removed"],
            "failed": [],
        }
        assert hand.process.wait(PATIENCE_S) == 1


def test_what_nobody_healed_is_healed_by_the_next_one_before_its_hello(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        worker = hand.hear()["hello"]["pid"]
        hand.ask("mark", path=str(tmp_path / "mark"))
        hand.process.kill()
        os.kill(worker, signal.SIGKILL)
    assert (tmp_path / "mark").exists()
    with hand_in(tmp_path / "home", program) as hand:
        assert hand.hear()["hello"]["undone"] == [f"{tmp_path}/mark was removed"]
        assert not (tmp_path / "mark").exists()


def test_of_two_in_one_directory_the_second_is_refused_and_changes_nothing(
    tmp_path: Path, program: Path
) -> None:
    with hand_in(tmp_path / "home", program) as first:
        pid = first.hear()["hello"]["pid"]
        first.ask("mark", path=str(tmp_path / "mark"))
        log = (tmp_path / "home" / LOG).read_bytes()
        with hand_in(tmp_path / "home", program) as second:
            assert second.hear() == {"refused": f"it is in use by another run (process {pid} there)"}
            assert second.process.wait(PATIENCE_S) == 1
        assert (tmp_path / "home" / LOG).read_bytes() == log
        assert first.ask("echo", a=1) == {"result": {"a": 1}}


@pytest.fixture
def ignored_here() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("ignored_here")
def test_programs_it_starts_find_neither_its_channel_nor_its_lock(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        hand.hear()
        pid = hand.ask("daemon", seconds="600")["result"]["pid"]
        found = {os.devnull, str(tmp_path / "home" / serve.HAND_LOG)}
        until(lambda: {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()} == found)
        (ignored,) = re.findall(r"SigIgn:\t(\w+)", Path(f"/proc/{pid}/status").read_text())
        assert int(ignored, 16) & ~(0b11 << 31) == 0, "32 and 33 are the C library's own"
        hand.say(b'{"n": 9, "operation": "goodbye", "args": {}}')
        assert hand.hear()["result"]["undone"] == ["the daemon was ended"]
        until(lambda: pid not in living())
