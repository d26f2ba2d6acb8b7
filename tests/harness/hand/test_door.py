"""Coming back to a hand whose channel is gone, as processes that are spoken with over pipes."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from harness.hand import door, origin, place, serve
from harness.hand.context import Context
from harness.hand.door import SOCKET, Channel, Door
from harness.hand.healing import LOG
from harness.hand.origin import Origin
from harness.hand.patience import LOOKS
from harness.hand.serve import Worker
from harness.hand.undo import UndoLog
from tests.support.hands import harmless, kill_at_once
from tests.support.machine import living
from tests.support.speaker import PATIENCE_S, Speaker, attached, hand_in, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]
TAKEN_UP = {"taken_up": True}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked, so that Python compiles it once."""
    path = tmp_path_factory.mktemp("hand")
    zipfile.ZipFile(BytesIO(harmless().content)).extractall(path)
    return path


def mark(hand: Speaker, path: Path) -> Any:
    return hand.ask("mark", path=str(path))["result"]


def test_whoever_comes_back_finds_the_same_hand_and_all_as_it_was(tmp_path: Path, program: Path) -> None:
    home = tmp_path / "home"
    with hand_in(home, program) as hand:
        hello = hand.hear()["hello"]
        mark(hand, tmp_path / "mark")
        assert hand.process.stdin is not None
        hand.process.stdin.write(b'{"n": 2, "operation": "ec')
        hand.process.stdin.close()
        with attached(home, program, hello["token"], asked=1) as again:
            assert again.hear() == TAKEN_UP
            assert mark(again, tmp_path / "other")["pid"] == hello["pid"]
            assert (tmp_path / "mark").exists()
            pid = again.ask("daemon", seconds="600")["result"]["pid"]
            found = {os.devnull, str(home / serve.HAND_LOG)}
            until(lambda: {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()} == found)
            undone = again.ask("goodbye")["result"]["undone"]
            marks = [f"{tmp_path}/other was removed", f"{tmp_path}/mark was removed"]
            assert undone == ["the daemon was ended", *marks]
            assert (again.process.wait(PATIENCE_S), hand.process.wait(PATIENCE_S)) == (0, 0)
            assert not (home / SOCKET).exists()
    until(lambda: pid not in living())


def test_what_was_under_way_is_carried_out_once_and_its_answer_said_again(
    tmp_path: Path, program: Path
) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        token = hand.hear()["hello"]["token"]
        asked = b'{"n": 5, "operation": "daemon", "args": {"seconds": "600"}}'
        hand.say(b'{"n": 4, "operation": "sleep", "args": {"s": 0.2}}')
        hand.say(asked)
        hand.hang_up()
        with attached(tmp_path / "home", program, token, asked=5) as again:
            assert again.hear() == TAKEN_UP
            again.say(asked)
            again.say(asked)
            answer = again.hear()
            assert answer["n"] == 5
            assert answer["result"]["pid"] in living()
            assert again.hear() == answer
            again.say(b'{"n": 4, "operation": "mark", "args": {"path": "/nowhere/at/all"}}')
            late = "it was not asked in time: a later request came before it"
            assert again.hear() == {"n": 4, "refused": late}
            assert again.ask("goodbye")["result"]["undone"] == ["the daemon was ended"]


def test_the_last_to_come_is_spoken_with_and_a_stranger_not_at_all(tmp_path: Path, program: Path) -> None:
    home = tmp_path / "home"
    with hand_in(home, program) as hand:
        token = hand.hear()["hello"]["token"]
        assert stat.S_IMODE((home / SOCKET).stat().st_mode) == 0o600
        for wrong in ("", "x" * 1000):
            with attached(home, program, wrong) as stranger:
                assert stranger.hear() == {"refused": "the hand of another run is there"}
                assert stranger.process.wait(PATIENCE_S) == 0
        assert hand.ask("echo", a=1) == {"result": {"a": 1}}
        with attached(home, program, token, 1) as first, attached(home, program, token, 1) as second:
            speakers = {first, second}
            until(lambda: any(speaker.process.poll() == 0 for speaker in speakers))
            (newest,) = [speaker for speaker in speakers if speaker.process.poll() is None]
            assert [first.hear(), second.hear()] == [TAKEN_UP, TAKEN_UP]
            assert newest.ask("echo", b=2) == {"result": {"b": 2}}


def killed(guard: int, worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def both_killed(guard: int, worker: int) -> None:
    kill_at_once([guard, worker])


def asked_to_end(guard: int, worker: int) -> None:
    os.kill(worker, signal.SIGTERM)


def left_alone(guard: int, worker: int) -> None:
    pass


@pytest.mark.parametrize(
    ("happens", "silence_s", "why"),
    [
        (killed, 600, "its working process was killed by signal 9"),
        (both_killed, 600, "its processes were killed, or the host restarted"),
        (asked_to_end, 600, "it was asked to end (SIGTERM)"),
        (left_alone, 0.3, "it heard nothing of the harness for 0.3 s"),
    ],
)
def test_whoever_comes_too_late_is_told_why_it_ended_and_what_was_undone(
    happens: Callable[[int, int], None], silence_s: float, why: str, tmp_path: Path, program: Path
) -> None:
    home = tmp_path / "home"
    with hand_in(home, program, silence_s) as hand:
        hello = hand.hear()["hello"]
        mark(hand, tmp_path / "mark")
        hand.hang_up()
        happens(hand.process.pid, hello["pid"])
        if happens is left_alone:
            hand.process.wait(PATIENCE_S)
        for _ in range(2 if happens is both_killed else 1):
            with attached(home, program, hello["token"]) as late:
                undone = [f"{tmp_path}/mark was removed"]
                assert late.hear() == {"ended": why, "undone": undone, "failed": []}
                assert late.process.wait(PATIENCE_S) == 0
        assert not (tmp_path / "mark").exists()


def test_where_another_run_has_been_since_nobody_is_told_how_that_one_ended(
    tmp_path: Path, program: Path
) -> None:
    with hand_in(tmp_path, program) as hand:
        hand.hear()
        hand.ask("goodbye")
        hand.process.wait(PATIENCE_S)
        with attached(tmp_path, program, "the token of the run before") as late:
            assert late.hear() == {"refused": "another run has been there since"}


@pytest.mark.parametrize("left", [b"", b"[]", b'{"token": "ours", "holder": [1, 2, "x"]}'])
def test_where_nothing_tells_how_it_ended_the_host_is_healed(
    left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart that also took what had just been written."""
    monkeypatch.setattr(place, "mounts_of_our_own", lambda: "")
    (tmp_path / place.LOCK).write_bytes(left)
    UndoLog(tmp_path / LOG).add("mark", {})
    ended = {"ended": "its processes were killed, or the host restarted", "undone": ["mark"], "failed": []}
    assert door._how_it_ended(tmp_path, "ours", {"mark": lambda args: "mark"}) == ended


@pytest.mark.parametrize(
    ("whose", "said"),
    [
        ("theirs", "another run has been there since"),
        ("ours", "it does not end: it has not healed the host after 0.05 s"),
    ],
)
def test_a_host_that_somebody_holds_is_not_healed_by_us(
    whose: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "ENDING_LIMIT_S", 0.05)
    holder = place.Lock(tmp_path)
    holder.token = whose
    assert holder.take()
    holder.write({})
    assert door._how_it_ended(tmp_path, "ours", {}) == {"refused": said}


def looks_until_it_heals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    look_s: Callable[[float], float],
    comes_back: int = 0,
    hangs_up: int = 0,
    is_let_in: bool = True,
) -> list[float]:
    """How long each look of a hand with a silence of 10 s took; who comes back, or hangs up, does so in that
    one. Who is not let in comes again in every look."""
    looks: list[float] = []
    monkeypatch.setattr(serve, "now", lambda: sum(looks))
    ours = Channel(os.open(os.devnull, os.O_RDONLY), os.dup(1))
    back = Channel(os.dup(0), os.open(os.devnull, os.O_WRONLY)) if is_let_in else None

    class Played(Worker):
        def _ready(self, wake: int, limit_s: float) -> dict[int, int]:
            assert limit_s >= 0, "that is without end"
            assert len(looks) < 3 * LOOKS, "it does not heal"
            looks.append(look_s(limit_s))
            if len(looks) == hangs_up:
                return {ours.source: select.POLLIN}
            return {way_back.fileno(): select.POLLIN} if len(looks) == comes_back or not is_let_in else {}

    with closing(Door(tmp_path, "token")) as way_back:
        monkeypatch.setattr(way_back, "let_in", lambda: back)
        worker = Played(Context(tmp_path, UndoLog(tmp_path / LOG)), {}, ours, way_back)
        assert worker.listen(10, -1) == "it heard nothing of the harness for 10 s"
    return looks


def test_who_comes_back_is_waited_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looks_until_it_heals(tmp_path, monkeypatch, lambda limit_s: limit_s, comes_back=LOOKS - 1)
    assert sum(looks) == pytest.approx(10 * (LOOKS - 1) / LOOKS + 10)


def test_a_host_that_stood_still_has_not_heard_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(looks_until_it_heals(tmp_path, monkeypatch, lambda limit_s: 600.0)) == LOOKS


def test_who_is_not_let_in_does_not_keep_it_from_healing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = looks_until_it_heals(tmp_path, monkeypatch, lambda limit_s: limit_s, is_let_in=False)
    assert sum(looks) == pytest.approx(10)


def test_who_hangs_up_when_the_silence_is_just_over_does_not_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = looks_until_it_heals(tmp_path, monkeypatch, lambda limit_s: 1.2, hangs_up=9)
    assert len(looks) == 10


def test_a_goodbye_whose_answer_was_lost_is_answered_later(tmp_path: Path, program: Path) -> None:
    with hand_in(tmp_path / "home", program) as hand:
        token = hand.hear()["hello"]["token"]
        mark(hand, tmp_path / "mark")
        hand.say(b'{"n": 7, "operation": "goodbye", "args": {}}')
        hand.hang_up()
        with attached(tmp_path / "home", program, token) as again:
            undone = [f"{tmp_path}/mark was removed"]
            said = again.hear()
            if said == TAKEN_UP:  # it came before that goodbye was read
                again.say(b'{"n": 7, "operation": "goodbye", "args": {}}')
                assert again.hear() == {"n": 7, "result": {"undone": undone, "failed": []}}
            else:
                assert said == {
                    "n": 7,
                    "ended": "the harness said goodbye",
                    "undone": undone,
                    "failed": [],
                }


def test_who_is_another_user_is_not_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controllers: list[int] = []
    monkeypatch.setattr(origin, "remember", controllers.append)
    with closing(Door(tmp_path, "token")) as ours:
        open_before = len(os.listdir("/proc/self/fd"))
        for user, answer in ((os.geteuid() + 1, door._NO), (os.geteuid(), door._YES)):
            monkeypatch.setattr(os, "geteuid", lambda user=user: user)
            said: list[bytes] = []
            caller = threading.Thread(target=lambda to=said: to.append(door._hand_over(tmp_path, b"token")))
            caller.start()
            channel = ours.let_in()
            assert (channel is not None) == (answer == door._YES)
            if channel is not None:
                caller.join(0.1)
                assert not said  # it stays for as long as it is needed
                channel.close()
            caller.join()
            assert said == [answer]
            assert len(os.listdir("/proc/self/fd")) == open_before
    assert controllers == [os.getpid()]


def test_who_controls_the_host_is_known_also_when_that_session_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(origin, "_known", None)
    for address in ("192.0.2.1", "192.0.2.2"):
        env = {**os.environ, "SSH_CONNECTION": f"{address} 40000 192.0.2.9 22"}
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=env) as session:
            until(lambda: b"SSH_" in Path(f"/proc/{session.pid}/environ").read_bytes())
            origin.remember(session.pid)
        assert origin.origin() == Origin(address, 22)
    origin.remember(session.pid)
    assert origin.origin() == Origin("192.0.2.2", 22)


def test_whoever_is_gone_with_our_words_unread_may_come_back(tmp_path: Path) -> None:
    """Where sshd gives a socket for input and output, its end is an error then."""
    ours, theirs = socket.socketpair()
    with ours, closing(Door(tmp_path, "token")) as way_back:
        worker = Worker(
            Context(tmp_path, UndoLog(tmp_path / LOG)),
            {},
            Channel(os.dup(ours.fileno()), os.dup(ours.fileno())),
            way_back,
        )
        worker.say({"read": "by nobody"})
        theirs.close()
        wake, _ = os.pipe()
        assert worker.listen(0.05, wake) == "it heard nothing of the harness for 0.05 s"


def test_where_nobody_reads_any_more_the_conversation_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "SAY_LIMIT_S", 0.05)
    source, theirs = os.pipe()
    ears, sink = os.pipe()
    ours = Door(tmp_path, "token")
    worker = Worker(Context(tmp_path, UndoLog(tmp_path / "log")), {}, Channel(source, sink), ours)
    worker.say({"short": True})
    assert worker._channel is not None
    worker.say({"long": "x" * 1_000_000})
    assert worker._channel is None
    worker.say({"heard": "by nobody"})
    assert b"heard" not in os.read(ears, 1 << 21)
    with pytest.raises(BrokenPipeError):
        os.write(theirs, b"x")
    for end in (theirs, ears):
        os.close(end)
    ours.close()
